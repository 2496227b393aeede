"""Divergences, entropies and Monte Carlo expectations. Notes: §1.3.

Functions of two general distributions take either probabilities p, q [..., K] over K values, or,
with ``rule=(nodes, weights)`` (see `quadrature.rule`), log-density functions that map the nodes
[S] to [..., S] and are integrated. Results are in nats; ``base=2`` gives bits (D-4).

Probabilities sum to one, so ``sum_k p_k log(p_k/q_k)`` is also the sum of ``p_k log(p_k/q_k) - p_k
+ q_k``. Of these none is negative, and no divergence that is made of them.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp

from jaxdl import special
from jaxdl.arrays import floating
from jaxdl.base import Array
from jaxdl.checks import one_of

Distribution = Array | Callable

Rule = tuple[Array, Array]


def kl_divergence(
    p: Distribution, q: Distribution, *, rule: Rule | None = None, base: float | None = None
) -> Array:
    """``KLD[p || q] = E_p[log p/q] = sum_k p_k log(p_k / q_k)``, or the integral.

    p, q: probabilities [..., K], or log-densities under a ``rule`` -> [...]. Terms with p = 0
    count nothing; mass of p where q has none makes it infinite. Not symmetric. Of probabilities
    it is never negative, and its slope in q is ``1 - p/q``, which along the simplex is ``-p/q``.
    ValueError where the shapes of p and q differ. Notes: L140, L144, §1.3.

    >>> half, skew = jnp.array([0.5, 0.5]), jnp.array([0.25, 0.75])
    >>> kl_divergence(half, skew, base=2).round(4) == 0.2075
    Array(True, dtype=bool)
    """
    log_p, log_q, weights = _log_values(p, q, rule)
    if rule is None:
        return in_base(jnp.sum(special.divergence_term(*map(floating, (p, q))), axis=-1), base)
    return in_base(_expectation(log_p, log_p, log_q, weights), base)


def cross_entropy(
    p: Distribution, q: Distribution, *, rule: Rule | None = None, base: float | None = None
) -> Array:
    """``H[p, q] = -E_p[log q] = KLD[p || q] + H[p]``; arguments as `kl_divergence`.

    Minimised over q it does what the divergence does. Notes: Eq. (7), (8), §1.5.
    """
    log_p, log_q, weights = _log_values(p, q, rule)
    return in_base(_expectation(log_p, jnp.zeros_like(log_p), log_q, weights), base)


def entropy(p: Distribution, *, rule: Rule | None = None, base: float | None = None) -> Array:
    """``H[p] = -E_p[log p]``, differential under a ``rule``; p as in `kl_divergence`.

    Notes: Eq. (7).

    >>> entropy(jnp.full(8, 1 / 8), base=2).round(4).item()
    3.0
    """
    return cross_entropy(p, p, rule=rule, base=base)


def squared_hellinger(p: Distribution, q: Distribution, *, rule: Rule | None = None) -> Array:
    """``H^2[p, q] = 1 - int sqrt(p q) = int (sqrt p - sqrt q)^2 / 2``. Notes: L148, §1.3.

    The second form (both integrate to one) is not spoilt by cancellation. Symmetric, in [0, 1];
    arguments as `kl_divergence`.
    """
    log_p, log_q, weights = _log_values(p, q, rule)
    roots = jnp.exp(log_p / 2) - jnp.exp(log_q / 2)
    return jnp.sum(weights * jnp.square(roots), axis=-1) / 2


class Generator(NamedTuple):
    """What makes an f-divergence.

    f: convex, elementwise on t = p/q >= 0, with f(1) = 0 and f(0) finite. Of those that differ by
      c (t - 1), which integrates to 0, take the one with slope 0 at 1: it is nowhere negative.
    slope: ``lim f(t)/t`` as t -> inf: what p's mass costs where q has none.
    """

    f: Callable
    slope: float


def _jensen_shannon(t):
    middle = (1 + t) / 2
    return (
        special.divergence_term(t, middle) + special.divergence_term(jnp.ones_like(t), middle)
    ) / 2


GENERATORS = {
    "kl": Generator(lambda t: special.divergence_term(t, jnp.ones_like(t)), jnp.inf),
    "squared_hellinger": Generator(lambda t: jnp.square(jnp.sqrt(t) - 1) / 2, 0.5),
    "total_variation": Generator(lambda t: jnp.abs(t - 1) / 2, 0.5),
    "chi_squared": Generator(lambda t: jnp.square(t - 1), jnp.inf),
    "jensen_shannon": Generator(_jensen_shannon, 0.34657359027997264),
}


def f_divergence(
    generator: str | Generator, p: Distribution, q: Distribution, *, rule: Rule | None = None
) -> Array:
    """``D_f[p || q] = E_q[f(p/q)]``, in nats where f has a logarithm. Notes: §1.3.

    Args:
      generator: a name of `GENERATORS` (kl, squared_hellinger, total_variation, chi_squared,
        jensen_shannon) or your own `Generator`; ValueError for any other name.
      p, q, rule: as for `kl_divergence`. Ratios p/q are told apart up to exp(39) in float32
        and exp(319) in float64.

    >>> f_divergence("total_variation", jnp.array([1.0, 0.0]), jnp.array([0.0, 1.0])).item()
    1.0
    """
    if isinstance(generator, str):
        one_of("generator", generator, GENERATORS)
        generator = GENERATORS[generator]
    log_p, log_q, weights = _log_values(p, q, rule)
    no_p, no_q = jnp.isneginf(log_p), jnp.isneginf(log_q)
    p_alone = no_q & ~no_p
    bound = 0.45 * math.log(float(jnp.finfo(log_p.dtype).max))
    log_ratio = jnp.where(no_p | no_q, -bound, log_p) - jnp.where(no_p | no_q, 0, log_q)
    log_ratio = jnp.clip(log_ratio, -bound, bound)
    t = jnp.exp(log_ratio)
    # q f(t), or p f(t) / t where p is the larger and q may have underflowed
    mass = jnp.where(log_ratio > 0, jnp.exp(log_p) / t, jnp.exp(log_q))
    terms = jnp.where(no_q, 0, mass * generator.f(t))
    terms = jnp.where(p_alone, jnp.where(p_alone, jnp.exp(log_p), 1) * generator.slope, terms)
    return jnp.sum(weights * terms, axis=-1)


def expected_kl(
    p_x: Array,
    p: Distribution,
    q: Distribution,
    *,
    rule: Rule | None = None,
    base: float | None = None,
) -> Array:
    """``E_x KLD[p(y|x) || q(y|x)] = sum_m p_x(m) KLD[p_m || q_m]`` over M values of x.

    p_x: probabilities [M]; p, q: probabilities [M, K], or log-densities of the nodes [M, S] under
    a ``rule``. What maximum likelihood minimises. Notes: L170, Eq. (8), §1.3.
    """
    p_x, divergence = jnp.asarray(p_x), kl_divergence(p, q, rule=rule, base=base)
    if p_x.shape != divergence.shape:
        raise ValueError(f"p_x {p_x.shape} must have one value for each of {divergence.shape}")
    return jnp.sum(p_x * divergence, axis=-1)


def floats(*arrays):
    """The arrays as floats of one shape."""
    return jnp.broadcast_arrays(*(floating(a) for a in arrays))


def in_base(nats, base):
    """``nats / log(base)``, in the shape of ``nats`` [...]; None leaves them.

    >>> in_base(jnp.log(jnp.array([2.0, 8.0])), 2.0).round(4).tolist()
    [1.0, 3.0]
    """
    return nats if base is None else nats / jnp.log(jnp.asarray(base, nats.dtype))


def _log_values(p, q, rule):
    """log p and log q [..., K] at the points, and the points' weights."""
    if rule is None:
        if any(map(callable, (p, q))):
            raise ValueError("log-density functions need rule=(nodes, weights)")
        log_p, log_q, weights = _safe_log(p), _safe_log(q), 1
    else:
        if not all(map(callable, (p, q))):
            raise ValueError("with a rule, p and q must be log-density functions of the nodes")
        nodes, weights = rule
        log_p, log_q = p(nodes), q(nodes)
    if log_p.shape != log_q.shape:
        raise ValueError(f"p and q must have one shape, not {log_p.shape} and {log_q.shape}")
    return log_p, log_q, weights


def _safe_log(p):
    (p,) = floats(p)
    return jnp.where(p > 0, jnp.log(jnp.where(p > 0, p, 1)), -jnp.inf)


def _expectation(log_p, a, b, weights):
    """``E_p[a - b]``, where points without p count nothing."""
    has_p = ~jnp.isneginf(log_p)
    difference = jnp.where(has_p, a, 0) - jnp.where(has_p, b, 0)
    return jnp.sum(weights * jnp.exp(log_p) * difference, axis=-1)
