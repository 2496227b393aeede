"""Targets that nobody predicts: what they are, and what could be done, in one line."""

import datetime

import numpy as np
import pytest

from jaxdl.data import TableError, load_table

ROWS = range(40)
DAY = datetime.date(2024, 1, 1)
TARGETS = {
    "dates": (
        [DAY + datetime.timedelta(k) for k in ROWS],
        "the target 'y' holds dates, as '2024-01-01': neither numbers nor classes; predict another "
        "column .task='classify' takes each different one for a class",
    ),
    "months": ([f"2024-0{k % 5 + 1}" for k in ROWS], "holds dates, as '2024-01'"),
    "days": ([(DAY + datetime.timedelta(k)).strftime("%Y%m%d") for k in ROWS], "as '20240101'"),
    "names": (
        [f"Jane {k}" for k in ROWS],
        "40 different values in 40 rows, as 'Jane 0': .* an ident",
    ),
    "nearly names": ([f"Jane {k // 2 * 2 if k > 20 else k}" for k in ROWS], "it is an identifier"),
    "prose": ([f"they came {k} times here" for k in ROWS], "these are no classes, it is a text"),
    "row numbers": (
        ROWS,
        "the target 'y' counts the rows: .*task='regress' takes them for numbers",
    ),
    "constant": (["u"] * 40, "the target 'y' has one value only, 'u'"),
    "constant number": (["3.0"] * 40, "the target 'y' has one value only, '3'"),
    "empty": ([""] * 40, "column 'y' has no values"),
}


def table(tmp_path, values):
    rows = "".join(f"{k * k % 17},{v}\n" for k, v in zip(ROWS, values, strict=True))
    path = tmp_path / "t.csv"
    path.write_text("x,y\n" + rows)
    return path


@pytest.mark.parametrize("case", TARGETS)
def test_what_is_no_target_is_said_with_what_could_be_done(tmp_path, case):
    values, message = TARGETS[case]
    with pytest.raises(TableError, match=message) as caught:
        load_table(table(tmp_path, values))
    assert str(caught.value).isprintable() and len(str(caught.value)) < 400


def test_whoever_insists_gets_it(tmp_path):
    months = load_table(table(tmp_path, TARGETS["months"][0]), task="classify")
    assert months.target_names == tuple(f"2024-0{k}" for k in range(1, 6))
    counted = load_table(table(tmp_path, ROWS), task="regress")
    np.testing.assert_array_equal(counted.y, ROWS)
    named = load_table(table(tmp_path, TARGETS["nearly names"][0]), task="classify")
    assert len(named.target_names) == 30  # 0 to 20, and 22, 24, ..., 38
