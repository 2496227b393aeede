"""One tiny run of the main job on iris, which the tests of two modules look at."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from experiments import model_selection, tabular
from jaxdl.model_selection import guards

ROOT = Path(__file__).parents[2]
RUNS = []


class Run(NamedTuple):
    folder: Path
    figures: dict[str, float]
    fitted: Any  # the model in memory
    looks: list  # at the test part


def tiny(out, **options):
    """Two settings of softmax regression, two folds, one seed."""
    defaults = {
        "hidden": ("none",),
        "learning_rates": (0.01, 0.1),
        "weight_decays": (0.0,),
        "dropouts": (0.0,),
        "folds": 2,
        "seeds": 1,
        "epochs": 20,
        "batch_size": 28,
        "networks": 1,
        "baselines": ("none",),
        "progress": False,
        "out": str(out),
    }
    return model_selection.Config(**{**defaults, **options})


def iris(tmp_path_factory):
    """The run, made on the first call."""
    if RUNS:
        return RUNS[0]
    folder = tmp_path_factory.mktemp("runs") / "deeper" / "iris"
    kept, looks = [], []
    with pytest.MonkeyPatch.context() as patch:
        save, look = tabular.save_model, guards.TestSetGuard.look
        patch.setattr(tabular, "save_model", lambda *a: (kept.append(a[1]), save(*a)))
        patch.setattr(guards.TestSetGuard, "look", lambda *a: (looks.append(1), look(*a))[1])
        config = tiny(folder, data="iris", learning_rates=(0.01, 0.3), baselines=("all",))
        figures = model_selection.main(config)
    RUNS.append(Run(folder, figures, kept[0], looks))
    return RUNS[0]


@contextlib.contextmanager
def call(*arguments, module="model_selection", **options):
    """``python -m experiments.MODULE`` with arguments, as a process that does not outlive us."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    # Whoever runs the tests in the background may ignore SIGINT, and a process inherits that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", f"experiments.{module}", *map(str, arguments)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, **options,
        )  # fmt: skip
    finally:
        signal.signal(signal.SIGINT, before)
    with process:
        try:
            yield process
        finally:
            process.kill()
