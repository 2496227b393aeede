"""Distributions of labels and counts: Bernoulli, categorical, Poisson. Notes: §1.4, §2.3."""

import jax
import jax.numpy as jnp

from jaxdl import special
from jaxdl.arrays import floating
from jaxdl.base import Family, Responses
from jaxdl.checks import one_of
from jaxdl.families import links
from jaxdl.families.elementwise import matched, squared_error_scores


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
    one_of("the link of bernoulli", link, _BERNOULLI)
    log_probabilities, mean = _BERNOULLI[link], links.get(link).inverse

    def log_prob(eta, y):
        eta, y = matched(eta, y)
        log_pi, log_not_pi = log_probabilities(eta)
        return special.times_log(y, log_pi) + special.times_log(1 - y, log_not_pi)

    def sample(key, eta):
        return jax.random.bernoulli(key, mean(eta)).astype(jnp.int32)

    def entropy(eta):
        log_pi, log_not_pi = log_probabilities(floating(eta))
        one, zero = (special.times_log(jnp.exp(v), v) for v in (log_pi, log_not_pi))
        return -(one + zero)

    def scores(eta, y):
        eta, y = matched(eta, y)
        return {"accuracy": ((mean(eta) >= 0.5) == (y >= 0.5)).astype(eta.dtype)}

    return Family(log_prob, mean, sample, entropy, scores, Responses("labels", 0, 1))


def categorical(num_classes: int) -> Family:
    """Categorical over K classes: ``log p(y; eta) = sum_k y_k log pi_k``, ``pi = softmax(eta)``.

    eta [..., K]; y integer classes [...] in 0..K-1, or one-hot (or soft) rows [..., K]. A class
    outside 0..K-1 has log-probability NaN. Notes: L418, Eq. (18), §2.3.

    >>> categorical(2).mean(jnp.array([[0.0, 0.0]])).tolist()
    [[0.5, 0.5]]
    """

    def check(eta):
        eta = floating(eta)
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
        log_pi = special.log_softmax(eta)
        if not is_index(eta, y):
            return jnp.sum(special.times_log(y.astype(eta.dtype), log_pi), axis=-1)
        chosen = y[..., None] == jnp.arange(num_classes)
        return jnp.where(chosen.any(-1), jnp.sum(jnp.where(chosen, log_pi, 0), axis=-1), jnp.nan)

    def mean(eta):
        return links.softmax(check(eta))

    def sample(key, eta):
        return jax.random.categorical(key, check(eta)).astype(jnp.int32)

    def entropy(eta):
        log_pi = special.log_softmax(check(eta))
        return -jnp.sum(special.times_log(jnp.exp(log_pi), log_pi), axis=-1)

    def scores(eta, y):
        eta, y = check(eta), jnp.asarray(y)
        label = y if is_index(eta, y) else jnp.argmax(y, axis=-1)
        return {"accuracy": (jnp.argmax(eta, axis=-1) == label).astype(eta.dtype)}

    labels = Responses("labels", 0, num_classes - 1)
    return Family(log_prob, mean, sample, entropy, scores, labels)


def poisson(link: str = "log") -> Family:
    """Poisson with rate ``lambda = g^-1(f(x))``: ``log p = y log lambda - lambda - log y!``.

    eta [...], y [...] counts (any dtype). With the log link, ``y eta - exp(eta) - log y!``, where
    exp goes on along its tangent beyond exp(39.9) in float32, exp(319) in float64
    (`links.exponential`): finite there, with a gradient that leads back. Large counts and rates
    keep their digits (`special.poisson_log_mass`). Notes: §1.4.

    Args:
      link: "log" or "softplus"; ValueError for any other.
    """
    one_of("the link of poisson", link, _LOG_RATE)
    log_rate, mean = _LOG_RATE[link], links.get(link).inverse

    def log_prob(eta, y):
        eta, y = matched(eta, y)
        return special.poisson_log_mass(y, mean(eta), log_rate(eta))

    def sample(key, eta):
        return jax.random.poisson(key, jnp.minimum(mean(eta), 2.0**30))  # counts are int32

    counts = Responses("counts", low=0)
    return Family(log_prob, mean, sample, None, squared_error_scores(mean), counts)


def _logit_log_probabilities(eta):
    return -jax.nn.softplus(-eta), -jax.nn.softplus(eta)


def _probit_log_probabilities(eta):
    return links.log_normal_cdf(eta), links.log_normal_cdf(-eta)


def _cloglog_log_probabilities(eta):
    # log(1 - exp(-r)) = log r - r/2 + r^2/24 - ... where r = exp(eta) is tiny
    small = eta < -15
    rate = links.exponential(jnp.where(small, 0, eta))
    tiny = jnp.exp(jnp.where(small, eta, -15))
    series = eta - tiny / 2 + tiny**2 / 24
    low = rate < 0.7  # on either side the logarithm of what is not near 1
    lower = jnp.log(-jnp.expm1(-jnp.where(low, rate, 0.7)))
    upper = jnp.log1p(-jnp.exp(-jnp.where(low, 0.7, rate)))
    log_pi = jnp.where(small, series, jnp.where(low, lower, upper))
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

_LOG_RATE = {"log": links.log_exponential, "softplus": _log_softplus}
