"""How the numbers of a column are written: one Format for all of its cells.

``1234.5``, ``1,234.5``, ``1.234,5``, ``1 234,5``, ``$1,234.50``, ``12 %``, ``(1,234)`` for a
negative, ``37 kg``. Nothing is guessed cell by cell: a column has one decimal sign and one unit.
"""

import heapq
import re
from collections import Counter
from collections.abc import Sequence
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
_USUAL = {"\u00a0": " ", "\u202f": " ", "\u2009": " ", "’": "'", "−": "-"}
# Nothing that is matched once is given back (``*+``), so that no text takes more than one pass.
_UNITS = re.compile(
    r"\(?[+-]?\s*+(?P<before>(?:[A-Za-z]{0,3}[$€£¥₹₩₽]|(?:EUR|USD|GBP|CHF|JPY|CNY|INR)\s)?)\s*+[+-]?"
    r"\s*+[.,' ]*+\d[\d.,' ]*+(?:[eE][+-]?\d++)?+\s*+(?P<after>[^\d\s.,'()+-][^\d\s.,'()]{0,9})?\)?"
)
_SAMPLE, _SOME = 100, 10_000
_BLOCK = 1 << 12


def plain(text: str, how: Format) -> str | None:
    """A cell as Python writes the number, ``"-1234.5"``; None if it is no number of this Format.

    >>> plain("(1.234,5)", Format(",", ".")), plain("$-3", Format(before="$")), plain("3x", PLAIN)
    ('-1234.5', '-3', None)
    """
    found = _cell(how).fullmatch(_usual(text))
    return found and _rewritten(found, how)


def _usual(text: str) -> str:
    """A text with the usual spaces and signs; ``str.translate`` takes a hundred times as long."""
    if not text.isascii():
        for odd, usual in _USUAL.items():
            text = text.replace(odd, usual)
    return text


def _rewritten(cell: re.Match, how: Format) -> str | None:
    negative, sign, inner, number = cell.group("open", "sign", "inner", "number")
    if (sign or inner) and (negative or (sign and inner)):
        return None
    if how.thousands:
        number = number.replace(how.thousands, "")
    minus = "-" if negative or "-" in (sign, inner) else ""
    return minus + number.replace(how.decimal, ".")


@cache
def _number(decimal: str, thousands: str) -> str:
    """The expression for digits without a sign."""
    d, whole = re.escape(decimal), r"\d++"
    if thousands:
        whole = rf"(?:[1-9]\d{{0,2}}(?:{re.escape(thousands)}\d{{3}})++|\d++)"
    return rf"(?:{whole}(?:{d}\d*+)?|{d}\d++)(?:[eE][+-]?\d++)?"


@cache
def _cell(how: Format) -> re.Pattern:
    before = (
        rf"{re.escape(how.before)}\s*+(?P<inner>[+-])?\s*+" if how.before else "(?P<inner>(?!))?"
    )
    after = rf"\s*+{re.escape(how.after)}" if how.after else ""
    number = rf"(?P<number>{_number(how.decimal, how.thousands)}|(?i:inf(?:inity)?))"
    return re.compile(
        rf"\s*+(?P<open>\()?\s*+(?P<sign>[+-])?\s*+{before}{number}{after}\s*+(?(open)\))\s*+"
    )


def parse(texts: Sequence[str], how: Format = PLAIN) -> np.ndarray:
    """The numbers [U] of texts, float64; NaN for what is none.

    >>> parse(["1,5", "2", "x"], Format(",")).tolist()
    [1.5, 2.0, nan]
    """
    if how == PLAIN:
        try:  # most columns are as Python reads them; what it reads besides is left to the pattern
            numbers = np.array([*map(float, texts)])
            if np.isfinite(numbers).all() and "_" not in "".join(texts):
                return numbers
        except ValueError:
            pass
    if not how.before and not how.after:
        whole = re.compile(f"[+-]?{_number(how.decimal, how.thousands)}").fullmatch
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
    if not units:
        return PLAIN
    (before, after), _ = units.most_common(1)[0]
    signs = set(_usual("".join(some)))
    found = [
        Format(decimal, thousands, (before or "").strip(), after or "")
        for decimal, thousands in (_COMMA if comma else _POINT)
        if (thousands or decimal) in signs | {"."}  # else it reads all as an earlier one does
    ]
    best, most = found[0], 0.0
    for how in found:  # the first of equals
        share = _share(some, how)
        if share > most:
            best, most = how, share
        if share == 1:
            break
    return best


def parse_most(
    texts: Sequence[str], counts: np.ndarray, how: Format, share: float
) -> np.ndarray | None:
    """``parse``, but None as soon as fewer than a ``share`` of the cells can be numbers.

    ``counts`` [U]: how many cells have each text.
    """
    parts, left = [], counts.sum()
    needed = share * left - 0.5  # whoever rounds, the last cell decides elsewhere
    for k in range(0, len(texts), _BLOCK):
        part = parse(texts[k : k + _BLOCK], how)
        left -= counts[k : k + _BLOCK][np.isnan(part)].sum()
        if left < needed:
            return None
        parts.append(part)
    return np.concatenate([np.zeros(0), *parts])


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
    return _UNITS.fullmatch(_usual(text).strip())


def _share(texts: Sequence[str], how: Format) -> float:
    return sum(plain(text, how) is not None for text in texts) / len(texts)


def _sample(texts: Sequence[str]) -> list[str]:
    """Texts from all over, and the longest: those tell most about thousands and decimals."""
    if len(texts) <= 2 * _SAMPLE:
        return list(texts)
    some = texts[:: max(1, len(texts) // _SOME)]
    return [*some[:: len(some) // _SAMPLE], *heapq.nlargest(_SAMPLE, some, key=len)]
