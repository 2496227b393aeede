"""The benchmark of training does what it says, at a small size; nothing here looks at a clock."""

import json

import numpy as np
import pytest

from experiments.benchmarks import loops, timing, training
from experiments.benchmarks.training import Config, main


@pytest.fixture(scope="module")
def task():
    x, y = timing.digits()
    return loops.Task(x[:256], y[:256], (16,), 10, epochs=40, batch_size=32, rate=1e-2)


def test_everybody_learns_the_same_thing(task):
    ways = {
        "fit": training.fitted(task),
        "scan": loops.bare_scan(task),
        "linen": loops.linen(task),
        "nnx": loops.nnx_loop(task),
    }
    try:
        import torch  # noqa: F401
    except ImportError:
        pass
    else:
        ways["torch"] = loops.torch_loop(task, 1)
    assert task.steps == 320
    for name, found in ways.items():
        assert found.accuracy > 0.97, name
        assert found.run > 0 and found.before >= 0, name


@pytest.mark.slow
def test_checkpoints_are_written_and_counted(task):
    rows = training.checkpoints(4, 1)
    assert rows[0].way == "fit"
    assert "checkpoints; one takes" in rows[2].result and not rows[2].result.startswith("0 ")


@pytest.mark.slow
def test_studies_report_their_regret(tmp_path):
    rows = main(Config(only=("study",), study_epochs=9, repeats=1, out=str(tmp_path / "b")))
    assert rows[0].result.startswith("100%")
    assert int(rows[2].result.split("%")[0]) < 50  # halving trains a fraction of the epochs
    regrets = [float(row.result.split("regret ")[1].split(",")[0]) for row in rows]
    assert regrets[0] == 0 and np.min(regrets) >= 0
    written = json.loads((tmp_path / "b" / "training.json").read_text())
    assert len(written["rows"]) == 3 and written["config"]["study_epochs"] == 9


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"only": ("large",)}, "only takes small, .*, not 'large'"),
        ({"epochs": 0}, "epochs must be at least 1, not 0"),
        ({"repeats": 0}, "repeats must be at least 1, not 0"),
    ],
)
def test_bad_settings(settings, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        main(Config(out=str(tmp_path / "b"), **settings))
