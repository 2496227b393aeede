"""Mixtures of a family's distributions, as mixture density networks give them. Notes: §1.3, §9.2."""

import math

import jax
import jax.numpy as jnp

from jaxdl.arrays import floating
from jaxdl.base import Family
from jaxdl.checks import positive_int, same_shape


def mixture(family: Family, num_components: int, eta_shape: tuple[int, ...] = ()) -> Family:
    """``p(y; eta) = sum_c pi_c p(y; eta_c)`` with ``pi = softmax(l)``; of a network's eta, a mixture
    density network. Source: Bishop (1994).

    eta is [..., C (1 + P)], as an ``mlp`` gives it: for each of the C components its logit l_c and
    the P numbers of eta_c. ``log p`` is a log-sum-exp, finite where every component's density
    underflows. ``mean`` is ``sum_c pi_c E[y; eta_c]``, which may lie where no y ever does; there is
    no closed entropy.

    Args:
      family: of each component, of real responses or counts; one value, [...], or with ``independent(family)`` a row [..., D],
        whose values are then dependent through the component.
      num_components: C.
      eta_shape: of one component's eta, whose product is P: () for families of one number,
        ``normal(scale)`` say, (2,) for ``heteroskedastic_normal()``, and (D, 2) for
        ``independent(heteroskedastic_normal())``.

    Raises ValueError where eta has another number of features.

    >>> from jaxdl import families
    >>> two = mixture(families.normal(1.0), 2)
    >>> two.mean(jnp.array([0.0, -1.0, 0.0, 3.0])).item()
    1.0
    """
    count = positive_int("num_components", num_components)
    eta_shape = tuple(positive_int("eta_shape", n) for n in eta_shape)
    width = count * (1 + math.prod(eta_shape))

    def split(eta):
        """``log pi`` [..., C] and eta_c [..., C, *eta_shape]."""
        eta = floating(eta)
        if eta.ndim == 0 or eta.shape[-1] != width:
            raise ValueError(
                f"eta must be [..., {width}], {count} components of a logit and "
                f"{math.prod(eta_shape)} more, not {eta.shape}"
            )
        eta = eta.reshape(*eta.shape[:-1], count, width // count)
        components = eta[..., 1:].reshape(*eta.shape[:-1], *eta_shape)
        return jax.nn.log_softmax(eta[..., 0], axis=-1), components

    def log_prob(eta, y):
        log_pi, components = split(eta)
        lead = log_pi.ndim - 1
        y = jnp.asarray(y)
        if y.shape[:lead] != log_pi.shape[:-1]:
            raise ValueError(f"y must be {log_pi.shape[:-1]} or rows of them, not {y.shape}")
        each = jnp.broadcast_to(jnp.expand_dims(y, lead), (*y.shape[:lead], count, *y.shape[lead:]))
        log_p = family.log_prob(components, each)
        if log_p.shape != log_pi.shape:
            raise ValueError(
                f"one component must give one value for each y, {log_pi.shape[:-1]}, but gives "
                f"{(*log_p.shape[:lead], *log_p.shape[lead + 1 :])}; see families.independent"
            )
        return jax.nn.logsumexp(log_pi + log_p, axis=-1)

    def mean(eta):
        log_pi, components = split(eta)
        means = family.mean(components)
        pi = jnp.exp(log_pi).reshape(*log_pi.shape, *(1,) * (means.ndim - log_pi.ndim))
        return jnp.sum(pi * means, axis=log_pi.ndim - 1)

    def sample(key, eta):
        log_pi, components = split(eta)
        which_key, y_key = jax.random.split(key)
        drawn = family.sample(y_key, components)
        which = jax.random.categorical(which_key, log_pi)
        which = which.reshape(*which.shape, *(1,) * (drawn.ndim - which.ndim))
        return jnp.take_along_axis(drawn, which, axis=log_pi.ndim - 1).squeeze(log_pi.ndim - 1)

    def scores(eta, y):
        """Squared errors of the mixture's mean, averaged over a row's values."""
        mu, y = same_shape(mean(eta), y, "eta and y")
        error = jnp.square(y.astype(mu.dtype) - mu)
        lead = jnp.ndim(eta) - 1
        return {"squared_error": jnp.mean(error, axis=tuple(range(lead, error.ndim)))}

    return Family(log_prob, mean, sample, None, scores, family.responses)
