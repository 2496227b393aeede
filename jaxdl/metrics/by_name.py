"""Metrics of a whole part of the data, by name: what is no mean of per-example values. Notes: §3.1.

They run on the host in float64: the parts of a study have many lengths, and nothing is compiled for
each. Every one takes ``(y [n], predictions, weight)``, the predictions as a learner makes them:
probabilities [n, K], or [n] of class 1, and means or quantiles [n]. ``weight`` [n] is how much each
row counts, None where all count alike.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from jaxdl.base import Responses
from jaxdl.checks import one_of
from jaxdl.metrics import directions

BINS = 15  # of the calibration error


class Metric(NamedTuple):
    """A score of predictions, and which way it is better.

    name: what it is called in a study.
    score: ``(y [n, ...], predictions [n, ...], weight [n] or None) -> number``, NaN where it has no
        value; all are NumPy arrays.
    maximize: whether more of it is better.
    kinds: the kinds of Responses that it is of; () is any.
    every_class: whether it has a value only where each class has a row.

    >>> right = lambda y, p, weight: np.average(p.argmax(1) == y, weights=weight)
    >>> hits = Metric("hits", right, maximize=True)
    >>> float(hits.score(np.array([0, 1]), np.array([[0.9, 0.1], [0.8, 0.2]]), None))
    0.5
    """

    name: str
    score: Callable
    maximize: bool
    kinds: tuple[str, ...] = ()
    every_class: bool = False


def named(asked: Iterable[str | Metric], responses: Responses | None = None) -> list[Metric]:
    """The Metrics of names, and those that are some already.

    Names: ``accuracy``, ``balanced_accuracy``, ``macro_f1``, ``log_loss``, ``calibration_error``,
    ``roc_auc`` and ``average_precision`` of labels (the last two of class 1, of more than two classes
    the mean of each against the rest); ``root_mean_squared_error``, ``mean_absolute_error``, ``r2``
    of numbers and counts; ``pinball`` of the median (others: ``pinball(quantile)``); ``deviance`` of
    any, that of the normal, Poisson or categorical distribution, which the ``responses`` decide.

    Raises a ValueError for another name, which tells the nearest, one that is there twice, and one of
    responses of another kind.

    >>> [(metric.name, metric.maximize) for metric in named(["roc_auc", "log_loss"])]
    [('roc_auc', True), ('log_loss', False)]
    """
    asked, metrics = [asked] if isinstance(asked, (str, Metric)) else list(asked), []
    kind = None if responses is None else responses.kind
    for one in asked:
        if not isinstance(one, (str, Metric)):
            raise ValueError(
                f"metrics are names or Metric(name, score, maximize), not {type(one).__name__}"
            )
        if isinstance(one, str):
            one_of("a metric", one, [*_TABLE, "deviance"])
            one = _deviance(kind) if one == "deviance" else _TABLE[one]
        if one.kinds and kind is not None and kind not in one.kinds:
            raise ValueError(
                f"the metric {one.name!r} is of {' and '.join(one.kinds)}, these responses are {kind}"
            )
        if one.name in [metric.name for metric in metrics]:
            raise ValueError(f"the metric {one.name!r} is there twice")
        metrics.append(one)
    return metrics


def pinball(quantile: float) -> Metric:
    """``mean max(q (y - f), (q - 1)(y - f))``, what a quantile q in (0, 1) minimises.

    Raises a ValueError for another q. Source: Koenker and Bassett (1978).

    >>> round(pinball(0.9).score(np.array([1.0, 2.0]), np.array([0.0, 4.0]), None), 2)
    0.55
    """
    if not 0 < quantile < 1:
        raise ValueError(f"a quantile lies in (0, 1), not {quantile}")

    def score(y, f, weight):
        above = _apart(y, f)
        return _mean(np.maximum(quantile * above, (quantile - 1) * above), weight)

    return Metric(f"pinball_{quantile:g}", score, False, _REAL)


def roc_auc(y: np.ndarray, p: np.ndarray, weight: np.ndarray | None = None) -> float:
    """``P(p_i > p_j) + P(p_i = p_j) / 2`` of a positive row i and a negative one j, labels y [n].

    Of class 1 for p [n] or [n, 2], else the mean of each class against the rest. NaN where a class
    has no row. Source: Hanley and McNeil (1982).
    """

    def of(positive, negative):  # weights by increasing score
        below = np.cumsum(negative) - negative / 2
        return _ratio(positive @ below, positive.sum() * negative.sum())

    return _of_each_class(of, y, p, weight)


def average_precision(y: np.ndarray, p: np.ndarray, weight: np.ndarray | None = None) -> float:
    """``sum_t (R_t - R_{t-1}) P_t`` over thresholds t from the highest on, recall R, precision P.

    Of classes as ``roc_auc``.
    """

    def of(positive, negative):
        hits, taken = np.cumsum(positive[::-1]), np.cumsum((positive + negative)[::-1])
        precision = np.divide(hits, taken, out=np.zeros_like(hits), where=taken > 0)
        return _ratio(positive[::-1] @ precision, positive.sum())

    return _of_each_class(of, y, p, weight)


def accuracy(y: np.ndarray, p: np.ndarray, weight: np.ndarray | None = None) -> float:
    """The share of rows whose likeliest class is right."""
    counts = _counts(y, p, weight)
    return _ratio(np.trace(counts), counts.sum())


def balanced_accuracy(y: np.ndarray, p: np.ndarray, weight: np.ndarray | None = None) -> float:
    """The mean recall of the classes that have a row. Source: Brodersen et al. (2010)."""
    counts = _counts(y, p, weight)
    of_class = counts.sum(1)
    return float(np.mean(np.diag(counts)[of_class > 0] / of_class[of_class > 0]))


def macro_f1(y: np.ndarray, p: np.ndarray, weight: np.ndarray | None = None) -> float:
    """The mean of ``2 TP / (2 TP + FP + FN)`` over the classes that a row has or is given."""
    counts = _counts(y, p, weight)
    both = counts.sum(0) + counts.sum(1)
    return float(np.mean(2 * np.diag(counts)[both > 0] / both[both > 0]))


def log_loss(y: np.ndarray, p: np.ndarray, weight: np.ndarray | None = None) -> float:
    """``-mean log p_y``, probabilities at least the resolution of their dtype."""
    least = np.finfo(p.dtype).eps
    y, p = _classified(y, p)
    return _mean(-np.log(np.maximum(p[np.arange(len(y)), y], least)), weight)


def calibration_error(y: np.ndarray, p: np.ndarray, weight: np.ndarray | None = None) -> float:
    """``sum_b W_b/W |accuracy_b - confidence_b|``, see ``metrics.expected_calibration_error``."""
    y, p = _classified(y, p)
    confidence, right = p.max(1), p.argmax(1) == y
    edges = np.arange(1, BINS) / BINS
    bins = np.searchsorted(edges.astype(np.float32), confidence.astype(np.float32))
    weight = np.ones(len(y)) if weight is None else weight.astype(np.float64)
    gap = np.bincount(bins, weight * (right - confidence), minlength=BINS)
    return _ratio(np.abs(gap).sum(), weight.sum())


def _root_mean_squared_error(y, f, weight):
    return float(np.sqrt(_mean(_apart(y, f) ** 2, weight)))


def _mean_absolute_error(y, f, weight):
    return _mean(np.abs(_apart(y, f)), weight)


def _r2(y, f, weight):
    left = _mean(_apart(y, f) ** 2, weight)
    # From one of them that counts: where all are equal nothing is left, to the bit.
    y = np.asarray(y, np.float64) - np.float64(y[0 if weight is None else np.argmax(weight)])
    total = _mean((y - np.average(y, axis=0, weights=weight)) ** 2, weight)
    return 1 - left / total if total > 0 else float("nan")


def _squared(y, f, weight):
    return _mean(_apart(y, f) ** 2, weight)


def _poisson(y, f, weight):
    """``2 mean(y log(y/f) - y + f)``."""
    y, f = np.asarray(y, np.float64), np.maximum(np.asarray(f, np.float64), 1e-12)
    return _mean(2 * (np.where(y > 0, y * np.log(np.where(y > 0, y, 1) / f), 0) + f - y), weight)


def _deviance(kind):
    """Twice what the mean log-likelihood is below that of predictions that are the responses."""
    of = {
        "numbers": _squared,
        "counts": _poisson,
        "labels": lambda y, p, weight: 2 * log_loss(y, p, weight),
    }
    if kind not in of:
        raise ValueError(
            "the deviance is of labels, counts or numbers, and the learner does not say which its "
            "responses are (Learner.responses)"
        )
    return Metric("deviance", of[kind], False)


def _classified(y, p):
    """Labels [n], and probabilities [n, K] in float64. Raises a ValueError for others."""
    p = np.asarray(p, np.float64)
    p = np.stack([1 - p, p], axis=1) if p.ndim == 1 else p
    if p.ndim != 2 or np.shape(y) != p.shape[:1] or y.dtype.kind not in "iub":
        raise ValueError(
            "this metric is of labels y [n] and probabilities [n, K] or [n], not "
            f"{y.dtype} {list(np.shape(y))} and {list(p.shape)}"
        )
    if y.min() < 0 or y.max() >= p.shape[1]:
        raise ValueError(f"labels lie in 0..{p.shape[1] - 1}, not {y.min()} to {y.max()}")
    return y.astype(np.int64), p


def _counts(y, p, weight):
    """Weights [K, K] of rows by true and likeliest class; of one probability, 1 from 1/2 on."""
    above = None if np.ndim(p) > 1 else (np.asarray(p) >= 0.5).astype(np.int64)
    y, p = _classified(y, p)
    k, given = p.shape[1], p.argmax(1) if above is None else above
    return np.bincount(y * k + given, weight, minlength=k * k).reshape(k, k)


def _of_each_class(of, y, p, weight):
    """``of`` the weights of positive and of negative rows by increasing score; NaN without some."""
    y, p = _classified(y, p)
    weight = np.ones(len(y)) if weight is None else weight.astype(np.float64)
    values = []
    for k in range(p.shape[1]) if p.shape[1] > 2 else (1,):
        at = np.unique(p[:, k], return_inverse=True)[1]
        n = at.max() + 1
        positive, negative = (np.bincount(at, weight * rows, n) for rows in (y == k, y != k))
        both = positive.sum() > 0 and negative.sum() > 0
        values.append(of(positive, negative) if both else np.nan)
    return float(np.mean(values))


def _apart(y, f):
    y, f = np.asarray(y, np.float64), np.asarray(f, np.float64)
    if y.shape != f.shape:
        raise ValueError(f"responses {list(y.shape)} and predictions {list(f.shape)} differ")
    return y - f


def _mean(values, weight):
    """The weighted mean over rows, and the mean over what else there is."""
    return float(np.mean(np.average(values, axis=0, weights=weight)))


def _ratio(above, below):
    return float(above / below) if below > 0 else float("nan")


_LABELS, _REAL = ("labels",), ("numbers", "counts")
_SCORES = {
    "accuracy": (accuracy, _LABELS),
    "average_precision": (average_precision, _LABELS),
    "balanced_accuracy": (balanced_accuracy, _LABELS),
    "calibration_error": (calibration_error, _LABELS),
    "log_loss": (log_loss, _LABELS),
    "macro_f1": (macro_f1, _LABELS),
    "mean_absolute_error": (_mean_absolute_error, _REAL),
    "pinball": (pinball(0.5).score, _REAL),
    "r2": (_r2, _REAL),
    "roc_auc": (roc_auc, _LABELS),
    "root_mean_squared_error": (_root_mean_squared_error, _REAL),
}
_TABLE = {
    name: Metric(
        name, score, directions.resolve(name), kinds, name in ("roc_auc", "average_precision")
    )
    for name, (score, kinds) in _SCORES.items()
}
