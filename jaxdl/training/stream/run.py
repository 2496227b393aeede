"""One run over a stream of batches: its carry on the device, its history on the host."""

import functools
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.metrics.directions import as_loss, default_metric
from jaxdl.programs import compiled
from jaxdl.training import stopping
from jaxdl.training.host import checkpoints, fingerprint
from jaxdl.training.host.checkpoints import Checkpoint
from jaxdl.training.host.interrupts import Interrupts
from jaxdl.training.host.stretches import Bar
from jaxdl.training.run_state import num_params
from jaxdl.training.stream import steps as stream_steps
from jaxdl.training.stream.prefetch import position_batches, prefetch
from jaxdl.training.stream.steps import Carry, copy


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


class StreamRun:
    """A run over a stream: its carry on the device, its history on the host."""

    def __init__(
        self, learner, key, steps, validation, evaluate_every, early_stopping, log, checkpoint
    ):
        self.learner, self.steps, self.every = learner, steps, evaluate_every
        self.validation, self.stopping, self.log = validation, early_stopping, log
        self.position, self.place = 0, None
        state = compiled(stream_steps.init)(learner, key)
        zero, none = jnp.zeros((), jnp.int32), jnp.full((), -1, jnp.int32)
        self.carry = Carry(state, zero, jnp.zeros(()), jnp.copy(zero), none)
        self.looks: dict[str, list[float]] = {"steps": [], "loss": []}
        self.metric, self.best, self.stopped = None, None, False
        if validation is not None:
            metrics = list(compiled(stream_steps.evaluate).eval_shape(learner, state, validation))
            self.looks |= {f"validation {m}": [] for m in metrics}
            self.metric = default_metric(metrics)
        if early_stopping is not None:
            metrics = [k.removeprefix("validation ") for k in list(self.looks)[2:]]
            self.stopping = stopping.check(early_stopping, metrics, validation is not None)
            self.metric = self.stopping.metric
            self.best = (np.inf, 0, jax.tree.map(copy, state))
        self.best_by = None
        if checkpoint is not None and self.metric is not None:
            self.best_by = checkpoints.judged_by(checkpoint, metrics, self.stopping)

    def resume(self, checkpoint: Checkpoint, same: dict[str, Any]) -> None:
        """Go on from the folder's last checkpoint, if there is one.

        Raises a ValueError in one line where what it says of its run is not ``same``.
        """
        self.same = same = {**same, "best by": self.best_by and list(self.best_by)}
        known = checkpoints.positions(checkpoint.folder)
        if not known:
            return
        position, path = known[-1], checkpoint.folder / f"{known[-1]:010d}"
        there = checkpoints.read_about(checkpoint.folder, position)["about"]
        if there.get("kind") != "stream":
            raise ValueError(f"{path}: of a {there.get('kind')}, not of a stream")
        checkpoints.check_types(path, there, run=dict, steps=int, stopped=bool)
        fingerprint.refuse_another(path, there["run"], same)
        if position > self.steps:
            raise ValueError(
                f"{path}: already has {position} steps, more than the {self.steps} asked for"
            )
        if there["steps"] == position < self.steps and position % self.every:
            raise ValueError(
                f"{path}: ended between two evaluations, other than a run of {self.steps} steps; "
                "take another folder"
            )
        tree, about = checkpoints.restore(checkpoint.folder, position, self._tree())
        self.position, self.place, self.stopped = known[-1], about["place"], about["stopped"]
        self.carry = jax.device_put(tree["carry"])
        self.looks = {name: list(map(float, tree["looks"][name])) for name in self.looks}
        if len({len(values) for values in self.looks.values()}) > 1:
            raise ValueError(f"{path}: damaged (its looks differ in number)")
        if self.best is not None:
            self.best = (float(tree["best"][0]), int(tree["best"][1]), tree["best"][2])

    def train(self, batches, checkpoint, bar_wanted, ahead) -> StreamResult:
        """Train on the batches to the end, looking, saving and heeding signals."""
        if self.log is not None:
            self.log.start(row for i in range(len(self.looks["steps"])) for row in self._rows(i))
        bar = Bar(self.steps, self.position, bar_wanted)
        saved, kept = time.perf_counter(), self._mark()
        stream, begin = None, self.position
        try:
            with Interrupts(checkpoint is not None) as interrupts:
                left = 0 if self._ended() else self.steps - self.position
                where = functools.partial(position_batches, batches, self.position, self.place)
                known = self.learner.responses
                stream = prefetch(where, ahead, self.position, left, known) if left else iter(())
                for item in stream:
                    if item is not None:
                        batch, self.place = item
                        self.carry = compiled(stream_steps.step, ("carry",))(
                            self.learner, self.carry, batch
                        )
                        self.position += 1
                        if self.position % self.every == 0 or self.position == self.steps:
                            self._look()
                            bar.update(self.position - begin, self._numbers())
                            begin = self.position
                    if checkpoint is not None and kept != self._mark():
                        due = time.perf_counter() - saved >= checkpoint.seconds
                        if due or interrupts.caught:
                            self._save(checkpoint)
                            saved, kept = time.perf_counter(), self._mark()
                    interrupts.obey()
                    if self._ended():
                        break
                if self.position == 0:
                    raise ValueError("there is no batch to train on")
                if self.position > (self.looks["steps"] or [0])[-1]:
                    self._look()
                if checkpoint is not None and kept != self._mark():
                    self._save(checkpoint)
        finally:
            if hasattr(stream, "close"):
                stream.close()
            bar.close()
        return self._result()

    def _mark(self) -> tuple[int, int]:
        """How far the run is: what is saved again where this has not moved would be the same."""
        return self.position, len(self.looks["steps"])

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
            score = as_loss(self.looks[f"validation {self.metric}"][-1], self.stopping.maximize)
            if score < self.best[0] - float(self.stopping.min_delta):
                kept = jax.tree.map(copy, self.carry.state)
                self.best = (score, self.position, kept)
            since = (self.position - self.best[1]) / self.every
            self.stopped = since >= float(self.stopping.patience) and self.best[1] < self.position
        if self.log is not None:
            self.log.add(self._rows(len(self.looks["steps"]) - 1))

    def _ended(self) -> bool:
        """Whether the last look says that the run is over."""
        looked = bool(self.looks["steps"]) and self.looks["steps"][-1] == self.position
        return looked and (self.stopped or int(self.carry.diverged) >= 0)

    def _numbers(self):
        shown = {"loss": self.looks["loss"][-1]}
        if self.metric:
            shown[f"validation {self.metric}"] = self.looks[f"validation {self.metric}"][-1]
        return shown

    def _rows(self, i: int):
        place = {"step": int(self.looks["steps"][i])}
        for name in list(self.looks)[1:]:
            part, metric = ("train", "loss") if name == "loss" else name.split(" ", 1)
            yield {**place, "part": part, "metric": metric, "value": self.looks[name][i]}

    def _tree(self):
        looks = {name: np.asarray(v, np.float64) for name, v in self.looks.items()}
        best = (
            ()
            if self.best is None
            else (np.float64(self.best[0]), np.int64(self.best[1]), self.best[2])
        )
        return {"carry": self.carry, "looks": looks, "best": best}

    def _save(self, checkpoint: Checkpoint) -> None:
        about = {
            "kind": "stream",
            "run": self.same,
            "steps": self.steps,
            "place": self.place,
            "stopped": self.stopped,
        }
        score = None
        if self.best_by is not None and self.looks["steps"]:
            metric, maximize = self.best_by
            score = as_loss(self.looks[f"validation {metric}"][-1], maximize)
            score = score if np.isfinite(score) else None
        checkpoints.save(checkpoint, self.position, jax.device_get(self._tree()), about, score)

    def _result(self) -> StreamResult:
        looks = {name: np.asarray(v) for name, v in self.looks.items()}
        validation = {k.removeprefix("validation "): v for k, v in list(looks.items())[2:]}
        state, best_step = self.carry.state, 0
        if self.best is not None and self.best[1]:
            best_step = self.best[1]
            state = self.best[2] if self.stopping.restore_best else state
        history = StreamHistory(
            looks["steps"].astype(int), looks["loss"], validation,
            int(self.carry.diverged), self.stopped, best_step,
        )  # fmt: skip
        return StreamResult(state, history)
