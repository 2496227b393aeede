"""Augmentation: images moved and mirrored, as functions of a key. What is drawn may be traced."""

import jax
import jax.numpy as jnp

from jaxdl.base import Array, Key


def random_shift(
    key: Key, images: Array, pixels: float | Array, *, rate: float | Array = 1.0
) -> Array:
    """Move images [N, H, W, D] by whole pixels each way, zeros coming in from the border.

    Each is moved with probability ``rate``, by rows and by columns drawn uniformly from
    ``-floor(pixels), ..., floor(pixels)``; both may be traced. The key is consumed. Raises
    ValueError for images of another shape. Source: LeCun et al. (1998).

    >>> import jax
    >>> image = jnp.ones((1, 2, 2, 1))
    >>> random_shift(jax.random.key(0), image, 0)[0, ..., 0].tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """
    _check(images)
    which_key, how_far_key = jax.random.split(key)
    most = jnp.floor(jnp.asarray(pixels, jnp.float32))
    moved = jax.random.uniform(which_key, (len(images), 1)) < rate
    drawn = jax.random.uniform(how_far_key, (len(images), 2)) * (2 * most + 1)
    offsets = jnp.where(moved, jnp.clip(jnp.floor(drawn) - most, -most, most), 0)
    return shifted(images, offsets.astype(jnp.int32))


def shifted(images: Array, offsets: Array) -> Array:
    """Images [N, H, W, D], each moved down and to the right by its offsets [N, 2]; zeros come in.

    >>> image = jnp.array([[1.0, 2.0], [3.0, 4.0]])[None, :, :, None]
    >>> shifted(image, jnp.array([[1, 0]]))[0, ..., 0].tolist()
    [[0.0, 0.0], [1.0, 2.0]]
    """
    n, h, w, d = _check(images)
    rows = jnp.arange(h) - offsets[:, :1]  # [N, H], where each row comes from
    columns = jnp.arange(w) - offsets[:, 1:]
    inside = ((rows >= 0) & (rows < h))[:, :, None] & ((columns >= 0) & (columns < w))[:, None]
    places = jnp.clip(rows, 0, h - 1)[:, :, None] * w + jnp.clip(columns, 0, w - 1)[:, None]
    flat = images.reshape(n, h * w, d)
    moved = jnp.take_along_axis(flat, places.reshape(n, h * w, 1), axis=1, mode="clip")
    return jnp.where(inside[..., None], moved.reshape(images.shape), 0)


def random_flip(key: Key, images: Array, *, rate: float | Array = 0.5, axis: int = 2) -> Array:
    """Mirror images [N, H, W, D], each with probability ``rate``, which may be traced.

    ``axis`` 2 swaps left and right, 1 top and bottom. The key is consumed. Raises ValueError for
    images of another shape and for another axis.

    >>> import jax
    >>> image = jnp.array([[1.0, 2.0]])[None, :, :, None]
    >>> random_flip(jax.random.key(0), image, rate=1.0)[0, ..., 0].tolist()
    [[2.0, 1.0]]
    """
    _check(images)
    if axis not in (1, 2):
        raise ValueError(f"images are mirrored along axis 1 or 2, not {axis!r}")
    flipped = jax.random.uniform(key, (len(images), 1, 1, 1)) < rate
    return jnp.where(flipped, jnp.flip(images, axis), images)


def _check(images):
    if images.ndim != 4:
        raise ValueError(f"images are [N, H, W, D], not {list(images.shape)}")
    return images.shape
