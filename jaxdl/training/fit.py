"""Train one learner: the same loop as a study's members, as one program."""

import functools
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl import parallel
from jaxdl.base import Array, Batch, Key, Learner
from jaxdl.training import checkpoints, loop, runlog, stopping
from jaxdl.training.checkpoints import Checkpoint
from jaxdl.training.interrupts import Interrupts
from jaxdl.training.loop import Plan, Progress
from jaxdl.training.pacing import Bar, stretches
from jaxdl.training.rows import Rows, Schedule, padding, steps_per_epoch, take
from jaxdl.training.stopping import EarlyStopping

# Between two looks of the host: with a bar, and with nothing but checkpoints and logs.
SECONDS_WITH_BAR, SECONDS = 0.5, 2.0


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


class FitResult(NamedTuple):
    """state: the trained state, of the best epoch with early stopping, else of the last finite one.
    history: a History. steps: [] int32, the number of steps that led to the state."""

    state: Any
    history: History
    steps: Array


class _Run(NamedTuple):
    """What is static of a run, a key of the compiled programs."""

    learner: Learner
    schedule: Schedule
    num_train: int
    num_valid: int
    metric: str | None
    restore_best: bool
    has_tolerance: bool
    record: Callable | None

    @property
    def per_epoch(self) -> int:
        return int(steps_per_epoch(self.num_train, self.schedule))

    @property
    def total(self) -> int:
        return self.schedule.total_steps(self.per_epoch)


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
    not at all otherwise; that changes no result.

    Args:
      learner: from ``gradient_learner`` and its kin. The same learner again costs no compilation.
      data: a pytree of arrays [N, ...], as ``(x, y)``; it is on the device once.
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
        it trains on. SIGTERM and Ctrl-C save first, then exit with 143 or raise.
      log: a ``.csv`` or ``.jsonl`` file, or what has ``start`` and ``add`` (``TensorBoardLog``).
      record: ``(state) -> pytree`` of what to keep at each evaluation, in ``History.record``.
      progress: show a bar.

    Raises:
      ValueError: for numbers or data that make no sense, and for a checkpoint that is damaged or
        of another run.
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
    checkpoint, log = checkpoints.as_checkpoint(checkpoint), runlog.as_log(log)
    watched = checkpoint is not None or log is not None or progress
    n = _length(data, "data")
    schedule = _schedule(n, epochs, steps, batch_size, evaluate_every, remainder)
    num_valid = 0 if validation is None else _length(validation, "validation data")
    whole = data if validation is None else _join(data, validation)
    whole = jax.device_put(whole)
    info, metrics = map(list, _program(_peek, (), False, "").eval_shape(learner, whole, key))
    if early_stopping is not None:
        early_stopping = stopping.check(early_stopping, metrics, validation is not None)
    if tolerance is not None and "grad_norm" not in info:
        raise ValueError("a tolerance needs a learner whose steps report grad_norm")
    run = _Run(
        learner,
        schedule._replace(anchored=watched or steps is not None),
        n,
        num_valid,
        early_stopping.metric if early_stopping else None,
        bool(early_stopping and early_stopping.restore_best),
        tolerance is not None,
        record,
    )
    numbers = (
        (early_stopping.patience, early_stopping.min_delta) if early_stopping else (0, 0.0),
        0.0 if tolerance is None else tolerance,
    )
    state = _zeros(_program(_blank, (), False, "").eval_shape(run, whole, key))
    state = state._replace(stopped=np.int32(-1), diverged=np.int32(-1))
    # Only the host's own loop gives its buffers up: fit may itself be under vmap otherwise.
    donated = ("progress",) if watched else ()
    again = lambda: jax.random.clone(key)  # every stretch derives its draws from the same key
    advance = lambda *stretch: _call(_advance, donated, run, whole, again(), *stretch)
    if not watched:
        state = advance(state, 0, run.total, numbers)
    else:
        about = {"kind": "fit"}
        if checkpoint is not None:
            about |= {"run": _fingerprint(run, data, validation, key, early_stopping, tolerance)}
        state = _watched(run, advance, state, numbers, metrics, about, checkpoint, log, progress)
    state, progress_made, taken = _call(_finish, (), run, again(), state)
    return FitResult(state, _history(run, progress_made, tolerance), taken)


def _watched(run, advance, state, numbers, metrics, about, checkpoint, log, bar_wanted) -> Progress:
    """The stretches of a run that the host looks at, from where its checkpoints left it."""
    if checkpoint is None:
        return _stretches(run, advance, state, 0, numbers, metrics, None, log, bar_wanted)
    with checkpoints.opened(checkpoint.folder) as folder:
        begin = 0
        if known := checkpoints.positions(folder):
            begin = known[-1]
            state = _resumed(run, folder, begin, about, state)
        save = functools.partial(_save, run, checkpoint, about, metrics)
        return _stretches(run, advance, state, begin, numbers, metrics, save, log, bar_wanted)


def _stretches(run, advance, state, begin, numbers, metrics, save, log, bar_wanted) -> Progress:
    metric = run.metric or stopping.default_metric(metrics)
    bar = Bar(run.total, min(begin, run.total), bar_wanted)
    logged = _epochs_done(run, state, begin)
    if log is not None:
        log.start(_rows(run, state, 0, logged))
    saved, saved_at, position = time.perf_counter(), begin, begin
    try:
        with Interrupts(save is not None) as interrupts:
            seconds = SECONDS_WITH_BAR if bar_wanted else SECONDS
            for start, position in stretches(begin, run.total, seconds):
                if start > 0 and not bool(state.active):
                    position = start
                    break
                state = jax.block_until_ready(advance(state, start, position, numbers))
                done = _epochs_done(run, state, position)
                if log is not None:
                    log.add(_rows(run, state, logged, done))
                logged = done
                bar.update(position - start, _numbers(run, state, done, metric))
                due = save is not None and time.perf_counter() - saved >= save.args[1].seconds
                if save is not None and (due or interrupts.caught):
                    save(state, position)
                    saved, saved_at = time.perf_counter(), position
                if interrupts.caught:
                    interrupts.obey()
            if save is not None and saved_at != position:
                save(state, position)
    finally:
        bar.close()
    return state


def _save(run, checkpoint, about, metrics, state, position) -> None:
    score = None
    done = _epochs_done(run, state, position)
    slot = int(np.searchsorted(run.schedule.evaluation_epochs, done, side="right")) - 1
    metric = run.metric or stopping.default_metric(metrics)
    if run.num_valid and slot >= 0:
        value = float(np.asarray(state.curves[metric])[slot])
        value = -value if stopping.higher_is_better(metric) else value
        score = value if np.isfinite(value) else None
    about = {**about, "epochs": run.schedule.epochs}
    checkpoints.save(checkpoint, position, jax.device_get(state), about, score)


def _resumed(run, folder, position, about, blank) -> Progress:
    """The Progress of a checkpoint, its histories as long as this run's."""
    path = folder / f"{position:010d}"
    there = checkpoints.read_about(folder, position)["about"]
    if there.get("kind") != about["kind"]:
        raise ValueError(f"{path}: of a {there.get('kind', 'run of another kind')}, not of a fit")
    odd = [f"{k} was {there['run'].get(k)}, is {v}" for k, v in about["run"].items()
           if there["run"].get(k) != v]  # fmt: skip
    if odd:
        raise ValueError(f"{path}: of another run ({'; '.join(odd)}); take another folder")
    if position > run.total:
        raise ValueError(
            f"{path}: already has {position} steps, more than the {run.total} asked for"
        )
    stored, _ = checkpoints.restore(folder, position, blank)

    def fill(old, new):
        if old.shape == new.shape:
            return old
        more = [(0, len(new) - len(old)), *[(0, 0)] * (old.ndim - 1)]
        if more[0][1] < 0:
            return old[: len(new)]
        return np.pad(old, more, mode="edge")

    def history(old, new):
        filled = fill(old, new)
        filled[len(old) :] = np.nan
        return filled

    return stored._replace(
        loss=history(stored.loss, blank.loss),
        grad_norm=jax.tree.map(history, stored.grad_norm, blank.grad_norm),
        curves=jax.tree.map(fill, stored.curves, blank.curves),
        record=jax.tree.map(fill, stored.record, blank.record),
    )


def _fingerprint(run, data, validation, key, early_stopping, tolerance) -> dict[str, Any]:
    """What must be the same for a run to go on, in JSON's types."""

    def checksum(tree):
        total = 0
        for leaf in jax.tree.leaves(tree):
            total = zlib.crc32(np.ascontiguousarray(leaf).tobytes(), total)
        return total

    # Without early stopping a longer run has the same first part, and with it as well.
    return {
        "rows": run.num_train,
        "data": checksum(data),
        "validation": checksum(validation),
        "key": [str(jax.random.key_impl(key)), np.asarray(jax.random.key_data(key)).tolist()],
        "batch_size": run.schedule.batch_size,
        "remainder": run.schedule.remainder,
        "evaluate_every": run.schedule.evaluate_every,
        "early_stopping": [
            v if isinstance(v, (str, bool)) else float(v) for v in early_stopping
        ] if early_stopping else None,
        "tolerance": None if tolerance is None else float(tolerance),
    }  # fmt: skip


def _epochs_done(run: _Run, state: Progress, position: int) -> int:
    ended = [int(state.stopped), int(state.diverged) + 1]
    run_out = run.schedule.epochs if position >= run.total else position // run.per_epoch
    return min([run_out, *(e for e in ended if e > 0)])


def _numbers(run, state, done, metric) -> dict[str, float]:
    if not done:
        return {}
    numbers = {"loss": np.asarray(state.loss)[done - 1]}
    slot = int(np.searchsorted(run.schedule.evaluation_epochs, done, side="right")) - 1
    if run.num_valid and slot >= 0:
        numbers[f"validation {metric}"] = np.asarray(state.curves[metric])[slot]
    return numbers


def _rows(run, state, start, stop):
    """Rows of a log for the epochs from ``start`` to ``stop``."""
    loss, rows = np.asarray(state.loss), []
    at = {int(e): slot for slot, e in enumerate(run.schedule.evaluation_epochs)}
    curves = {m: np.asarray(c) for m, c in state.curves.items()} if run.num_valid else {}
    for epoch in range(start + 1, stop + 1):
        place = {"epoch": epoch, "step": min(epoch * run.per_epoch, run.total)}
        rows.append({**place, "part": "train", "metric": "loss", "value": float(loss[epoch - 1])})
        if epoch in at:
            rows += [{**place, "part": "validation", "metric": m, "value": float(c[at[epoch]])}
                     for m, c in curves.items()]  # fmt: skip
    return rows


def _history(run: _Run, progress: Progress, tolerance) -> History:
    return History(
        loss=progress.loss,
        validation=progress.curves if run.num_valid else {},
        epochs=run.schedule.evaluation_epochs,
        diverged=progress.diverged,
        stopped=progress.stopped,
        best_epoch=jnp.zeros((), jnp.int32) if run.metric is None else progress.best.epoch,
        converged=jnp.zeros((), bool)
        if tolerance is None
        else jnp.any(progress.grad_norm < tolerance),
        grad_norm=progress.grad_norm,
        record=progress.record,
    )


# -- what is compiled


def _plan(run: _Run, numbers=((0, 0.0), 0.0)) -> Plan:
    (patience, min_delta), tolerance = numbers
    return Plan(
        EarlyStopping(patience, min_delta, run.metric, run.restore_best) if run.metric else None,
        tolerance if run.has_tolerance else None,
        run.record,
    )


def _blank(run: _Run, data: Batch, key: Key) -> Progress:
    return loop.init_progress(run.learner, data, key, run.schedule, _plan(run))


def _advance(run: _Run, data: Batch, key: Key, progress: Progress, start, stop, numbers):
    every = lambda count, first: Rows(
        jnp.arange(first, first + count, dtype=jnp.int32), jnp.ones(count, bool)
    )
    n, m = run.num_train, run.num_valid
    pads = padding(np.array([n]), run.schedule)
    return loop.run_stretch(
        run.learner, data, every(n, 0), every(m, n) if m else None, key, progress, start, stop,
        run.schedule, pads, _plan(run, numbers),
    )  # fmt: skip


def _finish(run: _Run, key: Key, progress: Progress):
    ended = jnp.where(progress.diverged >= 0, progress.diverged, progress.stopped)
    ended = jnp.where(ended >= 0, ended * run.per_epoch, run.total)
    if run.restore_best:
        best = progress.best.epoch * run.per_epoch
        ended = jnp.where(progress.best.epoch > 0, jnp.minimum(best, run.total), ended)
    state = loop.final_state(run.learner, progress, key, ended)
    best = progress.best._replace(state=()) if run.metric else ()
    return state, progress._replace(state=(), anchor=(), best=best), ended.astype(jnp.int32)


@functools.cache
def _program(fn: Callable, donated: tuple[str, ...], traced: bool, platform: str):
    options = None if traced or not platform else parallel.compiler_options(platform)
    return jax.jit(fn, static_argnums=0, donate_argnames=donated, compiler_options=options)


def _call(fn: Callable, donated: tuple[str, ...], run: _Run, *args):
    traced = isinstance(jnp.zeros(()), jax.core.Tracer)
    return _program(fn, donated, traced, jax.default_backend())(run, *args)


def _peek(learner: Learner, data: Batch, key: Key):
    """What a step reports and the metrics, of the first row twice."""
    state = learner.init(key)
    one = take(data, jnp.zeros((2,), jnp.int32))
    return learner.step(state, one)[1], learner.evaluate(state, one)


def _zeros(shapes):
    def zeros(x):
        if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            return jnp.broadcast_to(jax.random.key(0), x.shape)
        return np.zeros(x.shape, x.dtype)

    return jax.tree.map(zeros, shapes)


def _length(data: Batch, name: str) -> int:
    lengths = {leaf.shape[0] for leaf in jax.tree.leaves(data)}
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError(f"the parts of the {name} must have one length, not {sorted(lengths)}")
    return lengths.pop()


def _join(data: Batch, validation: Batch) -> Batch:
    try:
        return jax.tree.map(lambda a, b: jnp.concatenate([a, b]), data, validation)
    except (ValueError, TypeError) as error:
        shapes = lambda tree: [list(leaf.shape) for leaf in jax.tree.leaves(tree)]
        raise ValueError(
            f"validation data {shapes(validation)} are not of the kind of the data {shapes(data)}"
        ) from error


def _schedule(n, epochs, steps, batch_size, evaluate_every, remainder) -> Schedule:
    if (epochs is None) == (steps is None):
        raise ValueError("fit takes epochs or steps, one of the two")
    for name, value in {
        "epochs": 1 if epochs is None else epochs,
        "steps": 1 if steps is None else steps,
        "batch_size": 1 if batch_size is None else batch_size,
        "evaluate_every": evaluate_every,
    }.items():
        if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{name} must be a positive whole number, not {value!r}")
    if remainder not in ("keep", "drop"):
        raise ValueError(f"remainder is 'keep' or 'drop', not {remainder!r}")
    if remainder == "drop" and (batch_size or n) > n:
        raise ValueError(
            f"batch_size={batch_size} with remainder='drop' leaves no step of {n} rows"
        )
    schedule = Schedule(min(batch_size or n, n), 1, 1, remainder)
    if epochs is None:
        epochs = -(-int(steps) // int(steps_per_epoch(n, schedule)))
    every = min(int(evaluate_every), int(epochs))
    return schedule._replace(epochs=int(epochs), evaluate_every=every, steps=steps)
