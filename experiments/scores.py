"""Scores of predictions by task, in the target's unit, and how sure a difference between two is."""

import dataclasses
from typing import NamedTuple

import numpy as np

from jaxdl.model_selection import Fold, Study

NAMES = {
    "classify": (
        "accuracy", "balanced_accuracy", "macro_f1", "nll", "roc_auc", "average_precision",
    ),
    "regress": ("rmse", "mean_absolute_error", "r2"),
    "count": ("nll", "deviance_explained", "rmse", "mean_absolute_error"),
}  # fmt: skip
MAXIMIZED = ("accuracy", "balanced_accuracy", "macro_f1", "roc_auc", "average_precision", "r2", "deviance_explained")  # fmt: skip
OF_TWO_CLASSES = ("roc_auc", "average_precision")
RESAMPLES = 500


class Scored(NamedTuple):
    """A model on a test part of N rows.

    scores: by metric; the first is what counts.
    resampled: [RESAMPLES], the first one's values on rows drawn with replacement, the same rows
      for every model, so that two of them are compared in pairs. Rows that depend on each other
      are drawn together.
    counts: confusion matrix [K, K] of classes, else None.
    units: how many were drawn each time: N rows, or groups or blocks of them.
    """

    scores: dict[str, float]
    resampled: np.ndarray
    counts: np.ndarray | None
    units: int

    def interval(self) -> tuple[float, float]:
        """The middle 95 % of what resampling gives; Wilson's interval for an accuracy of rows.

        Where no unit has an error, or each has nothing else, resampling cannot tell how rare the
        other is: then Wilson's interval, of units.
        """
        (first, value), *_ = self.scores.items()
        if first == "accuracy" and (self.units == self.counts.sum() or value in (0, 1)):
            from jaxdl.metrics import intervals

            low, high = intervals.wilson(round(value * self.units), self.units)
            return float(low), float(high)
        return middle(self.resampled, self.units)


def better_by(ours: Scored, other: Scored) -> tuple[float, float, float]:
    """How much better the first metric is than another model's, and that difference's interval.

    Positive where ours is better, whichever way the metric is better.
    """
    first = next(iter(ours.scores))
    sign = 1 if first in MAXIMIZED else -1
    low, high = middle(sign * (ours.resampled - other.resampled), ours.units)
    return sign * (ours.scores[first] - other.scores[first]), low, high


def available(task: str, num_classes: int) -> tuple[str, ...]:
    """The metrics that a problem has; those of a ranking need two classes."""
    return tuple(n for n in NAMES[task] if num_classes == 2 or n not in OF_TWO_CLASSES)


def score(metric: str, y: np.ndarray, out: np.ndarray, *, task: str, positive: int = 1) -> float:
    """One metric of responses y [n] against probabilities [n, K], means or rates [n].

    ``positive`` is the one of two classes that ``average_precision`` is about. NaN where a metric
    has no value: a ranking with one class alone, r2 of one row, the deviance of equal counts.
    """
    # NumPy's and scikit-learn's: rows are drawn in hundreds of lengths, and JAX compiles for each.
    from sklearn import metrics

    if task == "classify":
        if metric == "nll":
            of_truth = out[np.arange(len(y)), y].astype(np.float64)
            return float(-np.mean(np.log(np.maximum(of_truth, np.finfo(np.float32).eps))))
        if metric in OF_TWO_CLASSES:
            is_positive = y == positive
            if is_positive.all() or not is_positive.any():
                return float("nan")  # there is nothing to rank
            rank = metrics.roc_auc_score if metric == "roc_auc" else metrics.average_precision_score
            return float(rank(is_positive, out[:, positive]))
        return _of_counts(metric, confusion(y, out))
    if metric == "rmse":
        return float(np.sqrt(np.mean(np.square(out - y, dtype=np.float64))))
    if metric == "mean_absolute_error":
        return float(np.mean(np.abs(out - y), dtype=np.float64))
    if metric == "r2":
        return float(metrics.r2_score(*map(np.float64, (y, out)))) if len(y) > 1 else float("nan")
    rate = np.maximum(out, 1e-12).astype(np.float64)
    if metric == "deviance_explained":
        return float(metrics.d2_tweedie_score(y, rate, power=1)) if np.ptp(y) else float("nan")
    from scipy import stats

    return float(-np.mean(stats.poisson.logpmf(y, rate)))


def confusion(y: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Counts [K, K] of true and predicted classes, from labels [n] and probabilities [n, K]."""
    k = out.shape[1]
    return np.bincount(y.astype(np.int64) * k + out.argmax(-1), minlength=k * k).reshape(k, k)


def _of_counts(metric: str, counts: np.ndarray) -> float:
    """Accuracy, balanced accuracy or macro F1 as scikit-learn has them, of counts [K, K].

    A class that no row has does not count; one that no row has and none is given, neither.
    """
    right, of_class, given = np.diag(counts), counts.sum(1), counts.sum(0)
    if metric == "accuracy":
        return float(right.sum() / counts.sum())
    if metric == "balanced_accuracy":
        return float(np.mean(right[of_class > 0] / of_class[of_class > 0]))
    seen = of_class + given > 0
    return float(np.mean(2 * right[seen] / (of_class + given)[seen]))


def scored(
    metric: str,
    y: np.ndarray,
    out: np.ndarray,
    *,
    task: str,
    seed: int,
    positive: int = 1,
    units: np.ndarray | None = None,
) -> Scored:
    """All metrics of a model on a test part, ``metric`` first, with its resampled values.

    ``units``: labels [N] of rows that depend on each other; default, each is on its own.
    """
    of = lambda name, rows: score(name, y[rows], out[rows], task=task, positive=positive)
    every = slice(None)
    names = available(task, out.shape[1] if task == "classify" else 0)
    rng = np.random.default_rng(seed)
    rows_of = None if units is None else by_unit(units)
    count = len(y) if units is None else len(rows_of)
    drawn = (rng.integers(0, count, count) for _ in range(RESAMPLES))
    rows = lambda d: d if units is None else np.concatenate([rows_of[u] for u in d])
    resampled = [of(metric, rows(d)) for d in drawn]
    return Scored(
        {name: of(name, every) for name in dict.fromkeys((metric, *names))},
        np.array(resampled),
        confusion(y, out) if task == "classify" else None,
        count,
    )


def by_unit(units: np.ndarray) -> list[np.ndarray]:
    """The rows of each of the labels [N].

    >>> [rows.tolist() for rows in by_unit(np.array([7, 3, 7]))]
    [[1], [0, 2]]
    """
    _, of, count = np.unique(units, return_inverse=True, return_counts=True)
    return np.split(np.argsort(of, kind="stable"), np.cumsum(count)[:-1])


def check_folds(metric: str, y: np.ndarray, folds: list[Fold]) -> None:
    """Raise a ValueError where a metric has no value on what some fold holds out of y [N]."""
    alone = sum(len(np.unique(y[fold.valid])) < 2 for fold in folds)
    if alone and metric in OF_TWO_CLASSES:
        raise ValueError(
            f"{metric} needs both classes in what each fold holds out; {alone} of {len(folds)} folds "
            "have one: fewer --folds, or another --metric"
        )


def choose_by(study: Study, metric: str, y: np.ndarray, *, task: str, positive: int = 1) -> Study:
    """The study in the target's unit, with ``metric`` as what it goes by.

    Squared errors become root mean squared ones, of each member on each part. A metric of a whole
    fold comes from the predictions of what the fold held out of responses y [N].
    """
    if "squared_error" in study.scores:
        parts = ("scores", "train_scores", "curves", "train_curves")
        study = dataclasses.replace(study, **{p: _rooted(getattr(study, p)) for p in parts})
    scores = dict(study.scores)
    if metric not in scores:
        scores[metric] = np.full_like(scores["nll"], np.nan)
        for f, fold in enumerate(study.folds):
            for s, k in np.ndindex(len(study.hparams), len(study.seeds)):
                out = study.held_out[s, f, k, : len(fold.valid)]
                if np.isfinite(out).all():
                    scores[metric][s, f, k] = score(
                        metric, y[fold.valid], out, task=task, positive=positive
                    )
    return dataclasses.replace(study, scores=scores, metric=metric, maximize=metric in MAXIMIZED)


def _rooted(values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    rest = {k: v for k, v in values.items() if k != "squared_error"}
    return {"rmse": np.sqrt(values["squared_error"]), **rest} if len(rest) < len(values) else rest


def middle(values: np.ndarray, units: int) -> tuple[float, float]:
    """The 95 % interval of resampled values [R] of statistics of so many units.

    The quantiles at ``Phi(-+ t sqrt(n / (n - 1)))`` with Student's t of n - 1 degrees of freedom, as
    those at 2.5 and 97.5 % are too near for few units; not-a-numbers of a single one. Source:
    Hesterberg (2015), the expanded percentile interval.
    """
    from scipy.special import ndtr, stdtrit

    if units < 2:
        return float("nan"), float("nan")
    tail = ndtr(stdtrit(units - 1, 0.025) * np.sqrt(units / (units - 1)))
    low, high = np.nanquantile(values, [tail, 1 - tail])
    return float(low), float(high)
