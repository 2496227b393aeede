"""Pooling layers: one number for each window of each feature; they have no parameters. Notes: §6.

Windows that do not overlap are an axis of their own, over which to reduce; others are shifted
slices, axis by axis. XLA's windowed reductions are slow on CPUs, their gradients more so.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxdl.arrays import floating
from jaxdl.base import Array
from jaxdl.checks import positive_int
from jaxdl.layers import windows


def max_pool(
    x: Array,
    size: int | Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: Any = "valid",
) -> Array:
    """The largest entry of each window and feature of x [..., *spatial, D]. Notes: L919, §6.

    Equal largest entries share the gradient. What does not fill a window at the end is dropped.

    Args:
      x: [..., *spatial, D], any leading axes.
      size: of the windows: a number for squares of images, or one for each axis, (F,) for signals.
      stride: by default ``size``, windows side by side.
      padding: as in ``conv``; padded cells are never the largest.

    Raises ValueError for windows that do not fit, and for padding as wide as a window.

    >>> max_pool(jnp.array([1.0, 5.0, 2.0, 3.0, 9.0])[:, None], (2,))[:, 0].tolist()
    [5.0, 3.0]
    """
    low = -jnp.inf if jnp.issubdtype(x.dtype, jnp.inexact) else jnp.iinfo(x.dtype).min
    settings = _settings(x, size, stride, padding)
    return _reduced(x, *settings, jnp.max, jnp.maximum, low)


def avg_pool(
    x: Array,
    size: int | Sequence[int],
    *,
    stride: int | Sequence[int] | None = None,
    padding: Any = "valid",
    count_padding: bool = False,
) -> Array:
    """The mean of each window and feature of x [..., *spatial, D]; else as ``max_pool``.

    A padded cell counts only with ``count_padding=True``, as the zero that it is; without it, a
    constant stays constant. Sums are taken in float32 at least. Notes: §6 (D-62).

    >>> x = jnp.array([1.0, 2.0])[:, None]
    >>> avg_pool(x, (2,), stride=1, padding="same")[:, 0].tolist()
    [1.5, 2.0]
    """
    spatial, sizes, strides, pads = settings = _settings(x, size, stride, padding)
    values = floating(x)
    precise = values.astype(jnp.promote_types(values.dtype, jnp.float32))
    total = _reduced(precise, *settings, jnp.sum, jnp.add, 0)
    count = np.full(total.shape[-1 - len(sizes) : -1], math.prod(sizes))
    if not count_padding:
        axes = zip(spatial, sizes, strides, pads, strict=True)
        count = functools.reduce(np.multiply.outer, [_real_cells(*axis) for axis in axes])
    return (total / jnp.asarray(count[..., None], total.dtype)).astype(values.dtype)


def global_avg_pool(x: Array, *, axes: int = 2) -> Array:
    """The mean over all places: x [..., *spatial, D] to [..., D] with ``axes`` spatial axes.

    Behind convolutions it is invariant to (circular) translations (D-63).

    >>> global_avg_pool(jnp.array([[1.0], [3.0]]), axes=1).tolist()
    [2.0]
    """
    return jnp.mean(floating(x), _spatial_axes(x, axes))


def global_max_pool(x: Array, *, axes: int = 2) -> Array:
    """The largest entry over all places: x [..., *spatial, D] to [..., D]; see ``global_avg_pool``.

    >>> global_max_pool(jnp.array([[1.0], [3.0]]), axes=1).tolist()
    [3.0]
    """
    return jnp.max(x, _spatial_axes(x, axes))


def _settings(x, size, stride, padding):
    """Spatial sizes, windows, strides and padding, one for each spatial axis."""
    rank = len(size) if hasattr(size, "__len__") else 2
    sizes = windows.per_axis("size", size, rank)
    strides = sizes if stride is None else windows.per_axis("stride", stride, rank)
    if x.ndim < rank + 1:
        raise ValueError(f"pooling over {rank} axes expects x [..., *spatial, D], got {x.shape}")
    spatial = x.shape[-1 - rank : -1]
    pads = windows.pads(padding, spatial, sizes, strides)
    for n, f, s, pad in zip(spatial, sizes, strides, pads, strict=True):
        windows.output_size(n, f, s, pad, strict=False)  # raises where the window does not fit
        if max(pad) >= f:
            raise ValueError(f"padding {pad} would fill windows of {f} cells")
    return spatial, sizes, strides, pads


def _reduced(
    x: Array, spatial, sizes, strides, pads, reduce: Callable, combine: Callable, filler
) -> Array:
    """x reduced over all windows; ``combine`` is the same reduction of two."""
    rank = len(sizes)
    if any(map(any, pads)):
        around = [(0, 0, 0)] * (x.ndim - 1 - rank) + [(*p, 0) for p in pads] + [(0, 0, 0)]
        x = lax.pad(x, jnp.asarray(filler, x.dtype), around)
    axes = range(x.ndim - 1 - rank, x.ndim - 1)
    counts = [
        windows.output_size(n, f, s, p, strict=False)
        for n, f, s, p in zip(spatial, sizes, strides, pads, strict=True)
    ]
    if strides == sizes:
        for axis, n, f in zip(axes, counts, sizes, strict=True):
            x = lax.slice_in_dim(x, 0, n * f, axis=axis)
        cells = [side for pair in zip(counts, sizes, strict=True) for side in pair]
        x = x.reshape(*x.shape[: axes[0]], *cells, x.shape[-1])
        return reduce(x, tuple(axes[0] + 2 * i + 1 for i in range(rank)))
    for axis, n, f, s in zip(axes, counts, sizes, strides, strict=True):
        cells = [lax.slice_in_dim(x, i, i + (n - 1) * s + 1, s, axis) for i in range(f)]
        x = functools.reduce(combine, cells)
    return x


def _real_cells(n, window, stride, pad):
    """How many cells of each window along an axis are no padding."""
    start = np.arange(windows.output_size(n, window, stride, pad, strict=False)) * stride - pad[0]
    return np.minimum(start + window, n) - np.maximum(start, 0)


def _spatial_axes(x, axes):
    if x.ndim < positive_int("axes", axes) + 1:
        raise ValueError(f"pooling over {axes} axes expects x [..., *spatial, D], got {x.shape}")
    return tuple(range(x.ndim - 1 - axes, x.ndim - 1))
