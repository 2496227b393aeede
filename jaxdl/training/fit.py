"""Train one learner: the same loop as a study's members, as one program."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl import parallel
from jaxdl.base import Array, Batch, Key, Learner
from jaxdl.training import loop
from jaxdl.training.loop import Rows, Schedule


class History(NamedTuple):
    """What happened while training.

    loss: [epochs], mean training loss of each epoch with its penalty; NaN once diverged.
    validation: {metric: [V]} after each of ``epochs`` [V]; {} without validation data.
    epochs: [V] epochs after which validation metrics were taken.
    diverged: [] int32, the first epoch that was not finite, -1 if none.
    """

    loss: Array
    validation: dict[str, Array]
    epochs: np.ndarray
    diverged: Array


class FitResult(NamedTuple):
    """state: the learner's trained state (that of its last finite epoch). history: a History."""

    state: Any
    history: History


def fit(
    learner: Learner,
    data: Batch,
    *,
    key: Key,
    epochs: int,
    batch_size: int | None = None,
    validation: Batch | None = None,
    evaluate_every: int = 1,
    remainder: str = "keep",
) -> FitResult:
    """Train a learner on data [N, ...] for some epochs of shuffled batches, as one XLA program.

    A member of a study with the same learner, rows and ``member_key`` trains in the same way.

    Args:
      learner: from ``gradient_learner`` and its kin. The same learner again costs no compilation.
      data: a pytree of arrays [N, ...], as ``(x, y)``.
      key: a typed key, consumed.
      epochs, batch_size: passes over the data; rows a step (default: all of them).
      validation: data of the same kind to evaluate on every ``evaluate_every`` epochs.
      remainder: ``"keep"`` trains on the last, smaller batch of an epoch too (its mean is over
        its own rows), ``"drop"`` leaves it out. Notes: Eq. (30), §5.1.

    Raises:
      ValueError: for numbers or data that make no sense.

    >>> import jax, jax.numpy as jnp, optax
    >>> from jaxdl import families, models, training
    >>> x = jnp.linspace(-1, 1, 16)[:, None]
    >>> net = models.mlp((1, 1))
    >>> objective = training.negative_log_likelihood(net, families.normal())
    >>> learner = training.gradient_learner(net, objective, optax.sgd(0.5))
    >>> result = fit(learner, (x, 3 * x[:, 0]), key=jax.random.key(0), epochs=100)
    >>> round(float(result.state.params["dense_0"]["kernel"][0, 0]), 3)
    3.0
    """
    lengths = {leaf.shape[0] for leaf in jax.tree.leaves(data)}
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError(f"the parts of the data must have one length, not {sorted(lengths)}")
    for name, value in {
        "epochs": epochs,
        "batch_size": 1 if batch_size is None else batch_size,
    }.items():
        if not isinstance(value, (int, np.integer)) or value < 1:
            raise ValueError(f"{name} must be a positive whole number, not {value!r}")
    if remainder not in ("keep", "drop"):
        raise ValueError(f"remainder is 'keep' or 'drop', not {remainder!r}")
    (n,) = lengths
    if remainder == "drop" and (batch_size or n) > n:
        raise ValueError(
            f"batch_size={batch_size} with remainder='drop' leaves no step of {n} rows"
        )
    schedule = Schedule(
        batch_size=min(batch_size or n, n),
        epochs=epochs,
        evaluate_every=min(evaluate_every, epochs),
        remainder=remainder,
    )
    with_options = parallel.compiler_options() is not None
    progress, state = _program(with_options)(learner, schedule, data, validation, key)
    history = History(
        progress.loss,
        progress.curves if validation is not None else {},
        schedule.evaluation_epochs,
        progress.diverged,
    )
    return FitResult(state, history)


@functools.cache
def _program(with_options: bool):
    options = parallel.compiler_options() if with_options else None
    return jax.jit(_fit, static_argnames=("learner", "schedule"), compiler_options=options)


def _fit(learner: Learner, schedule: Schedule, data: Batch, validation: Batch | None, key: Key):
    n = jax.tree.leaves(data)[0].shape[0]
    every = lambda count, start=0: Rows(
        jnp.arange(start, start + count, dtype=jnp.int32), jnp.ones(count, bool)
    )
    train, valid = every(n), None
    if validation is not None:
        valid = every(jax.tree.leaves(validation)[0].shape[0], n)
        data = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), data, validation)
    pads = loop.padding(np.array([n]), schedule)
    progress = loop.run_epochs(
        learner, data, train, valid, key, loop.init_progress(learner, data, key, schedule),
        0, schedule.epochs, schedule, pads,
    )  # fmt: skip
    steps = schedule.epochs * int(loop.steps_per_epoch(n, schedule))
    return progress._replace(state=()), loop.final_state(learner, progress, key, steps)
