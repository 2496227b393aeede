"""Priors and posterior approximations of latent variables, in closed form and by scipy."""

import jax
import jax.numpy as jnp
import linear_gaussian as lg
import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from jaxdl import models
from jaxdl.base import Bijector
from jaxdl.models import latent, vae

VAE = lg.vae()


@pytest.mark.equation(51)
def test_the_divergence_is_summed_over_latent_variables(x64):
    """mu = 1 in ten dimensions, log-variance 0: 5, not its mean 0.5 (keras-io #270, D-86)."""
    psi = jnp.concatenate([jnp.ones((1, 10)), jnp.zeros((1, 10))], axis=1)
    posterior = models.normal_posterior()
    np.testing.assert_allclose(posterior.kl({}, psi, models.standard_normal(10)), [5.0])
    # Another Normal prior, by quadrature, and one without a closed form.
    mean, scale = np.array([0.3, -0.2]), np.array([0.7, 2.0])
    kl = models.normal_prior(mean, scale).kl_from_normal(
        jnp.array([1.0, 0.5]), jnp.log(jnp.array([0.4, 1.5]))
    )
    total = 0.0
    for m, s, m0, s0 in zip([1.0, 0.5], [0.4, 1.5], mean, scale, strict=True):
        q, p = scipy.stats.norm(m, s), scipy.stats.norm(m0, s0)
        f = lambda z, q=q, p=p: q.pdf(z) * (q.logpdf(z) - p.logpdf(z))
        total += scipy.integrate.quad(f, m - 12 * s, m + 12 * s)[0]
    np.testing.assert_allclose(kl, total, rtol=1e-8)
    far = models.standard_normal(2).kl_from_normal(jnp.full(2, 1e3), jnp.full(2, 10.0))
    assert np.isfinite(far)


def test_the_noise_is_scaled_by_the_standard_deviation():
    """log sigma = log 2: variance 4, not 16 (ibp_vae #3); log q is scipy's density at z."""
    psi = jnp.array([[1.0, lg.raw(np.log(2.0))]])
    z, log_q = models.normal_posterior().draw(jax.random.key(20), {}, psi, 20_000)
    assert abs(z.mean() - 1) < 0.06 and abs(z.var() - 4) < 0.2
    expected = scipy.stats.norm(1, 2).logpdf(np.asarray(z[..., 0]))
    np.testing.assert_allclose(log_q, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.equation(50)
def test_one_link_for_both_heads_is_wrong(x64):
    """Literally, Eq. (50) has one g^-1 for mu and sigma alike (D-84): exp makes every mean positive
    and cannot reach a posterior mean below 0; the identity makes scales negative."""
    exact, params = lg.exact(), lg.posterior_params()
    psi = vae.encode(VAE, params, {}, lg.X)
    assert (exact.mean < 0).any() and (psi[:, 2:] < 0).all()
    mu, s = latent.location_and_log_scale(psi)
    np.testing.assert_allclose(mu, exact.mean, rtol=1e-10)  # the right form reaches it
    closest = np.maximum(exact.mean, 0)  # of all means that exp can give
    best = lg.kl_normal(closest, exact.covariance, exact.mean, exact.covariance)
    assert best.max() > 1.0  # nats lost, whatever the encoder
    with np.errstate(invalid="ignore"):
        assert np.isnan(np.log(np.asarray(psi[:, 2:]))).all()  # identity: log sigma of the bound
    assert np.isfinite(s).all()


def test_a_flow_posterior_reaches_a_correlated_one(x64):
    """A diagonal q cannot be the posterior of oblique factors; pushed through a linear map it is."""
    exact = lg.exact(lg.OBLIQUE)
    root = jnp.asarray(np.linalg.cholesky(exact.covariance))
    linear = Bijector(
        lambda key: {"root": root},
        lambda p, z: (z @ p["root"].T, jnp.full(len(z), jnp.linalg.slogdet(p["root"])[1])),
        lambda p, x: None,
    )
    flow = lg.vae(posterior=models.flow_posterior(linear))
    params = lg.posterior_params(lg.OBLIQUE)
    undo = np.linalg.inv(root).T
    layer = params["encoder"]["dense_0"]
    kernel, bias = np.array(layer["kernel"]), np.array(layer["bias"])
    kernel[:, :2], bias[:2], bias[2:] = kernel[:, :2] @ undo, bias[:2] @ undo, 0.0
    params["encoder"]["dense_0"] = {"kernel": kernel, "bias": bias}
    params["posterior"] = linear.init(jax.random.key(21))
    bound = vae.elbo(jax.random.key(22), flow, params, {}, lg.X, samples=2, kl="monte_carlo")
    np.testing.assert_allclose(bound.value, exact.log_p, rtol=1e-10)
    np.testing.assert_allclose(
        vae.reconstruct(flow, params, {}, lg.X), exact.mean @ lg.OBLIQUE.T + lg.B, rtol=1e-9
    )
    with pytest.raises(ValueError, match="no closed form"):
        vae.elbo(jax.random.key(1), flow, params, {}, lg.X)
    started, _ = vae.as_model(flow).init(jax.random.key(2))
    assert set(started) == {"encoder", "decoder", "posterior"}
