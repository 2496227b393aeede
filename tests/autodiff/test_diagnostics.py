"""Diagnostics on hand-built cases, and a picture of each."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import autodiff, layers, plotting
from jaxdl.autodiff import diagnostics
from jaxdl.models import mlp

DEPTH, WIDTH = 20, 32


def deep(activation, kernel_init):
    net = mlp((WIDTH,) * (DEPTH + 1) + (1,), activation=activation, kernel_init=kernel_init)
    params, _ = net.init(jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (64, WIDTH))
    y = jnp.zeros((64, 1))
    run = jax.jit(lambda w: autodiff.backprop(w, x, y, activation=activation))
    return params, run(params)


@pytest.fixture(scope="module")
def networks():
    return {
        "logistic": deep("logistic", layers.xavier_uniform()),
        "tanh": deep("tanh", layers.xavier_uniform()),
        "large": deep("relu", lambda k, s, d: 3 * layers.he_normal()(k, s, d)),
    }


@pytest.mark.equation("L749")
def test_verdicts_on_twenty_layers(networks):
    """E-35: logistic units let gradients vanish, tanh with Xavier's start does not."""
    norms = {k: diagnostics.layer_gradient_norms(b.gradients) for k, (_, b) in networks.items()}
    judged = {k: diagnostics.verdict(n) for k, n in norms.items()}
    assert bool(judged["logistic"].vanishing) and not bool(judged["logistic"].exploding)
    assert not bool(judged["tanh"].vanishing) and not bool(judged["tanh"].exploding)
    assert not bool(judged["large"].vanishing)
    assert judged["logistic"].ratio < 1e-8


def test_verdicts_by_hand():
    exploding = diagnostics.verdict(jnp.array([1e5, 1e3, 1.0]))
    assert bool(exploding.exploding) and not bool(exploding.vanishing)
    assert bool(diagnostics.verdict(jnp.array([jnp.nan, 1.0])).exploding)
    dead = diagnostics.verdict(jnp.array([0.0, 0.0]))
    assert bool(dead.vanishing) and dead.ratio == 0
    lost = diagnostics.verdict(jnp.array([0.5, 0.0]))
    assert bool(lost.exploding) and lost.ratio == jnp.inf
    by_layer = {f"dense_{i}": v for i, v in enumerate(jnp.array([5.0] + [1.0] * 9 + [2.5]))}
    shuffled = dict(sorted(by_layer.items()))  # dense_10 comes before dense_2
    assert diagnostics.verdict(shuffled).ratio == 2.0


def test_norms_of_gradients_by_hand():
    gradients = {"dense_0": {"kernel": jnp.array([[3.0, 4.0]]), "bias": jnp.zeros(2)},
                 "dense_1": {"kernel": jnp.zeros((2, 2))}}  # fmt: skip
    norms = diagnostics.layer_gradient_norms(gradients)
    np.testing.assert_allclose(norms["dense_0"], 2.5)
    assert norms["dense_1"] == 0
    slope = jax.grad(lambda g: diagnostics.layer_gradient_norms(g)["dense_1"])(gradients)
    assert jnp.isfinite(slope["dense_1"]["kernel"]).all()


@pytest.mark.equation("L749")
def test_the_product_of_jacobian_norms_bounds_the_gradient(x64):
    """L749."""
    params, _ = mlp((4, 6, 5, 3), activation="tanh").init(jax.random.key(0))
    x = jnp.array([0.3, -1.0, 0.5, 2.0])
    chain = autodiff.chain_rule_jacobians(params, x, activation="tanh")
    norms = diagnostics.jacobian_norms(chain)
    for matrix, norm in zip(chain, norms, strict=True):
        np.testing.assert_allclose(norm, np.linalg.norm(matrix, 2), rtol=1e-10)
    row = jnp.array([0.3, -0.4, 0.1])
    for l in range(3):
        signal = jnp.linalg.norm(row @ autodiff.accumulate(chain[l:]))
        assert signal <= jnp.linalg.norm(row) * jnp.prod(norms[l:]) * (1 + 1e-12)


def test_spectra_by_hand():
    np.testing.assert_allclose(
        diagnostics.jacobian_spectrum(jnp.diag(jnp.array([0.5, -3.0, 0.0]))), [3, 0.5, 0], atol=1e-6
    )
    with pytest.raises(ValueError, match="a Jacobian is"):
        diagnostics.jacobian_spectrum(jnp.ones(3))


@pytest.mark.parametrize("name", ["logistic", "tanh"])
def test_saturation_by_hand(name):
    cache = autodiff.Cache((), (jnp.array([[0.0, 9.0], [-8.0, 0.1]]), jnp.full((2, 3), 7.0)), None)
    found = diagnostics.saturation(cache, slope=layers.derivative(name))
    np.testing.assert_allclose(found, [0.5, 1.0])


def test_dead_units_are_dead_for_all_inputs():
    """D-55: zero for one example is no death, and a leaky unit never dies."""
    pre = jnp.array([[1.0, -1.0, 0.0], [-1.0, -2.0, 0.0]])
    cache = autodiff.Cache((), (pre,), None)
    np.testing.assert_allclose(diagnostics.dead_relu_fraction(cache), [2 / 3], rtol=1e-6)
    leaky = diagnostics.dead_relu_fraction(cache, slope=layers.derivative("leaky_relu"))
    assert leaky.tolist() == [0.0]


def test_update_ratios_by_hand():
    params = {"dense_0": {"kernel": jnp.array([3.0, 4.0])}, "dense_1": {"kernel": jnp.zeros(2)}}
    updates = {"dense_0": {"kernel": jnp.array([0.0, 0.5])}, "dense_1": {"kernel": jnp.zeros(2)}}
    ratios = jax.jit(diagnostics.update_ratios)(params, updates)
    np.testing.assert_allclose([ratios["dense_0"], ratios["dense_1"]], [0.1, 0.0], rtol=1e-6)
    moved = diagnostics.update_ratios(params, {**updates, "dense_1": {"kernel": jnp.ones(2)}})
    assert moved["dense_1"] == jnp.inf


def test_pictures(networks):
    norms = {
        k: [float(v) for v in diagnostics.layer_gradient_norms(b.gradients).values()]
        for k, (_, b) in networks.items()
    }
    (axes,) = plotting.norms_by_layer(norms).axes
    assert axes.get_yscale() == "log" and len(axes.lines) == 3
    np.testing.assert_allclose(axes.lines[1].get_ydata(), norms["tanh"])
    (axes,) = plotting.spectrum({"a": [2.0, 1.0, 0.1]}).axes
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [2, 1, 0.1])
    (axes,) = plotting.fractions_by_layer({"a": [0.1, 0.9], "b": [0.0, 0.2]}, "dead").axes
    assert sorted(round(p.get_height(), 3) for p in axes.patches) == [0.0, 0.1, 0.2, 0.9]
    (axes,) = plotting.update_ratios_by_step({"dense_0": [1e-2, 1e-3], "dense_1": [0, 1e-4]}).axes
    assert axes.lines[1].get_ydata()[0] > 0
