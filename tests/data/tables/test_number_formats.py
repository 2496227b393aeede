"""Numbers as people write them; the right values are worked by hand."""

import numpy as np
import pytest

from jaxdl.data.tables import number_formats
from jaxdl.data.tables.number_formats import PLAIN, Format

COLUMNS = {  # texts, whether a decimal comma is likely, their numbers
    "plain": (["1", "-2.5", "+3", ".5", "4.", "1e3", "-2E-1"], False, [1, -2.5, 3, 0.5, 4, 1e3, -0.2]),
    "thousands": (["1,234", "17", "1,234,567.5"], False, [1234, 17, 1234567.5]),
    "comma": (["0,5", "12,25", "3"], False, [0.5, 12.25, 3]),
    "comma and points": (["1.234,5", "2.000.000", "7"], False, [1234.5, 2e6, 7]),
    "spaces": (["1 234,5", "12 345", "7"], False, [1234.5, 12345, 7]),
    "narrow spaces": (["1\u202f234.5", "12\u00a0345", "7"], False, [1234.5, 12345, 7]),
    "apostrophes": (["1'234.50", "12’345", "7"], False, [1234.5, 12345, 7]),
    "three decimals behind a comma": (["1,234", "2,500"], True, [1.234, 2.5]),
    "groups of three": (["1,234", "2,500"], False, [1234, 2500]),
    "not grouped": (["1,2345", "2,5"], False, [1.2345, 2.5]),
    "dollars": (["$1,200.50", "-$3", "$-4", "$ 5"], False, [1200.5, -3, -4, 5]),
    "euros": (["1.200,50 €", "3,00 €", "-4 €"], False, [1200.5, 3, -4]),
    "codes of money": (["USD 12.5", "USD 3"], False, [12.5, 3]),
    "percent": (["12 %", "4.5%", "-1%"], False, [12, 4.5, -1]),
    "units": (["37 kg", "4.5 kg", "1e2kg"], False, [37, 4.5, 100]),
    "accounting": (["(1,234)", "17", "(2.5)"], False, [-1234, 17, -2.5]),
    "accounting with money": (["($1,234)", "$17"], False, [-1234, 17]),
    "minus signs": (["−3", "4"], False, [-3, 4]),
    "infinite": (["inf", "-Infinity", "2"], False, [np.inf, -np.inf, 2]),
    "without end": (["1e300", "1e999"], False, [1e300, np.inf]),
}  # fmt: skip


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_has_one_format(name):
    texts, comma, numbers = COLUMNS[name]
    how = number_formats.find_format(texts, comma)
    np.testing.assert_array_equal(number_formats.parse(texts, how), numbers)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "1_000",
        "3x",
        "1.2.3",
        "0x10",
        "--1",
        "(-1)",
        "1,2",
        "nan",
        "1 2",
        "()",
        "$",
        "e5",
    ],
)
def test_what_is_no_plain_number(text):
    assert number_formats.plain(text, PLAIN) is None
    assert np.isnan(number_formats.parse([text])[0])


@pytest.mark.parametrize(
    ("text", "how"),
    [
        ("1,23", Format(".", ",")),  # not three digits
        ("0,123", Format(".", ",")),  # no group begins with a zero
        ("1234,567", Format(".", ",")),
        ("1,234", Format(".", " ")),
        ("5", Format(before="$")),  # units are common to all cells
        ("5 kg", Format(after="%")),
    ],
)
def test_what_is_no_number_of_a_format(text, how):
    assert number_formats.plain(text, how) is None


def test_one_unit_and_one_decimal_sign_for_all():
    texts = ["1 kg", "2 kg", "3 lb"]
    numbers = number_formats.parse(texts, number_formats.find_format(texts))
    np.testing.assert_array_equal(numbers, [1, 2, np.nan])
    texts = ["A12", "A13"]  # a code, not twelve of the unit A
    assert np.isnan(number_formats.parse(texts, number_formats.find_format(texts))).all()


@pytest.mark.parametrize(
    ("texts", "comma", "odd"),
    [
        (["17", "1,234"], False, "1,234"),  # or a decimal comma
        (["1,234", "1,234,567"], False, None),
        (["1,234", "1.5"], False, None),
        (["1.234"], True, "1.234"),  # or thousands, in a table cut by semicolons
        (["1.234"], False, None),
        (["1.25"], True, None),
    ],
)
def test_what_could_be_read_in_another_way(texts, comma, odd):
    how = number_formats.find_format(texts, comma)
    assert number_formats.ambiguous(texts, how, comma) == odd


def test_a_long_column_is_judged_by_its_longest_cells_too():
    texts = [*map(str, range(900)), *(f"{k},{k:03d}" for k in range(100, 900))]
    assert number_formats.find_format(texts).thousands == ","


def test_a_format_that_none_of_the_few_texts_has_is_found_among_the_others():
    """Each fifth text is looked at first; here these are words, and all others decimals."""
    texts = ["none" if k % 5 == 0 else f"{k},5" for k in range(100)]
    assert number_formats.find_format(texts) == Format(",")
