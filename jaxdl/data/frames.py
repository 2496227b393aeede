"""Names of columns and classes, and tables of pandas by them; pandas itself is not imported."""

import sys
from typing import Any, NamedTuple

import numpy as np

from jaxdl.checks import nearest
from jaxdl.data.dataset import Dataset


class Names(NamedTuple):
    """What data call their parts; None where they do not.

    features: [D], of columns. classes: [K]. target: of the response.
    """

    features: tuple[str, ...] | None = None
    classes: tuple[str, ...] | None = None
    target: str | None = None


def names_of(data: Any) -> Names:
    """The Names of a Dataset, or of ``(x, y)`` whose x is a DataFrame, y a Series."""
    if isinstance(data, Dataset):
        texts = lambda part: tuple(map(str, part)) if part else None
        return Names(texts(data.feature_names), texts(data.target_names), data.target)
    x, *rest = data if type(data) in (tuple, list) else (data,)
    target = getattr(rest[0], "name", None) if rest else None
    features = tuple(map(str, x.columns)) if is_frame(x) else None
    return Names(features, None, target if isinstance(target, str) else None)


def is_frame(x: Any) -> bool:
    """Whether x is a DataFrame of pandas."""
    pandas = sys.modules.get("pandas")  # who has not imported it has none
    return pandas is not None and isinstance(x, pandas.DataFrame)


def values_of(x: Any, names: Names) -> Any:
    """The features [B, D] of a DataFrame in the order of the names; anything else as it is.

    Further columns are left out. Without names all columns are taken as they stand. Raises a
    ValueError for a column that is not there, or there twice.
    """
    if not is_frame(x):
        return x
    if names.features is None:
        return x.to_numpy()
    there = [str(column) for column in x.columns]
    for name in names.features:
        if there.count(name) != 1:
            near = nearest(name, there)
            meant = f"; did you mean {near!r}?" if near and name not in there else ""
            raise ValueError(
                f"the table has {there.count(name)} columns {name!r}, of which the model takes one{meant}"
            )
    return x.iloc[:, [there.index(name) for name in names.features]].to_numpy()


def like(x: Any, values: Any, columns: Any = None, name: str | None = None) -> Any:
    """Values [B] or [B, K] as a Series or DataFrame with the index of x, where x is a DataFrame."""
    if not is_frame(x) or np.ndim(values) > 2:
        return values
    pandas, values = sys.modules["pandas"], np.asarray(values)
    if values.ndim == 1:
        return pandas.Series(values, index=x.index, name=name)
    return pandas.DataFrame(values, index=x.index, columns=columns)


def as_probabilities(p: Any) -> Any:
    """Probabilities [..., K] of classes; of [B] of class 1, those of both."""
    return np.stack([1 - np.asarray(p), np.asarray(p)], axis=-1) if np.ndim(p) == 1 else p


def as_labels(p: Any, names: Names) -> np.ndarray:
    """The likeliest of the classes, by name where they have any; of [B] of class 1 it from 1/2 on."""
    p = np.asarray(p)
    codes = (p >= 0.5).astype(np.int32) if p.ndim == 1 else p.argmax(-1).astype(np.int32)
    return codes if names.classes is None else np.asarray(names.classes)[codes]


def check_classes(p: Any, responses: Any, names: Names) -> None:
    """Raise a ValueError unless predictions p are probabilities of labels from 0 on."""
    if responses is None or responses.kind != "labels" or responses.low != 0:
        what = "what they do not say" if responses is None else responses.kind
        raise ValueError(f"only models of classes 0..K-1 have probabilities and labels; its responses are {what}")  # fmt: skip
    classes = np.shape(p)[-1] if np.ndim(p) > 1 else 2
    if classes != responses.high + 1:
        raise ValueError(f"the model predicts {classes} values a row, not the probabilities of {responses.high + 1:g} classes")  # fmt: skip
    if names.classes is not None and len(names.classes) != classes:
        raise ValueError(f"the data name {len(names.classes)} classes, the model has {classes}")
