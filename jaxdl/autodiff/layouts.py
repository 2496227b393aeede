"""Gradients as the notes lay them out."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxdl.base import Array


def row_gradient(fn: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """``x -> [d fn/d x_1, ..., d fn/d x_D]``, the gradient as a row of partials, [1, D].

    Everywhere else in jaxdl a gradient has the shape of what it belongs to, so that an update is
    ``w - alpha g`` (D-19); this is its transpose for x [D], the Jacobian of a function [D] -> [].
    Raises ValueError where x is not [D] or fn not a scalar. Notes: L356, §2.2.

    >>> row_gradient(lambda x: x[0] * x[1])(jnp.array([2.0, 3.0])).tolist()
    [[3.0, 2.0]]
    """

    def gradient(x):
        x = jnp.asarray(x)
        shape = jax.eval_shape(fn, x).shape
        if x.ndim != 1 or shape != ():
            raise ValueError(f"row_gradient is of functions [D] -> [], not {x.shape} -> {shape}")
        return jax.grad(fn)(x)[None, :]

    return gradient
