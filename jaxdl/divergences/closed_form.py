"""Divergences of two named distributions in closed form. Notes: §1.3."""

import jax
import jax.numpy as jnp
from jax.scipy.special import xlogy

from jaxdl.base import Array
from jaxdl.divergences.general import floats, in_base, kl_divergence


def kl_normal(
    mean_p: Array, scale_p: Array, mean_q: Array, scale_q: Array, base: float | None = None
) -> Array:
    """``KLD[N(m1, s1) || N(m2, s2)] = log s2/s1 + (s1^2 + (m1 - m2)^2) / (2 s2^2) - 1/2``.

    Means and standard deviations [...] -> [...]. Notes: §1.3.

    >>> kl_normal(0.0, 1.0, 0.0, 1.0).item()
    0.0
    """
    mean_p, scale_p, mean_q, scale_q = floats(mean_p, scale_p, mean_q, scale_q)
    ratio = jnp.square(scale_p / scale_q)
    distance = jnp.square((mean_p - mean_q) / scale_q)
    return in_base((ratio - 1 - jnp.log(ratio) + distance) / 2, base)


def kl_bernoulli(pi_p: Array, pi_q: Array, base: float | None = None) -> Array:
    """``KLD[B(a) || B(b)] = a log(a/b) + (1-a) log((1-a)/(1-b))``.

    Means [...] -> [...]. Notes: §1.3, §1.4.
    """
    pi_p, pi_q = floats(pi_p, pi_q)
    both = lambda pi: jnp.stack([1 - pi, pi], axis=-1)
    return kl_divergence(both(pi_p), both(pi_q), base=base)


def kl_categorical(logits_p: Array, logits_q: Array, base: float | None = None) -> Array:
    """``KLD[Cat(softmax a) || Cat(softmax b)]``, stable in both.

    Logits [..., K] -> [...]. Notes: §1.3, §2.3.
    """
    log_p, log_q = (jax.nn.log_softmax(z) for z in floats(logits_p, logits_q))
    return in_base(jnp.sum(jnp.exp(log_p) * (log_p - log_q), axis=-1), base)


def kl_poisson(rate_p: Array, rate_q: Array, base: float | None = None) -> Array:
    """``KLD[Poi(a) || Poi(b)] = a log(a/b) - a + b``; a = 0 gives b.

    Rates [...] -> [...]. Notes: §1.3, §1.4.
    """
    a, b = floats(rate_p, rate_q)
    return in_base(xlogy(a, a) - xlogy(a, b) - a + b, base)


def squared_hellinger_normal(mean_p: Array, scale_p: Array, mean_q: Array, scale_q: Array) -> Array:
    """``H^2 = 1 - sqrt(2 s1 s2 / (s1^2 + s2^2)) exp(-(m1 - m2)^2 / (4 (s1^2 + s2^2)))``.

    Of two Normals with means and standard deviations [...] -> [...]. Notes: §1.3.
    """
    mean_p, scale_p, mean_q, scale_q = floats(mean_p, scale_p, mean_q, scale_q)
    total = jnp.square(scale_p) + jnp.square(scale_q)
    log_affinity = jnp.log(2 * scale_p * scale_q / total) / 2
    return -jnp.expm1(log_affinity - jnp.square(mean_p - mean_q) / (4 * total))
