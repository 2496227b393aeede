"""Metrics of predictions as in scikit-learn, ``(y_true, y_pred)``, all jittable. Notes: §3.1.

Classes are 0..K-1. A label outside is a ValueError where the labels are concrete arrays; of traced
ones such a row is left out. ``mask`` [N] marks the rows that count, everywhere.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.base import Array

AVERAGES = (None, "macro", "micro", "weighted")


def root_mean_squared_error(
    y_true: Array, y_pred: Array, *, multioutput: str = "uniform_average", mask: Array | None = None
) -> Array:
    """``sqrt(1/M sum_m (y_m - f(x_m))^2)``, in the units of y [N] or [N, K]. Notes: L520 (D-26).

    Of K outputs the mean of their RMSEs, or all [K] with ``multioutput="raw_values"``.
    """
    y_true, y_pred = _same_shape(y_true, y_pred)
    if multioutput not in ("uniform_average", "raw_values"):
        raise ValueError(f"multioutput is uniform_average or raw_values, not {multioutput!r}")
    weights = _row_weights(y_true.shape[0], mask)
    root = jnp.sqrt(jnp.tensordot(weights, jnp.square(_counted(y_true - y_pred, mask)), 1))
    return root if multioutput == "raw_values" else jnp.mean(root)


def r2_score(y_true: Array, y_pred: Array, *, mask: Array | None = None) -> Array:
    """``1 - sum (y - f)^2 / sum (y - mean y)^2`` for y [N]; 0 where y is constant."""
    y_true, y_pred = _same_shape(y_true, y_pred)
    weights = _row_weights(y_true.shape[0], mask)
    y = _counted(y_true, mask)
    residual = jnp.vdot(weights, jnp.square(_counted(y_true - y_pred, mask)))
    total = jnp.vdot(weights, jnp.square(y - jnp.vdot(weights, y)))
    return jnp.where(total > 0, 1 - residual / jnp.where(total > 0, total, 1), 0)


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
    y_true, y_pred = _same_shape(y_true, y_pred)
    right = (y_true == y_pred).astype(float)
    return jnp.vdot(_row_weights(y_true.shape[0], mask).astype(right.dtype), right)


def log_loss(y_true: Array, probabilities: Array, *, mask: Array | None = None) -> Array:
    """``-1/N sum_n log pi_{n, y_n}``, [], of probabilities [N, K], or [N] of class 1. Notes: L434.

    Probabilities are clipped to the dtype's resolution, as in scikit-learn. Losses for training
    take logits instead (``jaxdl.losses``).
    """
    y_true, pi = jnp.asarray(y_true), jnp.asarray(probabilities)
    pi = pi.astype(jnp.result_type(pi, float))
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
    return -jnp.vdot(_row_weights(len(y_true), mask), _counted(chosen, mask))


def held_out_loss(loss: Callable, predictions: Array, y: Array, *, mask: Array | None = None):
    """The mean, [], of ``loss(predictions, y) -> [N]`` on held-out data. Notes: L495, §3.1."""
    values = loss(predictions, y)
    return jnp.vdot(_row_weights(values.shape[0], mask), _counted(values, mask))


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
    y_true, y_pred = _same_shape(y_true, y_pred)
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
    if normalize not in axes:
        raise ValueError(f"normalize is None, true, pred or all, not {normalize!r}")
    total = jnp.sum(counts, axis=axes[normalize], keepdims=True)
    return _ratio(counts, total, 0.0)


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
        _ratio(hits, predicted, zero_division),
        _ratio(hits, true, zero_division),
        _ratio(2 * hits, predicted + true, zero_division),
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
    right = _ratio(jnp.trace(counts), jnp.sum(counts), 0.0)
    return ClassificationReport(scores, right, average("macro"), average("weighted"), names)


def _averaged(kind, y_true, y_pred, num_classes, average, zero_division, mask):
    if average not in AVERAGES:
        raise ValueError(f"average is one of None, macro, micro, weighted, not {average!r}")
    counts = confusion_matrix(y_true, y_pred, num_classes=num_classes, mask=mask)
    values = getattr(class_scores(counts, zero_division), kind)
    if average is None:
        return values
    if average == "micro":  # pooled hits over pooled predictions: precision = recall = F1
        return _ratio(jnp.trace(counts), jnp.sum(counts), zero_division)
    support = jnp.sum(counts, 1)
    if average == "macro":
        return jnp.mean(values)
    total = jnp.sum(support)
    mean = jnp.vdot(support.astype(values.dtype), values) / jnp.maximum(total, 1)
    return jnp.where(total > 0, mean, zero_division)


def _ratio(above, below, otherwise):
    safe = jnp.where(below > 0, below, 1)
    return jnp.where(below > 0, above / safe, otherwise)


def _same_shape(a, b):
    a, b = jnp.asarray(a), jnp.asarray(b)
    if a.shape != b.shape or a.ndim == 0:
        raise ValueError(f"y_true and y_pred must have one shape, got {a.shape} and {b.shape}")
    return a, b


def _row_weights(n, mask):
    if mask is None:
        return jnp.full(n, 1 / n)
    mask = jnp.asarray(mask, bool)
    if mask.shape != (n,):
        raise ValueError(f"mask must be [{n}], one entry a row; got {mask.shape}")
    return mask / jnp.maximum(jnp.sum(mask), 1)


def _counted(values, mask):
    if mask is None:
        return values
    return jnp.where(jnp.asarray(mask, bool).reshape(-1, *(1,) * (values.ndim - 1)), values, 0)


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
