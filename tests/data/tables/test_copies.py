"""Columns that give the target away, and those that only look as if they did."""

import numpy as np
import pytest

from jaxdl.data import load_table
from jaxdl.data.tables import copies, kinds, remarks
from jaxdl.data.tables.number_formats import PLAIN

RNG = np.random.default_rng(0)
N = 60
Y = np.exp(RNG.normal(size=N)).round(4)
CLASS = np.array(["a", "b", "c"])[np.arange(N) % 3]
CODE = np.arange(N) % 3
NOISE = RNG.normal(size=N).round(3)


def told(tmp_path, column, target):
    """What is said of a column beside one of noise."""
    lines = [",".join(map(str, row)) for row in zip(NOISE, column, target, strict=True)]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["noise,it,y", *lines]))
    return load_table(path, "y")


ORDER = "orders the rows as the target does"
RANGE = "has a range of its own for each class"
ALONE = "has values that stand with one class each"
COPY = "has one value for each class of the target"
SAID = {  # a column, the target, and what is said of it; left out only where that is loud
    "twice": (2 * Y + 1, Y, "LEFT OUT: column 'it' has a correlation of 1.00000 with the target"),
    "logarithm": (np.log(Y), Y, f"WARNING: column 'it' {ORDER} (rank correlation 1.00000)"),
    "power downwards": (-(Y**5), Y, f"WARNING: column 'it' {ORDER} (rank correlation -1.00000)"),
    "related": (Y + 0.1 * NOISE, Y, ""),
    "ordered but for two": (np.log(np.where(Y == Y.max(), Y.min() / 2, Y)), Y, ""),
    "upper case": (np.char.upper(CLASS), CLASS, f"LEFT OUT: column 'it' {COPY}"),
    "with gaps": (np.where(NOISE > 1, "", CLASS), CLASS, f"LEFT OUT: column 'it' {COPY}"),
    "with one error": (np.where(np.arange(N) == 7, "a", CLASS), CLASS, ""),
    "ranges": (CODE + NOISE.clip(-0.4, 0.4), CLASS, f"WARNING: column 'it' {RANGE}"),
    "ranges that touch": ((CODE + NOISE.clip(-0.5, 0.5)).round(), CLASS, ""),
    "ranges that overlap": (CODE + NOISE.clip(-0.7, 0.7), CLASS, ""),
    "subclasses": (
        np.char.add(CLASS, (np.arange(N) // 3 % 2).astype(str)), CLASS,
        f"WARNING: column 'it' {ALONE}",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SAID)
def test_what_is_said_of_a_column_that_knows_the_target(case, tmp_path):
    column, target, said = SAID[case]
    dataset = told(tmp_path, column, target)
    assert len(dataset.notes) == bool(said)
    assert "".join(dataset.notes).startswith(said)
    used = {name.split("=")[0] for name in dataset.feature_names}
    assert ("it" in used) == (not said.startswith("LEFT OUT"))


def test_a_range_of_few_rows_may_be_chance(tmp_path):
    """Two of 60 rows are of the other class, and have the largest values."""
    rare = np.where(np.arange(N) < 2, "x", "y")
    assert told(tmp_path, np.where(rare == "x", 9, 0) + NOISE, rare).notes == ()


def test_who_says_what_a_column_is_knows_it(tmp_path):
    told(tmp_path, np.log(Y), Y)
    assert load_table(tmp_path / "t.csv", "y", kinds={"it": "number"}).notes == ()


@pytest.mark.parametrize("error", [None, 17_000])
def test_all_rows_are_looked_at_in_the_end(error):
    """The sample of 20 000 rows, each fourth, is in order; a few hundred others need not be."""
    x = np.arange(20_000.0)
    y = x.copy()
    if error:
        y[1:2000:4] = error
    decision = kinds.Decision("it", "number", list(PLAIN), "", 0)
    found = copies.suspicion(x, decision, y, "regress")
    assert (found is None) == bool(error)


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (np.arange(30) * 10**8 + 10**9, "all differ and have 10 digits"),
        (np.arange(30) * 10**8 + 10**9 + 0.5, ""),  # no whole numbers
        (np.arange(30) // 2 * 10**8 + 10**9, ""),  # that recur
        (np.arange(30) * 10**8 + 10**8, ""),  # of different lengths
        (np.arange(30) * 10**5 + 10**6, ""),  # short ones
        (np.arange(30) * 86400 + 1.6e9, ""),  # seconds since 1970
    ],
)
def test_long_numbers_that_look_like_names(x, said):
    assert remarks.names(np.append(x, np.nan)).startswith(said) and bool(remarks.names(x)) == bool(
        said
    )
