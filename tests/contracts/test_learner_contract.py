"""What every Learner keeps to; a new learner is a new row of the table."""

import inspect
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from networks import three_classes

from jaxdl import families, models, optim, training
from jaxdl.base import Learner

CLASSES = three_classes(24)
SIGNS = (CLASSES[0], np.where(CLASSES[1] == 0, 1.0, -1.0).astype(np.float32))
REAL = (CLASSES[0], (CLASSES[0] @ np.array([1.0, -2, 0.5, 0])).astype(np.float32))


class Row(NamedTuple):
    learner: Learner
    batch: tuple
    metrics: set[str]


def softmax(penalty=0.1):
    net = models.mlp((4, 3))
    family = families.categorical(3)
    return net, training.negative_log_likelihood(net, family, penalty=penalty)


LEARNERS = {
    "gradient": Row(
        training.gradient_learner(*softmax(), optax.adam(0.1)), CLASSES, {"nll", "accuracy"}
    ),
    "solver": Row(
        training.solver_learner(*softmax(), optim.lbfgs), CLASSES, {"nll", "accuracy"}
    ),
    "least_squares": Row(
        training.least_squares_learner(0.1, num_features=4), REAL, {"squared_error"}
    ),
    "perceptron": Row(training.perceptron_learner(4), SIGNS, {"accuracy"}),
}  # fmt: skip
rows = pytest.mark.parametrize("row", LEARNERS.values(), ids=LEARNERS)


def assert_equal(a, b, **tolerance):
    plain = lambda x: jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x
    jax.tree.map(lambda a, b: np.testing.assert_allclose(plain(a), plain(b), **tolerance), a, b)


@pytest.fixture(autouse=True)
def keys_may_be_used_twice(allow_key_reuse):
    """The same step is taken in two ways."""


@rows
def test_names_of_the_arguments(row):
    names = lambda fn: list(inspect.signature(fn).parameters)
    assert names(row.learner.init) == ["key"]
    assert len(names(row.learner.step)) == 3 and names(row.learner.step)[2] == "mask"
    mask = inspect.signature(row.learner.step).parameters["mask"]
    assert mask.kind is inspect.Parameter.KEYWORD_ONLY and mask.default is None
    assert len(names(row.learner.predict)) == len(names(row.learner.evaluate)) == 2


@rows
def test_a_step_keeps_the_states_structure_and_lowers_the_loss(row, key):
    state = row.learner.init(key)
    step = jax.jit(row.learner.step)
    losses = []
    for _ in range(8):
        new, info = step(state, row.batch)
        assert jax.tree.structure(new) == jax.tree.structure(state)
        before, after = jax.eval_shape(lambda: state), jax.eval_shape(lambda: new)  # noqa: B023
        assert jax.tree.map(lambda a, b: a.dtype == b.dtype, before, after)
        assert info["loss"].shape == () and np.isfinite(info["loss"])
        losses.append(float(info["loss"]))
        state = new
    assert losses[-1] <= losses[0]


@rows
def test_jit_equals_eager(row, key):
    state = row.learner.init(key)
    eager, _ = row.learner.step(state, row.batch)
    assert_equal(jax.jit(row.learner.step)(state, row.batch)[0], eager, rtol=2e-3, atol=1e-4)


@rows
def test_rows_that_do_not_count_change_nothing(row, key):
    state = row.learner.init(key)
    mask = np.arange(24) % 4 != 1
    x, y = row.batch
    poisoned = (np.where(mask[:, None], x, 100).astype(x.dtype), y)
    step = jax.jit(row.learner.step)
    with_mask, info = step(state, row.batch, mask=mask)
    again, same = step(state, poisoned, mask=mask)
    assert_equal(with_mask, again, rtol=2e-3, atol=1e-4)
    np.testing.assert_allclose(info["loss"], same["loss"], rtol=1e-4, atol=1e-6)
    cut, _ = step(state, (x[mask], y[mask]))
    assert_equal(with_mask, cut, rtol=2e-3, atol=1e-3)


@rows
def test_states_of_several_keys_step_together(row):
    keys = jax.random.split(jax.random.key(3), 3)
    together = jax.vmap(row.learner.init)(keys)
    stepped, _ = jax.vmap(lambda s: row.learner.step(s, row.batch))(together)
    for i, key in enumerate(keys):
        alone, _ = row.learner.step(row.learner.init(key), row.batch)
        assert_equal(jax.tree.map(lambda leaf, i=i: leaf[i], stepped), alone, rtol=2e-3, atol=1e-3)


@rows
def test_metrics_are_per_example_and_evaluation_draws_nothing(row, key):
    state = row.learner.init(key)
    values = row.learner.evaluate(state, row.batch)
    assert set(values) == row.metrics
    assert all(v.shape == (24,) for v in values.values())
    np.testing.assert_array_equal(
        row.learner.predict(state, row.batch[0]), row.learner.predict(state, row.batch[0])
    )
    assert row.learner.predict(state, row.batch[0]).shape[0] == 24
