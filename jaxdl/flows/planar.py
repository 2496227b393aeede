"""Planar flows: stretch space along one direction, across one plane."""

import jax
import jax.numpy as jnp

from jaxdl.base import Bijector
from jaxdl.checks import positive_int
from jaxdl.flows.events import check_event
from jaxdl.flows.roots import increasing_root
from jaxdl.flows.scalar_maps import inverse_softplus


def planar(dim: int) -> Bijector:
    """``x = z + v tanh(w'z + b)`` with ``|det| = 1 + w'v (1 - tanh^2(w'z + b))``.

    It is invertible where ``w'v > -1``, so v is u with its part along w changed to make
    ``w'v = softplus(w'u + c) - 1``; c is such that u = 0, its start, gives v = 0: the identity.

    The inverse has no closed form, but is the root of an increasing function of one number,
    ``w'x = a + w'v tanh(a + b)`` for ``a = w'z``: by bisection. Both directions are quick.

    Params are ``w`` and ``u`` [dim] and ``bias`` []. Source: Rezende and Mohamed (2015), §4.1
    and appendix A.

    >>> layer = planar(2)
    >>> params = layer.init(jax.random.key(0))
    >>> x, log_det = layer.forward(params, jnp.array([1.0, 2.0]))
    >>> x.round(4).tolist(), abs(round(log_det.item(), 4))
    ([1.0, 2.0], 0.0)
    """
    dim = positive_int("dim", dim)
    offset = inverse_softplus(1.0)

    def init(key, x=None):
        del x
        w = jax.random.normal(key, (dim,)) / jnp.sqrt(dim)
        return {"w": w, "u": jnp.zeros(dim), "bias": jnp.zeros(())}

    def stretch(params):
        """v, and 1 + w'v, which is positive."""
        w, u = params["w"], params["u"]
        along = w @ u
        most = jax.nn.softplus(along + offset)
        square = w @ w
        return u + (most - 1 - along) * w / jnp.maximum(square, jnp.finfo(w.dtype).tiny), most

    def log_det(params, a, most):
        bend = jnp.tanh(a + params["bias"])
        # 1 + (most - 1) (1 - bend^2), without a difference of two large numbers.
        return bend, jnp.log(bend**2 + most * (1 - bend**2))

    def forward(params, z):
        z = check_event(z, (dim,))
        v, most = stretch(params)
        bend, log_slope = log_det(params, z @ params["w"], most)
        return z + bend[..., None] * v, log_slope

    def inverse(params, x):
        x = check_event(x, (dim,))
        v, most = stretch(params)
        target = x @ params["w"]
        f = lambda a: a + (most - 1) * jnp.tanh(a + params["bias"]) - target
        reach = jnp.abs(most - 1)
        a = increasing_root(f, target - reach, target + reach)
        bend, log_slope = log_det(params, a, most)
        z = x - bend[..., None] * v
        # The difference rounds where both are large; along w, where it matters, a is exact.
        w = params["w"]
        off = (a - z @ w) / jnp.maximum(jnp.sum(w**2), jnp.finfo(w.dtype).tiny)
        return z + off[..., None] * w, -log_slope

    return Bijector(init, forward, inverse)
