"""Conditional and convolutional VAEs, other posteriors, and the decoder of images."""

import jax
import jax.numpy as jnp
import linear_gaussian as lg
import numpy as np
import optax
import pytest
import scipy.stats
from sklearn.datasets import load_digits

from jaxdl import families, models, training
from jaxdl.families import links, reparam
from jaxdl.model_selection import cross_validate
from jaxdl.models import latent, vae


def conditional(num_classes=3):
    return models.VAE(
        models.standard_normal(2),
        models.conditioned(models.mlp((4 + num_classes, 4)), num_classes),
        models.conditioned(models.mlp((2 + num_classes, 4)), num_classes),
        families.normal(lg.S),
    )


def test_a_condition_is_more_features():
    x, c = jnp.arange(8.0).reshape(2, 4), jnp.array([2, 0])
    seen = np.concatenate([x, np.eye(3)[np.asarray(c)]], axis=1)
    inner = models.mlp((7, 2))
    params, state = inner.init(jax.random.key(0))
    eta, _ = models.conditioned(inner, 3).apply(params, state, {"x": x, "condition": c})
    np.testing.assert_allclose(eta, inner.apply(params, state, seen)[0], rtol=1e-6)
    rows = {"x": x, "condition": jnp.asarray(seen[:, 4:])}
    np.testing.assert_array_equal(models.conditioned(inner).apply(params, state, rows)[0], eta)
    unknown = {"x": x, "condition": jnp.array([3, 0])}
    eta, _ = models.conditioned(inner, 3).apply(params, state, unknown)
    assert np.isnan(eta[0]).all() and np.isfinite(eta[1]).all()
    identity = models.mlp((1 + 2, 3))
    one = {"dense_0": {"kernel": jnp.eye(3), "bias": jnp.zeros(3)}}
    images = {"x": jnp.full((2, 4, 5, 1), 7.0), "condition": jnp.array([[1.0, 2.0], [3.0, 4.0]])}
    pixels, _ = models.conditioned(identity).apply(one, {}, images)
    np.testing.assert_array_equal(pixels[1, 2, 3], [7, 3, 4])
    assert pixels.shape == (2, 4, 5, 3)


def test_conditions_are_checked():
    net = models.conditioned(models.mlp((7, 2)), 3)
    params, state = net.init(jax.random.key(0))
    x = jnp.ones((2, 4))
    with pytest.raises(ValueError, match="a conditioned model is given"):
        net.apply(params, state, x)
    with pytest.raises(ValueError, match="classes of whole numbers, not float32"):
        net.apply(params, state, {"x": x, "condition": jnp.ones(2)})
    with pytest.raises(ValueError, match="a condition for each x"):
        net.apply(params, state, {"x": x, "condition": jnp.ones(3, int)})
    with pytest.raises(ValueError, match="does not fill the shape"):
        wide = models.reshaped(models.mlp((4, 5)), (2, 2))
        wide.apply(*wide.init(jax.random.key(0)), x)


@pytest.mark.equation(51)
def test_a_conditional_one_bounds_the_conditional_likelihood(x64):
    """The decoder's offset moves with the class: log p(x|c) is that of x with the offset taken off."""
    offsets = np.array([[0.0, 0, 0, 0], [1, -1, 2, 0.5], [-2, 0, 0, 1]])
    at = lg.posterior_params()
    encoder, decoder = at["encoder"]["dense_0"], at["decoder"]["dense_0"]
    more = -offsets @ np.asarray(encoder["kernel"])
    params = {
        "encoder": {"dense_0": {**encoder, "kernel": np.concatenate([encoder["kernel"], more])}},
        "decoder": {"dense_0": {**decoder, "kernel": np.concatenate([decoder["kernel"], offsets])}},
    }
    net, c = conditional(), jnp.array([1, 2, 0])
    x = {"x": jnp.asarray(lg.X), "condition": c}
    expected = lg.exact(x=lg.X - offsets[np.asarray(c)]).log_p
    bound = vae.elbo(jax.random.key(0), net, params, {}, x, samples=3, kl="monte_carlo")
    np.testing.assert_allclose(bound.value, expected, rtol=1e-10)
    found = vae.log_likelihood(jax.random.key(1), net, params, {}, x, samples=3)
    np.testing.assert_allclose(found.mean, expected, rtol=1e-10)
    draws = vae.sample(
        jax.random.key(2), net, params, {}, 3000, condition=jnp.ones(3000, jnp.int32)
    )
    np.testing.assert_allclose(draws.mean(0), lg.B + offsets[1], atol=0.12)
    assert vae.reconstruct(net, params, {}, x).shape == (3, 4)


@pytest.mark.slow
def test_a_conditional_one_learns_what_its_classes_are():
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    means = np.array([[3.0, 0, 0, 0], [0, 3, 0, 0], [0, 0, 3, 0]])
    x = (means[labels] + 0.5 * rng.normal(size=(60, 4))).astype(np.float32)
    net = conditional()
    objective = training.negative_elbo(net)
    learner = training.gradient_learner(vae.as_model(net), objective, optax.adam(0.05))
    data = {"x": x, "condition": labels}
    result = training.fit(learner, data, key=jax.random.key(0), epochs=300)
    ts, asked = result.state, np.repeat(np.arange(3), 200)
    drawn = np.asarray(
        vae.sample(jax.random.key(1), net, ts.params, ts.state, 600, condition=asked)
    )
    np.testing.assert_array_equal(drawn.reshape(3, 200, 4).mean(1).argmax(1), np.arange(3))
    np.testing.assert_allclose(drawn.reshape(3, 200, 4).mean(1), means, atol=0.35)
    assert learner.predict(ts, data).shape == (60, 4)
    study = cross_validate(
        lambda h: training.gradient_learner(
            vae.as_model(net), objective, optax.adam(h["rate"])
        ),
        {"rate": [0.05, 1e-4]}, data, key=jax.random.key(2), folds=2, epochs=100, metric="nll",
    )  # fmt: skip
    assert study.best().hparams["rate"] == 0.05


def test_the_decoder_of_images_is_its_layers(key):
    net = models.transposed_cnn(2, (8, 4, 3), filters=(5, 4), hidden=(6,), activation="tanh")
    params, state = net.init(key)
    assert jax.tree.map(jnp.shape, params) == {
        "conv_0": {"kernel": (4, 4, 5, 4), "bias": (4,)},
        "conv_1": {"kernel": (4, 4, 4, 3), "bias": (3,)},
        "head": {
            "dense_0": {"kernel": (2, 6), "bias": (6,)},
            "dense_1": {"kernel": (6, 10), "bias": (10,)},
        },
    }
    torch = pytest.importorskip("torch")
    z = np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32)
    eta, _ = net.apply(params, state, z)
    p = jax.tree.map(lambda a: torch.tensor(np.asarray(a)), params)
    h = torch.tensor(z)
    for l in range(2):
        layer = p["head"][f"dense_{l}"]
        h = torch.tanh(h @ layer["kernel"] + layer["bias"])
    h = h.reshape(3, 2, 1, 5).permute(0, 3, 1, 2)
    for l in range(2):
        kernel = p[f"conv_{l}"]["kernel"].permute(2, 3, 0, 1)
        h = torch.nn.functional.conv_transpose2d(
            torch.tanh(h) if l else h, kernel, p[f"conv_{l}"]["bias"], stride=2, padding=1
        )
    np.testing.assert_allclose(eta, h.permute(0, 2, 3, 1).numpy(), rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="must be multiples of 4"):
        models.transposed_cnn(2, (6, 8, 1), filters=(4, 4))


def test_variance_is_kept_by_the_decoder_of_images():
    """At stride 2 a quarter of the cells meet a pixel: the fan-in that initialisers see is too big."""
    net = models.transposed_cnn(64, (32, 32, 1), filters=(64, 64), activation="relu")
    eta, _ = net.apply(*net.init(jax.random.key(0)), jax.random.normal(jax.random.key(1), (20, 64)))
    assert 0.3 < float(eta.std()) < 3


@pytest.mark.slow
def test_a_convolutional_one_learns_digits():
    all_digits = load_digits().images[..., None].astype(np.float32) / 16
    digits = all_digits[:300]
    net = models.VAE(
        models.standard_normal(4),
        models.cnn((8, 8, 1), 8, filters=(8,), hidden=(16,)),
        models.transposed_cnn(4, (8, 8, 1), filters=(32, 16)),
        families.bernoulli(),
    )
    objective = training.negative_elbo(net, eval_samples=4)
    learner = training.gradient_learner(vae.as_model(net), objective, optax.adam(0.005))
    result = training.fit(
        learner, all_digits, key=jax.random.key(0), epochs=10, batch_size=100, validation=digits,
        evaluate_every=10,
    )  # fmt: skip
    pi = np.clip(digits.reshape(300, -1).mean(0), 1e-6, 1 - 1e-6)
    flat = digits.reshape(300, -1)
    factorised = -(flat * np.log(pi) + (1 - flat) * np.log1p(-pi)).sum(1).mean()
    assert result.history.validation["nll"][-1] < factorised - 0.5
    ts = result.state
    assert learner.predict(ts, digits[:3]).shape == (3, 8, 8, 1)
    drawn = vae.sample(jax.random.key(1), net, ts.params, ts.state, 5)
    assert drawn.shape == (5, 8, 8, 1) and set(np.unique(drawn)) <= {0, 1}


@pytest.mark.equation(49, 51)
def test_reals_of_unknown_scale_and_another_posterior(x64):
    """A decoder of means and scales; q a Kumaraswamy on (0, 1), the prior uniform there."""
    uniform = models.Prior(
        1, lambda key, n: jax.random.uniform(key, (n, 1)), lambda z: jnp.zeros(z.shape[:-1])
    )
    net = models.VAE(
        uniform,
        models.mlp((2, 2)),
        models.reshaped(models.mlp((1, 4)), (2, 2)),
        families.heteroskedastic_normal(),
        models.reparameterized_posterior(reparam.kumaraswamy(), (links.softplus, links.softplus)),
    )
    params, state = vae.as_model(net).init(jax.random.key(0))
    x = jnp.array([[0.3, -0.4], [1.0, 0.2]])
    grid = (np.arange(20_000) + 0.5) / 20_000
    layer = jax.tree.map(np.asarray, params["decoder"]["dense_0"])
    eta = (grid[:, None] * layer["kernel"] + layer["bias"]).reshape(-1, 2, 2)
    exact = [
        np.log(scipy.stats.norm.pdf(row, eta[..., 0], np.exp(eta[..., 1])).prod(1).mean())
        for row in np.asarray(x)
    ]
    found = vae.log_likelihood(jax.random.key(1), net, params, state, x, samples=4000)
    assert np.all(np.abs(np.asarray(found.mean) - exact) < 4 * found.standard_error)
    assert np.all(found.standard_error < 0.05)
    bound = vae.elbo(jax.random.key(2), net, params, state, x, samples=2000, kl="monte_carlo")
    assert np.all(bound.value < np.array(exact) + 0.02) and np.all(bound.kl > -0.05)
    median = net.posterior.mean({}, vae.encode(net, params, state, x))
    assert ((median > 0) & (median < 1)).all()
    with pytest.raises(ValueError, match="3 features is not 2 parameters"):
        net.posterior.mean({}, jnp.zeros((1, 3)))


def test_a_location_scale_posterior_is_the_normal_one(x64):
    """With the same links and noise."""
    bounded = lambda s: jnp.exp(latent.location_and_log_scale(jnp.concatenate([s, s], -1))[1])
    own = models.reparameterized_posterior(reparam.location_scale(), (links.identity, bounded))
    psi = jnp.asarray(np.random.default_rng(0).normal(size=(3, 4)))
    for one, other in zip(
        own.draw(jax.random.key(0), {}, psi, 2),
        models.normal_posterior().draw(jax.random.key(0), {}, psi, 2),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, rtol=1e-12)
