"""Columns that give the target away: they would answer before the question is asked."""

import numpy as np

from jaxdl.data.tables import encoders
from jaxdl.data.tables.kinds import FEW, Decision, as_texts
from jaxdl.data.tables.table import Texts

CORRELATION = 0.999


def copy_of(column: np.ndarray | Texts, decision: Decision, y: np.ndarray, task: str) -> str | None:
    """How a column [N] copies the responses y [N], in words; None if it does not.

    Of classes it has one value for each, of numbers a correlation of more than 0.999 with them.
    Among fewer than 20 rows either may be chance.
    """
    if task == "classify":
        return _one_for_each(as_texts(column), y)
    if decision.kind not in ("number", "date"):
        return None
    form = {"form": decision.how, "parts": ["elapsed"], "origin": 0.0}
    spec = {"as": decision.kind, "missing": False, **form, "format": decision.how}
    x = encoders.encode(spec, column).x[:, 0]
    known = ~np.isnan(x)
    if known.sum() < FEW:
        return None
    a, b = x[known].astype(np.float64), y[known].astype(np.float64)
    a, b = a - a.mean(), b - b.mean()
    scale = np.sqrt((a @ a) * (b @ b))
    r = (a @ b) / scale if scale > 0 else 0.0
    if abs(r) <= CORRELATION:
        return None
    return f"has a correlation of {r:.5f} with the target"


def _one_for_each(column: Texts, y: np.ndarray) -> str | None:
    known = column.at >= 0
    if known.sum() < FEW or not known.all():
        return None
    pairs = np.unique(np.stack([column.at, y]), axis=1)
    values, classes = len(np.unique(column.at)), len(np.unique(y))
    if pairs.shape[1] == values == classes and classes > 1:
        return "has one value for each class of the target"
    return None
