"""Functions of probabilities that keep their digits where the plain formula cancels.

A density of counts is a difference of large log-gammas, a divergence of distributions that are near
one of large logarithms, a tail the logarithm of what rounds to 1. Here such differences are taken
before anything is rounded. Gradients are as good as values, and finite where the value is.
"""

import math

import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln

from jaxdl.base import Array

_HALF_LOG_2PI = 0.9189385332046727
_STIRLING = (  # B_2k / (2k (2k - 1))
    1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156, -3617 / 122400,
)  # fmt: skip


def times_log(weight: Array, log_p: Array) -> Array:
    """``w log p``, [...], with 0 log 0 = 0; a finite gradient there too.

    >>> times_log(jnp.array([0.0, 2.0]), jnp.array([-jnp.inf, -1.0])).tolist()
    [0.0, -2.0]
    """
    return weight * jnp.where((weight == 0) & jnp.isneginf(log_p), 0, log_p)


def log_softmax(z: Array) -> Array:
    """``z_k - log sum_j exp z_j`` over the last axis of z [..., K], for the likeliest class too.

    With z_m the largest it is ``z_k - z_m - log1p(sum_{j /= m} exp(z_j - z_m))``: what all but one
    class have together is not lost in a sum with 1. A logit of -inf rules its class out, one of
    +inf the others. Notes: Eq. (18), D-95.

    >>> float(log_softmax(jnp.array([17.0, 0.0]))[0])  # doctest: +ELLIPSIS
    -4.139...e-08
    """
    top = jnp.max(z, axis=-1, keepdims=True)
    classes = jnp.arange(z.shape[-1])
    first = jnp.min(jnp.where(z == top, classes, len(classes)), axis=-1, keepdims=True)
    likeliest = classes == first
    top = jnp.sum(jnp.where(likeliest, z, 0), axis=-1, keepdims=True)
    below = jnp.where(likeliest, 0, z - top)
    others = jnp.sum(jnp.where(likeliest, 0, jnp.exp(below)), axis=-1, keepdims=True)
    return below - jnp.log1p(others)


def log1p_ratio(x: Array) -> Array:
    """``log(1 + x) / x - 1``, [...] for x > -1: 0 at 0, where it falls as ``-x/2``.

    For |x| < 1/2 by ``log(1 + x) = 2 artanh v`` with ``v = x / (2 + x)``.
    """
    near = jnp.abs(x) < 0.5
    small = jnp.where(near, x, 0)
    v = small / (2 + small)
    tail = jnp.zeros_like(v)  # artanh v = v + v^3 (1/3 + v^2/5 + v^4/7 + ...)
    for k in reversed(range(17 if jnp.finfo(v.dtype).bits == 64 else 8)):
        tail = 1 / (2 * k + 3) + jnp.square(v) * tail
    large = jnp.where(near, 1, x)
    return jnp.where(
        near, -v + 2 * jnp.square(v) * tail / (2 + small), jnp.log1p(large) / large - 1
    )


@jax.custom_jvp
def divergence_term(a: Array, b: Array) -> Array:
    """``a log(a/b) - a + b``, [...] for a, b >= 0: 0 where they are equal, never negative.

    Summed over the values of two distributions it is their Kullback-Leibler divergence, since a
    and b sum to the same. ``a = 0`` gives b, ``b = 0 < a`` infinity. Source: Loader (2000), whose
    D_0 times b it is.

    >>> round(float(divergence_term(jnp.float32(1e5), jnp.float32(1.001e5))), 5)
    0.04997
    """
    return _divergence_term(a, b, jnp.log(b))


@divergence_term.defjvp
def _(primals, tangents):
    """``log(a/b) da + (b - a)/b db``; where a is 0 nothing pulls it up, though the slope is -inf."""
    (a, b), (da, db) = primals, tangents
    some = a != 0
    positive = jnp.where(some, a, 1)
    near = some & (jnp.abs(b - a) < a / 2)
    log_ratio = jnp.where(
        near,
        -jnp.log1p(jnp.where(near, b - a, 0) / positive),
        jnp.log(positive) - jnp.log(jnp.where(near | ~some, 1, b)),
    )
    in_b = jnp.where(some, (b - a) / jnp.where(some, b, 1), 1)
    return divergence_term(a, b), jnp.where(some, log_ratio, 0) * da + in_b * db


def _divergence_term(a, b, log_b):
    some = a != 0
    positive = jnp.where(some, a, 1)
    near = some & (jnp.abs(b - a) < a / 2)
    gap = jnp.where(near, b - a, 0)
    far = positive * (jnp.log(positive) - jnp.where(some & ~near, log_b, 0)) - positive + b
    return jnp.where(near, -gap * log1p_ratio(gap / positive), jnp.where(some, far, b))


def log_divergence_term(log_a: Array, log_b: Array) -> Array:
    """``divergence_term`` of ``exp(log_a)`` and ``exp(log_b)``; -inf is the logarithm of 0."""
    a, b = jnp.exp(log_a), jnp.exp(log_b)
    some = a != 0
    ratio = jnp.where(some, log_b, 0) - jnp.where(some, log_a, 0)
    near = some & (jnp.abs(ratio) < 0.4)
    growth = jnp.expm1(jnp.where(near, ratio, 0))
    far = b - a - times_log(a, ratio)
    return jnp.where(near, -a * growth * log1p_ratio(growth), jnp.where(some, far, b))


def poisson_log_mass(y: Array, rate: Array, log_rate: Array | None = None) -> Array:
    """``y log r - r - log y!``, [...] for counts y and rates r; ``log_rate`` where r underflows.

    From y = 3 on (in float64 10) as ``-log(2 pi y)/2 - s(y) - (y log(y/r) - y + r)``, with s the error of
    Stirling's formula: no two terms are large. Source: Loader (2000).

    >>> round(float(poisson_log_mass(jnp.float32(1e7), jnp.float32(1e7))), 3)
    -8.978
    """
    log_rate = jnp.log(rate) if log_rate is None else log_rate
    least = _stirling_from(y)
    many = y >= least
    few = jnp.where(many, 0, y)
    plain = times_log(few, log_rate) - rate - gammaln(few + 1)
    y = jnp.where(many, y, least)
    log_rate = jnp.where(many, log_rate, math.log(least))
    apart = _divergence_term(y, jnp.where(many, rate, least), log_rate)
    return jnp.where(many, -jnp.log(y) / 2 - _HALF_LOG_2PI - stirling_error(y) - apart, plain)


def stirling_error(x: Array) -> Array:
    """``log Gamma(x) - (x - 1/2) log x + x - log(2 pi)/2 = 1/(12 x) - 1/(360 x^3) + ...``, [...].

    To 1e-9 from x = 3 on, to 1e-16 from 10 on: more than is left of log Gamma in either dtype.
    """
    total = jnp.zeros_like(x)
    for coefficient in reversed(_STIRLING):
        total = coefficient + total / jnp.square(x)
    return total / x


def log_gamma_step(x: Array) -> Array:
    """``log Gamma(x + 1/2) - log Gamma(x) - log(x)/2``, [...] for x > 0: about ``-1/(8 x)``.

    Its derivative is ``psi(x + 1/2) - psi(x) - 1/(2 x)``, about ``1/(8 x^2)``.
    """
    least = _stirling_from(x)
    far = x >= least
    large = jnp.where(far, x, least)
    series = log1p_ratio(0.5 / large) / 2 + stirling_error(large + 0.5) - stirling_error(large)
    small = jnp.where(far, 1, x)
    return jnp.where(far, series, gammaln(small + 0.5) - gammaln(small) - jnp.log(small) / 2)


def _stirling_from(x: Array) -> int:
    return 10 if jnp.finfo(x.dtype).bits == 64 else 3
