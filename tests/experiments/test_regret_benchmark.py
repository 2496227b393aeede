"""The benchmark of searches: all ways score equal settings equally, and costs are as by hand."""

import json

import jax
import numpy as np
import pytest

from experiments.benchmarks import regret
from experiments.benchmarks.regret import Config, Track

pytest.importorskip("optuna")
TINY = Config(data=("wine",), rounds=1, per_round=2, epochs=2, hidden=3, repeats=1)


@pytest.mark.slow
def test_both_ways_score_the_same_proposals_alike():
    """Random proposals come from the same draws, so the tracks are of the same settings."""
    for name in ("wine", "diabetes"):
        task = regret.Task(TINY, name)
        ours = regret.by_rounds(task, jax.random.key(0), "random")
        loop = regret.one_by_one(task, jax.random.key(0), "random")
        np.testing.assert_allclose(ours.scores, loop.scores, rtol=1e-4)
        assert np.all(np.diff(loop.seconds) > 0) and ours.seconds[0] == ours.seconds[1]


@pytest.mark.slow
def test_it_is_written(tmp_path, capsys):
    found = regret.main(Config(**{**vars(TINY), "out": str(tmp_path / "r")}))
    assert "| wine | search, TPE |" in capsys.readouterr().out
    told = json.loads((tmp_path / "r" / "regret.json").read_text())
    assert told["found"] == found and (tmp_path / "r" / "regret.png").stat().st_size > 10_000


def test_costs_and_regrets_by_hand():
    loop = Track(np.array([3.0, np.nan, 1.0]), np.array([1.0, 2.0, 3.0]))
    ours = Track(np.array([np.nan, 0.5, 2.0]), np.array([0.2, 0.4, 0.6]))
    np.testing.assert_array_equal(loop.best, [3, 3, 1])
    np.testing.assert_array_equal(ours.best, [np.inf, 0.5, 0.5])
    assert regret.cost(ours, 1.0) == 0.4 and regret.cost(loop, 0.9) == np.inf
    found = regret.summary({"search, TPE": [ours], "Optuna loop, TPE": [loop]})
    assert found["search, TPE"]["regret"] == 0 and found["Optuna loop, TPE"]["regret"] == 0.5
    assert found["search, TPE"]["to_mark"] == 0.4 and found["Optuna loop, TPE"]["to_mark"] == 3.0
    lines = regret.table({"wine": found}).splitlines()
    assert lines[2].endswith("| 0.6 | 0.4 | 1 of 1 | 1.0 |") and lines[3].endswith("| 7.5 |")


@pytest.mark.parametrize("how", [{"data": ("iris",)}, {"rounds": 0}])
def test_bad_options(how):
    with pytest.raises(ValueError, match=next(iter(how))):
        regret.main(Config(**how))
