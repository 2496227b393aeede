"""What every Cell keeps to; a new cell is a new row of the table."""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import layers

D, H, B, T = 3, 4, 2, 5
CELLS = {
    "simple": layers.simple_cell(D, H),
    "simple_relu_no_bias": layers.simple_cell(D, H, activation="relu", use_bias=False),
    "simple_learned": layers.simple_cell(D, H, initial="learned"),
    "lstm": layers.lstm_cell(D, H),
    "lstm_ones_no_bias": layers.lstm_cell(D, H, initial="ones", use_bias=False),
    "lstm_learned": layers.lstm_cell(D, H, initial="learned"),
    "gru_after": layers.gru_cell(D, H),
    "gru_before": layers.gru_cell(D, H, reset="before"),
    "gru_learned": layers.gru_cell(D, H, initial="learned"),
}
cells = pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
X = jnp.asarray(np.random.default_rng(0).normal(size=(B, T, D)), jnp.float32)


@functools.cache
def started(cell):
    return jax.jit(cell.init)(jax.random.key(0))


def assert_close(a, b):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6), a, b)


@cells
def test_names_of_the_arguments(cell):
    names = lambda fn: list(inspect.signature(fn).parameters)
    assert names(cell.init) == ["key"] and names(cell.carry) == ["batch_shape"]
    assert names(cell.step) == ["params", "carry", "x"]
    assert names(cell.unroll) == ["params", "carry", "x", "mask"]


@cells
def test_a_step_keeps_the_form_of_the_carry(cell):
    params = started(cell)
    for shape in ((), (B,), (2, B)):
        carry = cell.carry(shape)
        after, y = cell.step(params, carry, jnp.ones((*shape, D)))
        assert jax.tree.map(lambda c: (c.shape, c.dtype), after) == jax.tree.map(
            lambda c: (c.shape, c.dtype), carry
        )
        assert y.shape == (*shape, H) and y.dtype == jnp.float32


@cells
def test_steps_are_the_unrolled_cell(cell):
    params = started(cell)
    carry = layers.initial_carry(cell, params, (B,))
    last, y = jax.jit(cell.unroll)(params, carry, X.swapaxes(0, 1), None)
    for t in range(T):
        carry, expected = cell.step(params, carry, X[:, t])
        assert_close(y[t], expected)
    assert_close(last, carry)


@cells
def test_the_carry_stays_where_nothing_counts(cell):
    params = started(cell)
    carry = layers.initial_carry(cell, params, (B,))
    mask = jnp.zeros((T, B), bool).at[:2, 0].set(True)
    last, _ = cell.unroll(params, carry, X.swapaxes(0, 1), mask)
    two, _ = cell.unroll(params, carry, X.swapaxes(0, 1)[:2], None)
    for end, after, start in zip(last, two, carry, strict=True):
        assert_close(end[0], after[0])
        np.testing.assert_array_equal(end[1], start[1])


@cells
def test_every_parameter_has_a_gradient(cell):
    loss = lambda p: jnp.sum(jnp.sin(layers.unroll(cell, p, X)[1]))
    for path, leaf in jax.tree_util.tree_leaves_with_path(jax.grad(loss)(started(cell))):
        assert abs(leaf).max() > 0, path


@cells
def test_vmap_over_inits_equals_a_loop(cell):
    keys = jax.random.split(jax.random.key(1), 2)
    with jax.debug_key_reuse(False):
        run = lambda key: layers.unroll(cell, cell.init(key), X)
        together = jax.vmap(run)(keys)
        for i, key in enumerate(keys):
            assert_close(jax.tree.map(lambda leaf, i=i: leaf[i], together), run(key))
