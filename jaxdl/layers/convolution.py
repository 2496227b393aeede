"""Convolutional layers: the same small filters at every place of an image or a signal. Notes: §6."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxdl.base import Array, Key, Params
from jaxdl.checks import positive_int
from jaxdl.layers import windows
from jaxdl.layers.dense import lecun_normal
from jaxdl.layers.lowering import convolve


def conv_init(
    key: Key,
    filter_size: int | Sequence[int],
    d_in: int,
    d_out: int,
    *,
    groups: int = 1,
    kernel_init: Callable = lecun_normal,
    use_bias: bool = True,
    dtype=None,
) -> Params:
    """``{"kernel" [*F, d_in/groups, d_out], "bias" [d_out]}``, the bias zeros; the key is consumed.

    ``filter_size`` F is a number for square filters of images, or one for each spatial axis: (F,)
    for signals. Names and layout are flax's. ``kernel_init`` is ``(key, shape, dtype) -> kernel``.
    Raises ValueError for sizes under 1, and for groups that do not divide both widths.
    """
    sizes = _filter(filter_size)
    d_in, d_out = positive_int("d_in", d_in), positive_int("d_out", d_out)
    _check_groups(groups, d_in, d_out)
    dtype = jnp.zeros((), dtype or float).dtype
    params = {"kernel": kernel_init(key, (*sizes, d_in // groups, d_out), dtype)}
    return {**params, "bias": jnp.zeros(d_out, dtype)} if use_bias else params


def conv(
    params: Params,
    x: Array,
    *,
    stride: int | Sequence[int] = 1,
    padding: Any = "valid",
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    flip_kernel: bool = False,
    lowering: str = "auto",
) -> Array:
    """``a_(n,k) = b_k + sum_t sum_d x_(S n + t - P, d) K_(t,d,k)`` at every place n, filter k.

    The cross-correlation that is called convolution; it is equivariant to translation, and only
    pooling over all places makes it invariant (D-63). Notes: L913, §6.

    Args:
      params: ``kernel`` K [*F, D/groups, K] with one or two (or three) spatial axes, and ``bias``
        b [K], if there is one.
      x: [..., *spatial, D], any leading axes.
      stride: S, a number or one for each axis.
      padding: zeros around x: ``"valid"`` none, ``"same"`` so many that ceil(H/S) places result, P
        on every side, or ``((before, after), ...)`` for each axis.
      dilation: how far apart the cells are that a filter sees.
      groups: parts of the features, each convolved with filters of its own; D for depthwise.
      flip_kernel: reverse the filters, for convolution in the mathematical sense.
      lowering: how it is computed, see ``conv_lowering``.

    Returns:
      [..., *spatial', K], spatial' as by ``conv_output_size``.

    Raises ValueError for shapes that do not fit and unknown names.

    >>> params = {"kernel": jnp.array([1.0, -1.0]).reshape(2, 1, 1)}
    >>> conv(params, jnp.array([1.0, 3.0, 6.0])[:, None])[:, 0].tolist()
    [-2.0, -3.0]
    """
    kernel = params["kernel"]
    rank = _rank(kernel)
    _check_input("conv", kernel, x, kernel.shape[-2] * positive_int("groups", groups))
    _check_groups(groups, x.shape[-1], kernel.shape[-1])
    strides = windows.per_axis("stride", stride, rank)
    dilations = windows.per_axis("dilation", dilation, rank)
    spatial = x.shape[-1 - rank : -1]
    reach = tuple(d * (f - 1) + 1 for d, f in zip(dilations, kernel.shape[:rank], strict=True))
    padding = windows.pads(padding, spatial, reach, strides)
    for size in zip(spatial, reach, strides, padding, strict=True):
        windows.output_size(*size, strict=False)  # raises where the filter does not fit
    y = convolve(
        _flat(x, rank),
        _flipped(kernel) if flip_kernel else kernel,
        strides=strides,
        padding=padding,
        dilations=dilations,
        groups=groups,
        lowering=lowering,
    )
    return _with_bias(params, y.reshape(*x.shape[: -1 - rank], *y.shape[1:]))


def conv_transpose_init(
    key: Key,
    filter_size: int | Sequence[int],
    d_in: int,
    d_out: int,
    *,
    kernel_init: Callable = lecun_normal,
    use_bias: bool = True,
    dtype=None,
) -> Params:
    """As ``conv_init``: ``kernel`` [*F, d_in, d_out] maps d_in features to d_out."""
    return conv_init(
        key, filter_size, d_in, d_out, kernel_init=kernel_init, use_bias=use_bias, dtype=dtype
    )


def conv_transpose(
    params: Params,
    x: Array,
    *,
    stride: int | Sequence[int] = 1,
    padding: Any = 0,
    output_padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    flip_kernel: bool = False,
    lowering: str = "auto",
) -> Array:
    """``a_m = b + sum of x_n K_t over all n, t with S n + t - P = m``: the transpose of ``conv``.

    With the kernel's last two axes swapped it is the adjoint of ``conv`` with the same stride,
    padding and dilation: ``<conv(x; K), y> = <x, conv_transpose(y; K')>``. Several sizes of x give
    one size of ``conv(x)`` (5 and 6 give 2 at F = 3, S = 2); ``output_padding`` says which is meant.
    Source: Dumoulin and Visin (2016).

    Args:
      params: ``kernel`` [*F, D, K], and ``bias`` [K], if there is one.
      x: [..., *spatial, D].
      stride, dilation: those of the convolution that is transposed.
      padding: P, or ``((before, after), ...)``, what that convolution put around its input: so
        many cells are cut off here. ``"valid"`` is 0; there is no ``"same"``.
      output_padding: further cells at the end of each axis, fewer than its stride.
      flip_kernel: reverse the filters, as flax's ``ConvTranspose`` does.
      lowering: as in ``conv``.

    Returns:
      [..., *spatial', K] with ``H' = (H - 1) S - P_before - P_after + F' + output_padding``.

    Raises ValueError for shapes that do not fit.

    >>> params = {"kernel": jnp.ones((3, 1, 1))}
    >>> conv_transpose(params, jnp.array([[1.0], [2.0]]), stride=2)[:, 0].tolist()
    [1.0, 1.0, 3.0, 2.0, 2.0]
    """
    kernel = params["kernel"]
    rank = _rank(kernel)
    _check_input("conv_transpose", kernel, x, kernel.shape[-2])
    strides = windows.per_axis("stride", stride, rank)
    dilations = windows.per_axis("dilation", dilation, rank)
    if padding == "same":
        raise ValueError('conv_transpose has no padding "same": give P, and output_padding')
    cut = windows.pads(padding, x.shape[-1 - rank : -1], kernel.shape[:rank], strides)
    more = _output_padding(output_padding, strides)
    around = []
    for n, f, s, d, (before, after), extra in zip(
        x.shape[-1 - rank : -1], kernel.shape, strides, dilations, cut, more, strict=False
    ):
        reach = d * (f - 1)
        if (n - 1) * s - before - after + reach + 1 + extra < 1:
            raise ValueError(f"padding {(before, after)} cuts off all that {n} cells become")
        around.append((reach - before, reach - after + extra))
    y = convolve(
        _flat(x, rank),
        kernel if flip_kernel else _flipped(kernel),
        strides=(1,) * rank,
        padding=tuple(around),
        dilations=dilations,
        groups=1,
        lowering=lowering,
        x_dilations=strides,
    )
    return _with_bias(params, y.reshape(*x.shape[: -1 - rank], *y.shape[1:]))


def conv_num_parameters(
    filter_size: int | Sequence[int],
    d_in: int,
    d_out: int,
    *,
    groups: int = 1,
    use_bias: bool = True,
) -> int:
    """``K (F F D / groups)``, and K more with a bias; K = ``d_out`` filters, D = ``d_in``.

    Raises ValueError as ``conv_init``. Notes: I(§6), §6.

    >>> conv_num_parameters(5, 3, 16)
    1216
    """
    d_in, d_out = positive_int("d_in", d_in), positive_int("d_out", d_out)
    _check_groups(groups, d_in, d_out)
    each = math.prod(_filter(filter_size)) * d_in // groups
    return d_out * each + (d_out if use_bias else 0)


def _filter(filter_size):
    """The filter's sizes; a single number is that of both sides of an image's."""
    rank = len(filter_size) if hasattr(filter_size, "__len__") else 2
    if not 1 <= rank <= 3:
        raise ValueError(f"filters have one to three spatial axes, not {rank}")
    return windows.per_axis("filter_size", filter_size, rank)


def _rank(kernel):
    if not 3 <= kernel.ndim <= 5:
        raise ValueError(f"a kernel is [*F, in, out] with F of one to three, not {kernel.shape}")
    return kernel.ndim - 2


def _check_input(name, kernel, x, width):
    axes = ", ".join("HWD"[: kernel.ndim - 2]) if kernel.ndim > 3 else "T"
    if x.ndim < kernel.ndim - 1 or x.shape[-1] != width:
        raise ValueError(
            f"{name} expects x [..., {axes}, {width}] for a kernel {list(kernel.shape)}, "
            f"got x {list(x.shape)}"
        )


def _check_groups(groups, d_in, d_out):
    positive_int("groups", groups)
    if d_in % groups or d_out % groups:
        raise ValueError(f"{groups} groups do not divide {d_in} features and {d_out} filters")


def _output_padding(value, strides):
    values = tuple(value) if hasattr(value, "__len__") else (value,) * len(strides)
    if len(values) != len(strides) or any(
        v not in range(s) for v, s in zip(values, strides, strict=True)
    ):
        raise ValueError(f"output_padding lies below the stride {strides}, not {value!r}")
    return values


def _flat(x, rank):
    """x with one leading axis of examples."""
    return x.reshape(math.prod(x.shape[: -1 - rank]), *x.shape[-1 - rank :])


def _flipped(kernel):
    return jax.lax.rev(kernel, tuple(range(kernel.ndim - 2)))


def _with_bias(params, y):
    return y + params["bias"] if "bias" in params else y
