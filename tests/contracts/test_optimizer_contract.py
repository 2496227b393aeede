"""What every optimizer keeps to: one row each."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdl import optim

OPTIMIZERS = {
    "gradient_descent": (optim.gradient_descent, 0.002, 0.1),
    "momentum": (lambda rate: optim.momentum(rate, 0.9), 0.0005, 0.02),
    "nesterov": (lambda rate: optim.momentum(rate, 0.9, nesterov=True), 0.0005, 0.02),
    "adam": (optim.adam, 0.05, 0.1),
    "adamw": (lambda rate: optim.adamw(rate, weight_decay=1e-5), 0.05, 0.1),
    "rmsprop": (optim.rmsprop, 0.005, 0.02),
    "clipped": (
        lambda rate: optax.chain(optim.clip_by_global_norm(5.0), optim.momentum(rate)), 0.0005, 0.02,
    ),
    "averaged": (lambda rate: optim.with_average(optim.adam(rate), 0.9), 0.05, 0.1),
}  # fmt: skip


def parabola(params):
    return 0.5 * jnp.sum(jnp.square(params["a"]["b"])) + jnp.square(params["c"] - 1)


def rosenbrock(params):
    x, y = params["a"]["b"][0], params["a"]["b"][1]
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2 + params["c"] ** 2


def start(dtype=jnp.float32):
    return {"a": {"b": jnp.array([-1.0, 1.0], dtype)}, "c": jnp.asarray(0.5, dtype)}


def descend(make, fn, rate, steps):
    optimizer = make(rate)

    def step(carry, _):
        params, state = carry
        updates, state = optimizer.update(jax.grad(fn)(params), state, params)
        return (optax.apply_updates(params, updates), state), fn(params)

    (params, _), losses = jax.lax.scan(step, (start(), optimizer.init(start())), length=steps)
    return params, losses


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_it_descends(name):
    make, of_rosenbrock, of_parabola = OPTIMIZERS[name]
    params, _ = jax.jit(lambda rate: descend(make, parabola, rate, 400))(of_parabola)
    assert parabola(params) < 1e-3
    params, losses = jax.jit(lambda rate: descend(make, rosenbrock, rate, 2000))(of_rosenbrock)
    assert rosenbrock(params) < 0.05 * losses[0]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_many_rates_are_one_trace(name):
    make, _, rate = OPTIMIZERS[name]
    chex.clear_trace_counter()
    rates = jnp.array([0.1 * rate, rate, 0.5 * rate])
    run = jax.jit(
        jax.vmap(chex.assert_max_traces(lambda r: descend(make, parabola, r, 30)[1], n=1))
    )
    every = run(rates)
    run(2 * rates)
    alone = jax.jit(lambda r: descend(make, parabola, r, 30)[1])(rates[1])
    np.testing.assert_allclose(every[1], alone, rtol=1e-5)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32])
def test_dtypes_and_states_stay(name, dtype):
    optimizer = OPTIMIZERS[name][0](0.1)
    params = start(dtype)
    state = optimizer.init(params)
    updates, new = optimizer.update(jax.grad(parabola)(params), state, params)
    assert jax.tree.map(lambda u: u.dtype, updates) == jax.tree.map(lambda p: p.dtype, params)
    chex.assert_trees_all_equal_shapes_and_dtypes(state, new)
    compiled, _ = jax.jit(optimizer.update)(jax.grad(parabola)(params), state, params)
    chex.assert_trees_all_close(compiled, updates, rtol=1e-2 if dtype == jnp.bfloat16 else 1e-6)


@pytest.mark.parametrize("name", ["momentum", "adam", "adamw", "rmsprop"])
def test_every_number_may_be_traced(name):
    make = {
        "momentum": lambda h: optim.momentum(h[0], h[1], dampening=h[2]),
        "adam": lambda h: optim.adam(h[0], h[1], h[2], eps=h[3], eps_root=h[3]),
        "adamw": lambda h: optim.adamw(h[0], h[1], h[2], eps=h[3], weight_decay=h[3]),
        "rmsprop": lambda h: optim.rmsprop(h[0], h[1], eps=h[3], eps_root=h[3]),
    }[name]
    settings = jnp.array([[0.01, 0.9, 0.99, 1e-3], [0.02, 0.5, 0.9, 1e-4]])
    run = lambda h: descend(make, parabola, h, 20)[1]
    every = jax.jit(jax.vmap(run))(settings)
    assert every.shape == (2, 20) and (every[:, -1] < every[:, 0]).all()
    numbers = [float(v) for v in settings[1]]
    np.testing.assert_allclose(every[1], jax.jit(lambda: run(numbers))(), rtol=1e-5)
