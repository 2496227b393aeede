"""How the dates of a column are written, and what is made of them.

A form is one order of year, month and day for all cells of a column: ``2024-03-05``, ``5.3.2024``,
``03/05/2024``, ``5 March 2024``, ``Mar 5, 2024``, ``20240305``, ``2024-03``, ``2024 Q1``, each but
the last three with a time of day behind it, or a time alone. Time zones are not looked at: it is
the clock on the wall that customs go by.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from jaxdl.data.dates import MONTHS

_MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
_CLOCK = (
    r"(?P<H>\d{1,2}):(?P<M>\d\d)(?::(?P<S>\d\d)(?P<f>[.,]\d+)?)?\s*(?P<half>[AaPp]\.?[Mm]\.?)?"
    r"\s*(?:Z|UTC|GMT|[+-]\d\d:?\d\d)?"
)
_THEN = rf"(?:(?:[T,]\s*|\s+){_CLOCK})?"
_MON, _YEAR = r"(?P<mon>[A-Za-z]{3,9})\.?", r"(?P<y>\d{4}|\d\d)"
_DAYNAME = r"(?:[A-Za-z]{3,9}\.?,?\s+)?"
_LONGEST = 60  # characters: what has more is no date, and would take a while
_SHORT = rf"(?s:(?=.{{0,{_LONGEST}}}\Z))"
_FORMS = {
    "ymd": rf"(?P<y>\d{{4}})([-/.])(?P<m>\d{{1,2}})\2(?P<d>\d{{1,2}}){_THEN}",
    "dmy": rf"(?P<d>\d{{1,2}})([-/.])(?P<m>\d{{1,2}})\2{_YEAR}{_THEN}",
    "mdy": rf"(?P<m>\d{{1,2}})([-/.])(?P<d>\d{{1,2}})\2{_YEAR}{_THEN}",
    "d month y": rf"{_DAYNAME}(?P<d>\d{{1,2}})[-. ]+{_MON}[-, ]+{_YEAR}{_THEN}",
    "month d, y": rf"{_DAYNAME}{_MON}\s+(?P<d>\d{{1,2}}),?\s+(?P<y>\d{{4}}){_THEN}",
    "yyyymmdd": r"(?P<y>\d{4})(?P<m>\d\d)(?P<d>\d\d)",
    "y-m": r"(?P<y>\d{4})[-/](?P<m>\d{1,2})",
    "month y": rf"{_MON}[-, ]+{_YEAR}",
    "y quarter": r"(?P<y>\d{4})[- ]?[Qq](?P<q>\d)",
    "time": _CLOCK,
}
FORMS = {form: re.compile(_SHORT + pattern) for form, pattern in _FORMS.items()}
_ABSENT = {"y": 1970, "m": 1, "d": 1, "H": 0, "M": 0, "S": 0, "half": 0, "f": 0.0}
_BLANKS = re.compile(r"[^\S\n]")
_ALL_ZERO = bytes.maketrans(b"123456789", b"000000000")
_ZEROS = str.maketrans("123456789", "000000000")
_DAY = 86400.0
_SAMPLE, _FEW = 200, 16


class Dates(NamedTuple):
    """A form that fits a column, and whether day and month could as well be exchanged."""

    form: str
    ambiguous: bool


def parse(texts: Sequence[str], form: str) -> np.ndarray:
    """Seconds [U] since 1970 on the clock on the wall, float64; NaN for what is no such date.

    Texts that differ in digits alone are matched once, and cut at the same places.

    >>> parse(["1970-01-02 01:00", "1970-02-30"], "ymd").tolist(), parse(["2.1.70"], "dmy").tolist()
    ([90000.0, nan], [86400.0])
    """
    return _parsed(len(texts), _alike(texts), form)


def _parsed(size: int, alike: Sequence["Alike"], form: str) -> np.ndarray:
    # Parts that no text has stay scalars: most columns have no time of day.
    parts = _ABSENT | {"y": np.full(size, _ABSENT["y"])}
    known = np.zeros(size, bool)
    for rows, shape, digits in alike:
        match = _match(form, shape)
        if match is None:
            continue
        known[rows] = True
        for name, text in match.groupdict().items():
            if text is not None:
                start, end = match.span(name)
                part, value = _part(name, text, digits[:, start:end])
                if np.ndim(parts[part]) == 0:
                    parts[part] = np.full(size, parts[part])
                parts[part][rows] = value
    if form == "yyyymmdd":  # of other years they are numbers
        known &= (1800 <= parts["y"]) & (parts["y"] < 2100)
    return np.where(known, _seconds(parts), np.nan)


class Alike(NamedTuple):
    """Rows [n] whose texts differ in digits alone, one of those with zeros for all digits, and what
    its characters stand for as digits in each, [n, C]."""

    rows: np.ndarray | slice
    shape: bytes
    digits: np.ndarray


def _alike(texts: Sequence[str]) -> list[Alike]:
    """Texts by their shapes; those that are too long for a date are left out."""
    lines = "\n".join(texts)
    if lines.count("\n") >= len(texts):
        lines = "\n".join(text.replace("\n", "\0") for text in texts)
    if not lines.isascii():
        lines = _BLANKS.sub(" ", lines)
    written = lines.encode("ascii", "replace") + b"\n"
    shapes = written.translate(_ALL_ZERO)
    first = shapes[: shapes.index(b"\n") + 1]
    if len(shapes) == len(first) * len(texts) and shapes == first * len(texts):
        if len(first) > _LONGEST + 1:
            return []
        return [Alike(slice(None), first[:-1], _digits(written, len(texts))[:, :-1])]
    cells, found = written[:-1].split(b"\n"), {}
    for k, shape in enumerate(shapes[:-1].split(b"\n")):
        found.setdefault(shape, []).append(k)
    return [
        Alike(np.array(rows), shape, _digits(b"".join([cells[k] for k in rows]), len(rows)))
        for shape, rows in found.items()
        if len(shape) <= _LONGEST
    ]


def _digits(signs: bytes, rows: int) -> np.ndarray:
    """What the characters of texts of C each, one behind the other, stand for as digits, [rows, C]."""
    return np.frombuffer(signs, np.uint8).reshape(rows, -1).astype(np.int64) - ord("0")


@lru_cache(1 << 12)
def _match(form: str, shape: bytes) -> re.Match | None:
    return FORMS[form].fullmatch(shape.decode())


def _part(name: str, text: str, digits: np.ndarray) -> tuple[str, np.ndarray | int]:
    """Which part of a date a group of a match is, and its value, for each row of digits [n, c]."""
    if name == "mon":
        return "m", _month(text)
    if name == "half":
        return "half", 1 + (text[0] in "pP")
    if name == "f":
        return "f", digits[:, 1:] @ 10.0 ** -np.arange(1.0, len(text))
    value = digits @ 10 ** np.arange(len(text))[::-1]
    if name == "q":
        return "m", 3 * value - 2
    if name == "y" and len(text) == 2:  # as POSIX reads two digits
        value += np.where(value >= 69, 1900, 2000)
    return name, value


def _seconds(parts: dict[str, np.ndarray | float]) -> np.ndarray:
    """Seconds since 1970 [U] from the parts of dates, [U] or one for all; NaN where there is none."""
    year, month, day, hour, minute, second, half, fraction = parts.values()
    months = np.asarray(12 * (year - 1970) + month - 1).astype("datetime64[M]")
    first, end = (m.astype("datetime64[D]").astype(np.int64) for m in (months, months + 1))
    real = (year > 0) & (1 <= month) & (month <= 12) & (1 <= day) & (day <= end - first)
    real &= (hour <= 24) & (minute <= 59) & (second <= 60)
    real &= (half == 0) | ((1 <= hour) & (hour <= 12))
    hour = np.where(half == 0, hour, hour % 12 + 12 * (half == 2))
    clock = 3600 * hour + 60 * minute + second + fraction
    return np.where(real, (first + day - 1) * _DAY + clock, np.nan)


def seconds_of(times: np.ndarray) -> np.ndarray:
    """NumPy's datetimes [N] as seconds since 1970, NaN where there is none."""
    seconds = times.astype("datetime64[us]").astype(np.int64) / 1e6
    return np.where(np.isnat(times), np.nan, seconds)


def _month(name: str) -> int:
    """1 to 12, and 0 for what is no month."""
    short, full = name.lower()[:3], name.lower()
    if short not in _MONTHS:
        return 0
    k = _MONTHS.index(short) + 1
    return k if full in (short, MONTHS[k - 1].lower(), "sept") else 0


def find_form(texts: Sequence[str], comma: bool = False, share: float = 0.95) -> Dates | None:
    """The form that ``share`` of the texts at least have, if there is one.

    Where day and month could be exchanged throughout, dots speak for the day first, and so does
    ``comma``, which says that a decimal comma is likely here; else the month comes first.

    >>> find_form(["3/14/15", "2/1/16"]), find_form(["1.2.2015", "3.4.2015"])
    (Dates(form='mdy', ambiguous=False), Dates(form='dmy', ambiguous=True))
    >>> find_form(["12", "13"]) is None
    True
    """
    found = find_and_parse(texts, comma, share, only_some=True)
    return found and found[0]


def find_and_parse(
    texts: Sequence[str], comma: bool = False, share: float = 0.95, *, only_some: bool = False
) -> tuple[Dates, np.ndarray] | None:
    """``find_form`` and ``parse`` under it; ``only_some``: no more than are looked at anyway."""
    some = texts[:: max(1, len(texts) // _SAMPLE)]
    if not some:
        return None
    few, parsed, shares = _few(some), {}, {}
    fitting = frozenset().union(*map(_forms_of, few))
    alike = _alike(some) if fitting else []
    for form in filter(fitting.__contains__, FORMS):
        parsed[form] = _parsed(len(some), alike, form)
        shares[form] = float(np.mean(~np.isnan(parsed[form])))
    best = max(shares.values(), default=0.0)
    if best < share:
        return None
    form, *others = (form for form in shares if shares[form] == best)
    ambiguous = False
    if "dmy" in (form, *others) and "mdy" in others:
        ambiguous = not np.array_equal(parsed["dmy"], parsed["mdy"], equal_nan=True)
        form = "dmy" if comma or "." in some[0] else "mdy"
    whole = only_some or len(some) == len(texts)
    return Dates(form, ambiguous), parsed[form] if whole else parse(texts, form)


def look_like_dates(texts: Sequence[str]) -> bool:
    """Whether a few of the texts all have one form, and none that a number could have."""
    common = frozenset(FORMS).intersection(*map(_forms_of, _few(texts)))
    return bool(common - {"yyyymmdd"})


def _forms_of(text: str) -> frozenset[str]:
    """The forms that a text looks like; digits are all alike."""
    return _forms_of_shape(text.translate(_ZEROS)) if len(text) <= _LONGEST else frozenset()


@lru_cache(1 << 12)
def _forms_of_shape(shape: str) -> frozenset[str]:
    return frozenset(form for form, pattern in FORMS.items() if pattern.fullmatch(shape))


def _few(texts: Sequence[str]) -> Sequence[str]:
    return texts[:: max(1, len(texts) // _FEW)]
