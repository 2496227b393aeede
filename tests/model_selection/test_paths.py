"""Paths of penalties and degrees: fit and penalty apart."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.polynomial import polynomial
from sklearn.linear_model import LogisticRegression, Ridge

from jaxdl import families
from jaxdl.model_selection.paths import degree_path, regularization_path

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3))
Y = X @ [1.0, -2.0, 0.5] + RNG.normal(size=40)
PENALTIES = np.array([1e-3, 0.1, 1.0, 10.0])


@pytest.mark.equation("L579")
def test_ridge_path_equals_scikit_learn_setting_by_setting(x64):
    path = jax.jit(regularization_path)(X, Y, PENALTIES)
    for i, lam in enumerate(PENALTIES):
        oracle = Ridge(alpha=40 * lam).fit(X, Y)
        mse = np.mean((oracle.predict(X) - Y) ** 2)
        np.testing.assert_allclose(path.params["kernel"][i], oracle.coef_, rtol=1e-9)
        np.testing.assert_allclose(path.fit[i], mse, rtol=1e-10)
        np.testing.assert_allclose(path.size[i], oracle.coef_ @ oracle.coef_, rtol=1e-9)
        np.testing.assert_allclose(path.penalty[i], lam * oracle.coef_ @ oracle.coef_, rtol=1e-9)
    assert np.all(np.diff(path.fit) > 0) and np.all(np.diff(path.size) < 0)


def test_glm_path(x64):
    y = (Y > 0).astype(int)
    run = jax.jit(lambda lam: regularization_path(X, y, lam, family=families.bernoulli()))
    path = run(jnp.asarray(PENALTIES))
    assert np.all(path.converged)
    for i, lam in enumerate(PENALTIES):
        oracle = LogisticRegression(C=1 / (80 * lam), tol=1e-10, max_iter=1000).fit(X, y)
        np.testing.assert_allclose(path.params["kernel"][i], oracle.coef_[0], atol=1e-5)
    np.testing.assert_allclose(path.penalty, PENALTIES * path.size, rtol=1e-12)
    assert np.all(np.diff(path.fit) > 0) and np.all(np.diff(path.size) < 0)


def test_degree_path_of_figure_12(x64):
    # fit drops at the true degree 3, the weights' size jumps there and grows without bound after 7
    rng = np.random.default_rng(3)
    x = np.sort(rng.uniform(-1, 1, 30))
    y = polynomial.polyval(x, [0.1, -2.0, 0.0, 4.0]) + 0.1 * rng.normal(size=30)
    degrees = np.array([1, 3, 5, 7, 9, 11])
    path = jax.jit(lambda k: degree_path(x, y, k, max_degree=11))(degrees)
    for i, degree in enumerate(degrees):
        w = polynomial.polyfit(x, y, degree)
        np.testing.assert_allclose(path.size[i], np.sum(w[1:] ** 2), rtol=1e-5)
        np.testing.assert_allclose(path.fit[i], np.mean((polynomial.polyval(x, w) - y) ** 2), 1e-7)
    assert path.fit[1] < 0.2 * path.fit[0] and np.all(np.diff(path.fit) <= 1e-12)
    assert path.size[1] > 10 * path.size[0] and path.size[-1] > 10 * path.size[3]
    held = jax.jit(lambda k: degree_path(x, y, k, max_degree=11, penalty=1e-4))(degrees)
    assert np.max(held.size[1:]) < 2 * np.min(held.size[1:])
    np.testing.assert_allclose(held.penalty, 1e-4 * held.size, rtol=1e-12)


def test_the_fit_falls_with_the_degree_in_float32():
    x = np.linspace(0, 10, 20_000).astype(np.float32)
    y = np.sin(x)
    path = jax.jit(lambda k: degree_path(x, y, k, max_degree=6))(np.arange(1, 7))
    for i in range(6):
        best = polynomial.Polynomial.fit(x.astype(float), y.astype(float), i + 1)
        np.testing.assert_allclose(path.fit[i], np.mean((best(x) - y) ** 2), rtol=2e-3)


def test_masked_rows_do_not_count(x64):
    keep = np.arange(40) < 25
    dirty = np.where(keep[:, None], X, np.nan), np.where(keep, Y, np.inf)
    for a, b in zip(
        jax.tree.leaves(regularization_path(*dirty, PENALTIES, mask=keep)),
        jax.tree.leaves(regularization_path(X[keep], Y[keep], PENALTIES)),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-9)
    degrees = np.array([1, 2])
    masked = degree_path(dirty[0][:, 0], dirty[1], degrees, max_degree=2, mask=keep)
    clean = degree_path(X[keep, 0], Y[keep], degrees, max_degree=2)
    np.testing.assert_allclose(masked.fit, clean.fit, rtol=1e-9)
    np.testing.assert_allclose(masked.params["kernel"], clean.params["kernel"], rtol=1e-8)


def test_bad_settings_raise():
    with pytest.raises(ValueError, match=r"penalties must be \[L\]"):
        regularization_path(X, Y, 0.1)
    with pytest.raises(ValueError, match="degrees must be integers"):
        degree_path(X[:, 0], Y, [1.0], max_degree=2)
