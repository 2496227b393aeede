"""Density networks against a linear one, whose likelihood is a Normal's."""

import jax
import jax.numpy as jnp
import linear_gaussian as lg
import numpy as np
import optax
import pytest
import scipy.integrate
import scipy.stats

from jaxdl import divergences, families, models, training
from jaxdl.models import density_network

NET = lg.density_network()


@pytest.mark.equation(49)
def test_samples_have_the_moments_of_the_linear_model(key):
    params = lg.decoder_params()
    x = np.asarray(jax.jit(lambda k: density_network.sample(k, NET, params, {}, 40_000))(key))
    covariance = lg.W @ lg.W.T + lg.S**2 * np.eye(4)
    np.testing.assert_allclose(x.mean(0), lg.B, atol=5 * np.sqrt(covariance.max() / 40_000))
    np.testing.assert_allclose(np.cov(x.T), covariance, atol=0.06)
    means = density_network.sample(jax.random.key(5), NET, params, {}, 5, noise=False)
    np.testing.assert_allclose(  # noiseless draws lie in the plane of W
        np.linalg.lstsq(lg.W, (means - lg.B).T, rcond=None)[1], 0, atol=1e-6
    )


@pytest.mark.equation(49)
def test_the_marginal_likelihood_by_monte_carlo(x64, key):
    exact = lg.exact()
    found = density_network.log_likelihood(
        key, NET, lg.decoder_params(), {}, lg.X, samples=20_000, chunk=1000
    )
    assert np.all(found.standard_error < 0.1)
    assert np.all(np.abs(found.mean - exact.log_p) < 4 * found.standard_error)


def test_standard_errors_are_those_of_repetitions(x64):
    keys = jax.random.split(jax.random.key(1), 300)
    run = lambda key: density_network.log_likelihood(
        key, NET, lg.decoder_params(), {}, lg.X, samples=300
    )
    means, errors = jax.jit(jax.vmap(run))(keys)
    np.testing.assert_allclose(np.sqrt(np.mean(errors**2, 0)), means.std(0), rtol=0.25)
    bias = means.mean(0) - lg.exact().log_p
    assert np.all(bias < 2 * means.std(0) / np.sqrt(300))  # a bound from below in expectation


def test_chunks_change_nothing(key, allow_key_reuse):
    run = lambda chunk: density_network.log_likelihood(
        key, NET, lg.decoder_params(), {}, lg.X, samples=7, chunk=chunk
    )
    for one, other in zip(run(None), run(3), strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-5)


@pytest.mark.equation(49)
def test_a_nonlinear_one_against_quadrature(x64, key):
    """One latent variable of a Laplace prior, counts and a hidden layer."""
    decoder = models.mlp((1, 3, 2), activation="tanh")
    params, state = decoder.init(key)
    net = models.DensityNetwork(
        models.prior(families.laplace(), jnp.zeros(1)), decoder, families.poisson()
    )
    x = jnp.array([[1, 0], [3, 2]])
    layers = [jax.tree.map(np.asarray, params[f"dense_{i}"]) for i in range(2)]

    def joint(z, row):
        h = np.tanh(np.array([z]) @ layers[0]["kernel"] + layers[0]["bias"])
        rates = np.exp(h @ layers[1]["kernel"] + layers[1]["bias"])
        return scipy.stats.poisson.pmf(row, rates).prod() * scipy.stats.laplace.pdf(z)

    area = lambda row: scipy.integrate.quad(joint, -30, 30, args=(row,), points=[0])[0]
    exact = np.log([area(row) for row in np.asarray(x)])
    found = density_network.log_likelihood(jax.random.key(2), net, params, state, x, samples=4000)
    assert np.all(np.abs(found.mean - exact) < 4 * found.standard_error)
    assert np.all(found.standard_error < 0.05)


def test_log_mean_exp_of_known_weights():
    """log weights 0 and log 3: log 2, neither -log of a mean of losses nor a sum (scVI #8)."""
    found = divergences.log_mean_exp(jnp.log(jnp.array([1.0, 3.0])))
    np.testing.assert_allclose(found.mean, np.log(2), rtol=1e-6)
    assert np.log(3) / 2 < found.mean  # the ELBO of the same weights, 0.5493
    # The weights' standard deviation is sqrt 2, that of their mean 1, over their mean 2.
    np.testing.assert_allclose(found.standard_error, 0.5, rtol=1e-6)
    far = divergences.log_mean_exp(jnp.array([[-1e4, 1e4], [-1e4 + np.log(3), 1e4]]))
    np.testing.assert_allclose(far.mean, [-1e4 + np.log(2), 1e4], rtol=1e-6)
    assert np.isfinite(far.standard_error).all()
    one = divergences.log_mean_exp(jnp.array([[2.0]]))
    assert one.mean == 2 and one.standard_error == jnp.inf
    none = divergences.log_mean_exp(jnp.array([-jnp.inf, -jnp.inf]))
    assert none.mean == -jnp.inf and none.standard_error == 0


def test_maximum_likelihood_finds_the_covariance():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(300, 1)) @ np.array([[1.0, -0.8]]) + 0.6 * rng.normal(size=(300, 2))
    net = models.DensityNetwork(models.standard_normal(1), models.mlp((1, 2)), families.normal(0.6))
    objective = training.marginal_nll(net, samples=64)
    learner = training.gradient_learner(net.decoder, objective, optax.adam(0.02))
    result = training.fit(
        learner, x.astype(np.float32), key=jax.random.key(0), epochs=300,
        validation=x.astype(np.float32), evaluate_every=300,
    )  # fmt: skip
    w = np.asarray(result.state.params["dense_0"]["kernel"])
    fitted = scipy.stats.multivariate_normal(
        result.state.params["dense_0"]["bias"], w.T @ w + 0.36 * np.eye(2)
    )
    sample = scipy.stats.multivariate_normal(x.mean(0), np.cov(x.T, bias=True))
    assert 0 <= sample.logpdf(x).mean() - fitted.logpdf(x).mean() < 0.02
    nll = result.history.validation["nll"][-1]
    np.testing.assert_allclose(nll, -fitted.logpdf(x).mean(), atol=0.15)
    np.testing.assert_allclose(
        result.history.validation["bits_per_dim"][-1], nll / (2 * np.log(2)), rtol=1e-5
    )
    with pytest.raises(ValueError, match="predicts nothing"):
        learner.predict(result.state, x)


def test_whole_and_single_families_agree_and_others_are_refused():
    eta, x = jnp.ones((3, 4)), jnp.asarray(lg.X)
    single = density_network.log_conditional(families.normal(), eta, x)
    whole = density_network.log_conditional(families.independent(families.normal()), eta, x)
    np.testing.assert_allclose(single, whole, rtol=1e-6)
    with pytest.raises(ValueError, match="3 rows"):
        density_network.log_conditional(families.independent(families.normal(), 2), eta, x)
