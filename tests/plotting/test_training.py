"""What the curves of a run show is what its history and its log hold."""

import jax
import matplotlib.figure
import numpy as np
import pytest
from networks import softmax_learner, three_classes

from jaxdl.model_selection import cross_validate
from jaxdl.plotting import log_curves, training_curves
from jaxdl.training import EarlyStopping, fit, fit_stream, read_log

LEARNER = softmax_learner({"rate": 0.3})
X, Y = three_classes(40)


def lines(axes):
    return [np.array(line.get_xydata()) for line in axes.lines]


def test_history_of_a_fit_stopped_early():
    how = {"validation": (X[30:], Y[30:]), "early_stopping": EarlyStopping(2, 0.02)}
    history = fit(LEARNER, (X[:30], Y[:30]), key=jax.random.key(0), epochs=40, **how).history
    figure = training_curves(history)
    assert isinstance(figure, matplotlib.figure.Figure)
    left, right = figure.axes
    stopped, best = int(history.stopped), int(history.best_epoch)
    assert 0 < best < stopped < 40
    loss, *marks = lines(left)
    np.testing.assert_array_equal(loss[:, 0], np.arange(1, 41))
    np.testing.assert_array_equal(loss[:, 1], history.loss)
    assert [mark[0, 0] for mark in marks] == [best, stopped]
    name = right.get_ylabel().removeprefix("validation ")
    np.testing.assert_array_equal(lines(right)[0][:, 0], np.arange(1, stopped + 1))
    np.testing.assert_array_equal(lines(right)[0][:, 1], history.validation[name][:stopped])
    with pytest.raises(ValueError, match="metric 'beauty' is none of"):
        training_curves(history, "beauty")


def test_history_without_validation_and_of_a_stream():
    result = fit(LEARNER, (X, Y), key=jax.random.key(0), epochs=3)
    with pytest.raises(ValueError, match="not a FitResult; take its history"):
        training_curves(result)
    history = result.history
    (axes,) = training_curves(history).axes
    assert len(lines(axes)) == 1
    batches = [(X[:10], Y[:10])] * 7
    result = fit_stream(LEARNER, batches, key=jax.random.key(0), steps=7, evaluate_every=3)
    assert (
        repr(result) == f"12 parameters after step 7; training loss {result.history.loss[-1]:.4g}"
    )
    history = result.history
    (axes,) = training_curves(history).axes
    assert axes.get_xlabel() == "step"
    np.testing.assert_array_equal(lines(axes)[0], np.stack([history.steps, history.loss], 1))


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_log_of_a_study(tmp_path, ending):
    log = tmp_path / f"log.{ending}"
    study = cross_validate(softmax_learner, {"rate": [0.1, 0.5]}, (X, Y), key=jax.random.key(0),
                           folds=2, epochs=3, log=str(log))  # fmt: skip
    left, right = log_curves(read_log(log)).axes
    drawn = np.array([line[:, 1] for line in lines(left)])
    np.testing.assert_allclose(
        np.sort(drawn, 0), np.sort(study.train_loss.reshape(4, 3), 0), rtol=1e-6
    )
    assert {line.get_color() for line in left.lines} == {"C0", "C1"}
    metric = right.get_ylabel().removeprefix("validation ")
    drawn = np.array([line[:, 1] for line in lines(right)])
    expected = study.curves[metric].reshape(4, -1)
    np.testing.assert_allclose(np.sort(drawn, 0), np.sort(expected, 0), rtol=1e-6)
    with pytest.raises(ValueError, match="metric 'beauty' is none of"):
        log_curves(read_log(log), "beauty")
    for path in (log, str(log)):
        with pytest.raises(ValueError, match=r"log_curves takes rows: log_curves\(read_log\("):
            log_curves(path)


def test_a_log_with_nothing_and_with_a_loss_that_is_not_finite():
    with pytest.raises(ValueError, match="no rows"):
        log_curves([])
    row = {"epoch": 1, "part": "train", "metric": "loss"}
    (axes,) = log_curves([{**row, "value": 1.0}, {**row, "epoch": 2, "value": None}]).axes
    np.testing.assert_array_equal(lines(axes)[0], [[1, 1], [2, np.nan]])
