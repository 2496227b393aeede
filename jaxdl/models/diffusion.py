"""Denoising diffusion: noise added step by step, and what it takes to go back. Notes: §9.3.

Steps are t = 1, ..., T; arrays over steps are [T] with step t at index t - 1. With alpha-bar_0 = 1,
``x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) epsilon``. The notes leave the section blank (E-60); this
is the form of Ho et al. (2020).
"""

import math
from typing import NamedTuple

import jax.numpy as jnp

from jaxdl.base import Array
from jaxdl.checks import one_of, positive_int

TARGETS = ("epsilon", "x0", "v")


class NoiseSchedule(NamedTuple):
    """beta: [T], the variance added in each step. log_alpha_bar: [T], ``sum_{s<=t} log(1 - beta_s)``."""

    beta: Array
    log_alpha_bar: Array


class Scales(NamedTuple):
    """How much of a noisy example is signal, ``sqrt(abar_t)``, and how much noise, ``sqrt(1 - abar_t)``."""

    signal: Array
    noise: Array


def linear_schedule(
    steps: int = 1000, *, first: float | Array | None = None, last: float | Array | None = None
) -> NoiseSchedule:
    """``beta_t`` from ``first`` to ``last`` in equal steps; default 0.1 / T and 20 / T.

    T = ``steps``; for T = 1000 these are the paper's 1e-4 and 0.02. Both may be traced.
    Source: Ho et al. (2020).

    >>> schedule = linear_schedule(1000)
    >>> [round(float(beta), 6) for beta in schedule.beta[jnp.array([0, 999])]]
    [0.0001, 0.02]
    """
    steps = positive_int("steps", steps)
    first = 0.1 / steps if first is None else first
    last = min(20 / steps, 0.999) if last is None else last
    return _schedule(jnp.linspace(first, last, steps))


def cosine_schedule(
    steps: int = 1000, *, offset: float | Array = 0.008, largest: float | Array = 0.999
) -> NoiseSchedule:
    """``abar_t = f(t) / f(0)`` with ``f(t) = cos((t / T + s) / (1 + s) pi / 2)^2``, s = ``offset``.

    ``beta_t = 1 - f(t) / f(t - 1)``, at most ``largest``, is computed as ``2 sin(m) cos(m) sin(b - a) /
    cos(a)^2`` of the two angles a < b and their middle m, for a difference of two cosines would lose
    the first steps in float32; cosines are sines of what is left to pi / 2, for the last.
    Source: Nichol and Dhariwal (2021).

    >>> round(float(jnp.exp(cosine_schedule(4).log_alpha_bar[1])), 4)
    0.4938
    """
    steps = positive_int("steps", steps)
    quarter = math.pi / 2 / (1 + offset)
    cosine = lambda t: jnp.sin((steps - t) / steps * quarter)
    before, middle = jnp.arange(steps), jnp.arange(steps) + 0.5
    sines = jnp.sin((middle / steps + offset) * quarter) * jnp.sin(quarter / steps)
    beta = 2 * sines * cosine(middle) / jnp.square(cosine(before))
    return _schedule(jnp.minimum(beta, largest))


def scales(schedule: NoiseSchedule, t: Array) -> Scales:
    """Signal and noise after ``t`` steps, from 0 to T, of any shape; (1, 0) at t = 0.

    Whole numbers are steps of the chain. Real ones lie between: log abar is linear there, which is the
    process ``dx = -b/2 x dt + sqrt(b) dw`` of the rate ``b(t) = -log(1 - beta_k)`` for k - 1 < t <= k
    (the variance-preserving SDE of Song et al., 2021). At whole t it has just the chain's
    ``q(x_t | x_0)``.

    >>> schedule = linear_schedule(4)
    >>> [round(s.item() ** 2, 6) for s in scales(schedule, jnp.array(0.5))]
    [0.987421, 0.012579]
    >>> round((1 - schedule.beta[0].item()) ** 0.5, 6)
    0.987421
    """
    log_alpha_bar = jnp.concatenate([jnp.zeros(1), schedule.log_alpha_bar])
    if jnp.issubdtype(jnp.result_type(t), jnp.floating):
        before = jnp.clip(jnp.floor(t), 0, len(schedule.beta) - 1).astype(jnp.int32)
        share = t - before
        log_alpha_bar = (1 - share) * log_alpha_bar[before] + share * log_alpha_bar[before + 1]
    else:
        log_alpha_bar = log_alpha_bar[t]
    return Scales(jnp.exp(0.5 * log_alpha_bar), jnp.sqrt(-jnp.expm1(log_alpha_bar)))


def angle(schedule: NoiseSchedule, t: Array) -> Array:
    """phi with ``x_t = cos(phi) x_0 + sin(phi) epsilon``: the arc tangent of noise over signal, [...].

    It grows from 0 at t = 0 to just under pi / 2 at T. Source: Salimans and Ho (2022).
    """
    signal, noise = scales(schedule, t)
    return jnp.arctan2(noise, signal)


def time_of_angle(schedule: NoiseSchedule, phi: Array) -> Array:
    """The t, real and from 0 to T, whose ``angle`` is phi [...]: where ``log abar = 2 log cos(phi)``.

    >>> schedule = linear_schedule(4)
    >>> time_of_angle(schedule, angle(schedule, jnp.array([0.5, 3.0]))).round(4).tolist()
    [0.5, 3.0]
    """
    fallen = jnp.concatenate([jnp.zeros(1), -schedule.log_alpha_bar])
    # Near 0 the sine has all digits of the angle, and near pi / 2 the cosine.
    small = -jnp.log1p(-jnp.square(jnp.sin(jnp.minimum(phi, 1.0))))
    large = -2 * jnp.log(jnp.maximum(jnp.cos(phi), jnp.finfo(fallen.dtype).tiny))
    return jnp.interp(
        jnp.where(phi < 1, small, large), fallen, jnp.arange(len(fallen), dtype=fallen.dtype)
    )


def diffuse(schedule: NoiseSchedule, x0: Array, t: Array, noise: Array) -> Array:
    """``x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) epsilon`` for x_0 and epsilon [N, ...], t [N].

    >>> schedule = linear_schedule(10)
    >>> diffuse(schedule, jnp.ones((1, 2)), jnp.array([0]), jnp.ones((1, 2))).tolist()
    [[1.0, 1.0]]
    """
    signal, sigma = (_spread(s, x0) for s in scales(schedule, t))
    return signal * x0 + sigma * noise


def regression_target(
    schedule: NoiseSchedule, x0: Array, t: Array, noise: Array, target: str = "epsilon"
) -> Array:
    """What a network learns to say: epsilon, x_0, or ``v = sqrt(abar) epsilon - sqrt(1 - abar) x_0``.

    Source of v: Salimans and Ho (2022). Raises ValueError for another name.
    """
    one_of("target", target, TARGETS)
    if target == "epsilon":
        return noise
    if target == "x0":
        return x0
    signal, sigma = (_spread(s, x0) for s in scales(schedule, t))
    return signal * noise - sigma * x0


def predicted_x0(
    schedule: NoiseSchedule, x_t: Array, t: Array, output: Array, target: str = "epsilon"
) -> Array:
    """The x_0 that a network's ``output`` means: of epsilon ``(x_t - sqrt(1 - abar) output) / sqrt(abar)``.

    Of v it is ``sqrt(abar) x_t - sqrt(1 - abar) v``. Raises ValueError for another target.
    """
    one_of("target", target, TARGETS)
    if target == "x0":
        return output
    signal, sigma = (_spread(s, x_t) for s in scales(schedule, t))
    if target == "v":
        return signal * x_t - sigma * output
    return (x_t - sigma * output) / signal


def posterior(schedule: NoiseSchedule, x_t: Array, x0: Array, t: Array) -> tuple[Array, Array]:
    """Mean and variance of ``q(x_{t-1} | x_t, x_0)``, for t [N] from 1 to T.

    ``mean = (sqrt(abar_{t-1}) beta_t x_0 + sqrt(1 - beta_t) (1 - abar_{t-1}) x_t) / (1 - abar_t)``,
    ``variance = beta_t (1 - abar_{t-1}) / (1 - abar_t)``, 0 at t = 1. Source: Ho et al. (2020).
    """
    beta = _spread(schedule.beta[t - 1], x_t)
    now, before = scales(schedule, t), scales(schedule, t - 1)
    total, left = (_spread(jnp.square(s.noise), x_t) for s in (now, before))
    mean = _spread(before.signal, x_t) * beta * x0 + jnp.sqrt(1 - beta) * left * x_t
    return mean / total, beta * left / total


def _schedule(beta):
    return NoiseSchedule(beta, jnp.cumsum(jnp.log1p(-beta)))


def _spread(values, x):
    """values [N] with an axis of length 1 for each further axis of x [N, ...]."""
    return values.reshape(*values.shape, *(1,) * (x.ndim - values.ndim))
