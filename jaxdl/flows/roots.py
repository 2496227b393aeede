"""Roots of increasing functions, element by element, with their gradients."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxdl.base import Array


def increasing_root(f: Callable, low: Array, high: Array) -> Array:
    """x with ``f(x) = 0`` in [low, high], by bisection in one loop of fixed length.

    ``f`` maps [...] to [...], each element by itself, and increases strictly; the bounds have one
    shape [...]. Gradients are those of the implicit function theorem, not of the loop, and reach
    whatever f closes over.

    >>> increasing_root(lambda x: x**3 - 8, jnp.array(0.0), jnp.array(5.0)).round(4).item()
    2.0
    """
    steps = jnp.finfo(low.dtype).nmant + 16

    def solve(f, middle):
        def halve(_, ends):
            low, high = ends
            middle = 0.5 * low + 0.5 * high
            below = f(middle) < 0
            return jnp.where(below, middle, low), jnp.where(below, high, middle)

        low_end, high_end = jax.lax.fori_loop(0, steps, halve, bounds)
        return 0.5 * low_end + 0.5 * high_end

    # The slope of a function of single elements is a diagonal: dividing by it inverts it.
    divide = lambda slope, y: y / slope(jnp.ones_like(y))
    bounds = jax.lax.stop_gradient((low, high))
    return jax.lax.custom_root(f, 0.5 * (bounds[0] + bounds[1]), solve, divide)
