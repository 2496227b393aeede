"""A run over a stream as a job of the host's driver: its carry on the device, its looks here."""

import functools
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.base import Batch, Key, Learner
from jaxdl.checks import filled_in
from jaxdl.metrics.directions import as_loss, default_metric
from jaxdl.programs import compiled, is_wide
from jaxdl.training import stopping
from jaxdl.training.host import checkpoints, fingerprint
from jaxdl.training.host.driver import Snapshot
from jaxdl.training.stopping import Best, EarlyStopping
from jaxdl.training.stream import steps as stream_steps
from jaxdl.training.stream.prefetch import position_batches, prefetch
from jaxdl.training.stream.steps import Carry, copy


class StreamJob:
    """One learner's run over batches that come one by one; its positions are batches.

    looks: {name: [one value a look]} of the steps, the loss and the validation metrics.
    best: the Best by early stopping, with the step in the place of the epoch, or None.
    """

    kind, unit = "stream", "steps"

    def __init__(
        self,
        learner: Learner,
        batches: Iterable[Batch] | Callable[[int], Iterable[Batch]],
        key: Key,
        steps: int,
        *,
        validation: Batch | None,
        evaluate_every: int,
        early_stopping: EarlyStopping | None,
        ahead: int,
        fingerprint: dict[str, Any],
    ):
        self.learner, self.batches, self.ahead = learner, batches, ahead
        self.total, self.every, self.validation = steps, evaluate_every, validation
        self.fingerprint = fingerprint
        self.position, self.place, self.logged = 0, None, 0
        state = compiled(stream_steps.init)(learner, key)
        zero, none = jnp.zeros((), jnp.int32), jnp.full((), -1, jnp.int32)
        self.carry = Carry(state, zero, jnp.zeros(()), jnp.copy(zero), none)
        self.metrics: list[str] = []
        if validation is not None:
            scores = compiled(stream_steps.evaluate).eval_shape(learner, state, validation)
            self.metrics = list(scores)
        names = ("steps", "loss", *(f"validation {metric}" for metric in self.metrics))
        self.looks: dict[str, list[float]] = {name: [] for name in names}
        self.early_stopping, self.best, self.stopped = early_stopping, None, False
        if early_stopping is not None:
            checked = stopping.check(early_stopping, self.metrics, validation is not None)
            self.early_stopping = checked
            self.best = Best(np.float64(np.inf), np.int64(0), jax.tree.map(copy, state))

    def stretches(self, seconds: float | None) -> Generator[bool, None, None]:
        """Train to the end, a batch between two looks of the host; see ``driver.Job``.

        There is something to tell every so many steps. It yields while the source waits, too.
        """
        items = self._items()
        try:
            for item in items:
                due = False
                if item is not None:
                    self._step(*item)
                    due = self.position % self.every == 0 or self.position == self.total
                if due:
                    self._look()
                yield due
                if self._ended():
                    break
        finally:
            items.close()
        if self.position == 0:
            raise ValueError("there is no batch to train on")
        if self.position > self._looked():
            self._look()
            yield True

    def _items(self) -> Generator[Any, None, None]:
        """The batches to come, each with the place behind it; None where one is waited for."""
        if not self._ended() and self.position < self.total:
            begin = functools.partial(position_batches, self.batches, self.position, self.place)
            left = self.total - self.position
            learner = self.learner
            yield from prefetch(
                begin, self.ahead, self.position, left, learner.responses, learner.weighs
            )

    def _step(self, batch: Batch, place: str | None) -> None:
        program = compiled(stream_steps.step, ("carry",), wide=is_wide(self.carry.state))
        self.carry = program(self.learner, self.carry, batch)
        self.position, self.place = self.position + 1, place

    def _look(self) -> None:
        """Read the losses since the last look, evaluate, and see whether to go on."""
        count = int(self.carry.count)
        self.looks["steps"].append(self.position)
        self.looks["loss"].append(float(self.carry.total) / count if count else float("nan"))
        zero = jnp.zeros_like
        self.carry = self.carry._replace(total=zero(self.carry.total), count=zero(self.carry.count))
        if self.validation is not None:
            scores = compiled(stream_steps.evaluate)(
                self.learner, self.carry.state, self.validation
            )
            for name, value in scores.items():
                self.looks[f"validation {name}"].append(float(value))
        if self.best is not None and int(self.carry.diverged) < 0:
            self._stop_early()

    def _stop_early(self) -> None:
        """Keep the state where it is the best, and stop where patience has run out."""
        rule, best = filled_in(self.early_stopping), filled_in(self.best)
        in_steps = rule._replace(
            patience=float(rule.patience) * self.every, min_delta=float(rule.min_delta)
        )
        score = np.float64(as_loss(self._scores()[filled_in(rule.metric)], rule.maximize))
        better, out = stopping.check_patience(in_steps, best, score, self.position)
        if better:
            kept = jax.tree.map(copy, self.carry.state)
            self.best = Best(score, np.int64(self.position), kept)
        self.stopped = bool(out)

    def _looked(self) -> int:
        """The step of the last look, 0 before the first."""
        return int((self.looks["steps"] or [0])[-1])

    def _ended(self) -> bool:
        """Whether the last look says that the run is over."""
        looked = self.position == self._looked()
        return looked and (self.stopped or int(self.carry.diverged) >= 0)

    def _scores(self) -> dict[str, float]:
        """{metric: value} of the last look; {} before the first."""
        if not self.looks["steps"]:
            return {}
        return {metric: self.looks[f"validation {metric}"][-1] for metric in self.metrics}

    def rows(self) -> Iterator[dict[str, Any]]:
        """A log's rows for the looks since it was asked last."""
        start, self.logged = self.logged, len(self.looks["steps"])
        return self._rows(start, self.logged)

    def _rows(self, start: int, stop: int) -> Iterator[dict[str, Any]]:
        for look in range(start, stop):
            place = {"step": int(self.looks["steps"][look])}
            for name in list(self.looks)[1:]:
                part, metric = ("train", "loss") if name == "loss" else name.split(" ", 1)
                yield {**place, "part": part, "metric": metric, "value": self.looks[name][look]}

    def numbers(self) -> dict[str, float]:
        """The last loss and score."""
        shown = {"loss": self.looks["loss"][-1]}
        if self.metrics:
            rule = self.early_stopping
            metric = (rule and rule.metric) or default_metric(self.metrics)
            shown[f"validation {metric}"] = self._scores()[metric]
        return shown

    def snapshot(self) -> Snapshot:
        """The carry, the looks and the best, and where the source stands."""
        looks = {name: np.asarray(v, np.float64) for name, v in self.looks.items()}
        best = () if self.best is None else tuple(self.best)
        arrays = {"carry": self.carry, "looks": looks, "best": best}
        about = {"steps": self.total, "place": self.place, "stopped": self.stopped}
        return Snapshot(self.position, arrays, about, self._scores())

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot of a run that was to be shorter, or as long."""
        position, arrays, about, _ = snapshot
        checkpoints.check_types(about, steps=int, stopped=bool)
        if about["steps"] == position < self.total and position % self.every:
            raise ValueError(
                f"ended between two evaluations, other than a run of {self.total} steps; "
                "take another folder"
            )
        self.position, self.place, self.stopped = position, about["place"], about["stopped"]
        self.carry = jax.device_put(arrays["carry"])
        self.looks = {name: list(map(float, arrays["looks"][name])) for name in self.looks}
        if len({len(values) for values in self.looks.values()}) > 1:
            raise ValueError("damaged (its looks differ in number)")
        if self.best is not None:
            self.best = Best(*arrays["best"])


def stream_fingerprint(learner, key, validation, evaluate_every, early_stopping) -> dict[str, Any]:
    """What must be the same for a run to go on, in JSON's types; data and program by checksum.

    The batches are not looked at, and the learner is known where there is validation data.
    """
    program = None
    if validation is not None:
        program = fingerprint.of_learner(learner, validation, key)
    return {
        "validation": fingerprint.of_arrays(validation),
        "key": fingerprint.of_key(key),
        "evaluate_every": evaluate_every,
        "early_stopping": fingerprint.of_stopping(early_stopping),
        "program": program,
    }
