"""Whether the first row names the columns, what they are called, and what is no text."""

import io

import numpy as np
import pandas as pd
import pytest

from jaxdl.data import TableError, encode_table, load_table
from jaxdl.data.tables import dialect, number_formats
from jaxdl.data.tables import table as limits
from jaxdl.data.tables.date_forms import FORMS
from jaxdl.data.tables.reading import read


def write(folder, data, name="t.csv"):
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


DATA = {  # no names in the first row
    "numbers": "1,2,0\n3,4,1\n5,4,0\n",
    "iris": "5.1,3.5,setosa\n4.9,3.0,setosa\n7.0,3.2,virginica\n",
    "letters": "p,x,s\ne,x,s\np,b,w\ne,b,s\n",
    "dates": "2009-01-01,5.3\n2009-02-01,5.9\n2009-03-01,6.1\n",
    "a hole": "1,,u\n2,5,u\n3,6,v\n",
    "a word for no value": "1,NA,7.5\n2,5,8.5\n",
    "years and values": "1990,5.3\n1991,5.9\n",
    "identifiers": "CN01,Autauga,23.5\nPA01,Baldwin,81.5\nCN02,Barbour,9\n",
    "thousands": 'Autauga,"23,288"\nBaldwin,"81,706"\nBarbour,985\n',
    "digits": "0,0,0,5\n0,1,0,3\n",
    "a person and a number": "Zoe,1\nAnn,5\nBob,7\nCid,9\n",
    "a word and a number": "zoe,1\nann,5\nbob,7\nCid,9\n",
}
NAMES = {  # names, though some look like data
    "words": "a,b,c\n1,2,x\n3,4,y\n",
    "years": "country,2019,2020\nChad,1.5,2.5\nMali,1.7,2.7\n",
    "years alone": "2000,2005,2010,2020\n1.5,2.5,3,4\n1.7,2.7,3,4\n",
    "positions": "0,1,2\n0.5,2.5,3\n0.7,2.7,3\n",
    "with an index": ",0,1,2\n0,0.5,2.5,3\n1,0.7,2.7,3\n",
    "numbers above texts": "1,5\nu,v\nv,u\n",
    "dates above numbers": "2009-01-01,2009-02-01\n5,6\n7,8\n",
    "texts alone": "name,town\nAnn,Rome\nBob,Oslo\n",
    "the names again": "k,v\nu,w\nk,v\nt,w\n",
    "one year": "country,2019\nChad,1.5\nMali,1.7\n",
    "a word above numbers": "5.1,width\n4.9,3\n7.0,4\n",
    "a name that is a value": "red,size\nred,5\nblue,6\n",
    "one row": "1,2\n",
    "one number": "name,1\nAnn,5\nBob,7\nCid,9\n",
    "one number, capitals": "Name,1\nann,5\nbob,7\ncid,9\n",
}


@pytest.mark.parametrize("case", DATA)
def test_a_first_row_like_those_below_is_data(tmp_path, case):
    table = read(write(tmp_path, DATA[case]))
    expected = pd.read_csv(io.StringIO(DATA[case]), header=None)
    width = expected.shape[1]
    assert list(table.columns) == [f"column {j + 1}" for j in range(width)]
    assert not table.header and list(table.lines) == [*range(1, DATA[case].count("\n") + 1)]
    assert len(table.notes) == 1 and "line 1 names no columns" in table.notes[0]
    last = table.columns[f"column {width}"]
    last = last.cells() if not isinstance(last, np.ndarray) else last.tolist()
    assert last == expected[width - 1].tolist()
    named = read(tmp_path / "t.csv", header=True)
    assert named.header and len(named.lines) == len(table.lines) - 1


@pytest.mark.parametrize("case", NAMES)
def test_names_are_names_though_they_are_numbers(tmp_path, case):
    path = write(tmp_path, NAMES[case])
    if case == "one row":
        with pytest.raises(TableError, match="no rows after the header"):
            read(path)
        return
    table = read(path)
    names = NAMES[case].split("\n")[0].split(",")
    assert list(table.columns) == [name or "column 1" for name in names] and table.header
    said = [note for note in table.notes if "numbers that rise" in note]
    assert len(said) == (case in ("years alone", "positions", "with an index"))
    data = read(path, header=False)
    assert next(iter(data.columns)) == "column 1" and len(data.lines) == len(table.lines) + 1


def test_a_later_file_is_read_as_the_first_was(tmp_path):
    """Its one row could not be told from names by its looks."""
    rows = "".join(f"{k * k % 17},{k % 3 / 2},{'uv'[k % 2]}\n" for k in range(30))
    data = load_table(write(tmp_path, rows))
    assert data.feature_names == ("column 1", "column 2") and len(data.y) == 30
    again = encode_table(write(tmp_path, "4,0.5,v\n"), data.encoding)
    np.testing.assert_array_equal(again.x, [[4, 0.5]])
    np.testing.assert_array_equal(again.y, [1])
    named = load_table(write(tmp_path, "a,b,y\n" + rows))
    path = write(tmp_path, "4,0.5,v\n5,0.5,v\n")
    with pytest.raises(TableError, match=r"no column 'a', 'b'; the columns are '4', '0\.5', 'v'"):
        encode_table(path, named.encoding)
    old = {key: value for key, value in named.encoding.items() if key != "header"}
    assert len(encode_table(write(tmp_path, "a,b\n4,0.5\n"), old).x) == 1


def test_many_columns_of_one_name_are_told_apart_in_a_few_lines():
    names, notes = dialect.name_columns(["a"] * 5000 + ["a (7)", ""])
    assert len(set(names)) == 5002 and names[:3] == ["a", "a (2)", "a (3)"]
    assert names[6:8] == ["a (8)", "a (9)"] and names[-2:] == ["a (7)", "column 5002"]
    assert len(notes) == limits.MAX_NOTES + 1
    assert notes[-1] == f"and {5000 - limits.MAX_NOTES} more columns are named in such ways"


def test_a_name_is_looked_for_once(monkeypatch):
    """Not once more for each column that has it: that would take the square of their number."""
    asked = []

    class Names(set):
        def __contains__(self, name):
            asked.append(name)
            return super().__contains__(name)

    monkeypatch.setattr(dialect, "set", Names, raising=False)
    dialect.name_columns(["a"] * 2000)
    assert len(asked) < 3 * 2000 + 10


NO_TEXT = {
    "UTF-16 without its mark": ("a,y\n1,2\n".encode("utf-16-le"), "in UTF-16 or UTF-32 must be"),
    "UTF-32": ("a,y\n1,2\n".encode("utf-32"), "in UTF-16 or UTF-32 must be"),
    "a zero": (b"a,y\n1,2\n3,\0\n", r"line 3: not a text file \(it holds a NUL byte\)$"),
    "a zero in UTF-16": ("a,y\n1,\0\n".encode("utf-16"), "line 2: .* NUL character"),
    "a surrogate": (b"\xff\xfea\0,\0y\0\n\0\x00\xd8", "broken UTF-16"),
    "a zero behind CR": (b"a,y\r1,2\r3,\0\r", "line 3: not a text file"),
}


@pytest.mark.parametrize("case", NO_TEXT)
def test_what_is_no_text_is_one_line(tmp_path, case):
    data, message = NO_TEXT[case]
    with pytest.raises(TableError, match=message):
        read(write(tmp_path, data))


@pytest.mark.parametrize("length", [2**20, 2**20 + 1])
@pytest.mark.parametrize("before", [0, 1000, 2**19 - 1, 2**19, 2**20 + 5])
def test_a_field_has_a_mebibyte_at_most_wherever_it_stands(length, before):
    data = b"a,b\n" + b"1,2\n" * (before // 4) + b"x" * length + b",2\n3,4\n"
    if length > 2**20:
        with pytest.raises(TableError, match=f"line {before // 4 + 2}: a field has more than 1048"):
            dialect.refuse_long_fields("t.csv", data, ",")
    else:
        dialect.refuse_long_fields("t.csv", data, ",")


BLANKS = {
    "blanks before a unit": "1" + " " * 200_000 + "x!(",
    "many numbers": "1 " * 100_000 + "!!(",
    "many commas": "1" + "," * 200_000 + "!!(",
    "blanks alone": " " * 200_000 + "(",
    "blanks in a date": "1" + " " * 200_000 + "mar(",
    "blanks behind a time": "1:00" + " " * 200_000 + "(",
}


@pytest.mark.parametrize("case", BLANKS)
def test_no_text_takes_more_than_one_pass(case):
    """Were blanks given back one by one, these would take hours."""
    text = BLANKS[case]
    for how in (number_formats.PLAIN, number_formats.Format(",", ".", before="$", after="%")):
        assert number_formats.plain(text, how) is None
    assert number_formats.find_format([text, "3"]) == number_formats.PLAIN
    assert not any(form.fullmatch(text) for form in FORMS.values())


@pytest.mark.parametrize("at", [0, 1, 2, 3, 4, 5, 6, 7, 8])
@pytest.mark.parametrize("odd", [b"\xff", b"\xc3(", b"\xf0\x9f\x98", b"\x80"])
def test_what_is_no_utf8_is_found_as_by_decoding_it_whole(monkeypatch, at, odd):
    """Characters of four, two and three bytes lie over the ends of pieces of four."""
    monkeypatch.setattr(dialect, "_FIELD", 4)
    whole = "a\U0001f600é€".encode() + b"z"
    data = whole[:at] + odd + whole[at:]
    with pytest.raises(UnicodeDecodeError) as error:
        data.decode()
    assert dialect._not_utf8(data) == error.value.start
    assert dialect._not_utf8(whole) is None


def test_a_line_of_too_many_cells_is_refused_before_it_is_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(dialect, "_LINE", 10)
    monkeypatch.setattr(dialect, "_MOST", 5)
    quoted = read(write(tmp_path, 'a,b,c,d,y\n1,"2,2,2,2,2",3,4,5\n2,2,3,4,5\n'))
    assert len(quoted.columns) == 5
    with pytest.raises(TableError, match="line 2: more than 8192 columns"):
        [*dialect.rows("t.csv", b"a,y\n1,2,3,4,5,6\n", ",")]
    monkeypatch.setattr(dialect, "_LINE", 100)
    assert len([*dialect.rows("t.csv", b"a,y\n1,2,3,4,5,6\n", ",")]) == 2
