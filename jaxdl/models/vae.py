"""Variational autoencoders: a density network and a network that infers its latents. Notes: §9.2.

Wherever x is an array [N, ...] it may be a dict ``{"x": x, "condition": c [N, ...]}`` instead: then
the encoder is given that dict and the decoder ``{"x": z, "condition": c}``, a conditional VAE
(``models.conditioned`` makes such models of others).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.arrays import counted
from jaxdl.base import Array, Family, Key, Model, Params, State
from jaxdl.checks import one_of, positive_int
from jaxdl.divergences import MonteCarlo, log_mean_exp
from jaxdl.models.density_network import log_conditional
from jaxdl.models.latent import Posterior, Prior, normal_posterior
from jaxdl.models.normalizations import without_empty
from jaxdl.models.parts import apply_part, init_parts, keys_of


class VAE(NamedTuple):
    """``z ~ p(z)``, ``x ~ p(x|z)`` and ``q(z; psi(x)) ~ p(z|x)``. Notes: Eqs. (49), (50), §9.2.

    Source: Kingma and Welling (2014); Rezende et al. (2014).

    prior: of z [K], a ``Prior`` such as ``standard_normal(K)``.
    encoder: from x [N, ...] to psi(x) [N, 2K], two linear heads (D-84); ``mlp((64, 32, 2 * K))``.
    decoder: from z [N, K] to eta [N, ...]; ``mlp((K, 32, 64))``.
    family: of x given eta; of single values, multiplied over those of a row, or of whole rows.
    posterior: what q is, given psi.
    """

    prior: Prior
    encoder: Model
    decoder: Model
    family: Family
    posterior: Posterior = normal_posterior()


class Elbo(NamedTuple):
    """The evidence lower bound of each x, [N], and its two parts.

    value: ``reconstruction - kl_weight * kl``, at most log p(x) in expectation for the weight 1.
    reconstruction: ``E_q[log p(x|z)]``. kl: ``KLD[q(z; psi(x)) || p(z)]``.
    """

    value: Array
    reconstruction: Array
    kl: Array


class Draws(NamedTuple):
    """The logarithms of ``p(x|z_s)``, ``p(z_s)`` and ``q(z_s; psi(x))``, [S, N] each."""

    likelihood: Array
    prior: Array
    posterior: Array

    @property
    def log_weights(self) -> Array:
        """``log p(x, z_s) / q(z_s; psi(x))``, [S, N]."""
        return self.likelihood + self.prior - self.posterior


def as_model(vae: VAE) -> Model:
    """The VAE as an autoencoder: from x to eta of the representative latent point of each.

    Params are ``{"encoder", "decoder", "posterior"}``, those that there are. The state is that of
    the networks, and ``"step"``, how many training losses were taken: a KL weight may be annealed
    by it.

    >>> from jaxdl import families, models
    >>> nets = models.mlp((5, 4)), models.mlp((2, 5))
    >>> model = as_model(VAE(models.standard_normal(2), *nets, families.normal()))
    >>> model.apply(*model.init(jax.random.key(0)), jnp.ones((3, 5)))[0].shape
    (3, 5)
    """

    def init(key):
        key, own_key = jax.random.split(key)
        params, state = init_parts(key, {"encoder": vae.encoder, "decoder": vae.decoder})
        params = without_empty({**params, "posterior": vae.posterior.init(own_key)})
        return params, {**state, "step": jnp.zeros((), jnp.int32)}

    def apply(params, state, x, *, key=None, train=False, mask=None):
        keys = keys_of(key, 2)
        psi, encoder_state = apply_part(
            "encoder", vae.encoder, params, state, x, key=keys[0], train=train, mask=mask
        )
        z = vae.posterior.mean(params.get("posterior", {}), psi)
        eta, decoder_state = apply_part(
            "decoder",
            vae.decoder,
            params,
            state,
            _with(_condition(x), z),
            key=keys[1],
            train=train,
            mask=mask,
        )
        return eta, _state(state, encoder_state, decoder_state)

    return Model(init, apply, sees_mask=True)


def encode(vae: VAE, params: Params, state: State, x: Any) -> Array:
    """psi(x), the parameters of q(z; psi(x)): [N, 2K] for a Normal. Notes: Eq. (50), §9.2."""
    return apply_part("encoder", vae.encoder, params, state, x, train=False)[0]


def decode(vae: VAE, params: Params, state: State, z: Array, condition: Any = None) -> Array:
    """eta of each z [N, K]; the family's ``mean`` and ``sample`` make x of it."""
    x = _with(condition, z)
    return apply_part("decoder", vae.decoder, params, state, x, train=False)[0]


def reconstruct(vae: VAE, params: Params, state: State, x: Any) -> Array:
    """``E[x|z]`` for the representative z of each x (mu, for a Normal), of x's shape."""
    z = vae.posterior.mean(params.get("posterior", {}), encode(vae, params, state, x))
    return vae.family.mean(decode(vae, params, state, z, _condition(x)))


def sample(
    key: Key,
    vae: VAE,
    params: Params,
    state: State,
    n: int,
    *,
    condition: Any = None,
    noise: bool = True,
) -> Array:
    """n draws of x: ``z ~ p(z)``, then ``x ~ p(x|z)``, or ``E[x|z]`` without ``noise``.

    ``condition`` [n, ...] is what each of them is drawn for, by a conditional VAE.
    """
    z_key, x_key = jax.random.split(key)
    eta = decode(vae, params, state, vae.prior.sample(z_key, n), condition)
    return vae.family.sample(x_key, eta) if noise else vae.family.mean(eta)


def elbo(
    key: Key,
    vae: VAE,
    params: Params,
    state: State,
    x: Any,
    *,
    samples: int = 1,
    kl: str = "closed",
    kl_weight: float | Array = 1.0,
) -> Elbo:
    """The evidence lower bound of each x, by S = ``samples`` draws ``z_s = r(e_s; psi(x))``:

    ``log p(x) >= 1/S sum_s log p(x|z_s) - KLD[q(z; psi(x)) || p(z)]``, in expectation over e; equal
    where q is the posterior, which a Normal q with a diagonal covariance seldom can be.
    Notes: Eq. (51), §9.2; the loss is minus its mean over x (D-86).

    Args:
      key: consumed.
      x: [N, ...].
      kl: "closed", or "monte_carlo" for ``1/S sum_s log q(z_s) / p(z_s)``, for any prior and
        posterior. At the exact posterior the latter's noise cancels that of the first term.
      kl_weight: of the divergence, 1 for the bound; may be traced.

    Raises ValueError where "closed" is asked for and there is no closed form.
    """
    return drawn_elbo(key, vae, params, state, x, samples=samples, kl=kl, kl_weight=kl_weight)[0]


def iwae(key: Key, vae: VAE, params: Params, state: State, x: Any, *, samples: int) -> Array:
    """The importance-weighted bound ``log 1/S sum_s p(x, z_s) / q(z_s; psi(x))`` of each x, [N].

    In expectation it is at most log p(x), rises with S, and is the ELBO for S = 1.
    Source: Burda et al. (2016).
    """
    draws, _, _ = draw(key, vae, params, state, x, samples)
    return log_mean_exp(draws.log_weights).mean


def log_likelihood(
    key: Key,
    vae: VAE,
    params: Params,
    state: State,
    x: Any,
    *,
    samples: int = 1000,
    chunk: int | None = None,
) -> MonteCarlo:
    """``log p(x)`` of each x by importance sampling from q, and its standard error; [N] each.

    ``chunk`` is how many draws are handled at once, all by default; it changes no draw.
    """
    numbers = jnp.arange(positive_int("samples", samples))
    psi = encode(vae, params, state, x)

    def one(number):
        own = jax.random.fold_in(key, number)
        z, log_q = vae.posterior.draw(own, params.get("posterior", {}), psi, 1)
        eta = decode(vae, params, state, z[0], _condition(x))
        return log_conditional(vae.family, eta, _target(x)) + (vae.prior.log_prob(z) - log_q)[0]

    return log_mean_exp(jax.lax.map(one, numbers, batch_size=chunk or samples))


def drawn_elbo(
    key,
    vae,
    params,
    state,
    x,
    *,
    samples=1,
    kl="closed",
    kl_weight: float | Array = 1.0,
    train=False,
    mask=None,
) -> tuple[Elbo, Draws, State]:
    """``elbo`` as training needs it: with the draws that it was made of, and the new state."""
    one_of("kl", kl, ("closed", "monte_carlo"))
    draws, psi, state = draw(key, vae, params, state, x, samples, train=train, mask=mask)
    divergence = jnp.mean(draws.posterior - draws.prior, axis=0)
    if kl == "closed":
        divergence = vae.posterior.kl(params.get("posterior", {}), psi, vae.prior)
        if divergence is None:
            raise ValueError(
                "there is no closed form of the divergence of this posterior from this prior: "
                'kl="monte_carlo"'
            )
    reconstruction = jnp.mean(draws.likelihood, axis=0)
    value = reconstruction - kl_weight * divergence
    return Elbo(value, reconstruction, divergence), draws, state


def draw(
    key, vae, params, state, x, samples, *, train=False, mask=None
) -> tuple[Draws, Array, State]:
    """S latent points of each x, ``(Draws, psi(x), state)``; all of them are decoded at once."""
    noise_key, *keys = jax.random.split(key, 3)
    how = {"train": train}
    # A NaN in a row that is left out would have gradients.
    x = jax.tree.map(lambda part: counted(jnp.asarray(part), mask), x)
    psi, encoder_state = apply_part(
        "encoder", vae.encoder, params, state, x, key=keys[0], mask=mask, **how
    )
    samples = positive_int("samples", samples)
    z, log_q = vae.posterior.draw(noise_key, params.get("posterior", {}), psi, samples)
    often = lambda a: jnp.tile(a, (samples, *(1,) * (jnp.ndim(a) - 1)))
    flat = _with(jax.tree.map(often, _condition(x)), z.reshape(-1, z.shape[-1]))
    rows = None if mask is None else often(mask)
    eta, decoder_state = apply_part(
        "decoder", vae.decoder, params, state, flat, key=keys[1], mask=rows, **how
    )
    log_p = log_conditional(vae.family, eta, often(_target(x))).reshape(log_q.shape)
    new = _state(state, encoder_state, decoder_state)
    return Draws(log_p, vae.prior.log_prob(z), log_q), psi, new


def _target(x):
    return jnp.asarray(x["x"] if isinstance(x, dict) else x)


def _condition(x):
    return x["condition"] if isinstance(x, dict) else None


def _with(condition, z):
    return z if condition is None else {"x": z, "condition": condition}


def _state(old, encoder_state, decoder_state):
    new = without_empty({"encoder": encoder_state, "decoder": decoder_state})
    return {**old, **new}
