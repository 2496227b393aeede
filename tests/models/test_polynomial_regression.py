"""Polynomial regression against numpy and exact data."""

import jax
import jax.numpy as jnp
import nist
import numpy as np
import pytest
from numpy.polynomial import polynomial as oracle
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import PolynomialFeatures

from jaxdl import families
from jaxdl.models.polynomial import fit_polynomial, fit_polynomial_glm, predict_polynomial

RNG = np.random.default_rng(0)
X = RNG.uniform(-1, 1, size=30)
Y = np.sin(3 * X) + 0.1 * RNG.normal(size=30)


@pytest.mark.equation(15, "L343")
def test_least_squares_equals_polyfit_for_all_degrees_in_one_program(x64):
    fit = lambda k: fit_polynomial(X, Y, k, max_degree=6)
    params = jax.jit(jax.vmap(fit))(jnp.arange(1, 7))
    for i, degree in enumerate(range(1, 7)):
        w = np.zeros(7)
        w[: degree + 1] = oracle.polyfit(X, Y, degree)
        np.testing.assert_allclose(params["bias"][i], w[0], atol=1e-9)
        np.testing.assert_allclose(params["kernel"][i], w[1:], atol=1e-9)


def test_wampler1(x64):
    params = fit_polynomial(nist.WAMPLER_X, nist.WAMPLER1_Y, 5)
    np.testing.assert_allclose(np.r_[params["bias"], params["kernel"]], 1, atol=1e-8)
    fitted = predict_polynomial(params, nist.WAMPLER_X, 5)
    np.testing.assert_allclose(fitted, nist.WAMPLER1_Y, rtol=1e-8)


@pytest.mark.equation(15, "L343")
def test_any_family(x64):
    counts = np.random.default_rng(1).poisson(np.exp(1 - X + X**2))
    family = families.poisson()

    @jax.jit
    def run(degree):
        result = fit_polynomial_glm(X, counts, degree, family, max_degree=4)
        return result, predict_polynomial(result.params, X, degree, family, max_degree=4)

    result, mean = run(2)
    assert result.converged
    np.testing.assert_allclose(result.params["kernel"][2:], 0, atol=1e-15)
    np.testing.assert_allclose(np.sum(mean), np.sum(counts), rtol=1e-8)  # the score equations
    np.testing.assert_allclose(mean @ X**2, counts @ X**2, rtol=1e-8)
    normal = jax.jit(lambda: fit_polynomial_glm(X, Y, 3, families.normal()))()
    np.testing.assert_allclose(normal.params["kernel"], oracle.polyfit(X, Y, 3)[1:], rtol=1e-8)


def test_two_features_and_labels(x64):
    x = RNG.normal(size=(80, 2))
    y = (np.sum(x**2, axis=1) + RNG.normal(size=80) > 1.5).astype(int)
    result = jax.jit(lambda: fit_polynomial_glm(x, y, 2, families.bernoulli(), penalty=1 / 160))()
    basis = PolynomialFeatures(2, include_bias=False).fit_transform(x)
    theirs = LogisticRegression(C=1.0, tol=1e-10, max_iter=1000).fit(basis, y)
    np.testing.assert_allclose(result.params["kernel"], theirs.coef_[0], atol=1e-5)


def test_shapes_are_checked():
    with pytest.raises(ValueError, match=r"x must be \[N\] or \[N, D\]"):
        fit_polynomial(np.ones((2, 2, 2)), np.ones(2), 1)
