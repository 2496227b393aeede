"""Metrics of predicted labels and probabilities. Notes: §3.1.2.

Classes are 0..K-1. A label outside is a ValueError where the labels are concrete arrays; of traced
ones such a row is left out.
"""

import warnings
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxdl.arrays import floating, masked_mean, rows_of, safe_divide
from jaxdl.base import Array
from jaxdl.checks import one_of, same_rows

AVERAGES = (None, "macro", "micro", "weighted")


def round_prediction(prediction: Array, threshold: float | Array = 0.5) -> Array:
    """The class, [N], of probabilities [N] (``p >= threshold``) or [N, K] (argmax). Notes: L526.

    At one half the class is 1 (D-31); of equal probabilities the lowest class wins.
    """
    prediction = jnp.asarray(prediction)
    if prediction.ndim == 2:
        return jnp.argmax(prediction, axis=1).astype(jnp.int32)
    return (prediction >= threshold).astype(jnp.int32)


def accuracy(
    y_true: Array, y_pred: Array, *, threshold: float | Array = 0.5, mask: Array | None = None
) -> Array:
    """The share of rows [N] predicted right, []: those that are, counted, over all. Notes: L526.

    ``y_pred`` holds labels [N], probabilities [N] of class 1, or probabilities [N, K]. A float
    between 0 and 1 is a probability; another whole number is a label whatever its dtype, so
    ``[0., 1., 2.]`` are three. A prediction of NaN is wrong.

    Raises ValueError where the shape of y_pred does not fit y_true [N] (a column [N, 1] does not),
    and where concrete y_true or y_pred are neither: logits, the values of a regression.

    >>> accuracy([0, 1, 2], [0.0, 1.0, 2.0]).item()
    1.0
    """
    y_true, y_pred = jnp.asarray(y_true), jnp.asarray(y_pred)
    _check_kind("y_true", y_true, mask)
    if y_pred.ndim == 2:
        if y_pred.shape[1] < 2:
            raise ValueError(
                f"probabilities are [N, K] with K from 2 on, or [N], not {y_pred.shape}"
            )
        unknown = jnp.isnan(jnp.max(y_pred, axis=1))
        y_pred = round_prediction(y_pred)
    elif jnp.issubdtype(y_pred.dtype, jnp.floating):
        _check_kind("y_pred", y_pred, mask, probabilities=True)
        unknown = jnp.isnan(y_pred)
        probable = (y_pred >= 0) & (y_pred <= 1)
        y_pred = jnp.where(probable, round_prediction(y_pred, threshold), y_pred)
    else:
        unknown = jnp.zeros(y_pred.shape, bool)
    y_true, y_pred = same_rows(y_true, y_pred)
    if y_true.ndim != 1:
        raise ValueError(f"y_true and y_pred must be [N], not {y_true.shape}")
    rows = rows_of(mask, len(y_true))
    return safe_divide(jnp.sum(rows & ~unknown & (y_true == y_pred)), jnp.sum(rows))


def log_loss(y_true: Array, probabilities: Array, *, mask: Array | None = None) -> Array:
    """``-1/N sum_n log pi_{n, y_n}``, [], of probabilities [N, K], or [N] of class 1. Notes: L434.

    As in scikit-learn, probabilities are clipped to the dtype's resolution; of rows that do not sum
    to one concrete arrays give a warning, and their numbers are taken as they are. Raises
    ValueError where concrete ones lie outside [0, 1]; traced ones give NaN. Losses for training
    take logits instead (``jaxdl.losses``).

    >>> round(log_loss(jnp.array([1, 0]), jnp.array([0.5, 0.5])).item(), 4)
    0.6931
    """
    y_true, pi = jnp.asarray(y_true), jnp.asarray(probabilities)
    pi = floating(pi)
    if pi.ndim == 1:
        pi = jnp.stack([1 - pi, pi], axis=1)
    if pi.ndim != 2 or y_true.shape != pi.shape[:1]:
        raise ValueError(
            f"y_true must be [N] and probabilities [N, K]; got {y_true.shape}, {pi.shape}"
        )
    _check_labels(y_true, pi.shape[1], mask)
    valid = _check_probabilities(pi, mask)
    eps = jnp.finfo(pi.dtype).eps
    chosen = jnp.take_along_axis(pi, y_true.astype(jnp.int32)[:, None], axis=1)[:, 0]
    each = -jnp.log(jnp.clip(chosen, eps, 1 - eps))
    return masked_mean(jnp.where(valid, each, jnp.nan), rows_of(mask, len(each)))


def confusion_matrix(
    y_true: Array,
    y_pred: Array,
    *,
    num_classes: int,
    normalize: str | None = None,
    mask: Array | None = None,
) -> Array:
    """``C[i, j] = sum_m [y_m = i] [y_hat_m = j]``, [K, K]: rows are the truth. Notes: L532.

    Counts are int32; ``normalize`` divides by the row ("true"), the column ("pred") or the whole
    ("all") sum, with 0 where that is 0. Raises ValueError on shapes and labels that do not fit.

    >>> confusion_matrix(jnp.array([0, 1, 1]), jnp.array([0, 1, 0]), num_classes=2).tolist()
    [[1, 0], [1, 1]]
    """
    y_true, y_pred = same_rows(y_true, y_pred)
    if y_true.ndim != 1:
        raise ValueError(f"labels must be [N], got {y_true.shape}")
    for labels in (y_true, y_pred):
        _check_labels(labels, num_classes, mask)
    rows = jnp.ones(y_true.shape, bool) if mask is None else jnp.asarray(mask, bool)
    one_hot = lambda y: (y[:, None] == jnp.arange(num_classes)) & rows[:, None]
    counts = one_hot(y_true).astype(jnp.int32).T @ one_hot(y_pred).astype(jnp.int32)
    if normalize is None:
        return counts
    axes = {"true": 1, "pred": 0, "all": None}
    one_of("normalize", normalize, (None, *axes))
    total = jnp.sum(counts, axis=axes[normalize], keepdims=True)
    return safe_divide(counts, total, 0.0)


class Scores(NamedTuple):
    """Precision, recall and F1 of each class, [K], and how often each class is true, [K]."""

    precision: Array
    recall: Array
    f1: Array
    support: Array


def class_scores(counts: Array, zero_division: float | Array = 0.0) -> Scores:
    """Precision, recall and F1 [K] from a confusion matrix C [K, K]. Notes: L540, L544.

    ``P_k = C_kk / sum_j C_jk``, ``R_k = C_kk / sum_j C_kj``, ``F1_k = 2 P_k R_k / (P_k + R_k)``,
    computed as ``2 C_kk / (sum_j C_jk + sum_j C_kj)``. 0/0 is ``zero_division`` (D-27).
    """
    hits, predicted, true = jnp.diagonal(counts), jnp.sum(counts, 0), jnp.sum(counts, 1)
    return Scores(
        safe_divide(hits, predicted, zero_division),
        safe_divide(hits, true, zero_division),
        safe_divide(2 * hits, predicted + true, zero_division),
        true,
    )


def precision(
    y_true: Array,
    y_pred: Array,
    *,
    num_classes: int,
    average: str | None = None,
    zero_division: float | Array = 0.0,
    mask: Array | None = None,
) -> Array:
    """Of the rows predicted as k, the share that are k, [K]; or an average, []. Notes: L540.

    ``average``: None, "macro" (mean over all K classes), "micro" (of pooled
    counts) or "weighted" (by how often a class is true). Classes whose score is NaN, by a
    ``zero_division`` of NaN, are left out of means. See ``class_scores``.
    """
    one_of("average", average, AVERAGES)
    counts = confusion_matrix(y_true, y_pred, num_classes=num_classes, mask=mask)
    return _averaged(counts, class_scores(counts, zero_division).precision, average, zero_division)


def recall(
    y_true: Array,
    y_pred: Array,
    *,
    num_classes: int,
    average: str | None = None,
    zero_division: float | Array = 0.0,
    mask: Array | None = None,
) -> Array:
    """Of the rows that are k, the share predicted as k, [K]; or an average, []. Notes: L540."""
    one_of("average", average, AVERAGES)
    counts = confusion_matrix(y_true, y_pred, num_classes=num_classes, mask=mask)
    return _averaged(counts, class_scores(counts, zero_division).recall, average, zero_division)


def f1_score(
    y_true: Array,
    y_pred: Array,
    *,
    num_classes: int,
    average: str | None = None,
    zero_division: float | Array = 0.0,
    mask: Array | None = None,
) -> Array:
    """The harmonic mean of precision and recall, [K]; or an average, []. Notes: L544.

    The macro F1 is the mean of the classes' F1, not the F1 of mean precision and recall (D-30).
    """
    one_of("average", average, AVERAGES)
    counts = confusion_matrix(y_true, y_pred, num_classes=num_classes, mask=mask)
    return _averaged(counts, class_scores(counts, zero_division).f1, average, zero_division)


def balanced_accuracy(
    y_true: Array, y_pred: Array, *, num_classes: int, mask: Array | None = None
) -> Array:
    """The mean recall, [], of the classes that occur in y_true. Source: Brodersen et al. (2010)."""
    counts = confusion_matrix(y_true, y_pred, num_classes=num_classes, mask=mask)
    scores = class_scores(counts)
    present = scores.support > 0
    return jnp.sum(jnp.where(present, scores.recall, 0)) / jnp.maximum(jnp.sum(present), 1)


class ClassificationReport(NamedTuple):
    """scores: of each class [K]. accuracy: []. macro, weighted: averages of precision, recall, F1.

    Prints as a table.
    """

    scores: Scores
    accuracy: Array
    macro: Array
    weighted: Array
    names: tuple[str, ...]

    def __str__(self) -> str:
        width = max(12, *(len(n) for n in self.names))
        line = lambda name, *cells: name.rjust(width) + "".join(f"{c:>10}" for c in cells)
        number = lambda row: [f"{float(v):.2f}" for v in row]
        total = int(jnp.sum(self.scores.support))
        per_class = zip(self.names, *map(np.asarray, self.scores), strict=True)
        rows = [line(n, *number(row), int(support)) for n, *row, support in per_class]
        return "\n".join(
            [
                line("", "precision", "recall", "f1", "support"),
                *rows,
                line("accuracy", "", "", *number([self.accuracy]), total),
                line("macro avg", *number(self.macro), total),
                line("weighted avg", *number(self.weighted), total),
            ]
        )


def classification_report(
    y_true: Array,
    y_pred: Array,
    *,
    num_classes: int,
    names: tuple[str, ...] | None = None,
    zero_division: float | Array = 0.0,
    mask: Array | None = None,
) -> ClassificationReport:
    """Accuracy hides classes that fare badly; this shows them. Labels [N]. Notes: §3.1.2."""
    counts = confusion_matrix(y_true, y_pred, num_classes=num_classes, mask=mask)
    scores = class_scores(counts, zero_division)

    def average(how):
        return jnp.stack([_averaged(counts, values, how, zero_division) for values in scores[:3]])

    names = tuple(map(str, range(num_classes))) if names is None else tuple(names)
    if len(names) != num_classes:
        raise ValueError(f"{len(names)} names for {num_classes} classes")
    right = safe_divide(jnp.trace(counts), jnp.sum(counts), 0.0)
    return ClassificationReport(scores, right, average("macro"), average("weighted"), names)


def _averaged(counts, values, average, zero_division):
    """A score's values [K] from the confusion matrix [K, K], or their average, []."""
    if average is None:
        return values
    if average == "micro":  # pooled hits over pooled predictions: precision = recall = F1
        return safe_divide(jnp.trace(counts), jnp.sum(counts), zero_division)
    # As scikit-learn: what is NaN does not count, and weights that are all 0 are equal ones.
    known = ~jnp.isnan(values)
    support = jnp.where(known, jnp.sum(counts, 1), 0)
    equal = (average == "macro") | (jnp.sum(support) == 0)
    weights = jnp.where(equal, known.astype(values.dtype), support.astype(values.dtype))
    total = jnp.vdot(weights, jnp.where(known, values, 0))
    return safe_divide(total, jnp.sum(weights), jnp.nan)


def _check_kind(name, values, mask, probabilities=False):
    """Refuse concrete floats that are neither whole numbers nor, where these may be, probabilities."""
    if not jnp.issubdtype(values.dtype, jnp.floating) or isinstance(values, Tracer):
        return
    values = _concrete_rows(values, mask)
    odd = values[values != np.round(values)]
    if probabilities:
        odd = odd[(odd < 0) | (odd > 1)]  # NaN is none of these, and wrong
    if odd.size:
        wanted = "labels, probabilities of class 1 or [N, K]" if probabilities else "labels"
        raise ValueError(
            f"{name} holds {wanted}, not {odd.flat[0]:g}: neither logits nor real values"
        )


def _check_probabilities(pi, mask):
    """Which rows of pi [N, K] lie in [0, 1], up to rounding."""
    slack = 16 * float(jnp.finfo(pi.dtype).eps)
    inside = jnp.all((pi >= -slack) & (pi <= 1 + slack), axis=1)
    if isinstance(pi, Tracer) or isinstance(mask, Tracer):
        return inside
    rows = _concrete_rows(pi, mask)
    if rows.size and (rows.min() < -slack or rows.max() > 1 + slack):
        raise ValueError(f"probabilities lie in [0, 1], got {rows.min():g} to {rows.max():g}")
    if not np.allclose(rows.sum(1), 1, rtol=float(jnp.finfo(pi.dtype).eps) ** 0.5, equal_nan=True):
        warnings.warn("rows of probabilities do not sum to one; see log_loss", stacklevel=3)
    return inside


def _concrete_rows(values, mask):
    """The rows that count, as NumPy's; all of them under a traced mask."""
    values = np.asarray(values)
    if mask is None or isinstance(mask, Tracer):
        return values
    return values[np.asarray(rows_of(mask, len(values)))]


def _check_labels(labels, num_classes, mask):
    if jnp.issubdtype(labels.dtype, jnp.floating):
        raise ValueError(f"labels must be whole numbers, got {labels.dtype}")
    if isinstance(labels, Tracer) or isinstance(mask, Tracer):
        return
    values = _concrete_rows(labels, mask)
    if values.size and (values.min() < 0 or values.max() >= num_classes):
        raise ValueError(
            f"labels must lie in 0..{num_classes - 1}, got {values.min()} to {values.max()}"
        )
