"""A table of everything, and what later tables bring that it had not."""

import json

import numpy as np
import pytest

from jaxdl.data import TableError, encode_table, load_table, target_columns
from jaxdl.data.tables import encoders

ROWS = 60


def everything():
    """A table with a column of each kind, as text; the target has two holes."""
    k = np.arange(ROWS)
    columns = {
        "": k + 1,
        "size": [f"{v:,.1f}" for v in 1000 + 50.5 * (k % 13)],
        "price": ["" if v % 10 == 3 else f"${v}" for v in k % 17],
        "smokes": np.where(k % 3 == 0, "Yes", "no"),
        "seen": [f"{1 + v % 12}/{1 + v % 28}/2023" for v in k],
        "town": np.array(["Rome", "Oslo", "Bern"])[k % 3],
        "who": [f"Jane Doe {v}" for v in k],
        "remark": [f"they came {v} times and left" for v in k],
        "unit": ["kg"] * ROWS,
        "void": [""] * ROWS,
        "leak": np.where(k % 2, "u", "v"),
        "ill": np.where(k < 2, "", np.where(k % 2, "yes", "no")),
    }
    rows = zip(*columns.values(), strict=True)
    return "\n".join(
        [",".join(columns), *(",".join(f'"{cell}"' for cell in row) for row in rows)]
    )  # fmt: skip


def write(folder, text, name="t.csv"):
    (folder / name).write_text(text)
    return folder / name


@pytest.fixture
def table(tmp_path):
    return write(tmp_path, everything())


def test_everything_is_answered_and_accounted_for(table):
    data = load_table(table)
    assert [(c["name"], c["as"], c["becomes"].split(";")[0]) for c in data.columns] == [
        ("column 1", "identifier", "left out: counts the rows"),
        ("size", "number", "itself"),
        ("price", "number", "itself"),
        ("smokes", "truth", "1 for 'yes', else 0"),
        ("seen", "date", "elapsed days, month, weekday"),
        ("town", "category", "3 columns"),
        ("who", "identifier", "left out: differs in nearly every row"),
        ("remark", "text", "left out: --as remark=text counts its words"),
        ("unit", "constant", "left out: it has one value"),
        ("void", "empty", "left out: it has no values"),
        ("leak", "copy", "left out: gives the target away"),
    ]
    assert data.feature_names == (
        "size", "price", "price is missing", "smokes", "seen (days)", "seen (month, sine)",
        "seen (month, cosine)", "seen (weekday, sine)", "seen (weekday, cosine)", "town=Bern",
        "town=Oslo", "town=Rome",
    )  # fmt: skip
    assert data.notes == (
        "column 1 has no name; it is called 'column 1'",
        "2 of 60 rows have no 'ill': left out",
        "LEFT OUT: column 'leak' has one value for each class of the target, so it gives it away",
    )
    k = np.arange(2, ROWS)
    x = dict(zip(data.feature_names, data.x.T, strict=True))
    np.testing.assert_array_equal(x["size"], np.float32(1000 + 50.5 * (k % 13)))
    np.testing.assert_array_equal(x["price"], np.where(k % 17 % 10 == 3, np.nan, k % 17))
    np.testing.assert_array_equal(x["price is missing"], k % 17 % 10 == 3)
    np.testing.assert_array_equal(x["smokes"], k % 3 == 0)
    np.testing.assert_array_equal(x["town=Oslo"], k % 3 == 1)
    np.testing.assert_array_equal(data.y, k % 2)
    assert data.missing and data.target_names == ("no", "yes")
    again = encode_table(table, json.loads(json.dumps(data.encoding)))
    np.testing.assert_array_equal(again.x[2:], data.x)
    np.testing.assert_array_equal(again.y, [-1, -1, *data.y])


def test_the_user_overrules(table):
    kinds = {"town": "ignored", "remark": "text", "leak": "category", "price": "category"}
    data = load_table(table, kinds=kinds)
    said = {c["name"]: (c["as"], c["becomes"]) for c in data.columns}
    assert said["town"] == ("ignored", "left out: as asked for")
    assert said["remark"] == ("text", "64 columns that count its words")
    assert said["leak"] == ("category", "2 columns") and said["price"][0] == "category"
    for wrong, message in (
        ({"twon": "number"}, r"no column 'twon' \(is it 'town'\?\)"),
        ({"ill": "number"}, "'ill' is the target"),
        ({"town": "numbr"}, "the kind of 'town' is one of number, .* did you mean 'number'"),
        ({"town": "number"}, "column 'town' holds no numbers"),
    ):
        with pytest.raises(ValueError, match=message):
            load_table(table, kinds=wrong)


def test_an_unknown_target_is_named_by_its_nearest(table):
    for target, near in (("Ill", "ill"), ("Smoke", "smokes"), ("PRICE", "price")):
        with pytest.raises(
            TableError, match=rf"no column '{target}' \(is it '{near}'\?\); the col"
        ):
            load_table(table, target=target)


def test_what_is_learned_is_learned_from_the_training_rows(tmp_path):
    rows = [
        f"{k},{'new' if k == 9 else 'ab'[k % 2]},{'' if k == 9 else k},{k % 2}" for k in range(10)
    ]
    path = write(tmp_path, "\n".join(["x,c,h,y", *rows]))
    asked = []

    def training(y, task):
        asked.append((y.tolist(), task))
        return np.arange(8)

    data = load_table(path, fitted_to=training)
    assert asked == [([0, 1] * 5, "classify")]
    assert data.feature_names == ("x", "c=a", "c=b", "h")  # neither c=new nor a column for holes
    np.testing.assert_array_equal(data.x[9], [9, 0, 0, np.nan])
    assert load_table(path).feature_names == ("x", "c=a", "c=b", "c=new", "h", "h is missing")


def test_words_for_no_value_are_an_option(tmp_path):
    path = write(tmp_path, "x,c,y\n1,n.d.,p\n-99,NA,q\n3,u,p\n4,n.d.,q\n")
    data = load_table(path, missing_words=["n.d.", "-99"])
    assert data.feature_names == ("x", "x is missing", "c=NA", "c=u", "c is missing")
    np.testing.assert_array_equal(data.x[:, 1], [0, 1, 0, 0])
    assert encode_table(path, data.encoding).feature_names == data.feature_names


LATER = {  # a later file, and what is said of it
    "another order": ("town,size,x\nOslo,7,1\n", ()),
    "new value": ("x,town,size\n1,Kyiv,7\n2,Kyiv,7\n", (
        "line 2, column 'town': 'Kyiv' is no value of the training; 2 such cells count as none of "
        "its values",)),
    "new holes": ("x,town,size\n,,\n", tuple(
        f"column '{name}' has no value in 1 rows, where the training had values throughout; they "
        f"count as {what}" for name, what in (
            ("x", "the training mean"), ("town", "none of its values"),
            ("size", "the training mean")))),
    "a word": ("x,town,size\n1,Oslo,big\n", (
        "line 2, column 'size': 'big' is not a number; it counts as missing",)),
    "more columns": ("x,town,size,extra,unit\n1,Oslo,7,3,kg\n", (
        "columns that the training had not are not used: 'extra'",)),
    "new class": ("x,town,size,y\n1,Oslo,7,0\n1,Oslo,7,2\n", (
        "1 of 2 rows have no 'y' that the model knows, the first is line 3: no score for those",)),
}  # fmt: skip


@pytest.mark.parametrize("case", LATER)
def test_later_tables(tmp_path, case):
    rows = [f"{k * k},{['Rome', 'Oslo'][k % 2]},{k % 7},kg,{k // 3 % 2}" for k in range(30)]
    encoding = load_table(write(tmp_path, "\n".join(["x,town,size,unit,y", *rows]))).encoding
    text, notes = LATER[case]
    path = write(tmp_path, text, "later.csv")
    data = encode_table(path, encoding)
    assert data.notes == notes
    if not notes:
        np.testing.assert_array_equal(encode_table(path, encoding, strict=True).x, [[1, 1, 0, 7]])
    else:
        with pytest.raises(TableError) as caught:
            encode_table(path, encoding, strict=True)
        assert str(caught.value) == f"{path}: {notes[0]}"


def test_a_column_that_is_gone_is_named_with_the_nearest(tmp_path):
    encoding = load_table(write(tmp_path, "x,town,y\n1,a,p\n2,b,q\n3,a,p\n")).encoding
    with pytest.raises(TableError, match=r"no column 'town' \(is it 'Town'\?\)"):
        encode_table(write(tmp_path, "x,Town\n1,a\n"), encoding)


def test_categories_become_codes_for_their_mean_targets(tmp_path):
    """Values in order, then the missing ones; what is new has a code beyond."""
    rows = [f"{k * 7 % 31},{['b', 'a', ''][k % 3]},{k % 2}.5" for k in range(30)]
    data = load_table(write(tmp_path, "\n".join(["x,town,y", *rows])), kinds={"town": "target"})
    assert data.feature_names == ("x", "town")
    assert data.x[:3, 1].tolist() == [1, 0, 2]
    assert target_columns(data.encoding) == ([1], [3])
    (line,) = (c for c in data.columns if c["name"] == "town")
    assert (
        line["as"] == "category" and "for each of 2 values, and for missing ones" in line["becomes"]
    )
    later = write(tmp_path, "x,town\n1,c\n2,a\n3,\n", "later.csv")
    found = encode_table(later, data.encoding)
    assert found.x[:, 1].tolist() == [3, 0, 2]
    said = "line 2, column 'town': 'c' is no value of the training; it counts as the mean of all"
    assert found.notes == (said,)


@pytest.mark.parametrize("missing", ["fill", "mean"])
def test_missing_categories_without_a_code_count_as_the_mean(tmp_path, missing):
    """Under "mean" they are NaN, for a transform to fill; else they have a code beyond."""
    rows = [f"{k * 7 % 31},{'ab'[k % 2]},{k % 4}.5" for k in range(30)] + ["30,,1.5"] * (
        missing == "mean"
    )
    path = write(tmp_path, "\n".join(["x,town,y", *rows]))
    data = load_table(path, missing=missing, kinds={"town": "target"})
    assert target_columns(data.encoding) == ([1], [2])
    later = encode_table(write(tmp_path, "x,town\n1,\n", "later.csv"), data.encoding)
    np.testing.assert_array_equal(later.x[0, 1], 2 if missing == "fill" else np.nan)


def test_numbers_as_codes_and_only_the_most_frequent_of_very_many(tmp_path, monkeypatch):
    monkeypatch.setattr(encoders, "MAX_CODES", 2)
    rows = [f"{k * 7 % 31},{[7, 7, 30, 30, 100][k % 5]},{k % 3}.5" for k in range(30)]
    data = load_table(write(tmp_path, "\n".join(["x,code,y", *rows])), kinds={"code": "target"})
    assert data.x[:5, 1].tolist() == [1, 1, 0, 0, 2]  # "30", "7", and all others
    assert target_columns(data.encoding) == ([1], [2])
    later = encode_table(write(tmp_path, "x,code\n1,100\n2,8\n", "later.csv"), data.encoding)
    assert later.x[:, 1].tolist() == [2, 2] and later.notes == ()  # which are new is not known


def test_far_values_are_told_of(tmp_path):
    """Of 1 to 40 the quartiles are 19.5 apart: 420 is 20.5 of those from their median, 200 only 9.2."""
    for far, said in ((420, "20.5 interquartile ranges from the median: see --numbers robust"),
                      (200, "")):  # fmt: skip
        rows = [f"{k},{k * 7 % 5}.5" for k in range(1, 41)]
        rows[39] = f"{far},1.5"
        data = load_table(write(tmp_path, "\n".join(["x,y", *rows])))
        assert said in data.columns[0]["said"] and bool(data.columns[0]["said"]) == bool(said)


def test_x_stays_within_its_limit(tmp_path, monkeypatch):
    """Of 40 values with a row each in ten, ten at most have columns where 440 numbers are allowed."""
    from jaxdl.data.tables import table as limits

    rows = [f"c{k % 20},{k % 3}" for k in range(40)]
    path = write(tmp_path, "\n".join(["c,y", *rows]))
    assert load_table(path).x.shape == (40, 20)
    monkeypatch.setattr(limits, "MAX_CELLS", 440)
    assert load_table(path).x.shape == (40, 6)  # 440 // 40 // 2 and the others


def test_gaps_outside_of_the_training_part_are_told_of(tmp_path):
    """Nothing in the training rows is missing, so no column tells where; the table does."""
    path = write(
        tmp_path,
        "a,b,y\n"
        + "".join(f"{i * 37 % 41 / 8},{i * i % 7 or ''},{i * 1.5}\n" for i in range(1, 41)),
    )
    whole = lambda y, task: np.flatnonzero(np.arange(1, 41) % 7)
    data = load_table(path, fitted_to=whole)
    assert [c["becomes"] for c in data.columns] == ["itself", "itself; missing: the training mean"]
    assert np.isnan(data.x[6, 1]) and data.feature_names == ("a", "b")
