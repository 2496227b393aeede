"""Two players in one learner: a generator that draws samples, and a discriminator. Notes: §9.4."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax

from jaxdl.arrays import counted, masked_mean, num_rows
from jaxdl.base import Array, Learner, Model, evaluation_key, features
from jaxdl.checks import positive_int
from jaxdl.metrics.sample_distances import distances
from jaxdl.training.adversarial_criteria import Criterion, find_criterion, gradient_penalty
from jaxdl.training.players import Player, learner_of_players


def adversarial_learner(
    generator: Model,
    discriminator: Model,
    generator_optimizer: optax.GradientTransformation,
    discriminator_optimizer: optax.GradientTransformation,
    *,
    latent: int,
    criterion: str | Criterion = "non_saturating",
    penalty: float | Array = 0.0,
    discriminator_steps: int = 1,
) -> Learner:
    """Learn to draw samples by a game: one step is a few of the discriminator's and one of the generator's.

    ``x = G(z)`` with z ~ N(0, I) [N, K]; the discriminator's score of an example is D(x). It
    minimises ``mean real(D(x_n)) + mean fake(D(G(z_n))) + lambda mean (|dD/dx| - 1)^2`` on points
    between data and samples, the generator ``mean generator(D(G(z_n)))``, through D, which stays as
    it is. A GAN has no density, so its score is one of samples (E-61, E-63).
    Source: Goodfellow et al. (2014). Notes: §9.4.

    Args:
      generator: G, a Model from z [N, K] to x [N, ...]; of labelled batches ``(x, c)``, from ``{"x": z,
        "condition": c}``, as ``models.conditioned`` is.
      discriminator: D, a Model from x to [N, 1]; of labelled batches, from ``{"x": x, "condition": c}``.
      generator_optimizer, discriminator_optimizer: of each player, from traced settings if need be.
      latent: K.
      criterion: a name in ``CRITERIA``, or a Criterion.
      penalty: lambda of WGAN-GP, which may be traced.
      discriminator_steps: how many updates it has, on the same batch, for one of the generator.

    Returns:
      A Learner whose state's ``params``, ``state`` and ``opt_state`` are dicts by player. ``predict``
      maps z to samples; ``evaluate`` gives, per example x_n and as many samples s_m,
      ``energy_score = mean_m |x_n - s_m| - 1/2 mean_{m /= l} |s_m - s_l|``, whose mean is least for
      samples from the data's own distribution (Gneiting and Raftery, 2007), and ``score``, D(x_n).

    Raises ValueError for an unknown criterion and numbers under 1.
    """
    rule = find_criterion(criterion)
    latent = positive_int("latent", latent)
    discriminator_steps = positive_int("discriminator_steps", discriminator_steps)
    penalised = not (isinstance(penalty, (int, float)) and penalty == 0)

    def given(x, batch):
        return x if type(batch) is not tuple else {"x": x, "condition": batch[1]}

    def draw(params, state, batch, key, train):
        """Samples [N, ...] as many as the batch has rows, and the generator's state."""
        keys = jax.random.split(key)
        z = jax.random.normal(keys[0], (num_rows(batch), latent))
        return generator.apply(params, state, given(z, batch), key=keys[1], train=train)

    def judge(params, state, x, batch, key, train):
        score, state = discriminator.apply(params, state, given(x, batch), key=key, train=train)
        return score.reshape(len(x)), state

    def discriminator_loss(params, ts, batch, key, mask):
        x = counted(jnp.asarray(features(batch)), mask)
        keys = jax.random.split(key, 5)
        fake, _ = draw(ts.params["generator"], ts.state["generator"], batch, keys[0], True)
        fake = lax.stop_gradient(fake)
        own = ts.state["discriminator"]
        of_x, own = judge(params, own, x, batch, keys[1], True)
        of_fake, own = judge(params, own, fake, batch, keys[2], True)
        loss = masked_mean(rule.real(of_x), mask) + masked_mean(rule.fake(of_fake), mask)
        if penalised:
            u = jax.random.uniform(keys[3], (len(x), *(1,) * (x.ndim - 1)))
            score = lambda x: judge(params, own, x, batch, keys[4], True)[0]
            loss += penalty * masked_mean(gradient_penalty(score, u * x + (1 - u) * fake), mask)
        return loss, own

    def generator_loss(params, ts, batch, key, mask):
        keys = jax.random.split(key)
        fake, own = draw(params, ts.state["generator"], batch, keys[0], True)
        who = ts.params["discriminator"], ts.state["discriminator"]
        score, _ = judge(*who, fake, batch, keys[1], True)
        return masked_mean(rule.generator(score), mask), own

    def predict(ts, z: Any):
        return generator.apply(ts.params["generator"], ts.state["generator"], z)[0]

    def evaluate(ts, batch):
        key = evaluation_key(ts.key)
        x = jnp.asarray(features(batch))
        fake, _ = draw(ts.params["generator"], ts.state["generator"], batch, key, False)
        rows, samples = x.reshape(len(x), -1), fake.reshape(len(x), -1)
        within = jnp.sum(distances(samples, samples)) / max(len(x) * (len(x) - 1), 1)
        who = ts.params["discriminator"], ts.state["discriminator"]
        score, _ = judge(*who, x, batch, None, False)
        return {"energy_score": jnp.mean(distances(rows, samples), 1) - within / 2, "score": score}

    players = {
        "discriminator": Player(
            discriminator.init, discriminator_optimizer, discriminator_loss, discriminator_steps
        ),
        "generator": Player(generator.init, generator_optimizer, generator_loss),
    }
    return learner_of_players(players, predict, evaluate, loss="generator")
