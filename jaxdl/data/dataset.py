"""Data sets in memory, and those that come with scikit-learn."""

from typing import Any, NamedTuple

import numpy as np

from jaxdl.checks import one_of

TASKS = ("classify", "regress", "count")
NAMES = ("digits", "iris", "wine", "breast_cancer", "diabetes")


class Dataset(NamedTuple):
    """Examples with a response each; plain numpy arrays on the host.

    x: [N, D] float32, unscaled. NaN where a value is missing, only if ``missing``.
    y: [N] int32 classes 0..K-1, int32 counts or float32; None in a table to be predicted.
    feature_names: D names.
    target_names: the names of the K classes, None where there are none.
    name: of the data set.
    task: ``"classify"``, ``"regress"`` or ``"count"``.
    target: name of the response.
    missing: whether x has NaNs that a Transform fitted to each training part must fill.
    encoding: how a table's columns became x and y, as plain JSON values; see ``encode_table``.
    columns: what each column of a table was taken for and what became of it, plain JSON values:
      ``name``, ``as``, ``values``, ``missing`` (cells), ``becomes``, ``said``.
    notes: what else there is to say of how a table was read, a line each.
    """

    x: np.ndarray
    y: np.ndarray | None
    feature_names: tuple[str, ...]
    target_names: tuple[str, ...] | None
    name: str
    task: str
    target: str = "y"
    missing: bool = False
    encoding: dict[str, Any] | None = None
    columns: tuple[dict[str, Any], ...] = ()
    notes: tuple[str, ...] = ()


def load(name: str) -> Dataset:
    """Load one of scikit-learn's embedded data sets (``NAMES``) as it comes.

    Raises ValueError on another name; nothing is downloaded.

    >>> load("iris").x.shape
    (150, 4)
    """
    one_of("data set", name, NAMES)
    from sklearn import datasets

    bunch = getattr(datasets, f"load_{name}")()
    classify = name != "diabetes"
    return Dataset(
        x=bunch.data.astype(np.float32),
        y=bunch.target.astype(np.int32 if classify else np.float32),
        feature_names=tuple(str(f) for f in bunch.feature_names),
        target_names=tuple(str(t) for t in bunch.target_names) if classify else None,
        name=name,
        task="classify" if classify else "regress",
        target="progression" if name == "diabetes" else "class",
    )
