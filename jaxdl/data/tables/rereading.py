"""A later table may be written in another way than the one that was learned from.

Its numbers and dates are read as before where that is possible, else in the way that most of them
have; what is not the same number in any case is a doubt, and said.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxdl.data.tables import date_forms, number_formats
from jaxdl.data.tables.kinds import TRUTH
from jaxdl.data.tables.number_formats import Format
from jaxdl.data.tables.table import Table, Texts, shown


class Reread(NamedTuple):
    """What different texts are read as, [U] float64, NaN where that is nothing.

    said: in what other way they are written, in words, or "".
    doubt: a text that could be something else, what is odd about it, and what it counts as; None.
    """

    u: np.ndarray
    said: str = ""
    doubt: tuple[str, str, str | None] | None = None


def format_here(values: Sequence[str], how: Format, comma: bool) -> tuple[Format, np.ndarray]:
    """``how`` itself, unless more of the values are numbers in the way that most of them have.

    And the numbers [U].

    >>> format_here(["1.000,5", "2,5"], Format("."), True)[1].tolist()
    [1000.5, 2.5]
    """
    u = number_formats.parse(values, how)
    if not np.isnan(u).any():
        return how, u
    other = number_formats.find_format(values, comma)
    again = number_formats.parse(values, other)
    return (other, again) if np.isnan(again).sum() < np.isnan(u).sum() else (how, u)


def numbers(values: Sequence[str], how: Format, comma: bool) -> Reread:
    """Texts [U] as numbers; ``comma``: whether a decimal comma is likely in this table."""
    here, u = format_here(values, how, comma)
    if len(u) and np.isnan(u).all():
        return _truth_values(values, u)
    if here == how and comma == (how.decimal == ","):
        return Reread(u)
    read_as = lambda text: number_formats.plain(text, here)
    if here[2:] != how[2:]:
        text = values[int(np.argmax(~np.isnan(u)))]
        unit = f"{how.before}{how.after}"
        had = f"numbers in {unit}" if unit else "plain numbers"
        return Reread(u, "", (text, f"has a unit, where the training had {had}", read_as(text)))
    text = number_formats.ambiguous(values, here, True)
    if text is not None and here != how:
        return Reread(u, "", (text, "could be another number", read_as(text)))
    if here == how:
        return Reread(u, f"{shown(text)} is read as {read_as(text)}" if text is not None else "")
    text = values[int(np.argmax(np.isnan(number_formats.parse(values, how)) & ~np.isnan(u)))]
    return Reread(u, f"{shown(text)} is read as {read_as(text)}")


def _truth_values(values: Sequence[str], none: np.ndarray) -> Reread:
    words = {value.lower() for value in values}
    for pair in TRUTH:
        if words <= set(pair):
            u = np.array([float(pair.index(value.lower())) for value in values])
            return Reread(u, f"{shown(values[0])} is read as {u[0]:g}")
    return Reread(none)


def dates(values: Sequence[str], form: str, comma: bool) -> Reread:
    """Texts [U] as seconds since 1970, under ``form`` or another one that more of them have."""
    u = date_forms.parse(values, form)
    if not np.isnan(u).any():
        return Reread(u)
    found = date_forms.find_form(values, comma)
    again = date_forms.parse(values, found.form) if found else u
    if found is None or np.isnan(again).sum() >= np.isnan(u).sum():
        return Reread(u)
    text = values[int(np.argmax(~np.isnan(again)))]
    day = str(np.datetime64(int(again[int(np.argmax(~np.isnan(again)))]), "s"))[:10]
    if found.ambiguous:
        return Reread(again, "", (text, "could have day and month exchanged", day))
    return Reread(again, f"{shown(text)} is read as {day}")


def target_here(table: Table, target: dict[str, Any]) -> dict[str, Any]:
    """The target of an encoding, with the Format that its numbers have in this table."""
    column = table.columns[target["name"]]
    if target["format"] is None or not isinstance(column, Texts):
        return target
    here, _ = format_here(column.values, Format(*target["format"]), table.comma)
    return {**target, "format": list(here)}
