"""L-BFGS against closed forms, SciPy and scikit-learn; its line search against Wolfe's conditions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize as scipy_minimize
from scipy.optimize import rosen, rosen_der

from jaxdl import families
from jaxdl.optim import lbfgs, wolfe_search


def rosenbrock(z):
    return jnp.sum(100.0 * (z[1:] - z[:-1] ** 2) ** 2 + (1 - z[:-1]) ** 2)


def test_quadratic_of_a_pytree(x64):
    a = np.diag([1.0, 10.0, 100.0])
    fn = lambda p: p["w"] @ a @ p["w"] / 2 - jnp.sum(p["w"]) + (p["b"] - 3) ** 2
    found = lbfgs(fn, {"w": jnp.zeros(3), "b": jnp.zeros(())}, tolerance=1e-10)
    assert found.converged
    np.testing.assert_allclose(found.params["w"], [1, 0.1, 0.01], atol=1e-10)
    np.testing.assert_allclose(found.params["b"], 3, atol=1e-10)


def test_rosenbrock_in_about_as_many_steps_as_scipy(x64):
    start = np.array([-1.2, 1.0, 2.0, -1.0])
    found = jax.jit(lambda z: lbfgs(rosenbrock, z, tolerance=1e-8))(start)
    oracle = scipy_minimize(rosen, start, jac=rosen_der, method="L-BFGS-B", options={"gtol": 1e-9})
    np.testing.assert_allclose(found.params, oracle.x, atol=1e-5)
    assert found.converged and found.steps < 2 * oracle.nit
    steps = int(found.steps)
    losses = np.asarray(found.loss_history)
    assert np.all(np.diff(losses[: steps + 1]) <= 1e-12) and np.all(losses[steps:] == losses[steps])
    assert found.grad_norm_history[-1] < 1e-8 <= found.grad_norm_history[steps - 1]


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_softmax_regression_is_scikit_learns(x64, dtype):
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    x, y = load_iris(return_X_y=True)
    x = (x - x.mean(0)) / x.std(0)
    oracle = LogisticRegression(C=1.0, tol=1e-10, max_iter=5000).fit(x, y)
    data, family = jnp.asarray(x, dtype), families.categorical(3)

    def loss(p):
        fit = -jnp.mean(family.log_prob(data @ p["w"] + p["b"], jnp.asarray(y)))
        return fit + jnp.sum(p["w"] ** 2) / (2 * len(y))

    start = {"w": jnp.zeros((4, 3), dtype), "b": jnp.zeros(3, dtype)}
    tight = dtype == jnp.float64
    found = lbfgs(loss, start, tolerance=1e-8 if tight else 1e-5)
    assert found.converged and found.params["w"].dtype == dtype
    np.testing.assert_allclose(found.params["w"], oracle.coef_.T, atol=1e-6 if tight else 1e-2)


def test_members_mapped_and_vmapped_equal_those_alone(x64):
    fn = lambda scale: lbfgs(lambda z: jnp.sum(jnp.cosh(scale * z - 1)), jnp.zeros(2), max_steps=30)
    scales = jnp.array([0.5, 1.0, 4.0])
    for together in (jax.vmap(fn)(scales), jax.lax.map(fn, scales)):
        for i, scale in enumerate(scales):
            alone = fn(scale)
            np.testing.assert_allclose(together.params[i], alone.params, rtol=1e-12)
            assert together.steps[i] == alone.steps and together.converged[i]


def test_it_stops_where_it_cannot_go_on():
    bounded = lbfgs(rosenbrock, jnp.array([-1.2, 1.0]), max_steps=3)
    assert bounded.steps == 3 and not bounded.converged
    poisoned = lbfgs(lambda z: jnp.sum(jnp.log(z)), -jnp.ones(2))
    assert poisoned.steps == 0 and not poisoned.converged
    endless = lbfgs(lambda z: -jnp.sum(z), jnp.zeros(2), max_steps=50)  # no minimum at all
    assert not endless.converged and np.isfinite(endless.params).all()
    done = lbfgs(lambda z: jnp.sum(z**2), jnp.zeros(2))
    assert done.converged and done.steps == 0


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.floats(1e-3, 1e3), st.floats(-3, 3), st.floats(0.1, 5))
def test_an_accepted_step_keeps_wolfes_conditions(first, start, width):
    from conftest import enable_x64

    with enable_x64(True):
        outcome = searched(start, width, first)
    s, loss, new_loss, slope, new_slope, accepted = map(float, outcome)
    assume(abs(slope) >= 1e-8)
    assert accepted and s > 0
    assert new_loss <= loss + 1e-4 * s * slope + 1e-14
    assert new_slope >= 0.9 * slope


@jax.jit
def searched(start, width, first):
    fn = lambda z: 1 - jnp.exp(-((z / width) ** 2)) + 0.01 * z**2  # not convex
    both = jax.value_and_grad(fn)
    z = jnp.asarray(start)
    loss, grad = both(z)
    new, new_loss, new_grad, accepted = wolfe_search(both, z, loss, grad, -grad, first, 60)
    s = (new - z) / jnp.where(grad == 0, 1, -grad)
    return s, loss, new_loss, -grad * grad, -grad * new_grad, accepted
