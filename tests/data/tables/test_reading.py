"""The same table in all the ways in which people keep it, and files that are none."""

import bz2
import gzip
import io
import lzma
import zipfile

import numpy as np
import pandas as pd
import pytest

from jaxdl.data import TableError, load_table
from jaxdl.data.tables import cells
from jaxdl.data.tables import table as limits
from jaxdl.data.tables.reading import read
from jaxdl.data.tables.table import Texts

TEXT = 'name,"a, b",c\nÄnne,1.5,x\n"two\nlines",2.5,\n"a ""q""",-3,z\n'


def zipped(data, *more):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("t.csv", *more):
            archive.writestr(name, data)
    return buffer.getvalue()


def write(folder, data, name="t.csv"):
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


KEPT = {
    "utf-8": TEXT.encode(),
    "mark": TEXT.encode("utf-8-sig"),
    "utf-16": TEXT.encode("utf-16"),
    "utf-16-be": b"\xfe\xff" + TEXT.encode("utf-16-be"),
    "latin-1": TEXT.encode("latin-1"),
    "crlf": TEXT.replace("\n", "\r\n").replace("two\r", "two").encode(),
    "tabs": TEXT.replace('"a, b"', "a; b").replace(",", "\t").replace("; ", ", ").encode(),
    "bars": TEXT.replace('"a, b"', "a; b").replace(",", "|").replace("; ", ", ").encode(),
    "semicolons": TEXT.replace(",", ";").replace("a; b", "a, b").encode(),
    "no end": TEXT[:-1].encode(),
    "blank lines": b"\n\n" + TEXT.replace("\n\xc4", "\n \n\xc4").encode() + b"\n",
    "gzip": gzip.compress(TEXT.encode()),
    "bzip2": bz2.compress(TEXT.encode("utf-16")),
    "xz": lzma.compress(TEXT.encode()),
    "zip": zipped(TEXT),
}


@pytest.mark.parametrize("kind", KEPT)
def test_the_same_table_whatever_it_is_kept_in(tmp_path, kind):
    table = read(write(tmp_path, KEPT[kind]))
    assert list(table.columns) == ["name", "a, b", "c"]
    name, numbers, c = table.columns.values()
    assert name.cells() == ["Änne", "two\nlines", 'a "q"'] and c.cells() == ["x", "", "z"]
    np.testing.assert_array_equal(numbers, [1.5, 2.5, -3])
    first = {"blank lines": 5}.get(kind, 2)
    assert [line - first for line in table.lines] == [0, 1, 3]  # the second row has two lines
    assert len(table.notes) == (kind in ("latin-1", "utf-16", "utf-16-be", "bzip2"))
    if kind == "latin-1":
        assert table.notes == (
            "line 2 is not UTF-8: the text is read as Latin-1 (Windows-1252)",
        )  # fmt: skip


def test_columns_get_names_where_they_have_none(tmp_path):
    table = read(write(tmp_path, ",a,a,,column 4\n1,2,3,4,5\n"))
    assert list(table.columns) == ["column 1", "a", "a (2)", "column 4 (2)", "column 4"]
    assert table.notes == (
        "column 1 has no name; it is called 'column 1'",
        "two columns are called 'a'; the later is called 'a (2)'",
        "column 4 has no name; it is called 'column 4 (2)'",
    )


PLAIN = {  # cells, and what they are read as; None where they stay as they are written
    "whole": (["3", "-4", "+5"], [3, -4, 5]),
    "real": (["1.5", ".5", "1e-3"], [1.5, 0.5, 0.001]),
    "blanks": ([" 1", "2 ", "3"], [1, 2, 3]),
    "a tenth": (["0.1", "123456789.123456789", "2.2250738585072014e-308"],
                [0.1, 123456789.123456789, 2.2250738585072014e-308]),
    "holes": (["", "NA", "7"], [np.nan, np.nan, 7]),
    "empty": (["", "na", "None"], [np.nan] * 3),
    "zero": (["0", "0.5", "-0"], [0, 0.5, 0]),
    "code": (["007", "7", "1"], None),
    "signed code": (["1", "-01", "3"], None),
    "code behind a blank": (["1", " 01", "3"], None),
    "last is a code": (["1", "2", "01"], None),
    "beyond float64": (["1152921504606846977", "1", "2"], None),
    "infinite": (["1", "inf", "2"], None),
    "overflow": (["1", "1e999", "2"], None),
    "money": (["1,234", "5", "6"], None),
    "digits in groups": (["1_000", "2", "3"], None),
    "days": (["20240131", "20240201", "20240202"], None),
    "truth": (["", "True", "False"], None),
    "word": (["1", "2", "three"], None),
}  # fmt: skip


@pytest.mark.parametrize("case", PLAIN)
def test_plain_numbers_are_numbers_at_once_and_all_else_is_text(tmp_path, case):
    cells, expected = PLAIN[case]
    text = "a,b\n" + "".join(f'"{cell}",x\n' for cell in cells)
    column = read(write(tmp_path, text)).columns["a"]
    if expected is None:
        assert isinstance(column, Texts) and column.cells() == [cell.strip() for cell in cells]
    else:
        np.testing.assert_array_equal(column, expected)


@pytest.mark.parametrize("case", [name for name in PLAIN if PLAIN[name][1] is None])
def test_what_stands_behind_the_sample_is_no_number_either(tmp_path, case):
    """Numbers are guessed by the first rows, and what does not fit later is text all the same."""
    cells = 200 * (PLAIN[case][0] if case == "days" else ["1"]) + PLAIN[case][0]
    text = "a,b\n" + "".join(f'"{cell}",x\n' for cell in cells)
    assert read(write(tmp_path, text)).columns["a"].cells() == [cell.strip() for cell in cells]


def test_a_comma_for_a_point_leaves_texts_where_both_readings_are_open(tmp_path):
    """In a table cut by semicolons 1.234 may be a thousand; 0.5 and 12 are not."""
    cells = {"open": "1.234", "point": "0.5", "whole": "12", "comma": "1,5"}
    text = ";".join(cells) + "\n" + 3 * (";".join(cells.values()) + "\n")
    table = read(write(tmp_path, text))
    kept = {name for name, column in table.columns.items() if isinstance(column, Texts)}
    assert kept == {"open", "comma"}
    late = "a;b\n" + 200 * "1;x\n" + "1.234;x\n"  # behind the sample
    assert isinstance(read(write(tmp_path, late)).columns["a"], Texts)


def test_numbers_that_stand_for_no_value(tmp_path):
    path = write(tmp_path, "a,b\n-99,-99\n1,-99.0\n2,3\n")
    columns = read(path, missing=["-99"]).columns
    assert columns["a"].cells() == ["", "1", "2"] and columns["b"].cells() == ["", "-99.0", "3"]


def test_columns_that_are_kept_as_they_are_written(tmp_path):
    columns = read(write(tmp_path, "a,b\n1.0,1.0\n2,2\n"), as_texts=["a"]).columns
    assert columns["a"].cells() == ["1.0", "2"] and columns["b"].tolist() == [1, 2]


def test_large_tables_are_parsed_in_parts(tmp_path, monkeypatch):
    """Texts of several parts are one column, and each part may hold other kinds of numbers."""
    monkeypatch.setattr(cells, "_CHUNK", 6)  # of three columns: two rows
    rows = [("u", "1", "x"), ("v", "2", ""), ("u", "1.5", "y"), ("w", "", "x"), ("v", "-3", "y")]
    text = "a,b,c\n" + "".join(",".join(row) + "\n" for row in rows)
    a, b, c = read(write(tmp_path, text)).columns.values()
    assert a.cells() == ["u", "v", "u", "w", "v"] and a.values == ["u", "v", "w"]
    np.testing.assert_array_equal(b, [1, 2, 1.5, np.nan, -3])
    assert c.cells() == ["x", "", "y", "x", "y"]
    text = text.replace("-3", "old")
    assert read(write(tmp_path, text)).columns["b"].cells() == ["1", "2", "1.5", "", "old"]


FRAME = {
    "whole": [1, 2, 3, 4],
    "real": [1.5, None, 2.5, 3.5],
    "truth": [True, False, True, True],
    "when": pd.to_datetime(["2024-01-01", "2024-02-01", None, "2024-03-01"]),
    "kind": pd.Categorical(["u", "v", None, "u"]),
    "maybe": pd.array([1, None, 3, 4], "Int64"),
    "mixed": [1.0, "x", None, "x"],
    "y": ["p", "q", "p", "q"],
}


def test_a_data_frame():
    data = load_table(pd.DataFrame(FRAME, index=[9, 8, 7, 6]))
    nan = np.nan
    assert [(c["name"], c["as"], c["missing"]) for c in data.columns] == [
        ("whole", "number", 0), ("real", "number", 1), ("truth", "truth", 0), ("when", "date", 1),
        ("kind", "category", 1), ("maybe", "number", 1), ("mixed", "category", 1),
    ]  # fmt: skip
    x = dict(zip(data.feature_names, data.x.T, strict=True))
    np.testing.assert_array_equal(x["real"], [1.5, nan, 2.5, 3.5])
    np.testing.assert_array_equal(x["truth"], [1, 0, 1, 1])
    np.testing.assert_array_equal(x["when (days)"], [0, 31, nan, 60])
    np.testing.assert_array_equal(x["maybe"], [1, nan, 3, 4])
    np.testing.assert_array_equal(x["kind=u"], [1, 0, 0, 1])
    np.testing.assert_array_equal(x["mixed=1"], [1, 0, 0, 0])
    assert data.target_names == ("p", "q") and data.name == "table"
    twice = load_table(pd.DataFrame([[1, 2, 0.5], [3, 5, 1.5]], columns=["a", "a", "y"]))
    assert twice.feature_names == ("a", "a (2)")
    assert twice.notes == ("two columns are called 'a'; the later is called 'a (2)'",)
    with pytest.raises(ValueError, match="a table is a file or a DataFrame, not list"):
        load_table([1, 2])


@pytest.mark.parametrize("kind", ["parquet", "feather"])
def test_files_of_columns(tmp_path, kind):
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame({name: v for name, v in FRAME.items() if name != "mixed"})
    path = tmp_path / "t.anything"
    getattr(frame, f"to_{kind}")(path)
    data, same = load_table(path), load_table(frame)
    np.testing.assert_array_equal(data.x, same.x)
    assert data.encoding == same.encoding
    whole = path.read_bytes()
    for broken in (whole[:-1], whole[: len(whole) // 2], whole[:8]):
        with pytest.raises(TableError, match=r"t\.anything: not a whole file"):
            load_table(write(tmp_path, broken, "t.anything"))


RAGGED = {
    "short": ("a,b,y\n1,2,p\n1,2\n", "line 3 has 2 fields, the header has 3"),
    "long": ("a,b,y\n1,2,p\n\n1,2,q,4\n", "line 4 has 4 fields, the header has 3"),
    "short and long": ("a,b,y\n1,2,p\n1,2\n1,2,q,4\n", "line 3 has 2 fields"),
    "all long": ("a,b\n1,2,p\n1,2,q\n", "line 2 has 3 fields"),
    "short behind quoted lines": ('a,b,y\n"1\n\n",2,p\n"1,",2\n', "line 5 has 2 fields"),
    "commas in quotes make up for it": ('a,b,y\n"1,",2,p\n1,2\n', "line 3 has 2 fields"),
    "without a header": ("1,2,p\n3,4,q\n5,6,p\n1,2\n", "line 4 has 2 fields, the first row has 3"),
    "blank field alone": ("a,b,y\n1,2,p\n,\n", "line 3 has 2 fields"),
}


@pytest.mark.parametrize("case", RAGGED)
def test_ragged_rows_are_named_by_their_line(tmp_path, case):
    """pandas fills short rows without a word."""
    text, message = RAGGED[case]
    for end in ("\n", "\r\n"):
        with pytest.raises(TableError, match=message):
            load_table(write(tmp_path, text.replace("\n", end)))


BROKEN = {
    "two tables": (zipped(TEXT, "u.csv"), "the ZIP file has 2 members"),
    "cut gzip": (gzip.compress(TEXT.encode())[:-9], "not whole|end-of-stream"),
    "cut zip": (zipped(TEXT)[:-30], "not whole"),
    "wrong gzip": (gzip.compress(TEXT.encode())[:12] + b"\xff" * 30, "not whole"),
    "cut bzip2": (bz2.compress(TEXT.encode())[:-9], "not whole"),
    "wrong bzip2": (bz2.compress(TEXT.encode())[:9] + b"\xff" * 30, r"not whole \(Invalid data"),
    "wrong checksum": (gzip.compress(TEXT.encode())[:-8] + bytes(8), r"not whole \(CRC check"),
    "zip cut at the start": (zipped(TEXT)[:4] + zipped(TEXT)[40:], "not whole"),
    "cut xz": (lzma.compress(TEXT.encode())[:-9], "not whole|end-of-stream"),
    "a picture": (b"\xff\xd8\xff\xe0\x01\x02", "not UTF-8 .byte 0xff., nor other text"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_files_are_one_line(tmp_path, case):
    data, message = BROKEN[case]
    with pytest.raises(TableError, match=message) as caught:
        load_table(write(tmp_path, data))
    assert "t.csv: " in str(caught.value) and str(caught.value).isprintable()


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zipped])
def test_what_unpacks_to_too_much_is_refused(tmp_path, pack, monkeypatch):
    monkeypatch.setattr(limits, "MAX_CSV_BYTES", 100_000)
    path = write(tmp_path, pack(b"a,y\n" + b"1,2\n" * 50_000))
    assert path.stat().st_size < 20_000
    with pytest.raises(TableError, match="has more than 100000 bytes"):
        load_table(path)
