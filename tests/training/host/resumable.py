"""Runs that the tests of resuming kill, each a process of its own."""

import signal
import sys
from pathlib import Path

import jax
import numpy as np
import optax
import orbax.checkpoint  # noqa: F401  here once, for all processes that are forked from this
from networks import softmax_learner, three_classes

from jaxdl import families, models
from jaxdl.model_selection import Execution, cross_validate
from jaxdl.training import Checkpoint, EarlyStopping, fit, gradient_learner, negative_log_likelihood
from jaxdl.training.host import driver

# Look often, so that a kill may hit anything: training, a checkpoint, a log.
driver.SECONDS = 0.05


def network(h):
    """A network with batch normalisation and dropout: a state, random draws and an optimizer."""
    net = models.mlp((4, 6, 3), norm="batch", dropout=0.2)
    objective = negative_log_likelihood(net, families.categorical(3))
    return gradient_learner(net, objective, optax.adam(h["rate"]))


def train(epochs, checkpoint=None, **how):
    """The fit: minibatches, the last one smaller, validation, early stopping that never ends it."""
    x, y = three_classes(40)
    return fit(network({"rate": 1e-4}), (x[:30], y[:30]), key=jax.random.key(7), epochs=epochs,
               batch_size=8, validation=(x[30:], y[30:]), evaluate_every=50,
               early_stopping=EarlyStopping(1e9), checkpoint=checkpoint, **how)  # fmt: skip


def study(epochs, checkpoint=None, **how):
    """The study: two settings, two folds, of unequal length."""
    grid = {"rate": [1e-4, 1e-3]}
    return cross_validate(softmax_learner, grid, three_classes(31), key=jax.random.key(7), folds=2,
                          epochs=epochs, batch_size=8, evaluate_every=50, keep="states", execution=Execution(devices=jax.devices()[:1]),
                          early_stopping=EarlyStopping(1e9), checkpoint=checkpoint, **how)  # fmt: skip


def leaves(result):
    """Every number of a result, by name."""
    if hasattr(result, "scores"):
        names = ("scores", "curves", "train_loss", "diverged", "epochs", "best_epochs", "states")
        result = {name: getattr(result, name) for name in names}
    flat = jax.tree_util.tree_leaves_with_path(result)
    is_key = lambda x: jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)
    plain = lambda x: np.asarray(jax.random.key_data(x) if is_key(x) else x)
    return {jax.tree_util.keystr(path): plain(leaf) for path, leaf in flat}


def main(kind, folder, epochs, seconds=0.1):
    """Run to the end, from where the last process was killed, and write FOLDER/result.npz.

    ``kind`` is ``fit`` or ``study``, ``seconds`` those between checkpoints.
    """
    # Whoever runs the tests in the background may ignore SIGINT, and a process inherits that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    folder = Path(folder)
    run = {"fit": train, "study": study}[kind]
    try:
        result = run(epochs, Checkpoint(folder / "kept", seconds=seconds),
                     log=str(folder / "log.csv"))  # fmt: skip
    except KeyboardInterrupt:
        sys.exit(130)
    np.savez(folder / "result.npz", **leaves(result))
