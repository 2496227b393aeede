"""Learners: one gradient, a solver, a closed form, Rosenblatt's rule; all through one engine."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from networks import classifier, network, three_classes

from jaxdl import families, losses, models, optim, training
from jaxdl.model_selection import cross_validate, k_fold, leave_one_out


def batch(n=12, dtype=np.float32):
    x, y = three_classes(n, dtype=dtype)
    return jnp.asarray(x), jnp.asarray(y)


@pytest.mark.equation(16, "L478")
def test_a_step_is_gradient_descent(key, x64):
    """w <- w - alpha dl/dw with the gradient of Eq. (19), by hand."""
    x, y = batch(dtype=np.float64)
    net = network((4, 3))
    objective = training.negative_log_likelihood(net, families.categorical(3))
    learner = training.gradient_learner(net, objective, optax.sgd(0.1))
    state = learner.init(key)
    w = state.params["dense_0"]["kernel"]
    new, info = learner.step(state, (x, y))
    pi = jax.nn.softmax(x @ w)
    gradient = x.T @ (pi - jax.nn.one_hot(y, 3)) / len(y)
    np.testing.assert_allclose(new.params["dense_0"]["kernel"], w - 0.1 * gradient, rtol=1e-12)
    np.testing.assert_allclose(info["loss"], -np.mean(np.log(pi[jnp.arange(12), y])), rtol=1e-12)
    assert int(new.step) == 1


def test_the_clock_starts_at_zero(key):
    """So a solver's first key is that of step 0, as any other learner's."""
    net = network((4, 3))
    drawn = []

    def loss(params, state, batch, *, key=None, train=False, mask=None):
        drawn.append(key)
        return 0.5 * jnp.sum(jnp.square(params["dense_0"]["kernel"])), (state, {})

    objective = training.negative_log_likelihood(net, families.categorical(3))._replace(loss=loss)
    solve = functools.partial(optim.newton, max_steps=1)
    learner = training.solver_learner(net, objective, solve)
    state = learner.init(key)
    new, _ = learner.step(state, batch())
    assert int(state.step) == 0 and int(new.step) == 1
    words = jax.random.key_data
    np.testing.assert_array_equal(words(drawn[0]), words(jax.random.fold_in(state.key, 0)))
    assert int(training.perceptron_learner(4).init(jax.random.key(1)).step) == 0


def test_masked_rows_do_not_count(key, x64):
    x, y = batch(dtype=np.float64)
    learner = classifier({"rate": 0.1, "l2": 0.01})
    state = learner.init(key)
    mask = jnp.arange(12) < 7
    masked, info = learner.step(state, (jnp.where(mask[:, None], x, 1e9), y), mask=mask)
    short, short_info = learner.step(state, (x[:7], y[:7]))
    np.testing.assert_allclose(info["loss"], short_info["loss"], rtol=1e-12)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12),
        masked.params, short.params,
    )  # fmt: skip
    values = jnp.where(mask, 1.0, jnp.nan)
    assert training.masked_mean(values, mask) == 1
    assert training.masked_mean(values, jnp.zeros(12, bool)) == 0


def test_penalties_leave_offsets_alone(key):
    params = {"dense_0": {"kernel": jnp.full((2, 3), 2.0), "bias": jnp.full(3, 7.0)}}
    assert losses.l2(params) == 24
    net = network((4, 3))
    x, y = batch()
    loss = lambda penalty: (
        training.negative_log_likelihood(net, families.categorical(3), penalty=penalty).loss
    )
    params, state = net.init(key)
    plain = loss(0.0)(params, state, (x, y))[0]
    squared = loss(0.5)(params, state, (x, y))[0]
    own = loss(lambda p: jnp.sum(jnp.abs(p["dense_0"]["bias"] + 1)))(params, state, (x, y))[0]
    np.testing.assert_allclose(
        squared - plain, 0.5 * np.sum(np.square(params["dense_0"]["kernel"])), rtol=1e-5
    )
    np.testing.assert_allclose(own - plain, 3, rtol=1e-5)


def test_a_class_that_weighs_three_stands_three_times(key):
    """The sum of losses is that of data in which rows of class 1 are repeated; scores are not."""
    net = network((4, 3))
    x, y = batch()
    params, state = net.init(key)
    plain = training.negative_log_likelihood(net, families.categorical(3))
    weighted = training.negative_log_likelihood(
        net, families.categorical(3), class_weights=np.array([1, 3, 0.5])
    )
    pi = np.asarray(jax.nn.softmax(x @ params["dense_0"]["kernel"]))
    by_hand = np.sum(-np.log(pi[np.arange(12), y]) * np.array([1, 3, 0.5])[y]) / 12
    value, (_, info) = weighted.loss(params, state, (x, y))
    np.testing.assert_allclose([value, info["nll"]], by_hand, rtol=1e-5)
    assert abs(by_hand - plain.loss(params, state, (x, y))[0]) > 0.1
    jax.tree.map(
        np.testing.assert_array_equal,
        weighted.evaluate(params, state, (x, y)), plain.evaluate(params, state, (x, y)),
    )  # fmt: skip


def test_a_flat_response_meets_one_output_on_purpose_and_nothing_else(key):
    net = network((4, 1))
    objective = training.negative_log_likelihood(net, families.normal())
    params, state = net.init(key)
    x, y = batch(6)
    eta = x @ params["dense_0"]["kernel"][:, 0]
    loss, _ = objective.loss(params, state, (x, y))
    np.testing.assert_allclose(loss, np.mean((eta - y) ** 2) / 2 + 0.9189385, rtol=1e-5)
    np.testing.assert_allclose(objective.predict(params, state, x), eta, rtol=1e-5)
    with pytest.raises(ValueError, match=r"one shape, not \(6, 1\) and \(6, 6\)"):
        objective.loss(params, state, (x, jnp.zeros((6, 6))))
    with pytest.raises(ValueError, match="one value per example"):
        objective.loss(params, state, (x, jnp.zeros((6, 1))))


def test_leave_one_out_of_least_squares_is_one_program(x64):
    """442 refits of diabetes, against the figure of the closed form (evidence: 54.7882546446)."""
    from sklearn.datasets import load_diabetes

    x, y = load_diabetes(return_X_y=True)
    study = cross_validate(
        lambda h: training.least_squares_learner(h["penalty"], num_features=10),
        {"penalty": [0.0, 0.01]}, (x, y), key=jax.random.key(0), folds=leave_one_out(442), epochs=1,
    )  # fmt: skip
    assert study.num_programs == 1
    rmse = np.sqrt(study.scores["squared_error"].mean((1, 2)))
    np.testing.assert_allclose(rmse[0], 54.7882546446, rtol=1e-9)
    shortcut = models.linear.leave_one_out_residuals(jnp.asarray(x), jnp.asarray(y))
    np.testing.assert_allclose(rmse[0], np.sqrt(np.mean(np.square(shortcut))), rtol=1e-9)
    assert study.best().hparams == {"penalty": 0.0}


def test_ridge_folds_equal_scikit_learns(x64):
    from sklearn.linear_model import Ridge

    x, _ = three_classes(30, dtype=np.float64)
    y = x @ np.array([1.0, 2.0, 3.0, 4.0]) + np.sin(np.arange(30))
    study = cross_validate(
        lambda h: training.least_squares_learner(h["penalty"], num_features=4),
        {"penalty": [0.1]}, (x, y), key=jax.random.key(0), folds=k_fold(30, 4), epochs=1,
        keep="predictions",
    )  # fmt: skip
    for part in study.folds:
        ridge = Ridge(alpha=0.1 * len(part.train)).fit(x[part.train], y[part.train])
        np.testing.assert_allclose(
            study.predictions[0, 0, part.valid], ridge.predict(x[part.valid]), rtol=1e-9
        )


@pytest.mark.parametrize("solve", [optim.newton, functools.partial(optim.lbfgs, tolerance=1e-9)])
def test_a_solver_reaches_the_optimum_in_one_epoch(x64, solve):
    """On ridge regression, whose optimum is known."""
    x, _ = three_classes(30, dtype=np.float64)
    y = x @ np.array([1.0, 2.0, 3.0, 4.0]) + np.sin(np.arange(30))
    net = models.mlp((4, 1))

    def make(h):
        objective = training.negative_log_likelihood(net, families.normal(), penalty=h["l2"])
        return training.solver_learner(net, objective, solve)

    study = cross_validate(
        make, {"l2": [0.05]}, (x, y), key=jax.random.key(0), folds=k_fold(30, 3), epochs=1,
        keep="predictions",
    )  # fmt: skip
    for part in study.folds:
        exact = models.linear.ridge(jnp.asarray(x[part.train]), jnp.asarray(y[part.train]), 0.1)
        np.testing.assert_allclose(
            study.predictions[0, 0, part.valid],
            models.linear.predict(exact, jnp.asarray(x[part.valid])), rtol=1e-8,
        )  # fmt: skip


def test_the_perceptron_learns_separable_data_and_follows_its_rule(key):
    x, _ = three_classes(40)
    y = np.where(x @ np.array([1, -1, 0.5, 0]) + 0.2 > 0, 1.0, -1.0).astype(np.float32)
    x = x + 0.3 * y[:, None] * np.array([1, -1, 0.5, 0], np.float32)  # a margin
    learner = training.perceptron_learner(4)
    result = training.fit(learner, (x, y), key=key, epochs=60, batch_size=7)
    assert np.all(np.asarray(learner.predict(result.state, x)) == y)
    assert float(result.history.loss[-1]) == 0

    state = learner.init(jax.random.key(1))
    w, b = np.array(state.params["kernel"]), float(state.params["bias"])
    for row, label in zip(x, y, strict=True):
        if (1 if row @ w + b > 0 else -1) != label:
            w, b = w + label * row, b + label
    state, _ = learner.step(state, (jnp.asarray(x), jnp.asarray(y)))
    np.testing.assert_allclose(state.params["kernel"], w, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(state.params["bias"], b, rtol=1e-4, atol=1e-5)


def test_perceptrons_form_a_study():
    x, _ = three_classes(41)
    y = np.where(x[:, 0] > 1, 1, -1).astype(np.int32)
    study = cross_validate(
        lambda h: training.perceptron_learner(4, h["init_scale"]), {"init_scale": [0.1, 1.0]},
        (x, y), key=jax.random.key(0), folds=3, epochs=20, batch_size=8,
    )  # fmt: skip
    assert study.metric == "accuracy" and study.summary()[0].min() > 0.8
