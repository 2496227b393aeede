"""Initial kernels: their distributions, jax's initializers, and signals through twenty layers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import layers, models

SHAPE = (300, 500)


@pytest.mark.equation(28)
def test_xavier_uniform(key):
    w = np.asarray(layers.xavier_uniform()(key, SHAPE, jnp.float32))
    bound = np.sqrt(6 / 800)
    assert abs(w).max() <= bound and abs(w).max() > 0.999 * bound
    np.testing.assert_allclose(w.var(), 2 / 800, rtol=0.02)  # a uniform's: bound^2 / 3
    assert abs(w.mean()) < 5 * np.sqrt(2 / 800 / w.size)
    theirs = jax.nn.initializers.glorot_uniform()(jax.random.clone(key), SHAPE, jnp.float32)
    np.testing.assert_allclose(w, theirs, rtol=1e-6)


@pytest.mark.equation(29)
def test_he_normal(key):
    w = np.asarray(layers.he_normal()(key, SHAPE, jnp.float32))
    np.testing.assert_allclose(w.var(), 2 / 300, rtol=0.02)
    std = np.sqrt(2 / 300)
    assert abs(w).max() > 4 * std  # D-91: 150,000 plain draws reach 4.4 or so
    truncated = jax.nn.initializers.he_normal()(jax.random.clone(key), SHAPE, jnp.float32)
    assert abs(truncated).max() < 2.3 * std
    leaky = layers.he_normal(0.5)(jax.random.key(1), SHAPE, jnp.float32)
    np.testing.assert_allclose(leaky.var(), 2 / (1.25 * 300), rtol=0.02)


@pytest.mark.equation(29)
def test_the_variance_is_two_over_fan_in_not_the_standard_deviation(key):
    """D-48: read as a standard deviation, 0.86 behind 20 ReLU layers becomes 5.9e-22."""
    width, depth = 256, 20
    x = jax.random.normal(jax.random.key(1), (50, width))
    ratio = lambda init: _rms(_signal(init, "relu", width, depth, jax.random.clone(key), x))
    literal = lambda key, shape, dtype: 2 / shape[0] * jax.random.normal(key, shape, dtype)
    assert 0.3 < ratio(layers.he_normal()) < 3
    expected = (2 / width) ** (depth / 2)  # each layer: the variance 4 / D^2, of D / 2 units
    np.testing.assert_allclose(np.log10(ratio(literal)), np.log10(expected), atol=0.5)


def _signal(init, activation, width, depth, key, x):
    kernels = jax.vmap(lambda k: init(k, (width, width), jnp.float32))(jax.random.split(key, depth))
    step = lambda h, w: (layers.activation(activation)(h @ w), None)
    return jax.lax.scan(step, x, kernels)[0]


def _rms(x):
    return np.sqrt(np.mean(np.square(np.float64(x))))  # squares of 1e-22 are 0 in float32


def test_gains_make_up_for_the_slope_at_zero(key):
    """D-49: the rms of the gradient behind 20 layers, over that before them."""
    width = 200
    x = jax.random.normal(jax.random.key(1), (50, width))
    delta = jax.random.normal(jax.random.key(2), (50, width))

    def ratio(activation, gain):
        signal = lambda x: _signal(
            layers.xavier_uniform(gain), activation, width, 20, jax.random.clone(key), x
        )
        return _rms(jax.vjp(signal, x)[1](delta)[0]) / _rms(delta)

    tanh, logistic, corrected = ratio("tanh", 1.0), ratio("logistic", 1.0), ratio("logistic", 4.0)
    np.testing.assert_allclose(tanh, 0.195, rtol=0.5)
    assert 1e-13 < logistic < 0.25**20  # the slope is 1/4 at most: 9.1e-13
    assert corrected > 1e5 * logistic


@pytest.mark.parametrize("shape", [(7, 4), (4, 7), (5, 5), (3, 2, 4), (1, 1)])
def test_orthogonal(x64, key, shape):
    w = np.asarray(layers.orthogonal(3.0)(key, shape, jnp.float64))
    flat = w.reshape(-1, shape[-1])
    np.testing.assert_allclose(np.linalg.svd(flat)[1], np.full(min(flat.shape), 3.0), rtol=1e-12)


def test_orthogonal_in_float32_and_half_precision(key):
    w = np.asarray(layers.orthogonal()(key, (256, 256), jnp.float32), np.float64)
    np.testing.assert_allclose(w.T @ w, np.eye(256), atol=2e-6)
    half = layers.orthogonal()(jax.random.clone(key), (256, 256), jnp.bfloat16)
    np.testing.assert_allclose(np.asarray(half, np.float64), w, atol=2**-9)


@pytest.mark.parametrize("shape", [(3, 3), (3, 2), (2, 3)])
def test_orthogonal_is_uniform(shape):
    """Entries of Haar's distribution on O(3): means 0, E w^2 = 1/3, E w^4 = 3/15, E det = 0."""
    keys = jax.random.split(jax.random.key(0), 20_000)
    w = np.asarray(jax.vmap(lambda key: layers.orthogonal()(key, shape, jnp.float32))(keys))
    np.testing.assert_allclose(w.mean(0), 0, atol=0.02)
    np.testing.assert_allclose((w**2).mean(0), 1 / 3, atol=0.02)
    np.testing.assert_allclose((w**4).mean(0), 3 / 15, atol=0.02)
    np.testing.assert_allclose((w[:, 0, 0] * w[:, 1, 1]).mean(), 0, atol=0.02)
    if shape == (3, 3):
        traces = np.trace(w, axis1=1, axis2=2)
        np.testing.assert_allclose([traces.mean(), (traces**2).mean()], [0, 1], atol=0.05)
        np.testing.assert_allclose(np.linalg.det(w).mean(), 0, atol=0.04)


def test_orthogonal_calls_no_lapack(key):
    """Batches of LAPACK calls wait for each other on several host devices."""
    init = jax.jit(lambda key: layers.orthogonal()(key, (4, 4), jnp.float32))
    assert "custom_call" not in init.lower(key).as_text()


def test_for_activation():
    """E-38."""
    scale = lambda init: init(jax.random.key(0), (40, 30), jnp.float32)
    uniform = {"logistic": 4.0, "tanh": 1.0, "identity": 1.0}
    for name in layers.ACTIVATIONS:
        w = scale(layers.for_activation(name))
        if name in uniform:
            expected = layers.xavier_uniform(uniform[name])
        else:
            expected = layers.he_normal(0.01 if name == "leaky_relu" else 0.0)
        np.testing.assert_array_equal(w, scale(expected))
        np.testing.assert_array_equal(w, scale(layers.for_activation(layers.activation(name))))
    for own, name in ((jax.nn.relu, "relu"), (jnp.tanh, "tanh"), (jax.nn.sigmoid, "logistic")):
        by_function = scale(layers.for_activation(own))
        np.testing.assert_array_equal(by_function, scale(layers.for_activation(name)))
    steep = scale(layers.for_activation("leaky_relu", negative_slope=0.5))
    np.testing.assert_array_equal(steep, scale(layers.he_normal(0.5)))
    with pytest.raises(ValueError, match="no initializer is known"):
        layers.for_activation(jnp.sin)
    with pytest.raises(ValueError, match="no activation 'swish'"):
        layers.for_activation("swish")


def test_a_network_takes_one_initializer_for_each_layer():
    """E-38: kernels by activation and size, offsets zero."""
    names = ("logistic", "relu", "identity")
    net = models.mlp((30, 40, 20, 3), activation=names[:2], kernel_init=map_to_inits(names))
    params, _ = net.init(jax.random.key(0))
    keys = jax.random.split(jax.random.key(0), 3)
    for i, (k, init) in enumerate(zip(keys, map_to_inits(names), strict=True)):
        kernel = params[f"dense_{i}"]["kernel"]
        np.testing.assert_array_equal(kernel, init(k, kernel.shape, kernel.dtype))
        assert not params[f"dense_{i}"]["bias"].any()


def map_to_inits(names):
    return [layers.for_activation(name) for name in names]


INITIALIZERS = {
    "xavier_uniform": layers.xavier_uniform,
    "he_normal": layers.he_normal,
    "orthogonal": layers.orthogonal,
    "for_activation": lambda s: layers.for_activation("leaky_relu", negative_slope=s),
}


@pytest.mark.parametrize("make", INITIALIZERS.values(), ids=INITIALIZERS)
def test_settings_may_be_traced_and_dtypes_are_kept(x64, make):
    draw = lambda s, dtype: make(s)(jax.random.key(0), (3, 4), dtype)
    settings = jnp.array([0.25, 2.0])
    together = jax.jit(jax.vmap(lambda s: draw(s, jnp.float64)))(settings)
    alone = jnp.stack([draw(s, jnp.float64) for s in (0.25, 2.0)])
    np.testing.assert_allclose(together, alone, rtol=1e-12)
    assert abs(together[0] - together[1]).max() > 1e-3
    assert jnp.isfinite(jax.grad(lambda s: draw(s, jnp.float64).sum())(0.5))
    for dtype in (jnp.bfloat16, jnp.float32, jnp.float64):
        assert draw(0.5, dtype).dtype == draw(settings[0], dtype).dtype == dtype
    assert draw(0.5, None).dtype == jnp.float64
    with pytest.raises(ValueError, match=r"\[..., in, out\]"):
        make(0.5)(jax.random.key(0), (3,), jnp.float32)


def test_leading_axes_are_a_receptive_field(key):
    w = layers.he_normal()(key, (3, 3, 30, 200), jnp.float32)
    np.testing.assert_allclose(w.var(), 2 / (9 * 30), rtol=0.03)
    theirs = jax.nn.initializers.glorot_uniform()(jax.random.key(1), (3, 3, 4, 5), jnp.float32)
    ours = layers.xavier_uniform()(jax.random.key(1), (3, 3, 4, 5), jnp.float32)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)
