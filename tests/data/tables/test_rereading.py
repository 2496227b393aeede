"""A later table in another dialect is read to the same numbers, and what is in doubt is said."""

import numpy as np
import pytest

from jaxdl.data import TableError, encode_table, load_table

TRAINING = "price,rate,when,ok,y\n" + "".join(
    f"{1000 + k * 37 % 60}.5,0.{k % 7 + 1},2024-01-{k % 28 + 1:02d},{'yes' if k % 3 else 'no'},{k}.25\n"
    for k in range(60)
)
AS_BEFORE = [[1234.5, 0.5, 20, 1]]  # of the rows below: price, rate, days since 1 January, ok


@pytest.fixture(scope="module")
def encoding(tmp_path_factory):
    path = tmp_path_factory.mktemp("training") / "t.csv"
    path.write_text(TRAINING)
    return load_table(path, "y").encoding


def later(encoding, tmp_path, text, strict=False):
    path = tmp_path / "later.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    dataset = encode_table(path, encoding, strict=strict)
    x = dict(zip(dataset.feature_names, dataset.x.T, strict=True))
    return [
        list(row) for row in zip(x["price"], x["rate"], x["when (days)"], x["ok"], strict=True)
    ], dataset


SAME = {  # other ways to write one row, and what is said of them
    "as it was": ("price,rate,when,ok\n1234.5,0.5,2024-01-21,yes\n", []),
    "decimal commas": (
        "price;rate;when;ok\n1234,5;0,5;2024-01-21;yes\n",
        ["column 'price': '1234,5' is read as 1234.5", "column 'rate': '0,5' is read as 0.5"],
    ),
    "the day first": (
        "price,rate,when,ok\n1234.5,0.5,21.1.2024,yes\n",
        ["column 'when': '21.1.2024' is read as 2024-01-21"],
    ),
    "other truth values": ("price,rate,when,ok\n1234.5,0.5,2024-01-21,TRUE\n", []),
    "1 for yes": ("price,rate,when,ok\n1234.5,0.5,2024-01-21,1\n", []),
    "as Excel has it": (
        b"\xef\xbb\xbfsep=;\r\nprice;rate;when;ok\r\n1234.5;0.5;2024-01-21;yes\r\n", []
    ),
    "as Excel has it, in quotes": ('"sep=|"\nprice|rate|when|ok\n1234.5|0.5|2024-01-21|yes\n', []),
}  # fmt: skip


@pytest.mark.parametrize("case", SAME)
def test_the_same_row_in_other_words(case, encoding, tmp_path):
    text, said = SAME[case]
    for strict in (False, True):  # nothing is new in these
        x, dataset = later(encoding, tmp_path, text, strict)
        np.testing.assert_allclose(x, AS_BEFORE)
        assert list(dataset.notes) == said


DOUBTS = {  # the cell that is written otherwise, its number, and what is said of it
    "thousands or decimals": ('"1,234"', "price", 1234, "could be another number; it counts as 1"),
    "a percentage": (
        "50%", "rate", 50, "has a unit, where the training had plain numbers; it counts as 50"
    ),
    "day or month": (
        "02/01/2024", "when", 31, "could have day and month exchanged; it counts as 2024-02-01"
    ),
    "beyond float32": ("1e39", "price", np.nan, "is beyond float32; it counts as missing"),
}  # fmt: skip


@pytest.mark.parametrize("case", DOUBTS)
def test_what_is_in_doubt_is_said_or_refused(case, encoding, tmp_path):
    cell, name, number, said = DOUBTS[case]
    row = {"price": "1234.5", "rate": "0.5", "when": "2024-01-21", "ok": "yes"} | {name: cell}
    text = f"{','.join(row)}\n{','.join(row.values())}\n"
    x, dataset = later(encoding, tmp_path, text)
    np.testing.assert_allclose(x[0][list(row).index(name)], number)
    (note,) = dataset.notes
    assert note.startswith(f"line 2, column {name!r}: ") and said in note
    with pytest.raises(TableError, match=f"column '{name}'"):
        later(encoding, tmp_path, text, strict=True)


def test_a_point_in_a_table_of_commas_is_told_of(encoding, tmp_path):
    """Elsewhere 1.234 would be a thousand; it is read as in the training."""
    text = "price;rate;when;ok\n1.234;0,5;2024-01-21;yes\n"
    x, dataset = later(encoding, tmp_path, text)
    assert x[0][0] == np.float32(1.234)
    assert "column 'price': '1.234' is read as 1.234" in dataset.notes


def test_lines_count_as_in_the_file_behind_a_line_for_excel(encoding, tmp_path):
    text = "sep=,\nprice,rate,when,ok\n1234.5,0.5,2024-01-21,yes\nx,0.5,2024-01-21,yes\n"
    assert later(encoding, tmp_path, text)[1].notes == (
        "line 4, column 'price': 'x' is not a number; it counts as missing",
    )


def test_the_order_of_day_and_month_is_the_one_that_most_dates_have(tmp_path):
    """2.1. would be a date with the month first too; 13.1. and 14.1. are none."""
    path = tmp_path / "t.csv"
    path.write_text("when,y\n" + "".join(f"1/{k % 28 + 1}/2024,{k}.5\n" for k in range(60)))
    encoding = load_table(path, "y").encoding
    path.write_text("when\n2/1/2024\n13/1/2024\n14/1/2024\n")
    dataset = encode_table(path, encoding)
    assert dataset.x[:, 0].tolist() == [1, 12, 13]
    assert dataset.notes == ("column 'when': '2/1/2024' is read as 2024-01-02",)


@pytest.mark.parametrize(
    ("cell", "y", "said"),
    [
        ("7,25", 7.25, []),
        ("", None, []),
        ("much", None, ["no row has a 'y' that the model knows: no score"]),
    ],
)
def test_the_target_in_other_words(cell, y, said, encoding, tmp_path):
    text = f"price;rate;when;ok;y\n1234.5;0.5;2024-01-21;yes;{cell}\n"
    _, dataset = later(encoding, tmp_path, text)
    assert (None if dataset.y is None else dataset.y.tolist()) == (None if y is None else [y])
    assert list(dataset.notes) == said


def test_truth_values_for_0_and_1(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,y\n" + "".join(f"{k % 2},{k}.5\n" for k in range(40)))
    encoding = load_table(path, "y").encoding
    path.write_text("a\nTrue\nfalse\n")
    dataset = encode_table(path, encoding)
    assert dataset.x[:, 0].tolist() == [1, 0]
    assert dataset.notes == ("column 'a': 'True' is read as 1",)
