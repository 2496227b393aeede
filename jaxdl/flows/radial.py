"""Radial flows: draw space towards a point, or push it away."""

import jax
import jax.numpy as jnp

from jaxdl.arrays import norm
from jaxdl.base import Bijector
from jaxdl.checks import positive_int
from jaxdl.flows.events import check_event
from jaxdl.flows.scalar_maps import inverse_softplus


def radial(dim: int) -> Bijector:
    """``x = z + beta (z - c) / (alpha + r)`` with ``r = |z - c|``.

    With ``s = alpha + beta``,
    ``|det| = ((s + r) / (alpha + r))^(D - 1) (s alpha + 2 alpha r + r^2) / (alpha + r)^2``.
    It is invertible where alpha and s are positive: they are softplus of ``alpha`` and ``reach``.
    The inverse has a closed form: ``|x - c| = r (s + r) / (alpha + r)`` is a quadratic in r.

    Params are ``centre`` [dim], drawn from N(0, I), ``alpha`` and ``reach`` [], which agree at
    first: the identity. Source: Rezende and Mohamed (2015), §4.1 and appendix A.

    >>> layer = radial(2)
    >>> params = layer.init(jax.random.key(0))
    >>> x, log_det = layer.forward(params, jnp.array([1.0, 2.0]))
    >>> x.round(4).tolist(), abs(round(log_det.item(), 4))
    ([1.0, 2.0], 0.0)
    """
    dim = positive_int("dim", dim)

    def init(key, x=None):
        del x
        one = jnp.asarray(inverse_softplus(1.0))
        return {"centre": jax.random.normal(key, (dim,)), "alpha": one, "reach": one}

    def parts(params, value):
        difference = check_event(value, (dim,)) - params["centre"]
        distance = norm(difference, axis=-1)
        return difference, distance, *map(jax.nn.softplus, (params["alpha"], params["reach"]))

    def log_det(r, alpha, s):
        across = jnp.log(s + r) - jnp.log(alpha + r)
        along = jnp.log(s * alpha + 2 * alpha * r + r * r) - 2 * jnp.log(alpha + r)
        return (dim - 1) * across + along

    def forward(params, z):
        difference, r, alpha, s = parts(params, z)
        x = params["centre"] + difference * ((s + r) / (alpha + r))[..., None]
        return x, log_det(r, alpha, s)

    def inverse(params, x):
        difference, y, alpha, s = parts(params, x)
        b = s - y  # r^2 + b r - alpha y = 0
        root = jnp.sqrt(b * b + 4 * alpha * y)
        # Of the two forms of the root, the one that does not cancel.
        near = 2 * alpha * y / jnp.where(b > 0, b + root, 1)
        r = jnp.where(b > 0, near, 0.5 * (root - b))
        z = params["centre"] + difference * ((alpha + r) / (s + r))[..., None]
        return z, -log_det(r, alpha, s)

    return Bijector(init, forward, inverse)
