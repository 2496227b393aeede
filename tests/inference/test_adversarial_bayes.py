"""Adversarial variational Bayes against a posterior in closed form, moments, gradients and ranks."""

import conjugate
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdl import families, inference, models, training
from jaxdl.base import stateless
from jaxdl.models.latent import location_and_log_scale

NET = models.DensityNetwork(
    models.standard_normal(2), conjugate.decoder(), families.normal(conjugate.S)
)


def learner(discriminator, model_optimizer, discriminator_optimizer, **how):
    return inference.adversarial_bayes_learner(
        NET, conjugate.POSTERIOR, discriminator, model_optimizer, discriminator_optimizer,
        noise=2, **how,
    )  # fmt: skip


def best_score(reference):
    """``T(x, z) = log q(z|x) - log r(z|x)`` of params that are q's, z as ``z = mu + sigma z'``."""

    def apply(params, inputs, *, key, train):
        x, seen = inputs["condition"], inputs["x"]
        mu, s = reference(x)
        log_r = conjugate.log_normal(seen, 0.0, jnp.eye(2)) - jnp.sum(s, axis=-1)
        return (conjugate.log_q(params, mu + jnp.exp(s) * seen, x) - log_r)[:, None]

    return stateless(lambda key: wrong_params(), apply)


def wrong_params():
    """Some q that is not the posterior."""
    return conjugate.params_of([[0.6, -0.3], [0.1, 0.5]], [[0.4, 0.2], [-0.1, 0.5]], [0.1, -0.2])


def mean_bound(params, x):
    """The mean of ``E_q[log p(x, z) - log q(z|x)]`` over rows, in closed form."""
    to_noise, to_x, bias = conjugate.kernels(params)
    mean, covariance = x @ to_x + bias, to_noise.T @ to_noise
    a, s = conjugate.A, conjugate.S
    fit = jnp.sum(jnp.square(x - mean @ a.T), 1) + jnp.trace(a @ covariance @ a.T)
    log_lik = -fit / (2 * s**2) - jnp.log(2 * jnp.pi * s**2)
    kl = (
        jnp.sum(jnp.square(mean), 1) + jnp.trace(covariance) - 2 - jnp.linalg.slogdet(covariance)[1]
    )
    return jnp.mean(log_lik - kl / 2)


PSI = {"dense_0": {"kernel": np.full((2, 4), 0.2), "bias": np.array([0.3, -0.1, -0.2, 0.1])}}
CONTRASTS = {
    "prior": (lambda x: (0.0, jnp.zeros(2)), None),
    "adaptive": (
        lambda x: location_and_log_scale(x @ PSI["dense_0"]["kernel"] + PSI["dense_0"]["bias"]),
        models.mlp((2, 4)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CONTRASTS)
def test_with_the_best_score_both_gradients_are_those_of_the_closed_form(name, x64):
    """The score's is zero; the posterior's is that of the bound, although log q is never computed."""
    reference, contrast = CONTRASTS[name]
    x = conjugate.data(5).astype(float)

    def moved(key, of_discriminator):
        one = learner(
            best_score(reference), optax.sgd(1.0), optax.sgd(of_discriminator), samples=20,
            contrast=contrast,
        )  # fmt: skip
        ts = one.init(key)
        params = {**ts.params, "model": {"posterior": wrong_params()}}
        params["discriminator"] = wrong_params()
        if contrast is not None:
            params["contrast"] = jax.tree.map(jnp.asarray, PSI)
        new, _ = one.step(ts._replace(params=params), x)
        change = jax.tree.map(lambda a, b: a - b, params, new.params)
        return change["model"]["posterior"], change["discriminator"]

    run = jax.jit(jax.vmap(moved, in_axes=(0, None)))
    keys = jax.random.split(jax.random.key(1), 500)
    of_model, still = run(keys, 0.0)
    assert not any(leaf.any() for leaf in jax.tree.leaves(still))
    expected = jax.grad(lambda p: -mean_bound(p, x))(wrong_params())
    agree(of_model, expected)
    if contrast is None:  # else the contrast moves first
        _, of_discriminator = run(jax.random.split(jax.random.key(2), 500), 1.0)
        agree(of_discriminator, jax.tree.map(jnp.zeros_like, expected))


def agree(draws, expected):
    for found, value in zip(jax.tree.leaves(draws), jax.tree.leaves(expected), strict=True):
        error = found.std(0) / np.sqrt(len(found))
        assert np.all(abs(found.mean(0) - value) < 4.5 * error) and error.max() < 0.05


@pytest.fixture(scope="module")
def trained():
    """Posterior params, and the scores of the rows, after a thousand steps from noise alone."""
    steps, often = 800, 3
    decay = lambda rate, n: optax.adam(optax.cosine_decay_schedule(rate, n), b1=0.5)
    one = learner(
        conjugate.quadratic_score(4), decay(0.02, steps), decay(0.05, often * steps),
        discriminator_steps=often, samples=2,
    )  # fmt: skip
    x = conjugate.data(2000)
    state = training.fit(one, x, key=jax.random.key(0), steps=steps, batch_size=250).state
    return state.params["model"]["posterior"], jax.jit(one.evaluate)(state, x)


def test_the_moments_are_those_of_the_posterior(trained):
    """Mean map and covariance; the prior's are 0 and I, a diagonal q has no correlation of -0.23."""
    to_noise, to_x, bias = map(np.asarray, conjugate.kernels(trained[0]))
    np.testing.assert_allclose(to_x.T, conjugate.M, atol=0.03)
    np.testing.assert_allclose(bias, 0, atol=0.03)
    np.testing.assert_allclose(to_noise.T @ to_noise, conjugate.C, atol=0.03)
    x = conjugate.data(2000)
    log_p = conjugate.log_normal(x, 0.0, jnp.asarray(conjugate.MARGINAL, jnp.float32)).mean()
    assert float(trained[1]["negative_elbo"].mean()) == pytest.approx(-float(log_p), abs=0.05)
    total = trained[1]["reconstruction_nll"] + trained[1]["kl"]
    np.testing.assert_allclose(trained[1]["negative_elbo"], total, rtol=1e-5)


def test_its_ranks_are_uniform_and_those_of_a_narrower_one_are_not(trained):
    """Simulation-based calibration of the learned posterior, and of one with half its noise."""
    to_noise, to_x, bias = conjugate.kernels(trained[0])

    def p_values(scale):
        def posterior(key, x):
            params = conjugate.params_of(scale * to_noise, to_x, bias)
            how = {"noise": 2, "samples": 49}
            draws = inference.sample_posterior(key, conjugate.POSTERIOR, params, {}, x[None], **how)
            return draws[:, 0]

        return inference.simulation_based_calibration(
            jax.random.key(5), lambda key: jax.random.normal(key, (2,)), conjugate.simulate,
            posterior, draws=200, bins=10,
        ).p_values  # fmt: skip

    assert p_values(1.0).min() > 1e-3
    assert p_values(0.5).max() < 1e-4


@pytest.mark.slow
def test_networks_learn_a_posterior_far_from_the_prior():
    """Little noise, and a tanh network for the score of what an adaptive contrast leaves of q."""
    s = 0.15
    net = NET._replace(family=families.normal(s))
    covariance = np.linalg.inv(np.eye(2) + conjugate.A.T @ conjugate.A / s**2)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4000, 2)) @ conjugate.A.T + s * rng.normal(size=(4000, 2))
    steps, often = 3000, 3
    decay = lambda rate, n: optax.adam(optax.cosine_decay_schedule(rate, n), b1=0.5)
    one = inference.adversarial_bayes_learner(
        net, conjugate.POSTERIOR, models.conditioned(models.mlp((4, 32, 32, 1), activation="tanh")),
        decay(0.01, steps), decay(0.005, often * steps), noise=2, contrast=models.mlp((2, 4)),
        discriminator_steps=often, samples=4,
    )  # fmt: skip
    fitted = training.fit(
        one, x.astype(np.float32), key=jax.random.key(0), steps=steps, batch_size=250
    )
    found = fitted.state.params["model"]["posterior"]
    to_noise, to_x, _ = map(np.asarray, conjugate.kernels(found))
    np.testing.assert_allclose(to_x.T, covariance @ conjugate.A.T / s**2, atol=0.1)
    np.testing.assert_allclose(to_noise.T @ to_noise / np.trace(covariance),
                               covariance / np.trace(covariance), atol=0.1)  # fmt: skip


def test_what_does_not_count_and_what_is_refused():
    """A NaN in a row that is left out reaches no player; numbers under 1 are refused."""
    one = learner(
        conjugate.quadratic_score(4), optax.sgd(0.1), optax.sgd(0.1), contrast=models.mlp((2, 4))
    )
    x = conjugate.data(4)
    step = jax.jit(one.step)
    mask = jnp.array([True, True, False, True])
    ts = one.init(jax.random.key(0))
    new, info = step(ts, jnp.asarray(x).at[2].set(jnp.nan), mask=mask)
    same, _ = step(ts, jnp.asarray(x), mask=mask)
    jax.tree.map(np.testing.assert_array_equal, new.params, same.params)
    assert set(info) == {"loss", "discriminator_loss", "contrast_loss"}
    assert all(np.isfinite(value) for value in info.values())
    for name in ("samples", "discriminator_steps"):
        with pytest.raises(ValueError, match=f"{name} must be a positive whole number, not 0"):
            learner(conjugate.quadratic_score(4), optax.sgd(0.1), optax.sgd(0.1), **{name: 0})
