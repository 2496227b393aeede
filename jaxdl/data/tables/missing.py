"""What is done about missing values before anything is learned: refused, left out, or left alone."""

from collections.abc import Mapping

import numpy as np

from jaxdl.data.tables import encoders, response
from jaxdl.data.tables.kinds import Decision, as_texts
from jaxdl.data.tables.number_formats import Format
from jaxdl.data.tables.table import Table, Texts, shown

FILLS = ("fill", "error", "drop", "mean")
_ADVICE = "missing='drop' leaves their rows out, missing='fill' fills them in"


def settle(
    table: Table, used: Mapping[str, Decision], target: str, missing: str
) -> tuple[Table, list[str]]:
    """The rows that are kept under one of FILLS, and a line on those that are not.

    ``used`` are the columns that something is learned from. Raises TableError for what is refused.
    """
    lost, text = _no_target(table, target)
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
        return table, []
    if missing == "drop":
        for decision in used.values():
            lost = lost | unknown(table, decision)
        if lost.all():
            raise table.error("no row is left: each has a missing or non-finite value")
        said = f"{int(lost.sum())} of {len(lost)} rows have missing values: left out"
    else:
        words = f" ({int(text.sum())} of them a text for a number)" if text.any() else ""
        said = f"{int(lost.sum())} of {len(lost)} rows have no {shown(target)}{words}: left out"
    return (table.take(np.flatnonzero(~lost)), [said]) if lost.any() else (table, [])


def unknown(table: Table, decision: Decision) -> np.ndarray:
    """Where a column has no value of its kind, [N]."""
    column, spec = table.columns[decision.name], {"as": decision.kind, "missing": False}
    if decision.kind == "number":
        return encoders.encode(spec | {"format": decision.how}, column).missing
    if decision.kind == "date":
        how = {"form": decision.how, "parts": ["elapsed"], "origin": 0.0}
        return encoders.encode(spec | how, column).missing
    return as_texts(column).missing


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


def _no_target(table: Table, target: str) -> tuple[np.ndarray, np.ndarray]:
    """Where there is no target, and where a text stands for a number, [N] each."""
    column, how = table.columns[target], response.find_format(table, target)
    if how is None:
        lost = as_texts(column).missing
        return lost, np.zeros_like(lost)
    numbers, text = response.numbers_of(column, how)
    return np.isnan(numbers), text


def _refuse_words(table: Table, used: Mapping[str, Decision]) -> None:
    """Raise the TableError of the first text in a column of numbers."""
    for name, decision in used.items():
        column = table.columns[name]
        if decision.kind == "number" and isinstance(column, Texts):
            _, text = response.numbers_of(column, Format(*decision.how))
            if text.any():
                raise response.not_a_number(table, name, text)
