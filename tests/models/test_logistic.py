"""Logistic and softmax regression: the notes' updates, scikit-learn, known optima."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from jaxdl.models import logistic, perceptron

KNOBS = ("num_classes", "method", "intercept", "max_steps")
fit_logistic = jax.jit(logistic.fit_logistic, static_argnames=KNOBS[1:])
fit_softmax = jax.jit(logistic.fit_softmax, static_argnames=KNOBS)
RNG = np.random.default_rng(5)
X = RNG.normal(size=(50, 3))
Y = (RNG.uniform(size=50) < 1 / (1 + np.exp(-X @ [1.0, -0.5, 0.2] - 0.3))).astype(int)


@pytest.mark.equation(14, 16)
def test_gd_step_is_the_gradient_step(x64):
    def loss(w, x):
        z = jnp.asarray(x) @ w if w.ndim else jnp.asarray(x) * w
        return jnp.mean(jax.nn.softplus(z) - Y * z)

    w = np.array([0.3, -1.0, 0.5])
    step = logistic.logistic_gd_step(w, X, Y, 0.7)
    assert step.shape == w.shape  # D-21: the gradient has the shape of w
    np.testing.assert_allclose(step, w - 0.7 * jax.grad(loss)(w, X), rtol=1e-10)
    scalar = logistic.logistic_gd_step(0.4, X[:, 0], Y, 0.7)
    expected = 0.4 - 0.7 * np.mean((1 / (1 + np.exp(-0.4 * X[:, 0])) - Y) * X[:, 0])
    np.testing.assert_allclose(scalar, expected, rtol=1e-12)
    with pytest.raises(ValueError, match=r"w'x has shape \(50,\), but y has \(50, 1\)"):
        logistic.logistic_gd_step(w, X, Y[:, None], 0.7)


@pytest.mark.equation(14)
def test_repeated_gd_steps_reach_scikit_learn(x64):
    design = np.c_[X, np.ones(50)]
    step = lambda w, _: (logistic.logistic_gd_step(w, design, Y, 1.0), None)
    w = jax.lax.scan(step, jnp.zeros(4), length=1000)[0]
    oracle = LogisticRegression(C=np.inf, tol=1e-10).fit(X, Y)
    np.testing.assert_allclose(w, np.r_[oracle.coef_[0], oracle.intercept_], atol=1e-4)
    for method, tolerance in (("newton", None), ("gradient", 1e-6)):
        result = fit_logistic(X, Y, method=method, tolerance=tolerance)
        np.testing.assert_allclose(result.params["kernel"], w[:3], atol=1e-4)
        np.testing.assert_allclose(result.params["bias"], w[3], atol=1e-4)


@pytest.mark.equation("L309")
def test_hard_predictions_make_the_sgd_step_the_perceptron_rule(x64):
    # L309: where s is 0 or 1 (far from the border), (y - s) x is L303's y x, or nothing
    for z in (-60.0, 60.0):
        for y in (0, 1):
            x, w = np.array([1.5, -2.0, 1.0]), np.array([0.0, 0.0, z])
            new = logistic.logistic_sgd_step(w, x, y)
            params = {"kernel": jnp.asarray(w), "bias": jnp.zeros(())}
            rule = perceptron.update(params, x, 2.0 * y - 1)
            np.testing.assert_allclose(new, rule["kernel"], atol=1e-12)


@pytest.mark.equation("L309")
def test_sgd_steps_average_to_the_gd_step(x64):
    w = jnp.array([0.3, -1.0, 0.5])
    each = jax.jit(jax.vmap(logistic.logistic_sgd_step, (None, 0, 0, None)))(w, X, Y, 0.2)
    np.testing.assert_allclose(each.mean(0), logistic.logistic_gd_step(w, X, Y, 0.2), rtol=1e-12)


@pytest.mark.equation(18, 19, "L424")
def test_softmax_regression_equals_scikit_learn(x64):
    y = np.digitize(X @ [1.0, 1.0, 0.0] + RNG.logistic(size=50), [-0.5, 0.8])
    result = fit_softmax(X, y, 3, penalty=1 / 100)
    oracle = LogisticRegression(C=1.0, tol=1e-10, max_iter=1000).fit(X, y)
    probabilities = jax.nn.softmax(X @ result.params["kernel"] + result.params["bias"])
    np.testing.assert_allclose(probabilities, oracle.predict_proba(X), atol=1e-5)
    one_hot = fit_softmax(X, np.eye(3)[y], 3, penalty=1 / 100)
    np.testing.assert_allclose(one_hot.params["kernel"], result.params["kernel"], atol=1e-8)
    assert fit_softmax(X, y, 3, method="gradient", penalty=0.01).converged


@pytest.mark.slow  # seven eigendecompositions of a 650 x 650 Hessian
@pytest.mark.equation(18, 19)
def test_digits_softmax_optimum(x64):
    x, y = load_digits(return_X_y=True)
    result = fit_softmax(x / 16, y, 10, penalty=0.5 / len(x))
    objective = 1797 * (result.loss + result.penalty)
    np.testing.assert_allclose(objective, 358.548948, atol=1e-5)
    np.testing.assert_allclose(result.scores["accuracy"], 0.984975, atol=1e-6)
