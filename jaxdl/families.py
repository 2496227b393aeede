"""Response distributions p(y; eta) of generalised linear models and networks. Notes: §1.3, §1.4.

Each builder closes over its settings (floats may be traced) and returns a `Family`. Elementwise
families want ``eta.shape == y.shape`` and raise ValueError otherwise; `independent` sums a family
over the outputs of a multi-output network. Scales are standard deviations (or their like), never
variances. Results have the dtype of eta.
"""

import jax
import jax.numpy as jnp
from jax.scipy.special import digamma, gammaln

from jaxdl import links
from jaxdl.base import Array, Family
from jaxdl.compound import independent as independent
from jaxdl.compound import marginalize as marginalize

_LOG_2PI = 1.8378770664093453


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
        eta, y = _same_shape(eta, y)
        sigma = _setting("scale", scale, eta)
        return -jnp.square((y - eta) / sigma) / 2 - jnp.log(sigma) - _LOG_2PI / 2

    def sample(key, eta):
        eta = _floating(eta)
        return eta + _setting("scale", scale, eta) * jax.random.normal(key, eta.shape, eta.dtype)

    def entropy(eta):
        eta = _floating(eta)
        sigma = _setting("scale", scale, eta)
        return jnp.broadcast_to((1 + _LOG_2PI) / 2 + jnp.log(sigma), eta.shape)

    return Family(log_prob, links.identity, sample, entropy, _squared_error(links.identity))


def heteroskedastic_normal(tied: bool = False) -> Family:
    """Normal whose standard deviation depends on x. Notes: §1.3, after Eq. (6).

    ``-log p(y; eta) = s + (y - mu)^2 exp(-2s) / 2 + log(2 pi) / 2`` with ``s = log sigma``; the
    term s stays (E-14). Untied, ``eta [..., 2] = (mu, s)`` for y [...]; tied, ``mu = s = eta``
    with eta [...], so the spread grows with the mean. exp(-2s) goes on along its tangent where it
    would overflow (`links.exponential`).
    """

    def split(eta):
        eta = _floating(eta)
        if tied:
            return eta, eta
        if eta.ndim == 0 or eta.shape[-1] != 2:
            raise ValueError(f"eta must be [..., 2] = (mean, log scale), not {eta.shape}")
        return eta[..., 0], eta[..., 1]

    def log_prob(eta, y):
        mu, log_sigma = split(eta)
        mu, y = _same_shape(mu, y)
        precision = links.exponential(-2 * log_sigma)
        return -jnp.square(y - mu) * precision / 2 - log_sigma - _LOG_2PI / 2

    def mean(eta):
        return split(eta)[0]

    def sample(key, eta):
        mu, log_sigma = split(eta)
        return mu + links.exponential(log_sigma) * jax.random.normal(key, mu.shape, mu.dtype)

    def entropy(eta):
        return (1 + _LOG_2PI) / 2 + split(eta)[1]

    return Family(log_prob, mean, sample, entropy, _squared_error(mean))


def laplace(scale: float | Array = 1.0) -> Family:
    """Laplace with location f(x): ``log p(y; eta) = -|y - eta| / scale - log(2 scale)``.

    eta [...], y [...]; ``scale`` as in `normal` (the standard deviation is sqrt(2) scale).
    Maximum likelihood is least absolute deviations. Notes: §1.3.
    """

    def log_prob(eta, y):
        eta, y = _same_shape(eta, y)
        b = _setting("scale", scale, eta)
        return -jnp.abs(y - eta) / b - jnp.log(2 * b)

    def sample(key, eta):
        eta = _floating(eta)
        return eta + _setting("scale", scale, eta) * jax.random.laplace(key, eta.shape, eta.dtype)

    def entropy(eta):
        eta = _floating(eta)
        return jnp.broadcast_to(1 + jnp.log(2 * _setting("scale", scale, eta)), eta.shape)

    return Family(log_prob, links.identity, sample, entropy, _squared_error(links.identity))


def student_t(df: float | Array, scale: float | Array = 1.0) -> Family:
    """Student's t with location f(x), ``df`` degrees of freedom and ``scale``. Notes: §1.3.

    ``log p(y; eta) = -(df+1)/2 log(1 + z^2/df) - log scale + const``, ``z = (y - eta) / scale``,
    for eta [...], y [...]. Its heavy tails make outliers cheap. ``mean`` is the location, which
    is the expectation where df > 1.
    """

    def settings(eta):
        return _setting("df", df, eta), _setting("scale", scale, eta)

    def log_prob(eta, y):
        eta, y = _same_shape(eta, y)
        nu, sigma = settings(eta)
        z = (y - eta) / sigma
        constant = gammaln((nu + 1) / 2) - gammaln(nu / 2) - jnp.log(nu * jnp.pi) / 2
        return constant - jnp.log(sigma) - (nu + 1) / 2 * jnp.log1p(jnp.square(z) / nu)

    def sample(key, eta):
        eta = _floating(eta)
        nu, sigma = settings(eta)
        return eta + sigma * jax.random.t(key, nu, eta.shape, eta.dtype)

    def entropy(eta):
        eta = _floating(eta)
        nu, sigma = settings(eta)
        log_beta = gammaln(nu / 2) + gammaln(jnp.asarray(0.5, nu.dtype)) - gammaln((nu + 1) / 2)
        spread = (nu + 1) / 2 * (digamma((nu + 1) / 2) - digamma(nu / 2))
        entropy = spread + jnp.log(nu) / 2 + log_beta + jnp.log(sigma)
        return jnp.broadcast_to(entropy, eta.shape)

    return Family(log_prob, links.identity, sample, entropy, _squared_error(links.identity))


def bernoulli(link: str = "logit") -> Family:
    """Bernoulli with mean ``pi = g^-1(f(x))``: ``log p(y; eta) = y log pi + (1-y) log(1-pi)``.

    eta [...], y [...] in {0, 1} (any dtype; values between count as soft labels). With the logit
    link this is logistic regression, ``y eta - softplus(eta)``. Notes: Eq. (12), (13), §1.5.
    The predicted label is 1 where pi >= 1/2 (D-31).

    Args:
      link: "logit", "probit" or "cloglog"; ValueError for any other.

    >>> bernoulli().mean(jnp.array([0.0])).tolist()
    [0.5]
    """
    if link not in _BERNOULLI:
        raise ValueError(f"unknown link {link!r} for bernoulli; there are {', '.join(_BERNOULLI)}")
    log_probabilities, mean = _BERNOULLI[link], links.get(link).inverse

    def log_prob(eta, y):
        eta, y = _same_shape(eta, y)
        log_pi, log_not_pi = log_probabilities(eta)
        return y * log_pi + (1 - y) * log_not_pi

    def sample(key, eta):
        return jax.random.bernoulli(key, mean(eta)).astype(jnp.int32)

    def entropy(eta):
        log_pi, log_not_pi = log_probabilities(_floating(eta))
        return -jnp.exp(log_pi) * log_pi - jnp.exp(log_not_pi) * log_not_pi

    def scores(eta, y):
        eta, y = _same_shape(eta, y)
        return {"accuracy": ((mean(eta) >= 0.5) == (y >= 0.5)).astype(eta.dtype)}

    return Family(log_prob, mean, sample, entropy, scores)


def categorical(num_classes: int) -> Family:
    """Categorical over K classes: ``log p(y; eta) = sum_k y_k log pi_k``, ``pi = softmax(eta)``.

    eta [..., K]; y integer classes [...] in 0..K-1, or one-hot (or soft) rows [..., K]. A class
    outside 0..K-1 has log-probability NaN. Notes: Eq. (18), §2.3.

    >>> categorical(2).mean(jnp.array([[0.0, 0.0]])).tolist()
    [[0.5, 0.5]]
    """

    def check(eta):
        eta = _floating(eta)
        if eta.ndim == 0 or eta.shape[-1] != num_classes:
            raise ValueError(f"eta must be [..., {num_classes}], not {eta.shape}")
        return eta

    def is_index(eta, y):
        if y.shape == eta.shape:
            return False
        if y.shape != eta.shape[:-1]:
            raise ValueError(
                f"y must be classes {eta.shape[:-1]} or one-hot rows {eta.shape}, not {y.shape}"
            )
        if not jnp.issubdtype(y.dtype, jnp.integer) and y.dtype != jnp.bool_:
            raise ValueError(f"classes must be integers 0..{num_classes - 1}, not {y.dtype}")
        return True

    def log_prob(eta, y):
        eta, y = check(eta), jnp.asarray(y)
        log_pi = jax.nn.log_softmax(eta)
        if not is_index(eta, y):
            return jnp.sum(y.astype(eta.dtype) * log_pi, axis=-1)
        chosen = y[..., None] == jnp.arange(num_classes)
        return jnp.where(chosen.any(-1), jnp.sum(jnp.where(chosen, log_pi, 0), axis=-1), jnp.nan)

    def mean(eta):
        return links.softmax(check(eta))

    def sample(key, eta):
        return jax.random.categorical(key, check(eta)).astype(jnp.int32)

    def entropy(eta):
        log_pi = jax.nn.log_softmax(check(eta))
        return -jnp.sum(jnp.exp(log_pi) * log_pi, axis=-1)

    def scores(eta, y):
        eta, y = check(eta), jnp.asarray(y)
        label = y if is_index(eta, y) else jnp.argmax(y, axis=-1)
        return {"accuracy": (jnp.argmax(eta, axis=-1) == label).astype(eta.dtype)}

    return Family(log_prob, mean, sample, entropy, scores)


def poisson(link: str = "log") -> Family:
    """Poisson with rate ``lambda = g^-1(f(x))``: ``log p = y log lambda - lambda - log y!``.

    eta [...], y [...] counts (any dtype). With the log link, ``y eta - exp(eta) - log y!``, where
    exp goes on along its tangent beyond exp(39.9) in float32, exp(319) in float64
    (`links.exponential`): finite at any eta, with a gradient that leads back. Notes: §1.4.

    Args:
      link: "log" or "softplus"; ValueError for any other.
    """
    if link not in _LOG_RATE:
        raise ValueError(f"unknown link {link!r} for poisson; there are {', '.join(_LOG_RATE)}")
    log_rate, mean = _LOG_RATE[link], links.get(link).inverse

    def log_prob(eta, y):
        eta, y = _same_shape(eta, y)
        return y * log_rate(eta) - mean(eta) - gammaln(y + 1)

    def sample(key, eta):
        return jax.random.poisson(key, jnp.minimum(mean(eta), 2.0**30))  # counts are int32

    return Family(log_prob, mean, sample, None, _squared_error(mean))


def _logit_log_probabilities(eta):
    return -jax.nn.softplus(-eta), -jax.nn.softplus(eta)


def _probit_log_probabilities(eta):
    return links.log_normal_cdf(eta), links.log_normal_cdf(-eta)


def _cloglog_log_probabilities(eta):
    # log(1 - exp(-r)) = log r - r/2 + r^2/24 - ... where r = exp(eta) is tiny
    small = eta < -15
    rate = links.exponential(jnp.where(small, 0, eta))
    tiny = jnp.exp(jnp.where(small, eta, -15))
    log_pi = jnp.where(small, eta - tiny / 2 + tiny**2 / 24, jnp.log(-jnp.expm1(-rate)))
    return log_pi, -jnp.where(small, tiny, rate)


def _log_softplus(eta):
    # log log(1 + t) = log t - t/2 + 5 t^2/24 - ... where t = exp(eta) is tiny
    small = eta < -15
    tiny = jnp.exp(jnp.where(small, eta, -15))
    return jnp.where(
        small,
        eta - tiny / 2 + 5 * tiny**2 / 24,
        jnp.log(jax.nn.softplus(jnp.where(small, 0, eta))),
    )


_BERNOULLI = {  # eta -> (log pi, log(1 - pi))
    "logit": _logit_log_probabilities,
    "probit": _probit_log_probabilities,
    "cloglog": _cloglog_log_probabilities,
}
_LOG_RATE = {"log": links.identity, "softplus": _log_softplus}


def _squared_error(mean):
    def scores(eta, y):
        mu, y = _same_shape(mean(eta), y)
        return {"squared_error": jnp.square(y - mu)}

    return scores


def _floating(z):
    return jnp.asarray(z, jnp.result_type(z, float))


def _same_shape(eta, y):
    eta, y = _floating(eta), jnp.asarray(y)
    if eta.shape != y.shape:
        raise ValueError(f"eta and y must have one shape, not {eta.shape} and {y.shape}")
    return eta, y.astype(eta.dtype)


def _setting(name, value, eta):
    """A scale or the like in eta's dtype; it may broadcast to eta's shape, never enlarge it."""
    value = jnp.asarray(value, eta.dtype)
    try:
        fits = jnp.broadcast_shapes(value.shape, eta.shape) == eta.shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(f"{name} {value.shape} must broadcast to eta's shape {eta.shape}")
    return value
