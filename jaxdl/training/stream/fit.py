"""Train on batches that come one by one: data larger than memory."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxdl.base import Batch, Key, Learner
from jaxdl.checks import positive_int, typed_key
from jaxdl.training.host import checkpoints, fingerprint, inputs, runlog
from jaxdl.training.host.checkpoints import Checkpoint
from jaxdl.training.stopping import EarlyStopping
from jaxdl.training.stream.run import StreamResult, StreamRun


def fit_stream(
    learner: Learner,
    batches: Iterable[Batch] | Callable[[int], Iterable[Batch]],
    *,
    key: Key,
    steps: int,
    validation: Batch | None = None,
    evaluate_every: int = 100,
    early_stopping: EarlyStopping | None = None,
    checkpoint: str | Path | Checkpoint | None = None,
    log: Any = None,
    progress: bool = False,
    ahead: int = 2,
) -> StreamResult:
    """Train a learner on batches from an iterator, which a host thread fetches ahead.

    Args:
      learner: from ``gradient_learner`` and its kin.
      batches: an iterable of batches [B, ...] (each size B is compiled once), a Grain iterator or
        loader, or ``(start) -> iterable`` that begins with batch number ``start``. To go on from a
        checkpoint it must give the same batches again.
      key: a typed key, consumed.
      steps: how many batches to train on; fewer if there are no more.
      validation: data [M, ...] on the device, evaluated every ``evaluate_every`` steps.
      early_stopping: as in ``fit``, but its patience counts evaluations.
      checkpoint, log, progress: as in ``fit``; a log's ``epoch`` is empty.
      ahead: batches to fetch ahead.

    A step whose loss or state is not finite is not taken, is flagged, and ends the run.

    Raises:
      ValueError: for numbers that make no sense, no batches at all, a batch of what is no data or of
        responses that the learner does not have, and for a checkpoint that is damaged or of another
        run. What the iterator raises is raised.
      OSError: where a checkpoint or a log cannot be written.

    >>> import itertools, jax, jax.numpy as jnp, optax
    >>> from jaxdl import families, models, training
    >>> x = jnp.linspace(-1, 1, 8)[:, None]
    >>> net = models.mlp((1, 1))
    >>> objective = training.negative_log_likelihood(net, families.normal())
    >>> learner = training.gradient_learner(net, objective, optax.sgd(0.5))
    >>> same = itertools.repeat((x, 3 * x[:, 0]))
    >>> result = fit_stream(learner, same, key=jax.random.key(0), steps=100)
    >>> round(float(result.state.params["dense_0"]["kernel"][0, 0]), 3)
    3.0
    """
    for name, value in {"steps": steps, "evaluate_every": evaluate_every, "ahead": ahead}.items():
        positive_int(name, value)
    inputs.check_learner(learner)
    typed_key(key)
    if validation is not None:
        validation = inputs.as_arrays(validation, "validation data")
        inputs.check_responses(validation, learner.responses, "validation data")
    checkpoint, log = checkpoints.as_checkpoint(checkpoint), runlog.as_log(log)
    same = {} if checkpoint is None else {
        "validation": fingerprint.of_arrays(validation),
        "key": fingerprint.of_key(key),
        "evaluate_every": evaluate_every,
        "early_stopping": fingerprint.of_stopping(early_stopping),
        "program": None if validation is None else fingerprint.of_learner(
            learner, jax.tree.map(lambda leaf: leaf[np.zeros(2, int)], validation), key
        ),
    }  # fmt: skip
    run = StreamRun(
        learner, key, steps, validation, evaluate_every, early_stopping, log, checkpoint
    )
    if checkpoint is None:
        return run.train(batches, None, progress, ahead)
    with checkpoints.opened(checkpoint.folder):
        run.resume(checkpoint, same)
        return run.train(batches, checkpoint, progress, ahead)
