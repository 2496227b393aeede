"""Closed-form linear models against NIST's certified values, scikit-learn, scipy and refits."""

import jax
import jax.numpy as jnp
import nist
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.test_util import check_grads
from scipy.optimize import minimize
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import LeaveOneOut, cross_val_predict

from jaxdl.models import linear
from jaxdl.optim import minimize as descend


def random_problem(seed, n=12, d=3, k=None):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), rng.normal(size=n if k is None else (n, k))


@pytest.mark.equation(11, 15, 17, "L333")
def test_predict_for_scalar_vector_and_matrix_weights():
    x, w = np.array([[1.0, 2.0], [3.0, -1.0]]), np.array([0.5, -2.0])
    np.testing.assert_allclose(linear.predict(3.0, x[:, 0]), [3, 9])
    np.testing.assert_allclose(linear.predict(w, x), [-3.5, 3.5])
    np.testing.assert_allclose(linear.predict(w, x[0]), -3.5)
    matrix = np.stack([w, 2 * w, -w], axis=1)
    np.testing.assert_allclose(linear.predict(matrix, x), [[-3.5, -7, 3.5], [3.5, 7, -3.5]])
    params = {"kernel": matrix, "bias": np.array([1.0, 0.0, 2.0])}
    np.testing.assert_allclose(linear.predict(params, x)[0], [-2.5, -7, 5.5])
    # L333: the offset is the weight of a constant feature; R^{D+1}, not R^D (D-17)
    augmented = np.column_stack([np.ones(2), x])
    np.testing.assert_allclose(
        linear.predict(np.r_[0.7, w], augmented), linear.predict({"kernel": w, "bias": 0.7}, x)
    )


def test_predict_refuses_other_features():
    with pytest.raises(ValueError, match=r"got w \(3,\) and x \(4, 2\)"):
        linear.predict(jnp.ones(3), jnp.ones((4, 2)))


@pytest.mark.equation(2, 3, 4)
def test_univariate_solution(x64):
    x, y = (a[:, 0] for a in (random_problem(0, d=1)[0], random_problem(1, d=1)[0]))
    w = linear.ols_univariate(x, y)
    np.testing.assert_allclose(w, np.linalg.lstsq(x[:, None], y, rcond=None)[0][0], rtol=1e-12)
    np.testing.assert_allclose(w, (y @ x) / (x @ x), rtol=1e-12)
    loss = lambda w: np.mean((w * x - y) ** 2)
    np.testing.assert_allclose(minimize(lambda v: loss(v[0]), [0.0], tol=1e-10).x, w, atol=1e-6)
    # Eq. (3) vanishes there
    np.testing.assert_allclose(2 / 12 * (w * np.sum(x**2) - np.sum(x * y)), 0, atol=1e-14)


@pytest.mark.equation(4)
def test_univariate_solution_without_information_is_zero():
    # D-3: 0/0 in the notes' form; the minimum norm is 0, with a finite gradient
    assert linear.ols_univariate(jnp.zeros(3), jnp.arange(3.0)) == 0
    grad = jax.grad(lambda y: linear.ols_univariate(jnp.zeros(3), y))(jnp.arange(3.0))
    np.testing.assert_array_equal(grad, 0)
    with pytest.raises(ValueError, match=r"both be \[N\]"):
        linear.ols_univariate(jnp.ones(3), jnp.ones((3, 1)))


def test_univariate_masks():
    x, y = jnp.array([1.0, 2.0, jnp.nan]), jnp.array([1.0, 2.0, 5.0])
    masks = jnp.array([[True, True, False], [False, True, False]])
    slopes = jax.jit(jax.vmap(linear.ols_univariate, (None, None, 0)))(x, y, masks)
    np.testing.assert_allclose(slopes, 1.0)


@pytest.mark.equation(2)
def test_norris_certified_values(x64):
    y, x = nist.NORRIS[:, 0], nist.NORRIS[:, 1:]
    params = linear.fit_least_squares(x, y)
    np.testing.assert_allclose(params["bias"], nist.NORRIS_INTERCEPT, rtol=1e-11)
    np.testing.assert_allclose(params["kernel"], [nist.NORRIS_SLOPE], rtol=1e-12)
    residuals = y - linear.predict(params, x)
    np.testing.assert_allclose(np.sqrt(residuals @ residuals / 34), nist.NORRIS_RESIDUAL_SD, 1e-11)
    r2 = 1 - residuals @ residuals / np.sum((y - y.mean()) ** 2)
    np.testing.assert_allclose(r2, nist.NORRIS_R2, rtol=1e-13)


@pytest.mark.equation(2)
@pytest.mark.parametrize("intercept", [True, False])
def test_wampler1_certified_values(x64, intercept):
    basis = np.vander(nist.WAMPLER_X, 6, increasing=True)
    x = basis[:, 1:] if intercept else basis
    params = linear.fit_least_squares(x, nist.WAMPLER1_Y, intercept=intercept)
    np.testing.assert_allclose(params["kernel"], 1, atol=1e-8)
    np.testing.assert_allclose(params.get("bias", 1.0), 1, atol=1e-8)


def with_offset(params):
    return np.append(params["bias"], params["kernel"])


@pytest.mark.equation(2)
def test_certified_values_in_float32():
    solve = jax.jit(linear.fit_least_squares)
    fit = lambda x, y: with_offset(solve(*map(jnp.float32, (x, y))))
    np.testing.assert_allclose(
        fit(nist.NORRIS[:, 1:], nist.NORRIS[:, 0]), [nist.NORRIS_INTERCEPT, nist.NORRIS_SLOPE], 5e-4
    )
    np.testing.assert_allclose(
        fit(nist.LONGLEY[:, 1:], nist.LONGLEY[:, 0]), nist.LONGLEY_W, rtol=5e-4
    )
    powers = np.vander(nist.PONTIUS_X, 3, increasing=True)  # QR keeps four digits of the offset
    np.testing.assert_allclose(fit(powers[:, 1:], nist.PONTIUS_Y), nist.PONTIUS_W, rtol=5e-4)


@pytest.mark.equation(2, "L343")
def test_filip_is_not_truncated(x64):
    powers = np.vander(nist.FILIP_X, 11, increasing=True)
    ours = with_offset(jax.jit(linear.fit_least_squares)(powers[:, 1:], nist.FILIP_Y))
    np.testing.assert_allclose(ours, nist.FILIP_W, rtol=1e-7)


LONG = 524_288


@pytest.mark.equation(2)
def test_neither_units_nor_many_rows_cost_digits_in_float32():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(LONG, 2))
    fit = jax.jit(linear.ridge)
    cases = [
        (z * [5000, 1], [0, 3], 1e-3, 1e-6),  # deviations
        (z + np.array([1e4, -30]), [2, -1], 1, 1e-4),  # far from zero
        (z[:, :1] + z * [0, 0.05], [3, -2], 1, 2e-6),  # nearly the same column
        (z * [1e20, 1e-20], [2e-20, 3e20], 1, 1e-6),  # squares that overflow and vanish
    ]
    for x, w, unit, error in cases:
        x = x.astype(np.float32)
        y = (x.astype(float) @ w + unit).astype(np.float32)
        found = fit(x, y, 0.0)
        np.testing.assert_allclose(found["kernel"], w, rtol=error, atol=1e-9)
        level = np.mean(x, axis=0, dtype=float) @ w
        np.testing.assert_allclose(found["bias"], unit, atol=1e-6 * (1 + abs(level)))
    # Ridge without and with much to shrink: w = s^2 / (s^2 + lambda) for uncorrelated columns.
    x = (z * [5000, 1]).astype(np.float32)
    oracle = Ridge(alpha=LONG * 0.5).fit(x.astype(float), x[:, 1])
    np.testing.assert_allclose(fit(x, x[:, 1], 0.5)["kernel"], oracle.coef_, rtol=1e-5, atol=1e-9)


def test_rows_that_do_not_count_do_not_decide_about_the_rank():
    rng = np.random.default_rng(1)
    a = rng.normal(size=300)
    x = np.stack([a, a + 3e-6 * rng.normal(size=300)], axis=1).astype(np.float32)
    y = (x.astype(float) @ [3.0, -2.0]).astype(np.float32)
    exact = np.linalg.lstsq(
        np.c_[x, np.ones(300)].astype(float), y.astype(float), rcond=None
    )[0][:2]  # fmt: skip
    fit = jax.jit(linear.ridge)
    alone = fit(x, y, 0.0)["kernel"]
    np.testing.assert_allclose(alone, exact, rtol=0.05)
    more = lambda v: np.concatenate([v, np.full((100_000, *v.shape[1:]), np.nan, np.float32)])
    masked = fit(more(x), more(y), 0.0, mask=np.arange(100_300) < 300)["kernel"]
    np.testing.assert_allclose(masked, exact, rtol=0.05)
    # Columns that add up to a constant depend on each other, however many rows there are.
    labels = rng.choice(3, size=100_300, p=[0.5, 0.49, 0.01])
    dummies = np.eye(3, dtype=np.float32)[labels][:, :2]
    for rows in (np.arange(100_300) < 300, np.full(100_300, True)):
        third = np.c_[dummies, 1 - dummies.sum(1)].astype(np.float32)
        found = jax.jit(linear.ridge)(third, third @ np.float32([1, 2, 6]), 0.0, mask=rows)
        np.testing.assert_allclose(found["kernel"], [-2, -1, 3], atol=2e-3)
        np.testing.assert_allclose(found["bias"], 3, atol=2e-3)


def test_leave_one_out_of_many_rows_in_float32():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(LONG, 2)).astype(np.float32)
    x[0, 0] = np.sqrt(LONG * 0.943 / 0.057)  # a leverage of 0.943
    y = (x @ [2.0, -1.0] + rng.normal(size=LONG)).astype(np.float32)
    residuals = np.asarray(jax.jit(linear.leave_one_out_residuals)(x, y))
    design = np.c_[x, np.ones(LONG)].astype(float)
    q, _ = np.linalg.qr(design)
    leverage = np.sum(q**2, axis=1)
    expected = (y - q @ (q.T @ y)) / (1 - leverage)
    assert 0.94 < leverage[0] < 0.95
    np.testing.assert_allclose(residuals[1:], expected[1:], atol=2e-5)
    np.testing.assert_allclose(residuals[0], expected[0], rtol=0.05)


@pytest.mark.parametrize(("n", "d", "lam"), [(7, 2, 0.0), (7, 2, 0.3), (3, 5, 0.0), (3, 5, 0.3)])
def test_derivatives_are_those_of_differences(x64, n, d, lam):
    """By the features, the responses and the penalty; equal singular values are no trouble."""
    x, y = random_problem(10, n, d)
    x = np.linalg.qr(x - x.mean(0))[0] if n > d else x  # both singular values are 1

    def both(x, y, lam):
        if n < d and not penalised:  # nothing is left of such residuals
            return linear.ridge(x, y, lam)
        return linear.ridge(x, y, lam), linear.leave_one_out_residuals(x, y, lam)

    penalised = lam > 0
    fn = jax.jit(both) if penalised else jax.jit(lambda x, y: both(x, y, 0.0))
    check_grads(fn, (x, y, lam)[: 2 + penalised], order=1, modes=["fwd"], rtol=1e-5)
    if n > d:
        gradients = jax.jit(jax.grad(lambda x: jnp.sum(both(x, y, 0.1)[1] ** 2)))(x)
        assert np.all(np.isfinite(gradients))
    if not lam and n > d:
        # w = (X'X/N + lambda)^-1 X'y/N, of centred columns
        slope = jax.jit(jax.jacfwd(lambda lam: linear.ridge(x, y, lam)["kernel"]))(0.0)
        w, gram = linear.ridge(x, y, 0.0)["kernel"], x.T @ x / n
        np.testing.assert_allclose(slope, -np.linalg.solve(gram, w), rtol=1e-9)


@pytest.mark.equation(2, 10)
def test_diabetes_figures(x64):
    x, y = load_diabetes(return_X_y=True)
    residuals = y - linear.predict(linear.fit_least_squares(x, y), x)
    mse = np.mean(residuals**2)
    np.testing.assert_allclose(mse, 2859.69634758675, rtol=1e-12)
    np.testing.assert_allclose(1 - mse / np.var(y), 0.5177484222, rtol=1e-9)
    log_likelihood = -len(y) / 2 * (np.log(2 * np.pi * mse) + 1)
    np.testing.assert_allclose(log_likelihood, -2385.9928621235, rtol=1e-12)


def test_diabetes_leave_one_out(x64):
    x, y = load_diabetes(return_X_y=True)
    shortcut = linear.leave_one_out_residuals(x, y)
    np.testing.assert_allclose(np.sqrt(np.mean(shortcut**2)), 54.7882546446, rtol=1e-11)

    # 442 refits in one program
    def left_out(n):
        params = linear.fit_least_squares(x, y, mask=jnp.arange(442) != n)
        return y[n] - linear.predict(params, jnp.asarray(x)[n])

    y = jnp.asarray(y)
    refits = jax.jit(lambda: jax.lax.map(left_out, jnp.arange(442)))()
    np.testing.assert_allclose(refits, shortcut, rtol=1e-9)


@pytest.mark.equation(2, 5)
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("k", [None, 2])
def test_least_squares_equals_scikit_learn(x64, intercept, k):
    x, y = random_problem(2, k=k)
    params = linear.fit_least_squares(x, y, intercept=intercept)
    oracle = LinearRegression(fit_intercept=intercept).fit(x, y)
    np.testing.assert_allclose(params["kernel"], oracle.coef_.T, rtol=1e-10)
    assert params["kernel"].shape == x.shape[1:] + y.shape[1:]
    if intercept:
        np.testing.assert_allclose(params["bias"], oracle.intercept_, rtol=1e-10)
        assert params["bias"].shape == y.shape[1:]
    else:
        assert set(params) == {"kernel"}


@pytest.mark.equation(2)
def test_collinear_features_get_the_minimum_norm(x64):
    x, y = random_problem(3, n=5, d=8)
    wide = linear.fit_least_squares(x, y, intercept=False)["kernel"]
    np.testing.assert_allclose(wide, np.linalg.pinv(x) @ y, rtol=1e-9)
    twice = linear.fit_least_squares(np.c_[x[:, :2], x[:, :1]], y)["kernel"]
    np.testing.assert_allclose(twice[0], twice[2], rtol=1e-10)
    constant = linear.fit_least_squares(np.ones((5, 1)), y)
    np.testing.assert_allclose(constant["kernel"], 0, atol=1e-12)
    np.testing.assert_allclose(constant["bias"], y.mean(), rtol=1e-12)


def test_closed_form_and_descent_agree(x64):
    # E-5
    x, y = random_problem(4)
    fn = lambda p: jnp.mean((linear.predict(p, jnp.asarray(x)) - y) ** 2)
    start = {"kernel": jnp.zeros(3), "bias": jnp.zeros(())}
    descent = descend(fn, start, step_size=0.2, max_steps=2000, tolerance=1e-10)
    closed = linear.fit_least_squares(x, y)
    assert descent.converged
    np.testing.assert_allclose(descent.params["kernel"], closed["kernel"], atol=1e-8)
    np.testing.assert_allclose(descent.params["bias"], closed["bias"], atol=1e-8)


@pytest.mark.equation("L590")
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("k", [None, 2])
def test_ridge_equals_scikit_learn_and_its_formula(x64, intercept, k):
    x, y = random_problem(5, k=k)
    lam = 0.3
    params = linear.ridge(x, y, lam, intercept=intercept)
    oracle = Ridge(alpha=12 * lam, fit_intercept=intercept).fit(x, y)
    np.testing.assert_allclose(params["kernel"], oracle.coef_.T, rtol=1e-10)
    if intercept:
        np.testing.assert_allclose(params["bias"], oracle.intercept_, rtol=1e-10)
    else:
        formula = np.linalg.solve(x.T @ x / 12 + lam * np.eye(3), x.T @ y / 12)
        np.testing.assert_allclose(params["kernel"], formula, rtol=1e-12)


def test_ridge_exempts_the_offset():
    # D-34: at an infinite penalty the offset is the mean response, not zero
    x, y = random_problem(6)
    params = linear.ridge(x, y + 10, 1e6)
    np.testing.assert_allclose(params["kernel"], 0, atol=1e-5)
    np.testing.assert_allclose(params["bias"], np.mean(y) + 10, rtol=1e-5)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    keep=st.lists(st.booleans(), min_size=12, max_size=12).filter(lambda m: sum(m) >= 6),
    lam=st.floats(0, 3),
    intercept=st.booleans(),
)
def test_masked_fit_is_the_fit_to_the_rows_that_count(keep, lam, intercept):
    x, y = random_problem(7)
    keep = np.array(keep)
    dirty = np.where(keep[:, None], x, np.nan), np.where(keep, y, np.inf)
    masked = linear.ridge(*dirty, lam, intercept=intercept, mask=keep)
    clean = linear.ridge(x[keep], y[keep], lam, intercept=intercept)
    for name, value in clean.items():
        np.testing.assert_allclose(masked[name], value, rtol=2e-4, atol=1e-4)


def test_settings_and_masks_are_traced():
    x, y = random_problem(8, k=2)
    masks = jnp.arange(12) % 3 != jnp.arange(3)[:, None]
    penalties = jnp.array([0.0, 0.1, 1.0])
    fit = lambda lam, mask: linear.ridge(x, y, lam, mask=mask)
    grid = jax.vmap(jax.vmap(fit, (None, 0)), (0, None))
    params = jax.jit(grid)(penalties, masks)
    assert params["kernel"].shape == (3, 3, 3, 2) and params["kernel"].dtype == jnp.float32
    alone = fit(0.1, masks[2])
    np.testing.assert_allclose(params["kernel"][1, 2], alone["kernel"], rtol=1e-4, atol=1e-6)
    # the solution map is differentiable in the penalty and the data
    grads = jax.grad(lambda lam, x: jnp.sum(linear.ridge(x, y, lam)["kernel"] ** 2), (0, 1))
    by_lam, by_x = grads(0.1, jnp.asarray(x))
    assert by_lam < 0 and np.all(np.isfinite(by_x))


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("lam", [0.0, 0.2])
@pytest.mark.parametrize("k", [None, 2])
def test_leave_one_out_equals_refits(x64, intercept, lam, k):
    x, y = random_problem(9, n=8, k=k)
    model = Ridge(alpha=8 * lam, fit_intercept=intercept, solver="svd")
    refits = y - cross_val_predict(model, x, y, cv=LeaveOneOut())
    shortcut = linear.leave_one_out_residuals(x, y, lam, intercept=intercept)
    np.testing.assert_allclose(shortcut, refits, rtol=1e-9)
    keep = np.arange(8) < 6
    masked = jax.jit(linear.leave_one_out_residuals, static_argnames="intercept")(
        np.where(keep[:, None], x, np.nan), y, lam, intercept=intercept, mask=keep
    )
    clean = linear.leave_one_out_residuals(x[:6], y[:6], lam, intercept=intercept)
    np.testing.assert_allclose(masked[:6], clean, rtol=1e-9)
    np.testing.assert_array_equal(masked[6:], 0)


def test_leave_one_out_marks_rows_that_stand_alone(x64):
    x = np.array([[1.0, 0.0], [2.0, 0.0], [1.5, 0.0], [0.0, 1.0]])
    residuals = linear.leave_one_out_residuals(x, np.arange(4.0), intercept=False)
    # by hand, each through the other two on the axis: slopes 5 / 6.25, 3 / 3.25 and 2 / 5
    np.testing.assert_allclose(residuals, [-0.8, 1 - 6 / 3.25, 2 - 0.6, np.nan], rtol=1e-12)


@pytest.mark.parametrize(
    ("x", "y", "mask", "message"),
    [
        ((4,), (4,), None, r"x must be \[N, D\]"),
        ((4, 2), (3,), None, r"got x \(4, 2\) and y \(3,\)"),
        ((4, 2), (4, 1, 1), None, r"y must be \[N\] or \[N, K\]"),
        ((4, 2), (4,), (3,), r"mask must be \[4\], one entry a row; got \(3,\)"),
    ],
)
def test_bad_shapes_raise(x, y, mask, message):
    mask = None if mask is None else jnp.ones(mask, bool)
    with pytest.raises(ValueError, match=message):
        linear.fit_least_squares(jnp.ones(x), jnp.ones(y), mask=mask)
