"""A run that the host looks at now and then: checkpoints and going on from them, logs, a bar."""

import functools
import time
from typing import Any

import jax
import numpy as np

from jaxdl.training import checkpoints, identity, stopping
from jaxdl.training.interrupts import Interrupts
from jaxdl.training.loop import Progress
from jaxdl.training.pacing import Bar, stretches
from jaxdl.training.programs import Run

# Between two looks of the host: with a bar, and with nothing but checkpoints and logs.
SECONDS_WITH_BAR, SECONDS = 0.5, 2.0


def train(run, advance, state, numbers, metrics, about, checkpoint, log, bar_wanted) -> Progress:
    """The stretches of a run that the host looks at, from where its checkpoints left it.

    ``state`` is a Progress, whose shapes stay; ``advance(state, start, stop, numbers)`` trains.
    Raises ValueError for a checkpoint of another run.
    """
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
            interrupts.obey()
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
    about = {**about, "epochs": run.schedule.epochs, "steps": run.total}
    checkpoints.save(checkpoint, position, jax.device_get(state), about, score)


def _resumed(run, folder, position, about, blank) -> Progress:
    """The Progress of a checkpoint, its histories as long as this run's."""
    path = folder / f"{position:010d}"
    there = checkpoints.read_about(folder, position)["about"]
    if there.get("kind") != about["kind"]:
        raise ValueError(f"{path}: of a {there.get('kind', 'run of another kind')}, not of a fit")
    identity.refuse_another(path, there["run"], about["run"])
    if position > run.total:
        raise ValueError(
            f"{path}: already has {position} steps, more than the {run.total} asked for"
        )
    shorter = min(there["steps"], run.total)
    unscheduled = shorter % (run.per_epoch * run.schedule.evaluate_every) != 0
    judged = run.metric is not None or run.has_tolerance or run.total == shorter
    if there["steps"] != run.total and position == shorter and unscheduled and judged:
        raise ValueError(
            f"{path}: ended, or would end, between two evaluations, other than a run of "
            f"{max(there['steps'], run.total)} steps; take another folder"
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


def fingerprint(run, data, validation, key, early_stopping, tolerance) -> dict[str, Any]:
    """What must be the same for a run to go on, in JSON's types; data [N, D] by checksum."""
    # Without early stopping a longer run has the same first part, and with it as well.
    return {
        "rows": run.num_train,
        "data": identity.of_arrays(data),
        "validation": identity.of_arrays(validation),
        "key": identity.of_key(key),
        "batch_size": run.schedule.batch_size,
        "remainder": run.schedule.remainder,
        "evaluate_every": run.schedule.evaluate_every,
        "early_stopping": identity.of_stopping(early_stopping),
        "tolerance": None if tolerance is None else float(tolerance),
    }


def _epochs_done(run: Run, state: Progress, position: int) -> int:
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
