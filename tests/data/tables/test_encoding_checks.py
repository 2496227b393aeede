"""What a saved encoding must be: each mistake alone is refused."""

import copy

import pytest

from jaxdl.data import load_table
from jaxdl.data.tables.encoding import check_encoding


@pytest.fixture(scope="module")
def encoding(tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "t.csv"
    rows = [f"{k * 7 % 50},{'ab'[k % 2]},{'pq'[k % 3 % 2]}" for k in range(60)]
    path.write_text("\n".join(["x,town,y", *rows]))
    return load_table(path, "y").encoding


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("missing", 1),
        ("missing", None),
        ("more", 0),
        ("name", "town"),
        ("name", 3),
        ("as", "numbers"),
    ],
)
def test_a_column_with_one_field_that_makes_no_sense(encoding, field, value):
    check_encoding(encoding)
    changed = copy.deepcopy(encoding)
    changed["columns"][0][field] = value
    with pytest.raises(ValueError, match="not an encoding of a table"):
        check_encoding(changed)


@pytest.mark.parametrize("field", ["missing", "as", "name", "format"])
def test_a_column_without_one_of_its_fields(encoding, field):
    changed = copy.deepcopy(encoding)
    del changed["columns"][0][field]
    with pytest.raises(ValueError, match="not an encoding of a table"):
        check_encoding(changed)
