"""The benchmark of tables: what it asks for, and how it counts."""

from experiments.benchmarks import tables
from experiments.benchmarks.tables import Config, _is_close, outcome, sensible_target, summary


def test_a_sensible_target_is_the_last_that_is_no_name_and_no_date(tmp_path):
    path = tmp_path / "pydataset--t.csv"
    rows = [f"{k},{k % 3},{'ab'[k % 2]},2024-01-{1 + k % 28:02d},Jane {k}" for k in range(40)]
    path.write_text("\n".join([",n,c,when,who", *rows]))
    assert sensible_target(path) == "c"
    row = outcome(path, Config(read_only=True))
    assert row["answered"] and row["outcome"] == "classify, 40 rows, 4 features"
    known = tmp_path / "bokeh_sampledata--penguins.csv"
    known.write_bytes(path.read_bytes())
    row = outcome(known, Config(read_only=True))
    assert not row["answered"] and row["outcome"].startswith("no column 'species'")


def test_level_with_the_best_baseline():
    """5 % of the best of the others, 2, is 0.1."""
    loss = lambda ours: {"this study": {"rmse": ours}, "a": {"rmse": 3.0}, "b": {"rmse": 2.0}}
    assert _is_close(loss(2.1)) and not _is_close(loss(2.11))
    assert _is_close({"this study": {"nll": 1.0}}) is None
    rows = [{"answered": True, "close": True}, {"answered": True, "close": False}]
    rows += [{"answered": True}, {"answered": False}]
    assert summary(rows) == (
        "3 of 4 tables were answered; within 5 % of the best baseline in 1 of 2"
    )  # fmt: skip
    assert "target 'y', 3 s: fine" in tables.line(
        {"table": "t", "target": "y", "seconds": 3.2, "outcome": "fine"}
    )
