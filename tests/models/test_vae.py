"""VAEs against factor analysis, whose likelihood and posterior are known in closed form."""

import jax
import jax.numpy as jnp
import linear_gaussian as lg
import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from jaxdl import families, models
from jaxdl.models import latent, vae

VAE = lg.vae()
# Each compiled once for all tests that ask for the same settings.
ELBO = jax.jit(vae.elbo, static_argnums=1, static_argnames=("samples", "kl"))
IWAE = jax.jit(vae.iwae, static_argnums=1, static_argnames="samples")
LOG_LIKELIHOOD = jax.jit(vae.log_likelihood, static_argnums=1, static_argnames=("samples", "chunk"))
ENCODE = jax.jit(vae.encode, static_argnums=0)


def cubature(k=2):
    """The Normal posterior with the points +-sqrt(K) e_k for draws: quadratics have no noise."""

    def draw(key, params, psi, samples):
        mu, s = latent.location_and_log_scale(psi)
        points = np.sqrt(k) * np.concatenate([np.eye(k), -np.eye(k)])
        noise = jnp.broadcast_to(points[:, None], (2 * k, *mu.shape))
        log_q = log_normal(noise) - jnp.sum(s, axis=-1)
        return mu + jnp.exp(s) * noise, log_q

    return models.normal_posterior()._replace(draw=draw)


def log_normal(noise):
    return -jnp.sum(jnp.square(noise) + np.log(2 * np.pi), axis=-1) / 2


EXACT = lg.vae(posterior=cubature())


@pytest.mark.equation(50, 51)
def test_the_bound_is_log_p_at_the_exact_posterior(x64):
    exact, params = lg.exact(), lg.posterior_params()
    mu, s = latent.location_and_log_scale(ENCODE(VAE, params, {}, lg.X))
    np.testing.assert_allclose(mu, exact.mean, rtol=1e-10)
    np.testing.assert_allclose(np.exp(2 * s), np.tile(np.diag(exact.covariance), (3, 1)))
    drawn = ELBO(jax.random.key(11), VAE, params, {}, lg.X, samples=3, kl="monte_carlo")
    np.testing.assert_allclose(drawn.value, exact.log_p, rtol=1e-10)  # whatever is drawn
    closed = ELBO(jax.random.key(12), EXACT, params, {}, lg.X, samples=4)
    np.testing.assert_allclose(closed.value, exact.log_p, rtol=1e-10)
    bound = IWAE(jax.random.key(1), VAE, params, {}, lg.X, samples=5)
    np.testing.assert_allclose(bound, exact.log_p, rtol=1e-10)
    found = LOG_LIKELIHOOD(jax.random.key(2), VAE, params, {}, lg.X, samples=9, chunk=4)
    np.testing.assert_allclose(found.mean, exact.log_p, rtol=1e-10)
    np.testing.assert_allclose(found.standard_error, 0, atol=1e-10)


@pytest.mark.equation(51)
@pytest.mark.parametrize("w", [lg.W, lg.OBLIQUE], ids=["orthogonal", "oblique"])
def test_the_gap_is_the_divergence_from_the_posterior(x64, w):
    exact, params = lg.exact(w), lg.posterior_params(w, shift=0.3, log_scale=-0.4)
    bound = ELBO(jax.random.key(13), EXACT, params, {}, lg.X, samples=4)
    q = np.diag(np.diag(exact.covariance) * np.exp(-0.8))
    gap = lg.kl_normal(exact.mean + 0.3, q, exact.mean, exact.covariance)
    np.testing.assert_allclose(exact.log_p - bound.value, gap, rtol=1e-9)
    assert np.all(gap > 0.1)
    np.testing.assert_allclose(bound.value, bound.reconstruction - bound.kl, rtol=1e-12)
    np.testing.assert_allclose(
        bound.kl, lg.kl_normal(exact.mean + 0.3, q, np.zeros(2), np.eye(2)), rtol=1e-9
    )


def shifted_params():
    return lg.posterior_params(shift=0.4, log_scale=-0.5)


@pytest.mark.equation(51)
def test_closed_and_drawn_divergence_agree(x64):
    """And the bound of S draws has the same expectation for all S."""
    found = ELBO(
        jax.random.key(14), VAE, shifted_params(), {}, lg.X, samples=20_000, kl="monte_carlo"
    )
    exact = ELBO(jax.random.key(15), EXACT, shifted_params(), {}, lg.X, samples=4)
    draws, _, _ = vae.draw(jax.random.key(7), VAE, shifted_params(), {}, lg.X, 20_000)
    error = np.std(draws.posterior - draws.prior, axis=0) / np.sqrt(20_000)
    assert np.all(np.abs(found.kl - exact.kl) < 4 * error)
    for samples in (1, 5):
        keys = jax.random.split(jax.random.key(100 + samples), 4000)
        each = lambda key, samples=samples: (
            vae.elbo(key, VAE, shifted_params(), {}, lg.X, samples=samples).value
        )
        values = np.asarray(jax.jit(jax.vmap(each))(keys))
        error = values.std(0) / np.sqrt(len(keys))
        assert np.all(np.abs(values.mean(0) - exact.value) < 4 * error)
        assert np.all(values.std(0) > 0.1 / samples)


@pytest.mark.equation(51)
def test_the_importance_weighted_bound_tightens_and_never_exceeds_log_p(x64):
    exact = lg.exact().log_p
    params = lg.posterior_params(shift=0.4, log_scale=0.3)  # wider: weights of finite variance
    means, errors = [], []
    for samples in (1, 5, 40):
        keys = jax.random.split(jax.random.key(samples), 4000)
        run = lambda key, samples=samples: vae.iwae(key, VAE, params, {}, lg.X, samples=samples)
        values = np.asarray(jax.jit(jax.vmap(run))(keys))
        means.append(values.mean(0))
        errors.append(values.std(0) / np.sqrt(len(keys)))
    means, errors = np.array(means), np.array(errors)
    assert np.all(np.diff(means, axis=0) > 4 * np.hypot(errors[1:], errors[:-1]))
    assert np.all(means < exact + 3 * errors)
    bound = ELBO(jax.random.key(16), EXACT, params, {}, lg.X, samples=4)
    assert np.all(np.abs(means[0] - bound.value) < 4 * errors[0])  # of one draw it is the ELBO
    assert np.all(exact - means[-1] < (exact - means[0]) / 5)


def test_the_log_likelihood_by_importance_sampling(x64, allow_key_reuse):
    params = lg.posterior_params(shift=0.2, log_scale=0.3)  # wider than the posterior
    found = LOG_LIKELIHOOD(jax.random.key(17), VAE, params, {}, lg.X, samples=4000, chunk=500)
    assert np.all(np.abs(found.mean - lg.exact().log_p) < 4 * found.standard_error)
    assert np.all((found.standard_error > 1e-3) & (found.standard_error < 0.02))
    again = LOG_LIKELIHOOD(jax.random.key(17), VAE, params, {}, lg.X, samples=4000)
    np.testing.assert_allclose(again.mean, found.mean, rtol=1e-12)


@pytest.mark.equation(51)
def test_gradients_are_those_of_the_closed_form(x64):
    """``d/dmu = W'(x - b - W mu)/s^2 - mu``, ``d/ds_k = 1 - sigma_k^2 (1 + |W_k|^2 / s^2)``."""
    params = shifted_params()
    mu, s = latent.location_and_log_scale(ENCODE(VAE, params, {}, lg.X))
    d_mu = (lg.X - lg.B - mu @ lg.W.T) @ lg.W / lg.S**2 - mu
    d_s = 1 - np.exp(2 * s) * (1 + np.square(lg.W).sum(0) / lg.S**2)
    slope = 1 - (s / 10) ** 2  # of s by what the encoder gives
    expected = np.concatenate([d_mu, d_s * slope], axis=1).mean(0)

    def gradient(key, vae_):
        def mean(bias):
            encoder = {"dense_0": {**params["encoder"]["dense_0"], "bias": bias}}
            bound = vae.elbo(key, vae_, {**params, "encoder": encoder}, {}, lg.X, samples=4)
            return jnp.mean(bound.value)

        return jax.grad(mean)(params["encoder"]["dense_0"]["bias"])

    np.testing.assert_allclose(
        jax.jit(gradient, static_argnums=1)(jax.random.key(19), EXACT), expected, rtol=1e-8
    )
    keys = jax.random.split(jax.random.key(4), 3000)
    drawn = np.asarray(jax.jit(jax.vmap(lambda key: gradient(key, VAE)))(keys))
    error = drawn.std(0) / np.sqrt(len(keys))
    assert np.all(np.abs(drawn.mean(0) - expected) < 4 * error) and np.all(error < 0.02)


def test_samples_reconstructions_and_latent_points():
    params, exact = lg.posterior_params(), lg.exact()
    x = np.asarray(
        jax.jit(lambda key: vae.sample(key, VAE, params, {}, 40_000))(jax.random.key(23))
    )
    np.testing.assert_allclose(x.mean(0), lg.B, atol=0.03)
    np.testing.assert_allclose(np.cov(x.T), lg.W @ lg.W.T + lg.S**2 * np.eye(4), atol=0.06)
    means = jax.jit(lambda key: vae.sample(key, VAE, params, {}, 3, noise=False))(jax.random.key(1))
    assert np.linalg.lstsq(lg.W, (means - lg.B).T, rcond=None)[1] == pytest.approx(0, abs=1e-6)
    expected = exact.mean @ lg.W.T + lg.B
    reconstruct = jax.jit(vae.reconstruct, static_argnums=0)
    np.testing.assert_allclose(reconstruct(VAE, params, {}, lg.X), expected, rtol=1e-4)
    eta, state = jax.jit(vae.as_model(VAE).apply)(params, {}, lg.X)
    np.testing.assert_allclose(eta, expected, rtol=1e-4)
    assert state == {}
    at = vae.decode(VAE, params, {}, jnp.array([[1.0, -1.0]]))
    np.testing.assert_allclose(at[0], lg.W @ [1, -1] + lg.B, rtol=1e-5)


def test_any_family_decodes_and_settings_are_checked():
    x = jnp.array([[1, 0, 3], [2, 2, 0]])
    counts = models.VAE(
        models.standard_normal(2), models.mlp((3, 4)), models.mlp((2, 3)), families.poisson()
    )
    params, state = jax.jit(vae.as_model(counts).init)(jax.random.key(24))
    bound = ELBO(jax.random.key(1), counts, params, state, x)

    @jax.jit
    def drawn(key):  # what the bound drew
        psi = vae.encode(counts, params, state, x)
        z, _ = models.normal_posterior().draw(jax.random.split(key, 3)[0], {}, psi, 1)
        return vae.decode(counts, params, state, z[0])

    rates = np.exp(np.asarray(drawn(jax.random.key(1))))
    np.testing.assert_allclose(
        bound.reconstruction, scipy.stats.poisson.logpmf(x, rates).sum(1), rtol=1e-4
    )
    draw = lambda key: vae.sample(key, counts, params, state, 4)
    assert jax.eval_shape(draw, jax.random.key(2)).shape == (4, 3)
    with pytest.raises(ValueError, match="kl is one of closed, monte_carlo, not 'closd'"):
        vae.elbo(jax.random.key(3), counts, params, state, x, kl="closd")
    with pytest.raises(ValueError, match="samples must be a positive whole number, not 0"):
        vae.iwae(jax.random.key(3), counts, params, state, x, samples=0)
    with pytest.raises(ValueError, match=r"psi is \[..., 2K\]"):
        latent.location_and_log_scale(jnp.zeros(3))
