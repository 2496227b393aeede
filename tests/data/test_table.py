import contextlib
import io
import json
import os
import struct

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from archives import npy_bytes, zip_bytes
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.impute import SimpleImputer

from jaxdl import files
from jaxdl.data import TableError, encode_table, load_table
from jaxdl.data.tables import table as limits

GOOD = "a,b,y\n1,2.5,p\n3,-4e1,q\n5,6,p\n7,8,q\n"


def write(folder, data, name="t.csv"):
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def npz_bytes(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def flagged(content, offset, value):
    """A ZIP whose first entry has another number in the table of contents."""
    at = content.index(b"PK\x01\x02") + offset
    return content[:at] + struct.pack("<H", value) + content[at + 2 :]


X, Y = np.arange(8.0).reshape(4, 2), np.array([0, 1, 0, 1])

# CSV that is read


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        "\ufeff" + GOOD,
        GOOD.replace("\n", "\r\n"),
        GOOD.replace("\n", "\r"),
        GOOD + "\n\n  \n",
        "\n\n" + GOOD.replace("3,", "\n3,"),
        GOOD[:-1],
        GOOD.replace(",", ";"),
        GOOD.replace(",", "\t"),
        GOOD.replace(",", ";").replace("2.5", "2,5"),
        GOOD.replace(",", " , "),
        '"a","b","y"\n"1","2.5","p"\n3,-4e1,"q"\n5,6,p\n7,8,q\n',
    ],
    ids="plain bom crlf cr trailing blank no_end semicolon tab comma spaces quotes".split(),
)
def test_dialects_of_csv_are_the_same_table(tmp_path, text):
    data = load_table(write(tmp_path, text))
    np.testing.assert_array_equal(data.x, np.float32([[1, 2.5], [3, -40], [5, 6], [7, 8]]))
    np.testing.assert_array_equal(data.y, [0, 1, 0, 1])
    assert data.x.dtype == np.float32 and data.y.dtype == np.int32
    assert data.feature_names == ("a", "b") and data.target_names == ("p", "q")
    assert (data.task, data.target, data.name, data.missing) == ("classify", "y", "t", True)


def test_quoted_fields_hold_delimiters_quotes_and_lines(tmp_path):
    text = 'c,"the ""y"", real"\n"u,v",1.5\n"two\nlines",2.5\n"u,v",7.25\n'
    data = load_table(write(tmp_path, text))
    assert data.feature_names == ("c=two\nlines", "c=u,v")
    np.testing.assert_array_equal(data.x, [[0, 1], [1, 0], [0, 1]])
    np.testing.assert_array_equal(data.y, np.float32([1.5, 2.5, 7.25]))
    assert data.target == 'the "y", real' and data.target_names is None


def test_texts_are_one_hot_and_numbers_stay(tmp_path):
    text = "size,colour,flag,y\n1,red,True,3.5\n2,blue,False,1.25\n3,red,True,2\n"
    data = load_table(write(tmp_path, text))
    assert data.feature_names == (
        "size", "colour=blue", "colour=red", "flag",
    )  # fmt: skip
    np.testing.assert_array_equal(data.x, [[1, 0, 1, 1], [2, 1, 0, 0], [3, 0, 1, 1]])


def test_any_column_may_be_the_target(tmp_path):
    data = load_table(write(tmp_path, GOOD), target="b")
    assert data.feature_names == ("a", "y=p", "y=q") and data.task == "regress"
    np.testing.assert_array_equal(data.y, np.float32([2.5, -40, 6, 8]))


@pytest.mark.parametrize(
    ("values", "task", "y", "names"),
    [
        ([3, 1, 3, 1], "classify", [1, 0, 1, 0], ("1", "3")),
        ([10, 9, 10, 9], "classify", [1, 0, 1, 0], ("9", "10")),  # in numeric order
        ([-1, 1, 1, -1], "classify", [0, 1, 1, 0], ("-1", "1")),
        (["1.0", "0", "1", "0.0"], "classify", [1, 0, 1, 0], ("0", "1")),
        (["no", "yes", "no", "yes"], "classify", [0, 1, 0, 1], ("no", "yes")),
        (["true", "false", "true", "true"], "classify", [1, 0, 1, 1], ("false", "true")),
        ([0, 0, 0, 1], "classify", [0, 0, 0, 1], ("0", "1")),  # a class of one
        ([1, 2, 3, 4], "regress", [1, 2, 3, 4], None),
        ([0.5, 1.5, 0.5, 1.5], "regress", [0.5, 1.5, 0.5, 1.5], None),
        ([1, 2, 1, 3], "regress", [1, 2, 1, 3], None),
        ([1, 2, 1, 2, 3, 3], "classify", [0, 1, 0, 1, 2, 2], ("1", "2", "3")),
        ([k % 20 for k in range(40)], "classify", [k % 20 for k in range(40)], None),
        ([k % 21 for k in range(42)], "regress", [k % 21 for k in range(42)], None),
    ],
)
@pytest.mark.parametrize("kind", ["csv", "npz"])
def test_the_task_is_inferred(tmp_path, kind, values, task, y, names):
    if kind == "csv":
        rows = "".join(f"{i * i},{v}\n" for i, v in enumerate(values))
        path = write(tmp_path, "x,y\n" + rows)
    else:
        values = np.array(values) if "1.0" not in values else np.array(values, float)
        path = write(tmp_path, npz_bytes(x=np.arange(len(values)) ** 2, y=values), "t.npz")
    data = load_table(path)
    assert data.task == task
    np.testing.assert_array_equal(data.y, y)
    if names is not None:
        assert data.target_names == names
    assert data.y.dtype == (np.int32 if task == "classify" else np.float32)


def test_the_task_can_be_set(tmp_path):
    path = write(tmp_path, "x,y\n1,0\n2,3\n3,0\n4,3\n")
    assert load_table(path).target_names == ("0", "3")
    count, real = load_table(path, task="count"), load_table(path, task="regress")
    np.testing.assert_array_equal(count.y, [0, 3, 0, 3])
    assert count.y.dtype == np.int32 and real.y.dtype == np.float32
    assert count.target_names is real.target_names is None
    half = write(tmp_path, "x,y\n1,0.5\n2,1.5\n3,0.5\n")
    assert load_table(half, task="classify").target_names == ("0.5", "1.5")


LARGE = (1234567890123456789, 1234567890123456790)


def labels_of(values, kind, tmp_path, **options):
    """The class names and classes that a target of these cells becomes."""
    if kind == "csv":
        rows = "".join(f"{i * i};{v}\n" for i, v in enumerate(values))
        path = write(tmp_path, "x;y\n" + rows)
    else:
        x = np.arange(len(values)) ** 2
        path = write(tmp_path, npz_bytes(x=x, y=np.array(values)), "t.npz")
    data = load_table(path, **options)
    again = encode_table(path, json.loads(json.dumps(data.encoding)))
    np.testing.assert_array_equal(again.y, data.y)
    return data.target_names, data.y.tolist()


@pytest.mark.parametrize("kind", ["csv", "npz"])
def test_large_whole_numbers_are_classes_of_their_own(tmp_path, kind):
    """Both are 1234567890123456768 in float64."""
    a, b = LARGE
    assert labels_of([b, a, a, b, a], kind, tmp_path) == ((str(a), str(b)), [1, 0, 0, 1, 0])
    many = [2**60 + k % 30 for k in range(60)]  # thirty classes, and one number in float64
    names, y = labels_of(many, kind, tmp_path, task="classify")
    assert names == tuple(str(2**60 + k) for k in range(30)) and y == [k % 30 for k in range(60)]


def test_codes_with_leading_zeros_keep_their_text(tmp_path):
    cells = ["01", "1", "007", "1", "01", "007", "7"]
    names, y = labels_of(cells, "csv", tmp_path)
    assert names == ("007", "01", "1", "7") and [names[k] for k in y] == cells
    data = load_table(tmp_path / "t.csv", task="regress")
    np.testing.assert_array_equal(data.y, [1, 1, 7, 1, 1, 7, 7])
    # Nothing is a code without one: the same number written in different ways is one class.
    assert labels_of(["1", "1.0", "1e0", "2", "0", "0.0", "-0"], "csv", tmp_path) == (
        ("0", "1", "2"), [1, 1, 1, 2, 0, 0, 0],
    )  # fmt: skip
    with pytest.raises(TableError, match=r"3 different values in 3 rows.*task='regress'"):
        labels_of(["05", "10", "15"], "csv", tmp_path)


@pytest.mark.parametrize(
    ("cells", "pair"),
    [
        ([2**24 + k for k in range(9)], "16777216 and 16777217"),
        ([1.7e9 + k for k in range(9)], "1700000000 and 1700000001"),
        ([*LARGE, 5, 6, 7, 8], "1234567890123456789 and 1234567890123456790"),
        ([2000 + 1e-5 * k for k in range(9)], "2000 and 2000.00001"),
        ([2000.5, 2000.500001, 2000.500002, *range(9)], "2000.5 and 2000.500001"),
        ([2000.5, 2000.500001, *range(9)], None),  # one of ten
        ([10 * k for k in range(9)], None),
        ([2**24 + 2 * k for k in range(9)], None),
        (np.random.default_rng(0).random(20_000).tolist(), None),  # some draws coincide
        (np.float32([0.1, 0.2, 1e9, 3]), None),
    ],
)
@pytest.mark.parametrize("kind", ["csv", "npz"])
def test_values_that_float32_merges_are_warned_of(tmp_path, cells, pair, kind):
    if kind == "csv":
        rows = "".join(f"{v},{i / 7}\n" for i, v in enumerate(cells))
        path = write(tmp_path, "when,y\n" + rows)
    else:
        x, y = np.array(cells)[:, None], np.arange(len(cells)) / 7
        path = write(tmp_path, npz_bytes(x=x, y=y, feature_names=["when"]), "t.npz")
    expected = (
        contextlib.nullcontext()
        if pair is None
        else pytest.warns(UserWarning, match=f"one in float32 .'when' has {pair}.; subtract")
    )
    with expected:
        data = load_table(path)
    np.testing.assert_array_equal(data.x[:, 0], np.array(cells).astype(np.float32))


def test_a_target_that_is_one_value_in_float32_is_refused(tmp_path):
    text = "x,y\n" + "".join(f"{i},{LARGE[i % 2]}\n" for i in range(4))
    with pytest.raises(TableError, match=f"from {LARGE[0]} to {LARGE[1]}, are one in float32"):
        load_table(write(tmp_path, text), task="regress")


# NPZ that is read


def test_npz_is_x_and_y(tmp_path):
    images = np.arange(24, dtype=np.uint8).reshape(4, 2, 3)
    path = write(tmp_path, npz_bytes(x=images, y=Y[:, None], extra=X), "digits.NPZ")
    data = load_table(path)
    np.testing.assert_array_equal(data.x, images.reshape(4, 6))
    np.testing.assert_array_equal(data.y, Y)
    assert data.feature_names == tuple(f"x{j}" for j in range(6))
    assert data.name == "digits" and data.x.dtype == np.float32


def test_npz_brings_names_along(tmp_path):
    arrays = {"x": X, "label": Y, "y": X[:, 0], "feature_names": ["a", "b"]}
    path = write(tmp_path, npz_bytes(**arrays, target_names=["p", "q"]), "t.npz")
    data = load_table(path, target="label")
    assert data.feature_names == ("a", "b") and data.target_names == ("p", "q")
    np.testing.assert_array_equal(encode_table(path, data.encoding).y, Y)


def test_npz_and_csv_of_the_same_numbers_agree(tmp_path):
    x = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)
    y = np.arange(30) % 3
    rows = [",".join(map(repr, [*map(float, row), int(k)])) for row, k in zip(x, y, strict=True)]
    text = load_table(write(tmp_path, "\n".join(["x0,x1,x2,y", *rows])))
    binary = load_table(write(tmp_path, npz_bytes(x=x, y=y), "t.npz"))
    np.testing.assert_array_equal(text.x, x)
    np.testing.assert_array_equal(binary.x, x)
    assert text.encoding == binary.encoding
    np.testing.assert_array_equal(text.y, binary.y)


finite = st.floats(width=32, allow_nan=False, allow_infinity=False)


@settings(deadline=None, max_examples=30, derandomize=True)
@given(rows=st.lists(st.tuples(finite, finite, st.sampled_from("uvw")), min_size=3, max_size=12))
def test_any_finite_float32_survives_the_csv(tmp_path_factory, rows):
    body = "".join(f"{a!r};{c};{b!r}\n" for a, b, c in rows)
    path = write(tmp_path_factory.mktemp("t"), "a;c;y\n" + body)
    assume(all(len(set(column)) > 1 for column in zip(*rows, strict=True)))
    data = load_table(path, task="regress")
    np.testing.assert_array_equal(data.x[:, 0], np.float32([a for a, _, _ in rows]))
    np.testing.assert_array_equal(data.y, np.float32([b for _, b, _ in rows]))
    letters = sorted({c for _, _, c in rows})
    expected = [[float(c == letter) for letter in letters] for _, _, c in rows]
    np.testing.assert_array_equal(data.x[:, 1:], expected)


# missing values

HOLES = "a,c,b,y\n1,u,2,p\n,v,4,q\n5,NA,inf,p\n7,u,1e300,q\n9,v,10,p\n11,u,12,q\n"


def test_missing_values_are_an_error_that_names_the_columns(tmp_path):
    with pytest.raises(TableError) as caught:
        load_table(write(tmp_path, HOLES), missing="error")
    message = str(caught.value)
    assert "columns 'a' (1, first on line 3), 'c' (1, first on line 4), 'b' (2, " in message
    assert "missing='drop'" in message and "\n" not in message


def test_drop_leaves_rows_out(tmp_path):
    data = load_table(write(tmp_path, HOLES), missing="drop")
    assert data.feature_names == ("a", "c=u", "c=v", "b") and not data.missing
    np.testing.assert_array_equal(data.x, [[1, 1, 0, 2], [9, 0, 1, 10], [11, 1, 0, 12]])
    np.testing.assert_array_equal(data.y, [0, 0, 1])


def test_drop_comes_before_categories_and_classes_are_found(tmp_path):
    text = "a,c,y\n1,u,0\n2,v,1\n3,u,1\n4,u,0\n,w,7\n"
    data = load_table(write(tmp_path, text), missing="drop")
    assert data.feature_names == ("a", "c=u", "c=v") and data.target_names == ("0", "1")


def test_rows_of_later_messages_are_those_of_the_file(tmp_path):
    path = write(tmp_path, "a,y\n1,0\n,1\n3,-2\n4,0\n")
    with pytest.raises(TableError, match=r"line 4, column 'y': -2 is not a count"):
        load_table(path, task="count", missing="drop")
    arrays = npz_bytes(x=[[1], [np.nan], [3.0], [4]], y=[0, 1, -2, 0])
    with pytest.raises(TableError, match=r"row 3, column 'y': -2 is not a count"):
        load_table(write(tmp_path, arrays, "t.npz"), task="count", missing="drop")


def test_mean_leaves_the_holes_to_a_transform(tmp_path):
    data = load_table(write(tmp_path, HOLES), missing="mean")
    nan = np.nan
    expected = [
        [1, 1, 0, 2], [nan, 0, 1, 4], [5, nan, nan, nan],
        [7, 1, 0, nan], [9, 0, 1, 10], [11, 1, 0, 12],
    ]  # fmt: skip
    np.testing.assert_array_equal(data.x, np.float32(expected))
    assert data.missing and data.encoding["missing"] == "mean"
    # Filled from a training part, a missing category becomes that part's frequencies.
    filled = SimpleImputer().fit(data.x[[0, 1, 3, 5]]).transform(data.x)
    np.testing.assert_allclose(filled[2, 1:3], [0.75, 0.25])


def test_mean_cannot_fill_the_target(tmp_path):
    path = write(tmp_path, "a,y\n1,0\n2,\n3,1\n4,1\n")
    with pytest.raises(TableError, match=r"'y' \(1, first on line 3\); the target cannot"):
        load_table(path, missing="mean")
    assert len(load_table(path, missing="drop").y) == 3


def test_npz_with_nan_names_its_column(tmp_path):
    path = write(tmp_path, npz_bytes(x=np.where(X == 5, np.nan, X), y=Y), "t.npz")
    with pytest.raises(TableError, match=r"'x1' \(1, first on row 3\)"):
        load_table(path, missing="error")
    assert np.isnan(load_table(path, missing="mean").x[2, 1])


# a later file under the same encoding


def test_encoding_is_json_and_reproduces_the_table(tmp_path):
    path = write(tmp_path, HOLES)
    data = load_table(path, missing="mean")
    again = encode_table(path, json.loads(json.dumps(data.encoding)))
    np.testing.assert_array_equal(again.x, data.x)
    np.testing.assert_array_equal(again.y, data.y)
    assert again[2:9] == data[2:9]


MIXED = "a,c,y\n1,u,p\n2,v,q\n3,u,p\n4,v,q\n"


@pytest.mark.parametrize("last", ["", ",y\n", ",extra\n"])
def test_encoding_is_applied_to_other_rows_in_any_order(tmp_path, last):
    encoding = load_table(write(tmp_path, MIXED)).encoding
    text = {"": "c,a\nv,9\n", ",y\n": "c,a,y\nv,9,\n", ",extra\n": "c,a,extra\nv,9,z\n"}[last]
    data = encode_table(write(tmp_path, text), encoding)
    assert data.y is None and data.feature_names == ("a", "c=u", "c=v")
    np.testing.assert_array_equal(data.x, [[9, 0, 1]])


def test_encoding_keeps_the_order_of_classes(tmp_path):
    encoding = load_table(write(tmp_path, MIXED)).encoding
    data = encode_table(write(tmp_path, "a,c,y\n1,u,q\n"), encoding)
    np.testing.assert_array_equal(data.y, [1])
    assert data.target_names == ("p", "q")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,y\n1,p\n", r"no column 'c'; the columns are 'a', 'y'"),
        ("a,c\n1,w\n", r"line 2, column 'c': 'w' is no value of the training; it counts as none"),
        ("a,c\n1,u\nabc,u\n", r"line 3, column 'a': 'abc' is not a number; it counts as missing"),
        ("a,c,y\n1,u,p\n1,u,r\n", r"1 of 2 rows have no 'y' that the model knows.* line 3"),
        ("a,c\n,u\n", r"column 'a' has no value in 1 rows, .* count as the training mean"),
        ("a,c,d\n1,u,2\n", r"columns that the training had not are not used: 'd'"),
        ("a,c\n", "no rows after the header"),
        ("", "empty"),
    ],
)
def test_what_the_encoding_does_not_know_is_one_line(tmp_path, text, message):
    encoding = load_table(write(tmp_path, MIXED)).encoding
    with pytest.raises(TableError, match=message) as caught:
        encode_table(write(tmp_path, text, "new.csv"), encoding, strict=True)
    assert "new.csv" in str(caught.value) and "\n" not in str(caught.value)


def test_encoding_of_a_csv_refuses_an_npz_of_numbers(tmp_path):
    encoding = load_table(write(tmp_path, MIXED)).encoding
    path = write(tmp_path, npz_bytes(x=X, feature_names=["a", "c"]), "t.npz")
    with pytest.raises(TableError, match="row 1, column 'c': '1' is no value of the training; 4"):
        encode_table(path, encoding, strict=True)
    path = write(tmp_path, npz_bytes(x=X), "t.npz")
    with pytest.raises(TableError, match="no column 'a', 'c'; the columns are 'x0', 'x1'"):
        encode_table(path, encoding)


def test_encoding_of_numeric_classes(tmp_path):
    encoding = load_table(write(tmp_path, npz_bytes(x=X, y=Y + 5), "t.npz")).encoding
    data = encode_table(write(tmp_path, "x1,x0,y\n2,1,6.0\n"), encoding)
    np.testing.assert_array_equal(data.y, [1])
    np.testing.assert_array_equal(data.x, [[1, 2]])
    for cell in ("7", "a"):  # no class, so no score for that row
        data = encode_table(write(tmp_path, f"x1,x0,y\n2,1,5\n2,1,{cell}\n"), encoding)
        np.testing.assert_array_equal(data.y, [0, -1])


@pytest.mark.parametrize(
    "encoding",
    [
        {},
        None,
        [],
        {"columns": 3, "target": {}, "missing": None},
        {"columns": [{"name": "a"}], "target": {"name": "y"}, "missing": None},
        {"columns": [], "target": {"name": "y", "task": "classify"}, "missing": None},
    ],
)
def test_a_wrong_encoding_raises(tmp_path, encoding):
    with pytest.raises(ValueError, match="not an encoding"):
        encode_table(write(tmp_path, GOOD), encoding)


# files that cannot be used

HOSTILE_CSV = {
    "empty": (b"", "empty"),
    "blank": (b"\n \n\n", "only blank lines"),
    "header_only": (b"a,b,y\n", "no rows after the header"),
    "one_column": (b"y\n1\n2\n", "no columns besides the target 'y'"),
    "short_row": (b"a,b,y\n1,2,p\n1,2\n", "line 3 has 2 fields, the header has 3"),
    "long_row": (b"a,b,y\n1,2,p\n\n1,2,q,4\n", "line 4 has 4 fields, the header has 3"),
    "nul": (b"a,y\n1,\0\n", "line 2: not a text file"),
    "binary": (bytes(range(256)) * 4, "not a text file"),
    "png": (b"\x89PNG\r\n\x1a\n\0\0", "not a text file"),
    "control": (b"a,y\n1,p\n2,\xe9\x01\n", "line 3: not UTF-8 .byte 0xe9., nor other text"),
    "utf16": ("a,y\n1,p\n".encode("utf-16") + b"\0", "broken UTF-16"),
    "open_quote": (b'a,y\n1,p\n"2,q\n3,p\n', "line 3: a quoted field is never closed"),
    "huge_field": (b'a,y\n1,"\n"\n2,' + b"q" * 1_200_000, "line 4: a field has more than 1048576"),
    "single_class": (b"a,y\n1,p\n2,p\n", "'y' has one value only, 'p'"),
    "one_row": (b"a,y\n1,2.5\n", "'y' has one value only, '2.5'"),
    "constant": (b"a,y\n1,3\n2,3\n", "'y' has one value only, '3'"),
    "identifiers": (b"a,y\n1,p\n2,q\n3,r\n", "'y' has 3 different values in 3 rows"),
    "void_target": (b"a,b,y\n1,1,\n1,2,\n", "column 'y' has no values"),
    "void_column": (b"a,y\n,p\n,q\n,p\n", "left to learn from: 'a' is left out: it has no values"),
    "infinite_target": (b"a,y\n1,2\n2,inf\n3,4\n", "'y' has 2 different values in 2 rows"),
    "free_text": (
        b"a,y\n" + b"".join(b"t%d,%d\n" % (i, i % 2) for i in range(200)),
        "left to learn from: 'a' is left out: differs in nearly every row",
    ),
}


@pytest.mark.parametrize("name", HOSTILE_CSV)
def test_hostile_csv_is_one_clear_line(tmp_path, name):
    data, message = HOSTILE_CSV[name]
    with pytest.raises(TableError, match=message) as caught:
        load_table(write(tmp_path, data))
    assert str(tmp_path / "t.csv") in str(caught.value)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 400


SHAPE_HUGE = {"descr": "<f8", "fortran_order": False, "shape": (10**12, 10**3)}
SHAPE_SMALL = {"descr": "<f8", "fortran_order": False, "shape": (2, 2)}
SHAPE_NEGATIVE = {"descr": "<f8", "fortran_order": False, "shape": (-1, 2)}
WHOLE = npz_bytes(x=X, y=Y)
HOSTILE_NPZ = {
    "empty": (b"", "empty"),
    "text": (b"a,y\n1,2\n", "not a whole NPZ file"),
    "truncated": (WHOLE[: len(WHOLE) // 2], "not a whole NPZ file"),
    "cut_by_one": (WHOLE[:-1], "not a whole NPZ file"),
    "flipped": (WHOLE.replace(struct.pack("<d", 7.0), struct.pack("<d", 8.0)), "Bad CRC-32"),
    "no_x": (npz_bytes(a=X, y=Y), "no array 'x'; the arrays are 'a', 'y'"),
    "no_arrays": (zip_bytes({}), "no array 'x'; the arrays are none"),
    "no_y": (npz_bytes(x=X), "no array 'y'"),
    "pickled_x": (npz_bytes(x=np.array([{}, []], object), y=Y), "array 'x' is pickled"),
    "pickled_y": (npz_bytes(x=X, y=np.array(["a", 1, None, 2], object)), "array 'y' is pickled"),
    "raw_pickle": (zip_bytes({"x.npy": b"\x80\x04N."}), "not a whole NPZ file"),
    "rows": (npz_bytes(x=X, y=Y[:3]), r"'y' has shape \(3,\), but x has 4 rows"),
    "columns": (npz_bytes(x=X, y=np.eye(4)), r"'y' has shape \(4, 4\)"),
    "no_rows": (npz_bytes(x=X[:0], y=Y[:0]), r"has shape \(0, 2\)"),
    "scalar": (npz_bytes(x=3.0, y=Y), r"has shape \(\)"),
    "complex": (npz_bytes(x=X + 1j, y=Y), "x must hold numbers, not complex128"),
    "texts": (npz_bytes(x=X.astype(str), y=Y), "x must hold numbers"),
    "dates": (npz_bytes(x=X, y=Y.astype("M8[s]")), "'y' must hold numbers or texts"),
    "feature_names": (npz_bytes(x=X, y=Y, feature_names=["a"]), "feature_names must be 2"),
    "numbers_as_names": (npz_bytes(x=X, y=Y, feature_names=[1, 2]), "a list of texts"),
    "target_names": (npz_bytes(x=X, y=Y, target_names=["a"]), "target_names has 1 names"),
    "name_clash": (npz_bytes(x=X, y=Y, feature_names=["a", "y"]), "both called 'y'"),
    "huge_claim": (zip_bytes({"x.npy": npy_bytes(SHAPE_HUGE)}), "array 'x' is cut short"),
    "negative": (zip_bytes({"x.npy": npy_bytes(SHAPE_NEGATIVE)}), "array 'x' is cut short"),
    "version": (zip_bytes({"x.npy": b"\x93NUMPY\x09\x00" + b" " * 99}), "unknown format version"),
    "no_size": (
        zip_bytes({"x.npy": npy_bytes({**SHAPE_HUGE, "descr": "|V0"})}),
        "is of .*V0, which is not",
    ),
    "no_text": (
        zip_bytes({"x.npy": npy_bytes({**SHAPE_HUGE, "descr": "<U0"})}),
        "is of <U0, which is not",
    ),
    "deep_header": (
        zip_bytes({"x.npy": b"\x93NUMPY\x01\x00\x40\x1f" + b"(" * 8000}),
        "header that cannot be read",
    ),
    "warning_header": (
        zip_bytes({"x.npy": b"\x93NUMPY\x01\x00\x14\x00" + rb"{'\d' is 3: 4}     "}),
        "header that",
    ),
    "bytes_behind": (zip_bytes({"x.npy": npy_bytes(SHAPE_SMALL, bytes(33))}), "does not fit 33"),
    "encrypted": (flagged(WHOLE, 8, 1), "array 'x' is encrypted"),
    "method": (flagged(WHOLE, 10, 99), "array 'x' is compressed in an unknown way"),
    "code": (zip_bytes({"x.npy": b"\x93NUMPY\x01\x00\x14\x00__import__('os')    "}), "not a whole"),
    "single_class": (npz_bytes(x=X, y=Y * 0), "'y' has one value only, '0'"),
}


@pytest.mark.parametrize("name", HOSTILE_NPZ)
def test_hostile_npz_is_one_clear_line(tmp_path, name):
    data, message = HOSTILE_NPZ[name]
    with pytest.raises(TableError, match=message) as caught:
        load_table(write(tmp_path, data, "t.npz"))
    assert str(tmp_path / "t.npz") in str(caught.value)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("module", "limit", "name", "message"),
    [
        (limits, "MAX_CSV_BYTES", "t.csv", "has more than 10 bytes"),
        (limits, "MAX_TEXTS", "t.csv", "more than 10 cells; save it as NPZ"),
        (limits, "MAX_CELLS", "t.npz", r"x is \[6, 2\]: more than 10 numbers"),
        (files, "MAX_BYTES", "t.npz", "its arrays take more than 10 bytes"),
        (
            limits,
            "MAX_CELLS",
            "t.csv",
            r"a column for each category it is \[4, 3\] or larger: more than 10",
        ),
    ],
    ids=["bytes", "texts", "numbers", "unpacked", "categories"],
)
def test_limits(tmp_path, monkeypatch, module, limit, name, message):
    """Each is one below what the file has."""
    text = "a,c,y\n1,u,p\n3,v,q\n5,u,p\n7,v,q\n"
    path = write(tmp_path, text if name == "t.csv" else npz_bytes(x=np.ones((6, 2)), y=Y), name)
    monkeypatch.setattr(module, limit, 10)
    with pytest.raises(TableError, match=message):
        load_table(path)


@pytest.mark.parametrize(
    "arrays",
    [
        {"x": np.zeros((2, limits.MAX_COLUMNS + 1), np.int8)},
        {"x": X, "feature_names": np.zeros(10**5, "U1")},
        {"x": X, "y": Y, "target_names": np.zeros(10**5, "U1")},
    ],
    ids=["columns", "feature_names", "target_names"],
)
def test_many_columns_and_names_are_refused_unread(tmp_path, arrays, monkeypatch):
    """A short file may claim many of them: compressed, or texts of no length."""
    path = write(tmp_path, npz_bytes(**arrays), "t.npz")
    with pytest.raises(TableError, match=r"more than|different names"):
        load_table(path)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(data=st.data())
def test_broken_bytes_raise_nothing_else(tmp_path_factory, data):
    """Whole files with bytes overwritten or cut: read, or refused in one line."""
    whole, name = data.draw(st.sampled_from([(GOOD.encode(), "t.csv"), (WHOLE, "t.npz")]))
    broken = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    broken = bytes(broken[: data.draw(st.integers(1, len(broken)))])
    path = write(tmp_path_factory.mktemp("t"), broken, name)
    try:
        table = load_table(path)
    except TableError as error:
        message, good = str(error), True
    else:
        message, good = name, np.all(np.isfinite(table.x)) and len(table.x) == len(table.y)
    assert good and message.isprintable() and name in message


def test_paths_that_are_no_files(tmp_path):
    with pytest.raises(TableError, match="is a directory"):
        load_table(tmp_path)
    with pytest.raises(TableError, match="No such file"):
        load_table(tmp_path / "none.csv")
    with pytest.raises(TableError, match="null"):
        load_table("a\0b.csv")
    with pytest.raises(TableError, match="not a regular file"):
        load_table("/dev/null")
    with pytest.raises(TableError, match="too long"):
        load_table("a" * 5000)


@pytest.mark.parametrize("name", ["t.csv", "t.npz"])
def test_files_that_may_not_be_read(tmp_path, monkeypatch, name):
    path = write(tmp_path, GOOD if name == "t.csv" else WHOLE, name)

    def refuse(*args, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(files.os, "open", refuse)
    with pytest.raises(TableError, match=f"{name}: Permission denied"):
        load_table(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_files_without_permission(tmp_path):
    path = write(tmp_path, GOOD)
    path.chmod(0)
    with pytest.raises(TableError, match="Permission denied"):
        load_table(path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "z"}, "no column 'z'; the columns are 'a', 'b', 'y'"),
        ({"task": "regress"}, "line 2, column 'y': 'p' is not a number"),
        ({"task": "count"}, "line 2, column 'y': 'p' is not a number"),
        ({"task": "count", "target": "b"}, "line 2, column 'b': 2.5 is not a count"),
        ({"task": "classify", "target": "b"}, "'b' has 4 different values in 4 rows"),
        ({"task": "sort"}, "task is one of None, classify, regress, count, not 'sort'"),
        ({"missing": "median"}, "missing is one of fill, error, drop, mean, not 'median'"),
    ],
)
def test_wrong_options_are_one_clear_line(tmp_path, options, message):
    with pytest.raises(ValueError, match=message) as caught:
        load_table(write(tmp_path, GOOD), **options)
    assert "\n" not in str(caught.value)


def test_long_and_unprintable_contents_stay_out_of_messages(tmp_path):
    rows = "".join(f"{i}.5,p\n{i},q\n" for i in range(20))
    text = f"a,y\n{rows}\x1b[31m{'z' * 500},p\n"
    with pytest.raises(TableError, match=r"line 42, column 'a': '\\x1b\[31mz+\.\.\.'") as caught:
        load_table(write(tmp_path, text), missing="error")
    assert str(caught.value).isprintable() and len(str(caught.value)) < 200


def test_a_dataset_goes_into_a_jitted_program(tmp_path):
    data = load_table(write(tmp_path, GOOD))
    means = jax.jit(lambda x, y: jnp.stack([x[:, 0] @ (y == k) for k in range(2)]))
    np.testing.assert_array_equal(means(data.x, data.y), [6, 10])
