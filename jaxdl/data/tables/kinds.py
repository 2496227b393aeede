"""What a column is: a number, a truth value, a date, a category, a text, or of no use.

Decided from its different texts and how often each stands there, and said in plain words. Nothing
is converted here; see ``encoders``.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxdl.data.tables import date_forms, number_formats
from jaxdl.data.tables.number_formats import PLAIN
from jaxdl.data.tables.table import Table, Texts, listed, shown

USED = ("number", "truth", "date", "category", "text")
CHOICES = (*USED, "target", "ignored")
KINDS = (*USED, "identifier", "constant", "empty", "copy", "ignored")
_SOME = 10_000
FEW = 20  # rows and different values under which nothing is taken for a rule
MOSTLY = 0.9  # the share of cells that must be numbers where the rest count as missing
TRUTH = (("no", "yes"), ("false", "true"), ("f", "t"), ("n", "y"), ("off", "on"))
_CODE = re.compile(
    "^[+-]?0[0-9]+$", re.MULTILINE
)  # 007 and 01 are no numbers, though they read as such
_ID = re.compile(
    r"(?:.*[a-z0-9][_ .-])?(?:id|uuid|guid)|[A-Za-z]*[a-z](?:ID|Id)|index|row ?(?:names?|id)?"
)
_TIME = re.compile("t|time|date|day|week|month|quarter|year|hour|minute|second|period|trial|age")


class Decision(NamedTuple):
    """What a column is taken for.

    kind: one of KINDS. how: what is needed to read it, plain JSON values: of a number its Format,
    of a date its form, of a truth value the words for no and yes, of a category "target" where it
    is to become what the target is on average.
    values: its values or their range, in words. missing: how many cells have no value.
    said: what else there is to say of it, in words, or "".
    u: what each of the column's different texts is read as, [U]: numbers, or seconds of dates.
    """

    name: str
    kind: str
    how: Any
    values: str
    missing: int
    said: str = ""
    u: np.ndarray | None = None


def decide(table: Table, name: str, kind: str | None = None) -> Decision:
    """What a table's column is; ``kind``, one of CHOICES, overrules the look of it.

    Raises TableError where the cells do not allow that kind.
    """
    column = table.columns[name]
    decision: Callable = _of_numbers if isinstance(column, np.ndarray) else _of_texts
    found = decision(table, name, column, kind)
    return found._replace(kind="ignored", said="") if kind == "ignored" else found


def have_code(texts: Sequence[str]) -> bool:
    """Whether one of these is digits that begin with a zero, as 007."""
    return _CODE.search("\n".join(texts)) is not None


def as_texts(column: np.ndarray | Texts) -> Texts:
    """A column of numbers as Texts; 3 and 3.0 are one, and whole numbers are exact."""
    if isinstance(column, Texts):
        return column
    values, at = np.unique(column, return_inverse=True)
    known = np.isfinite(values)
    new = np.where(known, np.cumsum(known) - 1, -1).astype(np.int32)
    name = str if column.dtype.kind == "M" else label
    return Texts([name(v) for v in values[known].tolist()], new[at])


def label(number: Any) -> str:
    """A number as a label: 3 and 3.0 are one, and whole numbers are exact at any length."""
    return str(int(number)) if number == int(number) else repr(float(number))


def _of_numbers(table: Table, name: str, column: np.ndarray, kind: str | None) -> Decision:
    known = column[np.isfinite(column)]
    missing = len(column) - len(known)
    made = lambda kind, values, how=None, said="": Decision(name, kind, how, values, missing, said)
    if not len(known):
        return made("empty", "")
    if kind in ("category", "target", "truth", "text"):
        return _of_texts(table, name, as_texts(column), kind)
    if kind == "date":
        raise table.error(f"column {shown(name)} holds numbers, not dates")
    low, high = known.min(), known.max()
    values = f"{low:.6g} to {high:.6g}"
    if low == high:
        alone = not kind and not missing
        return made("constant" if alone else "number", label(low), list(PLAIN))
    why = "" if kind else names_rows(name, column)
    return made("identifier", values, said=why) if why else made("number", values, list(PLAIN))


def _of_texts(table: Table, name: str, column: Texts, kind: str | None) -> Decision:
    values, missing = column.values, int(column.missing.sum())
    rows = len(column.at) - missing
    made = lambda kind, shows, how=None, said="": Decision(name, kind, how, shows, missing, said)
    if not values:
        return made("empty", "")
    if kind in (None, "truth") and (words := _truth(values, bool(kind))):
        return made("truth", " or ".join(words), list(words))
    if kind == "truth":
        raise table.error(
            f"column {shown(name)} has {len(values)} different values, as {listed(values, 3)}: a "
            "truth value has two"
        )
    if kind in (None, "number", "date"):
        tried = (_number, _date)
        if kind is None and date_forms.look_like_dates(values):
            tried = (_date, _number)  # in the order in which most are told soonest
        for decided in tried:
            if found := decided(table, name, column, kind):
                return found
    many = f"{len(values)} different, as {listed(values, 1)}"
    if kind is None:
        if len(values) == 1 and not missing:
            return made("constant", listed(values))
        if len(values) > max(FEW, rows / 2) and is_prose(column):
            return made("text", many)
        if rows >= FEW and len(values) >= 0.95 * rows:
            return made("identifier", many, said="differs in nearly every row")
    if kind == "text":
        return made("text", many)
    few = f"{len(values)} different: {listed(values, 3)}"
    how = "target" if kind == "target" else None
    return made("category", few if len(values) > 3 else listed(values), how)


def _truth(values: list[str], any_two: bool) -> tuple[str, ...] | None:
    if not any_two and not any(values[0].lower() in pair for pair in TRUTH):
        return None
    words = {value.lower() for value in values}
    for pair in TRUTH:
        if words == set(pair):
            return pair
    return tuple(sorted(words)) if any_two and len(words) == 2 else None


def _number(table: Table, name: str, column: Texts, kind: str | None) -> Decision | None:
    if kind == "date" or (kind is None and have_code(column.values)):
        return None
    how, counts = number_formats.find_format(column.values, table.comma), column.counts()
    least = MOSTLY if kind is None else 0.0
    numbers = number_formats.parse_most(column.values, counts, how, least)
    if numbers is None:
        return None
    stray = np.isnan(numbers)
    share = 1 - counts[stray].sum() / counts.sum()
    finite = np.unique(numbers[np.isfinite(numbers)])
    enough = share == 1 or (share >= MOSTLY and len(finite) > FEW)
    if not len(finite):
        if kind is None:
            return None
        raise table.error(f"column {shown(name)} holds no numbers: {listed(column.values, 3)}")
    if kind is None and not enough:
        return None
    dates = how == PLAIN and share == 1 and len(finite) > 2
    if kind is None and dates and date_forms.find_form(column.values, share=1.0):
        return None
    missing = int(column.missing.sum() + counts[np.isinf(numbers)].sum())
    unit = f" {how.before}{how.after}".rstrip()
    shows = f"{finite[0]:.6g} to {finite[-1]:.6g}{unit}"
    if len(finite) == 1:
        known = number_formats.plain(column.values[0], how)
        shows, alone = f"{known}{unit}", share == 1 and not missing
        return Decision(name, "constant" if kind is None and alone else "number",
                        list(how), shows, missing, u=numbers)  # fmt: skip
    if kind is None and share == 1 and (why := names_rows(name, numbers[column.at], missing)):
        return Decision(name, "identifier", None, shows, missing, why)
    said = []
    if stray.any():
        first = column.values[int(np.argmax(stray))]
        at = int(np.argmax(column.at == np.argmax(stray)))
        said.append(
            f"{counts[stray].sum()} cells that are no numbers, as {shown(first)} on "
            f"{table.row(at)}, count as missing"
        )
    odd = number_formats.ambiguous(column.values, how, table.comma)
    if odd is not None:
        said.append(f"{odd} is read as {number_formats.plain(odd, how)}")
    missing += int(counts[stray].sum())
    return Decision(name, "number", list(how), shows, missing, "; ".join(said), numbers)


def _date(table: Table, name: str, column: Texts, kind: str | None) -> Decision | None:
    share = 0.5 if kind == "date" else 0.95
    found = date_forms.find_and_parse(column.values, table.comma, share)
    form, seconds = found or (None, np.zeros(0))
    known = np.unique(seconds[~np.isnan(seconds)])
    if kind is None and len(known) < 2:
        return None
    if form is None or not len(known):
        raise table.error(f"column {shown(name)} holds no dates: {listed(column.values, 3)}")
    counts, stray = column.counts(), np.isnan(seconds)
    said = (
        [f"{counts[stray].sum()} cells that are no dates count as missing"] if stray.any() else []
    )
    if form.ambiguous:
        order = "the day first" if form.form == "dmy" else "the month first"
        said.append(f"day and month could be exchanged; read with {order}")
    missing = int(column.missing.sum() + counts[stray].sum())
    shows = f"{_day(known[0], form.form)} to {_day(known[-1], form.form)}"
    return Decision(name, "date", form.form, shows, missing, "; ".join(said), seconds)


def _day(seconds: float, form: str) -> str:
    text = str(np.datetime64(int(np.floor(seconds)), "s"))
    return text[11:] if form == "time" else text[:10] if text.endswith("00:00:00") else text


def is_prose(column: Texts) -> bool:
    """Whether a cell has four words and more on average; of many texts some are looked at."""
    step = max(1, len(column.values) // _SOME)
    words = [*map(len, map(str.split, column.values[::step]))]
    return float(np.average(words, weights=column.counts()[::step])) >= 4


def names_rows(name: str, numbers: np.ndarray, missing: int = 0) -> str:
    """Why these numbers [N] only tell rows apart, or "": they count them, or are called so."""
    if len(numbers) < FEW or missing or not np.isfinite(numbers).all():
        return ""
    if numbers[0] in (0, 1) and (np.diff(numbers.astype(np.float64)) == 1).all():
        return "" if _TIME.fullmatch(name.strip().lower()) else "counts the rows"
    called = _ID.fullmatch(name.strip()) or _ID.fullmatch(name.strip().lower())
    whole = np.array_equal(numbers, np.floor(numbers))
    return "is called so" if called and whole and len(np.unique(numbers)) > FEW else ""
