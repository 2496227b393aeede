"""Dates as people write them, with their ISO form: a small translation problem.

Conventions, where writing alone does not tell: numbers separated by slashes, dots or hyphens are
day, month, year unless the year comes first with four digits; a year of two digits is from 1969 to
2068, as in POSIX.
"""

import datetime
from typing import NamedTuple

import numpy as np

from jaxdl.checks import is_whole, positive_int

FIRST, LAST = datetime.date(1969, 1, 1), datetime.date(2068, 12, 31)

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

# d, m, yyyy are numbers, dd and mm have two digits; yy has the last two of the year's.
FORMATS = (
    "{d} {month} {yyyy}",
    "{month} {d}, {yyyy}",
    "{month} {d} {yyyy}",
    "{d} {mon} {yyyy}",
    "{mon} {d}, {yyyy}",
    "{weekday}, {d} {month} {yyyy}",
    "{weekday}, {month} {d}, {yyyy}",
    "{wed}, {d} {mon} {yyyy}",
    "{wed}, {d} {mon} {yy}",
    "the {dth} of {month}, {yyyy}",
    "{dth} of {month} {yyyy}",
    "{month} the {dth}, {yyyy}",
    "{dth} {mon} {yyyy}",
    "{yyyy}, {d} {month}",
    "{dd}-{mon}-{yyyy}",
    "{d} {mon} '{yy}",
    "{dd}/{mm}/{yyyy}",
    "{d}/{m}/{yyyy}",
    "{dd}/{mm}/{yy}",
    "{dd}.{mm}.{yyyy}",
    "{d}.{m}.{yy}",
    "{dd}-{mm}-{yyyy}",
    "{yyyy}-{mm}-{dd}",
    "{yyyy}/{mm}/{dd}",
    "{yyyy}{mm}{dd}",
)


class Dates(NamedTuple):
    """Texts as they are written, and the same dates as ``yyyy-mm-dd``; N strings each."""

    texts: list[str]
    iso: list[str]


def written(date: datetime.date, format: str) -> str:
    """A date in one of ``FORMATS``, or in another template of the same fields.

    >>> written(datetime.date(1999, 3, 3), "the {dth} of {month}, {yyyy}")
    'the 3rd of March, 1999'
    """
    d, m = date.day, date.month
    month, weekday = MONTHS[m - 1], WEEKDAYS[date.weekday()]
    return format.format(
        d=d,
        m=m,
        dd=f"{d:02}",
        mm=f"{m:02}",
        yyyy=f"{date.year:04}",
        yy=f"{date.year % 100:02}",
        dth=f"{d}{ordinal_ending(d)}",
        month=month,
        mon=month[:3],
        weekday=weekday,
        wed=weekday[:3],
    )


def ordinal_ending(number: int) -> str:
    """``st``, ``nd``, ``rd`` or ``th``, as in 1st, 2nd, 3rd, 4th, and 11th to 13th.

    >>> [f"{n}{ordinal_ending(n)}" for n in (1, 12, 22, 23)]
    ['1st', '12th', '22nd', '23rd']
    """
    if number % 100 in (11, 12, 13):
        return "th"
    return {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")


def make_dates(
    seed: int,
    num_train: int = 20_000,
    num_test: int = 1_000,
    *,
    first: datetime.date = FIRST,
    last: datetime.date = LAST,
    test_share: float = 0.1,
    formats: tuple[str, ...] = FORMATS,
) -> tuple[Dates, Dates]:
    """A training and a test part whose dates differ: no date of one is in the other.

    Of all days from ``first`` to ``last``, a share of ``test_share``, by lot, is kept for the test
    part. Each example is a day of its part and a format, both uniform; one in ten is in small
    letters, one in ten in capitals.

    Raises a ValueError for sizes under 1, for days beyond 1969 to 2068, which years of two digits
    would not tell apart, and where a part has no day.

    >>> train, test = make_dates(0, 2, 1)
    >>> train.texts[0], train.iso[0]
    ('1/5/2023', '2023-05-01')
    """
    num_train, num_test = positive_int("num_train", num_train), positive_int("num_test", num_test)
    if not is_whole(seed) or seed < 0:
        raise ValueError(f"seed must be a whole number from 0 on, not {seed!r}")
    if not FIRST <= first <= last <= LAST:
        raise ValueError(f"days must be from {FIRST} to {LAST}, not from {first} to {last}")
    rng = np.random.default_rng(seed)
    days = rng.permutation(np.arange(first.toordinal(), last.toordinal() + 1))
    num_held = round(test_share * len(days))
    if not 0 < num_held < len(days):
        raise ValueError(f"a test_share of {test_share} leaves a part without any of the days")
    draw = lambda days, n: _draw(rng, days, n, formats)
    return draw(days[num_held:], num_train), draw(days[:num_held], num_test)


def _draw(rng, days, n, formats):
    chosen = map(datetime.date.fromordinal, rng.choice(days, n).tolist())
    which, case = rng.integers(0, len(formats), n), rng.integers(0, 10, n)
    change = {0: str.lower, 1: str.upper}
    texts, iso = [], []
    for date, f, c in zip(chosen, which.tolist(), case.tolist(), strict=True):
        texts.append(change.get(c, str)(written(date, formats[f])))
        iso.append(date.isoformat())
    return Dates(texts, iso)
