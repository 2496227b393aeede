"""Weights of classes, for rows that are rare or dear."""

from collections.abc import Mapping

import numpy as np

from jaxdl.base import Array


def class_weights(
    y: Array | np.ndarray,
    how: str | Mapping[int, float] = "balanced",
    *,
    weight: Array | np.ndarray | None = None,
    num_classes: int | None = None,
) -> np.ndarray:
    """Weights [K] of classes, of labels y [N]; ``class_weights(y)[y]`` are those of the rows.

    ``"balanced"``: ``c_k = W / (K W_k)``, W the sum of the rows' weights, W_k that of class k, K the
    number of classes that there are: each class then counts the same, and the mean of c over y is 1.
    ``{k: c_k}``: as it says, and 1 for all others. As scikit-learn's ``compute_class_weight``.

    Args:
      y: whole numbers [N] from 0 on.
      how: which of the two.
      weight: [N], of the rows; default, 1.
      num_classes: K; default, the largest label and one.

    Raises a ValueError for other labels, for another name, and for weights that are negative, not
    finite or all 0.

    >>> class_weights(np.array([0, 0, 0, 1])).tolist()
    [0.6666666865348816, 2.0]
    """
    labels = np.asarray(y)
    if labels.ndim != 1 or labels.dtype.kind not in "iub" or not labels.size or labels.min() < 0:
        raise ValueError(
            f"class_weights takes labels y [N] from 0 on, not {labels.dtype} {list(labels.shape)}"
        )
    count = int(labels.max()) + 1 if num_classes is None else num_classes
    of_class = np.bincount(labels, weight, minlength=count)
    if len(of_class) > count:
        raise ValueError(f"y has the label {len(of_class) - 1}, but there are {count} classes")
    if isinstance(how, str):
        if how != "balanced":
            raise ValueError(f"class weights are 'balanced' or a dict, not {how!r}")
        there = of_class > 0
        c = of_class.sum() / (there.sum() * np.where(there, of_class, 1))
    else:
        if not set(how) <= set(range(count)):
            raise ValueError(
                f"class weights are of {sorted(set(how) - set(range(count)))}, which are no classes 0..{count - 1}"
            )
        c = np.array([how.get(k, 1.0) for k in range(count)], float)
    if not (np.isfinite(c).all() and (c >= 0).all() and c.any()):
        raise ValueError(f"weights of classes are 0 or more, and not all 0, not {c.tolist()}")
    return c.astype(np.float32)
