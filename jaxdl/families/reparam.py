"""Random variables as functions of noise that has no parameters: ``z = r(e; psi)``. Notes: §9.2.

Gradients go through such draws: ``d/dpsi E[f(z)] = E[f'(r(e; psi)) dr/dpsi]``.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.arrays import floating
from jaxdl.base import Array, Key
from jaxdl.checks import one_of
from jaxdl.families import links

_LOG_2PI = 1.8378770664093453
_STANDARD = {  # noise (key, shape, dtype) -> e, and the logarithm of its density
    "normal": (jax.random.normal, lambda e: -(jnp.square(e) + _LOG_2PI) / 2),
    "laplace": (jax.random.laplace, lambda e: -jnp.abs(e) - jnp.log(2)),
    "logistic": (jax.random.logistic, lambda e: -e - 2 * jax.nn.softplus(-e)),
    "gumbel": (jax.random.gumbel, lambda e: -e - links.exponential(-e)),
}


class Reparameterization(NamedTuple):
    """A distribution of z, drawn as a differentiable function of noise. Notes: I(§9.2), §9.2.

    noise: ``(key, shape, dtype) -> e``, the same for all parameters; the key is consumed.
    transform: ``(e, *psi) -> z``, r of the notes; all [...], broadcast.
    log_prob: ``(z, *psi) -> log q(z; psi)``.
    centre: the noise in its middle: ``transform(centre, *psi)`` is the median of z.
    """

    noise: Callable
    transform: Callable
    log_prob: Callable
    centre: float = 0.0


def draw(key: Key, r: Reparameterization, *psi: Array, samples: int | None = None) -> Array:
    """``z = r(e; psi)``, one for each of the parameters, [...]; or [S, ...] of S = ``samples``.

    >>> one = jax.random.key(0)
    >>> draw(one, exponential(), jnp.ones(3), samples=2).shape
    (2, 3)
    """
    psi = tuple(floating(p) for p in psi)
    shape = jnp.broadcast_shapes(*(p.shape for p in psi))
    shape = shape if samples is None else (samples, *shape)
    return r.transform(r.noise(key, shape, jnp.result_type(*psi)), *psi)


def location_scale(standard: str = "normal") -> Reparameterization:
    """``z = mu + sigma e`` with e of a standard distribution; psi is (mu, sigma), sigma > 0.

    For a Normal, sigma is the standard deviation. Notes: I(§9.2), §9.2.

    Args:
      standard: "normal", "laplace", "logistic" or "gumbel"; ValueError for any other.

    >>> location_scale("laplace").transform(2.0, 1.0, 3.0)
    7.0
    """
    one_of("standard", standard, _STANDARD)
    noise, log_density = _STANDARD[standard]

    def log_prob(z, mu, sigma):
        return log_density((z - mu) / sigma) - jnp.log(sigma)

    # A Gumbel's median is not at 0.
    centre = {"gumbel": 0.36651292058166435}.get(standard, 0.0)
    return Reparameterization(noise, lambda e, mu, sigma: mu + sigma * e, log_prob, centre)


def inverse_cdf(quantile: Callable, log_prob: Callable) -> Reparameterization:
    """``z = F^-1(u; psi)`` with u uniform on (0, 1), F the distribution function of z.

    It is the inverse of F that samples, not F itself (D-85). Notes: I(§9.2), §9.2.

    Args:
      quantile: ``(u, *psi) -> F^-1(u; psi)``, finite for u in (0, 1).
      log_prob: ``(z, *psi) -> log F'(z; psi)``.
    """
    return Reparameterization(open_uniform, quantile, log_prob, centre=0.5)


def open_uniform(key: Key, shape: tuple[int, ...], dtype=float) -> Array:
    """Uniform on (0, 1), 0 and 1 left out: on the middles of a grid as fine as the dtype's epsilon.

    >>> u = open_uniform(jax.random.key(0), (1000,))
    >>> bool((u > 0).all() and (u < 1).all())
    True
    """
    u = jax.random.uniform(key, shape, dtype)  # multiples of epsilon, from 0 on
    return u + jnp.asarray(jnp.finfo(u.dtype).eps / 2, u.dtype)


def exponential() -> Reparameterization:
    """``F^-1(u; rate) = -log(1 - u) / rate``; psi is (rate,). Notes: §9.2."""
    return inverse_cdf(
        lambda u, rate: -jnp.log1p(-u) / rate,
        lambda z, rate: jnp.where(z < 0, -jnp.inf, jnp.log(rate) - rate * z),
    )


def logistic() -> Reparameterization:
    """``F^-1(u; mu, s) = mu + s (log u - log(1 - u))``; psi is (mu, s). Notes: §9.2."""
    return inverse_cdf(
        lambda u, mu, s: mu + s * (jnp.log(u) - jnp.log1p(-u)),
        location_scale("logistic").log_prob,
    )


def gumbel() -> Reparameterization:
    """``F^-1(u; mu, s) = mu - s log(-log u)``, of maxima; psi is (mu, s). Notes: §9.2."""
    return inverse_cdf(
        lambda u, mu, s: mu - s * jnp.log(-jnp.log(u)), location_scale("gumbel").log_prob
    )


def kumaraswamy() -> Reparameterization:
    """``F^-1(u; a, b) = (1 - (1 - u)^(1/b))^(1/a)`` on (0, 1), near a beta; psi is (a, b).

    ``log q(z) = log a + log b + (a - 1) log z + (b - 1) log(1 - z^a)``. Draws lie strictly inside:
    what would round to 0 or 1 becomes the nearest number that is not. Notes: §9.2.
    Source: Kumaraswamy (1980).
    """

    def quantile(u, a, b):
        log_rest = jnp.log1p(-u) / b
        z = jnp.exp(jnp.log(-jnp.expm1(log_rest)) / a)
        info = jnp.finfo(jnp.result_type(z))
        return jnp.clip(z, info.tiny, 1 - info.epsneg)

    def log_prob(z, a, b):
        log_z = jnp.log(z)
        log_rest = jnp.log(-jnp.expm1(a * log_z))
        return jnp.log(a) + jnp.log(b) + (a - 1) * log_z + (b - 1) * log_rest

    return inverse_cdf(quantile, log_prob)
