"""Early stopping: when a run stops, and which of its states it gives back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from networks import softmax_learner, three_classes

from jaxdl import base
from jaxdl.training import EarlyStopping, fit

ROWS = (np.ones((2, 1), np.float32),)


def walker(values, metric="nll", rate=1.0):
    """A learner whose metric after step t is ``values[t - 1]``; its state [] counts the steps."""
    values = jnp.asarray(values, jnp.float32)

    def step(state, batch, *, mask=None):
        return state + 1, {"loss": values[state.astype(int)], "grad_norm": 5 - state}

    def evaluate(state, batch):
        rows = jnp.ones(batch[0].shape[0])
        return {"other": 7 * rows, metric: values[state.astype(int) - 1] * rows}

    return base.Learner(lambda key: jnp.zeros(()) * rate, step, lambda state, x: x, evaluate)


def walk(values, *, key=0, metric="nll", **options):
    """Fit of a walker; [stopped, best epoch, steps of the state that is given back]."""
    early = EarlyStopping(metric=metric, **options)
    result = fit(walker(values, metric), ROWS, key=jax.random.key(key), epochs=len(values),
                 validation=ROWS, early_stopping=early)  # fmt: skip
    return [int(result.history.stopped), int(result.history.best_epoch), int(result.state)]


SHAPE = [5, 3, 4, 4, 2, 3, 3, 3, 3, 3, 1, 1]


@pytest.mark.parametrize(
    ("options", "expected"),
    [  # by hand: the best is 2 after epoch 5, until 1 after epoch 11
        ({"patience": 2}, [4, 2, 2]),
        ({"patience": 3}, [8, 5, 5]),
        ({"patience": 5}, [10, 5, 5]),
        ({"patience": 6}, [-1, 11, 11]),
        ({"patience": 0}, [3, 2, 2]),
        ({"patience": 1.5}, [4, 2, 2]),
        ({"patience": 3, "restore_best": False}, [8, 5, 8]),
        ({"patience": 3, "min_delta": 1.0}, [5, 2, 2]),  # 2 beats 3 by no more than min_delta
        ({"patience": 3, "min_delta": 0.5}, [8, 5, 5]),
        ({"patience": 3, "min_delta": 10.0}, [4, 1, 1]),  # the first score beats infinity
    ],
)
def test_patience_and_delta_by_hand(options, expected):
    assert walk(SHAPE, **options) == expected


def test_the_default_is_the_negative_log_likelihood():
    """Its best is after epoch 3; that of the accuracy after 5, of the Brier score after 1."""
    scores = {
        "accuracy": [1, 2, 3, 4, 9, 5, 5],
        "brier": [0, 1, 1, 1, 1, 1, 1],
        "nll": [5, 4, 2, 3, 3, 3, 3],
    }

    def evaluate(state, batch):
        at = state.astype(int) - 1
        return {k: jnp.asarray(v, jnp.float32)[at] * jnp.ones(2) for k, v in scores.items()}

    learner = walker(SHAPE)._replace(evaluate=evaluate)
    result = fit(learner, ROWS, key=jax.random.key(0), epochs=7, validation=ROWS,
                 early_stopping=EarlyStopping(2))  # fmt: skip
    assert (int(result.history.best_epoch), int(result.history.stopped)) == (3, 5)
    assert "best after epoch 3\nstopped early after epoch 5" in repr(result)


def test_a_state_that_is_not_finite_under_a_finite_loss_is_named():
    learner = walker(SHAPE)
    spoilt = lambda s: jnp.where(s >= 2, jnp.inf, s + 1)
    learner = learner._replace(step=lambda s, batch, **how: (spoilt(s), {"loss": jnp.float32(1)}))
    result = fit(learner, ROWS, key=jax.random.key(0), epochs=4)
    assert "diverged in epoch 3: the loss was finite, the parameters" in repr(result)


def test_of_an_accuracy_more_is_better():
    assert walk([-v for v in SHAPE], metric="accuracy", patience=3) == [8, 5, 5]


@pytest.mark.parametrize(
    ("scores", "patience", "expected"),
    [
        ([np.nan] * 6, 3, [3, 0, 3]),  # never a best: the state is that of the end
        ([3, np.nan, 2, np.nan, np.nan, np.nan], 3, [6, 3, 3]),
        ([3, 2, np.inf, np.inf, 1, 1], 3, [-1, 5, 5]),
    ],
)
def test_scores_that_are_no_numbers_beat_nothing(scores, patience, expected):
    learner = walker(scores)
    finite = lambda s, batch, **kw: (s + 1, {"loss": jnp.zeros(()), "grad_norm": 5 - s})
    result = fit(learner._replace(step=finite), ROWS, key=jax.random.key(0), epochs=6,
                 validation=ROWS, early_stopping=EarlyStopping(patience, metric="nll"))  # fmt: skip
    history = result.history
    assert [int(history.stopped), int(history.best_epoch), int(result.state)] == expected


def test_histories_stay_after_the_end():
    result = fit(walker(SHAPE), ROWS, key=jax.random.key(0), epochs=12, validation=ROWS,
                 early_stopping=EarlyStopping(2, metric="nll"))  # fmt: skip
    np.testing.assert_array_equal(result.history.loss[:4], SHAPE[:4])
    assert np.isnan(result.history.loss[4:]).all()
    np.testing.assert_array_equal(result.history.validation["nll"], SHAPE[:4] + [4] * 8)
    assert int(result.steps) == 2


def test_evaluations_are_what_counts():
    """Epochs 3, 6, 9, 12 have scores 4, 3, 3, 1: patience 2 ends with the first that is no better."""
    how = {"epochs": 12, "validation": ROWS, "evaluate_every": 3}
    result = fit(walker(SHAPE), ROWS, key=jax.random.key(0), **how,
                 early_stopping=EarlyStopping(2, metric="nll"))  # fmt: skip
    assert (int(result.history.stopped), int(result.state)) == (9, 6)


def test_patience_may_be_traced():
    with jax.debug_key_reuse(False):
        key = jax.random.key(0)

        def run(patience, delta):
            early = EarlyStopping(patience, delta, "nll")
            result = fit(walker(SHAPE), ROWS, key=key, epochs=12, validation=ROWS,
                         early_stopping=early)  # fmt: skip
            return result.history.stopped, result.history.best_epoch, result.state

        many = jax.vmap(run)(jnp.array([2.0, 3.0, 6.0, 3.0]), jnp.array([0.0, 0.0, 0.0, 1.0]))
        alone = jax.jit(run)(3.0, 0.0)
    np.testing.assert_array_equal(
        np.transpose(many), [[4, 2, 2], [8, 5, 5], [-1, 11, 11], [5, 2, 2]]
    )
    np.testing.assert_array_equal(alone, [8, 5, 5])


@pytest.mark.parametrize("metric", [None, "accuracy"])
def test_the_best_snapshot_is_the_state_of_that_epoch(metric):
    """Against a run without early stopping that recorded every state."""
    x, y = three_classes()
    how = {"epochs": 12, "batch_size": 10, "validation": (x[:20], y[:20])}
    learner = softmax_learner({"rate": 0.9})
    plain = fit(learner, (x[20:], y[20:]), key=jax.random.key(0), record=lambda s: s.params, **how)
    early = EarlyStopping(2, metric=metric)
    result = fit(learner, (x[20:], y[20:]), key=jax.random.key(0), early_stopping=early, **how)
    curve = np.asarray(plain.history.validation[metric or "nll"])
    as_loss = -curve if metric == "accuracy" else curve
    best = stop = 0
    for epoch, score in enumerate(as_loss, 1):
        if best == 0 or score < as_loss[best - 1]:
            best = epoch
        elif epoch - best >= 2:
            stop = epoch
            break
    assert 0 < best < stop < 12
    assert (int(result.history.best_epoch), int(result.history.stopped)) == (best, stop)
    np.testing.assert_array_equal(result.state.params, plain.history.record[best - 1])
    fewer = fit(learner, (x[20:], y[20:]), key=jax.random.key(0), **{**how, "epochs": best})
    jax.tree.map(np.testing.assert_array_equal, result.state._replace(key=0),
                 fewer.state._replace(key=0))  # fmt: skip
    assert int(result.steps) == int(fewer.steps) == int(result.state.step) == 3 * best
    np.testing.assert_array_equal(*(jax.random.key_data(r.state.key) for r in (result, fewer)))


# -- steps, epochs and tolerance


@pytest.mark.parametrize(("steps", "epochs"), [(1, 1), (3, 1), (4, 2), (8, 3)])
def test_steps_end_within_an_epoch(steps, epochs):
    x, y = three_classes(27)
    learner = softmax_learner({"rate": 0.1, "noise": 0.0})
    result = fit(learner, (x, y), key=jax.random.key(0), steps=steps, batch_size=9)
    assert result.history.loss.shape == (epochs,)
    assert int(result.steps) == int(result.state.step) == steps
    if steps % 3 == 0:
        whole = fit(learner, (x, y), key=jax.random.key(0), epochs=epochs, batch_size=9)
        np.testing.assert_array_equal(result.state.params, whole.state.params)


def test_tolerance_ends_a_run_and_flags_it():
    """The walker's gradient norm after epoch e is 6 - e."""
    run = lambda tolerance, epochs=12: fit(
        walker(SHAPE), ROWS, key=jax.random.key(0), epochs=epochs, tolerance=tolerance
    )
    result = run(3.5)
    assert (int(result.history.stopped), int(result.state), int(result.steps)) == (3, 3, 3)
    assert bool(result.history.converged)
    np.testing.assert_array_equal(result.history.grad_norm[:3], [5, 4, 3])
    assert np.isnan(result.history.grad_norm[3:]).all()
    assert not bool(run(1e-9, epochs=4).history.converged)


@pytest.mark.parametrize("how", ["tolerance", "patience"])
def test_a_run_that_stops_in_an_epoch_cut_short_counts_its_steps(how):
    x, y = three_classes(40)
    learner = softmax_learner({"rate": 0.0})
    step = lambda *a, **kw: (lambda s, i: (s, {**i, "grad_norm": i["loss"]}))(
        *learner.step(*a, **kw)
    )
    options = {"tolerance": 1e9, "steps": 2} if how == "tolerance" else {
        "early_stopping": EarlyStopping(1, restore_best=False), "validation": (x, y), "steps": 6
    }  # fmt: skip
    result = fit(
        learner._replace(step=step), (x, y), key=jax.random.key(0), batch_size=10, **options
    )
    assert int(result.history.stopped) == {"tolerance": 1, "patience": 2}[how]
    assert int(result.steps) == int(result.state.step) == options["steps"]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"early_stopping": 3}, "takes an EarlyStopping"),
        ({"early_stopping": EarlyStopping(), "validation": None}, "needs validation data"),
        ({"early_stopping": EarlyStopping(metric="f1")}, "'f1', but the metrics are"),
        ({"early_stopping": EarlyStopping(-1)}, "patience of early stopping must be 0 or more"),
        ({"early_stopping": EarlyStopping(np.nan)}, "patience of early stopping must be 0 or more"),
        ({"early_stopping": EarlyStopping(1, -0.1)}, "min_delta of early stopping"),
        ({"epochs": None}, "epochs or steps"),
        ({"steps": 3}, "epochs or steps"),
        ({"epochs": None, "steps": 0}, "steps must be a positive"),
        ({"epochs": True}, "epochs must be a positive"),
        ({"evaluate_every": 0}, "evaluate_every must be a positive"),
        ({"validation": (np.ones((3, 2), np.float32), np.zeros(3, np.int32))}, "validation data"),
    ],
)
def test_bad_arguments(how, message):
    data = three_classes(9)
    how = {"epochs": 2, "validation": data, **how}
    with pytest.raises(ValueError, match=message):
        fit(softmax_learner({"rate": 0.1}), data, key=jax.random.key(0), **how)


def test_a_tolerance_needs_a_gradient_norm():
    with pytest.raises(ValueError, match="grad_norm"):
        fit(softmax_learner({"rate": 0.1}), three_classes(9), key=jax.random.key(0), epochs=1,
            tolerance=1.0)  # fmt: skip
