"""Inverse autoregressive posteriors that see x: their density, their start, what they can reach."""

import functools

import jax
import jax.numpy as jnp
import linear_gaussian as lg
import numpy as np
import optax
import pytest
import scipy.stats

from jaxdl import flows, models, training
from jaxdl.models import latent, vae

K, C, S = 3, 2, 4
Q = models.iaf_posterior(K, (6,), context=C, steps=2, activation="tanh")
PSI = np.random.default_rng(0).normal(size=(5, 2 * K + C))


def moved(params, scale=0.5):
    rng = np.random.default_rng(1)
    return jax.tree.map(
        lambda p: p + jnp.asarray(scale * rng.normal(size=p.shape), p.dtype), params
    )


def test_the_density_is_the_normals_over_the_jacobians_determinant(x64):
    """Of each draw of each x, by slogdet; T itself is read off the representatives T(mu; h)."""
    params = moved(Q.init(jax.random.key(0)))
    psi, key = jnp.asarray(PSI), jax.random.key(1)
    z, log_q = jax.jit(functools.partial(Q.draw, samples=S))(key, params, psi)
    before, _ = models.normal_posterior().draw(jax.random.clone(key), {}, psi[:, : 2 * K], S)

    def image(e, own):
        """T(e; h) of one x: what the posterior gives for a Normal at e."""
        return Q.mean(params, jnp.concatenate([e, own[K:]])[None])[0]

    both = lambda e, own: (image(e, own), jax.jacfwd(image)(e, own))
    images, jacobians = jax.jit(jax.vmap(jax.vmap(both), in_axes=(0, None)))(before, psi)
    np.testing.assert_allclose(z, images, rtol=1e-12)
    mu, s = latent.location_and_log_scale(psi[:, : 2 * K])
    log_normal = scipy.stats.norm(mu, np.exp(s)).logpdf(before).sum(-1)
    expected = log_normal - np.linalg.slogdet(jacobians)[1]
    np.testing.assert_allclose(log_q, expected, rtol=1e-10)


def test_it_sees_the_context_in_every_variable(x64):
    params = moved(Q.init(jax.random.key(0)))
    by_psi = jax.jacfwd(lambda psi: Q.mean(params, psi[None])[0])(jnp.asarray(PSI[0]))
    assert (by_psi[:, 2 * K :] != 0).all()  # the first one's too
    np.testing.assert_array_equal(by_psi[:, K : 2 * K], 0)  # mu alone is represented
    other = {"samples": S, "key": jax.random.key(2)}
    one, _ = Q.draw(params=params, psi=jnp.asarray(PSI[3:4]), **other)
    assert one.shape == (S, 1, K)


@pytest.mark.parametrize("steps", [1, 2])
def test_it_starts_as_the_diagonal_normal(steps):
    q = models.iaf_posterior(K, (6,), context=C, steps=steps)
    psi = jnp.asarray(PSI, jnp.float32)
    key = jax.random.key(3)
    z, log_q = q.draw(key, q.init(jax.random.key(0)), psi, S)
    plain = models.normal_posterior()
    same, expected = plain.draw(jax.random.clone(key), {}, psi[:, : 2 * K], S)
    np.testing.assert_allclose(z, same, rtol=1e-6)
    np.testing.assert_allclose(log_q, expected, rtol=1e-6)
    np.testing.assert_allclose(q.mean(q.init(jax.random.key(0)), psi), psi[:, :K], rtol=1e-6)


def oblique(context, posterior):
    """Factors whose posterior has a correlation, of a VAE with C features more in its encoder."""
    net = lg.vae(posterior=posterior)._replace(encoder=models.mlp((4, 4 + context)))
    params = lg.posterior_params(lg.OBLIQUE)
    layer = params["encoder"]["dense_0"]
    rng = np.random.default_rng(2)
    more = {"kernel": rng.normal(size=(4, context)), "bias": np.zeros(context)}
    join = lambda name: jnp.concatenate([layer[name], jnp.asarray(more[name])], axis=-1)
    params["encoder"] = {"dense_0": {name: join(name) for name in more}}
    return net, params


def test_the_bound_stays_below_log_p_whatever_the_steps_do(x64):
    q = models.iaf_posterior(2, (5,), context=2, steps=2, activation="tanh")
    net, params = oblique(2, q)
    run = jax.jit(lambda key, own: vae.draw(
        key, net, {**params, "posterior": own}, {}, jnp.asarray(lg.X), 2000)[0].log_weights)  # fmt: skip
    exact = lg.exact(lg.OBLIQUE).log_p
    for number, scale in enumerate((0.05, 0.4)):
        own = moved(q.init(jax.random.key(0)), scale)
        weights = np.asarray(run(jax.random.key(number), own))
        bound, error = weights.mean(0), weights.std(0) / np.sqrt(2000)
        assert np.all(bound < exact + 3 * error)
        if scale < 0.1:  # and so near to it, p(x) is what the weights average to
            ratio = np.exp(weights - exact)
            assert np.all(abs(ratio.mean(0) - 1) < 4 * ratio.std(0) / np.sqrt(2000))


def test_it_reaches_a_correlation_that_no_diagonal_normal_has(x64):
    """One linear step, by hand: the bound is log p(x), above the best diagonal Normal's.

    z_1 = e_1, z_2 = e_2 + k e_1 with k = C_12 / C_11 of the posterior's covariance C. The best
    diagonal q has variances 1 / (C^-1)_kk, and log p(x) less its bound is
    ``1/2 log det(C diag(C^-1))``.
    """
    exact = lg.exact(lg.OBLIQUE)
    c = exact.covariance
    q = models.iaf_posterior(2, (), context=1, steps=1)
    net, params = oblique(1, q)
    k = c[1, 0] / c[0, 0]
    own = jax.tree.map(jnp.zeros_like, q.init(jax.random.key(0)))
    own[0]["dense_0"]["kernel"] = own[0]["dense_0"]["kernel"].at[0, 2].set(k)
    params["posterior"] = own
    # mu_2 - k mu_1 and the conditional variances take the place of means and variances.
    dense = params["encoder"]["dense_0"]
    of_second = {name: dense[name].at[..., 1].add(-k * dense[name][..., 0]) for name in dense}
    scales = lg.raw(np.log([c[0, 0], c[1, 1] - k * c[1, 0]]) / 2)
    of_second["bias"] = of_second["bias"].at[2:4].set(scales)
    params["encoder"]["dense_0"] = of_second
    bound = vae.elbo(jax.random.key(4), net, params, {}, lg.X, samples=2, kl="monte_carlo")
    np.testing.assert_allclose(bound.value, exact.log_p, rtol=1e-10)
    np.testing.assert_allclose(
        vae.encode(net, params, {}, lg.X)[:, 0], exact.mean[:, 0], rtol=1e-10
    )
    inverse = np.linalg.inv(c)
    lost = np.linalg.slogdet(c * np.diag(inverse))[1] / 2
    best = lg.kl_normal(exact.mean, np.diag(1 / np.diag(inverse)), exact.mean, c)
    np.testing.assert_allclose(best, lost, rtol=1e-10)
    assert lost > 0.03


@pytest.mark.slow
def test_training_makes_it_tighter_than_the_diagonal_normal_can_be():
    """With the decoder as it is, bounds of fresh draws after 1500 steps."""
    exact = lg.exact(lg.OBLIQUE)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 2)) @ lg.OBLIQUE.T + lg.B + lg.S * rng.normal(size=(500, 4))
    x = x.astype(np.float32)
    q = models.iaf_posterior(2, (8,), context=2, steps=2)
    net, start = oblique(2, q)
    decoder = jax.tree.map(lambda p: jnp.asarray(p, jnp.float32), start["decoder"])
    known = models.VAE(
        net.prior, net.encoder,
        net.decoder._replace(
            init=lambda key: ({}, {}),
            apply=lambda p, s, z, **how: net.decoder.apply(decoder, s, z, **how),
        ),
        net.family, q,
    )  # fmt: skip
    objective = training.negative_elbo(known, samples=4, kl="monte_carlo", eval_samples=200)
    learner = training.gradient_learner(vae.as_model(known), objective, optax.adam(3e-3))
    result = training.fit(learner, x, key=jax.random.key(0), steps=3000, batch_size=250)
    found = -jax.jit(learner.evaluate)(result.state, x)["negative_elbo"].mean()
    log_p = lg.exact(lg.OBLIQUE, x).log_p.mean()
    inverse = np.linalg.inv(exact.covariance)
    lost = np.linalg.slogdet(exact.covariance * np.diag(inverse))[1] / 2
    assert log_p - lost < found < log_p + 0.01


def test_widths_are_checked():
    with pytest.raises(ValueError, match="context must be a positive whole number, not -1"):
        models.flow_posterior(lambda h: flows.iaf(2, context=h), context=-1)
    with pytest.raises(ValueError, match=r"psi is \[..., 2K\]"):
        Q.draw(jax.random.key(0), {}, jnp.zeros((5, 2 * K + C + 1)), 1)
