"""Sinusoidal, learned and rotary positions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import layers


@pytest.mark.equation("L1097")
def test_sinusoids_by_hand(x64):
    P = layers.sinusoidal_positions(50, 6)
    assert P[0].tolist() == [0, 1, 0, 1, 0, 1]  # counted from 0; from 1 it is sin 1 (D-77)
    first = layers.sinusoidal_positions(1, 6, start=1)[0]
    np.testing.assert_allclose(first[:2], [np.sin(1), np.cos(1)], rtol=1e-15)
    for t, d in ((7, 0), (49, 1), (31, 2)):
        angle = t / 10_000 ** (2 * d / 6)
        np.testing.assert_allclose(P[t, 2 * d : 2 * d + 2], [np.sin(angle), np.cos(angle)])
    np.testing.assert_allclose(jnp.sum(P**2, axis=-1), 3, rtol=1e-13)
    assert abs(P).max() <= 1
    np.testing.assert_array_equal(layers.sinusoidal_positions(50, 5)[:, 4], P_odd(50))


def P_odd(length):
    """An odd width ends with a sine, without its cosine."""
    return np.sin(np.arange(length) * 10_000 ** (-4 / 5))


def test_a_shift_is_a_rotation(x64):
    P = np.asarray(layers.sinusoidal_positions(9, 4))
    for d in range(2):
        angle = 3 * 10_000 ** (-2 * d / 4)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        pair = P[:, 2 * d : 2 * d + 2]  # (sin, cos)
        np.testing.assert_allclose(pair[3:], pair[:6] @ turn, atol=1e-14)


def test_traced_starts_are_as_precise_as_known_ones():
    known = layers.sinusoidal_positions(3, 8, start=4000)
    traced = jax.jit(lambda s: layers.sinusoidal_positions(3, 8, start=s))(jnp.array([4000, 0]))
    np.testing.assert_allclose(traced[0], known, atol=1e-6)
    np.testing.assert_allclose(traced[1], layers.sinusoidal_positions(3, 8), atol=1e-6)
    assert len(np.unique(np.round(layers.sinusoidal_positions(5000, 16), 5), axis=0)) == 5000


def test_rotary_layouts_by_hand():
    """q = e_0 at position 1, k = e_1 at 0: 0 with halves, sin 1 with pairs; one order maps both."""
    q, k = jnp.eye(4)[:1], jnp.eye(4)[1]
    turned = {lay: layers.rotary(q, jnp.array([1]), layout=lay)[0] for lay in ("half", "pairs")}
    assert float(turned["half"] @ k) == 0
    np.testing.assert_allclose(turned["pairs"] @ k, 0.8415, atol=1e-4)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(5, 4)), jnp.float32)
    order = np.array([0, 2, 1, 3])
    half = layers.rotary(x[:, order], layout="half")[:, order]
    np.testing.assert_allclose(half, layers.rotary(x, layout="pairs"), atol=1e-6)


@pytest.mark.parametrize("layout", ["half", "pairs"])
def test_rotary_products_depend_on_differences_only(x64, layout):
    q, k = np.random.default_rng(0).normal(size=(2, 1, 6))
    at = lambda x, t: layers.rotary(x, np.array([t]), layout=layout)[0]
    np.testing.assert_allclose(at(q, 9) @ at(k, 4), at(q, 105) @ at(k, 100), rtol=1e-11)
    np.testing.assert_allclose(jnp.linalg.norm(at(q, 9)), np.linalg.norm(q), rtol=1e-13)
    assert abs(at(q, 9) @ at(k, 4) - at(q, 4) @ at(k, 9)) > 1e-3


def test_learned_positions_end(key):
    params = layers.learned_positions_init(key, 4, 2)
    rows = layers.learned_positions(params, 2, start=2)
    np.testing.assert_array_equal(rows, params["embedding"][2:])
    with pytest.raises(ValueError, match="has learned 4: shorten the sequences"):
        layers.learned_positions(params, 5)


def test_what_is_refused():
    with pytest.raises(ValueError, match="3 is odd"):
        layers.rotary(jnp.ones((2, 3)))
    with pytest.raises(ValueError, match="did you mean 'pairs'"):
        layers.rotary(jnp.ones((2, 4)), layout="pair")
    with pytest.raises(ValueError, match="length must be a positive whole number, not 0"):
        layers.sinusoidal_positions(0, 4)
