"""What the processes of the tests of several processes do, each on two host devices of its own."""

import os
import sys
from pathlib import Path

import jax
import numpy as np
import optax
import orbax.checkpoint  # noqa: F401  here once, for all processes that are forked from this
from networks import softmax_learner, three_classes

from jaxdl import families, models, parallel
from jaxdl.model_selection import Execution, Halving, cross_validate, refit
from jaxdl.training import Checkpoint, EarlyStopping, fit, gradient_learner, negative_log_likelihood
from jaxdl.training.host import driver

# A member alone in its row is the same program wherever it runs, so studies agree bit for bit.
ALONE = Execution("map", compact="always")
RATES = (0.01, 0.1, 0.5, 1.0, 2.0)
STUDIES = {
    "plain": {},
    "stopping": {"early_stopping": EarlyStopping(1, 0.02)},
    "halving": {"halving": Halving(2, first=2)},
    "two programs": {"early_stopping": EarlyStopping(9), "halving": Halving(2, first=2)},
    "chunked": {"execution": Execution("chunked", 2)},
}
NAMES = ("scores", "curves", "train_loss", "diverged", "epochs", "best_epochs", "dropped",
         "predictions", "states", "compile_seconds", "run_seconds", "num_programs")  # fmt: skip


def study(kind, epochs=12, **how):
    """A study of five settings, one of which diverges; early stopping ends some, halving others."""
    grid = [{"rate": rate, "bad": 9.0 if rate == 1.0 else 1e9} for rate in RATES]
    if kind == "two programs":
        grid = [{**h, "kind": "ab"[s % 2]} for s, h in enumerate(grid)]
    make = lambda h: softmax_learner({k: v for k, v in h.items() if k != "kind"})
    how = {"execution": ALONE, "keep": ("predictions", "states"), **STUDIES[kind], **how}
    return cross_validate(make, grid, three_classes(31), key=jax.random.key(7), folds=2, seeds=2,
                          epochs=epochs, batch_size=8, evaluate_every=1, **how)  # fmt: skip


def network(epochs=8, **how):
    """A fit with batch normalisation: its means are over batches of all devices."""
    net = models.mlp((4, 6, 3), norm="batch", dropout=0.2)
    objective = negative_log_likelihood(net, families.categorical(3))
    x, y = three_classes(40)
    return fit(gradient_learner(net, objective, optax.adam(0.01)), (x[:30], y[:30]),
               key=jax.random.key(7), epochs=epochs, batch_size=8, validation=(x[30:], y[30:]),
               evaluate_every=2, **how)  # fmt: skip


def leaves(result):
    """Every number of a study or a fit, by name."""
    if hasattr(result, "scores"):
        result = {name: getattr(result, name) for name in NAMES}
    flat = jax.tree_util.tree_leaves_with_path(result)
    is_key = lambda x: jax.dtypes.issubdtype(getattr(x, "dtype", float), jax.dtypes.prng_key)
    plain = lambda x: np.asarray(jax.random.key_data(x) if is_key(x) else x)
    return {jax.tree_util.keystr(path): plain(leaf) for path, leaf in flat}


def run(kind, folder, seconds, epochs):
    """What a process is there for: its numbers go to FOLDER/INDEX.npz."""
    checkpoint = None if seconds is None else Checkpoint(folder / "kept", seconds=seconds)
    how = {"checkpoint": checkpoint, "log": None if seconds is None else str(folder / "log.csv")}
    index = parallel.processes().index
    if kind == "fit":
        return leaves(network(epochs, **how))
    if kind == "refit":
        fitted = refit(study("plain", epochs), three_classes(31), settings=2, seeds=2)
        return {"members": np.asarray(fitted.predict(three_classes(31)[0]))}
    if kind == "other data":
        x, y = three_classes(31)
        cross_validate(softmax_learner, {"rate": [0.1]}, (x + index, y), key=jax.random.key(7),
                       folds=2, epochs=1)  # fmt: skip
    if kind == "exchanges":
        return exchanges(index)
    if kind == "ends early":
        jax.devices()  # where processes are joined all wait here for all
        if index == 1:
            raise OSError("its disk is full")
    return leaves(study("plain" if kind == "ends early" else kind, epochs, **how))


def exchanges(index):
    """What the exchanges give, of trees that differ from process to process."""
    tree = {
        "a": np.full(index + 1, index, np.float32),
        "key": jax.random.split(jax.random.key(index)),
    }
    mine = None if index == 1 else tree
    got = parallel.gather("trees", mine, tree)
    assert got[1] is None and got[index] is mine
    assert parallel.agree("one", index) == 0 and parallel.tell("all", [index]) == [[0], [1], [2]]
    reads = [] if index else [1]
    data = parallel.read_once(lambda: ([np.arange(reads.pop())], {"y": jax.numpy.bfloat16([3, 4])}))
    assert len(parallel.devices()) == 6
    assert [parallel.is_here(device) for device in parallel.devices()] == list(
        np.repeat(np.arange(3) == index, 2)
    )
    return {
        "zero": got[0]["a"], "two": got[2]["a"], "words": jax.random.key_data(got[2]["key"]),
        "x": data[0][0], "y": np.asarray(data[1]["y"], np.float32),
    }  # fmt: skip


def main(kind, folder, port, count, index, join=False, seconds=None, epochs=12):
    """One process of ``count``, as if it were called from a shell."""
    folder = Path(folder)
    error = os.open(folder / f"{index}.err", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(error, 2)
    driver.SECONDS = 0.1  # look often, so that a kill may hit anything
    jax.config.update("jax_num_cpu_devices", 2)
    jax.config.update("jax_debug_key_reuse", True)
    parallel.start(f"127.0.0.1:{port}", count, index, join=join)
    (folder / f"{index}.met").touch()
    try:
        np.savez(folder / f"{index}.npz", **run(kind, folder, seconds, epochs))
    except Exception as failure:
        print(f"{type(failure).__name__}: {failure}", file=sys.stderr, flush=True)
        sys.exit(1)
    finally:  # where a process is forked the interpreter does not come to its own end
        parallel.stop()
