"""Asynchronous halving as a job of the host's driver: its turns, and who trains in each."""

import functools
from collections.abc import Generator
from typing import Any

import numpy as np

from jaxdl.checks import is_whole
from jaxdl.model_selection.population.run import Population
from jaxdl.training.host import checkpoints
from jaxdl.training.host.driver import Snapshot
from jaxdl.training.host.stretches import stretches


class AsynchronousJob:
    """Trains what ``next_jobs`` says, turn after turn; its positions are epochs of all members.

    ``reached`` [N] is the rung that each setting has come to the end of, -1 before the first;
    ``began`` [N] the turn in which it began, -1 before it; ``loss`` [N, L] that at the end of each
    rung. ``jobs`` are those of the turn that have not come to their end.
    """

    kind, unit = "asynchronous halving", "epochs"
    metrics, early_stopping = (), None

    def __init__(
        self,
        population: Population,
        metric: str,
        maximize: bool,
        ends: list[int],
        width: int,
        factor: int,
        fingerprint: dict[str, Any],
    ):
        self.population, self.metric, self.maximize = population, metric, maximize
        self.ends, self.width, self.factor, self.fingerprint = ends, width, factor, fingerprint
        count = len(population.signature.members)
        self.reached, self.began = np.full(count, -1), np.full(count, -1)
        self.loss = np.full((count, len(ends)), np.nan)
        self.jobs: list[tuple[int, int]] = []
        self.turn, self.epoch = -1, 0
        self.total = ends[-1] * population.size

    @property
    def position(self) -> int:
        """The epochs of all members so far."""
        running = self._now()[1] if self.jobs else []
        ends = np.array([*self.ends, 0])[self.reached]  # 0 of the rung -1
        ends[running] = np.maximum(ends[running], self.epoch)
        return int(ends.sum()) * len(self.population.groups.fold)

    def stretches(self, seconds: float | None) -> Generator[bool, None, None]:
        """Train to the end; see ``driver.Job``."""
        while self.jobs or self._next_turn():
            level, chosen = self._now()
            train = functools.partial(self._train, chosen)
            start = max(self.epoch, [0, *self.ends][level])
            for _, stop, _ in stretches(train, start, self.ends[level], seconds):
                self.epoch = stop
                if stop == self.ends[level]:
                    self._end(level, chosen)
                yield True

    def _next_turn(self) -> bool:
        self.jobs = next_jobs(self.reached, self.loss, self.width, self.factor)
        self.turn += 1
        self.began[[s for s, level in self.jobs if level == 0]] = self.turn
        return bool(self.jobs)

    def _now(self) -> tuple[int, list[int]]:
        """The lowest rung of the turn's jobs, and the settings that train to its end."""
        lowest = min(level for _, level in self.jobs)
        return lowest, [s for s, level in self.jobs if level == lowest]

    def _train(self, chosen: list[int], start: int, stop: int) -> None:
        only = np.zeros(self.population.capacity, bool)
        only[chosen] = True
        self.population.train(only, start, stop, self.width)

    def _end(self, level: int, chosen: list[int]) -> None:
        """Note what the settings of a rung have come to."""
        loss = self.population.losses(self.metric, self.maximize, self.ends[level])
        self.loss[chosen, level] = loss[chosen]
        self.reached[chosen], self.epoch = level, 0
        self.jobs = [(s, to) for s, to in self.jobs if to != level]

    def rows(self) -> tuple:
        """No log is kept."""
        return ()

    def numbers(self) -> dict[str, Any]:
        """How many settings have begun, and have come to the end."""
        ended = np.sum(self.reached == len(self.ends) - 1)
        return {"begun": int(np.sum(self.began >= 0)), "to the end": int(ended)}

    def snapshot(self) -> Snapshot:
        """That of the population, and where each setting is."""
        arrays = {
            "members": self.population.snapshot(),
            "reached": self.reached,
            "began": self.began,
            "loss": self.loss,
        }
        about = {
            "epoch": self.epoch,
            "turn": self.turn,
            "jobs": [list(job) for job in self.jobs],
            "layout": self.population.layout() or [],
        }
        return Snapshot(self.position, arrays, about, {})

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot. Raises a ValueError where it makes no sense."""
        about, arrays = snapshot.about, snapshot.arrays
        checkpoints.check_types(about, epoch=int, turn=int, jobs=list, layout=list)
        whole = lambda job: isinstance(job, list) and len(job) == 2 and all(map(is_whole, job))
        within = lambda s, level: 0 <= s < len(self.reached) and 0 <= level < len(self.ends)
        if not all(whole(job) and within(*job) for job in about["jobs"]):
            raise ValueError("damaged (its jobs make no sense)")
        try:
            self.population.restore(arrays["members"], about["epoch"], about["layout"] or None)
        except ValueError as error:
            raise ValueError(f"damaged ({error})") from None
        self.reached, self.began = np.array(arrays["reached"]), np.array(arrays["began"])
        self.loss = np.array(arrays["loss"])
        self.epoch, self.turn = about["epoch"], about["turn"]
        self.jobs = [(s, level) for s, level in about["jobs"]]


def next_jobs(
    reached: np.ndarray, loss: np.ndarray, width: int, factor: int
) -> list[tuple[int, int]]:
    """What the free places are for: settings, and the rungs to the end of which they train.

    Args:
      reached: [N] the rung that each setting has come to the end of, -1 where it has not begun.
      loss: [N, L] at the end of each rung. What is not finite is never promoted.
      width: places. factor: of those that came to a rung ``1 / factor`` are promoted.

    >>> reached, loss = np.array([0, 0, 0, -1, -1]), np.array([[0.2], [0.1], [0.3], [0], [0]])
    >>> next_jobs(reached, np.repeat(loss, 2, axis=1), width=2, factor=3)
    [(1, 1), (3, 0)]
    """
    jobs = []
    for rung in range(loss.shape[1] - 2, -1, -1):
        here = np.flatnonzero(reached >= rung)
        order = here[
            np.argsort(
                np.where(np.isfinite(loss[here, rung]), loss[here, rung], np.inf), kind="stable"
            )
        ]
        for s in order[: len(here) // factor]:
            if reached[s] == rung and np.isfinite(loss[s, rung]):
                jobs.append((int(s), rung + 1))
    new = np.flatnonzero(reached < 0)
    return [*jobs[:width], *((int(s), 0) for s in new[: max(0, width - len(jobs))])]
