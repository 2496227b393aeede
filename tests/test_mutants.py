"""The tool that makes mistakes makes those it says, each of them valid Python."""

import ast

import mutants

SOURCE = '''"""Docs say 1 + 1."""

def half(x: int = 3, *, flag=True) -> int:
    """Half - of it, 2."""
    if x < 0:
        raise ValueError(f"not {x + 1}")
    return -x / 2.0 if flag and x >> 1 else np.mean(x)
'''


def test_each_mistake_changes_one_thing(tmp_path):
    path = tmp_path / "half.py"
    path.write_text(SOURCE)
    made = [(SOURCE[m.begin : m.end], m.new) for m in mutants.mutants(path)]
    assert sorted(made) == sorted(
        [("3", "4"), ("True", "False"), ("<", "<="), ("0", "1"), ("-", "+"), ("/", "*"),
         ("2.0", "3.0"), ("and", "or"), ("1", "2"), ("mean", "sum")]
    )  # fmt: skip
    for mutant in mutants.mutants(path):
        ast.parse(mutant.source())
        changed = zip(SOURCE.splitlines(), mutant.source().splitlines(), strict=True)
        assert sum(old != new for old, new in changed) == 1


def test_a_statement_has_the_lines_that_run_together(tmp_path):
    path = tmp_path / "lines.py"
    path.write_text(
        "def f(x):\n    if x > 1:\n        return (\n            x\n            + 1\n        )\n"
    )
    lines = {m.new: m.statement() for m in mutants.mutants(path)}
    assert lines == {">=": range(2, 3), "2": range(3, 7), "-": range(3, 7)}


def test_tests_are_those_that_name_it_or_what_imports_it():
    found = lambda name: mutants.witnesses(mutants.ROOT / "jaxdl" / name, 3)
    assert found("metrics/intervals.py")[0] == "tests/metrics/test_intervals.py"
    assert "tests/models/test_linear.py" in found("models/ridge_solver.py")
    assert "tests/data/tables/test_reading.py" in found("data/tables/delimited.py")
