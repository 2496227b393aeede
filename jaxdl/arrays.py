"""Small functions on arrays that many modules need: masks, means, and division that is safe."""

import functools
from typing import Any, overload

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.base import Array
from jaxdl.checks import is_key

# Solvers must not run at a GPU's reduced default precision.
HIGHEST = jax.lax.Precision.HIGHEST
dot = functools.partial(jnp.matmul, precision=HIGHEST)


ROWS = 256  # of a block in products over rows: short enough for sums one by one


def inner(a: Array, b: Array) -> Array:
    """``a'b``, [D, K], of a [N, D] and b [N, K]: the sum over rows n of ``a_n b_n'``.

    XLA's products on CPUs add their terms one by one, which loses 3 digits of float32 at N = 1e6.
    Here rows are multiplied in blocks, whose products are added as a tree.

    >>> inner(jnp.full((10**6, 2), 0.1), jnp.full((10**6, 1), 0.1)).round().tolist()
    [[10000.0], [10000.0]]
    """
    whole = len(a) // ROWS * ROWS
    rest = dot(a[whole:].T, b[whole:])
    if not whole:
        return rest
    a, b = (x[:whole].reshape(-1, ROWS, x.shape[1]) for x in (a, b))
    return jnp.sum(jnp.einsum("bnd,bnk->bdk", a, b, precision=HIGHEST), axis=0) + rest


def rows_dot(x: Array, w: Array) -> Array:
    """``x @ w``, [N] or [N, K], of x [N, D] and w [D] or [D, K]; its gradient in w is an ``inner``.

    Every block of rows has a copy of w, so that the gradients of the copies are added as a tree.
    """
    whole = len(x) // ROWS * ROWS
    columns = w.reshape(len(w), -1)
    rest = dot(x[whole:], columns)
    blocks = x[:whole].reshape(-1, ROWS, x.shape[1])
    copies = jnp.broadcast_to(columns, (len(blocks), *columns.shape))
    first = dot(blocks, copies).reshape(whole, columns.shape[1])
    return jnp.concatenate([first, rest]).reshape(len(x), *w.shape[1:])


def floating(x: Any) -> Array:
    """x as an array of floating-point numbers; whole numbers become the default float."""
    return jnp.asarray(x, jnp.result_type(x, float))


def precise(x: Array) -> Array:
    """x in float32 if it has 16 bits, for sums; others stay."""
    x = jnp.asarray(x)
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def num_rows(data: Any) -> int:
    """N, the length of the leading axis of a pytree of arrays [N, ...]."""
    return jax.tree.leaves(data)[0].shape[0]


def padded_size(n: int) -> int:
    """The least power of two from n on; beyond 1024, that or 5/4, 6/4 or 7/4 of one.

    >>> [padded_size(n) for n in (1, 3, 64, 65, 1025, 1281)]
    [1, 4, 64, 128, 1280, 1536]
    """
    power = 1 << max(n - 1, 0).bit_length()
    step = power if power <= 1024 else power // 8
    return -(-n // step) * step


def filled_up(x: Any) -> Any:
    """x [B, ...] with its last row repeated up to ``padded_size``."""
    n = num_rows(x)
    if n in (0, padded_size(n)):
        return x
    # On the host: a selection of rows on the device would compile for each n.
    index = np.minimum(np.arange(padded_size(n)), n - 1)
    return jax.tree.map(lambda a: np.asarray(a)[index], x)


def unconsumed(x: Array) -> Array:
    """The same array; of keys, one that nothing has consumed."""
    return jax.random.clone(x) if is_key(x) else x


def safe_divide(above: float | Array, below: Array, otherwise: float | Array = 0.0) -> Array:
    """``above / below`` where ``below`` is positive, ``otherwise`` elsewhere; so are gradients."""
    positive = below > 0
    return jnp.where(positive, floating(above) / jnp.where(positive, below, 1), otherwise)


def safe_sqrt(square: Array) -> Array:
    """The square root, with the gradient 0 at 0 instead of infinity."""
    zero = square == 0
    return jnp.where(zero, 0, jnp.sqrt(jnp.where(zero, 1, square)))


def unit_of(x: Array, axis: int | tuple[int, ...] | None = None) -> Array:
    """The largest size of x along axes, which stay with length 1; 1 where all are 0.

    In this unit no square overflows, and none that counts vanishes. It has no gradient.
    """
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(x), axis, keepdims=True, initial=0))
    # XLA multiplies by the reciprocal, which would vanish for the very largest numbers.
    return jnp.where(largest > 0, jnp.minimum(largest, jnp.finfo(x.dtype).max / 64), 1)


def norm(x: Array, axis: int | None = None) -> Array:
    """``sqrt(sum x^2)`` along an axis or over all of them, in float32 at least; its gradient at 0 is 0.

    x is divided by its largest entry, ``unit_of``, before it is squared.

    >>> round(norm(jnp.array([3e20, 4e20])).item() / 1e20, 4)
    5.0
    """
    x = precise(x)
    unit = unit_of(x, axis)
    return jnp.squeeze(unit, axis) * safe_sqrt(jnp.sum(jnp.square(x / unit), axis))


def tree_norm(tree: Any) -> Array:
    """The ``norm`` of all entries of a pytree taken together, []; 0 of none."""
    norms = [norm(leaf) for leaf in jax.tree.leaves(tree)]
    return norm(jnp.stack(norms)) if norms else jnp.zeros(())


def mean_and_deviation(x: Array, counts: Array) -> tuple[Array, Array]:
    """Mean and standard deviation (1/N) [...] of the entries of x [M, ...] that count.

    The middle of their range comes off before anything is summed, so that neither how far they are
    from zero nor how many they are costs a digit. The deviation is exactly 0 where all are equal,
    and there the mean is that value; both are 0 where none counts. ``counts`` [M, ...] are bools,
    and entries that do not count may be NaN. In float32 at least. Source: Chan, Golub and LeVeque
    (1983).

    >>> mean_and_deviation(jnp.array([1e8, 1e8 + 16]), jnp.array([True, True]))[1].item()
    8.0
    """
    x = precise(x)
    n = jnp.maximum(jnp.sum(counts, axis=0), 1).astype(x.dtype)
    low = jnp.min(jnp.where(counts, x, jnp.inf), axis=0)
    high = jnp.max(jnp.where(counts, x, -jnp.inf), axis=0)
    middle = jax.lax.stop_gradient(jnp.where(jnp.any(counts, axis=0), low / 2 + high / 2, 0))
    mean = middle + jnp.sum((jnp.where(counts, x, middle) - middle) / n, axis=0)
    deviation = jnp.where(counts, x, mean) - mean
    rest = jnp.sum(deviation / n, axis=0)  # what the rounded mean and sum left over
    deviation = jnp.where(counts, deviation - rest, 0)
    return mean + rest, norm(deviation, axis=0) / jnp.sqrt(n)


def rows_of(mask: Array | None, n: int) -> Array:
    """The mask [N] as booleans, all True for None. Raises a ValueError for another shape."""
    mask = jnp.ones(n, bool) if mask is None else jnp.asarray(mask, bool)
    if mask.shape != (n,):
        raise ValueError(f"mask must be [{n}], one entry a row; got {mask.shape}")
    return mask


def counting(mask: Array | None, weight: Array | None) -> Array | None:
    """The rows [B] that count: those of the mask whose weight is not 0; None is all."""
    if weight is None:
        return mask
    return (weight > 0) if mask is None else mask & (weight > 0)


def counted(values: Array, mask: Array | None) -> Array:
    """values [N, ...] with zeros in the rows that do not count, whatever these held."""
    if mask is None:
        return values
    return jnp.where(spread(mask, values), values, 0)


def spread(mask: Array, values: Array) -> Array:
    """The mask [N] with an axis of length 1 for each further axis of values [N, ...]."""
    return jnp.asarray(mask, bool).reshape(-1, *(1,) * (values.ndim - 1))


@overload
def spread_mask(mask: Array, x: Array) -> Array: ...
@overload
def spread_mask(mask: None, x: Array) -> None: ...
def spread_mask(mask: Array | None, x: Array) -> Array | None:
    """A mask of x's leading axes as bools with an axis of size 1 for each further one of x.

    Raises ValueError where its shape is not that of leading axes, at least one, without the last.
    """
    if mask is None:
        return None
    mask = jnp.asarray(mask)
    if not 1 <= mask.ndim < x.ndim or mask.shape != x.shape[: mask.ndim]:
        raise ValueError(
            f"the mask has leading axes of x {list(x.shape)} without the features, "
            f"not {list(mask.shape)}"
        )
    return (mask != 0).reshape(*mask.shape, *(1,) * (x.ndim - mask.ndim))


def masked_mean(values: Array, mask: Array | None = None, weight: Array | None = None) -> Array:
    """Mean of values [B] over the rows that count: sum_n m_n w_n v_n / sum_n m_n w_n; 0 if none does.

    The weight [B] of a row is 1 by default, and one of weight 0 does not count; the unit of weights
    plays no part. A row that does not count may hold anything, NaN included. Whole numbers and
    bools, as of right answers, become floats. 16 bits are summed in 32.

    >>> masked_mean(jnp.array([1.0, 3.0, jnp.nan]), weight=jnp.array([1, 3, 0])).item()
    2.5
    """
    values = floating(values)
    if weight is not None:
        rows = counting(mask, weight)
        weight = counted(precise(weight), rows)
        # A power of two, so that no digit of a weight is lost.
        unit = jax.lax.reduce_precision(unit_of(weight), jnp.finfo(weight.dtype).nexp, 0)
        weight = weight / unit
        total = jnp.sum(weight * counted(precise(values), rows))
        return safe_divide(total, jnp.sum(weight)).astype(values.dtype)
    if mask is None:
        return jnp.mean(values)
    total = jnp.sum(counted(precise(values), mask))
    return (total / jnp.maximum(jnp.sum(mask), 1)).astype(values.dtype)
