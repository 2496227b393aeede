"""What is done about missing values before anything is learned: refused, left out, or left alone."""

from collections.abc import Mapping

import numpy as np

from jaxdl.data.tables import response
from jaxdl.data.tables.kinds import Decision
from jaxdl.data.tables.table import Table, Texts, shown

FILLS = ("fill", "error", "drop", "mean")
_ADVICE = "missing='drop' leaves their rows out, missing='fill' fills them in"


def settle(
    table: Table, used: Mapping[str, Decision], target: str, read: response.Read, missing: str
) -> tuple[np.ndarray | None, list[str]]:
    """The rows [M] that are kept under one of FILLS, None for all, and a line on those that are not.

    ``used`` are the columns that something is learned from, ``read`` is what the target is read as.
    Raises TableError for what is refused.
    """
    lost, text = read.lost, read.text
    if lost.all():
        raise table.error(f"column {shown(target)} has no values")
    if missing in ("error", "mean"):
        if text.any():
            raise response.not_a_number(table, target, text)
        found = {target: lost}
        if missing == "error":
            _refuse_words(table, used)
            found = {name: unknown(table, decision) for name, decision in used.items()} | found
        refuse(table, found, _ADVICE if missing == "error" else "the target cannot be filled in")
        return None, []
    if missing == "drop":
        for decision in used.values():
            lost = lost | unknown(table, decision)
        if lost.all():
            raise table.error("no row is left: each has a missing or non-finite value")
        said = f"{int(lost.sum())} of {len(lost)} rows have missing values: left out"
    else:
        words = f" ({int(text.sum())} of them a text for a number)" if text.any() else ""
        said = f"{int(lost.sum())} of {len(lost)} rows have no {shown(target)}{words}: left out"
    return (np.flatnonzero(~lost), [said]) if lost.any() else (None, [])


def unknown(table: Table, decision: Decision) -> np.ndarray:
    """Where a column has no value of its kind, [N]; of numbers, none that float32 holds."""
    column = table.columns[decision.name]
    if decision.u is not None:
        values = np.append(decision.u, np.nan)[column.at]
    elif isinstance(column, Texts):
        return column.missing
    else:
        values = column
    return ~(np.abs(values.astype(np.float64)) <= np.finfo(np.float32).max)


def refuse(table: Table, found: Mapping[str, np.ndarray], advice: str) -> None:
    """Raise the TableError that names the columns with missing values and their first rows."""
    found = {name: mask for name, mask in found.items() if mask.any()}
    if not found:
        return
    where = ", ".join(
        f"{shown(name)} ({mask.sum()}, first on {table.row(int(np.argmax(mask)))})"
        for name, mask in list(found.items())[:5]
    )
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    s = "s" if len(found) > 1 else ""
    raise table.error(f"missing or non-finite values in column{s} {where}{more}; {advice}")


def _refuse_words(table: Table, used: Mapping[str, Decision]) -> None:
    """Raise the TableError of the first text in a column of numbers."""
    for name, decision in used.items():
        if decision.kind == "number" and decision.u is not None:
            text = np.append(np.isnan(decision.u), False)[table.columns[name].at]
            if text.any():
                raise response.not_a_number(table, name, text)
