"""Gradients of mini-batches, and large batches from parts."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.optim import accumulate_gradients, minibatch_gradient


def squares(w, data):
    x, y = data
    return jnp.square(jnp.tanh(x @ w["kernel"]) + w["bias"] - y)


def problem(n):
    rng = np.random.default_rng(0)
    params = {"kernel": jnp.asarray(rng.normal(size=3)), "bias": jnp.asarray(0.3)}
    return params, (jnp.asarray(rng.normal(size=(n, 3))), jnp.asarray(rng.normal(size=n)))


def assert_close(a, b):
    jax.tree.map(lambda u, v: np.testing.assert_allclose(u, v, rtol=1e-12, atol=1e-14), a, b)


@pytest.mark.equation(30)
def test_the_mean_over_all_batches_is_the_whole_gradient(x64):
    params, data = problem(6)
    batches = jnp.array(list(itertools.combinations(range(6), 2)))
    every = jax.vmap(lambda index: minibatch_gradient(squares, params, data, index))(batches)
    whole = jax.grad(lambda w: jnp.mean(squares(w, data)))(params)
    assert_close(jax.tree.map(lambda g: g.mean(0), every), whole)
    assert every["kernel"].std() > 0.1  # one batch alone is far from it


def test_data_may_be_of_numpy_where_the_rows_are_traced(x64):
    params, data = problem(6)
    rows = jnp.array([4, 0])
    at = jax.jit(lambda index: minibatch_gradient(squares, params, jax.device_get(data), index))
    part = jax.tree.map(lambda leaf: leaf[rows], data)
    assert_close(at(rows), jax.grad(lambda w: jnp.mean(squares(w, part)))(params))


@pytest.mark.equation(30)
def test_accumulated_parts_are_the_large_batch(x64):
    params, data = problem(12)
    whole = jax.value_and_grad(lambda w: jnp.mean(squares(w, data)))(params)
    for parts in (1, 3, 12):
        run = jax.jit(lambda w, d, parts=parts: accumulate_gradients(squares, w, d, parts))
        assert_close(run(params, data), whole)


def test_rows_that_do_not_count_do_not(x64):
    params, data = problem(12)
    mask = jnp.arange(12) < 7
    few = jax.tree.map(lambda leaf: leaf[:7], data)
    whole = jax.value_and_grad(lambda w: jnp.mean(squares(w, few)))(params)
    assert_close(accumulate_gradients(squares, params, data, 4, mask), whole)


def test_only_a_part_is_in_flight():
    """The largest array of the program is a part's, not the batch's."""
    wide = lambda w, x: jnp.sum(jnp.tanh(x[:, None] * w), axis=1)
    w, x = jnp.ones(1000), jnp.ones(64)
    memory = lambda parts: (
        jax.jit(lambda w, x: accumulate_gradients(wide, w, x, parts))
        .lower(w, x).compile().memory_analysis().temp_size_in_bytes
    )  # fmt: skip
    assert memory(16) < memory(1) / 4


def test_unequal_parts():
    params, data = problem(10)
    with pytest.raises(ValueError, match="10 rows are not 3 equal parts"):
        accumulate_gradients(squares, params, data, 3)
