"""Figures show the study's own numbers, and leave no trace in pyplot."""

import io
import sys

import numpy as np
import pytest

from jaxdl import plotting
from jaxdl.model_selection.designs import LearningCurve
from jaxdl.model_selection.study import Study

RATES, WIDTHS, EPOCHS, POINTS = (0.001, 0.01, 0.1), ("none", "64"), 6, np.array([2, 4, 6])


def a_study(hparams=None, folds=3, seeds=2, train=True, diverged=()):
    """A Study made of random numbers; nothing is trained."""
    if hparams is None:
        hparams = [{"rate": r, "width": w, "epochs": 6} for w in WIDTHS for r in RATES]
    rng = np.random.default_rng(0)
    shape = (len(hparams), folds, seeds)
    curves = {m: rng.uniform(0.2, 1, (*shape, len(POINTS))) for m in ("accuracy", "nll")}
    training = {m: rng.uniform(0.2, 1, (*shape, len(POINTS))) for m in ("accuracy", "nll")}
    failed = np.zeros(shape, bool)
    failed[list(diverged), 0, 0] = True
    loss = rng.uniform(0.1, 2, (*shape, EPOCHS))
    loss[failed, 3:] = np.nan
    return Study(
        hparams=hparams,
        scores={m: c[..., -1] for m, c in curves.items()},
        train_scores={m: c[..., -1] for m, c in training.items()} if train else {},
        curves=curves,
        train_curves=training if train else {},
        curve_epochs=POINTS,
        train_loss=loss,
        diverged=failed,
        unfit=np.zeros(folds, bool),
        epochs=np.where(failed, 3, EPOCHS),
        best_epochs=None,
        dropped=np.full(len(hparams), -1),
        folds=[((), ())] * folds,
        seeds=list(range(seeds)),
        predictions=None,
        held_out=None,
        states=None,
        metric="accuracy",
        maximize=True,
        num_params=np.ones(len(hparams), int),
        strategy="vmap",
        num_programs=1,
        num_traces=1,
        compile_seconds=1.0,
        run_seconds=1.0,
        recipe=None,
    )


def drawn(container):
    """x, y and half the height of the bars of an ``errorbar``."""
    line, _, bars = container
    half = [(s[1, 1] - s[0, 1]) / 2 for s in bars[0].get_segments()] if bars else None
    return line.get_xdata(), line.get_ydata(), half


@pytest.mark.parametrize("metric", [None, "nll"])
def test_validation_curve_takes_the_best_of_the_others(metric):
    study = a_study()
    axes = plotting.validation_curve(study, "rate", metric).axes[0]
    mean, error = study.summary(metric)
    best = min if metric == "nll" else max
    rows = [best((r, r + len(RATES)), key=lambda s: mean[s]) for r in range(len(RATES))]
    x, y, half = drawn(axes.containers[0])
    np.testing.assert_allclose(x, RATES)
    np.testing.assert_allclose(y, mean[rows])
    np.testing.assert_allclose(half, error[rows])
    _, y, _ = drawn(axes.containers[1])
    np.testing.assert_allclose(y, study.train_scores[metric or "accuracy"][rows].mean((1, 2)))
    assert axes.get_xscale() == "log"
    assert axes.get_ylabel() == ("negative log-likelihood" if metric else "accuracy")


def test_validation_curve_by_lines():
    study = a_study(train=False)
    axes = plotting.validation_curve(study, "rate", others="lines").axes[0]
    mean, _ = study.summary()
    lines = {c.get_label(): drawn(c)[1] for c in axes.containers}
    np.testing.assert_allclose(lines["width=none"], mean[:3])
    np.testing.assert_allclose(lines["width=64"], mean[3:])


@pytest.mark.parametrize(
    ("values", "scale", "labels"),
    [
        ((0.0, 1e-4, 1e-3, 1e-2), "symlog", ["0", "0.0001", "0.001", "0.01"]),
        ((0.0, 0.1, 0.2, 0.5), "linear", ["0", "0.1", "0.2", "0.5"]),
        ((4, 1, 2), "linear", ["1", "2", "4"]),
        ((1e-3, 1e-1), "log", ["0.001", "0.1"]),
        (("none", "64", "64-64"), "linear", ["none", "64", "64-64"]),
        ((True, False), "linear", ["True", "False"]),
        ((np.ones(2), np.zeros(2)), "linear", ["[1.0, 1.0]", "[0.0, 0.0]"]),
        ((-1.0, 10.0), "linear", ["-1", "10"]),
        ((0.0,), "linear", ["0"]),
    ],
)
def test_axis_follows_the_values(values, scale, labels):
    study = a_study([{"a": v} for v in values])
    axes = plotting.validation_curve(study, "a").axes[0]
    assert axes.get_xscale() == scale
    assert [t.get_text() for t in axes.get_xticklabels()] == labels
    assert len(drawn(axes.containers[0])[1]) == len(values)


def test_diverged_settings_are_left_out():
    study = a_study(diverged=[0, 3])
    x, _, _ = drawn(plotting.validation_curve(study, "rate").axes[0].containers[0])
    np.testing.assert_allclose(x, RATES[1:])
    everything = plotting.validation_curve(a_study(diverged=range(6)), "rate")
    assert not everything.axes[0].containers


def test_one_fold_has_no_error_bars():
    container = plotting.validation_curve(a_study(folds=1), "rate").axes[0].containers[0]
    assert drawn(container)[2] is None


def test_settings_without_the_name_are_left_out():
    study = a_study([{"a": 1.0, "b": 0.1}, {"a": 1.0, "b": 0.2}, {"a": 2.0}])
    x, y, _ = drawn(plotting.validation_curve(study, "b").axes[0].containers[0])
    np.testing.assert_allclose(x, [0.1, 0.2])
    np.testing.assert_allclose(y, study.summary()[0][:2])


def test_learning_curves_show_means_and_deviations():
    study = a_study(diverged=[1])
    left, right = plotting.learning_curves(study, [1, 2], "nll").axes
    np.testing.assert_allclose(left.lines[1].get_ydata(), study.train_loss[2].mean((0, 1)))
    members = study.train_loss[1].reshape(-1, EPOCHS)
    np.testing.assert_allclose(left.lines[0].get_ydata(), np.nanmean(members, 0))
    assert [line.get_label() for line in left.lines] == [
        "rate=0.01, width=none", "rate=0.1, width=none",
    ]  # fmt: skip
    np.testing.assert_allclose(right.lines[0].get_xdata(), POINTS)
    np.testing.assert_allclose(right.lines[0].get_ydata(), study.curves["nll"][1].mean((0, 1)))
    np.testing.assert_allclose(
        right.lines[1].get_ydata(), study.train_curves["nll"][1].mean((0, 1))
    )
    (upper,) = right.collections[0].get_paths()
    top = study.curves["nll"][1].reshape(-1, 3)
    assert upper.vertices[:, 1].max() == pytest.approx((top.mean(0) + top.std(0)).max())


def test_learning_curves_of_the_best():
    study = a_study(train=False)
    left, right = plotting.learning_curves(study, 2).axes
    for line, row in zip(left.lines, study.ranking()[:2], strict=True):
        np.testing.assert_allclose(line.get_ydata(), study.train_loss[row].mean((0, 1)))
    assert len(right.lines) == 2


def test_learning_curves_where_all_members_diverged_at_once():
    study = a_study()
    study.train_loss[:] = np.nan
    left, _ = plotting.learning_curves(study, 1).axes
    np.testing.assert_array_equal(left.lines[0].get_ydata(), np.full(EPOCHS, np.nan))


def test_the_shares_of_a_class_with_one_row_are_of_that_row():
    image = plotting.confusion_matrix([[0, 1], [1, 3]]).axes[0].images[0]
    np.testing.assert_allclose(image.get_array(), [[0, 1], [0.25, 0.75]])


def test_confusion_matrix_shows_counts_and_shares():
    figure = plotting.confusion_matrix([[3, 1], [0, 0]], ["no", "yes"])
    axes = figure.axes[0]
    texts = {t.get_position(): t.get_text() for t in axes.texts}
    assert texts == {(0, 0): "3", (1, 0): "1"}  # x is the predicted class
    np.testing.assert_allclose(axes.images[0].get_array(), [[0.75, 0.25], [0, 0]])
    assert [t.get_text() for t in axes.get_yticklabels()] == ["no", "yes"]
    assert axes.get_xlabel() == "predicted class"


def test_learning_curve_by_sizes():
    rng = np.random.default_rng(0)
    scores, train = rng.uniform(size=(2, 3, 4, 2))
    curve = LearningCurve(np.array([10, 20, 40]), {"nll": scores}, {"nll": train}, a_study())
    axes = plotting.learning_curve_sizes(curve, "nll").axes[0]
    x, y, half = drawn(axes.containers[0])
    np.testing.assert_allclose(x, [10, 20, 40])
    np.testing.assert_allclose(y, scores.mean((1, 2)))
    np.testing.assert_allclose(half, scores.mean(2).std(1, ddof=1) / 2)
    np.testing.assert_allclose(drawn(axes.containers[1])[1], train.mean((1, 2)))


def test_figures_render_and_leave_pyplot_alone():
    before = "matplotlib.pyplot" in sys.modules
    study = a_study()
    for figure in (
        plotting.validation_curve(study, "width", others="lines"),
        plotting.learning_curves(study),
        plotting.confusion_matrix(np.eye(30)),
    ):
        file = io.BytesIO()
        figure.savefig(file)
        assert file.getvalue().startswith(b"\x89PNG")
    assert ("matplotlib.pyplot" in sys.modules) == before


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda s: plotting.validation_curve(s, "depth"), "no setting 'depth'; there are rate, wi"),
        (lambda s: plotting.validation_curve(s, "rate", "f1"), "metric 'f1' is none of"),
        (lambda s: plotting.validation_curve(s, "rate", others="all"), "'best' or 'lines'"),
        (lambda s: plotting.learning_curves(s, metric="f1"), "metric 'f1' is none of"),
        (lambda s: plotting.learning_curves(s, [6]), "rows from 0 to 5"),
        (lambda s: plotting.learning_curves(s, []), "rows from 0 to 5"),
        (lambda s: plotting.confusion_matrix(np.ones((2, 3))), r"\[K, K\], not \[2, 3\]"),
        (lambda s: plotting.confusion_matrix(np.eye(2), ["a"]), "names must be 2"),
    ],
)
def test_wrong_arguments(draw, message):
    with pytest.raises(ValueError, match=message):
        draw(a_study())
