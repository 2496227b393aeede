"""Chains of Jacobians, their orders, the choice of a mode."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxdl import autodiff
from jaxdl.models import mlp


def network(sizes=(4, 6, 5, 3), **how):
    net = mlp(sizes, activation="tanh", **how)
    params, _ = net.init(jax.random.key(0))
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda p: p + 0.2 * rng.normal(size=p.shape), params)
    return net, params, jnp.asarray(rng.normal(size=sizes[0]))


@pytest.mark.equation(25)
@pytest.mark.parametrize("how", [{}, {"skip": True}])
def test_the_chain_gives_the_gradient_of_every_layer(how, x64):
    net, params, x = network(**how)
    y = jnp.array([0.3, -1.0, 2.0])
    chain = autodiff.chain_rule_jacobians(params, x, activation="tanh", **how)

    def loss(h, l):
        """Half the squared error of what layers l, l + 1, ... make of h_l, in NumPy."""
        for i in range(l, 2):
            out = np.tanh(h @ weights[f"dense_{i}"]["kernel"] + weights[f"dense_{i}"]["bias"])
            h = out + h @ weights[f"skip_{i}"]["kernel"] if how else out
            hidden.setdefault(i + 1, h)
        eta = h @ weights["dense_2"]["kernel"] + weights["dense_2"]["bias"]
        outputs.append(eta)
        return 0.5 * np.sum((eta - y) ** 2)

    weights, hidden, outputs = jax.tree.map(np.asarray, params), {0: np.asarray(x)}, []
    loss(hidden[0], 0)
    row = outputs[0] - y  # dl/d eta of half the squared error
    for l in reversed(range(3)):
        row = row @ np.asarray(chain[l])  # the product of (25), one factor more for each layer
        steps = 1e-6 * np.eye(len(hidden[l]))
        slope = [(loss(hidden[l] + e, l) - loss(hidden[l] - e, l)) / 2e-6 for e in steps]
        np.testing.assert_allclose(row, slope, rtol=1e-7, atol=1e-9)
    whole = jax.jacrev(lambda x: net.apply(params, {}, x)[0])(x)
    np.testing.assert_allclose(autodiff.accumulate(chain), whole, rtol=1e-10, atol=1e-13)


@pytest.mark.equation(25)
def test_a_weight_of_the_last_layer_needs_the_output_alone(x64):
    """D-44: for l = L the chain is empty."""
    net, params, x = network()
    y = jnp.array([0.3, -1.0, 2.0])
    loss = lambda w: 0.5 * jnp.sum((net.apply(w, {}, x)[0] - y) ** 2)
    cache = autodiff.forward(params, x[None], activation="tanh")
    h = np.asarray(x)
    for l in range(2):
        h = np.tanh(h @ params[f"dense_{l}"]["kernel"] + params[f"dense_{l}"]["bias"])
    eta = h @ params["dense_2"]["kernel"] + params["dense_2"]["bias"]
    by_hand = np.outer(h, eta - y)
    np.testing.assert_allclose(cache.hidden[-1][0], h, rtol=1e-12)
    np.testing.assert_allclose(jax.grad(loss)(params)["dense_2"]["kernel"], by_hand, rtol=1e-12)


@pytest.mark.equation("L743")
def test_both_orders_are_one_matrix_at_two_costs(x64):
    rng = np.random.default_rng(0)
    widths = (1, 20, 20, 20, 50)
    chain = [jnp.asarray(rng.normal(size=(b, a))) for a, b in itertools.pairwise(widths)]
    forward, reverse = (autodiff.accumulate(chain, mode) for mode in ("forward", "reverse"))
    np.testing.assert_allclose(forward, reverse, rtol=1e-10)
    np.testing.assert_allclose(forward, chain[3] @ chain[2] @ chain[1] @ chain[0], rtol=1e-10)


@pytest.mark.parametrize("mode", ["forward", "reverse"])
@settings(deadline=None, max_examples=30, derandomize=True)
@given(widths=st.lists(st.integers(1, 30), min_size=2, max_size=6))
def test_counts_are_those_of_the_products(mode, widths):
    """Each product of [a, b] and [b, c] takes a b c multiplications."""
    shapes = list(zip(widths[1:], widths, strict=False))
    if mode == "reverse":
        shapes = [s[::-1] for s in reversed(shapes)]
    total, (rows, columns) = 0, shapes[0]
    for r, c in shapes[1:]:
        assert c == rows
        total, rows = total + r * c * columns, r
    assert autodiff.flop_count(widths, mode) == total


@pytest.mark.equation("L743")
def test_counts_of_the_notes_network_and_growth():
    widths = (1, 100, 100, 100, 1000)
    assert autodiff.flop_count(widths, "forward") == 120_000
    assert autodiff.flop_count(widths, "reverse") == 20_100_000
    deep = [autodiff.flop_count((50, *[20] * depth, 1)) for depth in (2, 3, 4)]
    assert np.diff(deep).tolist() == [400, 400]


@pytest.mark.parametrize("sizes", [(2, 7), (7, 2), (3, 3)])
def test_the_mode_follows_the_dimensions(sizes, x64):
    d, m = sizes
    a = jnp.asarray(np.random.default_rng(0).normal(size=(m, d)))
    fn = lambda x: jnp.tanh(a @ x)
    x = jnp.linspace(-1, 1, d)
    expected = (1 - jnp.tanh(a @ x) ** 2)[:, None] * a
    for mode in ("auto", "forward", "reverse"):
        found = jax.jit(autodiff.jacobian(fn, mode))(x)
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    text = lambda mode: str(jax.make_jaxpr(autodiff.jacobian(fn, mode))(x))
    assert text("auto") == text("forward" if d <= m else "reverse")


def test_bad_input():
    _, params, x = network()
    with pytest.raises(ValueError, match=r"x is one example \[D\]"):
        autodiff.chain_rule_jacobians(params, x[None])
    with pytest.raises(ValueError, match="mode is one of reverse, forward, not 'sideways'"):
        autodiff.accumulate([jnp.eye(2)], "sideways")
    with pytest.raises(ValueError, match="at least one Jacobian"):
        autodiff.accumulate([])
    with pytest.raises(ValueError, match="mode is one of auto, reverse, forward, not 'both'"):
        autodiff.jacobian(jnp.sin, "both")
    with pytest.raises(ValueError, match="widths are two positive"):
        autodiff.flop_count([3])
