"""Flows in continuous time against normal distributions, whose velocity and density are known."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.integrate
import scipy.stats

from jaxdl import generation, models, training
from jaxdl.base import stateless

M, C = np.array([1.0, -2.0]), np.array([2.0, 0.5])


def best(x, t):
    """E[x_1 - x_0 | x_t = x] of the lines from N(0, I) to N(M, C^2)."""
    variance = (1 - t) ** 2 + (t * C) ** 2
    return M + (t * C**2 - (1 - t)) / variance * (x - t * M)


def test_heun_is_of_second_order(x64):
    field = lambda x, t: jnp.stack([x[:, 1], -x[:, 0] + t], axis=1)
    theirs = scipy.integrate.solve_ivp(
        lambda t, x: [x[1], -x[0] + t], (0, 1), [1, 0.5], rtol=1e-12, atol=1e-12
    ).y[:, -1]
    start = jnp.array([[1.0, 0.5]])
    errors = [
        np.abs(generation.integrate(field, start, steps=n)[0] - theirs).max() for n in (10, 20, 40)
    ]
    ratios = np.divide(errors[:-1], errors[1:])
    assert (ratios > 3.7).all() and (ratios < 4.3).all()
    there = generation.integrate(field, start, steps=400)
    back = generation.integrate(field, there, start=1.0, end=0.0, steps=400)
    np.testing.assert_allclose(back, start, atol=1e-5)


def test_the_flow_of_the_best_velocity_is_the_straight_map(x64):
    """z -> M + C z, and the density is the normal one."""
    z = jax.random.normal(jax.random.key(0), (5, 2))
    np.testing.assert_allclose(generation.integrate(best, z, steps=400), M + C * z, atol=2e-4)
    x = jnp.asarray(M + C * np.array([[0.0, 0.0], [1.0, -1.0], [2.0, 0.5]]))
    expected = scipy.stats.norm.logpdf(x, M, C).sum(1)
    found = generation.continuous_flow_log_prob(best, x, steps=400)
    np.testing.assert_allclose(found, expected, atol=5e-4)
    # dv/dx is diagonal here, so that e' J e is its trace whatever the signs.
    guessed = generation.continuous_flow_log_prob(best, x, steps=400, key=jax.random.key(1))
    np.testing.assert_allclose(guessed, expected, atol=5e-4)


def test_the_estimated_divergence_is_unbiased(x64):
    turn = jnp.array([[0.3, 1.0], [-0.5, 0.2]])
    field = lambda x, t: x @ turn
    x = jnp.tile(jnp.array([[0.5, -1.0]]), (4000, 1))
    exact = generation.continuous_flow_log_prob(field, x[:1], steps=20)
    z = x[0] @ jax.scipy.linalg.expm(-turn)
    by_hand = scipy.stats.norm.logpdf(z).sum() - np.trace(turn)
    np.testing.assert_allclose(exact, by_hand, atol=2e-3)
    guesses = generation.continuous_flow_log_prob(field, x, steps=20, key=jax.random.key(0))
    error = float(guesses.std()) / np.sqrt(4000)
    assert 0 < error < 0.02
    assert float(guesses.mean()) == pytest.approx(float(exact[0]), abs=4 * error)


def test_the_best_velocity_has_the_least_loss():
    """E|x_1 - x_0 - v|^2 at its least is the variance of the lines' directions given (x, t)."""
    x = jnp.asarray(M + C * np.random.default_rng(0).normal(size=(20_000, 2)), jnp.float32)

    def network(shift):
        apply = lambda params, i, *, key, train: best(i["x"], i["time"][:, None]) + shift
        return stateless(lambda key: {}, apply)

    mse = lambda shift: training.flow_matching(network(shift)).evaluate(
        {}, {}, x, key=jax.random.key(0)
    )["mse"]  # fmt: skip
    t = (np.arange(1000)[:, None] + 0.5) / 1000
    least = np.mean(C**2 / ((1 - t) ** 2 + (t * C) ** 2))  # C^2 + 1 - (t C^2 - (1 - t))^2 / var
    assert float(mse(0.0).mean()) == pytest.approx(least, rel=0.03)
    assert float(mse(0.5).mean()) == pytest.approx(least + 0.25, rel=0.03)


def test_the_velocity_is_of_the_points_and_not_of_the_time():
    """s = 0.1: from x_0 to x_1 the target is x_1 - 0.9 x_0, 1.1 of 1 and 2, where x_t is 1.55 at
    t = 0.5; 2.818 with t in the place of x_t (conditional-flow-matching #175)."""
    seen = {}

    def look(params, i, *, key, train):
        seen.update(i)
        return jnp.zeros_like(i["x"])

    objective = training.flow_matching(stateless(lambda key: {}, look), smallest_noise=0.1)
    squares = objective.evaluate({}, {}, jnp.full((50, 1), 2.0), key=jax.random.key(0))["mse"]
    t = seen["time"]
    x0 = (seen["x"][:, 0] - 2 * t) / (1 - 0.9 * t)
    np.testing.assert_allclose(squares, jnp.square(2 - 0.9 * x0), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose((1 - 0.9 * 0.5) * 1 + 0.5 * 2, 1.55)  # what the lines give by hand


def test_a_network_learns_to_carry_noise_to_data():
    model = models.time_mlp(2, (32, 32), time_features=8)
    x = jnp.asarray(M + C * np.random.default_rng(0).normal(size=(4096, 2)), jnp.float32)
    learner = training.gradient_learner(
        model, training.flow_matching(model), optax.adam(optax.linear_schedule(0.01, 0, 1200))
    )
    state = training.fit(learner, x, key=jax.random.key(0), steps=1200, batch_size=256).state
    velocity = lambda x, t: model.apply(
        state.params, {}, {"x": x, "time": jnp.full(len(x), t)}
    )[0]  # fmt: skip
    z = jax.random.normal(jax.random.key(1), (2000, 2))
    samples = jax.jit(lambda z: generation.integrate(velocity, z, steps=20))(z)
    np.testing.assert_allclose(samples.mean(0), M, atol=0.15)
    np.testing.assert_allclose(samples.std(0), C, rtol=0.15)


def test_rows_keys_and_shapes():
    model = stateless(lambda key: {}, lambda params, i, *, key, train: 0 * i["x"])
    objective = training.flow_matching(model)
    x = jnp.array([[1.0], [jnp.nan]])
    loss = lambda x: objective.loss({}, {}, x, key=jax.random.key(0), mask=jnp.array([True, False]))
    assert float(loss(x)[0]) == float(loss(x.at[1].set(0))[0])
    with pytest.raises(ValueError, match="needs a key"):
        objective.loss({}, {}, x)
    with pytest.raises(ValueError, match=r"x \[N, D\], not \[2, 1, 1\]"):
        generation.continuous_flow_log_prob(best, jnp.zeros((2, 1, 1)))
