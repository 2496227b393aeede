"""A run that the host looks at now and then: checkpoints and going on from them, logs, a bar."""

import functools
import time
from typing import Any

import jax
import numpy as np

from jaxdl.metrics.directions import as_loss, default_metric
from jaxdl.training.host import checkpoints, fingerprint
from jaxdl.training.host.interrupts import Interrupts
from jaxdl.training.host.programs import FitSpec
from jaxdl.training.host.stretches import Bar, stretches
from jaxdl.training.run_state import RunState
from jaxdl.training.stopping import EarlyStopping

# Between two looks of the host: with a bar, and with checkpoints and logs alone.
SECONDS_WITH_BAR, SECONDS = 0.5, 2.0


def train(spec, advance, run, numbers, metrics, about, checkpoint, log, bar_wanted) -> RunState:
    """The RunState at the end of a run that the host looks at, from where a checkpoint left it.

    ``advance(run, start, stop, numbers)`` is the RunState after a stretch. Raises a ValueError for
    a checkpoint of another run.
    """
    metric = spec.metric or default_metric(metrics)
    if checkpoint is None:
        return _stretches(spec, advance, run, 0, numbers, metric, None, log, bar_wanted)
    by = None
    if spec.num_valid:
        stopping = spec.metric and EarlyStopping(metric=spec.metric, maximize=spec.maximize)
        by = checkpoints.judged_by(checkpoint, metrics, stopping or None)
    about = {**about, "run": {**about["run"], "best by": by and list(by)}}
    with checkpoints.opened(checkpoint.folder) as folder:
        begin = 0
        if known := checkpoints.positions(folder):
            begin = known[-1]
            run = _resumed(spec, folder, begin, about, run)
        save = functools.partial(_save, spec, checkpoint, about, by)
        return _stretches(spec, advance, run, begin, numbers, metric, save, log, bar_wanted)


def _stretches(spec, advance, run, begin, numbers, metric, save, log, bar_wanted) -> RunState:
    bar = Bar(spec.total, min(begin, spec.total), bar_wanted)
    logged = _epochs_done(spec, run, begin)
    if log is not None:
        log.start(_rows(spec, run, 0, logged))
    saved, saved_at, position = time.perf_counter(), begin, begin
    go_on = lambda start, stop: jax.block_until_ready(advance(run, start, stop, numbers))
    try:
        with Interrupts(save is not None) as interrupts:
            seconds = SECONDS_WITH_BAR if bar_wanted else SECONDS
            total = spec.total if bool(run.active) else begin
            for start, position, run in stretches(go_on, begin, total, seconds):
                done = _epochs_done(spec, run, position)
                if log is not None:
                    log.add(_rows(spec, run, logged, done))
                logged = done
                bar.update(position - start, _numbers(spec, run, done, metric))
                due = save is not None and time.perf_counter() - saved >= save.args[1].seconds
                if save is not None and (due or interrupts.caught):
                    save(run, position)
                    saved, saved_at = time.perf_counter(), position
                interrupts.obey()
                if not bool(run.active):
                    break
            if save is not None and saved_at != position:
                save(run, position)
    finally:
        bar.close()
    return run


def _save(spec, checkpoint, about, by, run, position) -> None:
    """Write a checkpoint; ``by`` is the metric of its score and whether more of it is better."""
    score = None
    done = _epochs_done(spec, run, position)
    slot = int(np.searchsorted(spec.lengths.evaluation_epochs, done, side="right")) - 1
    if by is not None and slot >= 0:
        metric, maximize = by
        value = as_loss(float(np.asarray(run.curves[metric])[slot]), maximize)
        score = value if np.isfinite(value) else None
    about = {**about, "epochs": spec.lengths.epochs, "steps": spec.total}
    checkpoints.save(checkpoint, position, jax.device_get(run), about, score)


def _resumed(spec, folder, position, about, blank) -> RunState:
    """The RunState of a checkpoint, its histories as long as this run's."""
    path = folder / f"{position:010d}"
    there = checkpoints.read_about(folder, position)["about"]
    if there.get("kind") != about["kind"]:
        raise ValueError(f"{path}: of a {there.get('kind', 'run of another kind')}, not of a fit")
    checkpoints.check_types(path, there, run=dict, steps=int)
    fingerprint.refuse_another(path, there["run"], about["run"])
    if position > spec.total:
        raise ValueError(
            f"{path}: already has {position} steps, more than the {spec.total} asked for"
        )
    shorter = min(there["steps"], spec.total)
    unscheduled = shorter % (spec.per_epoch * spec.lengths.evaluate_every) != 0
    judged = spec.metric is not None or spec.has_tolerance or spec.total == shorter
    if there["steps"] != spec.total and position == shorter and unscheduled and judged:
        raise ValueError(
            f"{path}: ended, or would end, between two evaluations, other than a run of "
            f"{max(there['steps'], spec.total)} steps; take another folder"
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


def fit_fingerprint(spec, data, validation, key, early_stopping, tolerance) -> dict[str, Any]:
    """What must be the same for a run to go on, in JSON's types; data and program by checksum."""
    # Epochs are left out: a longer run has the same first part.
    two = jax.tree.map(lambda leaf: leaf[np.zeros(2, int)], data)
    return {
        "rows": spec.num_train,
        "data": fingerprint.of_arrays(data),
        "validation": fingerprint.of_arrays(validation),
        "key": fingerprint.of_key(key),
        "batch_size": spec.lengths.batch_size,
        "remainder": spec.lengths.remainder,
        "evaluate_every": spec.lengths.evaluate_every,
        "early_stopping": fingerprint.of_stopping(early_stopping),
        "tolerance": None if tolerance is None else float(tolerance),
        "program": fingerprint.of_learner(spec.learner, two, key),
    }


def _epochs_done(spec: FitSpec, run: RunState, position: int) -> int:
    ended = [int(run.stopped), int(run.diverged) + 1]
    run_out = spec.lengths.epochs if position >= spec.total else position // spec.per_epoch
    return min([run_out, *(e for e in ended if e > 0)])


def _numbers(spec, run, done, metric) -> dict[str, float]:
    if not done:
        return {}
    numbers = {"loss": np.asarray(run.loss)[done - 1]}
    slot = int(np.searchsorted(spec.lengths.evaluation_epochs, done, side="right")) - 1
    if spec.num_valid and slot >= 0:
        numbers[f"validation {metric}"] = np.asarray(run.curves[metric])[slot]
    return numbers


def _rows(spec, run, start, stop):
    """Rows of a log for the epochs from ``start`` to ``stop``."""
    loss, rows = np.asarray(run.loss), []
    at = {int(e): slot for slot, e in enumerate(spec.lengths.evaluation_epochs)}
    curves = {m: np.asarray(c) for m, c in run.curves.items()} if spec.num_valid else {}
    for epoch in range(start + 1, stop + 1):
        place = {"epoch": epoch, "step": min(epoch * spec.per_epoch, spec.total)}
        rows.append({**place, "part": "train", "metric": "loss", "value": float(loss[epoch - 1])})
        if epoch in at:
            rows += [{**place, "part": "validation", "metric": m, "value": float(c[at[epoch]])}
                     for m, c in curves.items()]  # fmt: skip
    return rows
