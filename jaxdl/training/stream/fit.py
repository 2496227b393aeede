"""Train on batches that come one by one: data larger than memory."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxdl.base import Batch, Key, Learner
from jaxdl.checks import positive_int, typed_key
from jaxdl.training.host import checkpoints, inputs, runlog
from jaxdl.training.host.checkpoints import Checkpoint
from jaxdl.training.host.driver import Host, drive
from jaxdl.training.run_state import num_params
from jaxdl.training.stopping import EarlyStopping
from jaxdl.training.stream.job import StreamJob, stream_fingerprint


class StreamHistory(NamedTuple):
    """What happened, at V looks.

    steps: [V]. loss: [V], mean training loss since the look before. validation: {metric: [V]}.
    diverged: the step whose loss or state was not finite, -1 if none. stopped: whether early
    stopping ended it. best_step: of the best validation score; 0 without early stopping.
    """

    steps: np.ndarray
    loss: np.ndarray
    validation: dict[str, np.ndarray]
    diverged: int
    stopped: bool
    best_step: int


class StreamResult(NamedTuple):
    """state: the trained state, with early stopping the best. history: a StreamHistory."""

    state: Any
    history: StreamHistory

    def __repr__(self) -> str:
        history = self.history
        at = f"after step {history.steps[-1]}" if len(history.steps) else "before the first step"
        loss = f"; training loss {history.loss[-1]:.4g}" if len(history.loss) else ""
        scores = ", ".join(f"{k} {v[-1]:.4g}" for k, v in history.validation.items() if len(v))
        lines = [f"{num_params(self.state)} parameters {at}{loss}"]
        lines += [f"validation: {scores} at the end"] if scores else []
        lines += [f"diverged in step {history.diverged + 1}"] if history.diverged >= 0 else []
        return "\n".join(lines)


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
        checkpoint it must give the same batches again. A batch ``(x, y, weight [B])`` is weighted
        within itself; steps count alike.
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
        inputs.check_weights(validation, learner.weighs, "validation data")
        validation = inputs.within_range(validation)
    checkpoint, log = checkpoints.as_checkpoint(checkpoint), runlog.as_log(log)
    fingerprint = {}
    if checkpoint is not None:
        fingerprint = stream_fingerprint(learner, key, validation, evaluate_every, early_stopping)
    job = StreamJob(
        learner,
        batches,
        key,
        steps,
        validation=validation,
        evaluate_every=evaluate_every,
        early_stopping=early_stopping,
        ahead=ahead,
        fingerprint=fingerprint,
    )
    drive(job, Host(checkpoint, log, progress))
    return _result(job)


def _result(job: StreamJob) -> StreamResult:
    looks = {name: np.asarray(v) for name, v in job.looks.items()}
    state, best_step = job.carry.state, 0
    if job.best is not None and job.early_stopping is not None and job.best.epoch:
        best_step = int(job.best.epoch)
        state = job.best.state if job.early_stopping.restore_best else state
    history = StreamHistory(
        steps=looks["steps"].astype(int),
        loss=looks["loss"],
        validation={metric: looks[f"validation {metric}"] for metric in job.metrics},
        diverged=int(job.carry.diverged),
        stopped=job.stopped,
        best_step=best_step,
    )
    return StreamResult(state, history)
