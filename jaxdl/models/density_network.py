"""Density networks: data from latent variables through a network. Notes: §9.2."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.base import Array, Family, Key, Model, Params, State
from jaxdl.checks import positive_int
from jaxdl.divergences import MonteCarlo, log_mean_exp
from jaxdl.models.latent import Prior


class DensityNetwork(NamedTuple):
    """``z ~ p(z)``, ``x ~ p(x|z)``, ``E[x|z] = g^-1(f(z))``. Notes: Eq. (49), §9.2.

    Source: MacKay and Gibbs (1999).

    prior: of z [K], a ``Prior`` such as ``standard_normal(K)``.
    decoder: the network f, from z [N, K] to eta [N, ...]; its parameters are the density network's.
    family: of x given eta; of single values, multiplied over those of a row, or of whole rows.
    """

    prior: Prior
    decoder: Model
    family: Family


def sample(
    key: Key, net: DensityNetwork, params: Params, state: State, n: int, *, noise: bool = True
) -> Array:
    """n draws of x: ``z ~ p(z)``, then ``x ~ p(x|z)``, or ``E[x|z]`` without ``noise``.

    >>> from jaxdl import families, models
    >>> decoder = models.mlp((2, 8, 5))
    >>> net = DensityNetwork(models.standard_normal(2), decoder, families.bernoulli())
    >>> sample(jax.random.key(1), net, *decoder.init(jax.random.key(0)), 3).shape
    (3, 5)
    """
    z_key, x_key = jax.random.split(key)
    eta, _ = net.decoder.apply(params, state, net.prior.sample(z_key, n))
    return net.family.sample(x_key, eta) if noise else net.family.mean(eta)


def log_conditional(family: Family, eta: Array, x: Array) -> Array:
    """``log p(x; eta)``, [N]: of a family of single values its sum over those of each row.

    Raises ValueError where the family gives no value for each row.
    """
    values = family.log_prob(eta, x)
    if values.shape[:1] != x.shape[:1]:
        raise ValueError(f"there are {x.shape[0]} rows in x, but log-probabilities {values.shape}")
    return jnp.sum(values, axis=range(1, values.ndim))


def log_weights(net: DensityNetwork, params: Params, state: State, z: Array, x: Array) -> Array:
    """``log p(x_n | z_s)`` of each x with each z, [S, N] for z [S, K] and x [N, ...].

    The network runs on the S latent points only, whatever N is.
    """
    eta, _ = net.decoder.apply(params, state, z)
    alike = lambda eta: jnp.broadcast_to(eta, (x.shape[0], *eta.shape))
    return jax.vmap(lambda eta: log_conditional(net.family, alike(eta), x))(eta)


def log_likelihood(
    key: Key,
    net: DensityNetwork,
    params: Params,
    state: State,
    x: Array,
    *,
    samples: int = 1000,
    chunk: int | None = None,
) -> MonteCarlo:
    """``log p(x) ~ log 1/S sum_s p(x|z_s)`` with ``z_s ~ p(z)``, and its standard error; [N] each.

    All x share the draws, as in MacKay and Gibbs (1999). Its expectation is at most log p(x); in
    many dimensions few draws explain an x and the standard error says so: there a proposal for each
    x is needed, see ``vae.log_likelihood``. Notes: Eq. (49), the first line of Eq. (51), §9.2.

    Args:
      key: consumed.
      x: [N, ...].
      samples: S.
      chunk: how many draws are handled at once, all by default; it changes no draw.
    """
    numbers = jnp.arange(positive_int("samples", samples))

    def one(number):
        z = net.prior.sample(jax.random.fold_in(key, number), 1)
        return log_weights(net, params, state, z, x)[0]

    return log_mean_exp(jax.lax.map(one, numbers, batch_size=chunk or samples))
