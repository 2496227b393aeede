"""Hierarchical implicit models: simulators without a density, inferred by ratios. Notes: §9.4."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jax import lax

from jaxdl.arrays import counted, masked_mean, num_rows
from jaxdl.base import Array, Learner, Model, evaluation_key, features
from jaxdl.checks import positive_int
from jaxdl.inference.implicit_posterior import drawn, score
from jaxdl.models.latent import Prior, normal_posterior
from jaxdl.models.parts import apply_part, init_parts
from jaxdl.training.adversarial_criteria import CRITERIA
from jaxdl.training.players import Player, learner_of_players


def hierarchical_implicit_learner(
    prior: Prior,
    simulate: Callable,
    posterior: Model,
    ratio: Model,
    optimizer: optax.GradientTransformation,
    ratio_optimizer: optax.GradientTransformation,
    *,
    noise: int,
    shared: Prior | None = None,
    num_data: int | Array = 1,
    ratio_steps: int = 1,
) -> Learner:
    """Inference of z_n, one for each x_n, and of b, shared by all, where x is only simulated.

    ``b ~ p(b)``, ``z_n ~ p(z)``, ``x_n = simulate(z_n, b)`` with noise of its own: p(x|z, b) is not
    known, nor is q(z|x, b), drawn as ``z = f(e, x, b)``. A classifier that tells simulated pairs
    from data with inferred latents has the best score ``r(x, z, b) = log p(x, z|b) - log q(x)
    q(z|x, b)``, q(x) that of the data. One step is a few of its own,

    ``l_r = mean softplus(-r(x~_n, z~_n, b_n)) + softplus(r(x_n, z_n, b_n))``, x~_n, z~_n simulated,

    and one of the posteriors', ``l = -mean r(x_n, z_n, b_n) + KLD[q(b) || p(b)] / N``: minus the
    bound of one row, up to the constant log q(x). q(b) is normal with a diagonal covariance.
    Source: Tran et al. (2017). Notes: §9.4.

    Args:
      prior: p(z), of K variables.
      simulate: ``(key, z [K]) -> x``, or with a shared b ``(key, z [K], b [B]) -> x``; mapped over
        rows, and never differentiated.
      posterior: f, a Model from ``{"x": e [M, E], "condition": x}`` to z [M, K], such as
        ``models.conditioned`` makes; with a shared b, x [M, D] has b [M, B] behind it.
      ratio: r, a Model from ``{"x": z, "condition": x}`` to [M, 1], with b behind x likewise.
      optimizer: of the posteriors. ratio_optimizer: of r.
      noise: E.
      shared: p(b), or None.
      num_data: N, all rows that share b; not those of a batch. It may be traced.
      ratio_steps: updates of r, on the same batch, for one of the posteriors.

    Returns:
      A Learner of batches x [B, ...] with the players "ratio" and "posterior" (of the parts
      "posterior" and, for q(b), "shared" [2B], see ``location_and_log_scale``). ``predict`` maps
      ``{"x": e, "condition": x}`` to z, see ``sample_posterior``. Scores of each row are
      ``negative_ratio``, -r of a draw, and ``log_score``, what r loses on the row and on a
      simulated one: log 4, the most, where nothing tells them apart.

    Raises ValueError for numbers under 1.

    >>> from jaxdl import models
    >>> players = [models.conditioned(models.mlp((2 + 2, n))) for n in (2, 1)]
    >>> learner = hierarchical_implicit_learner(
    ...     models.standard_normal(2), lambda key, z: z + jax.random.normal(key, (2,)),
    ...     *players, *[optax.sgd(0.1)] * 2, noise=2,
    ... )
    >>> sorted(learner.init(jax.random.key(0)).params)
    ['posterior', 'ratio']
    """
    noise, ratio_steps = positive_int("noise", noise), positive_int("ratio_steps", ratio_steps)
    rule = CRITERIA["minimax"]
    q_shared = normal_posterior()

    def init(key):
        params, state = init_parts(key, {"posterior": posterior})
        if shared is not None:
            params["shared"] = jnp.zeros(2 * shared.features)
        return params, state

    def shared_draws(params, n, key):
        """b_n ~ q(b), [N, B], or None: one for each row, for the bound is a sum over them."""
        if shared is None:
            return None, 0.0
        psi = params["shared"][None]
        b, log_q = q_shared.draw(key, {}, psi, n)
        kl = q_shared.kl({}, psi, shared)
        kl = jnp.mean(log_q - shared.log_prob(b)) if kl is None else kl[0]
        return b[:, 0], kl

    def given(x, b):
        return x if b is None else jnp.concatenate([x, b.astype(x.dtype)], axis=-1)

    def inferred(params, state, x, key, mask, train):
        keys = jax.random.split(key)
        b, kl = shared_draws(params, len(x), keys[0])
        z, own = drawn(
            keys[1], posterior, params, state, given(x, b), noise, 1, train=train, mask=mask
        )
        return z, b, kl, {**state, **({"posterior": own} if own else {})}

    def simulated(b, n, key):
        keys = jax.random.split(key)
        z = prior.sample(keys[0], n)
        parents = (z,) if b is None else (z, b)
        return z[None], jax.vmap(simulate)(jax.random.split(keys[1], n), *parents)

    def judge(params, state, z, x, b, key, mask, train):
        how = {"key": key, "mask": mask, "train": train}
        return score("ratio", ratio, {"ratio": params}, {"ratio": state}, z, given(x, b), **how)

    def log_score(params, state, ts, x, key, mask, train):
        """The classifier's loss of each row [N], r of the data's [N], and its state."""
        keys = jax.random.split(key, 4)
        own = ts.params["posterior"], ts.state["posterior"]
        z, b, _, _ = lax.stop_gradient(inferred(*own, x, keys[0], mask, train))
        other, x_other = lax.stop_gradient(simulated(b, num_rows(x), keys[1]))
        of_p, state = judge(params, state, other, x_other, b, keys[2], mask, train)
        of_q, state = judge(params, state, z, x, b, keys[3], mask, train)
        return (rule.real(of_p) + rule.fake(of_q))[0], of_q[0], state

    def ratio_loss(params, ts, batch, key, mask):
        x = counted(jnp.asarray(features(batch)), mask)
        values, _, state = log_score(params, ts.state["ratio"], ts, x, key, mask, True)
        return masked_mean(values, mask), state

    def posterior_loss(params, ts, batch, key, mask):
        keys = jax.random.split(key)
        x = counted(jnp.asarray(features(batch)), mask)
        z, b, kl, state = inferred(params, ts.state["posterior"], x, keys[0], mask, True)
        who = ts.params["ratio"], ts.state["ratio"]
        values, _ = judge(*who, z, x, b, keys[1], mask, True)
        return kl / num_data - masked_mean(values[0], mask), state

    def predict(ts, x):
        own = ts.params["posterior"], ts.state["posterior"]
        return apply_part("posterior", posterior, *own, x)[0]

    def evaluate(ts, batch):
        x, key = jnp.asarray(features(batch)), evaluation_key(ts.key)
        values, r, _ = log_score(ts.params["ratio"], ts.state["ratio"], ts, x, key, None, False)
        return {"log_score": values, "negative_ratio": -r}

    players = {
        "ratio": Player(ratio.init, ratio_optimizer, ratio_loss, ratio_steps),
        "posterior": Player(init, optimizer, posterior_loss),
    }
    return learner_of_players(players, predict, evaluate, loss="posterior")
