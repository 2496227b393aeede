"""Multi-layer perceptrons against flax and scikit-learn on the same parameters."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier

from jaxdl import families, layers, models


class Stack(nn.Module):
    """The same network in flax; its submodules get our names by themselves, but for case."""

    @nn.compact
    def __call__(self, x):
        x = nn.tanh(nn.Dense(5, name="dense_0", param_dtype=x.dtype)(x))
        x = nn.relu(nn.Dense(4, name="dense_1", param_dtype=x.dtype)(x))
        return nn.Dense(2, name="dense_2", param_dtype=x.dtype)(x)


def test_outputs_and_gradients_are_flaxs(x64):
    rng = np.random.default_rng(0)
    net = models.mlp((3, 5, 4, 2), activation=("tanh", "relu"))
    params, state = net.init(jax.random.key(0))
    params = jax.tree.map(lambda leaf: leaf + 0.1, params)
    x = jnp.asarray(rng.normal(size=(6, 3)))
    ours = jax.jit(lambda p: net.apply(p, state, x)[0])
    theirs = lambda p: Stack().apply({"params": p}, x)
    np.testing.assert_allclose(ours(params), theirs(params), rtol=1e-12)
    squares = lambda f: jax.jit(jax.grad(lambda p: jnp.sum(f(p) ** 2)))
    gradients = [squares(f)(params) for f in (ours, theirs)]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-11), *gradients)


def test_probabilities_are_scikit_learns():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 4)), np.arange(60) % 3
    oracle = MLPClassifier((7,), activation="relu", max_iter=20, random_state=0)
    with pytest.warns(UserWarning, match="converge"):  # it has not converged, which does not matter
        oracle.fit(x, y)
    params = {
        f"dense_{i}": {"kernel": jnp.asarray(w), "bias": jnp.asarray(b)}
        for i, (w, b) in enumerate(zip(oracle.coefs_, oracle.intercepts_, strict=True))
    }
    eta, _ = models.mlp((4, 7, 3)).apply(params, {}, jnp.asarray(x))
    mean = families.categorical(3).mean(eta)
    np.testing.assert_allclose(mean, oracle.predict_proba(x), rtol=1e-4)


def test_initial_weights_follow_the_activation(key):
    variance = lambda net: [
        float(layer["kernel"].var() * len(layer["kernel"]))
        for layer in net.init(jax.random.clone(key))[0].values()
    ]
    np.testing.assert_allclose(variance(models.mlp((200, 400, 100))), [2, 1], rtol=0.05)
    tanh = models.mlp((300, 300, 300), activation="tanh")
    np.testing.assert_allclose(variance(tanh), [1, 1], rtol=0.05)
    for rectifier in (layers.relu, jax.nn.relu, layers.gelu, jax.nn.silu):  # by name or not
        net = models.mlp((300, np.int64(300), 300), activation=rectifier)
        np.testing.assert_allclose(variance(net), [2, 1], rtol=0.05)
    zeros = models.mlp((3, 3), kernel_init=jax.nn.initializers.zeros)
    assert not zeros.init(key)[0]["dense_0"]["kernel"].any()


def test_the_signal_keeps_its_size_through_twenty_layers(key):
    net = models.mlp((200,) * 21)
    params, state = net.init(key)  # layer by layer: one shape compiles once
    eta, _ = net.apply(params, state, jax.random.normal(jax.random.key(1), (50, 200)))
    assert 0.3 < float(eta.std()) < 3


def test_each_layer_drops_units_of_its_own():
    layer = {"kernel": jnp.eye(500), "bias": jnp.zeros(500)}
    params = {f"dense_{i}": layer for i in range(3)}
    net = models.mlp((500,) * 4, activation="identity", dropout=0.5)
    eta, _ = net.apply(params, {}, jnp.ones(500), key=jax.random.key(0), train=True)
    kept = float((eta != 0).mean())
    assert abs(kept - 0.25) < 5 * np.sqrt(0.25 * 0.75 / 500)  # 0.5 if both masks were one


def test_a_traced_dropout_rate_and_a_function_as_activation():
    params, state = models.mlp((3, 400, 1), activation=jnp.abs).init(jax.random.key(0))
    x = jnp.ones((1, 3))

    def spread(rate):
        net = models.mlp((3, 400, 1), activation=jnp.abs, dropout=rate)
        draw = lambda k: net.apply(params, state, x, key=k, train=True)[0].squeeze()
        return jax.vmap(draw)(jax.random.split(jax.random.key(1), 200)).std()

    with jax.debug_key_reuse(False):
        none, little, much = jax.jit(jax.vmap(spread))(jnp.array([0.0, 0.1, 0.6]))
    assert none < 1e-6 < little < much
    eta = models.mlp((3, 400, 1), activation=jnp.abs).apply(params, state, x)[0]
    hidden = layers.dense(params["dense_0"], x)
    np.testing.assert_allclose(eta, layers.dense(params["dense_1"], abs(hidden)), rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: models.mlp((3,)), "at least two"),
        (lambda: models.mlp((3, 0, 2)), "positive whole numbers"),
        (lambda: models.mlp((3, 2.5, 2)), "positive whole numbers"),
        (lambda: models.mlp((3, 4, 2), activation=("relu", "relu")), "2 activations for 1 hidden"),
        (lambda: models.mlp((3, 4, 2), activation="swish"), "no activation 'swish'"),
    ],
)
def test_bad_settings(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_rows_of_another_width_are_refused(key):
    net = models.mlp((3, 4, 2))
    with pytest.raises(ValueError, match=r"expects x \[..., 3\]"):
        net.apply(*net.init(key), jnp.ones((5, 4)))
