"""Losses against hand-worked numbers, scikit-learn, PyTorch and optax; gradients against autodiff."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.special
import scipy.stats
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxdl import families, losses

RNG = np.random.default_rng(0)
F, Y = RNG.normal(size=9), RNG.normal(size=9)


@pytest.mark.equation(1, 5)
def test_mean_squared_error_is_scikit_learns_and_the_loops(x64):
    value = losses.mean_squared_error(F, Y)
    np.testing.assert_allclose(value, sklearn.metrics.mean_squared_error(Y, F), rtol=1e-14)
    by_loop = sum((f - y) ** 2 for f, y in zip(F, Y, strict=True)) / 9
    np.testing.assert_allclose(value, by_loop, rtol=1e-14)
    np.testing.assert_allclose(value, np.linalg.norm(F - Y) ** 2 / 9, rtol=1e-14)
    with_sum = losses.mean_squared_error(F, Y, reduction="sum")  # D-2
    np.testing.assert_allclose(with_sum, 9 * value, rtol=1e-14)
    two = losses.mean_squared_error(np.stack([F, F], 1), np.stack([Y, Y], 1))
    np.testing.assert_allclose(two, 2 * value, rtol=1e-14)
    with pytest.raises(ValueError, match="mean or sum"):
        losses.mean_squared_error(F, Y, reduction="none")


def test_squared_error_and_its_derivative(x64):
    assert losses.squared_error(3.0, 1.0) == 4 and losses.half_squared_error(3.0, 1.0) == 2
    assert losses.squared_error(2.0, 2.0) == 0
    assert jax.grad(losses.squared_error)(3.0, 1.0) == 2 * (3 - 1)
    assert jax.grad(losses.half_squared_error)(3.0, 1.0) == 3 - 1  # D-6
    assert losses.absolute_error(1.0, 4.0) == 3


@pytest.mark.equation(3)
def test_gradient_of_the_univariate_loss(x64):
    x = RNG.normal(size=9)
    loss = lambda w: losses.mean_squared_error(w * x, Y)
    for w in (-2.0, 0.0, 0.7):
        closed = losses.mse_gradient_univariate(w, x, Y)
        np.testing.assert_allclose(closed, jax.grad(loss)(w), atol=1e-10)
        difference = (loss(w + 1e-6) - loss(w - 1e-6)) / 2e-6
        np.testing.assert_allclose(closed, difference, rtol=1e-6)
    best = np.dot(x, Y) / np.dot(x, x)
    assert abs(losses.mse_gradient_univariate(best, x, Y)) < 1e-14
    # by hand: x = 1, 2, y = 2, 4, w = 1: 2/2 (1 * 5 - 10) = -5
    assert losses.mse_gradient_univariate(1.0, jnp.array([1.0, 2]), jnp.array([2.0, 4])) == -5


@pytest.mark.equation(6, 10)
def test_gaussian_nll(x64):
    np.testing.assert_allclose(
        losses.gaussian_nll(F, Y, 1.7), -scipy.stats.norm.logpdf(Y, F, 1.7), rtol=1e-12
    )
    constant = losses.gaussian_nll(F, Y) - losses.half_squared_error(F, Y)
    np.testing.assert_allclose(constant, 0.9189385332046727, atol=1e-15)
    # D-5: 1.7 is a standard deviation, not a variance
    as_variance = -scipy.stats.norm.logpdf(Y, F, np.sqrt(1.7))
    assert abs(losses.gaussian_nll(F, Y, 1.7) - as_variance).max() > 0.05


@pytest.mark.equation(9)
def test_negative_log_likelihood_is_scipys(x64):
    np.testing.assert_allclose(
        losses.negative_log_likelihood(families.normal(2.0), F, Y),
        -np.mean(scipy.stats.norm.logpdf(Y, F, 2.0)), rtol=1e-13,
    )  # fmt: skip
    counts = np.arange(9)
    np.testing.assert_allclose(
        losses.negative_log_likelihood(families.poisson(), F, counts),
        -np.mean(scipy.stats.poisson.logpmf(counts, np.exp(F))), rtol=1e-13,
    )  # fmt: skip
    np.testing.assert_allclose(
        losses.poisson_nll(F, counts), -scipy.stats.poisson.logpmf(counts, np.exp(F)), rtol=1e-12
    )


@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.9])
def test_the_quantile_minimises_the_pinball_loss(x64, quantile):
    y = RNG.exponential(size=400)
    grid = np.linspace(0, 4, 2001)
    means = jax.vmap(lambda f: losses.pinball_loss(jnp.full(400, f), y, quantile).mean())(grid)
    np.testing.assert_allclose(grid[means.argmin()], np.quantile(y, quantile), atol=0.02)
    oracle = sklearn.metrics.mean_pinball_loss(Y, F, alpha=quantile)
    np.testing.assert_allclose(losses.pinball_loss(F, Y, quantile).mean(), oracle, rtol=1e-12)


def test_price_is_right():
    bids = jnp.array([90.0, 100.0, 101.0])
    assert losses.price_is_right_loss(bids, jnp.full(3, 100.0)).tolist() == [10, 0, 10]
    assert losses.price_is_right_loss(bids[2], jnp.array(100.0), overbid=50.0) == 50


def test_binary_cross_entropy_is_scikit_learns_optaxs_and_torchs(x64):
    y = np.array([0, 1, 1, 0, 1, 0, 0, 1, 1])
    value = losses.binary_cross_entropy_with_logits(F, y)
    oracle = sklearn.metrics.log_loss(y, scipy.special.expit(F))
    np.testing.assert_allclose(value.mean(), oracle, rtol=1e-12)
    np.testing.assert_allclose(value, optax.sigmoid_binary_cross_entropy(F, y), rtol=1e-12)
    torch = pytest.importorskip("torch")
    theirs = torch.nn.functional.binary_cross_entropy_with_logits(
        torch.tensor(F), torch.tensor(y, dtype=torch.float64), reduction="none"
    )
    np.testing.assert_allclose(value, theirs.numpy(), rtol=1e-12)


def test_log_of_a_rounded_logistic_is_wrong_and_ours_is_not():
    """D-95: at z = 800, y = 0 the literal form gives inf, and 0 log 0 gives NaN."""
    z, y = jnp.array([800.0, 40.0, -800.0]), jnp.array([0.0, 0.0, 0.0])
    s = 1 / (1 + jnp.exp(-z))
    literal = -(y * jnp.log(s) + (1 - y) * jnp.log(1 - s))
    assert np.isinf(literal[0]) and np.isinf(literal[1]) and np.isnan(literal[2])
    np.testing.assert_allclose(losses.binary_cross_entropy_with_logits(z, y), [800, 40, 0])
    eta = jnp.array([[800.0, 0.0, -800.0]])
    pi = jnp.array([[1.0, 0.0, 0.0]])
    with np.errstate(all="ignore"):
        assert np.isnan(-(pi * jnp.log(jax.nn.softmax(eta))).sum())
    np.testing.assert_allclose(losses.softmax_cross_entropy_with_logits(eta, pi), [0])
    for extreme in (-1e4, 1e4):
        for label in (0.0, 1.0):
            fn = lambda z, label=label: losses.binary_cross_entropy_with_logits(z, label)
            assert np.isfinite(fn(extreme)) and np.isfinite(jax.grad(fn)(extreme))
        fn = lambda z: losses.softmax_cross_entropy_with_logits(jnp.array([z, 0.0, -z]), 1)
        assert np.isfinite(fn(extreme)) and np.isfinite(jax.grad(fn)(extreme))


def test_softmax_cross_entropy_is_scikit_learns_and_optaxs(x64):
    eta, y = RNG.normal(size=(8, 3)), np.array([0, 1, 2, 2, 1, 0, 0, 2])
    value = losses.softmax_cross_entropy_with_logits(eta, y)
    oracle = sklearn.metrics.log_loss(y, scipy.special.softmax(eta, axis=1))
    np.testing.assert_allclose(value.mean(), oracle, rtol=1e-12)
    soft = scipy.special.softmax(RNG.normal(size=(8, 3)), axis=1)
    np.testing.assert_allclose(
        losses.softmax_cross_entropy_with_logits(eta, soft),
        optax.softmax_cross_entropy(eta, soft), rtol=1e-12,
    )  # fmt: skip
    np.testing.assert_allclose(
        losses.softmax_cross_entropy_with_logits(eta, np.eye(3)[y]), value, rtol=1e-13
    )
    outside = losses.softmax_cross_entropy_with_logits(eta[:2], np.array([3, -1]))
    assert np.isnan(outside).all()


@pytest.mark.equation(14)
def test_logistic_gradients_in_closed_form(x64):
    x, y = RNG.normal(size=(8, 3)), np.array([0, 1, 1, 0, 1, 0, 0, 1])
    loss = lambda w, x: losses.binary_cross_entropy_with_logits(x @ w, y).mean()
    w = RNG.normal(size=3)
    np.testing.assert_allclose(losses.bce_gradient(w, x, y), jax.grad(loss)(w, x), atol=1e-10)
    one = lambda w: losses.binary_cross_entropy_with_logits(w * x[:, 0], y).mean()
    np.testing.assert_allclose(losses.bce_gradient(0.3, x[:, 0], y), jax.grad(one)(0.3), atol=1e-10)


@pytest.mark.equation(19)
def test_softmax_regression_gradient(x64):
    x, y, w = RNG.normal(size=(7, 3)), np.array([0, 1, 2, 2, 1, 0, 0]), RNG.normal(size=(3, 3))
    loss = lambda w: losses.softmax_cross_entropy_with_logits(x @ w, y).mean()
    closed = losses.softmax_regression_gradient(w, x, y)
    np.testing.assert_allclose(closed, jax.grad(loss)(w), atol=1e-10)
    np.testing.assert_allclose(
        losses.softmax_regression_gradient(w, x, np.eye(3)[y]), closed, rtol=1e-13
    )
    np.testing.assert_allclose(closed.sum(1), 0, atol=1e-15)  # D-23
    # D-20: the literal form for the true class, summed over all n, is not the gradient
    pi = scipy.special.softmax(x @ w, axis=1)
    literal = np.stack([x.T @ (pi[:, k] - 1) / 7 for k in range(3)], axis=1)
    assert abs(literal - closed).max() > 0.1


def test_penalties_exempt_offsets(x64):
    params = {"dense_0": {"kernel": jnp.array([[3.0, -4.0]]), "bias": jnp.array([9.0])}}
    assert losses.l2(params) == 25 and losses.l1(params) == 7
    np.testing.assert_allclose(losses.elastic_net(params, 0.25), 0.25 * 7 + 0.75 * 25)
    w = jnp.array([10.0, 3.0, 4.0])
    assert losses.l2(w) == 125  # D-34: the literal sum counts the weight of the appended 1
    assert losses.l2(w, offset="first") == 25 and losses.l2(w, offset="last") == 109
    with pytest.raises(ValueError, match="first, last or None"):
        losses.l2(w, offset="middle")
    total = losses.penalized(lambda w: jnp.sum(w), losses.l2, 0.1)
    np.testing.assert_allclose(total(w), 17 + 12.5)
    np.testing.assert_allclose(jax.grad(total)(w), 1 + 0.2 * w)


ELEMENTWISE = {
    "squared_error": losses.squared_error,
    "half_squared_error": losses.half_squared_error,
    "absolute_error": losses.absolute_error,
    "pinball_loss": lambda f, y: losses.pinball_loss(f, y, 0.3),
    "price_is_right_loss": losses.price_is_right_loss,
    "gaussian_nll": lambda f, y: losses.gaussian_nll(f, y, 2.0),
    "poisson_nll": losses.poisson_nll,
    "binary_cross_entropy_with_logits": losses.binary_cross_entropy_with_logits,
}


@pytest.mark.parametrize("loss", ELEMENTWISE.values(), ids=ELEMENTWISE)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_elementwise_losses_compose_and_refuse_broadcasts(x64, loss, dtype):
    f, y = jnp.asarray(F, dtype), jnp.asarray(np.abs(Y) % 1, dtype)
    each = loss(f, y)
    assert each.shape == (9,) and each.dtype == dtype
    np.testing.assert_allclose(jax.jit(jax.vmap(loss))(f, y), each, rtol=1e-5)
    gradient = jax.grad(lambda f: loss(f, y).sum())(f)
    assert gradient.dtype == dtype and np.isfinite(gradient).all()
    with pytest.raises(ValueError, match="one shape"):
        loss(f[:, None], y)


def test_wrong_shapes_of_classes_are_refused():
    for y in (jnp.zeros(3), jnp.zeros((4, 1), int), jnp.zeros((4, 3))):
        with pytest.raises(ValueError, match="classes"):
            losses.softmax_cross_entropy_with_logits(jnp.zeros((4, 2)), y)
    with pytest.raises(ValueError, match="one shape"):
        losses.mse_gradient_univariate(1.0, jnp.ones(3), jnp.ones((3, 1)))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.lists(st.floats(-50, 50), min_size=2, max_size=2), st.floats(-30, 30))
def test_cross_entropy_ignores_a_common_shift(eta, shift):
    eta = jnp.array(eta)
    value = losses.softmax_cross_entropy_with_logits(eta, 0)
    shifted = losses.softmax_cross_entropy_with_logits(eta + shift, 0)
    assert value >= 0
    np.testing.assert_allclose(shifted, value, atol=2e-5)
    two = losses.binary_cross_entropy_with_logits(eta[0] - eta[1], 1.0)
    np.testing.assert_allclose(value, two, atol=2e-5)
