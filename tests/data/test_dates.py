"""Dates: each format by hand, parsed back by another library, and parts that share no day."""

import datetime

import pytest

from jaxdl.data import dates
from jaxdl.data.dates import FORMATS, make_dates, ordinal_ending, written

DAY = datetime.date(1999, 3, 3)


def test_a_wednesday_in_all_formats():
    assert [written(DAY, f) for f in FORMATS] == [
        "3 March 1999", "March 3, 1999", "March 3 1999", "3 Mar 1999", "Mar 3, 1999",
        "Wednesday, 3 March 1999", "Wednesday, March 3, 1999", "Wed, 3 Mar 1999", "Wed, 3 Mar 99",
        "the 3rd of March, 1999", "3rd of March 1999", "March the 3rd, 1999", "3rd Mar 1999",
        "1999, 3 March", "03-Mar-1999", "3 Mar '99", "03/03/1999", "3/3/1999", "03/03/99",
        "03.03.1999", "3.3.99", "03-03-1999", "1999-03-03", "1999/03/03", "19990303",
    ]  # fmt: skip


def test_numbers_are_day_before_month():
    late = datetime.date(2007, 12, 5)
    assert written(late, "{dd}/{mm}/{yy}") == "05/12/07"
    assert written(late, "{d}.{m}.{yy}") == "5.12.07"


STRPTIME = {
    "{d} {month} {yyyy}": "%d %B %Y",
    "{wed}, {d} {mon} {yy}": "%a, %d %b %y",
    "{weekday}, {month} {d}, {yyyy}": "%A, %B %d, %Y",
    "{dd}/{mm}/{yy}": "%d/%m/%y",
    "{d} {mon} '{yy}": "%d %b '%y",
    "{yyyy}{mm}{dd}": "%Y%m%d",
    "{dd}-{mon}-{yyyy}": "%d-%b-%Y",
}


@pytest.mark.parametrize("format", STRPTIME)
def test_the_standard_library_reads_them_back(format):
    """Years of two digits too: POSIX takes 69 to 99 for the last century, as FIRST and LAST do."""
    assert format in FORMATS
    day = dates.FIRST
    while day <= dates.LAST:
        text = written(day, format)
        assert datetime.datetime.strptime(text, STRPTIME[format]).date() == day
        day += datetime.timedelta(days=997)
    for day in (dates.FIRST, dates.LAST):
        assert datetime.datetime.strptime(written(day, format), STRPTIME[format]).date() == day


def test_ordinals():
    assert [ordinal_ending(n) for n in (1, 2, 3, 4, 10, 11, 12, 13, 20, 21, 22, 23, 30, 31)] == [
        "st", "nd", "rd", "th", "th", "th", "th", "th", "th", "st", "nd", "rd", "th", "st",
    ]  # fmt: skip


def test_every_text_is_of_its_day_and_parts_share_none():
    first, last = datetime.date(2020, 1, 1), datetime.date(2020, 12, 31)
    train, test = make_dates(0, 3000, 400, first=first, last=last)
    assert (len(train.texts), len(test.texts)) == (3000, 400)
    assert not set(train.iso) & set(test.iso)
    assert len(set(train.iso)) > 320 and 30 < len(set(test.iso)) <= 37
    cases = 0
    for text, iso in zip(train.texts + test.texts, train.iso + test.iso, strict=True):
        day = datetime.date.fromisoformat(iso)
        assert first <= day <= last
        forms = [written(day, f) for f in FORMATS]
        assert text in {*forms, *map(str.lower, forms), *map(str.upper, forms)}
        cases += text not in forms
    assert 0.1 < cases / 3400 < 0.2  # two in ten, less those without letters


def test_no_text_has_two_meanings():
    """The conventions leave nothing open: over all days, a text belongs to one of them."""
    meanings = {}
    day = dates.FIRST
    while day <= dates.LAST:
        for f in FORMATS:
            assert meanings.setdefault(written(day, f).lower(), day) == day
        day += datetime.timedelta(days=7)


def test_seeds_decide_all():
    assert make_dates(4, 30, 10) == make_dates(4, 30, 10) != make_dates(5, 30, 10)
    train, _ = make_dates(0, 50, 1, formats=("{yyyy}{mm}{dd}",))
    assert train.texts == [iso.replace("-", "") for iso in train.iso]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_train": 0}, "num_train must be a positive whole number"),
        ({"first": datetime.date(1968, 12, 31)}, "days must be from 1969-01-01 to 2068-12-31"),
        ({"first": dates.LAST, "last": dates.FIRST}, "not from 2068-12-31 to 1969-01-01"),
        ({"test_share": 1.0}, "leaves a part without any"),
        ({"test_share": 0.0}, "leaves a part without any"),
    ],
)
def test_messages(options, message):
    with pytest.raises(ValueError, match=message):
        make_dates(0, **{"num_train": 5, "num_test": 5, **options})
    with pytest.raises(ValueError, match="seed must be"):
        make_dates(0.5)
