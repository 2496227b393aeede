"""Adversarial variational Bayes: a posterior approximation without a density. Notes: §9.4."""

import jax
import jax.numpy as jnp
import optax
from jax import lax

from jaxdl.arrays import counted, masked_mean
from jaxdl.base import Learner, Model, evaluation_key, features
from jaxdl.checks import filled_in, positive_int
from jaxdl.inference.implicit_posterior import drawn, often, score
from jaxdl.models.density_network import DensityNetwork, log_conditional
from jaxdl.models.latent import location_and_log_scale, standard_normal
from jaxdl.models.parts import apply_part, init_parts
from jaxdl.training.adversarial_criteria import CRITERIA
from jaxdl.training.players import Player, learner_of_players


def adversarial_bayes_learner(
    net: DensityNetwork,
    posterior: Model,
    discriminator: Model,
    optimizer: optax.GradientTransformation,
    discriminator_optimizer: optax.GradientTransformation,
    *,
    noise: int,
    contrast: Model | None = None,
    samples: int = 1,
    discriminator_steps: int = 1,
    eval_samples: int = 16,
) -> Learner:
    """Variational inference where q(z|x) is drawn, ``z = f(e, x)``, and its density is not known.

    The bound ``E_q[log p(x|z) + log p(z) - log q(z|x)]`` needs ``log q``. A discriminator that tells
    draws of q(z|x) from those of a known r(z|x) has the best score ``T(x, z) = log q(z|x) - log
    r(z|x)``; it stands in for it. One step is a few of the discriminator's,

    ``l_T = mean softplus(-T(x_n, z_n)) + softplus(T(x_n, r_n))``, z_n ~ q(z|x_n), r_n ~ r(z|x_n),

    and one of the posterior's and the decoder's: ``l = -mean(log p(x_n|z_n) + log p(z_n) -
    log r(z_n|x_n) - T(x_n, z_n))``, through z_n and T, whose parameters stay. At the best T the
    parameters of q have no part in its expected gradient. Source: Mescheder et al. (2017).
    Notes: §9.4 (D-88: it infers latent variables).

    Args:
      net: prior p(z), decoder and family of p(x|z). A known p(x|z) is a decoder without parameters.
      posterior: f, a Model from ``{"x": e [M, E], "condition": x}`` to z [M, K], such as
        ``models.conditioned`` makes; e ~ N(0, I).
      discriminator: T, from ``{"x": z, "condition": x}`` to [M, 1].
      optimizer: of posterior and decoder. discriminator_optimizer: of discriminator and contrast.
      noise: E.
      contrast: None, then r is the prior; or a Model from x to psi [N, 2K] for ``r = N(mu(x),
        sigma(x))``, see ``location_and_log_scale``. It is a player too, and makes r the likeliest
        Normal of q's draws, so that T has only q's deviation from it to learn; T is then given
        ``(z - mu) / sigma`` for z. For posteriors far from the prior: adaptive contrast.
      samples: S, draws of each x.
      discriminator_steps: how many updates it has, on the same batch, for one of the posterior.
      eval_samples: draws of each x for the scores.

    Returns:
      A Learner of batches x [B, ...] with the players "model" (of the parts "posterior" and
      "decoder"), "discriminator" and, if there is one, "contrast". ``predict`` maps ``{"x": e,
      "condition": x}`` to z; for posteriors of many draws see ``sample_posterior``, with
      ``ts.params["model"]["posterior"]``. Scores of each row are ``negative_elbo``,
      ``reconstruction_nll`` and ``kl``, all as good as T is: no bounds, if it is not.

    Raises ValueError for numbers under 1.

    >>> from jaxdl import families, models
    >>> net = DensityNetwork(models.standard_normal(2), models.mlp((2, 3)), families.normal())
    >>> players = [models.conditioned(models.mlp((2 + 3, n))) for n in (2, 1)]
    >>> learner = adversarial_bayes_learner(net, *players, *[optax.sgd(0.1)] * 2, noise=2)
    >>> sorted(learner.init(jax.random.key(0)).params)
    ['discriminator', 'model']
    """
    noise, samples = positive_int("noise", noise), positive_int("samples", samples)
    discriminator_steps = positive_int("discriminator_steps", discriminator_steps)
    rule, standard = CRITERIA["minimax"], standard_normal(net.prior.features)
    parts = {"posterior": posterior, "decoder": net.decoder}

    def draws(params, state, x, key, mask, number=samples, train=True):
        return drawn(key, posterior, params, state, x, noise, number, train=train, mask=mask)

    def reference(ts, x, z, mask, train=True):
        """``(z as T is given it, log r(z|x))``, [S, N, K] and [S, N]."""
        if contrast is None:
            return z, net.prior.log_prob(z)
        mu, s = lax.stop_gradient(contrast_of(ts.params["contrast"], ts, x, None, mask, train)[0])
        z = (z - mu) * jnp.exp(-s)
        return z, standard.log_prob(z) - jnp.sum(s, axis=-1)

    def contrast_of(params, ts, x, key, mask, train):
        psi, state = apply_part(
            "contrast",
            filled_in(contrast),
            {"contrast": params},
            {"contrast": ts.state["contrast"]},
            x,
            key=key,
            train=train,
            mask=mask,
        )
        return location_and_log_scale(psi), state

    def contrast_loss(params, ts, batch, key, mask):
        keys = jax.random.split(key)
        x = counted(jnp.asarray(features(batch)), mask)
        z, _ = draws(ts.params["model"], ts.state["model"], x, keys[0], mask)
        (mu, s), state = contrast_of(params, ts, x, keys[1], mask, True)
        deviation = (lax.stop_gradient(z) - mu) * jnp.exp(-s)
        nll = jnp.mean(jnp.sum(jnp.square(deviation) / 2 + s, axis=-1), axis=0)
        return masked_mean(nll, mask), state

    def judge(params, state, z, x, key, mask, train=True):
        how = {"key": key, "train": train, "mask": mask}
        return score(
            "discriminator",
            discriminator,
            {"discriminator": params},
            {"discriminator": state},
            z,
            x,
            **how,
        )

    def discriminator_loss(params, ts, batch, key, mask):
        keys = jax.random.split(key, 4)
        x = counted(jnp.asarray(features(batch)), mask)
        z, _ = draws(ts.params["model"], ts.state["model"], x, keys[0], mask)
        z, _ = reference(ts, x, lax.stop_gradient(z), mask)
        if contrast is None:
            other = net.prior.sample(keys[1], z.shape[0] * z.shape[1]).reshape(z.shape)
        else:
            other = jax.random.normal(keys[1], z.shape, z.dtype)
        of_q, own = judge(params, ts.state["discriminator"], z, x, keys[2], mask)
        of_r, own = judge(params, own, other, x, keys[3], mask)
        return masked_mean(jnp.mean(rule.real(of_q) + rule.fake(of_r), axis=0), mask), own

    def bound(params, ts, x, key, mask, number, train):
        """``(log p(x|z), log q(z|x) - log p(z))`` of S draws, [S, N] each, and the new state."""
        keys = jax.random.split(key, 3)
        state = ts.state["model"]
        z, own = draws(params, state, x, keys[0], mask, number, train)
        eta, of_decoder = apply_part(
            "decoder",
            net.decoder,
            params,
            state,
            z.reshape(-1, z.shape[-1]),
            key=keys[1],
            train=train,
            mask=None if mask is None else often(mask, number),
        )
        log_p = log_conditional(net.family, eta, often(x, number)).reshape(z.shape[:2])
        seen, log_r = reference(ts, x, z, mask, train)
        who = ts.params["discriminator"], ts.state["discriminator"]
        ratio, _ = judge(*who, seen, x, keys[2], mask, train)
        new = {name: part for name, part in (("posterior", own), ("decoder", of_decoder)) if part}
        return log_p, ratio + log_r - net.prior.log_prob(z), {**state, **new}

    def model_loss(params, ts, batch, key, mask):
        x = counted(jnp.asarray(features(batch)), mask)
        log_p, divergence, state = bound(params, ts, x, key, mask, samples, True)
        return masked_mean(jnp.mean(divergence - log_p, axis=0), mask), state

    def predict(ts, x):
        return apply_part("posterior", posterior, ts.params["model"], ts.state["model"], x)[0]

    def evaluate(ts, batch):
        x = jnp.asarray(features(batch))
        key = evaluation_key(ts.key)
        log_p, kl, _ = bound(ts.params["model"], ts, x, key, None, eval_samples, False)
        nll, kl = -jnp.mean(log_p, axis=0), jnp.mean(kl, axis=0)
        return {"negative_elbo": nll + kl, "reconstruction_nll": nll, "kl": kl}

    players = {
        "discriminator": Player(
            discriminator.init, discriminator_optimizer, discriminator_loss, discriminator_steps
        ),
        "model": Player(lambda key: init_parts(key, parts), optimizer, model_loss),
    }
    if contrast is not None:
        own = Player(contrast.init, discriminator_optimizer, contrast_loss, discriminator_steps)
        players = {"contrast": own, **players}
    return learner_of_players(players, predict, evaluate, loss="model")
