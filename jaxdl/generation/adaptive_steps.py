"""Ordinary differential equations by steps whose length follows the error: Dormand-Prince 5(4)."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxdl.arrays import floating
from jaxdl.base import Array
from jaxdl.checks import positive_int

# k_i = v(x + h sum_j A_ij k_j, t + C_i h); the last row is the solution of fifth order, and E are
# its weights less those of fourth order.
_C = np.array([0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1, 1])
_A = np.zeros((7, 7))
_A[1, :1] = 1 / 5
_A[2, :2] = 3 / 40, 9 / 40
_A[3, :3] = 44 / 45, -56 / 15, 32 / 9
_A[4, :4] = 19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729
_A[5, :5] = 9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656
_A[6, :6] = 35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84
_E = np.array([71 / 57600, 0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40])
_SAFETY, _LEAST, _MOST = 0.9, 0.2, 10.0


class Tolerance(NamedTuple):
    """How large the error of one step may be: ``absolute + relative * |x|`` for each number.

    Both may be traced. ``max_steps`` bounds the steps that are tried. What rounding alone exceeds
    (``relative`` under 1e-6 in float32, say) is reached by no step.
    """

    relative: float | Array = 1e-5
    absolute: float | Array = 1e-6
    max_steps: int = 1000


class Solution(NamedTuple):
    """x at the end, NaN unless ``converged`` [] bool; how many steps were taken, and how many tried
    in vain, [] each."""

    x: Any
    converged: Array
    steps: Array
    rejected: Array


class _Progress(NamedTuple):
    t: Array
    x: Array  # [N, F], as is slope
    slope: Array
    h: Array  # of the next step, positive
    again: Array  # whether the last was in vain
    arrived: Array
    steps: Array
    rejected: Array


def integrate_adaptively(
    velocity: Callable[[Any, Array], Any],
    x: Any,
    *,
    start: float | Array = 0.0,
    end: float | Array = 1.0,
    tolerance: Tolerance | None = None,
) -> Solution:
    """x(``end``) of ``dx/dt = v(x, t)`` from x at ``start``, each step as long as its error allows.

    Six calls of v a step give the result of fifth order and one of fourth; their difference e is
    the error. A step counts if no row has ``sqrt(mean (e / (atol + rtol max(|x|, |x'|)))^2)`` of 1 or
    more; the next is ``0.9 error^(-1/5)`` times as long, a fifth at least and ten times at most.
    All is one loop, which may be compiled and mapped. Gradients go through it forwards
    (``jax.jvp``), not backwards: for these take ``integrate`` with its fixed steps.
    Sources: Dormand and Prince (1980); Hairer et al. (1993), §II.4, for the first step.

    Args:
      velocity: v, ``(x, t []) -> dx/dt`` of x's structure and shapes.
      x: a pytree of arrays [N, ...]. All rows take the same steps, so that each is as exact as was
        asked. Under ``vmap`` each member has its own.
      start, end: may be traced; ``end`` below ``start`` goes back.
      tolerance: default ``Tolerance()``.

    Returns a ``Solution``. Where ``max_steps`` do not suffice, or v is not finite, so that no step is
    short enough, x is NaN and ``converged`` False. Raises ValueError for ``max_steps`` under 1.

    >>> found = integrate_adaptively(lambda x, t: -x, jnp.ones((1, 1)))
    >>> round(found.x.item(), 4), found.converged.item()
    (0.3679, True)
    """
    rtol, atol, max_steps = Tolerance() if tolerance is None else tolerance
    max_steps = positive_int("max_steps", max_steps)
    leaves, tree = jax.tree.flatten(jax.tree.map(floating, x))
    flat = jnp.concatenate([leaf.reshape(len(leaf), -1) for leaf in leaves], axis=1)
    start, end = (jnp.asarray(t, flat.dtype) for t in (start, end))
    direction = jnp.where(end < start, -1, 1).astype(flat.dtype)
    a, c, e = (jnp.asarray(table, flat.dtype) for table in (_A, _C, _E))
    ends = np.cumsum([leaf.size // max(len(leaf), 1) for leaf in leaves])[:-1]

    def shaped(flat):
        parts = jnp.split(flat, ends, axis=1)
        parts = [part.reshape(leaf.shape) for part, leaf in zip(parts, leaves, strict=True)]
        return jax.tree.unflatten(tree, parts)

    def slope_at(flat, t):
        parts = jax.tree.leaves(velocity(shaped(flat), t))
        parts = [part.reshape(len(flat), -1) for part in parts]
        return jnp.concatenate(parts, axis=1).astype(flat.dtype)

    def size(values, scale):
        # Derivatives are those of the steps that were taken, not of how long they came to be.
        values = lax.stop_gradient(values / scale)
        return jnp.max(jnp.sqrt(jnp.mean(jnp.square(values), axis=1)))

    def first_step(slope):
        """As long as a step of Euler's method changes the slope by little."""
        scale = atol + rtol * jnp.abs(flat)
        d0, d1 = size(flat, scale), size(slope, scale)
        tiny = (d0 < 1e-5) | (d1 < 1e-5)
        guess = jnp.where(tiny, 1e-6, 0.01 * d0 / jnp.where(tiny, 1, d1))
        guess = jnp.minimum(guess, jnp.abs(end - start))
        guess = jnp.where(guess > 0, guess, 1)  # of an empty way
        later = slope_at(flat + direction * guess * slope, start + direction * guess)
        steepest = jnp.maximum(d1, size(later - slope, scale) / guess)
        h = jnp.power(0.01 / jnp.maximum(steepest, 1e-15), 0.2)
        h = jnp.where(steepest <= 1e-15, jnp.maximum(1e-6, 1e-3 * guess), h)
        return jnp.minimum(jnp.minimum(100 * guess, h), jnp.abs(end - start))

    def goes_on(p):
        moves = (
            jnp.abs(p.t + direction * p.h - p.t) > 0
        )  # not of a step that rounds to none, or NaN
        return ~p.arrived & moves & (p.steps + p.rejected < max_steps)

    def step(p):
        t = p.t + direction * p.h
        last = direction * (t - end) >= 0
        t = jnp.where(last, end, t)
        h = t - p.t

        def stage(i, k):
            return k.at[i].set(slope_at(p.x + h * jnp.tensordot(a[i], k, 1), p.t + c[i] * h))

        k = lax.fori_loop(1, 7, stage, jnp.zeros((7, *flat.shape), flat.dtype).at[0].set(p.slope))
        x = p.x + h * jnp.tensordot(a[6], k, 1)
        scale = atol + rtol * jnp.maximum(jnp.abs(p.x), jnp.abs(x))
        error = size(h * jnp.tensordot(e, k, 1), scale)
        good = error < 1
        longer = _SAFETY * jnp.power(jnp.maximum(error, 1e-10), -0.2)
        longer = jnp.clip(jnp.where(jnp.isnan(longer), 0, longer), _LEAST, _MOST)
        longer = jnp.where(good & p.again, jnp.minimum(longer, 1), longer)
        return _Progress(
            jnp.where(good, t, p.t),
            jnp.where(good, x, p.x),
            jnp.where(good, k[6], p.slope),
            jnp.abs(h) * longer,
            ~good,
            good & last,
            p.steps + good,
            p.rejected + ~good,
        )

    slope, none = slope_at(flat, start), jnp.zeros((), jnp.int32)
    begun = _Progress(
        start, flat, slope, first_step(slope), jnp.array(False), start == end, none, none
    )
    p = lax.while_loop(goes_on, step, begun)
    return Solution(shaped(jnp.where(p.arrived, p.x, jnp.nan)), p.arrived, p.steps, p.rejected)
