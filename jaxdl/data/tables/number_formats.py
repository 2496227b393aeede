"""How the numbers of a column are written: one Format for all of its cells.

``1234.5``, ``1,234.5``, ``1.234,5``, ``1 234,5``, ``$1,234.50``, ``12 %``, ``(1,234)`` for a
negative, ``37 kg``. Nothing is guessed cell by cell: a column has one decimal sign and one unit.
"""

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
_BLANK = r"[^\S\n]*+"
_UNITS = re.compile(
    rf"(?m)^{_BLANK}\(?[+-]?{_BLANK}"
    rf"((?:[A-Za-z]{{0,3}}[$€£¥₹₩₽]|(?:EUR|USD|GBP|CHF|JPY|CNY|INR)[^\S\n])?){_BLANK}[+-]?"
    rf"(?:[^\S\n]|[.,'])*+\d(?:[^\S\n]|[\d.,'])*+(?:[eE][+-]?\d++)?+{_BLANK}"
    rf"([^\d\s.,'()+-][^\d\s.,'()]{{0,9}})?\)?{_BLANK}$"
)
_SAMPLE, _SOME, _FEW = 100, 10_000, 20
_BLOCKS = (1 << 6, 1 << 12)  # texts that are read at once: at first, and at most


def plain(text: str, how: Format) -> str | None:
    """A cell as Python writes the number, ``"-1234.5"``; None if it is no number of this Format.

    >>> plain("(1.234,5)", Format(",", ".")), plain("$-3", Format(before="$")), plain("3x", PLAIN)
    ('-1234.5', '-3', None)
    """
    found = re.fullmatch(_cell(how), _usual(text.strip()))
    if found is None:
        return None
    minus = "-" if _is_negative(found["sign"]) else ""
    return minus + _with_point(found["number"], how)


def _usual(text: str) -> str:
    """A text with the usual spaces and signs; ``str.translate`` takes a hundred times as long."""
    if not text.isascii():
        for odd, usual in _USUAL.items():
            text = text.replace(odd, usual)
    return text


def _is_negative(sign: str) -> bool:
    return "-" in sign or "(" in sign


def _with_point(numbers: str, how: Format) -> str:
    return numbers.replace(how.thousands, "").replace(how.decimal, ".")


@cache
def _number(how: Format) -> str:
    """The expression for digits without a sign."""
    decimal, whole = re.escape(how.decimal), r"\d++"
    if how.thousands:
        whole = rf"(?:[1-9]\d{{0,2}}(?:{re.escape(how.thousands)}\d{{3}})++|\d++)"
    return rf"(?:{whole}(?:{decimal}\d*+)?|{decimal}\d++)(?:[eE][+-]?\d++)?"


@cache
def _cell(how: Format) -> str:
    """The expression for a cell: what stands before the ``number``, its ``sign`` in it, and that.

    The sign stands on one side of the unit, or parentheses do for it.
    """
    unit = re.escape(how.before) + _BLANK if how.before else ""
    sign = rf"(?P<open>\(){_BLANK}{unit}|[+-]{_BLANK}{unit}|{unit}[+-]{_BLANK}|{unit}"
    number = rf"(?P<number>{_number(how)}|(?i:inf(?:inity)?))"
    after = _BLANK + re.escape(how.after) if how.after else ""
    return rf"{_BLANK}(?P<sign>{sign}){number}{after}{_BLANK}(?(open)\)){_BLANK}"


@cache
def _line(how: Format) -> re.Pattern:
    """What finds each line once, with the groups of a cell if it is a number."""
    return re.compile(rf"(?m)^(?:{_cell(how)}|.*)$")


@cache
def _simple_lines(how: Format) -> re.Pattern:
    """What all lines fit that are as simple as can be: a unit in front has no sign beside it."""
    line = rf"{re.escape(how.before) or '[+-]?'}{_number(how)} ?{re.escape(how.after)}"
    return re.compile(rf"(?:{line}\n)*+{line}")


def _lines(texts: Sequence[str]) -> str:
    """Texts as one, a line each, in the usual signs: for one search instead of one for each."""
    lines = "\n".join(texts)
    if lines.count("\n") >= len(texts):
        lines = "\n".join(text.strip().replace("\n", "\0") for text in texts)
    return _usual(lines)


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
    if not len(texts):
        return np.zeros(0)
    lines = _lines(texts)
    if _simple_lines(how).fullmatch(lines):
        bare = f"\n{lines}\n".replace(f"\n{how.before}", "\n").replace(f"{how.after}\n", "\n")
        return np.array([*map(float, _with_point(bare[1:-1], how).split("\n"))])
    found = _line(how).findall(lines)
    points = _with_point("\n".join([number or "nan" for _, _, number in found]), how)
    numbers = np.array([*map(float, points.split("\n"))])
    return np.where([_is_negative(sign) for sign, _, _ in found], -numbers, numbers)


def find_format(texts: Sequence[str], comma: bool = False) -> Format:
    """The Format under which most texts are numbers; ``comma``: where a decimal comma is likelier.

    >>> find_format(["1,234", "17", "1,234,567.5"])
    Format(decimal='.', thousands=',', before='', after='')
    >>> find_format(["3 %", "4.5 %"]).after, find_format(["0,5", "1,25"]).decimal
    ('%', ',')
    """
    some = _sample(texts)
    if _are_numbers(some, PLAIN):
        return PLAIN
    lines = _lines(some)
    units = Counter(_UNITS.findall(lines))
    if not units:
        return PLAIN
    before, after = units.most_common(1)[0][0]
    found = [
        Format(decimal, thousands, before.strip(), after)
        for decimal, thousands in (_COMMA if comma else _POINT)
        if (thousands or decimal) in lines or decimal == "."  # else an earlier one does as well
    ]
    few = _few(some)
    best, most = found[0], -1.0
    for how in found:  # the first of equals
        share = _share(some, how) if _share(few, how) else 0.0
        if share > most:
            best, most = how, share
        if share == 1:
            return how
    if most:
        return best
    return max(found, key=lambda how: _share(some, how))  # what numbers there are is not in the few


def parse_most(
    texts: Sequence[str], counts: np.ndarray, how: Format, share: float
) -> np.ndarray | None:
    """``parse``, but None as soon as fewer than a ``share`` of the cells can be numbers.

    ``counts`` [U]: how many cells have each text.
    """
    parts, left = [], counts.sum()
    needed = share * left - 0.5  # whoever rounds, the last cell decides elsewhere
    start, (size, most) = 0, _BLOCKS
    while start < len(texts):
        part = parse(texts[start : start + size], how)
        left -= counts[start : start + size][np.isnan(part)].sum()
        if left < needed:
            return None
        parts.append(part)
        start, size = start + size, min(2 * size, most)
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
    others = [other for other in others if _are_numbers(some, other)]
    read = parse(some, how) if others else None
    for other in others:
        differ = read != parse(some, other)
        if differ.any():
            return some[int(np.argmax(differ))]
    return None


def _are_numbers(texts: Sequence[str], how: Format) -> bool:
    """Whether all texts are numbers of a Format; a few tell most that are not."""
    return not any(np.isnan(parse(part, how)).any() for part in (texts[:1], _few(texts), texts))


def _share(texts: Sequence[str], how: Format) -> float:
    return 1 - np.count_nonzero(np.isnan(parse(texts, how))) / len(texts)


def _few(texts: Sequence[str]) -> Sequence[str]:
    return texts[:: max(1, len(texts) // _FEW)]


def _sample(texts: Sequence[str]) -> list[str]:
    """Texts from all over, and the longest: those tell most about thousands and decimals."""
    if len(texts) <= 2 * _SAMPLE:
        return list(texts)
    some = texts[:: max(1, len(texts) // _SOME)]
    return [*some[:: len(some) // _SAMPLE], *sorted(some, key=len, reverse=True)[:_SAMPLE]]
