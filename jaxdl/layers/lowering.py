"""How a convolution is computed: by XLA's own operation, or as slices and one matrix product.

XLA runs its convolution on CPUs 24 to 30 times slower inside a loop than outside (JAX issue
12868), and training loops are compiled whole. There, a convolution is the product of its *patches*
with the kernel: every place's window laid out as one row, made of shifted slices of the input. It
also turns a convolution under ``vmap`` over members into a batched product.

Measured on two cores that others used too, steps of a network of conv, relu and pool twice, inside
the loop, PyTorch's time being 1: 8 x 8 images (16 and 32 filters, batch 128) 0.44 with slices and one
product, 0.62 with a sum of shifted products; 28 x 28 images (32 and 64 filters, batch 64) 0.96 and
1.22. With the pool before the relu, as in ``models.cnn``, 0.33 and 0.79. Writing the gradient of x as
one more convolution took longer (1.11) than the sum of shifted slices that differentiation makes of
the patches.
"""

import itertools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.core import Tracer

from jaxdl.base import Array
from jaxdl.checks import is_whole, one_of

LOWERINGS = ("auto", "native", "slices", "sums")

# Patches larger than this are made and multiplied for a few examples at a time, and made again in
# the backward pass: a program's memory then grows with its images, not with their patches.
PATCH_BYTES = 2**26

# Below this many features, patches are put together axis by axis: fewer and longer copies.
NARROW = 8


class Lowering(NamedTuple):
    """How a convolution is computed, and why so: ``name`` is one of ``LOWERINGS`` but "auto"."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


def conv_lowering(lowering: str = "auto", x: Array | None = None) -> Lowering:
    """Which lowering ``conv`` uses, with the reason. This is the one place that chooses.

    Args:
      lowering: ``"native"`` for XLA's convolution, ``"slices"`` for patches and one product,
        ``"sums"`` for a sum of a product for each cell of the filter; ``"auto"`` takes slices on
        CPUs and the native one on accelerators.
      x: an array whose device decides; of a traced one, or None, JAX's default device does.

    Raises ValueError for another name.

    >>> conv_lowering("native").name
    'native'
    """
    one_of("lowering", lowering, LOWERINGS)
    if lowering != "auto":
        return Lowering(lowering, "asked for")
    if _platform(x) == "cpu":
        return Lowering("slices", "XLA's convolution is slow inside loops on CPUs")
    return Lowering("native", "accelerators have kernels for convolutions")


def convolve(
    x: Array,
    kernel: Array,
    *,
    strides: tuple[int, ...],
    padding: tuple[tuple[int, int], ...],
    dilations: tuple[int, ...],
    groups: int,
    lowering: str,
    x_dilations: tuple[int, ...] | None = None,
) -> Array:
    """Cross-correlate x [N, *spatial, D] with a kernel [*F, D/groups, K]: [N, *spatial', K].

    ``y_n = sum_t x_(S n + dilation t - P) K_t``. ``x_dilations`` puts that many cells less one of
    zeros between those of x; ``padding`` may be negative, which crops.
    """
    name = conv_lowering(lowering, x).name
    x_dilations = x_dilations or (1,) * len(strides)
    dtype = jnp.result_type(x, kernel)
    x, kernel = x.astype(dtype), kernel.astype(dtype)
    if name == "native":
        letters = "DHW"[-len(strides) :]
        return lax.conv_general_dilated(
            x,
            kernel,
            strides,
            padding,
            lhs_dilation=x_dilations,
            rhs_dilation=dilations,
            feature_group_count=groups,
            dimension_numbers=(f"N{letters}C", f"{letters}IO", f"N{letters}C"),
        )
    around = [
        (before, after, d - 1) for (before, after), d in zip(padding, x_dilations, strict=True)
    ]
    if any(any(p) for p in around):
        x = lax.pad(x, jnp.zeros((), dtype), [(0, 0, 0), *around, (0, 0, 0)])
    taps = kernel.shape[:-2]
    sizes = tuple(
        (n - d * (f - 1) - 1) // s + 1
        for n, f, s, d in zip(x.shape[1:-1], taps, strides, dilations, strict=True)
    )
    row_bytes = math.prod(sizes) * math.prod(taps) * x.shape[-1] * dtype.itemsize
    form = _summed if name == "sums" or row_bytes > PATCH_BYTES else _multiplied
    one = lambda x: form(x, kernel, sizes, strides, dilations, groups)
    rows = _rows_at_once(x.shape[0], row_bytes)
    if rows == x.shape[0] and form is _multiplied:
        return one(x)
    one = jax.checkpoint(one)
    if rows == x.shape[0]:
        return one(x)
    y = lax.map(one, x.reshape(-1, rows, *x.shape[1:]))
    return y.reshape(x.shape[0], *y.shape[2:])


def _multiplied(x, kernel, sizes, strides, dilations, groups):
    """Patches [N * spatial', F * D] times the kernel [F * D, K]."""
    taps = kernel.shape[:-2]
    if x.shape[-1] < NARROW:
        patches = x
        for axis in reversed(range(len(taps))):
            cut = [(1, n, 1, 1) for n in patches.shape[1:-1]]
            cut[axis] = taps[axis], sizes[axis], strides[axis], dilations[axis]
            patches = jnp.concatenate(_shifted(patches, *zip(*cut, strict=True)), -1)
    else:
        patches = jnp.concatenate(_shifted(x, taps, sizes, strides, dilations), -1)
    rows = x.shape[0] * math.prod(sizes)
    y = _product(patches.reshape(rows, math.prod(taps), x.shape[-1]), kernel, groups)
    return y.reshape(x.shape[0], *sizes, kernel.shape[-1])


def _summed(x, kernel, sizes, strides, dilations, groups):
    """A product of one shifted slice for each cell of the filter, added up."""
    cells = kernel.reshape(-1, *kernel.shape[-2:])
    rows = x.shape[0] * math.prod(sizes)
    shifted = _shifted(x, kernel.shape[:-2], sizes, strides, dilations)
    each = [
        _product(one.reshape(rows, 1, x.shape[-1]), cell[None], groups)
        for one, cell in zip(shifted, cells, strict=True)
    ]
    return sum(each[1:], start=each[0]).reshape(x.shape[0], *sizes, kernel.shape[-1])


def _product(patches, kernel, groups):
    """Patches [rows, T, D] times a kernel [*T, D/groups, K], group by group: [rows, K]."""
    rows, taps, width = patches.shape
    d_in, d_out = kernel.shape[-2:]
    if groups == 1:
        return patches.reshape(rows, taps * width) @ kernel.reshape(taps * d_in, d_out)
    patches = patches.reshape(rows, taps, groups, d_in)
    kernel = kernel.reshape(taps, d_in, groups, d_out // groups)
    return jnp.einsum("rtgi,tigo->rgo", patches, kernel).reshape(rows, d_out)


def _shifted(x, taps, sizes, strides, dilations):
    """The slice of x [N, *spatial, D] that each cell of the filter meets, in the kernel's order."""
    slices = []
    for place in itertools.product(*map(range, taps)):
        start = [p * d for p, d in zip(place, dilations, strict=True)]
        stop = [a + (n - 1) * s + 1 for a, n, s in zip(start, sizes, strides, strict=True)]
        slices.append(
            lax.slice(x, (0, *start, 0), (x.shape[0], *stop, x.shape[-1]), (1, *strides, 1))
        )
    return slices


def _rows_at_once(rows, row_bytes):
    """The largest divisor of the number of rows whose patches stay below the limit; at least 1.

    All of them where an exported program is to take any number.
    """
    if not is_whole(rows):
        return rows
    fitting = max(1, PATCH_BYTES // max(row_bytes, 1))
    return next((n for n in range(min(rows, fitting), 0, -1) if rows % n == 0), rows)


def _platform(x):
    if isinstance(x, jax.Array) and not isinstance(x, Tracer):
        return next(iter(x.devices())).platform
    device = jax.config.jax_default_device  # pyright: ignore[reportAttributeAccessIssue]
    return getattr(device, "platform", device) or jax.default_backend()
