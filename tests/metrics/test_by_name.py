"""Metrics by name against scikit-learn, with weights and without, ties among the scores."""

import numpy as np
import pytest
from sklearn import metrics as theirs

from jaxdl.base import Responses
from jaxdl.metrics import Metric, directions, expected_calibration_error, named, pinball

RNG = np.random.default_rng(0)
N = 60
WEIGHTS = {"alike": None, "weighted": RNG.uniform(0, 3, N), "some": RNG.integers(0, 3, N)}


def probabilities(k, classes=None):
    """Of few different values, so that many scores are equal."""
    p = RNG.integers(1, 6, (N, k)).astype(np.float32)
    y = RNG.integers(0, classes or k, N)
    p[np.arange(N), y] += 2
    return y, p / p.sum(1, keepdims=True)


def score(name, y, predictions, weight, kind=None):
    (metric,) = named([name], kind and Responses(kind))
    return metric.score(y, predictions, weight)


@pytest.mark.smoke
@pytest.mark.parametrize("weight", WEIGHTS.values(), ids=WEIGHTS)
@pytest.mark.parametrize("k", [2, 3])
def test_metrics_of_labels(k, weight):
    y, p = probabilities(k)
    labels, hot = p.argmax(1), np.eye(k)[y]
    how = {"sample_weight": weight}
    one = {"roc_auc": p[:, 1]} if k == 2 else {"roc_auc": p}
    wanted = {
        "accuracy": theirs.accuracy_score(y, labels, **how),
        "balanced_accuracy": theirs.balanced_accuracy_score(y, labels, **how),
        "macro_f1": theirs.f1_score(y, labels, average="macro", **how),
        "log_loss": theirs.log_loss(y, p / p.sum(1, dtype=float)[:, None], **how),
        "roc_auc": theirs.roc_auc_score(
            y if k == 2 else hot, one["roc_auc"], average="macro", **how
        ),
        "average_precision": theirs.average_precision_score(
            y if k == 2 else hot, one["roc_auc"], average="macro", **how
        ),
    }
    for name, value in wanted.items():
        assert score(name, y, p, weight) == pytest.approx(value, rel=1e-6), name
    assert score("deviance", y, p, weight, "labels") == pytest.approx(2 * wanted["log_loss"])
    if k == 2:  # [n] of class 1 is the same
        for name, value in wanted.items():
            if name not in ("accuracy", "balanced_accuracy", "macro_f1"):  # 1/2 is class 1 here
                assert score(name, y, p[:, 1], weight) == pytest.approx(value, rel=1e-6), name


@pytest.mark.parametrize("weight", WEIGHTS.values(), ids=WEIGHTS)
def test_metrics_of_numbers_and_counts(weight):
    y, f = RNG.poisson(2.0, N), RNG.uniform(0.1, 4, N).astype(np.float32)
    how = {"sample_weight": weight}
    wanted = {
        "root_mean_squared_error": np.sqrt(theirs.mean_squared_error(y, f, **how)),
        "mean_absolute_error": theirs.mean_absolute_error(y, f, **how),
        "r2": theirs.r2_score(y, f, **how),
        "pinball": theirs.mean_pinball_loss(y, f, **how),
    }
    for name, value in wanted.items():
        assert score(name, y, f, weight) == pytest.approx(value, rel=1e-6), name
    deviance = lambda kind: score("deviance", y, f, weight, kind)
    assert deviance("counts") == pytest.approx(theirs.mean_poisson_deviance(y, f, **how), rel=1e-6)
    assert deviance("numbers") == pytest.approx(theirs.mean_squared_error(y, f, **how), rel=1e-6)
    high = pinball(0.9)
    assert high.name == "pinball_0.9" and not high.maximize
    value = theirs.mean_pinball_loss(y, f, alpha=0.9, **how)
    assert high.score(y, f, weight) == pytest.approx(value, rel=1e-6)


def test_r2_far_from_zero():
    """Of float32: in that type it would be off by 7e-6, as its mean is rounded."""
    y = (10_000 + RNG.normal(0, 0.01, 5000)).astype(np.float32)
    f = (y + RNG.normal(0, 0.005, 5000)).astype(np.float32)
    wanted = theirs.r2_score(y.astype(float), f.astype(float))
    assert 0.5 < wanted < 0.9
    assert score("r2", y, f, None) == pytest.approx(wanted, rel=1e-9)


def test_the_calibration_error_is_that_of_the_jitted_one_and_weights_are_repetitions():
    y, p = probabilities(3)
    ours = score("calibration_error", y, p, None)
    assert ours == pytest.approx(float(expected_calibration_error(p, y)), abs=1e-6)
    times = WEIGHTS["some"]
    again = score("calibration_error", np.repeat(y, times), np.repeat(p, times, axis=0), None)
    assert score("calibration_error", y, p, times) == pytest.approx(again, rel=1e-12)


def test_one_probability_is_class_1_from_one_half_on():
    y, p = np.array([1, 1, 0]), np.array([0.5, 0.5, 0.4], np.float32)
    assert score("accuracy", y, p, None) == 1


def test_no_value_where_there_is_nothing_to_rank_or_explain():
    p = np.full((3, 2), 0.5)
    assert np.isnan(score("roc_auc", np.array([1, 1, 1]), p, None))
    assert np.isnan(score("average_precision", np.array([0, 1, 1]), p, np.array([1.0, 0, 0])))
    assert np.isnan(score("r2", np.ones(3), np.ones(3), None))
    equal = np.append(np.full(7, 0.1, np.float32), np.float32(5))
    assert np.isnan(score("r2", equal, 0 * equal, np.append(np.full(7, 0.3), 0)))


def test_directions_are_those_that_the_names_are_known_for():
    names = ["accuracy", "average_precision", "balanced_accuracy", "calibration_error", "log_loss",
             "macro_f1", "mean_absolute_error", "pinball", "r2", "roc_auc",
             "root_mean_squared_error"]  # fmt: skip
    more = {"accuracy", "average_precision", "balanced_accuracy", "macro_f1", "r2", "roc_auc"}
    for metric in named(names):
        assert metric.maximize == (metric.name in more) == directions.resolve(metric.name)


@pytest.mark.parametrize(
    ("asked", "responses", "message"),
    [
        (["roc_acu"], None, "did you mean 'roc_auc'"),
        (["r2", "r2"], None, "'r2' is there twice"),
        (["roc_auc"], Responses("numbers"), "'roc_auc' is of labels, these responses are numbers"),
        (["r2"], Responses("labels"), "'r2' is of numbers and counts, these responses are labels"),
        (["deviance"], None, "does not say which"),
        ([np.mean], None, "names or Metric"),
    ],
)
def test_what_is_no_metric_here(asked, responses, message):
    with pytest.raises(ValueError, match=message):
        named(asked, responses)


def test_predictions_that_do_not_fit():
    with pytest.raises(ValueError, match=r"labels lie in 0\.\.1, not 0 to 2"):
        score("accuracy", np.array([0, 2]), np.full((2, 2), 0.5), None)
    with pytest.raises(ValueError, match=r"labels y \[n\] and probabilities"):
        score("log_loss", np.array([0.0, 1.0]), np.full((2, 2), 0.5), None)
    with pytest.raises(ValueError, match=r"responses \[2\] and predictions \[2, 1\] differ"):
        score("r2", np.zeros(2), np.zeros((2, 1)), None)
    with pytest.raises(ValueError, match=r"a quantile lies in \(0, 1\)"):
        pinball(1.0)
    assert Metric("mine", None, True).kinds == ()
