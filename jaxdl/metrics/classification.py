"""Metrics of predicted labels and probabilities. Notes: §3.1.2.

Classes are 0..K-1. A label outside is a ValueError where the labels are concrete arrays; of traced
ones such a row is left out.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.arrays import counted, floating, row_weights, safe_divide
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
    """The share of rows [N] predicted right, []. Notes: L526.

    ``y_pred`` holds labels [N] (whole numbers or bools), probabilities [N] of class 1 (floats), or
    probabilities [N, K]. Raises ValueError where its shape does not fit y_true [N].
    """
    y_true, y_pred = jnp.asarray(y_true), jnp.asarray(y_pred)
    if y_pred.ndim == 2 or jnp.issubdtype(y_pred.dtype, jnp.floating):
        y_pred = round_prediction(y_pred, threshold)
    y_true, y_pred = same_rows(y_true, y_pred)
    right = (y_true == y_pred).astype(float)
    return jnp.vdot(row_weights(y_true.shape[0], mask).astype(right.dtype), right)


def log_loss(y_true: Array, probabilities: Array, *, mask: Array | None = None) -> Array:
    """``-1/N sum_n log pi_{n, y_n}``, [], of probabilities [N, K], or [N] of class 1. Notes: L434.

    Probabilities are clipped to the dtype's resolution, as in scikit-learn. Losses for training
    take logits instead (``jaxdl.losses``).
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
    eps = jnp.finfo(pi.dtype).eps
    log_pi = jnp.log(jnp.clip(pi, eps, 1 - eps) / jnp.sum(pi, axis=1, keepdims=True))
    chosen = jnp.take_along_axis(log_pi, y_true.astype(jnp.int32)[:, None], axis=1)[:, 0]
    return -jnp.vdot(row_weights(len(y_true), mask), counted(chosen, mask))


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
    counts) or "weighted" (by how often a class is true). See ``class_scores``.
    """
    return _averaged("precision", y_true, y_pred, num_classes, average, zero_division, mask)


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
    return _averaged("recall", y_true, y_pred, num_classes, average, zero_division, mask)


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
    return _averaged("f1", y_true, y_pred, num_classes, average, zero_division, mask)


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
    kinds = ("precision", "recall", "f1")
    average = lambda how: jnp.stack(
        [_averaged(k, y_true, y_pred, num_classes, how, zero_division, mask) for k in kinds]
    )
    names = tuple(map(str, range(num_classes))) if names is None else tuple(names)
    if len(names) != num_classes:
        raise ValueError(f"{len(names)} names for {num_classes} classes")
    right = safe_divide(jnp.trace(counts), jnp.sum(counts), 0.0)
    return ClassificationReport(scores, right, average("macro"), average("weighted"), names)


def _averaged(kind, y_true, y_pred, num_classes, average, zero_division, mask):
    one_of("average", average, AVERAGES)
    counts = confusion_matrix(y_true, y_pred, num_classes=num_classes, mask=mask)
    values = getattr(class_scores(counts, zero_division), kind)
    if average is None:
        return values
    if average == "micro":  # pooled hits over pooled predictions: precision = recall = F1
        return safe_divide(jnp.trace(counts), jnp.sum(counts), zero_division)
    support = jnp.sum(counts, 1)
    if average == "macro":
        return jnp.mean(values)
    total = jnp.sum(support)
    mean = jnp.vdot(support.astype(values.dtype), values) / jnp.maximum(total, 1)
    return jnp.where(total > 0, mean, zero_division)


def _check_labels(labels, num_classes, mask):
    if jnp.issubdtype(labels.dtype, jnp.floating):
        raise ValueError(f"labels must be whole numbers, got {labels.dtype}")
    if isinstance(labels, jax.core.Tracer) or isinstance(mask, jax.core.Tracer):
        return
    values = np.asarray(labels)[slice(None) if mask is None else np.asarray(mask, bool)]
    if values.size and (values.min() < 0 or values.max() >= num_classes):
        raise ValueError(
            f"labels must lie in 0..{num_classes - 1}, got {values.min()} to {values.max()}"
        )
