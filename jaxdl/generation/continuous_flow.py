"""Flows in continuous time: ``dx/dt = v(x, t)`` from noise at t = 0 to data at t = 1. Notes: §9.4."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxdl.base import Array, Key
from jaxdl.checks import positive_int
from jaxdl.generation.adaptive_steps import Tolerance, integrate_adaptively

Velocity = Callable[[Any, Array], Any]


def integrate(
    velocity: Velocity,
    x: Any,
    *,
    start: float | Array = 0.0,
    end: float | Array = 1.0,
    steps: int = 50,
    tolerance: Tolerance | None = None,
) -> Any:
    """x(``end``) of ``dx/dt = v(x, t)`` from x [N, ...] at ``start``, by Heun's method.

    ``x' = x + h v(x, t)``, then ``x + h/2 (v(x, t) + v(x', t + h))``: errors fall as h^2, with two
    calls of ``velocity`` ``(x [N, ...], t []) -> [N, ...]`` a step, in one loop. ``end`` below
    ``start`` goes back. x may be a pytree of such arrays. With a ``tolerance`` it is
    ``integrate_adaptively`` instead, and ``steps`` is not looked at; x is NaN then where the
    tolerance was not reached. Source: Heun (1900).

    >>> round(integrate(lambda x, t: -x, jnp.ones((1, 1)), steps=100).item(), 4)
    0.3679
    """
    if tolerance is not None:
        return integrate_adaptively(velocity, x, start=start, end=end, tolerance=tolerance).x
    steps = positive_int("steps", steps)
    h = (end - start) / steps
    move = lambda x, slope, h: jax.tree.map(lambda a, b: a + h * b, x, slope)

    def step(x, i):
        t = start + i * h
        first = velocity(x, t)
        second = velocity(move(x, first, h), t + h)
        return move(move(x, first, h / 2), second, h / 2), None

    return lax.scan(step, x, jnp.arange(steps))[0]


def continuous_flow_log_prob(
    velocity: Velocity,
    x: Array,
    *,
    start: float | Array = 0.0,
    end: float | Array = 1.0,
    steps: int = 50,
    tolerance: Tolerance | None = None,
    key: Key | None = None,
) -> Array:
    """``log p(x) = log N(z; 0, I) - int_0^1 div v(x(t), t) dt`` [N], with z = x(0) on the way back.

    The divergence is exact, D directional derivatives for x [N, D]; with a ``key`` it is Hutchinson's
    estimate ``e' (dv/dx) e`` with one e of signs for each example, which is unbiased and costs one.
    Noise may be at another ``start`` than 0, and data at another ``end`` than 1. Steps, tolerance and
    method are those of ``integrate``. Raises ValueError unless x is [N, D].
    Sources: Chen et al. (2018); Grathwohl et al. (2019).

    >>> still = lambda x, t: jnp.zeros_like(x)
    >>> round(continuous_flow_log_prob(still, jnp.zeros((1, 1)), steps=1).item(), 4)
    -0.9189
    """
    if jnp.ndim(x) != 2:
        raise ValueError(f"log-densities are of x [N, D], not {list(jnp.shape(x))}")
    directions = jnp.eye(x.shape[1], dtype=x.dtype)[:, None] + jnp.zeros_like(x)
    if key is not None:
        directions = jax.random.rademacher(key, (1, *x.shape), x.dtype)

    def joint(both, t):
        at = lambda x: velocity(x, t)
        v, derivative = jax.linearize(at, both[0])
        along = lambda e: jnp.sum(e * derivative(e), axis=1)
        return v, jnp.sum(jax.vmap(along)(directions), axis=0)

    begun = x, jnp.zeros(len(x), x.dtype)
    z, change = integrate(joint, begun, start=end, end=start, steps=steps, tolerance=tolerance)
    return jnp.sum(jax.scipy.stats.norm.logpdf(z), axis=1) + change
