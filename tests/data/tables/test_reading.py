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
    cells = [table.columns[name].cells() for name in table.columns]
    assert cells == [["Änne", "two\nlines", 'a "q"'], ["1.5", "2.5", "-3"], ["x", "", "z"]]
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


def test_many_plain_numbers_are_read_at_once(tmp_path):
    """As a column of texts they would be the same; codes and large numbers stay texts."""
    k = np.arange(12_000)
    columns = {
        "real": [f"{v / 7:.3f}" for v in k],
        "holes": ["" if v % 3 else str(v) for v in k],
        "code": [f"{v:05d}" for v in k],
        "large": [str(2**60 + v) for v in k],
        "money": [f"{v:,}" for v in k],
        "y": ["pq"[v % 2] for v in k],
    }
    rows = zip(*columns.values(), strict=True)
    text = "\n".join([",".join(columns), *(",".join(f'"{c}"' for c in row) for row in rows)])
    table = read(write(tmp_path, text))
    kinds = {name: isinstance(c, Texts) for name, c in table.columns.items()}
    assert kinds == {
        "real": False, "holes": False, "code": True, "large": True, "money": True, "y": True,
    }  # fmt: skip
    np.testing.assert_array_equal(table.columns["real"], np.round(k / 7, 3))
    np.testing.assert_array_equal(table.columns["holes"], np.where(k % 3, np.nan, k))
    assert table.columns["code"].cells()[7] == "00007"


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
    with pytest.raises(TableError, match="table: several columns are called 'a'"):
        load_table(pd.DataFrame(np.ones((2, 2)), columns=["a", "a"]))
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
