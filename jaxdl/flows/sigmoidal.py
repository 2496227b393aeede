"""The maps of neural autoregressive flows: small networks of one variable that only increase."""

import jax
import jax.numpy as jnp

from jaxdl.checks import positive_int
from jaxdl.flows.roots import increasing_root
from jaxdl.flows.scalar_maps import ScalarMap, inverse_softplus


def sigmoidal_map(units: int = 8) -> ScalarMap:
    """``x = logit(sum_k w_k sigmoid(a_k z + b_k))``, with a_k > 0 and w a point of the simplex.

    ``maf(D, scalar_map=sigmoidal_map())`` is a neural autoregressive flow, here from z to x; with
    ``invert``, or in ``iaf``, the network reads the other side. theta [..., 3 units] are ``b``,
    ``a`` through softplus and ``w`` through softmax; ``theta = 0`` is a little steeper than the
    identity, for the offsets are spread at first, or all units would stay alike.

    The inverse is found by bisection, in one loop.
    Source: Huang et al. (2018), deep sigmoidal flow.

    >>> bend = sigmoidal_map(4)
    >>> theta = jnp.linspace(-1, 1, bend.num_parameters)
    >>> z, _ = bend.inverse(theta, bend.forward(theta, jnp.array(0.5))[0])
    >>> round(z.item(), 4)
    0.5
    """
    units = positive_int("units", units)
    one = inverse_softplus(1 - 1e-3)

    def parts(theta):
        spread = jnp.linspace(-2.0, 2.0, units) if units > 1 else jnp.zeros(1)
        b = theta[..., :units] + spread.astype(theta.dtype)
        a = 1e-3 + jax.nn.softplus(theta[..., units : 2 * units] + one)
        return a, b, jax.nn.log_softmax(theta[..., 2 * units :], axis=-1)

    def value(theta, z):
        """x, and log S and log (1 - S) of the mixture S of sigmoids."""
        a, b, log_w = parts(theta)
        c = a * z[..., None] + b
        inside = jax.nn.logsumexp(log_w + jax.nn.log_sigmoid(c), axis=-1)
        outside = jax.nn.logsumexp(log_w + jax.nn.log_sigmoid(-c), axis=-1)
        return inside - outside, inside, outside

    def log_slope(theta, z, inside, outside):
        a, b, log_w = parts(theta)
        c = a * z[..., None] + b
        each = log_w + jnp.log(a) + jax.nn.log_sigmoid(c) + jax.nn.log_sigmoid(-c)
        return jax.nn.logsumexp(each, axis=-1) - inside - outside

    def forward(theta, z):
        x, inside, outside = value(theta, z)
        return x, log_slope(theta, z, inside, outside)

    def inverse(theta, x):
        a, b, _ = parts(theta)
        # Each unit alone would have its root here; that of the mixture lies between them.
        alone = (x[..., None] - b) / a
        f = lambda z: value(theta, z)[0] - x
        z = increasing_root(f, jnp.min(alone, axis=-1), jnp.max(alone, axis=-1))
        return z, -forward(theta, z)[1]

    return ScalarMap(3 * units, forward, inverse)
