"""Features that need no fitting: the constant one, label encodings. Notes: §2.1, §2.3."""

import jax.numpy as jnp

from jaxdl.base import Array
from jaxdl.checks import one_of


def append_ones(x: Array, position: str = "first") -> Array:
    """``[1, x]`` or ``[x, 1]``: x [..., D] -> [..., D+1], so that the offset is a weight.

    Notes: L333, §2.1 ("first" is the notes' order). ValueError for any other ``position``.

    >>> append_ones(jnp.array([[2.0, 3.0]])).tolist()
    [[1.0, 2.0, 3.0]]
    """
    x = jnp.asarray(x)
    if x.ndim == 0:
        raise ValueError("x must be [..., D], not a scalar")
    ones = jnp.ones((*x.shape[:-1], 1), x.dtype)
    one_of("position", position, ("first", "last"))
    return jnp.concatenate([ones, x] if position == "first" else [x, ones], axis=-1)


def one_hot(y: Array, num_classes: int) -> Array:
    """Rows ``[y = 0, ..., y = K-1]``: integer classes y [...] -> floats [..., K]. Notes: §2.3.

    A class outside 0..K-1 gives zeros. ValueError where y is not of an integer dtype.

    >>> one_hot(jnp.array([1, 0]), 3).tolist()
    [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]
    """
    y = _integers(y)
    return (y[..., None] == jnp.arange(num_classes)).astype(float)


def from_one_based(y: Array) -> Array:
    """Classes 1..K of the notes as 0..K-1 of this library: ``y - 1`` for integers y [...].

    Notes: §3.1.2 (D-29). ValueError where y is not of an integer dtype.

    >>> from_one_based(jnp.array([1, 3])).tolist()
    [0, 2]
    """
    return _integers(y) - 1


def _integers(y):
    y = jnp.asarray(y)
    if not jnp.issubdtype(y.dtype, jnp.integer) and y.dtype != jnp.bool_:
        raise ValueError(f"classes must be integers, not {y.dtype}")
    return y.astype(jnp.int32) if y.dtype == jnp.bool_ else y
