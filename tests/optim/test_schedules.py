"""Schedules against optax (same closed forms) and hand-worked values."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdl.optim import schedules

STEPS = np.arange(0, 25)
CASES = {
    "constant": (schedules.constant, (0.3,), optax.constant_schedule(0.3)),
    "step": (
        schedules.step,
        (0.5, 0.1, 7.0),
        optax.exponential_decay(0.5, 7, 0.1, staircase=True),
    ),
    "exponential": (schedules.exponential, (0.5, 0.9, 3.0), optax.exponential_decay(0.5, 3, 0.9)),
    "inverse_time": (schedules.inverse_time, (2.0, 0.5), lambda t: 2.0 / (1 + 0.5 * t)),
    "cosine": (schedules.cosine, (0.4, 20.0, 0.1), optax.cosine_decay_schedule(0.4, 20, 0.25)),
    "warmup_cosine": (
        schedules.warmup_cosine,
        (0.4, 5.0, 20.0, 0.1, 0.2),
        optax.warmup_cosine_decay_schedule(0.2, 0.4, 5, 20, 0.1),
    ),
    "cosine_restarts": (
        schedules.cosine_restarts,
        (0.4, 8.0, 0.1),
        optax.sgdr_schedule(
            [
                {
                    "init_value": 0.1,
                    "peak_value": 0.4,
                    "decay_steps": 8,
                    "warmup_steps": 0,
                    "end_value": 0.1,
                }
            ]
            * 4
        ),
    ),
    "one_cycle": (
        lambda peak, length, share, start, end: schedules.one_cycle(
            peak, length, warmup_share=share, start_ratio=start, end_ratio=end
        ),
        (0.4, 20.0, 0.25, 10.0, 50.0),
        optax.cosine_onecycle_schedule(20, 0.4, 0.25, 10.0, 50.0),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_values_and_traced_settings(name):
    make, args, oracle = CASES[name]
    expected = np.array([oracle(int(t)) for t in STEPS])
    np.testing.assert_allclose([make(*args)(int(t)) for t in STEPS], expected, rtol=1e-5)
    traced = jax.jit(jax.vmap(lambda a, t: make(*a)(t), in_axes=(None, 0)))
    args = tuple(map(jnp.asarray, args))
    values = traced(args, jnp.asarray(STEPS))
    np.testing.assert_allclose(values, expected, rtol=1e-5)
    assert values.dtype == jnp.float32
    grads = jax.grad(lambda a: make(*a)(jnp.asarray(6)))(args)
    assert all(np.isfinite(g) for g in grads) and grads[0] != 0


@pytest.mark.parametrize("name", CASES)
def test_dtype_follows_the_peak(x64, name):
    make, args, _ = CASES[name]
    assert make(*args)(jnp.asarray(3)).dtype == jnp.float64
    args = [jnp.asarray(a, jnp.float32) for a in args]
    assert make(*args)(jnp.asarray(3)).dtype == jnp.float32


def test_no_warmup_is_the_cosine_alone():
    ours = schedules.warmup_cosine(0.4, 0, 20)
    np.testing.assert_allclose(ours(STEPS), schedules.cosine(0.4, 20)(STEPS), rtol=1e-6)
    assert ours(0) == np.float32(0.4)


def test_degenerate_lengths_are_finite():
    assert schedules.cosine(0.4, 0, 0.1)(0) == np.float32(0.1)
    assert schedules.cosine_restarts(0.4, 0, 0.1)(3) == np.float32(0.1)
    grad = jax.grad(lambda n: schedules.warmup_cosine(0.4, n, n)(2))(0.0)
    assert np.isfinite(grad)


def test_inverse_time_obeys_robbins_and_monro(x64):
    # alpha_t = 1 / (1 + t): the sum is harmonic (diverges), the sum of squares tends to pi^2 / 6
    alpha = schedules.inverse_time(1.0, 1.0)(jnp.arange(100_000))
    np.testing.assert_allclose(jnp.sum(alpha), np.log(1e5) + np.euler_gamma, rtol=1e-6)
    np.testing.assert_allclose(jnp.sum(alpha**2), np.pi**2 / 6, atol=2e-5)
