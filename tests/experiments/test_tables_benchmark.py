"""The benchmark of tables: what it asks for, and how it counts."""

import numpy as np

from experiments.benchmarks import tables
from experiments.benchmarks.tables import (
    Config,
    _is_close,
    _is_right,
    outcome,
    sensible_target,
    summary,
)  # fmt: skip
from experiments.scores import Scored, better_by
from experiments.verdict import OURS, verdict


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
    loss = lambda ours: {"this study": ours, "a": 3.0, "b": 2.0}
    assert _is_close(loss(2.1)) and not _is_close(loss(2.11))
    assert _is_close({"this study": 1.0}) is _is_close({"this study": 1.0, "the mean": 2}) is None
    rows = [{"answered": True, "close": True}, {"answered": True, "close": False}]
    rows += [{"answered": True, "right": True}, {"answered": False}]
    assert summary(rows) == (
        "3 of 4 tables were answered; within 5 % of the best baseline in 1 of 2; the verdict is "
        "right in 1 of 1"
    )
    row = {"table": "t", "target": "y", "seconds": 3.2, "outcome": "fine"}
    assert tables.line(row).endswith("target 'y', 3 s: fine")
    row |= {"losses": loss(4.0), "close": False, "right": False}
    assert "(lost by loss: this study 4, a 3, b 2; verdict WRONG)" in tables.line(row)


WAYS = [
    {"the mean": (-1, 1), "Ridge": (-9, -8)},
    {"the mean": (1, 2), "far": (5, 6), "Ridge": (-3, -2)},
    {"the mean": (1, 2), "far": (5, 6), "Ridge": (-1, 1)},
    {"the mean": (1, 2), "far": (5, 6), "Ridge": (2, 3)},
]


def test_the_verdict_is_held_against_the_paired_intervals():
    """Errors beyond ours by so much: of four sentences one is right for each of four ways."""
    said, reports = [], []
    for way in WAYS:
        errors = {OURS: np.zeros(500)} | {n: np.linspace(*ends, 500) for n, ends in way.items()}
        tests = {n: Scored({"rmse": e.mean()}, e, None, 500) for n, e in errors.items()}
        said.append(verdict("regress", tests))
        paired = {n: better_by(tests[OURS], test) for n, test in tests.items() if n != OURS}
        reports.append({n: {"better_by": p[0], "interval_95": p[1:]} for n, p in paired.items()})
    right = [[_is_right({"verdict": s, "paired": p}) for p in reports] for s in said]
    np.testing.assert_array_equal(right, np.eye(4))
    alone = {"the mean": reports[0]["the mean"]}
    assert _is_right({"verdict": said[0], "paired": alone})
    assert not _is_right({"verdict": said[1], "paired": alone})
