"""Columns of a DataFrame that are neither plain numbers nor texts."""

import datetime
import decimal

import numpy as np
import pandas as pd
import pytest

from jaxdl.data import TableError, encode_table, load_table
from jaxdl.data.tables import table as limits

N = 60
K = np.arange(N)
Y = np.random.default_rng(0).normal(size=N)
CELLS = {  # cells, what they are read as, and the first of them as a feature
    "durations": (pd.to_timedelta(K * 7 % 50, unit="min") + pd.Timedelta("90s"), "number", 90.0),
    "with a time zone": (
        pd.date_range("2024-01-01 12:00", periods=N, tz="Europe/Berlin"), "date", 0.0,
    ),
    "periods": (pd.period_range("2024-01", periods=N, freq="M"), "date", 0.0),
    "decimals": ([decimal.Decimal("1.5") * (3 + k % 9) for k in K.tolist()], "number", 4.5),
    "days": ([datetime.date(2024, 3, 1 + k % 20) for k in K.tolist()], "date", 0.0),
    "numbers or NA": (pd.array([7, None, 9, 2] * 15, "Int64"), "number", 7.0),
    "half precision": ((K * 7 % 50).astype(np.float16), "number", 0.0),
    "lists": ([[1, 2], [3], None] * 20, "category", 1.0),
    "dicts": ([{"a": 1}, {"b": 2}, {"a": 1}] * 20, "category", 1.0),
    "an enumeration": (pd.Categorical(["S", "M", "L"] * 20), "category", 0.0),
    "truth": (pd.array([True, False, None] * 20, "boolean"), "truth", 1.0),
}  # fmt: skip


@pytest.mark.parametrize("case", CELLS)
def test_what_cells_are_read_as(case):
    cells, kind, first = CELLS[case]
    frame = pd.DataFrame({"c": cells, "y": Y})
    data = load_table(frame, "y")
    assert data.columns[0]["as"] == kind and data.x[0, 0] == first
    np.testing.assert_array_equal(encode_table(frame, data.encoding, strict=True).x, data.x)


def test_durations_and_the_index_are_told_of():
    frame = pd.DataFrame({"c": CELLS["durations"][0], "y": Y})
    assert load_table(frame, "y").notes == ("column 'c' holds durations: their seconds",)
    frame = pd.DataFrame({"x": K * 7 % 50, "y": Y}, index=pd.Index(K, name="who"))
    said = "the index 'who' is left out; reset_index() makes a column of it"
    assert load_table(frame, "y").notes == (said,)


def test_a_table_as_large_as_the_limits_is_read(monkeypatch):
    frame = pd.DataFrame({"x": K * 7 % 50, "y": Y})
    monkeypatch.setattr(limits, "MAX_COLUMNS", 2)
    monkeypatch.setattr(limits, "MAX_TEXTS", 2 * N)
    assert load_table(frame, "y").x.shape == (N, 1)
    monkeypatch.setattr(limits, "MAX_TEXTS", 2 * N - 1)
    with pytest.raises(TableError, match=r"the table is \[60, 2\]"):
        load_table(frame, "y")


def test_a_frame_without_columns():
    with pytest.raises(TableError, match="no columns"):
        load_table(pd.DataFrame(index=range(3)))
