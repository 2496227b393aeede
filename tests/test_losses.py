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


@pytest.mark.equation(1, 5, "L775")
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
    uneven = losses.mean_squared_error([[1.0, 5.0], [0.0, 1.0]], [[0.0, 3.0], [0.0, 4.0]])
    assert uneven == (1 + 4 + 0 + 9) / 2  # over the N = 2 rows, not over all four numbers
    with pytest.raises(ValueError, match="reduction is one of mean, sum, not 'none'"):
        losses.mean_squared_error(F, Y, reduction="none")


def test_squared_error_and_its_derivative(x64):
    assert losses.squared_error(3.0, 1.0) == 4 and losses.half_squared_error(3.0, 1.0) == 2
    assert losses.squared_error(2.0, 2.0) == 0
    assert jax.grad(losses.squared_error)(3.0, 1.0) == 2 * (3 - 1)
    assert jax.grad(losses.half_squared_error)(3.0, 1.0) == 3 - 1  # D-6
    assert losses.absolute_error(1.0, 4.0) == 3


@pytest.mark.equation(3)
def test_gradient_of_the_univariate_loss(x64):
    rng = np.random.default_rng(1)
    x = rng.normal(size=9)
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
    rng = np.random.default_rng(1)
    np.testing.assert_allclose(
        losses.gaussian_nll(F, Y, 1.7), -scipy.stats.norm.logpdf(Y, F, 1.7), rtol=1e-12
    )
    constant = losses.gaussian_nll(F, Y) - losses.half_squared_error(F, Y)
    np.testing.assert_allclose(constant, 0.9189385332046727, atol=1e-15)
    x = rng.normal(size=9)
    best = np.dot(x, Y) / np.dot(x, x)  # the least squares' argmin is the likelihood's
    slope = jax.grad(lambda w: losses.gaussian_nll(w * x, Y).mean())
    assert abs(slope(best)) < 1e-14 and abs(slope(best + 0.1)) > 1e-3
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
    rng = np.random.default_rng(1)
    y = rng.exponential(size=401)  # q 401 is no whole number: one minimum
    grid = np.linspace(0, 4, 2001)
    means = jax.vmap(lambda f: losses.pinball_loss(jnp.full(401, f), y, quantile).mean())(grid)
    np.testing.assert_allclose(grid[means.argmin()], np.quantile(y, quantile), atol=0.002)
    oracle = sklearn.metrics.mean_pinball_loss(Y, F, alpha=quantile)
    np.testing.assert_allclose(losses.pinball_loss(F, Y, quantile).mean(), oracle, rtol=1e-12)


def test_price_is_right():
    bids = jnp.array([90.0, 100.0, 101.0])
    assert losses.price_is_right_loss(bids, jnp.full(3, 100.0)).tolist() == [10, 0, 10]
    assert losses.price_is_right_loss(bids[2], jnp.array(100.0), overbid=50.0) == 50


@pytest.mark.equation("L244", "L377")
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
    impossible = jnp.array([0.0, 0.0, -jnp.inf])  # a class ruled out: 0 log 0 again
    half = jnp.array([0.5, 0.5, 0.0])
    value, slope = jax.value_and_grad(losses.softmax_cross_entropy_with_logits)(impossible, half)
    np.testing.assert_allclose([value, *slope], [np.log(2), 0, 0, 0], rtol=1e-6)


def test_tails_are_not_lost_in_float32():
    """Of a label that is nearly certain: 4.1e-8 where softplus(z) - y z rounds to 0."""
    z = np.float32([17, 25, 3, -3])
    exact = np.log1p(np.exp(-z.astype(float)))
    slope = -1 / (1 + np.exp(z.astype(float)))
    for loss in (
        lambda z: losses.binary_cross_entropy_with_logits(z, 1.0),
        lambda z: losses.binary_cross_entropy_with_logits(-z, 0.0),
        lambda z: losses.softmax_cross_entropy_with_logits(jnp.stack([0 * z, z]), 1),
        lambda z: losses.softmax_cross_entropy_with_logits(
            jnp.stack([z, 0 * z]), jnp.array([1.0, 0])
        ),
    ):
        value, gradient = jax.jit(jax.vmap(jax.value_and_grad(loss)))(z)
        np.testing.assert_allclose(value, exact, rtol=1e-6)
        np.testing.assert_allclose(gradient, slope, rtol=1e-6)
    certain = jnp.array([jnp.inf, -jnp.inf])
    assert losses.binary_cross_entropy_with_logits(certain, jnp.array([1, 0])).tolist() == [0, 0]
    counts = np.float32([1e7])
    np.testing.assert_allclose(
        losses.poisson_nll(np.log(counts), counts),
        -scipy.stats.poisson.logpmf(1e7, np.exp(np.log(counts).astype(float))), rtol=1e-6,
    )  # fmt: skip


@pytest.mark.equation("L434", "L769")
def test_softmax_cross_entropy_is_scikit_learns_and_optaxs(x64):
    rng = np.random.default_rng(1)
    eta, y = rng.normal(size=(8, 3)), np.array([0, 1, 2, 2, 1, 0, 0, 2])
    value = losses.softmax_cross_entropy_with_logits(eta, y)
    oracle = sklearn.metrics.log_loss(y, scipy.special.softmax(eta, axis=1))
    np.testing.assert_allclose(value.mean(), oracle, rtol=1e-12)
    soft = scipy.special.softmax(rng.normal(size=(8, 3)), axis=1)
    np.testing.assert_allclose(
        losses.softmax_cross_entropy_with_logits(eta, soft),
        optax.softmax_cross_entropy(eta, soft), rtol=1e-12,
    )  # fmt: skip
    np.testing.assert_allclose(
        losses.softmax_cross_entropy_with_logits(eta, np.eye(3)[y]), value, rtol=1e-13
    )
    outside = losses.softmax_cross_entropy_with_logits(eta[:2], np.array([3, -1]))
    assert np.isnan(outside).all()


@pytest.mark.equation(14, "L268", "L381", "L394")
def test_logistic_gradients_in_closed_form(x64):
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(8, 3)), np.array([0, 1, 1, 0, 1, 0, 0, 1])
    loss = lambda w, x: losses.binary_cross_entropy_with_logits(x @ w, y).mean()
    w = rng.normal(size=3)
    np.testing.assert_allclose(losses.bce_gradient(w, x, y), jax.grad(loss)(w, x), atol=1e-10)
    one = lambda w: losses.binary_cross_entropy_with_logits(w * x[:, 0], y).mean()
    np.testing.assert_allclose(losses.bce_gradient(0.3, x[:, 0], y), jax.grad(one)(0.3), atol=1e-10)
    difference = [(loss(w + e, x) - loss(w - e, x)) / 2e-6 for e in 1e-6 * np.eye(3)]
    np.testing.assert_allclose(losses.bce_gradient(w, x, y), difference, atol=1e-9)


@pytest.mark.equation(19, "L447", "L464")
def test_softmax_regression_gradient(x64):
    rng = np.random.default_rng(1)
    x, y, w = rng.normal(size=(7, 3)), np.array([0, 1, 2, 2, 1, 0, 0]), rng.normal(size=(3, 3))
    loss = jax.jit(lambda w: losses.softmax_cross_entropy_with_logits(x @ w, y).mean())
    closed = losses.softmax_regression_gradient(w, x, y)
    np.testing.assert_allclose(closed, jax.grad(loss)(w), atol=1e-10)
    steps = 1e-5 * np.eye(9).reshape(9, 3, 3)
    difference = jax.vmap(lambda e: (loss(w + e) - loss(w - e)) / 2e-5)(steps)
    np.testing.assert_allclose(closed.ravel(), difference, atol=1e-9)
    np.testing.assert_allclose(
        losses.softmax_regression_gradient(w, x, np.eye(3)[y]), closed, rtol=1e-13
    )
    np.testing.assert_allclose(closed.sum(1), 0, atol=1e-15)  # D-23
    # D-20: the literal form for the true class, summed over all n, is not the gradient
    pi = scipy.special.softmax(x @ w, axis=1)
    literal = np.stack([x.T @ (pi[:, k] - 1) / 7 for k in range(3)], axis=1)
    assert abs(literal - closed).max() > 0.1
    # of one example they are (19): (pi_k - 1) x for its class, pi_j x for the others (L447, L464)
    one = losses.softmax_regression_gradient(w, x[:1], y[:1])
    np.testing.assert_allclose(one, np.outer(x[0], pi[0] - np.eye(3)[y[0]]), rtol=1e-12)
    # D-21: a row gradient in the notes' update, without a transpose, is another step
    assert loss(w - 0.1 * closed) < loss(w - 0.1 * closed.T) and loss(w - 0.1 * closed) < loss(w)
    outside = losses.softmax_regression_gradient(w, x, np.array([0, 1, 2, 3, 1, 0, 0]))
    assert np.isnan(outside).all()  # as the loss, never a class of zeros


@pytest.mark.equation("L579", "L590")
def test_penalties_exempt_offsets(x64):
    params = {"dense_0": {"kernel": jnp.array([[3.0, -4.0]]), "bias": jnp.array([9.0])}}
    assert losses.l2(params) == 25 and losses.l1(params) == 7
    np.testing.assert_allclose(losses.elastic_net(params, 0.25), 0.25 * 7 + 0.75 * 25)
    w = jnp.array([10.0, 3.0, 4.0])
    assert losses.l2(w) == 125  # D-34: the literal sum counts the weight of the appended 1
    with_offset = losses.elastic_net(w, 0.25, offset="first")
    np.testing.assert_allclose(with_offset, 0.25 * 7 + 0.75 * 25)
    assert losses.l2(w, offset="first") == 25 and losses.l2(w, offset="last") == 109
    with pytest.raises(ValueError, match="offset is one of None, first, last, not 'middle'"):
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


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_values_and_gradients_far_out_are_finite(x64, dtype):
    far, y = jnp.array([1e4, -1e4, 1e4, -1e4], dtype), jnp.array([0, 0, 1, 1], dtype)
    softmax = lambda z, y: losses.softmax_cross_entropy_with_logits(
        jnp.stack([z, jnp.zeros_like(z), -z]), y
    )
    table = {
        **ELEMENTWISE,
        "softmax": lambda z, y: softmax(z, y.astype(int)),
        "softmax_soft": lambda z, y: softmax(z, jnp.stack([y, 1 - y, 0 * y])),
    }
    for name, loss in table.items():
        value, gradient = jax.jit(jax.vmap(jax.value_and_grad(loss)))(far, y)
        assert np.isfinite(value).all() and np.isfinite(gradient).all(), name
        assert value.dtype == gradient.dtype == dtype, name


X3, W33, CLASSES = RNG.normal(size=(5, 3)), RNG.normal(size=(3, 3)), np.array([0, 2, 1, 1, 0])
LABELS, SOFT = CLASSES % 2, np.abs(X3) / np.abs(X3).sum(1, keepdims=True)
OF_DATA_SETS = {  # functions of one float array
    "softmax_cross_entropy": lambda z: losses.softmax_cross_entropy_with_logits(z, CLASSES).mean(),
    "softmax_soft": lambda z: losses.softmax_cross_entropy_with_logits(
        z, jnp.asarray(SOFT, z.dtype)
    ).sum(),
    "mean_squared_error": lambda f: losses.mean_squared_error(f, jnp.asarray(X3, f.dtype) + 1),
    "negative_log_likelihood": lambda eta: losses.negative_log_likelihood(
        families.categorical(3), eta, CLASSES
    ),
    "mse_gradient_univariate": lambda x: losses.mse_gradient_univariate(0.3, x[0], x[1]),
    "bce_gradient": lambda x: losses.bce_gradient(x[0], x, LABELS).sum(),
    "softmax_regression_gradient": lambda x: losses.softmax_regression_gradient(x[:3], x, CLASSES)[
        0, 1
    ],
    "l2": lambda w: losses.l2({"a": {"kernel": w, "bias": w[0]}}),
    "l1": lambda w: losses.l1([w, w[0]]),
    "elastic_net": lambda w: losses.elastic_net(w, 0.3, offset="last"),
    "penalized": losses.penalized(jnp.sum, losses.l2, 0.1),
}


@pytest.mark.parametrize("fn", OF_DATA_SETS.values(), ids=OF_DATA_SETS)
def test_losses_of_data_sets_compose_in_both_precisions(x64, fn):
    rng = np.random.default_rng(1)
    gradients = {}
    for dtype in (jnp.float32, jnp.float64):
        batch = jnp.stack([jnp.asarray(X3, dtype), 2 * jnp.asarray(X3, dtype)])
        values = jax.jit(jax.vmap(fn))(batch)
        assert values.dtype == dtype and values.shape == (2,)
        one = jax.jit(jax.value_and_grad(fn))
        np.testing.assert_allclose(values, [one(x)[0] for x in batch], rtol=1e-5)
        gradients[dtype] = one(batch[0])[1]
        assert gradients[dtype].dtype == dtype and abs(gradients[dtype]).max() > 1e-3
    np.testing.assert_allclose(*gradients.values(), rtol=1e-4, atol=1e-6)
    step = 1e-6 * rng.normal(size=X3.shape)
    difference = (one(X3 + step)[0] - one(X3 - step)[0]) / 2
    np.testing.assert_allclose(np.sum(gradients[jnp.float64] * step), difference, rtol=1e-5)


def test_coefficients_and_settings_may_be_traced(x64):
    total = lambda coefficient: losses.penalized(jnp.sum, losses.l2, coefficient)(X3)
    np.testing.assert_allclose(jax.grad(total)(0.1), losses.l2(X3), rtol=1e-12)
    mixed = lambda ratio: losses.elastic_net(X3, ratio)
    np.testing.assert_allclose(jax.grad(mixed)(0.1), losses.l1(X3) - losses.l2(X3), rtol=1e-12)
    with_scale = lambda s: losses.gaussian_nll(1.0, 3.0, s)  # d/ds: 1/s - (f - y)^2 / s^3
    np.testing.assert_allclose(jax.jit(jax.grad(with_scale))(2.0), 1 / 2 - 4 / 8, atol=1e-15)
    assert jax.vmap(lambda o: losses.price_is_right_loss(3.0, 1.0, o))(F).tolist() == list(2 * F)
    assert jax.grad(lambda q: losses.pinball_loss(1.0, 4.0, q))(0.3) == 3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: losses.softmax_cross_entropy_with_logits(np.zeros((4, 2)), Y[:4]), "classes"),
        (
            lambda: losses.softmax_cross_entropy_with_logits(
                np.zeros((4, 2)), np.zeros((4, 1), int)
            ),
            "classes",
        ),
        (
            lambda: losses.softmax_cross_entropy_with_logits(np.zeros((4, 2)), np.zeros((4, 3))),
            "clas",
        ),
        (lambda: losses.softmax_cross_entropy_with_logits(3.0, 1), "classes"),
        (lambda: losses.mean_squared_error(np.ones((3, 1)), np.ones(3)), "one shape"),
        (lambda: losses.mean_squared_error(3.0, 1.0), "not a scalar"),
        (
            lambda: losses.negative_log_likelihood(families.normal(), np.ones((3, 1)), np.ones(3)),
            "one shape",
        ),
        (lambda: losses.mse_gradient_univariate(1.0, np.ones(3), np.ones((3, 1))), "one shape"),
        (lambda: losses.mse_gradient_univariate(1.0, X3, X3), r"\[N\]"),
        (lambda: losses.bce_gradient(np.ones(3), X3, np.ones((5, 1))), "one shape"),
        (lambda: losses.bce_gradient(np.ones((3, 1)), X3, np.ones((5, 1))), r"w \[D\] goes"),
        (lambda: losses.bce_gradient(np.ones(2), X3, LABELS), r"w \[D\] goes"),
        (lambda: losses.softmax_regression_gradient(np.ones(3), X3, CLASSES), r"w \[D, K\] goes"),
        (lambda: losses.softmax_regression_gradient(W33, X3, CLASSES[:4]), "classes"),
        (lambda: losses.softmax_regression_gradient(W33, X3, Y[:5]), "classes"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    st.lists(st.floats(-20, 20), min_size=4, max_size=4), st.floats(-9, 9), st.floats(0.05, 0.95)
)
def test_penalties_are_homogeneous_and_losses_are_distances(w, c, q):
    w = jnp.array(w)
    np.testing.assert_allclose(losses.l1(c * w), abs(c) * losses.l1(w), rtol=1e-5)
    np.testing.assert_allclose(losses.l2(c * w), c**2 * losses.l2(w), rtol=1e-5)
    f, y = w[:2], w[2:]
    for loss in (losses.squared_error, losses.absolute_error):
        np.testing.assert_array_equal(loss(f, y), loss(y, f))
        assert (loss(f, y) >= 0).all() and not loss(f, f).any()
    both_ways = losses.pinball_loss(f, y, q) + losses.pinball_loss(y, f, q)
    np.testing.assert_allclose(both_ways, losses.absolute_error(f, y), rtol=1e-5, atol=1e-5)


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


NET = {
    "dense_0": {"kernel": jnp.diag(jnp.sqrt(jnp.array([6.55, 5.52]))), "bias": jnp.full(2, 9.0)},
    "norm_0": {"scale": jnp.full(2, 8.0), "bias": jnp.full(2, 7.0)},
    "dense_1": {"kernel": jnp.array([[3.0], [4.0]]), "bias": jnp.full(1, 9.0)},
}


@pytest.mark.equation("L883")
def test_weight_decay_is_of_all_matrices_and_frobeniuss():
    """D-54: the literal sum starts at W_1, and a matrix's 2-norm is its spectral norm."""
    w_0, w_1 = NET["dense_0"]["kernel"], NET["dense_1"]["kernel"]
    spectral = jnp.linalg.norm(w_0, 2) ** 2
    np.testing.assert_allclose([spectral, losses.l2(w_0)], [6.55, 12.07], rtol=1e-5)
    np.testing.assert_allclose(losses.l2(NET), 12.07 + 25, rtol=1e-6)
    literal = lambda net: jnp.linalg.norm(net["dense_1"]["kernel"], 2) ** 2
    assert not jax.grad(literal)(NET)["dense_0"]["kernel"].any()  # W_0 would never decay
    gradient = jax.jit(jax.grad(losses.l2))(NET)
    for ours, w in ((gradient["dense_0"], w_0), (gradient["dense_1"], w_1)):
        np.testing.assert_allclose(ours["kernel"], 2 * w, rtol=1e-6)
        assert not ours["bias"].any()
    assert not gradient["norm_0"]["scale"].any()
    np.testing.assert_allclose(losses.l1(NET), np.sqrt([6.55, 5.52]).sum() + 7, rtol=1e-6)


@pytest.mark.equation("L883")
def test_a_step_with_weight_decay_shrinks_the_weights():
    rate, decay = 0.1, 0.3  # Notes: L883
    penalty = lambda net: decay * losses.l2(net)
    updates, _ = optax.sgd(rate).update(jax.grad(penalty)(NET), optax.sgd(rate).init(NET))
    after = optax.apply_updates(NET, updates)
    for name in ("dense_0", "dense_1"):
        expected = NET[name]["kernel"] * (1 - 2 * rate * decay)
        np.testing.assert_allclose(after[name]["kernel"], expected, rtol=1e-6)
        np.testing.assert_array_equal(after[name]["bias"], NET[name]["bias"])
    np.testing.assert_array_equal(after["norm_0"]["scale"], NET["norm_0"]["scale"])


def test_decoupled_decay_by_path():
    assert losses.decay_mask(NET) == {
        "dense_0": {"kernel": True, "bias": False},
        "norm_0": {"scale": False, "bias": False},
        "dense_1": {"kernel": True, "bias": False},
    }
    assert losses.decay_mask(jnp.ones(3)) is True  # a plain vector is a weight, as for l2
    optimizer = optax.adamw(0.1, weight_decay=0.5, mask=losses.decay_mask)
    step = jax.jit(lambda net: optimizer.update(jax.tree.map(jnp.zeros_like, net), state, net)[0])
    state = optimizer.init(NET)
    after = optax.apply_updates(NET, step(NET))  # no gradient: the decay alone
    scaled = lambda counts, w: w * (1 - 0.1 * 0.5 * counts)
    expected = jax.tree.map(scaled, losses.decay_mask(NET), NET)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), after, expected)
    ratios = jax.vmap(lambda c: c * losses.l2(NET))(jnp.array([0.0, 2.0]))
    np.testing.assert_allclose(ratios, [0, 2 * 37.07], rtol=1e-6)
