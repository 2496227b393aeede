"""How the dates of a column are written, and what is made of them.

A form is one order of year, month and day for all cells of a column: ``2024-03-05``, ``5.3.2024``,
``03/05/2024``, ``5 March 2024``, ``Mar 5, 2024``, ``20240305``, ``2024-03``, ``2024 Q1``, each but
the last three with a time of day behind it, or a time alone. Time zones are not looked at: it is
the clock on the wall that customs go by.
"""

import datetime
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

_MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
_CLOCK = (
    r"(?P<H>\d{1,2}):(?P<M>\d\d)(?::(?P<S>\d\d)(?P<f>[.,]\d+)?)?\s*(?P<half>[AaPp]\.?[Mm]\.?)?"
    r"\s*(?:Z|UTC|GMT|[+-]\d\d:?\d\d)?"
)
_THEN = rf"(?:(?:[T,]\s*|\s+){_CLOCK})?"
_MON, _YEAR = r"(?P<mon>[A-Za-z]{3,9})\.?", r"(?P<y>\d{4}|\d\d)"
_DAYNAME = r"(?:[A-Za-z]{3,9}\.?,?\s+)?"
_SHORT = r"(?s:(?=.{0,60}\Z))"  # what is longer is no date, and would take a while
_FORMS = {
    "ymd": rf"(?P<y>\d{{4}})([-/.])(?P<m>\d{{1,2}})\2(?P<d>\d{{1,2}}){_THEN}",
    "dmy": rf"(?P<d>\d{{1,2}})([-/.])(?P<m>\d{{1,2}})\2{_YEAR}{_THEN}",
    "mdy": rf"(?P<m>\d{{1,2}})([-/.])(?P<d>\d{{1,2}})\2{_YEAR}{_THEN}",
    "d month y": rf"{_DAYNAME}(?P<d>\d{{1,2}})[-. ]+{_MON}[-, ]+{_YEAR}{_THEN}",
    "month d, y": rf"{_DAYNAME}{_MON}\s+(?P<d>\d{{1,2}}),?\s+(?P<y>\d{{4}}){_THEN}",
    "yyyymmdd": r"(?P<y>(?:18|19|20)\d\d)(?P<m>\d\d)(?P<d>\d\d)",
    "y-m": r"(?P<y>\d{4})[-/](?P<m>\d{1,2})",
    "month y": rf"{_MON}[-, ]+{_YEAR}",
    "y quarter": r"(?P<y>\d{4})[- ]?[Qq](?P<q>[1-4])",
    "time": _CLOCK,
}
_DATE, _TIME = ("y", "mon", "m", "q", "d"), ("H", "M", "S", "half", "f")
_absent = lambda pattern: (f"(?P<{g}>(?!))?" for g in _DATE + _TIME if f"<{g}>" not in pattern)
FORMS = {
    form: re.compile(_SHORT + pattern + "".join(_absent(pattern)))
    for form, pattern in _FORMS.items()
}
_ISO = re.compile(r"(?!0000)\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?)?", re.ASCII)
PARTS = ("elapsed", "year", "month", "weekday", "hour")
_DAY = 86400.0
_EPOCH = datetime.date(1970, 1, 1).toordinal()
_SAMPLE = 200


class Dates(NamedTuple):
    """A form that fits a column, and whether day and month could as well be exchanged."""

    form: str
    ambiguous: bool


def parse(texts: Sequence[str], form: str) -> np.ndarray:
    """Seconds [U] since 1970 on the clock on the wall, float64; NaN for what is no such date.

    >>> parse(["1970-01-02 01:00", "1970-02-30"], "ymd").tolist(), parse(["2.1.70"], "dmy").tolist()
    ([90000.0, nan], [86400.0])
    """
    if form == "ymd" and all(map(_ISO.fullmatch, texts)):  # the commonest, by NumPy
        try:
            return np.array(texts, "datetime64[us]").astype(np.int64) / 1e6
        except ValueError:
            pass
    matches = map(FORMS[form].fullmatch, texts)
    return np.array([np.nan if match is None else _seconds(match) for match in matches], np.float64)


def seconds_of(times: np.ndarray) -> np.ndarray:
    """NumPy's datetimes [N] as seconds since 1970, NaN where there is none."""
    seconds = times.astype("datetime64[us]").astype(np.int64) / 1e6
    return np.where(np.isnat(times), np.nan, seconds)


def _seconds(match: re.Match) -> float:
    hour, minute, second, half, fraction = match.group(*_TIME)
    day = _day(*match.group(*_DATE))
    if hour is None:
        return day
    return day + _clock(hour, minute, second, half) + (float("." + fraction[1:]) if fraction else 0)


@lru_cache(1 << 17)
def _clock(hour: str, minute: str, second: str | None, half: str | None) -> float:
    """Seconds since midnight, NaN for no time."""
    h, m, s = int(hour), int(minute), int(second or 0)
    if half:
        if not 1 <= h <= 12:
            return np.nan
        h = h % 12 + (12 if half[0] in "pP" else 0)
    return np.nan if h > 24 or m > 59 or s > 60 else 3600.0 * h + 60 * m + s


@lru_cache(1 << 16)  # there are few days, and many times
def _day(y: str | None, mon: str | None, m: str | None, q: str | None, d: str | None) -> float:
    """Seconds since 1970 of a day from its parts, 0 where there is no year, NaN for no day."""
    if y is None:
        return 0.0
    if mon is not None:
        month = _month(mon)
    else:
        month = 3 * int(q) - 2 if q is not None else int(m)
    year = int(y)
    if len(y) == 2:  # as POSIX reads two digits
        year += 1900 if year >= 69 else 2000
    try:
        return (datetime.date(year, month, int(d or 1)).toordinal() - _EPOCH) * _DAY
    except ValueError:
        return np.nan


def _month(name: str) -> int:
    """1 to 12, and 0 for what is no month."""
    short, full = name.lower()[:3], name.lower()
    if short not in _MONTHS:
        return 0
    k = _MONTHS.index(short) + 1
    whole = datetime.date(2000, k, 1).strftime("%B").lower()
    return k if full in (short, whole, "sept") else 0


def find_form(texts: Sequence[str], comma: bool = False, share: float = 0.95) -> Dates | None:
    """The form that ``share`` of the texts at least have, if there is one.

    Where day and month could be exchanged throughout, dots speak for the day first, and so does
    ``comma``, which says that a decimal comma is likely here; else the month comes first.

    >>> find_form(["3/14/15", "2/1/16"]), find_form(["1.2.2015", "3.4.2015"])
    (Dates(form='mdy', ambiguous=False), Dates(form='dmy', ambiguous=True))
    >>> find_form(["12", "13"]) is None
    True
    """
    some = texts[:: max(1, len(texts) // _SAMPLE)]
    if not some:
        return None
    shares = {
        form: float(np.mean(~np.isnan(parse(some, form)))) if _most(some, form, share) else 0.0
        for form in FORMS
    }
    best = max(shares.values())
    if best < share:
        return None
    found = [form for form, s in shares.items() if s == best]
    if "dmy" in found and "mdy" in found:
        differ = not np.array_equal(parse(some, "dmy"), parse(some, "mdy"), equal_nan=True)
        day_first = comma or "." in some[0]
        return Dates("dmy" if day_first else "mdy", differ)
    return Dates(found[0], False)


def _most(texts: Sequence[str], form: str, share: float) -> bool:
    """Whether a ``share`` of the texts look like this form; soon told where they do not."""
    strays, match = 0, FORMS[form].fullmatch
    for text in texts:
        strays += match(text) is None
        if strays > (1 - share) * len(texts) + 0.5:
            return False
    return True


def parts_that_vary(seconds: np.ndarray, form: str) -> list[str]:
    """Which of PARTS tell dates apart: the year where years differ, the hour where hours do.

    Where all are the same day of their months, they stand for months, and have no weekday.
    """
    seconds = seconds[~np.isnan(seconds)]
    clock = np.unique(np.mod(seconds, _DAY))
    hour = ["hour"] if len(clock) > 1 else []
    if form == "time":
        return ["elapsed", *hour]
    year, month, day = calendar(seconds)
    varies = lambda a: len(np.unique(a)) > 1
    found = ["elapsed"]
    found += ["year"] if varies(year) else []
    found += ["month"] if varies(month) else []
    found += ["weekday"] if varies(day) and varies(_weekday(seconds)) else []
    return found + hour


def parts_that_recur(seconds: np.ndarray, parts: Sequence[str]) -> list[str]:
    """Those of the ``parts`` that come round again, where dates [N] span a whole round of them.

    >>> parts_that_recur(np.array([0.0, 30 * 86400.0]), PARTS)
    ['weekday', 'hour']
    """
    rounds = {"month": 365, "weekday": 7, "hour": 1}
    span = np.ptp(seconds) / _DAY
    return [part for part in parts if part in rounds and span >= rounds[part]]


def calendar(seconds: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Year, month 1 to 12 and day of the month 1 to 31, [N] each."""
    days = np.floor(seconds / _DAY).astype("int64").astype("datetime64[D]")
    months = days.astype("datetime64[M]")
    year = months.astype("datetime64[Y]").astype(int) + 1970
    month = months.astype(int) % 12 + 1
    return year, month, (days - months).astype(int) + 1


def _weekday(seconds: np.ndarray) -> np.ndarray:
    """0 to 6 from Monday on; 1970 began on a Thursday."""
    return np.mod(np.floor(seconds / _DAY) + 3, 7)


def features(seconds: np.ndarray, parts: Sequence[str], origin: float) -> np.ndarray:
    """Columns [N, P] of dates [N]: days since ``origin``, the year, and points on circles.

    ``month``, ``weekday`` and ``hour`` are a sine and a cosine each, so that December lies next to
    January: ``sin(2 pi (month - 1) / 12)``, of the weekday ``/ 7`` and of the hours ``/ 24``.
    NaN where the date is.
    """
    known = ~np.isnan(seconds)
    safe = np.where(known, seconds, origin)
    columns = []
    for part in parts:
        if part == "elapsed":
            columns.append((safe - origin) / _DAY)
        elif part == "year":
            columns.append(calendar(safe)[0].astype(float))
        else:
            turn = {
                "month": lambda: (calendar(safe)[1] - 1) / 12,
                "weekday": lambda: _weekday(safe) / 7,
                "hour": lambda: np.mod(safe, _DAY) / _DAY,
            }[part]()
            columns += [np.sin(2 * np.pi * turn), np.cos(2 * np.pi * turn)]
    return np.where(known[:, None], np.stack(columns, -1), np.nan)


def feature_names(name: str, parts: Sequence[str]) -> list[str]:
    """The names of what ``features`` returns."""
    plain = {"elapsed": [f"{name} (days)"], "year": [f"{name} (year)"]}
    circle = lambda part: [f"{name} ({part}, {f})" for f in ("sine", "cosine")]
    return [n for part in parts for n in plain.get(part) or circle(part)]
