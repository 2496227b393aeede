"""Metrics of whole held-out parts in studies: scikit-learn's of each fold, and their directions."""

import jax
import numpy as np
import pytest
from networks import softmax_learner, three_classes
from sklearn import metrics as theirs
from tiny_study import study

from jaxdl.metrics import Metric
from jaxdl.model_selection import Folds, Halving, exports, nested_cross_validate

X, Y = three_classes()
RATES = {"rate": [0.01, 0.1]}
LARGEST = Metric(
    "rmse", lambda y, p, weight: float(p.max()), maximize=True
)  # rmse is known otherwise
HOW = {"folds": Folds(3, stratify=True), "epochs": 4, "batch_size": None}


@pytest.fixture(scope="module")
def scored():
    return study(RATES, **HOW, metrics=["roc_auc", "macro_f1", "nll", LARGEST], metric="roc_auc",
                 keep="predictions")  # fmt: skip


def test_scores_are_those_of_the_predictions_of_each_fold(scored):
    assert scored.scores["roc_auc"].shape == (2, 3, 1) and "roc_auc" not in scored.curves
    for s in (0, 1):
        for f, fold in enumerate(scored.folds):
            y, p = Y[fold.valid], scored.held_out[s, f, 0, : len(fold.valid)]
            auc = theirs.roc_auc_score(np.eye(3)[y], p, average="macro")
            f1 = theirs.f1_score(y, p.argmax(1), average="macro")
            assert scored.scores["roc_auc"][s, f, 0] == pytest.approx(auc, rel=1e-6)
            assert scored.scores["macro_f1"][s, f, 0] == pytest.approx(f1, rel=1e-6)
            assert scored.scores["rmse"][s, f, 0] == p.max()
    assert np.isfinite(scored.curves["nll"]).all()  # the learner's own


def test_directions_are_those_that_were_given(scored):
    assert (scored.metric, scored.maximize) == ("roc_auc", True)
    mean, _ = scored.summary("rmse")
    assert scored.best("rmse").index == int(np.argmax(mean)) == int(scored.ranking("rmse")[0])
    assert scored.best("rmse", maximize=False).index == int(np.argmin(mean))
    assert scored.best("nll").index == int(np.argmin(scored.summary("nll")[0]))
    assert scored.only([0, 1]).best("rmse").index == int(np.argmax(scored.scores["rmse"][:, :2].mean((1, 2))))  # fmt: skip


def test_predictions_go_where_they_are_not_asked_for(scored):
    again = study(RATES, **HOW, metrics="balanced_accuracy")
    assert again.predictions is None and again.held_out is None and again.metric == "accuracy"
    np.testing.assert_array_equal(again.scores["nll"], scored.scores["nll"])
    assert {row["metric"] for row in exports.rows(again)} == {
        "nll",
        "accuracy",
        "balanced_accuracy",
    }
    assert "balanced_accuracy" in str(again)


def test_a_diverged_member_has_no_score():
    bad = study({"rate": [0.1], "bad": [0.0]}, **{**HOW, "epochs": 1}, metrics=["macro_f1"])
    finite = np.isfinite(bad.scores["macro_f1"])
    assert bad.diverged.all() and finite.shape == (1, 3, 1)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"metrics": ["roc_acu"]}, "did you mean 'roc_auc'"),
        ({"metrics": ["r2"]}, "'r2' is of numbers and counts, these responses are labels"),
        ({"metrics": [Metric("nll", None, False)]}, "the learner reports 'nll' itself"),
        ({"metrics": ["roc_auc"], "folds": [(np.arange(9, 47), np.flatnonzero(Y < 2)[:4])]},
         "needs a row of every class in what each fold holds out; fold 0 has 2 of 3"),
        ({"metrics": ["macro_f1"], "metric": "macro_f1", "halving": Halving()}, "measured while training"),
        ({"metric": "macro_f1"}, "metric 'macro_f1' is none of"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_before_anything_runs(how, message):
    with pytest.raises(ValueError, match=message):
        study(RATES, **{**HOW, **how})


@pytest.mark.slow
def test_nested_cross_validation_chooses_by_them():
    nested = nested_cross_validate(
        softmax_learner, RATES, (X, Y), key=jax.random.key(0), outer=2, inner=2, epochs=4,
        metrics=["macro_f1"], metric="macro_f1",
    )  # fmt: skip
    assert nested.study.metric == "macro_f1" and np.isfinite(nested.scores).all()
