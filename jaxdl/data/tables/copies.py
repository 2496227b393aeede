"""Columns that give the target away: they would answer before the question is asked."""

import numpy as np

from jaxdl.data.tables import encoders
from jaxdl.data.tables.kinds import FEW, Decision, as_texts
from jaxdl.data.tables.table import Texts

CORRELATION = 0.999
LEAST = 5  # rows of a class: of fewer it is easily chance where they are
SAMPLE = 5000  # rows that are looked at first


def copy_of(column: np.ndarray | Texts, decision: Decision, y: np.ndarray, task: str) -> str | None:
    """How a column [N] copies the responses y [N], in words; None if it does not.

    Of classes it has one value for each, of numbers a correlation of more than 0.999 with them.
    Among fewer than 20 rows either may be chance.
    """
    if task == "classify":
        return _one_for_each(column, y)
    x, known = _numbers(column, decision)
    if known.sum() < FEW:
        return None
    r = _correlation(x[known], y[known])
    if abs(r) <= CORRELATION:
        return None
    return f"has a correlation of {r:.5f} with the target"


def suspicion(
    column: np.ndarray | Texts, decision: Decision, y: np.ndarray, task: str
) -> str | None:
    """What looks as if a column [N], which is no copy, tells all of y [N], in words; None if nothing.

    Numbers that order the rows as y does: of classes, each has a range of its own. Categories of
    which each stands with one class alone. Good predictors may do so, and so do columns that are
    only known afterwards.
    """
    x, known = _numbers(column, decision)
    if known.sum() >= FEW:
        tells = _ranges if task == "classify" else _order
        x, y = x[known], y[known]
        some = slice(None, None, max(1, len(y) // SAMPLE))
        return tells(x, y) if tells(x[some], y[some]) else None
    if decision.kind == "category" and task == "classify":
        return _alone(as_texts(column), y)
    return None


def _order(x: np.ndarray, y: np.ndarray) -> str | None:
    rho = _correlation(_ranks(x), _ranks(y))
    orders = f"orders the rows as the target does (rank correlation {rho:.5f})"
    return orders if abs(rho) > CORRELATION else None


def _ranges(x: np.ndarray, y: np.ndarray) -> str | None:
    order = np.argsort(x, kind="stable")
    x, y, sizes = x[order], y[order], np.bincount(y)
    ends = np.flatnonzero(np.diff(y))  # where one class ends and another begins
    once = len(ends) + 1 == np.sum(sizes > 0) > 1
    if not once or not (x[ends] < x[ends + 1]).all() or sizes[sizes > 0].min() < LEAST:
        return None
    return "has a range of its own for each class of the target"


def _alone(column: Texts, y: np.ndarray) -> str | None:
    known, values = column.at >= 0, len(column.values)
    if values < 2 or known.sum() < 2 * values + FEW:
        return None
    pairs = np.unique(np.stack([column.at[known], y[known]]), axis=1)
    if pairs.shape[1] > values or len(np.unique(y[known])) < 2:
        return None
    return "has values that stand with one class each"


def _numbers(column: np.ndarray | Texts, decision: Decision) -> tuple[np.ndarray, np.ndarray]:
    """The numbers or elapsed days [N] in float64, and where they are known; nowhere in others."""
    if decision.kind not in ("number", "date"):
        size = len(column.at) if isinstance(column, Texts) else len(column)
        return np.zeros(size), np.zeros(size, bool)
    form = {"form": decision.how, "parts": ["elapsed"], "origin": 0.0}
    spec = {"as": decision.kind, "missing": False, **form, "format": decision.how}
    x = encoders.encode(spec, column).x[:, 0].astype(np.float64)
    return x, ~np.isnan(x)


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a.astype(np.float64), b.astype(np.float64)
    a, b = a - a.mean(), b - b.mean()
    scale = np.sqrt((a @ a) * (b @ b))
    return float((a @ b) / scale) if scale > 0 else 0.0


def _ranks(a: np.ndarray) -> np.ndarray:
    """Ranks [N]; equal ones share their mean."""
    _, at, counts = np.unique(a, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[at]


def _one_for_each(column: np.ndarray | Texts, y: np.ndarray) -> str | None:
    if isinstance(column, np.ndarray):
        for some in (column[:FEW], column[:SAMPLE]):
            if len(np.unique(some[np.isfinite(some)])) > y.max() + 1:
                return None  # as nearly all columns of numbers
        column = as_texts(column)
    known = column.at >= 0
    if known.sum() < FEW:
        return None
    at, y = column.at[known], y[known]
    pairs = np.unique(np.stack([at, y]), axis=1)
    values, classes = len(np.unique(at)), len(np.unique(y))
    if pairs.shape[1] == values == classes and classes > 1:
        return "has one value for each class of the target"
    return None
