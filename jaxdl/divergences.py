"""Divergences, entropies and Monte Carlo expectations. Notes: §1.3.

Functions of two general distributions take either probabilities p, q [..., K] over K values, or,
with ``rule=(nodes, weights)`` (see `quadrature.rule`), log-density functions that map the nodes
[S] to [..., S] and are integrated. Results are in nats; ``base=2`` gives bits (D-4).
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import xlogy

from jaxdl.base import Array, Key

Distribution = Array | Callable
Rule = tuple[Array, Array]


def kl_divergence(
    p: Distribution, q: Distribution, *, rule: Rule | None = None, base: float | None = None
) -> Array:
    """``KLD[p || q] = E_p[log p/q] = sum_k p_k log(p_k / q_k)``, or the integral. Notes: §1.3.

    p, q: probabilities [..., K], or log-densities under a ``rule`` -> [...]. Terms with p = 0
    count nothing; mass of p where q has none makes it infinite. Not symmetric. ValueError where
    the shapes of p and q differ.

    >>> half, skew = jnp.array([0.5, 0.5]), jnp.array([0.25, 0.75])
    >>> kl_divergence(half, skew, base=2).round(4) == 0.2075
    Array(True, dtype=bool)
    """
    log_p, log_q, weights = _log_values(p, q, rule)
    return _in_base(_expectation(log_p, log_p, log_q, weights), base)


def cross_entropy(
    p: Distribution, q: Distribution, *, rule: Rule | None = None, base: float | None = None
) -> Array:
    """``H[p, q] = -E_p[log q] = KLD[p || q] + H[p]``; arguments as `kl_divergence`.

    Minimised over q it does what the divergence does. Notes: Eq. (7), (8), §1.5.
    """
    log_p, log_q, weights = _log_values(p, q, rule)
    return _in_base(_expectation(log_p, jnp.zeros_like(log_p), log_q, weights), base)


def entropy(p: Distribution, *, rule: Rule | None = None, base: float | None = None) -> Array:
    """``H[p] = -E_p[log p]``, differential under a ``rule``; p as in `kl_divergence`.

    Notes: Eq. (7).

    >>> entropy(jnp.full(8, 1 / 8), base=2).round(4).item()
    3.0
    """
    return cross_entropy(p, p, rule=rule, base=base)


def squared_hellinger(p: Distribution, q: Distribution, *, rule: Rule | None = None) -> Array:
    """``H^2[p, q] = 1 - int sqrt(p q) = int (sqrt p - sqrt q)^2 / 2``. Notes: §1.3.

    The second form (both integrate to one) is not spoilt by cancellation. Symmetric, in [0, 1];
    arguments as `kl_divergence`.
    """
    log_p, log_q, weights = _log_values(p, q, rule)
    roots = jnp.exp(log_p / 2) - jnp.exp(log_q / 2)
    return jnp.sum(weights * jnp.square(roots), axis=-1) / 2


class Generator(NamedTuple):
    """What makes an f-divergence.

    f: convex, elementwise on t = p/q >= 0, with f(1) = 0 and f(0) finite.
    slope: ``lim f(t)/t`` as t -> inf: what p's mass costs where q has none.
    """

    f: Callable
    slope: float


def _jensen_shannon(t):
    return (xlogy(t, t) - xlogy(1 + t, (1 + t) / 2)) / 2


GENERATORS = {
    "kl": Generator(lambda t: xlogy(t, t), jnp.inf),
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
        if generator not in GENERATORS:
            raise ValueError(f"unknown f {generator!r}; there are {', '.join(GENERATORS)}")
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
    a ``rule``. What maximum likelihood minimises. Notes: Eq. (8), §1.3.
    """
    p_x, divergence = jnp.asarray(p_x), kl_divergence(p, q, rule=rule, base=base)
    if p_x.shape != divergence.shape:
        raise ValueError(f"p_x {p_x.shape} must have one value for each of {divergence.shape}")
    return jnp.sum(p_x * divergence, axis=-1)


def kl_normal(
    mean_p: Array, scale_p: Array, mean_q: Array, scale_q: Array, base: float | None = None
) -> Array:
    """``KLD[N(m1, s1) || N(m2, s2)] = log s2/s1 + (s1^2 + (m1 - m2)^2) / (2 s2^2) - 1/2``.

    Means and standard deviations [...] -> [...]. Notes: §1.3.

    >>> kl_normal(0.0, 1.0, 0.0, 1.0).item()
    0.0
    """
    mean_p, scale_p, mean_q, scale_q = _floats(mean_p, scale_p, mean_q, scale_q)
    ratio = jnp.square(scale_p / scale_q)
    distance = jnp.square((mean_p - mean_q) / scale_q)
    return _in_base((ratio - 1 - jnp.log(ratio) + distance) / 2, base)


def kl_bernoulli(pi_p: Array, pi_q: Array, base: float | None = None) -> Array:
    """``KLD[B(a) || B(b)] = a log(a/b) + (1-a) log((1-a)/(1-b))``.

    Means [...] -> [...]. Notes: §1.3, §1.4.
    """
    pi_p, pi_q = _floats(pi_p, pi_q)
    both = lambda pi: jnp.stack([1 - pi, pi], axis=-1)
    return kl_divergence(both(pi_p), both(pi_q), base=base)


def kl_categorical(logits_p: Array, logits_q: Array, base: float | None = None) -> Array:
    """``KLD[Cat(softmax a) || Cat(softmax b)]``, stable in both.

    Logits [..., K] -> [...]. Notes: §1.3, §2.3.
    """
    log_p, log_q = (jax.nn.log_softmax(z) for z in _floats(logits_p, logits_q))
    return _in_base(jnp.sum(jnp.exp(log_p) * (log_p - log_q), axis=-1), base)


def kl_poisson(rate_p: Array, rate_q: Array, base: float | None = None) -> Array:
    """``KLD[Poi(a) || Poi(b)] = a log(a/b) - a + b``; a = 0 gives b.

    Rates [...] -> [...]. Notes: §1.3, §1.4.
    """
    a, b = _floats(rate_p, rate_q)
    return _in_base(xlogy(a, a) - xlogy(a, b) - a + b, base)


def squared_hellinger_normal(mean_p: Array, scale_p: Array, mean_q: Array, scale_q: Array) -> Array:
    """``H^2 = 1 - sqrt(2 s1 s2 / (s1^2 + s2^2)) exp(-(m1 - m2)^2 / (4 (s1^2 + s2^2)))``.

    Of two Normals with means and standard deviations [...] -> [...]. Notes: §1.3.
    """
    mean_p, scale_p, mean_q, scale_q = _floats(mean_p, scale_p, mean_q, scale_q)
    total = jnp.square(scale_p) + jnp.square(scale_q)
    log_affinity = jnp.log(2 * scale_p * scale_q / total) / 2
    return -jnp.expm1(log_affinity - jnp.square(mean_p - mean_q) / (4 * total))


class MonteCarlo(NamedTuple):
    """A Monte Carlo estimate.

    mean: ``1/S sum_s phi(x_s)``, of phi's shape.
    standard_error: its estimated standard deviation, of the same shape; inf for S = 1.
    """

    mean: Array
    standard_error: Array


def monte_carlo_expectation(
    key: Key, sampler: Callable, phi: Callable, num_samples: int
) -> MonteCarlo:
    """``E[phi(x)] ~ 1/S sum_s phi(x_s)`` with x_s drawn by ``sampler``. Notes: §1.3.

    Args:
      key: consumed.
      sampler: ``(key, S) -> x [S, ...]``, an array or a pytree of arrays.
      phi: of one x; any shape of result.
      num_samples: S, at least 1 (ValueError).

    >>> normals = lambda key, n: jax.random.normal(key, (n,))
    >>> second_moment = monte_carlo_expectation(jax.random.key(0), normals, jnp.square, 1000)
    >>> bool(abs(second_moment.mean - 1) < 4 * second_moment.standard_error)
    True
    """
    if num_samples < 1:
        raise ValueError(f"num_samples must be at least 1, not {num_samples}")
    values = jax.vmap(phi)(sampler(key, num_samples))
    mean = jnp.mean(values, axis=0)
    if num_samples == 1:
        return MonteCarlo(mean, jnp.full_like(mean, jnp.inf))
    return MonteCarlo(mean, jnp.std(values, axis=0, ddof=1) / math.sqrt(num_samples))


def monte_carlo_kl(
    key: Key,
    sampler: Callable,
    log_p: Callable,
    log_q: Callable,
    num_samples: int,
    base: float | None = None,
) -> MonteCarlo:
    """``KLD[p || q] ~ 1/S sum_s log p(x_s)/q(x_s)`` over draws x_s from p. Notes: §1.3.

    log_p, log_q: log-densities of one x; other arguments as `monte_carlo_expectation`.
    """
    log_ratio = lambda x: _in_base(log_p(x) - log_q(x), base)
    return monte_carlo_expectation(key, sampler, log_ratio, num_samples)


def _floats(*arrays):
    return jnp.broadcast_arrays(*(jnp.asarray(a, jnp.result_type(a, float)) for a in arrays))


def _in_base(nats, base):
    return nats if base is None else nats / jnp.log(jnp.asarray(base, nats.dtype))


def _log_values(p, q, rule):
    """log p and log q [..., K] at the points, and the points' weights."""
    if rule is None:
        if callable(p) or callable(q):
            raise ValueError("log-density functions need rule=(nodes, weights)")
        log_p, log_q, weights = _safe_log(p), _safe_log(q), 1
    else:
        if not (callable(p) and callable(q)):
            raise ValueError("with a rule, p and q must be log-density functions of the nodes")
        nodes, weights = rule
        log_p, log_q = p(nodes), q(nodes)
    if log_p.shape != log_q.shape:
        raise ValueError(f"p and q must have one shape, not {log_p.shape} and {log_q.shape}")
    return log_p, log_q, weights


def _safe_log(p):
    (p,) = _floats(p)
    return jnp.where(p > 0, jnp.log(jnp.where(p > 0, p, 1)), -jnp.inf)


def _expectation(log_p, a, b, weights):
    """``E_p[a - b]``, where points without p count nothing."""
    has_p = ~jnp.isneginf(log_p)
    difference = jnp.where(has_p, a, 0) - jnp.where(has_p, b, 0)
    return jnp.sum(weights * jnp.exp(log_p) * difference, axis=-1)
