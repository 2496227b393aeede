"""How long it takes to train one network, and what looking after it costs.

``python -m experiments.benchmarks.training`` prints a Markdown table and writes it with a JSON
file. Every row of a block does the same work: the same rows, steps, batch size and optimizer.
Compile time is apart. Use an idle machine.
"""

import dataclasses
import functools
import tempfile
import time
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

BLOCKS = ("small", "wide", "checkpoint", "study")


@dataclasses.dataclass(frozen=True)
class Config:
    """Measure ``fit`` against flax, PyTorch and a bare scan, and studies that stop early; a few
    minutes on two cores."""

    only: tuple[str, ...] = BLOCKS
    """Blocks to run, of small, wide, checkpoint, study."""
    epochs: int = 500
    """Of the block small; wide takes a 25th of them, checkpoint four times as many."""
    study_epochs: int = 81
    """Of the block study."""
    repeats: int = 3
    """Timed runs of each row; the least counts."""
    out: str = "runs/benchmarks"
    """The folder to write to."""


def main(config: Config) -> list[Row]:
    """Run the blocks, print the table and write ``training.{md,json}``."""
    check(config)
    blocks = {
        "small": lambda: one_network("small", (100,), config.epochs, config.repeats),
        "wide": lambda: one_network(
            "wide", (1024, 1024), max(1, config.epochs // 25), config.repeats
        ),
        "checkpoint": lambda: checkpoints(4 * config.epochs, config.repeats),
        "study": lambda: studies(config.study_epochs, config.repeats),
    }
    return measure(config, "training", blocks)


def check(config: Config) -> None:
    """Raise a ValueError for unknown blocks and numbers that make no sense."""
    check_blocks(config, BLOCKS, ("epochs", "study_epochs", "repeats"))


def learner(hidden: tuple[int, ...], rate: float = 1e-3):
    """The network of a block, 64 to 10, as a Learner."""
    import optax

    from jaxdl import families, models, training

    net = models.mlp((64, *hidden, 10))
    objective = training.negative_log_likelihood(net, families.categorical(10))
    return training.gradient_learner(net, objective, optax.adam(rate))


def fitted(task, **how):
    """``fit`` of a task twice: what the first call took beyond the second is compilation."""
    import jax

    from experiments.benchmarks.loops import Timing
    from jaxdl import training

    ours = learner(task.hidden, task.rate)

    def once():
        result = training.fit(
            ours, (task.x, task.y), key=jax.random.key(0), epochs=task.epochs,
            batch_size=task.batch_size, **how,
        )  # fmt: skip
        return jax.block_until_ready(result)

    cold, _ = timed(once, 1)
    run, result = timed(once, 1)
    accuracy = float((ours.predict(result.state, task.x).argmax(1) == task.y).mean())
    return Timing(run, max(cold - run, 0), accuracy)


def one_network(name: str, hidden: tuple[int, ...], epochs: int, repeats: int) -> list[Row]:
    """Steps a second of one network on digits with batches of 128, by everybody."""
    from experiments.benchmarks import loops
    from jaxdl import parallel

    x, y = digits()
    task = loops.Task(x[:1408], y[:1408], hidden, 10, epochs, 128)
    cores = parallel.usable_cores()
    ways = {
        "fit": functools.partial(fitted, task),
        "bare jitted scan": functools.partial(loops.bare_scan, task),
        "bare jitted scan, shuffled as fit does": functools.partial(loops.bare_scan, task, True),
        "flax linen, loop of jitted steps": functools.partial(loops.linen, task),
        "flax nnx, loop of jitted steps": functools.partial(loops.nnx_loop, task),
    }
    for threads in sorted({1, cores}):
        ways[f"PyTorch eager, {threads} threads"] = functools.partial(
            loops.torch_loop, task, threads
        )
    ways["torch.compile"] = functools.partial(loops.torch_loop, task, cores, compiled=True)
    sizes = "-".join(map(str, (64, *hidden, 10)))
    rows = []
    # Ours and the bare scan in turns: their difference is small beside that between moments.
    timings = {way: [] for way in ways}
    for _ in range(repeats):
        for way, run in ways.items():
            try:
                timings[way].append(run())
            except Exception as error:
                print(f"  {way} does not run here: {type(error).__name__}")
    for way, taken in timings.items():
        if taken:
            run, before = min(t.run for t in taken), min(t.before for t in taken)
            result = (
                f"{task.steps / run:,.0f} steps/s, {task.steps * 128 / run:,.0f} examples/s, "
                f"accuracy {taken[0].accuracy:.3f}"
            )
            block = f"{name} MLP {sizes}, {task.steps} steps of 128"
            rows.append(Row(block, way, run, before, run + before, result))
    return rows


def checkpoints(epochs: int, repeats: int) -> list[Row]:
    """What it costs to look at a run, and to save it; from which follows one save a minute."""
    from experiments.benchmarks import loops
    from jaxdl.training import Checkpoint

    x, y = digits()
    task = loops.Task(x[:1408], y[:1408], (100,), 10, epochs, 128)
    block = f"looking after a run, {task.steps} steps"
    quiet, looked, saved, counts, costs = [], [], [], [], []
    for _ in range(repeats):
        quiet.append(fitted(task))
        with tempfile.TemporaryDirectory() as folder:
            looked.append(fitted(task, log=str(Path(folder) / "log.csv")))
        costs.append(_save_seconds(task))
        with tempfile.TemporaryDirectory() as folder:
            # The second call would find the first one's end: a folder for each.
            first, count = _with_checkpoints(task, Checkpoint(folder, seconds=0.0))
        saved.append(first)
        counts.append(count)
    least = lambda timings: min(t.run for t in timings)
    cost = min(costs)
    row = lambda way, seconds, result: Row(block, way, seconds, 0.0, seconds, result)
    base = least(quiet)
    return [
        row("fit", base, "one call of the program"),
        row("fit with a log", least(looked), f"{least(looked) / base - 1:+.1%}"),
        row(
            "fit with a checkpoint at every look",
            min(saved),
            f"{max(counts)} checkpoints; one takes {1000 * cost:.0f} ms: {cost / 60:.2%} at one a minute",
        ),
    ]


def _with_checkpoints(task, checkpoint) -> tuple[float, int]:
    import jax

    from jaxdl import training
    from jaxdl.training.host import checkpoints as store

    count, save = 0, store.save

    def counted(*args):
        nonlocal count
        count += 1
        return save(*args)

    ours = learner(task.hidden, task.rate)
    data, how = (task.x, task.y), {"epochs": task.epochs, "batch_size": task.batch_size}
    with tempfile.TemporaryDirectory() as folder:  # compiles
        training.fit(ours, data, key=jax.random.key(1), checkpoint=folder, **how)
    store.save = counted
    try:
        began = time.perf_counter()
        result = training.fit(ours, data, key=jax.random.key(0), checkpoint=checkpoint, **how)
        jax.block_until_ready(result)
        return time.perf_counter() - began, count
    finally:
        store.save = save


def _save_seconds(task) -> float:
    """Seconds of one checkpoint of the trained state."""
    import jax

    from jaxdl import training
    from jaxdl.training.host import checkpoints as store

    result = training.fit(learner(task.hidden), (task.x, task.y), key=jax.random.key(0), epochs=1)
    with tempfile.TemporaryDirectory() as folder:
        where = training.Checkpoint(Path(folder))
        store.save(where, 0, result.state, {})
        return timed(lambda: store.save(where, 1, result.state, {}), 3)[0]


def studies(epochs: int, repeats: int) -> list[Row]:
    """A study in full, stopped early by member, and by successive halving: time and regret."""
    import jax

    from jaxdl import clear_programs, models, training
    from jaxdl.model_selection import Halving, cross_validate

    x, y = digits()
    rates = [10 ** (-4 + 3 * i / 8) for i in range(9)]
    grid = {"rate": rates, "dropout": [0.0, 0.2, 0.4]}

    def make_learner(h):
        import optax

        from jaxdl import families

        net = models.mlp((64, 64, 10), dropout=h["dropout"])
        objective = training.negative_log_likelihood(net, families.categorical(10))
        return training.gradient_learner(net, objective, optax.adam(h["rate"]))

    def study(**how):
        clear_programs()  # it compiles in each run
        return cross_validate(
            make_learner, grid, (x, y), key=jax.random.key(0), folds=stratified(y), epochs=epochs,
            batch_size=100, metric="nll", **how,
        )  # fmt: skip

    ways = {
        "every setting to the end": {},
        "each member stopped early (patience 10)": {
            "early_stopping": training.EarlyStopping(patience=10, metric="nll"),
            "evaluate_every": 1,
        },
        "successive halving (factor 3)": {"halving": Halving(3)},
    }
    block = f"study of {len(rates) * 3} settings x 5 folds, {epochs} epochs"
    full, rows = None, []
    for way, how in ways.items():
        runs = [timed(lambda how=how: study(**how), 1) for _ in range(repeats)]
        result = runs[-1][1]
        full = result if full is None else full
        loss, _ = full.summary("nll")
        chosen = result.best("nll")
        share = result.epochs.sum() / (result.epochs.size * epochs)
        regret = float(loss[chosen.index] - loss[full.best("nll").index])
        own = f", its own score {chosen.mean:.4f}" if result is not full else ""
        rows.append(
            Row(
                block,
                way,
                min(s.run_seconds for _, s in runs),
                min(s.compile_seconds for _, s in runs),
                min(t for t, _ in runs),
                f"{share:.0%} of the epochs; nll of its choice, trained in full, "
                f"{float(loss[chosen.index]):.4f}, regret {regret:.4f}{own}",
            )
        )
    return rows


if __name__ == "__main__":
    command("benchmarks.training", Config, on_all_cores(check, main), keeps=False)
