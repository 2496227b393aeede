"""How long generative models take to train and to draw from.

``python -m experiments.benchmarks.generative`` prints a Markdown table and writes it with a JSON
file. Every row of a block does the same work: the same rows, steps, batch size, architecture and
optimizer, on the device that JAX has; on a CPU with all cores, and PyTorch with one as well.
Samples are drawn from the same parameters. flowjax's layers are as wide and as many as ours, but
its scales are softplus and its starts its own. Compile time is apart. Use an idle machine.
"""

import dataclasses
import functools
from collections.abc import Callable

from experiments.benchmarks import generative_work as kinds
from experiments.benchmarks.generative_work import Kind, Learned, Work
from experiments.benchmarks.timing import Row, check_blocks, measure, on_all_cores, scaled, timed
from experiments.command import command

BLOCKS = ("vae", "realnvp", "realnvp_digits", "maf", "maf_digits", "diffusion", "population")


@dataclasses.dataclass(frozen=True)
class Config:
    """Measure generative models against PyTorch and flowjax; some minutes on two cores."""

    only: tuple[str, ...] = BLOCKS
    """Blocks to run, of vae, realnvp, realnvp_digits, maf, maf_digits, diffusion, population."""
    scale: float = 1.0
    """Of the number of steps and of draws; 1 takes some seconds a row."""
    repeats: int = 3
    """Timed runs of each row, in turns; the least counts."""
    out: str = "runs/benchmarks"
    """The folder to write to."""


def main(config: Config) -> list[Row]:
    """Run the blocks, print the table and write ``generative.{md,json}``."""
    check(config)
    small, large, model = (64, 64), (128, 128), functools.partial(_model, config)
    images = lambda noisy=False: kinds.images(noisy)[0]
    blocks = {
        "vae": lambda: model(
            "VAE 64-128-128-16, digits", kinds.vae(), images(), 128, (200, 10_000, 20)
        ),
        "realnvp": lambda: model(
            "RealNVP, 8 x (64, 64), moons", kinds.realnvp(2, small, 8), kinds.moons(), 256,
            (30, 10_000, 10), ("coupling", 8, 64),
        ),
        "realnvp_digits": lambda: model(
            "RealNVP, 8 x (128, 128), digits", kinds.realnvp(64, large, 8), images(True), 128,
            (30, 2000, 10), ("coupling", 8, 128),
        ),
        "maf": lambda: model(
            "MAF, 5 x (64, 64), moons", kinds.maf(2, small, 5), kinds.moons(), 256,
            (40, 10_000, 10), ("autoregressive", 5, 64),
        ),
        "maf_digits": lambda: model(
            "MAF, 5 x (128, 128), digits", kinds.maf(64, large, 5), images(True), 128,
            (40, 1000, 2), ("autoregressive", 5, 128),
        ),
        "diffusion": lambda: model(
            "diffusion MLP (128, 128, 128), digits", kinds.diffusion(), images(), 128,
            (150, 1000, 5),
        ),
        "population": lambda: _population(config),
    }  # fmt: skip
    return measure(config, "generative", blocks)


def check(config: Config) -> None:
    """Raise a ValueError for unknown blocks and numbers that make no sense."""
    check_blocks(config, BLOCKS)


def in_turns(
    block: str, ways: dict[str, Callable], repeats: int, said: Callable[[Learned], str]
) -> list[Row]:
    """A row for each way, ``() -> Learned``; those that are not installed are left out."""
    taken = {way: [] for way in ways}
    for _ in range(repeats):
        for way in list(taken):
            try:
                taken[way].append(ways[way]())
            except ImportError as error:
                print(f"  {way}: not installed ({error})")
                del taken[way]
    rows = []
    for way, runs in taken.items():
        best, before = min(runs, key=lambda r: r.run), min(r.before for r in runs)
        rows.append(Row(block, way, best.run, before, best.run + before, said(best)))
    return rows


def _model(config, name: str, kind: Kind, x, batch_size: int, counts, theirs=None) -> list[Row]:
    """One model trained, and drawn from; ``counts`` are epochs, draws of a call, and calls.

    ``theirs`` says what it is in flowjax: the kind of layer, how many, how wide.
    """
    epochs, n, calls = counts
    work = Work(x, scaled(config, epochs), batch_size)
    calls = scaled(config, calls)
    # Trained once before, so that PyTorch starts and draws with our parameters.
    start, params = kinds.parameters(kind, work)
    device = _device()
    ways = {"fit, one program": lambda: kinds.fitted(kind, work)}
    draws = {"one program": lambda: kinds.sampled(kind, params, n, calls)}
    for threads in _threads(device):
        way = f"PyTorch eager, {device if device == 'cuda' else f'{threads} threads'}"
        ways[way] = lambda t=threads: _torch().torch_train(
            work, lambda device: kind.peer(start, device), device, t
        )
        draws[way] = lambda t=threads: _torch().torch_samples(
            kind.peer(params, device), n, calls, device, t
        )
    if theirs is not None:
        for scan in (False, True):
            way = "flowjax, " + ("one scan of its step" if scan else "loop of its jitted step")
            ways[way] = lambda s=scan: _flowjax().train(work, *theirs, scan=s)
        draws["flowjax, jitted"] = lambda: _flowjax().samples(x.shape[1], n, calls, *theirs)
    steps = lambda t: f"{work.steps / t.run:,.0f} steps/s, loss {t.figure:.3f}"
    each = lambda t: f"{n * calls / t.run:,.0f} samples/s, mean square {t.figure:.3f}"
    on = f"{name}, on {_named(device)}"
    return [
        *in_turns(f"{on}: {work.steps} steps of {batch_size}", ways, config.repeats, steps),
        *in_turns(f"{on}: {calls} x {n} samples", draws, config.repeats, each),
    ]


def _population(config: Config) -> list[Row]:
    """4 rates x 4 seeds of the VAE, each scored on held-out digits, as one program and in a loop."""
    import jax
    import numpy as np

    from jaxdl import clear_programs
    from jaxdl.model_selection import Execution, cross_validate

    x, valid = kinds.images()
    work, kind = Work(x, scaled(config, 100), 128), kinds.vae()
    rates, seeds, device = np.logspace(-3.5, -2, 4), 4, _device()
    folds = [(np.arange(len(x)), len(x) + np.arange(len(valid)))]

    def study(strategy):
        clear_programs()  # it compiles in each run
        return cross_validate(
            lambda h: kind.learner(h["rate"]), {"rate": [float(r) for r in rates]},
            np.concatenate([x, valid]), key=jax.random.key(0), folds=folds, seeds=seeds,
            epochs=work.epochs, batch_size=work.batch_size, remainder="drop",
            evaluate_every=work.epochs, metric="nll", execution=Execution(strategy),
        )  # fmt: skip

    block = f"16 VAEs (4 rates x 4 seeds) of {work.steps} steps of 128, on {_named(device)}"
    said = lambda losses: f"best mean held-out loss {losses.mean(-1).min():.3f}"
    rows = []
    for strategy in ("auto", "vmap"):
        runs = [timed(lambda s=strategy: study(s), 1) for _ in range(config.repeats)]
        last = runs[-1][1]
        way = f"one program, {last.strategy.split(':')[0]}" + " (auto)" * (strategy == "auto")
        seconds = [min(s.run_seconds for _, s in runs), min(s.compile_seconds for _, s in runs)]
        found = said(last.scores["nll"].mean(1))
        rows.append(Row(block, way, *seconds, min(t for t, _ in runs), found))
    start = jax.tree.map(np.asarray, kind.learner(1e-3).init(jax.random.key(0)).params)
    make = lambda device: kind.peer(start, device)
    for threads in _threads(device):
        loop = lambda t=threads: _torch().torch_study(work, make, valid, rates, seeds, device, t)
        try:
            run, losses = timed(loop, min(config.repeats, 2))
        except ImportError as error:
            print(f"  PyTorch: not installed ({error})")
            break
        way = f"PyTorch loop, {device if device == 'cuda' else f'{threads} threads'}"
        rows.append(Row(block, way, run, 0.0, run, said(losses)))
    return rows


def _torch():
    from experiments.benchmarks import generative_loops

    return generative_loops


def _flowjax():
    from experiments.benchmarks import flowjax_peers

    return flowjax_peers


def _device() -> str:
    """Where PyTorch is to run: on a GPU if JAX does and PyTorch can."""
    import jax

    try:
        import torch
    except ImportError:
        return "cpu"
    return "cuda" if jax.default_backend() == "gpu" and torch.cuda.is_available() else "cpu"


def _named(device: str) -> str:
    import jax

    kind = jax.devices()[0].device_kind
    return (
        kind
        if (device == "cuda") == (jax.default_backend() == "gpu")
        else f"{kind} (PyTorch on the CPU)"
    )


def _threads(device: str) -> list[int]:
    from jaxdl import parallel

    return [1] if device == "cuda" else sorted({1, parallel.usable_cores()}, reverse=True)


if __name__ == "__main__":
    command("benchmarks.generative", Config, on_all_cores(check, main), keeps=False)
