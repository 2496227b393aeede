"""Train one learner: the same loop as a study's members, as one program."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxdl import parallel
from jaxdl.arrays import num_rows
from jaxdl.base import Array, Batch, Key, Learner, Sequences
from jaxdl.checks import positive_int, typed_key
from jaxdl.training import divergence, stopping
from jaxdl.training.batching import Lengths, lengths_of, steps_per_epoch
from jaxdl.training.fit_job import FitJob, fit_fingerprint
from jaxdl.training.host import checkpoints, inputs, programs, runlog
from jaxdl.training.host.checkpoints import Checkpoint
from jaxdl.training.host.driver import Host, drive
from jaxdl.training.run_state import RunState, num_params
from jaxdl.training.stopping import EarlyStopping


class History(NamedTuple):
    """What happened while training, E epochs at most and V evaluations.

    loss: [E], mean training loss of each epoch with its penalty; NaN where not trained.
    validation: {metric: [V]} after each of ``epochs`` [V], flat after the end of the run; {}
        without validation data.
    epochs: [V] epochs after which validation metrics were taken.
    diverged: [] int32, the first epoch that was not finite, -1 if none.
    stopped: [] int32, the epochs after which the run was stopped early, -1 if it was not.
    best_epoch: [] int32, the epochs after which the validation score was best; 0 if never or
        without early stopping.
    converged: [] bool, whether the gradient fell below the tolerance.
    grad_norm: [E], mean gradient norm of each epoch's steps, where a tolerance was given; or ().
    record: leaves [V, ...], what ``record`` gave at each evaluation; or ().
    """

    loss: Array
    validation: dict[str, Array]
    epochs: np.ndarray
    diverged: Array
    stopped: Array
    best_epoch: Array
    converged: Array
    grad_norm: Any
    record: Any

    def __repr__(self) -> str:
        if np.ndim(self.loss) != 1 or isinstance(self.loss, Tracer):
            return f"histories of several or traced runs, loss {list(np.shape(self.loss))}"
        loss, lines = np.asarray(self.loss), []
        if len(trained := np.flatnonzero(np.isfinite(loss)) + 1):
            ends = dict.fromkeys(trained[[0, -1]])
            shown = ", ".join(f"{loss[e - 1]:.4g} in epoch {e}" for e in ends)
            lines.append(f"training loss {shown} of {len(loss)}")
        if self.validation:
            scores = ", ".join(f"{k} {np.asarray(v)[-1]:.4g}" for k, v in self.validation.items())
            best = int(self.best_epoch)
            lines.append(
                f"validation: {scores} at the end" + f"; best after epoch {best}" * (best > 0)
            )
        if int(self.stopped) >= 0:
            why = "converged" if bool(self.converged) else "stopped early"
            lines.append(f"{why} after epoch {int(self.stopped)}")
        return "\n".join([*lines, *filter(None, [divergence.of_history(self)])])


class FitResult(NamedTuple):
    """state: the trained state, of the best epoch with early stopping, else of the last finite one.
    history: a History. steps: [] int32, the number of steps that led to the state."""

    state: Any
    history: History
    steps: Array

    def __repr__(self) -> str:
        single = np.ndim(self.steps) == 0 and not isinstance(self.steps, Tracer)
        after = f"after step {int(self.steps)}" if single else "of several or traced runs"
        return f"{num_params(self.state)} parameters {after}\n{self.history!r}"


def fit(
    learner: Learner,
    data: Batch,
    *,
    key: Key,
    epochs: int | None = None,
    steps: int | None = None,
    batch_size: int | None = None,
    validation: Batch | None = None,
    evaluate_every: int = 1,
    remainder: str = "keep",
    early_stopping: EarlyStopping | None = None,
    tolerance: float | Array | None = None,
    checkpoint: str | Path | Checkpoint | None = None,
    log: Any = None,
    record: Callable | None = None,
    progress: bool = False,
) -> FitResult:
    """Train a learner on data [N, ...] by epochs of shuffled batches, in one XLA program.

    A member of a study with the same learner, rows and ``member_key`` trains in the same way. The
    host looks at a run every second or so where a bar, a log or checkpoints are asked for, and
    not at all otherwise; that changes no result. After ``parallel.start`` every batch is divided
    over the devices of all processes, and the first of them writes.

    Args:
      learner: from ``gradient_learner`` and its kin. A second run of it compiles nothing.
      data: a Dataset, or a pytree of arrays [N, ...], as ``(x, y)``; it is on the device once. Or
        ``(x, y, weight [N])``: losses and metrics are weighted means, of a batch by its own weights.
        Rows of weight 0 are left out; the unit of weights plays no part.
      key: a typed key, consumed.
      epochs, steps: passes over the data, or steps instead; one of the two.
      batch_size: rows a step (default: all of them).
      validation: data of the same kind to evaluate on every ``evaluate_every`` epochs.
      remainder: ``"keep"`` trains on the last, smaller batch of an epoch too (its mean is over
        its own rows), ``"drop"`` leaves it out. Notes: Eq. (30), §5.1.
      early_stopping: an ``EarlyStopping``, by the validation data.
      tolerance: stop once the mean gradient norm of an epoch is below it. Notes: §1.6 (E-1).
      checkpoint: a folder, or a ``Checkpoint``. The same call again goes on from the last whole
        one and ends with the same numbers as a run that was never interrupted; with more epochs
        it trains on. One of other data, or of a learner whose trace differs, is refused. SIGTERM and Ctrl-C save first, then exit with 143 or raise.
      log: a ``.csv`` or ``.jsonl`` file, or what has ``start`` and ``add`` (``TensorBoardLog``).
      record: ``(state) -> pytree`` of what to keep at each evaluation, in ``History.record``.
      progress: show a bar.

    Raises:
      ValueError: for numbers or data that make no sense (values that are not finite, labels that
        the learner's ``responses`` do not have), and for a checkpoint that is damaged or of another run.
      OSError: where a checkpoint or a log cannot be written.

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
    inputs.check_learner(learner)
    typed_key(key)
    host = Host(checkpoints.as_checkpoint(checkpoint), runlog.as_log(log), progress)
    watched = host.seconds is not None
    data = inputs.as_arrays(data)
    inputs.check_weights(data, learner.weighs)
    data = inputs.that_count(inputs.within_range(data))
    n = num_rows(data)
    lengths = _lengths(n, epochs, steps, batch_size, evaluate_every, remainder)
    whole, num_valid = data, 0
    if validation is not None:
        validation = inputs.as_arrays(validation, "validation data")
        inputs.check_weights(validation, learner.weighs, "validation data")
        validation = inputs.within_range(validation)
        whole, num_valid = _join(data, validation), num_rows(validation)
    alone, joined = learner, parallel.processes().joined
    if not joined:
        whole = jax.device_put(whole)
    else:
        mesh = parallel.mesh(jax.devices(), "data")
        if lengths.batch_size % mesh.size:
            raise ValueError(
                f"batch_size={lengths.batch_size} must be a multiple of the {mesh.size} devices of "
                "all processes"
            )
        learner, whole = parallel.divided(learner, mesh), parallel.spread(whole, mesh)
    info, metrics = programs.reports(learner, whole, key)
    inputs.check_responses(data, learner.responses)
    if validation is not None:
        inputs.check_responses(validation, learner.responses, "validation data")
    if early_stopping is not None:
        early_stopping = stopping.check(early_stopping, metrics, validation is not None)
    if tolerance is not None and "grad_norm" not in info:
        raise ValueError("a tolerance needs a learner whose steps report grad_norm")
    rule, thresholds = programs.split(early_stopping, tolerance)
    spec = programs.FitSpec(
        learner,
        lengths._replace(within_epochs=watched or steps is not None),
        num_train=n,
        num_valid=num_valid,
        early_stopping=rule,
        has_tolerance=tolerance is not None,
        record=record,
    )
    run = programs.empty(spec, whole, key)
    fingerprint = {}
    if checkpoint is not None or joined:
        fingerprint = fit_fingerprint(
            spec._replace(learner=alone), data, validation, key, early_stopping, tolerance
        )
        parallel.check_same("fit", fingerprint)
    if watched:
        job = FitJob(spec, whole, key, run, thresholds, metrics, fingerprint)
        drive(job, host)
        run = job.run
    else:
        run = programs.call(
            programs.advance, (), spec, whole, jax.random.clone(key), run, 0, spec.total, thresholds
        )
    state, run, taken = programs.call(programs.finish, (), spec, jax.random.clone(key), run)
    if joined:
        state, run, taken = parallel.local((state, run, taken))
    return FitResult(state, _history(spec, run, tolerance), taken)


def _history(spec: programs.FitSpec, run: RunState, tolerance) -> History:
    return History(
        loss=run.loss,
        validation=run.curves if spec.num_valid else {},
        epochs=spec.lengths.evaluation_epochs,
        diverged=run.diverged,
        stopped=run.stopped,
        best_epoch=jnp.zeros((), jnp.int32) if spec.early_stopping is None else run.best.epoch,
        converged=jnp.zeros((), bool) if tolerance is None else jnp.any(run.grad_norm < tolerance),
        grad_norm=run.grad_norm,
        record=run.record,
    )


def _join(data: Batch, validation: Batch) -> Batch:
    is_sequences = lambda node: isinstance(node, Sequences)

    def join(a, b):
        if is_sequences(a):  # padding is free: both get the positions of the longer
            longest = max(a.values.shape[1], b.values.shape[1])
            a, b = a.padded(longest), b.padded(longest)
        return jax.tree.map(lambda a, b: jnp.concatenate([a, b]), a, b)

    try:
        return jax.tree.map(join, data, validation, is_leaf=is_sequences)
    except (ValueError, TypeError, AttributeError) as error:
        shapes = lambda tree: jax.tree.map(lambda leaf: "x".join(map(str, leaf.shape)), tree)
        raise ValueError(
            f"validation data {shapes(validation)} are not of the kind of the data {shapes(data)}"
        ) from error


def _lengths(n, epochs, steps, batch_size, evaluate_every, remainder) -> Lengths:
    if (epochs is None) == (steps is None):
        raise ValueError("fit takes epochs or steps, one of the two")
    if steps is None:
        return lengths_of([n], epochs, batch_size, evaluate_every, remainder)
    lengths = lengths_of([n], 1, batch_size, evaluate_every, remainder)
    epochs = -(-positive_int("steps", steps) // int(steps_per_epoch(n, lengths)))
    return lengths._replace(epochs=epochs, steps=steps)
