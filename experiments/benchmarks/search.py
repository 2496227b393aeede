"""A scikit-learn script in which two lines were changed: seconds of wall clock and of CPU, and scores.

``GridSearchCV(MLPClassifier)`` on the digits, learning rates x penalties x 5 folds, against
``StudySearchCV(NetworkClassifier)`` of the same arguments. Both train every epoch: nothing stops early.
"""

import dataclasses
import resource
import time
import warnings
from typing import Any

import numpy as np

from experiments.benchmarks.timing import Row, check_blocks, digits, measure, on_all_cores
from experiments.command import command


@dataclasses.dataclass(frozen=True)
class Config:
    """Measure a scikit-learn script against the same with two lines changed."""

    only: tuple[str, ...] = ("search",)
    """Blocks to run; there is one."""
    rates: int = 5
    """Learning rates."""
    penalties: int = 4
    """Values of alpha for each of them."""
    epochs: int = 20
    """Of every network."""
    jobs: int = 2
    """Processes of scikit-learn's search."""
    out: str = "runs/benchmark_search"
    """The folder to write to."""


def main(config: Config) -> list[Row]:
    """The rows of both ways, in a table and in ``out``."""
    check(config)
    return measure(config, "search", {"search": lambda: search(config)})


def check(config: Config) -> None:
    """Raise a ValueError for blocks that there are not and counts under 1."""
    check_blocks(config, ("search",), ("rates", "penalties", "epochs", "jobs"))


def search(config: Config) -> list[Row]:
    """A Row for each way; its ``compile`` is what the studies say, CPU seconds are in ``result``."""
    from sklearn.model_selection import GridSearchCV
    from sklearn.neural_network import MLPClassifier

    from jaxdl.interop.sklearn import NetworkClassifier, StudySearchCV

    x, y = digits()
    grid = {
        "learning_rate_init": np.logspace(-1.5, -3.5, config.rates).tolist(),
        "alpha": np.logspace(-4, 1, config.penalties).tolist(),
    }
    settings = {"max_iter": config.epochs, "batch_size": 128, "random_state": 0}
    never = {"n_iter_no_change": config.epochs + 1}
    ours = StudySearchCV(NetworkClassifier((100,), **settings), grid, cv=5)
    plain = MLPClassifier((100,), **settings, **never)
    theirs = GridSearchCV(plain, grid, cv=5, n_jobs=config.jobs)
    name = f"grid search, {config.rates * config.penalties} MLPs x 5 folds"
    rows = []
    for way, made in (
        ("StudySearchCV(NetworkClassifier)", ours),
        (f"GridSearchCV(MLPClassifier), {config.jobs} processes", theirs),
    ):
        wall, cpu = _seconds(made, x, y)
        compiled = sum(study.compile_seconds for study in getattr(made, "studies_", []))
        scores = made.cv_results_["mean_test_score"]
        result = f"accuracy {scores.max():.4f}, mean {scores.mean():.4f}; {cpu:.1f} CPU s"
        rows.append(Row(name, way, wall - compiled, compiled, wall, result))
    return rows


def _seconds(search: Any, x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Wall clock and CPU seconds, of processes that end within too, of a search."""
    began, before = time.perf_counter(), _cpu()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search.fit(x, y)
    wall = time.perf_counter() - began
    if getattr(search, "n_jobs", None) not in (None, 1):
        from joblib.externals.loky import get_reusable_executor

        get_reusable_executor().shutdown(wait=True)
    return wall, _cpu() - before


def _cpu() -> float:
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(use.ru_utime + use.ru_stime for use in both)


if __name__ == "__main__":
    command("benchmarks.search", Config, on_all_cores(check, main), keeps=False)
