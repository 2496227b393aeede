"""How long a model-selection study takes, against what people do now, in one run on one machine.

``python -m experiments.benchmarks.model_selection`` prints a Markdown table and writes it with a
JSON file. Every row does the same work as the rows of its block: the same folds, epochs and batch
size. Compile time is apart. Use an idle machine.
"""

import dataclasses
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from experiments.benchmarks.timing import (
    Row,
    check_blocks,
    digits,
    measure,
    on_all_cores,
    stratified,
    timed,
)
from experiments.command import command

BLOCKS = ("mlp", "many", "softmax", "leave_one_out", "cache")


@dataclasses.dataclass(frozen=True)
class Config:
    """Measure studies against scikit-learn, PyTorch and loops; a few minutes on two cores."""

    only: tuple[str, ...] = BLOCKS
    """Blocks to run, of mlp, many, softmax, leave_one_out, cache."""
    epochs: int = 40
    """Of the multi-layer perceptrons."""
    settings: int = 10
    """Learning rates of the block mlp, times five folds."""
    repeats: int = 3
    """Timed runs of each row; the least counts. Ours compile in each of them anew."""
    out: str = "runs/benchmarks"
    """The folder to write to."""


def main(config: Config) -> list[Row]:
    """Run the blocks, print the table and write ``model_selection.{md,json}``."""
    check(config)
    from experiments.benchmarks import convex

    blocks = {
        "mlp": lambda: _mlp(config),
        "many": lambda: _many(config),
        "softmax": lambda: convex.softmax(config.repeats),
        "leave_one_out": lambda: convex.leave_one_out(config.repeats),
        "cache": lambda: _cache(config),
    }
    return measure(config, "model_selection", blocks)


def check(config: Config) -> None:
    """Raise a ValueError for unknown blocks and numbers that make no sense."""
    check_blocks(config, BLOCKS, ("epochs", "settings", "repeats"))


def _ours(work, repeats: int, strategy="auto"):
    """Ours, as a Row's figures: the least run and compile seconds, and accuracies [S, F]."""
    import jax
    import optax

    from jaxdl import clear_programs, families, models, training
    from jaxdl.model_selection import Execution, cross_validate

    network = models.mlp((work.x.shape[1], work.width, work.classes))
    objective = training.negative_log_likelihood(network, families.categorical(work.classes))
    make_learner = lambda h: training.gradient_learner(network, objective, optax.adam(h["rate"]))

    def study():
        clear_programs()  # it compiles in each run
        return cross_validate(
            make_learner,
            {"rate": [float(rate) for rate in work.rates]},
            (work.x, work.y),
            key=jax.random.key(0),
            folds=work.folds,
            seeds=work.seeds,
            epochs=work.epochs,
            batch_size=work.batch_size,
            evaluate_every=work.epochs,  # as the others: the peers score at the end alone
            execution=Execution(strategy),
        )

    runs = [timed(study, 1) for _ in range(repeats)]
    run = min(s.run_seconds for _, s in runs)
    compiling = min(s.compile_seconds for _, s in runs)
    total, last = min(t for t, _ in runs), runs[-1][1]
    return run, compiling, total, last


def _accuracy(scores) -> str:
    return f"best mean accuracy {scores.mean(1).max():.3f}"


def _perceptrons(config: Config, block: str, work, strategies) -> list[Row]:
    from experiments.benchmarks import peers
    from jaxdl import parallel

    cores, rows = parallel.usable_cores(), []
    for strategy in strategies:
        run, compiling, total, study = _ours(work, config.repeats, strategy)
        name = f"one program, {study.strategy.split(':')[0]}"
        name += " (auto)" if strategy == "auto" else ""
        scores = study.scores["accuracy"].mean(2)
        rows.append(Row(block, name, run, compiling, total, _accuracy(scores)))
    loops = []
    for _ in range(config.repeats):
        total, (scores, compiling) = timed(lambda: peers.jitted_loop(work), 1)
        loops.append(Row(block, "Python loop over one jitted program", total - compiling, compiling,
                         total, _accuracy(scores)))  # fmt: skip
    rows.append(min(loops, key=lambda row: row.run))
    cold, _ = timed(lambda: peers.grid_search(work, cores), 1)  # starts the worker processes
    run, scores = timed(lambda: peers.grid_search(work, cores), config.repeats)
    name = f"GridSearchCV(MLPClassifier, n_jobs={cores})"
    return [*rows, Row(block, name, run, 0.0, cold, _accuracy(scores))]


def _mlp(config: Config) -> list[Row]:
    """Learning rates x 5 folds of 64-100-10 on digits, batches of 200."""
    import numpy as np

    from experiments.benchmarks import peers
    from jaxdl import parallel

    x, y = digits()
    rates = np.logspace(-3.5, -1.5, config.settings)
    work = peers.Work(x, y, stratified(y), rates, 100, config.epochs, 200)
    block = f"{config.settings * 5} MLPs 64-100-10"
    rows = _perceptrons(config, block, work, ("auto", "vmap", "chunked", "map", "sequential"))
    try:
        import torch  # noqa: F401
    except ImportError:
        print("no PyTorch here: its row is left out")
        return rows
    for threads in sorted({1, parallel.usable_cores()}):
        run, scores = timed(lambda t=threads: peers.torch_loop(work, t), 1)
        name = f"PyTorch loop, threads={threads}"
        rows.append(Row(block, name, run, 0.0, run, _accuracy(scores)))
    return rows


def _many(config: Config) -> list[Row]:
    """Many small ones: learning rates x 5 folds x 5 seeds of 4-16-3 on iris, batches of 32."""
    import numpy as np

    from experiments.benchmarks import peers
    from jaxdl import data

    iris = data.load("iris")
    x = ((iris.x - iris.x.mean(0)) / iris.x.std(0)).astype(np.float32)
    y = iris.y.astype(np.int32)
    rates = np.logspace(-3.5, -1.5, 2 * config.settings)
    work = peers.Work(x, y, stratified(y), rates, 16, config.epochs, 32, seeds=5)
    return _perceptrons(config, f"{len(rates) * 25} MLPs 4-16-3", work, ("auto", "vmap"))


def _cache(config: Config) -> list[Row]:
    """The block mlp in new processes: without and with a warm persistent compilation cache."""
    code = (
        "import sys; from experiments.benchmarks import model_selection as m\n"
        "from jaxdl import parallel; parallel.use_all_cores()\n"
        "import numpy as np; from experiments.benchmarks import peers, timing as t\n"
        "x, y = t.digits()\n"
        f"rates = np.logspace(-3.5, -1.5, {config.settings})\n"
        f"work = peers.Work(x, y, t.stratified(y), rates, 100, {config.epochs}, 200)\n"
        "print(*m._ours(work, 1)[:3])\n"
    )
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "JAX_COMPILATION_CACHE_DIR": folder,
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        }
        for name in ("new process, empty cache", "new process, warm cache"):
            out = subprocess.run(
                [sys.executable, "-c", code], env=environment, capture_output=True, text=True,
                check=True, cwd=Path(__file__).parents[2],
            )  # fmt: skip
            run, compiling, total = map(float, out.stdout.split())
            block = "compilation cache"
            rows.append(Row(block, name, run, compiling, total, "one program, auto"))
    return rows


if __name__ == "__main__":
    command("benchmarks.model_selection", Config, on_all_cores(check, main), keeps=False)
