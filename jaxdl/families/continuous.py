"""Distributions of real responses: normal, log-normal, Laplace, Student's t. Notes: §1.3."""

import math

import jax
import jax.numpy as jnp

from jaxdl import special
from jaxdl.arrays import floating, unconsumed
from jaxdl.base import Array, Family, Responses
from jaxdl.checks import filled_in
from jaxdl.families import links
from jaxdl.families.elementwise import matched, setting_like, squared_error_scores

_LOG_2PI = 1.8378770664093453
_REAL = Responses("numbers")
_POSITIVE = Responses("numbers", low=float(jnp.finfo(jnp.float32).tiny))


def normal(scale: float | Array = 1.0) -> Family:
    """Normal with mean f(x) and standard deviation ``scale``.

    ``log p(y; eta) = -(y - eta)^2 / (2 scale^2) - log scale - log(2 pi) / 2``, eta [...], y [...].
    Notes: Eq. (6), §1.3; its second argument is the standard deviation, not the variance (D-5).

    Args:
      scale: positive; a scalar, or an array that broadcasts to eta's shape (one for each output).

    >>> normal(scale=2.0).log_prob(jnp.array([0.0]), jnp.array([2.0])).item()  # doctest: +ELLIPSIS
    -2.112...
    """

    def log_prob(eta, y):
        eta, y = matched(eta, y)
        sigma = setting_like("scale", scale, eta)
        return -jnp.square((y - eta) / sigma) / 2 - jnp.log(sigma) - _LOG_2PI / 2

    def sample(key, eta):
        eta = floating(eta)
        return eta + setting_like("scale", scale, eta) * jax.random.normal(
            key, eta.shape, eta.dtype
        )

    def entropy(eta):
        eta = floating(eta)
        sigma = setting_like("scale", scale, eta)
        return jnp.broadcast_to((1 + _LOG_2PI) / 2 + jnp.log(sigma), eta.shape)

    return Family(
        log_prob, links.identity, sample, entropy, squared_error_scores(links.identity), _REAL
    )


def heteroskedastic_normal(tied: bool = False) -> Family:
    """Normal whose standard deviation depends on x. Notes: §1.3, after Eq. (6).

    ``-log p(y; eta) = s + (y - mu)^2 exp(-2s) / 2 + log(2 pi) / 2`` with ``s = log sigma``; the
    term s stays (E-14). Untied, ``eta [..., 2] = (mu, s)`` for y [...]; tied, ``mu = s = eta``
    with eta [...], so the spread grows with the mean. The residual is scaled before it is squared.
    Its square goes on along its tangent in 2s where it would overflow (`links.exponential`).
    """

    def split(eta):
        eta = floating(eta)
        if tied:
            return eta, eta
        if eta.ndim == 0 or eta.shape[-1] != 2:
            raise ValueError(f"eta must be [..., 2] = (mean, log scale), not {eta.shape}")
        return eta[..., 0], eta[..., 1]

    def log_prob(eta, y):
        mu, log_sigma = split(eta)
        mu, y = matched(mu, y)
        return -square(y - mu, log_sigma) / 2 - log_sigma - _LOG_2PI / 2

    def square(residual, log_sigma):
        """``(r / sigma)^2``, ``exponential(2 (log |r| - log sigma))`` where that is large."""
        size = jnp.abs(residual)
        log_size = jnp.log(jnp.where(size > 0, size, 1))
        far = (size > 0) & (log_size - log_sigma > 0.2 * math.log(float(jnp.finfo(size.dtype).max)))
        root = links.exponential(-jnp.where(far, 0, log_sigma) / 2)  # in two: sigma may be tiny
        near = jnp.square(jnp.where(far, 0, residual) * root * root)
        return jnp.where(far, links.exponential(2 * jnp.where(far, log_size - log_sigma, 0)), near)

    def mean(eta):
        return split(eta)[0]

    def sample(key, eta):
        mu, log_sigma = split(eta)
        return mu + links.exponential(log_sigma) * jax.random.normal(key, mu.shape, mu.dtype)

    def entropy(eta):
        return (1 + _LOG_2PI) / 2 + split(eta)[1]

    return Family(log_prob, mean, sample, entropy, squared_error_scores(mean), _REAL)


def log_normal() -> Family:
    """The logarithm of a positive response is normal, as in `heteroskedastic_normal`.

    ``log p(y; eta) = log N(log y; mu, exp(s)) - log y`` for ``eta [..., 2] = (mu, s)`` and y [...]
    from 1.2e-38 on: the last term is the Jacobian of the logarithm, so that this density can be compared with
    those of y itself. ``mean`` is ``exp(mu + exp(2s) / 2)``, not the median ``exp(mu)``; it goes on
    along its tangent where it would overflow (`links.exponential`), with exp(2s) at most e^40.
    Notes: §1.3. Source: Aitchison and Brown, The Lognormal Distribution (1957).

    >>> log_normal().mean(jnp.array([1.0, 0.0])).item()  # doctest: +ELLIPSIS
    4.481...
    """
    of_log = heteroskedastic_normal()

    def log_prob(eta, y):
        _, y = matched(of_log.mean(eta), y)
        return of_log.log_prob(eta, jnp.log(y)) - jnp.log(y)

    def mean(eta):
        variance = jnp.exp(jnp.minimum(2 * floating(eta)[..., 1], 40))
        return links.exponential(of_log.mean(eta) + variance / 2)

    def sample(key, eta):
        return links.exponential(of_log.sample(key, eta))

    def entropy(eta):
        return filled_in(of_log.entropy)(eta) + of_log.mean(eta)

    return Family(log_prob, mean, sample, entropy, squared_error_scores(mean), _POSITIVE)


def laplace(scale: float | Array = 1.0) -> Family:
    """Laplace with location f(x): ``log p(y; eta) = -|y - eta| / scale - log(2 scale)``.

    eta [...], y [...]; ``scale`` as in `normal` (the standard deviation is sqrt(2) scale).
    Maximum likelihood is least absolute deviations. Notes: §1.3.
    """

    def log_prob(eta, y):
        eta, y = matched(eta, y)
        b = setting_like("scale", scale, eta)
        return -jnp.abs(y - eta) / b - jnp.log(2 * b)

    def sample(key, eta):
        eta = floating(eta)
        return eta + setting_like("scale", scale, eta) * jax.random.laplace(
            key, eta.shape, eta.dtype
        )

    def entropy(eta):
        eta = floating(eta)
        return jnp.broadcast_to(1 + jnp.log(2 * setting_like("scale", scale, eta)), eta.shape)

    return Family(
        log_prob, links.identity, sample, entropy, squared_error_scores(links.identity), _REAL
    )


def student_t(df: float | Array, scale: float | Array = 1.0) -> Family:
    """Student's t with location f(x), ``df`` degrees of freedom and ``scale``. Notes: §1.3.

    ``log p(y; eta) = -(df+1)/2 log(1 + z^2/df) - log scale + const``, ``z = (y - eta) / scale``,
    for eta [...], y [...]. Its heavy tails make outliers cheap. ``mean`` is the location, which
    is the expectation where df > 1. With ``df=inf`` it is the normal, to which it tends.
    """

    limit = normal(scale)

    def settings(eta):
        """Degrees of freedom, 1 where they are infinite, the scale, and where they are."""
        nu = setting_like("df", df, eta)
        infinite = jnp.isinf(nu)
        return jnp.where(infinite, 1, nu), setting_like("scale", scale, eta), infinite

    def log_prob(eta, y):
        eta, y = matched(eta, y)
        nu, sigma, infinite = settings(eta)
        z = (y - eta) / sigma
        log_p = special.log_gamma_step(nu / 2) - _LOG_2PI / 2 - jnp.log(sigma) - tail(z, nu)
        return jnp.where(infinite, limit.log_prob(eta, y), log_p)

    def tail(z, nu):
        """``(nu + 1)/2 log(1 + z^2/nu)``, near ``z^2/2`` where nu is large."""
        near = jnp.abs(z) < jnp.sqrt(nu) / 2
        low = jnp.where(near, z, 0)
        w = jnp.square(low / jnp.sqrt(nu))
        lower = jnp.square(low) / 2 * (1 + special.log1p_ratio(w)) + jnp.log1p(w) / 2
        u = jnp.where(near, 1, jnp.abs(z) / jnp.sqrt(nu))  # its square may overflow
        upper = (jnp.where(near, 0, nu) + 1) / 2 * (2 * jnp.log(u) + jnp.log1p(jnp.square(1 / u)))
        return jnp.where(near, lower, upper)

    def sample(key, eta):
        eta = floating(eta)
        nu, sigma, infinite = settings(eta)
        draw = eta + sigma * jax.random.t(key, nu, eta.shape, eta.dtype)
        # Of the two draws only one is ever seen.
        return jnp.where(infinite, limit.sample(unconsumed(key), eta), draw)

    def entropy(eta):
        eta = floating(eta)
        nu, sigma, infinite = settings(eta)
        x = nu / 2  # H = (x + 1/2) (psi(x + 1/2) - psi(x)) + log B(x, 1/2) + log(nu)/2 + log scale
        step, slope = jax.jvp(special.log_gamma_step, (x,), (jnp.ones_like(x),))
        entropy = (1 + _LOG_2PI) / 2 + 1 / (4 * x) + (x + 0.5) * slope - step + jnp.log(sigma)
        return jnp.where(infinite, filled_in(limit.entropy)(eta), entropy)

    return Family(
        log_prob, links.identity, sample, entropy, squared_error_scores(links.identity), _REAL
    )
