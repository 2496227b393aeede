"""The rows that a network learns from: weights, repetitions and scales, on the host."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils import compute_class_weight

from jaxdl.training import class_weights


class Rows(NamedTuple):
    """Rows that count. x: [n, D]. y: codes [n], or [n, K]. weight: [n], positive."""

    x: np.ndarray
    y: np.ndarray
    weight: np.ndarray


class Scale(NamedTuple):
    """Of responses, [K] each: they are learned as ``(y - shift) / scale``."""

    shift: np.ndarray
    scale: np.ndarray


def that_count(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> Rows:
    """The rows whose weight is not 0. Raises a ValueError where there are none."""
    counts = weight > 0
    if not counts.any():
        raise ValueError("the sample weights are all zero: there is nothing to learn from")
    return Rows(x, y, weight) if counts.all() else Rows(x[counts], y[counts], weight[counts])


def merged(rows: Rows) -> Rows:
    """Each different (x, y) once, in lexical order, with the sum of its weights.

    What is minimised over all rows at once depends on this alone: neither their order nor whether
    a row has the weight 2 or is there twice changes a digit.
    """
    table = np.column_stack([rows.x, rows.y.reshape(len(rows.y), -1)])
    _, first, which = np.unique(table, axis=0, return_index=True, return_inverse=True)
    return Rows(rows.x[first], rows.y[first], np.bincount(which.ravel(), rows.weight))


def weight_classes(
    rows: Rows, classes: np.ndarray, class_weight: Mapping[Any, float] | str | None
) -> Rows:
    """Rows whose weights are times that of their class, which y [n] numbers.

    ``"balanced"`` is ``W / (K W_k)``, with W the sum of all weights and W_k of class k: for equal
    ones as scikit-learn's. Raises a ValueError for a name that is not known or a weight below 0.
    """
    if class_weight is None:
        return rows
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise ValueError(f"class_weight is a dict, 'balanced' or None, not {class_weight!r}")
        factor = class_weights(rows.y, weight=rows.weight, num_classes=len(classes)).astype(float)
    else:
        factor = compute_class_weight(class_weight, classes=classes, y=classes[rows.y])
    if not (np.isfinite(factor).all() and (factor >= 0).all() and factor.any()):
        raise ValueError(f"weights of classes are 0 or more, and not all 0, not {class_weight!r}")
    return that_count(rows.x, rows.y, rows.weight * factor[rows.y])


def scale_of(family: str, rows: Rows) -> Scale:
    """Mean and standard deviation of the responses y [n, K]; of counts 0 and the mean.

    A likelihood of counts over their mean is that of the counts over it: ``log p(y; mu)`` is
    ``m (y/m log(mu/m) - mu/m)`` but for what does not depend on mu.
    """
    y = rows.y.astype(np.float64)
    mean = np.average(y, axis=0, weights=rows.weight)
    if family == "poisson":
        if y.min() < 0:
            raise ValueError(f"counts (family='poisson') are 0 or more, not {y.min():g}")
        return Scale(np.zeros_like(mean), np.where(mean > 0, mean, 1))
    deviation = np.sqrt(np.average((y - mean) ** 2, axis=0, weights=rows.weight))
    return Scale(mean, np.where(deviation > 0, deviation, 1))


def as_batch(rows: Rows, scale: Scale | None = None) -> tuple[Any, Any, Any]:
    """``(x, y, weight)`` in JAX's types, as ``networks.weighted_likelihood`` takes it."""
    dtype = rows.x.dtype
    y = rows.y if scale is None else ((rows.y - scale.shift) / scale.scale).astype(dtype)
    return rows.x, y.astype(np.int32) if scale is None else y, rows.weight.astype(dtype)
