"""Which way a metric is better: by its exact name, or as it is said."""

import pytest

from jaxdl.metrics import directions


@pytest.mark.parametrize(
    "metric", ["accuracy", "auc", "balanced_accuracy", "recall", "roc_auc", "r2", "f1", "elbo",
               "exact_match", "log_likelihood"],
)  # fmt: skip
def test_more_of_these_is_better(metric):
    assert directions.resolve(metric) is True
    assert directions.resolve(metric, maximize=False) is False  # what is said wins


@pytest.mark.parametrize(
    "metric", ["nll", "loss", "squared_error", "brier", "bits_per_dim", "perplexity", "mmd",
               "log_loss", "negative_elbo"],
)  # fmt: skip
def test_less_of_these_is_better(metric):
    assert directions.resolve(metric) is False
    assert directions.resolve(metric, maximize=True) is True


@pytest.mark.parametrize(
    ("metric", "near"), [("acuracy", "accuracy"), ("accuracy_of_mine", None), ("balanced_acc", None), ("zzz", None)]
)  # fmt: skip
def test_no_name_is_turned_round_by_what_it_begins_with(metric, near):
    assert not directions.known(metric)
    with pytest.raises(
        ValueError, match=f"of the metric '{metric}' is better is not known"
    ) as error:
        directions.resolve(metric)
    assert "say maximize=True or maximize=False" in str(error.value)
    assert near is None or f"(known is {near!r})" in str(error.value)
    assert directions.resolve(metric, maximize=True) is True


@pytest.mark.parametrize("said", ["max", 1, 0.0])
def test_a_direction_is_said_in_booleans(said):
    with pytest.raises(ValueError, match="maximize is True, False or None, not"):
        directions.resolve("accuracy", said)


def test_no_metric_is_known_both_ways():
    assert not set(directions.HIGHER_IS_BETTER) & set(directions.LOWER_IS_BETTER)


def test_a_score_as_a_loss():
    assert directions.as_loss(2.0, maximize=True) == -2 and directions.as_loss(2.0, False) == 2


def test_the_default_is_a_known_loss():
    assert directions.default_metric(["accuracy", "brier", "nll"]) == "nll"
    assert directions.default_metric(["accuracy", "squared_error", "brier"]) == "brier"
    assert directions.default_metric(["f1", "accuracy"]) == "accuracy"
    assert directions.default_metric(["aaa", "nll"]) == "nll"
    assert directions.default_metric(["zzz", "mine"]) == "mine"
