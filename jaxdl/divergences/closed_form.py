"""Divergences of two named distributions in closed form. Notes: §1.3."""

import jax.numpy as jnp

from jaxdl import special
from jaxdl.base import Array
from jaxdl.divergences.general import floats, in_base


def kl_normal(
    mean_p: Array, scale_p: Array, mean_q: Array, scale_q: Array, base: float | None = None
) -> Array:
    """``KLD[N(m1, s1) || N(m2, s2)] = log s2/s1 + (s1^2 + (m1 - m2)^2) / (2 s2^2) - 1/2``.

    Means and standard deviations [...] -> [...]. With ``r = s1/s2`` it is
    ``(r - 1 - log r) + (r - 1)^2/2 + (m1 - m2)^2/(2 s2^2)``: never negative. Notes: §1.3.

    >>> kl_normal(0.0, 1.0, 0.0, 1.0).item()
    0.0
    """
    mean_p, scale_p, mean_q, scale_q = floats(mean_p, scale_p, mean_q, scale_q)
    of_scales = special.divergence_term(scale_q, scale_p) / scale_q
    wider = jnp.square((scale_p - scale_q) / scale_q)
    distance = jnp.square((mean_p - mean_q) / scale_q)
    return in_base(of_scales + (wider + distance) / 2, base)


def kl_bernoulli(pi_p: Array, pi_q: Array, base: float | None = None) -> Array:
    """``KLD[B(a) || B(b)] = a log(a/b) + (1-a) log((1-a)/(1-b))``.

    Means [...] -> [...]; never negative (`special.divergence_term`). Notes: §1.3, §1.4.

    >>> kl_bernoulli(0.0, 0.5, base=2).item()
    1.0
    """
    a, b = floats(pi_p, pi_q)
    return in_base(special.divergence_term(a, b) + special.divergence_term(1 - a, 1 - b), base)


def kl_categorical(logits_p: Array, logits_q: Array, base: float | None = None) -> Array:
    """``KLD[Cat(softmax a) || Cat(softmax b)]``, stable in both, never negative.

    Logits [..., K] -> [...]. A class that p rules out by a logit of -inf counts nothing; one that q
    alone rules out makes it infinite. Notes: §1.3, §2.3.
    """
    log_p, log_q = (special.log_softmax(z) for z in floats(logits_p, logits_q))
    return in_base(jnp.sum(special.log_divergence_term(log_p, log_q), axis=-1), base)


def kl_poisson(rate_p: Array, rate_q: Array, base: float | None = None) -> Array:
    """``KLD[Poi(a) || Poi(b)] = a log(a/b) - a + b``; a = 0 gives b.

    Rates [...] -> [...]; never negative, and exact for large rates too. Notes: §1.3, §1.4.
    """
    return in_base(special.divergence_term(*floats(rate_p, rate_q)), base)


def squared_hellinger_normal(mean_p: Array, scale_p: Array, mean_q: Array, scale_q: Array) -> Array:
    """``H^2 = 1 - sqrt(2 s1 s2 / (s1^2 + s2^2)) exp(-(m1 - m2)^2 / (4 (s1^2 + s2^2)))``.

    Of two Normals with means and standard deviations [...] -> [...]. Notes: §1.3.
    """
    mean_p, scale_p, mean_q, scale_q = floats(mean_p, scale_p, mean_q, scale_q)
    both = jnp.hypot(scale_p, scale_q)
    apart = jnp.square((scale_p - scale_q) / both)
    near = apart < 0.5
    product = jnp.where(near, 1, 2 * (scale_p / both) * (scale_q / both))  # 1 - apart
    log_product = jnp.where(near, jnp.log1p(-jnp.where(near, apart, 0)), jnp.log(product))
    return -jnp.expm1((log_product - jnp.square((mean_p - mean_q) / both) / 2) / 2)
