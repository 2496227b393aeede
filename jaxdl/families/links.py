"""Links g and inverse links g^-1 of generalised linear models. Notes: §1.4, Eq. (11).

Inverse links map all of the real line into the open range of the mean, also where rounding alone
would land on its edge; values and gradients stay finite for arguments up to 1e20.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy import special

from jaxdl.arrays import floating
from jaxdl.base import Array
from jaxdl.checks import one_of


def identity(z: Array) -> Array:
    """``g^-1(z) = z`` for z [...]: the mean of a Normal, Laplace or Student-t. Notes: §1.4."""
    return jnp.asarray(z)


def logistic(z: Array) -> Array:
    """``s(z) = 1 / (1 + exp(-z))`` for z [...], in (0, 1). Notes: L229, §1.5.

    >>> logistic(0.0).item()
    0.5
    """
    return _open_unit(jax.nn.sigmoid(floating(z)))


def logistic_derivative(z: Array) -> Array:
    """``s'(z) = s(z) (1 - s(z)) = s(z) s(-z)`` for z [...]; at most 1/4, at 0. Notes: §1.6, L385."""
    z = floating(z)
    return jax.nn.sigmoid(z) * jax.nn.sigmoid(-z)


def logit(mu: Array) -> Array:
    """``g(mu) = log(mu / (1 - mu))`` for mu [...] in (0, 1): inverse of `logistic`. Notes: §1.4."""
    return special.logit(floating(mu))


def normal_cdf(z: Array) -> Array:
    """``Phi(z)``, the standard Normal's distribution function, in (0, 1), for z [...].

    The inverse of `probit`. Source: Bliss (1934).
    """
    return _open_unit(special.ndtr(floating(z)))


def log_normal_cdf(z: Array) -> Array:
    """``log Phi(z)`` for z [...], with accurate first and second derivatives in both tails.

    Where Phi underflows: ``-z^2/2 - log(-z) - log(2 pi)/2 + log(1 - 1/z^2 + 3/z^4 - ...)``.
    Source: Abramowitz & Stegun (1964), 26.2.12. (The derivative of
    ``jax.scipy.special.log_ndtr`` is off by 70 % at z = -1e4 in float32.)
    """
    z = floating(z)
    most = float(jnp.finfo(z.dtype).max) / 4
    z = jnp.clip(z, -most, most)  # the slope, -z, stays finite; the value is -inf long before
    # The far tail starts well before 0.5 erfc(-z / sqrt 2) underflows.
    start = -20.0 if jnp.finfo(z.dtype).bits == 64 else -10.0
    tail, upper = z < start, z > 0
    z_tail = jnp.where(tail, z, start)
    u = 1 / jnp.square(z_tail)
    series = 1.0
    for odd in (13, 11, 9, 7, 5, 3, 1):  # Horner: 1 - u (1 - 3u (1 - 5u (...)))
        series = 1 - odd * u * series
    log_tail = -jnp.square(z_tail) / 2 - jnp.log(-z_tail) - math.log(2 * math.pi) / 2
    log_tail += jnp.log(series)
    z_lower = jnp.where(tail | upper, 0, z)
    log_lower = jnp.log(special.erfc(-z_lower / math.sqrt(2)) / 2)
    z_upper = jnp.where(upper, z, 0)
    log_upper = jnp.log1p(-special.erfc(z_upper / math.sqrt(2)) / 2)
    return jnp.where(tail, log_tail, jnp.where(upper, log_upper, log_lower))


def probit(mu: Array) -> Array:
    """``g(mu) = Phi^-1(mu)`` for mu [...] in (0, 1): inverse of `normal_cdf`. Bliss (1934)."""
    return special.ndtri(floating(mu))


def cloglog_inverse(z: Array) -> Array:
    """``g^-1(z) = 1 - exp(-exp(z))`` for z [...], in (0, 1): the inverse of `cloglog`.

    The standard Gumbel minimum's distribution function. Source: McCullagh & Nelder (1989), §4.3.
    """
    return _open_unit(-jnp.expm1(-exponential(z)))


def cloglog(mu: Array) -> Array:
    """Complementary log-log: ``g(mu) = log(-log(1 - mu))`` for mu [...] in (0, 1).

    Source: McCullagh & Nelder (1989), §4.3.
    """
    return jnp.log(-jnp.log1p(-floating(mu)))


def exponential(z: Array) -> Array:
    """``g^-1(z) = exp(z)`` for z [...], in (0, inf): the inverse of the `log` link. Notes: §1.4.

    Above ``c = 0.45 log(max)`` (39.9 in float32, 319 in float64) it goes on along its tangent,
    ``exp(c) (1 + z - c)``: still increasing, and neither the value (up to z = 1e21), nor the gradient,
    nor the gradient's square overflows, so that an optimizer can come back from there.
    """
    z = floating(z)
    limit, below, above = _tangent(z)
    return jnp.maximum(jnp.exp(below) + math.exp(limit) * above, jnp.finfo(z.dtype).tiny)


def log_exponential(z: Array) -> Array:
    """``log exponential(z)``, [...]: z itself up to c, ``c + log(1 + z - c)`` above."""
    _, below, above = _tangent(floating(z))
    return below + jnp.log1p(above)


def _tangent(z: Array) -> tuple[float, Array, Array]:
    """Where `exponential` goes on along its tangent, and how far z [...] goes before and after."""
    limit = 0.45 * math.log(float(jnp.finfo(z.dtype).max))
    return limit, jnp.minimum(z, limit), jnp.maximum(z - limit, 0)


def log(mu: Array) -> Array:
    """``g(mu) = log(mu)`` for mu [...] > 0: the inverse of `exponential`. Notes: §1.4."""
    return jnp.log(floating(mu))


def softplus(z: Array) -> Array:
    """``g^-1(z) = log(1 + exp(z))`` for z [...], in (0, inf). Source: Dugas et al. (2001)."""
    z = floating(z)
    return jnp.maximum(jax.nn.softplus(z), jnp.finfo(z.dtype).tiny)


def softplus_inverse(mu: Array) -> Array:
    """``g(mu) = log(exp(mu) - 1) = mu + log(1 - exp(-mu))`` for mu [...] > 0."""
    mu = floating(mu)
    return mu + jnp.log(-jnp.expm1(-mu))


def softmax(z: Array) -> Array:
    """``pi_k = exp(z_k) / sum_j exp(z_j)`` over the last axis of z [..., K]. Notes: Eq. (18).

    The K values are positive and sum to one, so they have K - 1 degrees of freedom: adding the
    same number to every z_k changes nothing.

    >>> softmax(jnp.array([0.0, 0.0])).tolist()
    [0.5, 0.5]
    """
    return jax.nn.softmax(floating(z), axis=-1)


def centred_log(mu: Array) -> Array:
    """``g(mu)_k = log mu_k - mean_j log mu_j`` for mu [..., K]: the `softmax` link.

    Of all z with ``softmax(z) = mu`` it is the one that sums to zero. Source: Aitchison (1982).
    """
    log_mu = jnp.log(floating(mu))
    return log_mu - jnp.mean(log_mu, axis=-1, keepdims=True)


class Link(NamedTuple):
    """A link, its inverse and where they live.

    link: ``g``, from the mean to the linear predictor, ``[...] -> [...]``.
    inverse: ``g^-1``, from the linear predictor to the mean, ``[...] -> [...]``.
    range: ``(low, high)``, the open interval of the mean: the domain of ``g``.
    """

    link: Callable
    inverse: Callable
    range: tuple[float, float]


LINKS = {
    "identity": Link(identity, identity, (-math.inf, math.inf)),
    "logit": Link(logit, logistic, (0.0, 1.0)),
    "probit": Link(probit, normal_cdf, (0.0, 1.0)),
    "cloglog": Link(cloglog, cloglog_inverse, (0.0, 1.0)),
    "log": Link(log, exponential, (0.0, math.inf)),
    "softplus": Link(softplus_inverse, softplus, (0.0, math.inf)),
    "softmax": Link(centred_log, softmax, (0.0, 1.0)),
}


def get(name: str) -> Link:
    """The Link of this name; ValueError says which there are. Every link's domain is ``range``.

    Notes: Eq. (11), §1.4.

    >>> get("logit").inverse(0.0).item()
    0.5
    """
    one_of("link", name, LINKS)
    return LINKS[name]


def _open_unit(p: Array) -> Array:
    """p [...] kept off 0 and 1 by the least that the dtype can tell apart."""
    info = jnp.finfo(p.dtype)
    return jnp.clip(p, info.tiny, 1 - info.epsneg)
