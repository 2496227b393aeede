"""Attention maps show the weights given, and label what they belong to."""

import sys

import matplotlib.figure
import numpy as np
import pytest

from jaxdl import plotting

WEIGHTS = np.array([[0.5, 0.5, 0.0], [0.1, 0.2, 0.7]])


def texts(labels):
    return [label.get_text() for label in labels]


def test_a_row_for_each_target_and_a_column_for_each_source():
    figure = plotting.attention_map(WEIGHTS, "a b", ["x", "y"])
    assert isinstance(figure, matplotlib.figure.Figure)
    axes = figure.axes[0]
    (image,) = axes.images
    np.testing.assert_allclose(image.get_array(), WEIGHTS, rtol=1e-6)
    assert image.get_clim() == (0, 1)
    assert texts(axes.get_xticklabels()) == ["a", "␣", "b"]
    assert texts(axes.get_yticklabels()) == ["x", "y"]
    assert axes.yaxis_inverted()  # the first target is at the top
    assert axes.get_title() == ""


def test_a_panel_for_each_head():
    heads = np.stack([WEIGHTS, WEIGHTS[::-1], WEIGHTS / 2, WEIGHTS, WEIGHTS])
    figure = plotting.attention_map(heads)
    seen = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title() for axes in seen] == [f"head {i}" for i in range(5)]
    for axes, head in zip(seen, heads, strict=True):
        np.testing.assert_allclose(axes.images[0].get_array(), head, rtol=1e-6)
        assert axes.images[0].get_clim() == (0, 1)
    assert texts(seen[0].get_xticklabels()) == ["0", "1", "2"]
    named = plotting.attention_map(heads[:2], titles=["mean", "last"])
    assert [axes.get_title() for axes in named.axes[:2]] == ["mean", "last"]


def test_formulas_and_many_labels_are_drawn(tmp_path):
    figure = plotting.attention_map(np.full((1, 3), 1 / 3), "$5$", ["_^"])
    figure.savefig(tmp_path / "dollars.png")
    many = plotting.attention_map(np.full((1, 150), 1 / 150)).axes[0]
    assert texts(many.get_xticklabels()) == [str(i) for i in range(0, 150, 3)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros(3),), r"must be \[T, S\] or \[heads, T, S\], not \[3\]"),
        ((np.zeros((0, 3)),), "must be"),
        ((WEIGHTS, "ab"), "source must have 3 labels, one for each position, not 2"),
        ((WEIGHTS, "abc", "abc"), "target must have 2 labels"),
    ],
)
def test_messages(arguments, message):
    with pytest.raises(ValueError, match=message):
        plotting.attention_map(*arguments)
    with pytest.raises(ValueError, match="titles must be 1"):
        plotting.attention_map(WEIGHTS, titles=["a", "b"])


def test_pyplot_is_left_alone():
    before = "matplotlib.pyplot" in sys.modules
    plotting.attention_map(WEIGHTS)
    assert ("matplotlib.pyplot" in sys.modules) == before
