"""Activations against flax and torch; derivatives against autodiff and finite differences."""

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import layers

X = np.concatenate([np.linspace(-6, 6, 49), [-1e4, 1e4]])
ORACLES = {
    "identity": lambda x: x,
    "logistic": flax.linen.sigmoid,
    "tanh": flax.linen.tanh,
    "relu": flax.linen.relu,
    "leaky_relu": flax.linen.leaky_relu,
    "softplus": flax.linen.softplus,
    "gelu": lambda x: flax.linen.gelu(x, approximate=False),
    "silu": flax.linen.silu,
}
names = pytest.mark.parametrize("name", layers.ACTIVATIONS)


def test_the_table_is_whole():
    assert set(layers.ACTIVATIONS) == set(ORACLES)
    assert all(getattr(layers, name) is layers.activation(name) for name in ORACLES)
    own = lambda x: x**2
    assert layers.activation(own) is own
    for look_up in (layers.activation, layers.derivative):
        with pytest.raises(ValueError, match="no activation 'swish'; there are identity, logistic"):
            look_up("swish")


@pytest.mark.equation("L641")
@names
def test_values_are_flaxs_and_torchs(x64, name):
    ours = layers.activation(name)(jnp.asarray(X))
    np.testing.assert_allclose(ours, ORACLES[name](jnp.asarray(X)), rtol=1e-12, atol=1e-300)
    torch = pytest.importorskip("torch")
    theirs = {"identity": torch.nn.Identity(), "logistic": torch.sigmoid, "tanh": torch.tanh}
    theirs = theirs.get(name) or getattr(torch.nn.functional, name)
    np.testing.assert_allclose(ours, theirs(torch.tensor(X)).numpy(), rtol=1e-7, atol=1e-9)


@names
def test_derivatives_are_autodiffs_and_differences(x64, name):
    phi, slope = layers.activation(name), layers.derivative(name)
    x = jnp.asarray(X[np.abs(X) > 1e-9])  # kinks apart
    np.testing.assert_allclose(slope(x), jax.vmap(jax.grad(phi))(x), rtol=1e-11, atol=1e-13)
    inner = x[np.abs(x) < 7]
    difference = (phi(inner + 1e-6) - phi(inner - 1e-6)) / 2e-6
    np.testing.assert_allclose(slope(inner), difference, atol=1e-8)
    assert np.isfinite(slope(x)).all()


def test_tanh_is_a_stretched_logistic_function(x64):
    x = jnp.asarray(X)
    np.testing.assert_allclose(layers.tanh(x), 2 * layers.logistic(2 * x) - 1, atol=1e-15)
    np.testing.assert_array_equal(layers.tanh(-x), -layers.tanh(x))  # D-38: about the origin


def test_derivatives_at_kinks():
    """D-92."""
    zero = jnp.zeros(())
    assert layers.derivative("relu")(zero) == 0 == jax.grad(layers.relu)(0.0)
    assert layers.derivative("leaky_relu", negative_slope=0.2)(zero) == jnp.float32(0.2)
    np.testing.assert_allclose(jax.grad(layers.leaky_relu)(0.0), 0.01)


def test_the_slope_of_leaky_relu_may_be_traced():
    slopes = jnp.array([0.0, 0.1, 0.5])
    values = jax.vmap(lambda s: layers.leaky_relu(jnp.array([-2.0, 3.0]), s))(slopes)
    np.testing.assert_allclose(values, [[0, 3], [-0.2, 3], [-1, 3]])


@names
def test_dtypes_and_composition(x64, name):
    for dtype in (jnp.float32, jnp.float64):
        x = jnp.asarray(X, dtype)
        for fn in (layers.activation(name), layers.derivative(name)):
            assert fn(x).dtype == dtype and np.isfinite(fn(x)).all()
            np.testing.assert_allclose(jax.jit(jax.vmap(fn))(x), fn(x), rtol=1e-5, atol=1e-6)
