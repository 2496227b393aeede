"""Grids show each image, filter and channel in its place, on one scale."""

import numpy as np
import pytest

from jaxdl import plotting

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(2, 5, (5, 4, 3)).astype(np.float32)


def drawn(figure):
    """What the panels show, the bar of shades left out."""
    return [axes.images[0] for axes in figure.axes if axes.images]


def test_images_in_order_on_one_scale():
    figure = plotting.image_grid(IMAGES, titles=list("abcde"), columns=2)
    panels = drawn(figure)
    for panel, image in zip(panels, IMAGES, strict=True):
        np.testing.assert_array_equal(panel.get_array(), image)
        np.testing.assert_allclose(panel.get_clim(), (IMAGES.min(), IMAGES.max()))
    assert [axes.get_title() for axes in figure.axes[:5]] == list("abcde")
    assert not figure.axes[5].get_visible()  # the sixth place of three rows of two
    fixed = drawn(plotting.image_grid(IMAGES[..., None], low=0, high=16))
    assert fixed[0].get_clim() == (0, 16)
    np.testing.assert_array_equal(fixed[4].get_array(), IMAGES[4])


def test_colours_are_scaled_together():
    colours = np.stack([IMAGES] * 3, -1)
    panels = drawn(plotting.image_grid(colours))
    low, high = IMAGES.min(), IMAGES.max()
    np.testing.assert_allclose(
        panels[2].get_array(), (colours[2] - low) / (high - low), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_one_value_everywhere_and_nan(value):
    plotting.image_grid(np.full((2, 3, 3, 3), value))
    plotting.filter_grid(np.full((3, 3, 1, 2), 0.0))
    holes = np.full((1, 2, 2), value)
    holes[0, 0, 0] = np.nan
    low, high = drawn(plotting.image_grid(holes))[0].get_clim()
    assert low <= value <= high and np.isfinite([low, high]).all()


def test_filters_by_input_and_output():
    kernel = RNG.normal(size=(3, 5, 2, 4)).astype(np.float32)
    figure = plotting.filter_grid(kernel, titles=list("abcd"))
    panels = drawn(figure)
    for i in range(2):
        for o in range(4):
            np.testing.assert_array_equal(panels[4 * i + o].get_array(), kernel[:, :, i, o])
    largest = np.abs(kernel).max()
    assert all(p.get_clim() == (-largest, largest) for p in panels)
    assert [a.get_title() for a in figure.axes[:8]] == [*"abcd", *[""] * 4]


def test_channels_of_feature_maps():
    maps = np.maximum(RNG.normal(size=(4, 6, 3)), 0).astype(np.float32)
    panels = drawn(plotting.feature_map_grid(maps))
    for c in range(3):
        np.testing.assert_array_equal(panels[c].get_array(), maps[..., c])
    assert panels[0].get_clim() == (0, maps.max())
    signed = np.stack([maps, maps - 1])
    panels = drawn(plotting.feature_map_grid(signed, titles=list("abc")))
    largest = np.abs(signed).max()
    assert panels[0].get_clim() == (-largest, largest)
    np.testing.assert_array_equal(panels[4].get_array(), signed[1, ..., 1])


def test_grids_have_few_empty_places():
    for number, columns in ((16, 4), (8, 4), (20, 5), (10, 5), (1, 1), (2, 2), (3, 3)):
        figure = plotting.image_grid(np.zeros((number, 2, 2)))
        assert figure.axes[0].get_gridspec().ncols == columns


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plotting.image_grid(np.zeros((4, 4))), r"must be \[N, H, W\]"),
        (lambda: plotting.image_grid(np.zeros((1, 4, 4, 2))), r"D 1 or 3, not \[1, 4, 4, 2\]"),
        (lambda: plotting.image_grid(IMAGES, titles=["a"]), "titles must be 5"),
        (lambda: plotting.filter_grid(np.zeros((3, 3, 1))), r"\[H, W, D_in, D_out\]"),
        (lambda: plotting.feature_map_grid(np.zeros((3, 3))), r"\[H, W, D\] or"),
    ],
)
def test_messages(call, message):
    with pytest.raises(ValueError, match=message):
        call()
