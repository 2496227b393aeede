"""What elementwise families share: shapes that agree, settings that broadcast, scores."""

import jax.numpy as jnp

from jaxdl.arrays import floating
from jaxdl.checks import same_shape


def squared_error_scores(mean):
    """The scores of a family of real responses or counts: ``(y - E[y])^2`` of each."""

    def scores(eta, y):
        mu, y = matched(mean(eta), y)
        return {"squared_error": jnp.square(y - mu)}

    return scores


def matched(eta, y):
    """eta and y [...] in eta's dtype. Raises a ValueError where their shapes differ."""
    eta, y = same_shape(floating(eta), y, "eta and y")
    return eta, y.astype(eta.dtype)


def setting_like(name, value, eta):
    """A scale or the like in eta's dtype; it may broadcast to eta's shape, never enlarge it."""
    value = jnp.asarray(value, eta.dtype)
    try:
        fits = jnp.broadcast_shapes(value.shape, eta.shape) == eta.shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(f"{name} {value.shape} must broadcast to eta's shape {eta.shape}")
    return value
