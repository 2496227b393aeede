"""How the numbers of a column are written: one Format for all of its cells.

``1234.5``, ``1,234.5``, ``1.234,5``, ``1 234,5``, ``$1,234.50``, ``12 %``, ``(1,234)`` for a
negative, ``37 kg``. Nothing is guessed cell by cell: a column has one decimal sign and one unit.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np


class Format(NamedTuple):
    """The signs of a column's numbers: the decimal sign, what sets thousands apart, the unit."""

    decimal: str = "."
    thousands: str = ""
    before: str = ""
    after: str = ""


PLAIN = Format()
_POINT = [(".", ""), (".", ","), (",", ""), (",", "."), (",", " "), (".", " "), (".", "'")]
_COMMA = [(".", ""), (",", ""), (",", "."), (",", " "), (",", "'"), (".", ","), (".", " ")]
_SPACES = str.maketrans({"\u00a0": " ", "\u202f": " ", "\u2009": " ", "’": "'", "−": "-"})
_UNITS = re.compile(
    r"\(?[+-]?\s*(?P<before>(?:[A-Za-z]{0,3}[$€£¥₹₩₽]|(?:EUR|USD|GBP|CHF|JPY|CNY|INR)\s)?)\s*[+-]?\s*"
    r"[\d.,' ]*\d[\d.,' ]*(?:[eE][+-]?\d+)?\s*(?P<after>[^\d\s.,'()+-][^\d\s.,'()]{0,9})?\)?"
)
_SAMPLE = 500


def plain(text: str, how: Format) -> str | None:
    """A cell as Python writes the number, ``"-1234.5"``; None if it is no number of this Format.

    >>> plain("(1.234,5)", Format(",", ".")), plain("$-3", Format(before="$")), plain("3x", PLAIN)
    ('-1234.5', '-3', None)
    """
    text = text.translate(_SPACES).strip()
    negative = text.startswith("(") and text.endswith(")") and len(text) > 2
    text = text[1:-1].strip() if negative else text
    sign, text = _sign(text)
    if how.before:
        if not text.startswith(how.before):
            return None
        text = text[len(how.before) :].strip()
        if not sign:
            sign, text = _sign(text)
    if how.after:
        if not text.endswith(how.after):
            return None
        text = text[: -len(how.after)].strip()
    if text.lower() in ("inf", "infinity"):
        return f"{sign}inf"
    if (negative and sign) or not _pattern(how.decimal, how.thousands).fullmatch(text):
        return None
    if how.thousands:
        text = text.replace(how.thousands, "")
    text = text.replace(how.decimal, ".")
    return f"-{text}" if negative or sign == "-" else text


def _sign(text: str) -> tuple[str, str]:
    return (text[0], text[1:].strip()) if text[:1] in ("+", "-") else ("", text)


@cache
def _pattern(decimal: str, thousands: str) -> re.Pattern:
    d, whole = re.escape(decimal), r"\d+"
    if thousands:
        whole = rf"(?:[1-9]\d{{0,2}}(?:{re.escape(thousands)}\d{{3}})+|\d+)"
    return re.compile(rf"(?:{whole}(?:{d}\d*)?|{d}\d+)(?:[eE][+-]?\d+)?")


def parse(texts: Sequence[str], how: Format = PLAIN) -> np.ndarray:
    """The numbers [U] of texts, float64; NaN for what is none.

    >>> parse(["1,5", "2", "x"], Format(",")).tolist()
    [1.5, 2.0, nan]
    """
    if how == PLAIN:
        try:  # most columns are as Python reads them; what it reads besides is left to the pattern
            numbers = np.array([*map(float, texts)])
            if np.isfinite(numbers).all() and not any("_" in t for t in texts):
                return numbers
        except ValueError:
            pass
    if not how.before and not how.after:
        whole = re.compile(f"[+-]?{_pattern(how.decimal, how.thousands).pattern}").fullmatch
        if all(map(whole, texts)):
            point = (text.replace(how.thousands, "").replace(how.decimal, ".") for text in texts)
            return np.array([*map(float, point)])
    written = (plain(text, how) for text in texts)
    return np.array([np.nan if w is None else float(w) for w in written], np.float64)


def find_format(texts: Sequence[str], comma: bool = False) -> Format:
    """The Format under which most texts are numbers; ``comma``: where a decimal comma is likelier.

    >>> find_format(["1,234", "17", "1,234,567.5"])
    Format(decimal='.', thousands=',', before='', after='')
    >>> find_format(["3 %", "4.5 %"]).after, find_format(["0,5", "1,25"]).decimal
    ('%', ',')
    """
    some = _sample(texts)
    if not np.isnan(parse(some)).any():
        return PLAIN
    units = Counter(m.group("before", "after") for m in map(_units, some) if m)
    (before, after), _ = units.most_common(1)[0] if units else (("", None), 0)
    found = [
        Format(decimal, thousands, (before or "").strip(), after or "")
        for decimal, thousands in (_COMMA if comma else _POINT)
    ]
    return max(found, key=lambda how: _share(some, how))  # the first of equals


def ambiguous(texts: Sequence[str], how: Format, comma: bool = False) -> str | None:
    """A text that would be another number under a Format that fits all as well, if there is one.

    Asked where thousands are set apart, or where the table's own dialect speaks for a comma.

    >>> ambiguous(["1,234", "17"], Format(".", ",")), ambiguous(["1,234", "1.5"], Format(".", ","))
    ('1,234', None)
    """
    if not how.thousands and not comma:
        return None
    some = _sample(texts)
    other = how._replace(decimal="," if how.decimal == "." else ".", thousands="")
    others = [other, other._replace(thousands=how.decimal)]
    read = parse(some, how)
    for other in others:
        again = parse(some, other)
        differ = read != again
        if not np.isnan(again).any() and differ.any():
            return some[int(np.argmax(differ))]
    return None


def _units(text: str) -> re.Match | None:
    return _UNITS.fullmatch(text.translate(_SPACES).strip())


def _share(texts: Iterable[str], how: Format) -> float:
    return float(np.mean([plain(text, how) is not None for text in texts]))


def _sample(texts: Sequence[str]) -> list[str]:
    """The first texts, and the longest: those tell most about thousands and decimals."""
    if len(texts) <= 2 * _SAMPLE:
        return list(texts)
    return [*texts[:_SAMPLE], *sorted(texts, key=len, reverse=True)[:_SAMPLE]]
