"""Shifted and mirrored images against NumPy, and the shares in which they come."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.data.augmentation import random_flip, random_shift, shifted

IMAGES = np.random.default_rng(0).normal(size=(3, 4, 5, 2)).astype(np.float32)


@pytest.mark.parametrize("offsets", [(0, 0), (1, 0), (-1, 2), (3, -4), (9, 9)])
def test_shifted_images_are_cut_and_filled_with_zeros(offsets):
    found = shifted(IMAGES, jnp.tile(jnp.array(offsets), (3, 1)))
    expected = np.zeros_like(IMAGES)
    for i, j in np.ndindex(4, 5):
        a, b = i - offsets[0], j - offsets[1]
        if 0 <= a < 4 and 0 <= b < 5:
            expected[:, i, j] = IMAGES[:, a, b]
    np.testing.assert_array_equal(found, expected)


def test_each_image_has_its_own_shift():
    found = shifted(IMAGES, jnp.array([[0, 0], [1, 0], [0, -1]]))
    np.testing.assert_array_equal(found[0], IMAGES[0])
    np.testing.assert_array_equal(found[1, 1:], IMAGES[1, :-1])
    np.testing.assert_array_equal(found[2, :, :-1], IMAGES[2, :, 1:])


def centres(images):
    """Where the one bright pixel of each image is."""
    return np.stack(np.nonzero(np.asarray(images)[..., 0]), 1)[:, 1:]


@pytest.mark.parametrize("pixels", [1, 2.9])
def test_shifts_are_uniform_over_all_offsets(key, pixels):
    most = int(pixels)
    images = jnp.zeros((4000, 9, 9, 1)).at[:, 4, 4].set(1)
    moved = jax.jit(random_shift)(key, images, jnp.asarray(pixels))
    places, counts = np.unique(centres(moved) - 4, axis=0, return_counts=True)
    expected = [(i, j) for i in range(-most, most + 1) for j in range(-most, most + 1)]
    assert [tuple(p) for p in places] == expected
    share = 4000 / len(expected)
    assert abs(counts - share).max() < 5 * np.sqrt(share)


def test_the_rate_is_the_share_that_is_moved(key):
    images = jnp.zeros((4000, 5, 5, 1)).at[:, 2, 2].set(1)
    some = centres(random_shift(key, images, 1, rate=0.3)) - 2
    assert abs(some.any(1).mean() - 0.3 * 8 / 9) < 0.03


def test_nothing_moves_without_pixels_or_rate(key):
    a, b, c = jax.random.split(key, 3)
    np.testing.assert_array_equal(random_shift(a, IMAGES, 0), IMAGES)
    np.testing.assert_array_equal(random_shift(b, IMAGES, 2, rate=0.0), IMAGES)
    np.testing.assert_array_equal(random_flip(c, IMAGES, rate=0.0), IMAGES)


@pytest.mark.parametrize("axis", [1, 2])
def test_flips_mirror_an_axis_of_half_the_images(key, axis):
    images = jnp.asarray(np.tile(IMAGES[:1], (1000, 1, 1, 1)))
    found = np.asarray(random_flip(key, images, axis=axis))
    kept = (found == IMAGES[0]).all((1, 2, 3))
    assert (found[~kept] == np.flip(IMAGES[0], axis - 1)).all() and abs(kept.mean() - 0.5) < 0.06
    whole = random_flip(jax.random.key(1), IMAGES, rate=1.0, axis=axis)
    np.testing.assert_array_equal(whole, np.flip(IMAGES, axis))


def test_amounts_may_be_traced_over_members():
    def member(pixels, rate):
        moved = random_shift(jax.random.key(0), IMAGES, pixels, rate=rate)
        return random_flip(jax.random.key(1), moved, rate=rate)

    with jax.debug_key_reuse(False):
        both = jax.vmap(member)(jnp.array([0.0, 2.0]), jnp.array([0.0, 1.0]))
    np.testing.assert_array_equal(both[0], IMAGES)
    assert (both[1] != IMAGES).any((1, 2, 3)).all()


def test_images_are_of_four_axes(key):
    for augment in (lambda x: random_shift(key, x, 1), lambda x: random_flip(key, x)):
        with pytest.raises(ValueError, match=r"images are \[N, H, W, D\], not \[4, 5\]"):
            augment(jnp.zeros((4, 5)))
    with pytest.raises(ValueError, match="along axis 1 or 2, not 3"):
        random_flip(key, jnp.asarray(IMAGES), axis=3)
