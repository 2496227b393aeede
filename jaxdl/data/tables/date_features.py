"""What is made of dates: elapsed days, and what varies of year, month, weekday and hour."""

from collections.abc import Sequence

import numpy as np

PARTS = ("elapsed", "year", "month", "weekday", "hour")
_DAY = 86400.0


def parts_that_vary(seconds: np.ndarray, form: str) -> list[str]:
    """Which of PARTS tell dates apart: the year where years differ, the hour where hours do.

    Where all are the same day of their months, they stand for months, and have no weekday.
    """
    seconds = seconds[~np.isnan(seconds)]
    varies = lambda a: bool((a != a[:1]).any())
    hour = ["hour"] if varies(np.mod(seconds, _DAY)) else []
    if form == "time":
        return ["elapsed", *hour]
    year, month, day = calendar(seconds)
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
    year, month, _ = calendar(safe if {"year", "month"} & {*parts} else safe[:0])
    columns = []
    for part in parts:
        if part == "elapsed":
            columns.append((safe - origin) / _DAY)
        elif part == "year":
            columns.append(year.astype(float))
        else:
            turn = {
                "month": lambda: (month - 1) / 12,
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
