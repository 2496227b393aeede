"""What modules are called with, and rows that count in modules that know nothing of them."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.base import Array


def arrays(example: Any) -> Any:
    """An example's arrays as JAX's, zeros where it has their shapes only."""

    def made(leaf):
        shape_only = isinstance(leaf, jax.ShapeDtypeStruct)
        return jnp.asarray(np.zeros(leaf.shape, leaf.dtype) if shape_only else leaf)

    return jax.tree.map(made, example)


def filled(x: Any, mask: Array | None) -> Any:
    """x with zeros in the rows that do not count, in each of its arrays of floats [N, ...].

    Zero times a NaN would be NaN, in gradients too.
    """
    if mask is None:
        return x

    def fill(leaf):
        leaf = jnp.asarray(leaf)
        if not leaf.ndim or not jnp.issubdtype(leaf.dtype, jnp.inexact):
            return leaf
        return jnp.where(beside(mask, leaf), leaf, 0)

    return jax.tree.map(fill, x)


def beside(mask: Array, x: Array) -> Array:
    """The mask [N] with an axis of size 1 for each further one of x [N, ...].

    Raises a ValueError where x has another first axis: which of its rows count is not known then.
    """
    if x.shape[:1] != mask.shape:
        raise ValueError(
            f"{mask.shape[0]} rows may count or not, but an array {list(x.shape)} has other rows; "
            "give the mask to the module with sees_mask=True and a call that passes it on"
        )
    return (mask != 0).reshape(-1, *(1,) * (x.ndim - 1))


def same_structure(new: Any, old: Any) -> Any:
    """The new state. Raises a ValueError where a call has changed its shapes or names."""
    shapes = lambda tree: jax.tree.map(lambda leaf: (jnp.shape(leaf), leaf.dtype.name), tree)
    if shapes(new) != shapes(old):
        raise ValueError(
            f"the state of a module keeps its arrays while training; it was {shapes(old)}, a call "
            f"has made it {shapes(new)}"
        )
    return new
