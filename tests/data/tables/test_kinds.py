"""What columns are taken for, from small columns that a reader can judge for himself."""

import numpy as np
import pytest

from jaxdl.data.tables import copies, kinds
from jaxdl.data.tables.table import Table, TableError, Texts, texts_of

N = 40
COUNT = range(N)


def decide(cells, name="a", kind=None, comma=False):
    column = cells if isinstance(cells, np.ndarray) else texts_of(map(str, cells))
    rows = len(column.at) if isinstance(column, Texts) else len(column)
    table = Table("t.csv", {name: column}, "line", range(2, rows + 2), comma)
    return kinds.decide(table, name, kind)


LETTERS = "abcdefghijklmnopqrstuvwxyz"
COLUMNS = {  # cells, name, kind, values, missing
    "numbers": ([k * k / 4 for k in COUNT], "a", "number", "0 to 380.25", 0),
    "with holes": (["3", "NA", "-1", "?", ""], "a", "number", "-1 to 3", 3),
    "with units": (["3 kg", "5 kg"], "a", "number", "3 to 5 kg", 0),
    "two numbers": (["0", "1", "1"], "a", "number", "0 to 1", 0),
    "infinite": (["1", "2", "inf"], "a", "number", "1 to 2", 1),
    "an array": (np.array([1.5, np.nan, 2]), "a", "number", "1.5 to 2", 1),
    "truth": (["Yes", "no", "YES"], "a", "truth", "no or yes", 0),
    "truth by a letter": (["T", "F", ""], "a", "truth", "f or t", 1),
    "dates": (["2024-02-29", "1999-01-01"], "a", "date", "1999-01-01 to 2024-02-29", 0),
    "digits that are dates": (["20240229", "19990101", "20000101"], "a", "date",
                              "1999-01-01 to 2024-02-29", 0),
    "times": (["10:30", "09:05"], "a", "date", "09:05:00 to 10:30:00", 0),
    "categories": (["red", "blue", "red"], "a", "category", "'red', 'blue'", 0),
    "many categories": ([LETTERS[k % 7] for k in COUNT], "a", "category",
                        "7 different: 'a', 'b', 'c' and 4 more", 0),
    "codes": (["007", "12", "007"], "a", "category", "'007', '12'", 0),
    "prose": ([f"it is {k} times that they came" for k in COUNT], "a", "text",
              "40 different, as 'it is 0 times that they came' and 39 more", 0),
    "names": ([f"Jane {k}" for k in COUNT], "a", "identifier",
              "40 different, as 'Jane 0' and 39 more", 0),
    "rows counted": (range(1, N + 1), "column 1", "identifier", "1 to 40", 0),
    "rows counted from zero": (np.arange(N), "x", "identifier", "0 to 39", 0),
    "time that counts": (range(1, N + 1), "Week", "number", "1 to 40", 0),
    "years": (range(1960, 1960 + N), "yr", "number", "1960 to 1999", 0),
    "called id": ([7 * k % 31 for k in COUNT], "patient_id", "identifier", "0 to 30", 0),
    "called PassengerId": ([7 * k % 31 for k in COUNT], "PassengerId", "identifier", "0 to 30", 0),
    "not called so": ([7 * k % 31 for k in COUNT], "humid", "number", "0 to 30", 0),
    "few rows": (range(1, 9), "id", "number", "1 to 8", 0),
    "constant": (["x"] * 3, "a", "constant", "'x'", 0),
    "constant number": (["3.0"] * 3, "a", "constant", "3.0", 0),
    "constant array": (np.full(3, 7), "a", "constant", "7", 0),
    "constant with holes": (["x", "", "x"], "a", "category", "'x'", 1),
    "empty": (["", "NA", "null"], "a", "empty", "", 3),
    "empty array": (np.array([np.nan, np.inf]), "a", "empty", "", 2),
}  # fmt: skip


@pytest.mark.parametrize("case", COLUMNS)
def test_what_columns_are(case):
    cells, name, kind, values, missing = COLUMNS[case]
    found = decide(cells, name)
    assert (found.kind, found.values, found.missing) == (kind, values, missing)


def test_a_few_words_among_numbers_count_as_missing_and_are_said():
    found = decide([*(k / 2 for k in range(30)), "n.d.", "n.d."])
    assert found.kind == "number" and found.missing == 2
    assert found.said == "2 cells that are no numbers, as 'n.d.' on line 32, count as missing"
    # Among few different numbers a word is one more category.
    assert decide([*(["1", "2"] * 20), "3+"]).kind == "category"
    assert decide([*(k / 2 for k in range(30)), *["low"] * 4]).kind == "category"  # 4 of 34


def test_what_could_be_read_in_another_way_is_said():
    assert decide(["1,234", "2,500"]).said == "1,234 is read as 1234"
    assert decide(["1,234", "2,500"], comma=True).said == "1,234 is read as 1.234"
    assert "read with the month first" in decide(["01/02/2024", "03/04/2024"]).said
    assert decide(["01/02/2024", "13/04/2024"]).said == ""


def test_the_user_overrules():
    assert decide(["1", "2", "1"], kind="category").kind == "category"
    assert decide(range(N), kind="number").kind == "number"  # though it counts the rows
    assert decide(["3.0"] * 3, kind="number").kind == "number"
    assert decide(["m", "f"], kind="truth").how == ["f", "m"]
    assert decide([f"Jane {k}" for k in COUNT], kind="text").kind == "text"
    assert decide(["007", "12"], kind="number").values == "7 to 12"
    assert decide(["01/02/2024", "x"], kind="date").missing == 1
    assert decide(["a", "b"], kind="ignored").kind == "ignored"
    assert decide(np.array([1, 2]), kind="category").values == "'1', '2'"


@pytest.mark.parametrize(
    ("cells", "kind", "message"),
    [
        (["a", "b"], "number", "column 'a' holds no numbers: 'a', 'b'"),
        (["a", "b"], "date", "column 'a' holds no dates: 'a', 'b'"),
        (["a", "b", "c"], "truth", "has 3 different values, as .*: a truth value has two"),
        (np.array([1, 2]), "date", "column 'a' holds numbers, not dates"),
    ],
)
def test_but_not_against_the_cells(cells, kind, message):
    with pytest.raises(TableError, match=message):
        decide(cells, kind=kind)


# copies of the target


def copied(cells, y, task):
    column = cells if isinstance(cells, np.ndarray) else texts_of(map(str, cells))
    return copies.copy_of(column, decide(cells), np.asarray(y), task)


def test_columns_that_give_classes_away():
    y = np.arange(30) % 3
    names = ["pqr"[k] for k in y]
    said = "has one value for each class of the target"
    assert copied(names, y, "classify") == copied(10 * y + 3.5, y, "classify") == said
    assert copied([*names[:-1], "p"], y, "classify") is None  # wrong once
    assert copied(np.arange(30), y, "classify") is None  # several values for a class
    assert copied(names[:19], y[:19], "classify") is None  # may be chance


def test_columns_that_give_numbers_away():
    y = np.linspace(0, 1, 50)
    assert copied(3 - 2e5 * y, y, "regress") == "has a correlation of -1.00000 with the target"
    noise = np.random.default_rng(0).normal(size=50)
    noise -= np.polyval(np.polyfit(y, noise, 1), y)  # orthogonal to a line, so r is exact
    for r in (0.9995, 0.9985):
        scale = np.std(y) * np.sqrt(1 / r**2 - 1) / np.std(noise)
        x = y + scale * noise
        assert np.corrcoef(x, y)[0, 1] == pytest.approx(r)
        assert (copied(x, y, "regress") is not None) == (r > 0.999)
    assert copied(y[:19], y[:19], "regress") is None
    assert copied(["u", "v"] * 25, y, "regress") is None
