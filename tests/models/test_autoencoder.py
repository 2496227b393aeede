"""Autoencoders against principal components, and what a denoising one is given."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.stats
from sklearn.decomposition import PCA

from jaxdl import families, models, training
from jaxdl.model_selection import cross_validate
from jaxdl.optim import lbfgs

RNG = np.random.default_rng(0)
# Rank two and noise, off the origin: without offsets a linear autoencoder is not PCA.
X = RNG.normal(size=(40, 2)) @ RNG.normal(size=(2, 5)) + 0.3 * RNG.normal(size=(40, 5)) + 2.0


def linear_autoencoder():
    return models.autoencoder(models.mlp((5, 2)), models.mlp((2, 5)))


@pytest.mark.equation(48)
def test_the_layers_count_on_through_both_networks(key):
    net = models.autoencoder(
        models.mlp((5, 4, 2), activation="tanh"), models.mlp((2, 3, 5), activation="tanh")
    )
    params, state = net.init(key)
    h = X.astype(np.float32)
    layers = [(part, f"dense_{i}") for part in ("encoder", "decoder") for i in range(2)]
    for l, (part, name) in enumerate(layers):
        layer = jax.tree.map(np.asarray, params[part][name])
        h = h @ layer["kernel"] + layer["bias"]
        h = np.tanh(h) if l in (0, 2) else h  # the code and the last layer are linear
    objective = training.reconstruction_nll(net, families.bernoulli())
    pi = 1 / (1 + np.exp(-h))
    np.testing.assert_allclose(objective.predict(params, state, X), pi, rtol=1e-4, atol=1e-6)
    bits = (X > 2).astype(np.float32)
    eta = net.apply(params, state, bits)[0]
    expected = -scipy.stats.bernoulli.logpmf(bits, 1 / (1 + np.exp(-np.asarray(eta)))).sum(1)
    values = objective.evaluate(params, state, bits)
    np.testing.assert_allclose(values["nll"], expected, rtol=1e-4)
    loss, _ = objective.loss(params, state, (bits, np.arange(40)))  # y is not looked at
    np.testing.assert_allclose(loss, expected.mean(), rtol=1e-4)


@pytest.mark.equation(48)
def test_a_linear_one_finds_the_principal_components(x64):
    net = linear_autoencoder()
    objective = training.reconstruction_nll(net, families.normal())
    params, state = net.init(jax.random.key(1))
    fn = lambda params: objective.loss(params, state, jnp.asarray(X))[0]
    found = jax.jit(lambda p: lbfgs(fn, p, max_steps=2000, tolerance=1e-10))(params)
    pca = PCA(2).fit(X)
    residual = np.square(X - pca.inverse_transform(pca.transform(X))).sum(1)
    reconstructed = objective.predict(found.params, state, X)
    np.testing.assert_allclose(np.square(X - reconstructed).sum(1), residual, rtol=1e-4, atol=1e-6)
    constant = 5 * np.log(2 * np.pi) / 2
    np.testing.assert_allclose(fn(found.params), residual.mean() / 2 + constant, rtol=1e-8)
    basis, _ = np.linalg.qr(np.asarray(found.params["decoder"]["dense_0"]["kernel"]).T)
    np.testing.assert_allclose(basis @ basis.T, pca.components_.T @ pca.components_, atol=1e-5)


def test_no_bottleneck_warns():
    """The notes ask for a lossy code without saying how; a square one reaches loss 0 (D-83)."""
    x = X.astype(np.float32)
    square = models.autoencoder(models.mlp((5, 5)), models.mlp((5, 5)))
    params, state = square.init(jax.random.key(0))
    with pytest.warns(UserWarning, match="rows of 5 numbers by 5"):
        square.apply(params, state, x)
    identity = {"dense_0": {"kernel": jnp.eye(5), "bias": jnp.zeros(5)}}
    with pytest.warns(UserWarning, match="no bottleneck"):
        eta, _ = square.apply({"encoder": identity, "decoder": identity}, {}, x)
    np.testing.assert_array_equal(eta, x)
    images = models.autoencoder(
        models.cnn((4, 4, 1), 15, filters=(2,), hidden=()), models.mlp((15, 16))
    )
    wide = models.autoencoder(
        models.cnn((4, 4, 1), 16, filters=(2,), hidden=()), models.mlp((16, 16))
    )
    noisy = models.autoencoder(
        models.mlp((5, 5)), models.mlp((5, 5)), corrupt=models.masking_noise(0.5)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        params, state = images.init(jax.random.key(0))
        images.apply(params, state, jnp.ones((2, 4, 4, 1)))
        noisy.apply(*noisy.init(jax.random.key(0)), x)
    params, state = wide.init(jax.random.key(0))
    with pytest.warns(UserWarning, match="rows of 16 numbers by 16"):
        wide.apply(params, state, jnp.ones((2, 4, 4, 1)))


def test_the_encoder_sees_noise_and_the_loss_the_clean_x(key):
    """With everything corrupted the loss is that of reconstructing x from zeros (CADL #56)."""
    net = models.autoencoder(
        models.mlp((5, 2)), models.mlp((2, 5)), corrupt=models.masking_noise(1.0)
    )
    objective = training.reconstruction_nll(net, families.normal())
    params, state = net.init(key)
    params["decoder"]["dense_0"]["bias"] += 0.7
    x = X.astype(np.float32)
    loss, _ = objective.loss(params, state, x, key=jax.random.key(1), train=True)
    expected = (np.square(x - 0.7).sum(1) / 2).mean() + 5 * np.log(2 * np.pi) / 2
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    clean, _ = objective.loss(params, state, x, key=jax.random.key(1))
    assert abs(clean - loss) > 0.1  # nothing is corrupted but while training
    some = models.autoencoder(
        models.mlp((5, 2)), models.mlp((2, 5)), corrupt=models.masking_noise(0.5)
    )
    first, second = (
        some.apply(params, state, x, key=jax.random.key(k), train=True)[0] for k in (1, 2)
    )
    assert abs(first - second).max() > 0.1
    with pytest.raises(ValueError, match="denoising autoencoder needs a key"):
        some.apply(params, state, x, train=True)


def test_noises_have_their_moments():
    x = jnp.full((200, 100), 3.0)
    kept = np.asarray(models.masking_noise(jnp.float32(0.3))(jax.random.key(0), x))
    assert set(np.unique(kept)) == {0.0, 3.0} and abs((kept == 0).mean() - 0.3) < 0.015
    np.testing.assert_array_equal(models.masking_noise(0.0)(jax.random.key(1), x), x)
    noisy = np.asarray(models.normal_noise(jnp.float32(2.0))(jax.random.key(2), x))
    assert abs(noisy.mean() - 3) < 0.06 and abs(noisy.std() - 2) < 0.05
    assert models.normal_noise(0.1)(jax.random.key(3), jnp.arange(3)).dtype == jnp.float32
    with pytest.raises(ValueError, match=r"lies in \[0, 1\], not 1.5"):
        models.masking_noise(1.5)


def test_a_scores_rows_must_be_those_of_x(key):
    objective = training.reconstruction_nll(linear_autoencoder(), families.normal())
    params, state = linear_autoencoder().init(key)
    values = objective.evaluate(params, state, X)
    assert values["nll"].shape == values["squared_error"].shape == (40,)
    whole = training.reconstruction_nll(
        linear_autoencoder(), families.independent(families.normal())
    )
    for name, value in whole.evaluate(params, state, X).items():
        np.testing.assert_allclose(value, values[name], rtol=1e-6)
    total = families.independent(families.normal(), 2)
    with pytest.raises(ValueError, match="40 rows"):
        training.reconstruction_nll(linear_autoencoder(), total).evaluate(params, state, X)


def test_the_rate_of_corruption_is_chosen_by_cross_validation():
    def make_learner(h):
        net = models.autoencoder(
            models.mlp((5, 2)), models.mlp((2, 5)), corrupt=models.masking_noise(h["rate"])
        )
        objective = training.reconstruction_nll(net, families.normal())
        return training.gradient_learner(net, objective, optax.adam(0.05))

    study = cross_validate(
        make_learner, {"rate": [0.1, 0.95]}, X.astype(np.float32), key=jax.random.key(0), folds=2,
        epochs=60, metric="nll",
    )  # fmt: skip
    assert study.best().hparams["rate"] == 0.1
