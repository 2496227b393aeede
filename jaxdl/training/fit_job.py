"""A fit as a job of the host's driver."""

from collections.abc import Generator
from typing import Any

import jax
import numpy as np

from jaxdl.base import Batch, Key
from jaxdl.metrics.directions import default_metric
from jaxdl.training.host import checkpoints, fingerprint, programs
from jaxdl.training.host.driver import Snapshot
from jaxdl.training.host.programs import FitSpec, Thresholds
from jaxdl.training.host.stretches import stretches
from jaxdl.training.run_state import RunState


class FitJob:
    """One learner's run, whose ``run`` goes on from stretch to stretch; its positions are steps."""

    kind, unit = "fit", "steps"

    def __init__(
        self,
        spec: FitSpec,
        data: Batch,
        key: Key,
        run: RunState,
        thresholds: Thresholds,
        metrics: list[str],
        fingerprint: dict[str, Any],
    ):
        self.spec, self.data, self.key, self.thresholds = spec, data, key, thresholds
        self.run, self.total, self.position, self.logged = run, spec.total, 0, 0
        self.metrics = metrics if spec.num_valid else []
        self.early_stopping, self.fingerprint = spec.early_stopping, fingerprint

    def stretches(self, seconds: float | None) -> Generator[bool, None, None]:
        """Train to the end, a stretch between two looks; see ``driver.Job``."""
        total = self.total if bool(self.run.active) else self.position
        for _, stop, run in stretches(self._advance, self.position, total, seconds):
            self.position, self.run = stop, run
            yield True
            if not bool(self.run.active):
                return

    def _advance(self, start: int, stop: int) -> RunState:
        # Every stretch derives its draws from the same key, and gives up the buffers of the last.
        key = jax.random.clone(self.key)
        run = programs.call(
            programs.advance, ("run",), self.spec, self.data, key, self.run, start, stop,
            self.thresholds,
        )  # fmt: skip
        return jax.block_until_ready(run)

    def rows(self) -> list[dict[str, Any]]:
        """A log's rows for the epochs since it was asked last."""
        start, self.logged = self.logged, self._epochs_done()
        loss, rows = np.asarray(self.run.loss), []
        at = {int(e): slot for slot, e in enumerate(self.spec.lengths.evaluation_epochs)}
        curves = {m: np.asarray(self.run.curves[m]) for m in self.metrics}
        for epoch in range(start + 1, self.logged + 1):
            place = {"epoch": epoch, "step": min(epoch * self.spec.per_epoch, self.total)}
            value = float(loss[epoch - 1])
            rows.append({**place, "part": "train", "metric": "loss", "value": value})
            if epoch in at:
                rows += [
                    {**place, "part": "validation", "metric": m, "value": float(c[at[epoch]])}
                    for m, c in curves.items()
                ]
        return rows

    def numbers(self) -> dict[str, float]:
        """The last epoch's loss and the last score, once there are some."""
        done, scores = self._epochs_done(), self._scores()
        shown = {"loss": float(np.asarray(self.run.loss)[done - 1])} if done else {}
        if scores:
            rule = self.early_stopping
            metric = (rule and rule.metric) or default_metric(self.metrics)
            shown[f"validation {metric}"] = scores[metric]
        return shown

    def snapshot(self) -> Snapshot:
        """The RunState, and how long the run is to be."""
        about = {"epochs": self.spec.lengths.epochs, "steps": self.total}
        return Snapshot(self.position, self.run, about, self._scores())

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot of a run that was to be shorter, or longer."""
        position, stored, about, _ = snapshot
        checkpoints.check_types(about, steps=int)
        shorter, longer = sorted((about["steps"], self.total))
        unscheduled = shorter % (self.spec.per_epoch * self.spec.lengths.evaluate_every) != 0
        stops = self.early_stopping is not None or self.spec.has_tolerance
        if (
            shorter != longer
            and position == shorter
            and unscheduled
            and (stops or self.total == shorter)
        ):
            raise ValueError(
                "ended, or would end, between two evaluations, other than a run of "
                f"{longer} steps; take another folder"
            )
        blank, self.position = self.run, position
        self.run = stored._replace(
            loss=_history(stored.loss, blank.loss),
            grad_norm=jax.tree.map(_history, stored.grad_norm, blank.grad_norm),
            curves=jax.tree.map(_flat_on, stored.curves, blank.curves),
            record=jax.tree.map(_flat_on, stored.record, blank.record),
        )

    def _epochs_done(self) -> int:
        ended = [int(self.run.stopped), int(self.run.diverged) + 1]
        position, lengths = self.position, self.spec.lengths
        passed = lengths.epochs if position >= self.total else position // self.spec.per_epoch
        return min([passed, *(e for e in ended if e > 0)])

    def _scores(self) -> dict[str, float]:
        """{metric: value} at the last evaluation; {} before the first."""
        every = self.spec.lengths.evaluation_epochs
        slot = int(np.searchsorted(every, self._epochs_done(), side="right")) - 1
        if slot < 0:
            return {}
        return {m: float(np.asarray(self.run.curves[m])[slot]) for m in self.metrics}


def _flat_on(stored, blank):
    """A stored history, as long as that of this run; its last value goes on."""
    more = len(blank) - len(stored)
    if more <= 0:
        return stored[: len(blank)]
    return np.pad(stored, [(0, more), *[(0, 0)] * (stored.ndim - 1)], mode="edge")


def _history(stored, blank):
    """A stored history, as long as that of this run; NaN where not trained."""
    longer = _flat_on(stored, blank)
    if len(longer) > len(stored):
        longer[len(stored) :] = np.nan
    return longer


def fit_fingerprint(spec, data, validation, key, early_stopping, tolerance) -> dict[str, Any]:
    """What must be the same for a run to go on, in JSON's types; data and program by checksum."""
    # Epochs are left out: a longer run has the same first part.
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
        "program": fingerprint.of_learner(spec.learner, data, key),
    }
