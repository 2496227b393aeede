import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import autodiff, layers
from jaxdl.autodiff import ScalarRecurrence

PHI = {
    "tanh": np.tanh,
    "logistic": lambda a: 1 / (1 + np.exp(-a)),
    "relu": lambda a: np.maximum(a, 0),
}
X = np.array([[0.7, -0.4, 1.1, 0.3], [-0.2, 0.9, 0.5, -0.8]])
Y = np.array([1.0, 0.0])


def loss(w0, w1, w2, h0, phi):
    """The notes' loss in plain NumPy."""
    total = 0.0
    for x, y in zip(X, Y, strict=True):
        h = h0
        for value in x:
            h = phi(w0 * value + w1 * h)
        total += np.log1p(np.exp(w2 * h)) - y * w2 * h
    return total / len(X)


@pytest.mark.equation("L956", "L965", "L973")
@pytest.mark.parametrize("method", ["sum", "recursive"])
@pytest.mark.parametrize("w1", [0.9, -1.4, 0.0])
@pytest.mark.parametrize("h0", [0.0, 1.0])
@pytest.mark.parametrize("name", PHI)
def test_the_scalar_derivative_is_that_of_finite_differences(name, h0, w1, method, x64):
    w0, w2, e = 0.8, 1.3, 1e-6
    numeric = loss(w0, w1 + e, w2, h0, PHI[name]) - loss(w0, w1 - e, w2, h0, PHI[name])
    w = ScalarRecurrence(*map(jnp.asarray, (w0, w1, w2)))
    exact = autodiff.bptt_scalar(w, X, Y, h0=h0, activation=name, method=method)
    np.testing.assert_allclose(exact, numeric / (2 * e), rtol=1e-7, atol=1e-9)


@pytest.mark.equation("L965", "L973")
def test_two_steps_by_hand(x64):
    """dh_2/dw_1 = phi'(a_2) (h_1 + w_1 phi'(a_1) h_0); the last term goes with h_0."""
    w = ScalarRecurrence(jnp.array(0.5), jnp.array(0.9), jnp.array(1.0))
    x = jnp.array([1.0, 2.0])
    for h0 in (0.0, 1.0):
        h1 = np.tanh(0.5 + 0.9 * h0)
        h2 = np.tanh(1.0 + 0.9 * h1)
        expected = (1 - h2**2) * (h1 + 0.9 * (1 - h1**2) * h0)
        for method in ("sum", "recursive"):
            found = autodiff.state_derivative(w, x, h0=h0, method=method)
            np.testing.assert_allclose(found, expected, rtol=1e-12)
    with pytest.raises(ValueError, match="method is one of recursive, sum, not 'sums'; did you"):
        autodiff.state_derivative(w, x, method="sums")


def recurrence(bias=True):
    cell = layers.simple_cell(2, 3, use_bias=bias)
    params = cell.init(jax.random.key(0))
    rng = np.random.default_rng(1)
    return (
        cell,
        params,
        jnp.asarray(rng.normal(size=(4, 6, 2))),
        jnp.asarray(rng.normal(size=(4, 3))),
    )


@pytest.mark.equation("L933")
@pytest.mark.parametrize("bias", [True, False])
def test_vectors_by_hand_equal_automatic_differentiation(bias, x64):
    cell, params, x, weights = recurrence(bias)

    def last(params, h0):  # a plain loop, with JAX's own derivatives
        h = h0
        for t in range(x.shape[1]):
            h = cell.step(params, (h,), x[:, t])[1]
        return jnp.sum(weights * h)

    h0 = 0.3 * jnp.ones((4, 3))
    found = autodiff.bptt(params, x, weights, h0=h0)
    expected = jax.grad(last)(params, h0)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10), found.gradient, expected
    )
    assert found.to_states.shape == (6, 4, 3)
    np.testing.assert_array_equal(found.to_states[-1], weights)


def test_the_scalar_order_of_factors_is_wrong_for_vectors(x64):
    """D-65: W_1^(T-j) times the product of all phi' is not the chain of both, taken in turns."""
    cell, params, x, weights = recurrence()
    found = autodiff.bptt(params, x, weights)
    W1 = np.asarray(params["recurrent"]["kernel"])
    h = np.zeros((4, 3))
    states, slopes = [h], []
    for t in range(6):
        h = np.asarray(cell.step(params, (jnp.asarray(h),), x[:, t])[1])
        states.append(h)
        slopes.append(1 - h**2)
    reordered = np.zeros((3, 3))
    for j in range(6):
        product = np.prod(slopes[j:], axis=0)
        d = (np.asarray(weights) @ np.linalg.matrix_power(W1.T, 5 - j)) * product
        reordered += states[j].T @ d
    exact = np.asarray(found.gradient["recurrent"]["kernel"])
    assert np.linalg.norm(reordered - exact) > 0.01 * np.linalg.norm(exact)


def test_gradients_through_time_vanish_and_explode(x64):
    """A linear recurrence with an orthogonal kernel times r has norms that are powers of r."""
    q, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    for r in (0.5, 1.0, 2.0):
        params = {
            "input": {"kernel": jnp.zeros((2, 3))},
            "recurrent": {"kernel": r * jnp.asarray(q)},
        }
        found = autodiff.bptt(params, jnp.zeros((2, 5, 2)), jnp.ones((2, 3)), activation="identity")
        norms = autodiff.gradient_norms_through_time(found.to_states)
        np.testing.assert_allclose(norms, np.sqrt(3) * r ** np.arange(4, -1, -1.0), rtol=1e-10)
