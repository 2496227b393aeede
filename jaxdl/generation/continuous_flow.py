"""Flows in continuous time: ``dx/dt = v(x, t)`` from noise at t = 0 to data at t = 1. Notes: §9.4."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from jaxdl.base import Array, Key
from jaxdl.checks import positive_int

Velocity = Callable[[Array, Array], Array]


def integrate(
    velocity: Velocity, x: Array, *, start: float = 0.0, end: float = 1.0, steps: int = 50
) -> Array:
    """x(``end``) of ``dx/dt = v(x, t)`` from x [N, ...] at ``start``, by Heun's method.

    ``x' = x + h v(x, t)``, then ``x + h/2 (v(x, t) + v(x', t + h))``: errors fall as h^2, with two
    calls of ``velocity`` ``(x [N, ...], t []) -> [N, ...]`` a step, in one loop. ``end`` below
    ``start`` goes back. Source: Heun (1900).

    >>> round(integrate(lambda x, t: -x, jnp.ones((1, 1)), steps=100).item(), 4)
    0.3679
    """
    steps = positive_int("steps", steps)
    h = (end - start) / steps

    def step(x, i):
        t = start + i * h
        slope = velocity(x, t)
        return x + h / 2 * (slope + velocity(x + h * slope, t + h)), None

    return lax.scan(step, x, jnp.arange(steps))[0]


def continuous_flow_log_prob(
    velocity: Velocity, x: Array, *, steps: int = 50, key: Key | None = None
) -> Array:
    """``log p(x) = log N(z; 0, I) - int_0^1 div v(x(t), t) dt`` [N], with z = x(0) on the way back.

    The divergence is exact, D directional derivatives for x [N, D]; with a ``key`` it is Hutchinson's
    estimate ``e' (dv/dx) e`` with one e of signs for each example, which is unbiased and costs one.
    Steps and method are those of ``integrate``. Raises ValueError unless x is [N, D].
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
        x, _ = both
        at = lambda x: velocity(x, t)
        v = at(x)
        along = lambda e: jnp.sum(e * jax.jvp(at, (x,), (e,))[1], axis=1)
        return v, jnp.sum(jax.vmap(along)(directions), axis=0)

    steps = positive_int("steps", steps)
    h = -1.0 / steps
    move = lambda both, slope, h: jax.tree.map(lambda a, b: a + h * b, both, slope)

    def step(both, i):
        t = 1 + i * h
        first = joint(both, t)
        second = joint(move(both, first, h), t + h)
        return move(move(both, first, h / 2), second, h / 2), None

    (z, change), _ = lax.scan(step, (x, jnp.zeros(len(x), x.dtype)), jnp.arange(steps))
    return jnp.sum(jax.scipy.stats.norm.logpdf(z), axis=1) + change
