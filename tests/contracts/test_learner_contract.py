"""What every Learner keeps to; a new learner is a new row of the table."""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from networks import three_classes

from jaxdl import families, inference, models, optim, training
from jaxdl.base import Learner

CLASSES = three_classes(24, dtype=np.float64)
SIGNS = (CLASSES[0], np.where(CLASSES[1] == 0, 1.0, -1.0))
REAL = (CLASSES[0], CLASSES[0] @ np.array([1.0, -2, 0.5, 0]) + np.sin(np.arange(24)))
TOLERANCE = {"rtol": 1e-8, "atol": 1e-9}


class Row(NamedTuple):
    learner: Learner
    batch: tuple
    metrics: set[str]
    step: Callable  # the learner's, compiled once for all tests
    inputs: Any  # what it predicts from


def row(learner, batch, metrics, inputs=None):
    return Row(
        learner, batch, metrics, jax.jit(learner.step), batch[0] if inputs is None else inputs
    )


def softmax(penalty=0.1):
    net = models.mlp((4, 3))
    family = families.categorical(3)
    return net, training.negative_log_likelihood(net, family, penalty=penalty)


def game():
    """A conditional GAN of the classes' features; its two losses need not fall."""
    told = lambda *widths: models.conditioned(models.mlp(widths), num_classes=3)
    players = told(2 + 3, 4, 4), told(4 + 3, 4, 1)
    return training.adversarial_learner(
        *players, optax.sgd(0.1), optax.sgd(0.1, momentum=0.5), latent=2, penalty=0.1
    )


def inferring(name):
    """Posteriors that are drawn, of batches of x; (x, y) has a y that nobody looks at."""
    prior, told = models.standard_normal(2), lambda *widths: models.conditioned(models.mlp(widths))
    players = told(2 + 4, 4, 2), told(2 + 4, 4, 1)
    optimizers = optax.sgd(0.1), optax.sgd(0.1, momentum=0.5)
    if name == "adversarial_bayes":
        net = models.DensityNetwork(prior, models.mlp((2, 4)), families.normal())
        how = {"noise": 2, "samples": 2, "contrast": models.mlp((4, 4))}
        return inference.adversarial_bayes_learner(net, *players, *optimizers, **how)
    simulate = lambda key, z: jnp.tile(z, 2) + jax.random.normal(key, (4,))
    return inference.hierarchical_implicit_learner(prior, simulate, *players, *optimizers, noise=2)


NOISE = {"x": np.random.default_rng(1).normal(size=(24, 2)), "condition": CLASSES[1]}
TOLD = {**NOISE, "condition": CLASSES[0]}
LEARNERS = {
    "gradient": row(
        training.gradient_learner(*softmax(), optax.sgd(0.1, momentum=0.5)), CLASSES, {"nll", "accuracy"}
    ),
    "solver": row(
        training.solver_learner(*softmax(), optim.lbfgs), CLASSES, {"nll", "accuracy"}
    ),
    "least_squares": row(
        training.least_squares_learner(0.1, num_features=4), REAL, {"squared_error"}
    ),
    "perceptron": row(training.perceptron_learner(4), SIGNS, {"accuracy"}),
    "adversarial": row(game(), CLASSES, {"energy_score", "score"}, NOISE),
    "adversarial_bayes": row(
        inferring("adversarial_bayes"), CLASSES, {"negative_elbo", "reconstruction_nll", "kl"}, TOLD
    ),
    "hierarchical_implicit": row(
        inferring("hierarchical_implicit"), CLASSES, {"log_score", "negative_ratio"}, TOLD
    ),
}  # fmt: skip
rows = pytest.mark.parametrize("row", LEARNERS.values(), ids=LEARNERS)
# Players who draw samples beside the rows have no one loss, and a cut batch gives them other noise.
INFERRING = ("adversarial_bayes", "hierarchical_implicit")
FITTED = {n: row for n, row in LEARNERS.items() if n not in ("adversarial", *INFERRING)}
fitted = pytest.mark.parametrize("row", FITTED.values(), ids=FITTED)


def assert_equal(a, b, **tolerance):
    plain = lambda x: jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x
    jax.tree.map(lambda a, b: np.testing.assert_allclose(plain(a), plain(b), **tolerance), a, b)


@pytest.fixture(autouse=True)
def keys_may_be_used_twice(allow_key_reuse, x64):
    """The same step is taken in two ways, in float64 so that they meet."""


def test_every_public_learner_has_a_row():
    makers = {
        name.removesuffix("_learner")
        for name, value in (*vars(training).items(), *vars(inference).items())
        if inspect.isfunction(value)
        and inspect.signature(value).return_annotation in (Learner, "Learner")
    }  # fmt: skip
    assert makers == set(LEARNERS)


@rows
def test_names_of_the_arguments(row):
    names = lambda fn: list(inspect.signature(fn).parameters)
    assert names(row.learner.init) == ["key"]
    assert len(names(row.learner.step)) == 3 and names(row.learner.step)[2] == "mask"
    mask = inspect.signature(row.learner.step).parameters["mask"]
    assert mask.kind is inspect.Parameter.KEYWORD_ONLY and mask.default is None
    assert len(names(row.learner.predict)) == len(names(row.learner.evaluate)) == 2


@rows
def test_a_step_keeps_the_states_structure(row, key):
    kinds = lambda state: [(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(state)]
    state = row.learner.init(key)
    new, info = row.step(state, row.batch)
    assert jax.tree.structure(new) == jax.tree.structure(state)
    assert kinds(new) == kinds(state)
    assert info["loss"].shape == () and np.isfinite(info["loss"])


@fitted
def test_steps_lower_the_loss(row, key):
    evaluate, first = jax.jit(row.learner.evaluate), row.learner.init(key)
    state, losses = first, []
    for _ in range(8):
        state, info = row.step(state, row.batch)
        losses.append(float(info["loss"]))
    # A closed form has nothing to gain after its first step but rounding.
    assert losses[-1] <= losses[0] + 1e-12 * abs(losses[0])
    before, after = (evaluate(s, row.batch) for s in (first, state))
    for metric in row.metrics:
        sign = -1 if metric == "accuracy" else 1
        assert sign * after[metric].mean() < sign * before[metric].mean(), metric


@rows
def test_jit_equals_eager(row, key):
    state = row.learner.init(key)
    eager, _ = row.learner.step(state, row.batch)
    assert_equal(row.step(state, row.batch)[0], eager, **TOLERANCE)


@rows
def test_rows_that_do_not_count_change_nothing(row, key):
    state = row.learner.init(key)
    mask = np.arange(24) % 4 != 1
    x, y = row.batch
    poisoned = (np.where(mask[:, None], x, 100), np.where(mask, y, y[::-1]))
    with_mask, info = row.step(state, row.batch, mask=mask)
    again, same = row.step(state, poisoned, mask=mask)
    assert_equal(with_mask, again, rtol=0, atol=0)
    assert info["loss"] == same["loss"]


@fitted
def test_rows_that_do_not_count_are_as_if_cut(row, key):
    state = row.learner.init(key)
    mask = np.arange(24) % 4 != 1
    x, y = row.batch
    with_mask, info = row.step(state, row.batch, mask=mask)
    cut, part = row.step(state, (x[mask], y[mask]))
    assert_equal(with_mask, cut, **TOLERANCE)
    np.testing.assert_allclose(info["loss"], part["loss"], **TOLERANCE)


@rows
def test_states_of_several_keys_step_together(row):
    keys = jax.random.split(jax.random.key(3), 3)
    init = jax.jit(row.learner.init)
    together = jax.jit(jax.vmap(row.learner.init))(keys)
    stepped, _ = jax.jit(jax.vmap(lambda s: row.learner.step(s, row.batch)))(together)
    for i, key in enumerate(keys):
        alone, _ = row.step(init(key), row.batch)
        assert_equal(jax.tree.map(lambda leaf, i=i: leaf[i], stepped), alone, **TOLERANCE)


@pytest.mark.parametrize("name", [name for name in LEARNERS if name not in INFERRING])
def test_a_column_of_responses_is_refused(name, key):
    """[24] against [24, 1] must not become [24, 24]."""
    row = LEARNERS[name]
    state = row.learner.init(key)
    x, y = row.batch
    for call in (row.learner.step, row.learner.evaluate):
        with pytest.raises(ValueError, match=r"24, 1"):
            jax.eval_shape(call, state, (x, y[:, None]))


def test_every_step_draws_anew_and_the_key_stays(key):
    net = models.mlp((4, 16, 3), dropout=0.5)
    objective = training.negative_log_likelihood(net, families.categorical(3))
    learner = training.gradient_learner(net, objective, optax.sgd(0.0))
    step = jax.jit(learner.step)
    first, one = step(learner.init(key), CLASSES)
    second, two = step(first, CLASSES)
    assert abs(one["loss"] - two["loss"]) > 1e-4
    assert_equal((first.params, first.key), (second.params, second.key), rtol=0)
    assert second.step == 2


few = lambda tree: jax.tree.map(lambda part: part[3:5], tree)


@rows
def test_metrics_and_predictions_are_per_example(row, key):
    state = row.learner.init(key)
    values = jax.jit(row.learner.evaluate)(state, row.batch)
    assert set(values) == row.metrics
    assert all(v.shape == (24,) for v in values.values())
    predict = jax.jit(row.learner.predict)
    predictions = predict(state, row.inputs)
    np.testing.assert_allclose(predictions[3:5], predict(state, few(row.inputs)), **TOLERANCE)


@fitted
def test_metrics_of_a_few_are_those_of_all(row, key):
    state, evaluate = row.learner.init(key), jax.jit(row.learner.evaluate)
    values = evaluate(state, row.batch)
    assert_equal(few(values), evaluate(state, few(row.batch)), **TOLERANCE)


@pytest.mark.parametrize("name", ["gradient", "solver"])
def test_predictions_and_metrics_draw_nothing(name, key):
    """Of a network that drops half of its units while it trains; its plain output by hand."""
    net, family = models.mlp((4, 16, 3), dropout=0.5), families.categorical(3)
    objective = training.negative_log_likelihood(net, family)
    learner = {
        "gradient": training.gradient_learner(net, objective, optax.sgd(0.1)),
        "solver": training.solver_learner(net, objective, optim.lbfgs),
    }[name]
    x, y = CLASSES
    state = learner.init(key)
    hidden, out = state.params["dense_0"], state.params["dense_1"]
    eta = np.maximum(x @ hidden["kernel"] + hidden["bias"], 0) @ out["kernel"] + out["bias"]
    pi = np.exp(eta) / np.exp(eta).sum(1, keepdims=True)
    for ts in (state, state._replace(key=jax.random.key(9), step=state.step + 5)):
        np.testing.assert_allclose(learner.predict(ts, x), pi, **TOLERANCE)
        nll = learner.evaluate(ts, CLASSES)["nll"]
        np.testing.assert_allclose(nll, -np.log(pi[np.arange(24), y]), **TOLERANCE)
