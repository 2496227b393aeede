"""Scores against scikit-learn and SciPy, and how a verdict follows from them."""

import dataclasses

import numpy as np
import pytest
from scipy import stats
from scipy.signal import lfilter
from sklearn import metrics

from experiments import baselines, scores
from experiments.partition import Partition
from experiments.verdict import CONSTANT, OURS, verdict
from jaxdl.model_selection import Fold, Split


@pytest.fixture
def classes():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 60)
    out = rng.dirichlet(np.ones(4), 60)  # of a class that is never seen, too
    out[np.arange(60), y] += 0.5
    return y, out / out.sum(1, keepdims=True)


def test_classes_as_in_scikit_learn(classes):
    y, out = classes
    given = out.argmax(1)
    right = {
        "accuracy": metrics.accuracy_score(y, given),
        "balanced_accuracy": metrics.recall_score(y, given, labels=[0, 1, 2], average="macro"),
        "macro_f1": metrics.f1_score(y, given, average="macro"),
        "nll": metrics.log_loss(y, out, labels=[0, 1, 2, 3]),
    }
    assert scores.available("classify", 4) == tuple(right)
    for name, value in right.items():
        assert scores.score(name, y, out, task="classify") == pytest.approx(value), name
    counts = scores.confusion(y, out)
    np.testing.assert_array_equal(counts, metrics.confusion_matrix(y, given, labels=range(4)))


def test_rankings_of_either_class():
    rng = np.random.default_rng(1)
    y = (rng.random(80) < 0.2).astype(int)
    p = np.clip(rng.normal(0.3 + 0.2 * y, 0.2), 0.01, 0.99)
    out = np.stack([1 - p, p], 1)
    of = lambda name, k: scores.score(name, y, out, task="classify", positive=k)
    assert of("roc_auc", 1) == pytest.approx(metrics.roc_auc_score(y, p))
    assert of("roc_auc", 0) == pytest.approx(metrics.roc_auc_score(y, p))
    assert of("average_precision", 1) == pytest.approx(metrics.average_precision_score(y, p))
    assert of("average_precision", 0) == pytest.approx(
        metrics.average_precision_score(1 - y, 1 - p)
    )
    assert np.isnan(scores.score("roc_auc", 0 * y, out, task="classify"))


def test_numbers_and_counts():
    y, out = np.array([1.0, 2.0, 4.0, 9.0]), np.array([1.0, 3.0, 4.0, 7.0], np.float32)
    of = lambda name, task: scores.score(name, y, out, task=task)
    assert of("rmse", "regress") == pytest.approx(np.sqrt(5 / 4))
    assert of("mean_absolute_error", "regress") == pytest.approx(3 / 4)
    assert of("r2", "regress") == pytest.approx(1 - 5 / 38)
    assert of("nll", "count") == pytest.approx(-stats.poisson.logpmf(y, out).mean())
    deviance = lambda mu: 2 * np.sum(y * np.log(y / mu) - y + mu)
    assert of("deviance_explained", "count") == pytest.approx(1 - deviance(out) / deviance(4.0))


def test_a_rate_of_zero_is_finite():
    assert np.isfinite(scores.score("nll", np.array([1, 0]), np.zeros(2), task="count"))


@dataclasses.dataclass(frozen=True)
class Kept:
    """What ``choose_by`` looks at of a Study: one setting and one seed on two folds."""

    scores: dict
    held_out: np.ndarray
    folds: tuple
    hparams: tuple = ({},)
    seeds: tuple = (0,)
    metric: str = "accuracy"
    maximize: bool = True


def test_a_metric_of_whole_folds_is_of_what_each_fold_said():
    """Also where two folds hold the same rows out and say different things of them."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 20)
    p = rng.random((2, 12))
    held = np.stack([1 - p, p], -1)[None, :, None]  # [S, F, K, n, 2], the second fold is shorter
    folds = tuple(Fold(None, rng.permutation(20)[:n]) for n in (12, 9))
    chosen = scores.choose_by(
        Kept({"nll": np.zeros((1, 2, 1))}, held, folds), "roc_auc", y, task="classify"
    )
    right = [
        metrics.roc_auc_score(y[f.valid], q[: len(f.valid)]) for f, q in zip(folds, p, strict=True)
    ]
    assert chosen.metric == "roc_auc" and chosen.maximize
    np.testing.assert_allclose(chosen.scores["roc_auc"][0, :, 0], right)


def test_a_ranking_needs_both_classes_in_each_fold():
    y = np.array([0, 0, 1, 1, 0, 1])
    folds = [Fold(None, np.array(rows)) for rows in ([0, 2], [1, 4], [3, 5])]
    with pytest.raises(ValueError, match=r"roc_auc needs both classes .* 2 of 3 folds have one"):
        scores.check_folds("roc_auc", y, folds)
    scores.check_folds("roc_auc", y, folds[:1])
    scores.check_folds("accuracy", y, folds)


def made(value, spread=0.01, metric="accuracy"):
    """A model whose first metric is ``value``, resampled by ``spread`` around it."""
    return scores.Scored({metric: value}, value + spread * np.linspace(-1, 1, 41), None, 100)


@pytest.mark.parametrize(
    ("ours", "constant", "rival", "start", "holds"),
    [
        (0.95, 0.95, 0.99, "not worth using: accuracy 0.95 is not surely better", "is 0 (95"),
        (0.95, 0.6, 0.8, "worth using: accuracy 0.95", "and better than Rival (0.8), the best rival, by 0.15"),
        (0.95, 0.6, 0.95, "worth using: accuracy 0.95", "level with Rival (0.95)"),
        (0.8, 0.6, 0.95, "use Rival (0.95), the best rival, instead: it is better by 0.15", "0.2"),
    ],
)  # fmt: skip
def test_verdict_of_accuracies(ours, constant, rival, start, holds):
    tests = {OURS: made(ours), CONSTANT["classify"]: made(constant), "Rival": made(rival)}
    sentence = verdict("classify", tests)
    assert sentence.startswith(start) and holds in sentence


def test_verdict_of_errors_goes_the_other_way():
    error = lambda v: made(v, metric="rmse")
    tests = {OURS: error(2.0), CONSTANT["regress"]: error(5.0), "A": error(3.0), "B": error(9.0)}
    sentence = verdict("regress", tests)
    assert sentence.startswith("worth using: rmse 2 is better than that of predicting the mean (5)")
    assert "better than A (3), the best rival, by 1 " in sentence
    without = verdict("regress", tests, ["C", "D"])
    assert without == f"{sentence}; C and D could not be compared"
    worse = {**tests, OURS: error(5.5)}
    assert verdict("regress", worse).startswith("not worth using: rmse 5.5")


def test_differences_are_paired():
    """Two models that fail on the same rows differ by less than their intervals say."""
    rng = np.random.default_rng(3)
    y = rng.integers(0, 2, 200)
    p = np.where(rng.random(200) < 0.7, y, 1 - y)  # right in 7 of 10
    better = p.copy()
    wrong = np.flatnonzero(p != y)
    better[wrong[:8]] = y[wrong[:8]]
    first, second = (
        scores.scored("accuracy", y, np.eye(2)[v], task="classify", seed=0) for v in (better, p)
    )
    by, low, high = scores.better_by(first, second)
    assert by == pytest.approx(8 / 200) and 0 < low < by < high
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(0.04 * 0.96 / 200), rel=0.25)
    assert second.interval()[1] > first.scores["accuracy"]  # unpaired intervals overlap


@pytest.mark.parametrize("n", [4, 12, 2000])
def test_the_middle_of_a_mean_of_normal_numbers_is_students_interval(n):
    """Resampled means scatter by the plain standard deviation over sqrt(n), which is too little."""
    sample = np.random.default_rng(n).normal(5, 2, n)
    grid = (np.arange(200_000) + 0.5) / 200_000
    resampled = stats.norm.ppf(grid, sample.mean(), sample.std() / np.sqrt(n))
    right = stats.t.interval(0.95, n - 1, sample.mean(), sample.std(ddof=1) / np.sqrt(n))
    np.testing.assert_allclose(scores.middle(resampled, n), right, rtol=3e-3)


def test_one_unit_is_never_sure():
    y = np.arange(6.0)
    made = scores.scored("rmse", y, y + 1, task="regress", seed=0, units=np.zeros(6))
    assert made.units == 1 and np.isnan(made.interval()).all()
    tests = {
        OURS: made,
        CONSTANT["regress"]: scores.scored("rmse", y, y + 9, task="regress", seed=0),
    }
    assert verdict("regress", tests).startswith("not worth using: rmse 1 is not surely better")


def test_groups_without_an_error_are_as_few_as_they_are():
    y = np.repeat([0, 1], 20)
    made = scores.scored(
        "accuracy", y, np.eye(2)[y], task="classify", seed=0, units=np.arange(40) // 5
    )
    right = stats.binomtest(8, 8).proportion_ci(method="wilson")
    np.testing.assert_allclose(made.interval(), [right.low, right.high], atol=1e-6)


def covered(errors_of, units_of, simulations=120):
    """How often the interval of two models' difference, in truth 0, holds it: by rows, by units."""
    hits = np.zeros(2)
    for seed in range(simulations):
        e = errors_of(np.random.default_rng(seed))
        for j, units in enumerate((None, units_of(e))):
            one, other = (
                scores.scored("mean_absolute_error", e, np.full(len(e), c), task="regress",
                              seed=seed, units=units)
                for c in (-10.0, 10.0)
            )  # fmt: skip
            _, low, high = scores.better_by(one, other)
            hits[j] += low <= 0 <= high
    return hits / simulations


def test_intervals_of_groups_hold_what_those_of_rows_do_not(monkeypatch):
    """Of 20 groups of 8 rows whose errors have a correlation of 0.6: 95 % by Student's t."""
    monkeypatch.setattr(scores, "RESAMPLES", 300)
    group = np.arange(160) // 8
    errors = lambda rng: 0.6**0.5 * rng.normal(size=20)[group] + 0.4**0.5 * rng.normal(size=160)
    rows, groups = covered(errors, lambda _: group)
    assert rows < 0.7 and 0.9 <= groups <= 0.99


def test_intervals_of_blocks_of_time_hold_what_those_of_rows_do_not(monkeypatch):
    """Each error is 0.8 of the one before, and news."""
    monkeypatch.setattr(scores, "RESAMPLES", 300)
    rows = np.arange(300)
    order = np.random.default_rng(0).permutation(300)
    test = Split(rows[:0], rows[:0], order)  # in any order
    found = Partition(test, "time", "t", None, rows * 2.5, {}, ())

    def errors(rng):
        e = lfilter([0.6], [1, -0.8], rng.normal(size=330))[30:]
        return e[order]

    by_rows, blocks = covered(errors, lambda _: found.units())
    assert by_rows < 0.6 and 0.85 <= blocks <= 0.99


def test_baselines_that_take_too_long_are_left_out():
    x, y = np.zeros((30, 1), np.float32), np.arange(30) % 2
    said = []
    fitted = baselines.train(
        "classify", x, y, num_classes=2, missing=False, seed=0, seconds=0, say=said.append
    )
    assert fitted == {}
    assert said == ["left out: LogisticRegression and what follows, not done in 0 s"]


def test_a_baseline_that_fails_is_left_out_alone():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 2)).astype(np.float32)
    said = []
    fitted = baselines.train(  # a Poisson regression refuses negative responses
        "count", x, x[:, 0], missing=False, seed=0, seconds=60, say=said.append
    )
    assert fitted == {} and len(said) == 2
    assert said[0].startswith("left out: PoissonRegressor (") and "Poisson" in said[0]
    assert said[1].startswith("left out: HistGradientBoosting (")


def test_which_baselines_are_asked_for():
    assert baselines.chosen("regress", ("all",)) == ("RidgeCV", "HistGradientBoosting")
    assert baselines.chosen("count", ("none",)) == ()
    # In the order in which they are trained, the quick ones first.
    assert baselines.chosen("classify", ("HistGradientBoosting", "LogisticRegression")) == (
        "LogisticRegression", "HistGradientBoosting",
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"baselines is one of RidgeCV, HistGradientBoosting, all"):
        baselines.chosen("regress", ("PoissonRegressor",))


def test_one_baseline_is_trained_alone():
    x = np.arange(40, dtype=np.float32)[:, None]
    fitted = baselines.train(
        "regress", x, 3 * x[:, 0], names=("RidgeCV",), missing=False, seed=0, seconds=60,
        say=lambda line: None,
    )  # fmt: skip
    assert list(fitted) == ["RidgeCV"]
    np.testing.assert_allclose(fitted["RidgeCV"](x), 3 * x[:, 0], atol=0.1)


def test_constants():
    y = np.array([0, 2, 2, 0, 2])
    x = np.zeros((3, 7))
    frequencies = baselines.constant("classify", y, 3)(x)
    np.testing.assert_allclose(frequencies, [[0.4, 0, 0.6]] * 3)
    np.testing.assert_allclose(baselines.constant("regress", y + 0.5)(x), [1.7] * 3)
