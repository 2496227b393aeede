"""Gradient descent against closed forms, plain Python loops and optax."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdl.optim import gradient_descent, lbfgs, minimize, newton
from jaxdl.optim.schedules import inverse_time

X = np.array([[1.0, 0.2], [1.0, -1.3], [1.0, 0.7], [1.0, 2.0]])
Y = np.array([1.0, 0.0, 0.0, 1.0])


def logistic_loss(w):
    z = jnp.asarray(X) @ w
    return jnp.mean(jax.nn.softplus(z) - jnp.asarray(Y) * z)


@pytest.mark.equation(16, "L262")
@pytest.mark.parametrize("record", [False, True])
def test_contracts_a_quadratic_by_exactly_one_minus_alpha_h(x64, record):
    h, alpha = 3.0, 0.1
    descent = minimize(
        lambda z: h * z**2 / 2, 2.0, step_size=alpha, max_steps=7, tolerance=0.0, record=record
    )
    expected = 2.0 * (1 - alpha * h) ** np.arange(8)
    np.testing.assert_allclose(descent.params, expected[-1], rtol=1e-14)
    np.testing.assert_allclose(descent.loss_history, h * expected**2 / 2, rtol=1e-13)
    np.testing.assert_allclose(descent.grad_norm_history, h * expected, rtol=1e-13)
    assert not descent.converged and descent.steps == 7


@pytest.mark.equation(16)
def test_stops_at_the_predicted_step_and_holds_the_last_value(x64):
    # |phi'(z_t)| = (1/2)^t falls below 1e-4 first at t = 14
    descent = minimize(lambda z: jnp.sum(z**2) / 2, jnp.ones(1), step_size=0.5, max_steps=30)
    assert descent.converged and descent.steps == 14
    np.testing.assert_array_equal(descent.grad_norm_history[14:], 0.5**14)
    assert descent.grad_norm_history[13] >= 1e-4 > descent.grad_norm_history[14]
    assert descent.iterates is None


@pytest.mark.equation(16, "L262")
def test_iterates_are_those_of_a_python_loop(x64):
    schedule = inverse_time(1.0, 0.3)
    descent = minimize(
        logistic_loss, jnp.array([0.5, -1.0]), step_size=schedule, max_steps=6, record=True
    )
    w, expected = np.array([0.5, -1.0]), []
    for t in range(7):
        expected.append(w)
        residual = 1 / (1 + np.exp(-X @ w)) - Y
        w = w - 1.0 / (1 + 0.3 * t) * X.T @ residual / 4
    assert descent.iterates.shape == (7, 2)
    np.testing.assert_allclose(descent.iterates, expected, rtol=1e-12)
    short = minimize(logistic_loss, jnp.array([0.5, -1.0]), step_size=schedule, max_steps=6)
    np.testing.assert_allclose(short.params, expected[-1], rtol=1e-12)
    np.testing.assert_allclose(short.loss_history, descent.loss_history, rtol=1e-12)


def test_scan_and_while_stop_together_on_pytrees():
    fn = lambda p: jnp.sum((p["a"] - 1) ** 2) + jnp.square(p["b"] + 2)
    start = {"a": jnp.zeros(3), "b": jnp.zeros(())}
    loose, tight = (
        minimize(fn, start, step_size=0.3, max_steps=40, record=record) for record in (False, True)
    )
    assert loose.steps == tight.steps < 40 and loose.converged and tight.converged
    for a, b in zip(jax.tree.leaves(loose.params), jax.tree.leaves(tight.params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    np.testing.assert_array_equal(tight.iterates["b"][tight.steps :], tight.params["b"])
    np.testing.assert_allclose(loose.params["a"], 1, atol=1e-4)


def test_separable_data_do_not_converge_at_a_tight_tolerance(x64):
    # y = [x > 0]: no finite minimum, so the derivative only creeps towards zero
    x, y = jnp.array([-2.0, -1.0, 1.0, 2.0]), jnp.array([0.0, 0.0, 1.0, 1.0])
    fn = lambda w: jnp.mean(jax.nn.softplus(w * x) - y * w * x)
    descent = minimize(fn, 0.0, step_size=1.0, max_steps=200, tolerance=1e-6)
    assert not descent.converged and descent.steps == 200
    assert np.all(np.diff(descent.grad_norm_history) < 0)


def test_a_small_gradient_is_not_a_good_fit(x64):
    # D-9: at the optimum the derivative vanishes although no point is predicted with confidence
    x, y = jnp.ones(5), jnp.array([1.0, 1.0, 1.0, 0.0, 0.0])
    fn = lambda w: jnp.mean(jax.nn.softplus(w * x) - y * w * x)
    descent = minimize(fn, 0.0, step_size=4.0, max_steps=200, tolerance=1e-12)
    assert descent.converged
    np.testing.assert_allclose(descent.params, np.log(1.5), rtol=1e-10)  # 0.405
    np.testing.assert_allclose(jax.nn.sigmoid(descent.params) - y, [-0.4] * 3 + [0.6] * 2)
    assert descent.loss_history[descent.steps] > 0.67


@pytest.mark.parametrize("solve", [
    lambda fn, z: minimize(fn, z, step_size=2.0**-83, max_steps=60),
    lambda fn, z: lbfgs(fn, z),
    lambda fn, z: newton(fn, z),
])  # fmt: skip
def test_gradients_whose_squares_overflow_stop_nothing(solve):
    fn = lambda z: 2.0**83 * jnp.sum(jnp.square(z - 3) / 2)
    descent = jax.jit(lambda z: solve(fn, z))(jnp.array([1.0, 5.0]))
    np.testing.assert_allclose(descent.grad_norm_history[0], 2.0**83 * np.sqrt(8), rtol=1e-6)
    np.testing.assert_allclose(descent.params, 3, rtol=1e-6)
    assert descent.converged


def test_divergence_is_reported_not_hidden():
    descent = minimize(lambda z: z**4, 2.0, step_size=1.0, max_steps=50)
    assert not descent.converged and descent.steps < 50
    assert not np.isfinite(descent.grad_norm_history[-1])


def test_step_sizes_are_traced_one_program_for_all():
    def run(alpha, tolerance):
        fn = lambda z: jnp.sum((z - 1) ** 2)
        return minimize(fn, jnp.zeros(2), step_size=alpha, tolerance=tolerance, max_steps=30)

    alphas, tolerances = jnp.array([0.1, 0.5, 0.9]), jnp.array([1e-2, 1e-4, 1e-3])
    batch = jax.jit(jax.vmap(run))(alphas, tolerances)
    for i in range(3):
        alone = run(float(alphas[i]), float(tolerances[i]))
        np.testing.assert_allclose(batch.params[i], alone.params, rtol=1e-5)
        assert batch.steps[i] == alone.steps
    assert batch.steps[1] == 1


def test_recorded_descents_can_be_differentiated_in_their_settings(x64):
    # z_3 = 2 (1 - alpha)^3
    z3 = lambda alpha: (
        minimize(lambda z: z**2 / 2, 2.0, step_size=alpha, max_steps=3, record=True).params
    )
    np.testing.assert_allclose(jax.grad(z3)(0.3), -6 * 0.7**2, rtol=1e-12)
    assert np.isfinite(jax.grad(z3)(1.0))  # reaches z = 0, where the norm has a kink


def test_negative_max_steps_raises():
    with pytest.raises(ValueError, match="max_steps must be at least 0, got -1"):
        minimize(lambda z: z**2, 1.0, step_size=0.1, max_steps=-1)


@pytest.mark.parametrize("rate", [0.3, lambda t: 0.3 / (1 + t)])
def test_transformation_equals_optax_sgd(rate):
    ours, theirs = gradient_descent(rate), optax.sgd(rate)
    params = {"w": jnp.array([1.0, -2.0]), "b": jnp.array(0.5)}
    fn = lambda p: jnp.sum(jnp.cosh(p["w"])) + p["b"] ** 2
    a = b = params
    state_a, state_b = ours.init(a), theirs.init(b)
    for _ in range(5):
        step_a, state_a = ours.update(jax.grad(fn)(a), state_a, a)
        step_b, state_b = theirs.update(jax.grad(fn)(b), state_b, b)
        a, b = optax.apply_updates(a, step_a), optax.apply_updates(b, step_b)
    np.testing.assert_allclose(a["w"], b["w"], rtol=1e-6)
    np.testing.assert_allclose(a["b"], b["b"], rtol=1e-6)
    assert state_a.step == 5


def test_transformation_takes_traced_rates():
    grads = jnp.array([1.0, -2.0])
    step = lambda rate: gradient_descent(rate).update(grads, gradient_descent(rate).init(grads))[0]
    rates = jnp.array([0.1, 1.0])
    np.testing.assert_allclose(jax.jit(jax.vmap(step))(rates), -rates[:, None] * grads, rtol=1e-6)


def test_pinball_loss_finds_the_quantile():
    # E-8: any callable loss; the minimiser of the pinball loss is the quantile
    y = np.linspace(0.0, 10.0, 101)
    pinball = lambda q: jnp.mean(jnp.maximum(0.8 * (y - q), -0.2 * (y - q)))
    descent = minimize(pinball, 0.0, step_size=inverse_time(4.0, 0.02), max_steps=400)
    np.testing.assert_allclose(descent.params, np.quantile(y, 0.8), atol=0.1)
