"""Dates as people write them; Python's datetime is the oracle."""

import datetime

import numpy as np
import pytest

from jaxdl.data.tables import date_features, date_forms


def seconds(*when):
    epoch = datetime.datetime(1970, 1, 1)
    return (datetime.datetime(*when) - epoch).total_seconds()


LEAP = (2024, 2, 29)
COLUMNS = {  # form, texts, what they are
    "iso": ("ymd", ["2024-02-29", "1969-12-31"], [LEAP, (1969, 12, 31)]),
    "iso time": ("ymd", ["2024-02-29T13:05:07", "2024-02-29 00:00"], [(*LEAP, 13, 5, 7), LEAP]),
    "fractions": ("ymd", ["2024-02-29 13:05:07.25", "2024-02-29 13:05:07.5"],
                  [(*LEAP, 13, 5, 7, 250_000), (*LEAP, 13, 5, 7, 500_000)]),
    "zones": ("ymd", ["2024-02-29T13:05Z", "2024-02-29T13:05+02:00"], [(*LEAP, 13, 5)] * 2),
    "slashes": ("ymd", ["2024/2/29", "2024/10/1"], [LEAP, (2024, 10, 1)]),
    "german": ("dmy", ["29.2.2024", "1.10.24"], [LEAP, (2024, 10, 1)]),
    "british": ("dmy", ["29/02/2024", "01/10/2024"], [LEAP, (2024, 10, 1)]),
    "american": ("mdy", ["2/29/2024", "10/01/1999 1:05 PM"], [LEAP, (1999, 10, 1, 13, 5)]),
    "names": ("d month y", ["29 February 2024", "1-Oct-69", "Thu, 1 Oct 2020"],
              [LEAP, (1969, 10, 1), (2020, 10, 1)]),
    "names first": ("month d, y", ["Feb 29, 2024", "October 1 1999"], [LEAP, (1999, 10, 1)]),
    "digits": ("yyyymmdd", ["20240229", "19991001", "19991002"],
               [LEAP, (1999, 10, 1), (1999, 10, 2)]),
    "months": ("y-m", ["2024-02", "1999/10"], [(2024, 2, 1), (1999, 10, 1)]),
    "named months": ("month y", ["Feb 2024", "Sept-99"], [(2024, 2, 1), (1999, 9, 1)]),
    "quarters": ("y quarter", ["2024 Q1", "1999q4"], [(2024, 1, 1), (1999, 10, 1)]),
    "blanks": ("month d, y", ["Feb\u00a029, 2024", "Oct 1, 1999 1:05\u202fPM"],
               [LEAP, (1999, 10, 1, 13, 5)]),
    "clock": ("time", ["13:05", "1:05:07 am", "12:00 AM"],
              [(1970, 1, 1, 13, 5), (1970, 1, 1, 1, 5, 7), (1970, 1, 1)]),
}  # fmt: skip


@pytest.mark.parametrize("name", COLUMNS)
def test_forms(name):
    form, texts, when = COLUMNS[name]
    assert date_forms.find_form(texts) == date_forms.Dates(form, False)
    np.testing.assert_array_equal(date_forms.parse(texts, form), [seconds(*w) for w in when])


@pytest.mark.parametrize(
    "text",
    ["2023-02-29", "2024-13-01", "2024-00-10", "0000-01-01", "29-02-2024x", "2024-02-29 25:00",
     "2024-02-29 10:61", "", "5", "now"],
)  # fmt: skip
def test_what_is_no_date(text):
    assert np.isnan(date_forms.parse([text, "2024-02-28"], "ymd"))[0]


@pytest.mark.parametrize(
    ("texts", "comma", "form", "ambiguous"),
    [
        (["03/04/2024", "05/06/2024"], False, "mdy", True),
        (["03/04/2024", "05/06/2024"], True, "dmy", True),
        (["03.04.2024", "05.06.2024"], False, "dmy", True),
        (["03/03/2024", "05/05/2024"], False, "mdy", False),  # either way the same
        (["03/04/2024", "25/06/2024"], False, "dmy", False),
    ],
)
def test_day_and_month_that_could_be_exchanged(texts, comma, form, ambiguous):
    assert date_forms.find_form(texts, comma) == date_forms.Dates(form, ambiguous)


@pytest.mark.parametrize(
    "texts",
    [["a", "b"], ["10140119", "17991231"], ["1.5", "2.5"], ["1999", "2000"], ["A-12", "B-13"], []],
)
def test_columns_without_dates(texts):
    assert date_forms.find_form(texts) is None


@pytest.mark.parametrize(
    ("texts", "form", "parts"),
    [
        (["2024-02-29", "2024-02-28"], "ymd", ["elapsed", "weekday"]),
        (["2024-02-01", "2024-03-01", "2025-03-01"], "ymd", ["elapsed", "year", "month"]),
        (["2024-01-01", "2025-01-01"], "ymd", ["elapsed", "year"]),
        (["2024-01-01 10:00", "2024-01-01 11:30"], "ymd", ["elapsed", "hour"]),
        (["2024-01-01", "2024-01-08"], "ymd", ["elapsed"]),  # Mondays
        (["10:00", "11:30"], "time", ["elapsed", "hour"]),
    ],
)
def test_parts_that_vary(texts, form, parts):
    assert date_features.parts_that_vary(date_forms.parse(texts, form), form) == parts


def test_features_by_hand():
    """Thursday, 29 February 2024, 18:00 is two days and three quarters after Tuesday, 27th."""
    texts = ["2024-02-29 18:00", "2024-02-27 00:00", "x"]
    when = date_forms.parse(texts, "ymd")
    parts = list(date_features.PARTS)
    x = date_features.features(when, parts, origin=when[1])
    month, weekday = 2 * np.pi / 12, 2 * np.pi * 3 / 7
    np.testing.assert_allclose(
        x[0],
        [2.75, 2024, np.sin(month), np.cos(month), np.sin(weekday), np.cos(weekday), -1, 0],
        atol=1e-12,
    )
    assert x[1, 0] == 0 and np.isnan(x[2]).all()
    assert len(date_features.feature_names("when", parts)) == x.shape[1]


def test_december_lies_next_to_january():
    x = date_features.features(
        date_forms.parse(["2023-12-15", "2024-01-15", "2024-06-15"], "ymd"), ["month"], 0.0
    )
    near, far = np.linalg.norm(x[0] - x[1]), np.linalg.norm(x[1] - x[2])
    assert near == pytest.approx(2 * np.sin(np.pi / 12)) and far > 3 * near


def test_years_before_1970_and_the_calendar():
    texts = [
        f"{y}-{m:02d}-{d:02d}" for y in (1600, 1900, 1969) for m, d in ((1, 1), (2, 28), (12, 31))
    ]
    year, month, day = date_features.calendar(date_forms.parse(texts, "ymd"))
    made = [f"{y:04d}-{m:02d}-{d:02d}" for y, m, d in zip(year, month, day, strict=True)]
    assert made == texts


def test_texts_of_one_shape_or_of_many_are_read_as_each_alone():
    days = ["2024-03-05", "2023-02-29", "2000-02-29", "1987-12-31"]
    clocks = ["2024-03-05 12:30", "2024-03-05T23:59:58.25", "2024-03-05 1:05 pm", "2024-3-5"]
    for texts in (days, clocks, [*days, *clocks, "no", ""], ["2024-03-05\r", "2024-03-05"]):
        alone = [date_forms.parse([text], "ymd")[0] for text in texts]
        np.testing.assert_array_equal(date_forms.parse(texts, "ymd"), alone)
    assert date_forms.parse(["2000-02-29", *clocks[:1]], "ymd").tolist() == [
        seconds(2000, 2, 29), seconds(2024, 3, 5, 12, 30)
    ]  # fmt: skip
