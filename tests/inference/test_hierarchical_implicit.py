"""Inference by ratios: gradients in closed form, moments of a posterior that is known."""

import conjugate
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdl import inference, models, training
from jaxdl.base import stateless
from jaxdl.models.latent import location_and_log_scale

S2 = conjugate.S**2


def learner(ratio, optimizer, ratio_optimizer, posterior=conjugate.POSTERIOR, **how):
    simulate = how.pop("simulate", conjugate.simulate)
    k = 2 if simulate is conjugate.simulate else 1
    return inference.hierarchical_implicit_learner(
        models.standard_normal(k), simulate, posterior, ratio, optimizer, ratio_optimizer, noise=k,
        **how,
    )  # fmt: skip


@pytest.fixture(scope="module")
def trained():
    steps, often = 800, 3
    decay = lambda rate, n: optax.adam(optax.cosine_decay_schedule(rate, n), b1=0.5)
    one = learner(
        conjugate.quadratic_score(4), decay(0.02, steps), decay(0.05, often * steps),
        ratio_steps=often,
    )  # fmt: skip
    x = conjugate.data(4000)
    state = training.fit(one, x, key=jax.random.key(0), steps=steps, batch_size=500).state
    return state.params["posterior"]["posterior"], jax.jit(one.evaluate)(state, x)


def test_the_moments_are_those_of_the_posterior(trained):
    """Although neither p(x|z) nor q(z|x) is ever evaluated, nor the simulator differentiated."""
    to_noise, to_x, bias = map(np.asarray, conjugate.kernels(trained[0]))
    np.testing.assert_allclose(to_x.T, conjugate.M, atol=0.04)
    np.testing.assert_allclose(bias, 0, atol=0.04)
    np.testing.assert_allclose(to_noise.T @ to_noise, conjugate.C, atol=0.04)


def test_nothing_tells_simulations_from_data_in_the_end(trained):
    values = trained[1]["log_score"]
    assert values.shape == trained[1]["negative_ratio"].shape == (4000,)
    assert float(values.mean()) == pytest.approx(np.log(4), abs=0.02)


def test_the_posterior_of_what_all_rows_share_has_the_bounds_gradient(x64):
    """``b, z ~ N(0, 1)``, ``x = z + b + S e``, with the best r and q(z|x, b) = p(z|x, b) given.

    Then minus the bound of a row is ``KLD[q(b) || p(b)] / N - E_q(b)[log N(x_n; b, 1 + S^2)]``.
    """
    x = conjugate.data(6)[:, :1].astype(float)
    gain, spread = 1 / (1 + S2), np.sqrt(S2 / (1 + S2))
    # z = spread e + gain (x - b)
    posterior = models.conditioned(models.mlp((1 + 2, 1)))
    exact = {"dense_0": {"kernel": jnp.array([[spread], [gain], [-gain]]), "bias": jnp.zeros(1)}}
    log_normal = lambda x, mean, variance: (
        -(jnp.square(x - mean) / variance + jnp.log(2 * jnp.pi * variance)) / 2
    )

    def best(params, inputs, *, key, train):
        z, (x, b) = inputs["x"], jnp.split(inputs["condition"], 2, axis=-1)
        log_joint = log_normal(z, 0.0, 1.0) + log_normal(x, z + b, S2)
        return log_joint - log_normal(z, gain * (x - b), spread**2)

    def moved(key, psi):
        one = learner(
            stateless(lambda key: {}, best), optax.sgd(1.0), optax.sgd(1.0), posterior,
            shared=models.standard_normal(1), num_data=6,
            simulate=lambda key, z, b: z + b + conjugate.S * jax.random.normal(key, (1,)),
        )  # fmt: skip
        ts = one.init(key)
        own = {"posterior": exact, "shared": psi}
        new, _ = one.step(ts._replace(params={"ratio": {}, "posterior": own}), x)
        return psi - new.params["posterior"]["shared"]

    def loss(psi):
        (m,), (s,) = location_and_log_scale(psi)
        kl = (m**2 + jnp.exp(2 * s) - 1 - 2 * s) / 2
        fit = jnp.mean(jnp.square(x - m)) + jnp.exp(2 * s)
        return kl / 6 + fit / (2 * (1 + S2))

    psi = jnp.array([0.3, -0.5])
    keys = jax.random.split(jax.random.key(1), 4000)
    found = jax.jit(jax.vmap(moved, in_axes=(0, None)))(keys, psi)
    error = found.std(0) / np.sqrt(len(keys))
    np.testing.assert_array_less(abs(found.mean(0) - jax.grad(loss)(psi)), 4 * error)
    assert error.max() < 0.02
    precision = 1 + 6 / (1 + S2)  # and its zero is the conjugate posterior
    mean, log_s = x.sum() / (1 + S2) / precision, -np.log(precision) / 2
    at = jnp.array([mean, 10 * np.arctanh(log_s / 10)])
    np.testing.assert_allclose(jax.grad(loss)(at), 0, atol=1e-12)


def test_what_does_not_count_and_what_is_refused():
    one = learner(conjugate.quadratic_score(4), optax.sgd(0.1), optax.sgd(0.1))
    x, step = jnp.asarray(conjugate.data(4)), jax.jit(one.step)
    mask = jnp.array([True, True, False, True])
    ts = one.init(jax.random.key(0))
    new, info = step(ts, x.at[2].set(jnp.nan), mask=mask)
    same, _ = step(ts, x, mask=mask)
    jax.tree.map(np.testing.assert_array_equal, new.params, same.params)
    assert set(info) == {"loss", "ratio_loss"} and all(np.isfinite(v) for v in info.values())
    with pytest.raises(ValueError, match="ratio_steps must be a positive whole number, not 0"):
        learner(conjugate.quadratic_score(4), optax.sgd(0.1), optax.sgd(0.1), ratio_steps=0)
