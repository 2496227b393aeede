"""Columns become features; every number is worked by hand."""

import zlib

import numpy as np
import pytest

from jaxdl.data.tables import encoders, kinds
from jaxdl.data.tables.table import Table, Texts, texts_of


def fitted(cells, kind=None, **options):
    """The spec of a column, or why there is none."""
    column = texts_of(map(str, cells)) if not isinstance(cells, np.ndarray) else cells
    rows = len(column.at) if isinstance(column, Texts) else len(column)
    table = Table("t.csv", {"a": column}, "line", range(2, rows + 2))
    return encoders.fit(
        kinds.decide(table, "a", kind), column, **{"indicate": True, **options}
    )  # fmt: skip


def encoded(spec, *cells):
    return encoders.encode(spec, texts_of(cells))


def test_numbers_and_where_they_are_missing():
    spec = fitted(["1,5", "2", "", "1e300"])
    assert encoders.names(spec) == ["a", "a is missing"]
    found = encoded(spec, "2,5", "", "3.5", "x")
    np.testing.assert_array_equal(found.x, [[2.5, 0], [np.nan, 1], [np.nan, 1], [np.nan, 1]])
    np.testing.assert_array_equal(found.odd.where, [False, False, True, True])
    assert (found.odd.example, found.odd.what) == ("3.5", "is not a number")
    # Another dialect of the same table.
    np.testing.assert_array_equal(encoded(spec, "2.5", "1,000.5").x[:, 0], [2.5, 1000.5])
    np.testing.assert_array_equal(
        encoders.encode(spec, np.array([7.0, np.inf])).x, [[7, 0], [np.nan, 1]]
    )


def test_no_column_tells_of_missing_values_where_the_training_had_none():
    assert encoders.names(fitted(["1", "2"])) == ["a"]
    assert encoders.names(fitted(["1", "", "2"], indicate=False)) == ["a"]


def test_truth_values():
    spec = fitted(["Yes", "no"])
    found = encoded(spec, "YES", "No", "", "true", "maybe")
    np.testing.assert_array_equal(found.x[:, 0], [1, 0, np.nan, 1, np.nan])
    assert (found.odd.example, found.odd.what) == ("maybe", "is not no or yes")
    spec = fitted(["m", "f"], "truth")
    np.testing.assert_array_equal(encoded(spec, "M", "f").x[:, 0], [1, 0])


def test_categories():
    spec = fitted(["red", "blue", "", "red"])
    assert encoders.names(spec) == ["a=blue", "a=red", "a is missing"]
    found = encoded(spec, "red", "", "green", "blue")
    np.testing.assert_array_equal(found.x, [[0, 1, 0], [0, 0, 1], [0, 0, 0], [1, 0, 0]])
    assert found.odd.counts_as == "none of its values" and found.odd.where.tolist() == [0, 0, 1, 0]


def test_rare_values_stand_together():
    """Of 200 rows a value needs four."""
    cells = ["u"] * 100 + ["v"] * 90 + ["w"] * 4 + ["x"] * 3 + ["y"] * 3
    spec = fitted(cells)
    assert spec["values"] == ["u", "v", "w"] and spec["rare"] == ["x", "y"]
    assert encoders.names(spec)[-1] == "a: other"
    found = encoded(spec, "x", "z", "w")
    np.testing.assert_array_equal(found.x, [[0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 1, 0]])
    assert found.odd.example == "z" and found.odd.counts_as == "other values"
    # One rare value alone gets its own name.
    assert fitted(cells[:-3])["values"] == ["u", "v", "w", "x"]


@pytest.mark.parametrize(("rows", "least"), [(1, 1), (50, 1), (51, 2), (500, 10), (10**6, 10)])
def test_how_often_a_value_must_stand_there(rows, least):
    assert encoders.rare_below(rows) == least


def test_the_most_frequent_of_many_values():
    cells = [f"c{k}" for k in range(60) for _ in range(10 + k)]
    spec = fitted(cells)
    assert len(spec["values"]) == 50 and "c10" in spec["values"] and "c9" not in spec["values"]
    assert len(fitted(cells, most=3)["values"]) == 3
    assert encoders.what_becomes(spec, len(cells)).startswith("50 columns for the most frequent")


def test_dates():
    spec = fitted(["2024-01-01", "2024-01-03", ""])
    assert encoders.names(spec) == [
        "a (days)", "a (weekday, sine)", "a (weekday, cosine)", "a is missing",
    ]  # fmt: skip
    found = encoded(spec, "2024-01-08", "", "8.1.2024")
    np.testing.assert_allclose(found.x[0], [7, 0, 1, 0], atol=1e-12)
    np.testing.assert_array_equal(found.missing, [False, True, True])
    # All in another form: it is looked for.
    np.testing.assert_allclose(encoded(spec, "15.1.2024").x[0], [14, 0, 1, 0], atol=1e-12)


def test_words_are_counted_in_buckets():
    spec = fitted(["a b", "c"], "text")
    x = encoded(spec, "Dog dog, cat", "").x
    expected = np.zeros((2, 64))
    expected[0, zlib.crc32(b"dog") % 64] = 2
    expected[0, zlib.crc32(b"cat") % 64] += 1
    np.testing.assert_allclose(x, np.log1p(expected), rtol=1e-6)


@pytest.mark.parametrize(
    ("cells", "options", "why"),
    [
        (
            [f"v{k}" for k in range(51)] * 2,
            {},
            "no value stands in enough rows for a column of its own; --as a=target learns from them together",
        ),
        (["x", "y"], {"rows": [0, 0]}, "one value only in the training part"),
        (["1", "2"], {"rows": [1, 1]}, "one value only in the training part"),
        (["1", "2", ""], {"rows": [2]}, "no value in the training part"),
        (["2024-01-01", "2024-01-02", ""], {"rows": [2]}, "no value in the training part"),
    ],
)
def test_why_nothing_can_be_learned_from_a_column(cells, options, why):
    column = texts_of(cells)
    table = Table("t.csv", {"a": column}, "line", range(2, len(cells) + 2))
    part = column.take(np.array(options.get("rows", range(len(cells)))))
    assert encoders.fit(kinds.decide(table, "a"), part, indicate=True) == why


def test_texts_of_rows():
    column = texts_of(["b", "a", "", "b", "c"])
    taken = column.take(np.array([3, 2, 4]))
    assert taken.cells() == ["b", "", "c"] and taken.values == ["b", "c"]
    assert column.counts().tolist() == [2, 1, 1]
    assert texts_of(["na", "x"], missing=["x"]).values == ["na"]
