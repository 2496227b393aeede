"""A study as a job of the host's driver: its populations, from rung to rung."""

import functools
from collections.abc import Generator, Iterator, Sequence
from typing import Any, cast

import numpy as np

from jaxdl.model_selection.population.halving import Rung, losers
from jaxdl.model_selection.population.run import Population
from jaxdl.model_selection.words import plain
from jaxdl.training.batching import steps_per_epoch
from jaxdl.training.host import checkpoints, driver, fingerprint
from jaxdl.training.host.driver import Snapshot
from jaxdl.training.host.stretches import stretches


class StudyJob:
    """Trains the populations of a study's signatures; its positions are epochs of all members.

    Args:
      populations: one for each signature, that train for as many epochs.
      metric, maximize: what the rungs go by.
      rungs: of successive halving, in the order of their epochs.
      milestones: epochs that all populations come to before one goes on.
      compacts: whether to look in any case, since members that leave early make room.
      fingerprint: from ``study_fingerprint``; {} where no checkpoints are kept.
    """

    kind, unit = "study", "epochs"
    # The best of a study's settings is known at its end, so no checkpoint is kept for its scores.
    metrics, early_stopping = (), None

    def __init__(
        self,
        populations: Sequence[Population],
        metric: str,
        maximize: bool,
        *,
        rungs: Sequence[Rung] = (),
        milestones: Sequence[int] = (),
        compacts: bool = False,
        fingerprint: dict[str, Any],
    ):
        self.populations, self.metric, self.maximize = populations, metric, maximize
        self.rungs = {rung.epochs: rung for rung in rungs}
        self.epochs = populations[0].recipe.lengths.epochs
        self.stops = sorted({*self.rungs, *milestones, self.epochs})
        self.compacts, self.fingerprint = compacts, fingerprint
        self.total = self.epochs * sum(population.size for population in populations)
        self.logged = [0] * len(populations)
        self.running = populations[0]

    @property
    def position(self) -> int:
        """The epochs of all members so far."""
        return sum(population.epoch * population.size for population in self.populations)

    def stretches(self, seconds: float | None) -> Generator[bool, None, None]:
        """Train all members to the end; see ``driver.Job``."""
        if seconds is None and self.compacts:
            seconds = driver.SECONDS
        _fit_transforms(self.populations)
        for stop in self.stops:
            for population in self.populations:
                self.running = population
                advance = functools.partial(_advance, population, stop)
                for _ in stretches(advance, population.epoch, stop, seconds):
                    yield True
                    if population.epoch == stop:
                        break
            if stop in self.rungs:
                self._drop(self.rungs[stop])

    def _drop(self, rung: Rung) -> None:
        """Leave the best settings of all populations in the race."""
        alive = [population.dropped < 0 for population in self.populations]
        # A resumed run has passed this rung; it may have come to better epochs since.
        if sum(map(np.sum, alive)) <= rung.keep:
            return
        losses = [p.losses(self.metric, self.maximize, rung.epochs) for p in self.populations]
        dropped = losers(np.concatenate(losses), np.concatenate(alive), rung.keep)
        ends = np.cumsum([len(a) for a in alive])[:-1]
        for population, part in zip(self.populations, np.split(dropped, ends), strict=True):
            population.drop(part)

    def rows(self) -> Iterator[dict[str, Any]]:
        """A log's rows of all members for the epochs since it was asked last."""
        start, self.logged = self.logged, [population.epoch for population in self.populations]
        return self._rows(start)

    def _rows(self, start: list[int]) -> Iterator[dict[str, Any]]:
        first = 0
        for population, epoch in zip(self.populations, start, strict=True):
            if epoch < population.epoch:
                yield from _member_rows(population, first, epoch)
            first += population.size

    def numbers(self) -> dict[str, Any]:
        """Of the running population: its least loss, and how many diverged and go on."""
        population = self.running
        losses = population.peek(lambda p: p.loss)[:, : population.epoch]
        seen = losses[:, ~np.all(np.isnan(losses), axis=0)]
        shown = {"loss": float(np.nanmin(seen[:, -1]))} if seen.size else {}
        diverged = int(np.sum(population.peek(lambda p: p.diverged) >= 0))
        active = int(population.active.sum())
        shown |= {"diverged": diverged} if diverged else {}
        return shown | ({"active": active} if active < population.size else {})

    def snapshot(self) -> Snapshot:
        """The snapshots of all populations, their epochs and how their members lie."""
        about = {
            "epochs": [population.epoch for population in self.populations],
            "layouts": [population.layout() for population in self.populations],
        }
        arrays = [population.snapshot() for population in self.populations]
        return Snapshot(self.position, arrays, about, {})

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot. Raises a ValueError where it makes no sense."""
        about = snapshot.about
        checkpoints.check_types(about, epochs=list, layouts=list)
        parts = (self.populations, snapshot.arrays, about["epochs"], about["layouts"])
        try:
            for population, arrays, epoch, layout in zip(*parts, strict=True):
                population.restore(arrays, epoch, layout)
        except ValueError as error:
            raise ValueError(f"damaged ({error})") from None


def _advance(population: Population, stop: int, start: int, end: int) -> None:
    """Train a population to the end of an epoch; where nobody goes on, it is at ``stop`` at once."""
    if population.active.any():
        population.advance(end)
    else:
        population.epoch = stop


def _fit_transforms(populations: Sequence[Population]) -> None:
    """Fit the transform to each training part, once for all populations."""
    first = populations[0]  # they differ in their learners alone
    first.fit_transforms()
    for population in populations:
        population.shared = population.shared._replace(transforms=first.shared.transforms)


def _member_rows(population: Population, first: int, start: int) -> Iterator[dict[str, Any]]:
    """A log's rows of a population's members, numbered from ``first``, behind epoch ``start``."""
    every = population.recipe.lengths.evaluation_epochs
    loss, diverged, stopped = (
        population.peek(lambda p, n=n: getattr(p, n)) for n in ("loss", "diverged", "stopped")
    )
    names = list(population.store.run.curves)
    curves = {m: population.peek(lambda p, m=m: p.curves[m]) for m in names}
    steps = steps_per_epoch(population.shared.train.mask.sum(1), population.recipe.lengths)
    for m in range(population.size):
        ended = [e for e in (diverged[m] + 1, stopped[m]) if e > 0]
        group, s = divmod(m, population.capacity)
        traced = {k: plain(v[s]) for k, v in population.signature.traced.items()}
        member = {
            "member": first + m,
            "setting": population.signature.members[s],
            "fold": int(population.groups.fold[group]),
            "seed": int(population.groups.seed[group]),
            "settings": {
                **{k: plain(v) for k, v in population.signature.static.items()},
                **traced,
            },
        }
        for epoch in range(start + 1, min([population.epoch, *ended]) + 1):
            place = {**member, "epoch": epoch, "step": epoch * int(steps[member["fold"]])}
            value = float(loss[m, epoch - 1])
            yield {**place, "part": "train", "metric": "loss", "value": value}
            slot = int(np.searchsorted(every, epoch))
            if slot < len(every) and every[slot] == epoch:
                for name in names:
                    value = float(curves[name][m, slot])
                    yield {**place, "part": "validation", "metric": name, "value": value}


def study_fingerprint(
    settings, data, folds, seeds, populations, metric, maximize, levels
) -> dict[str, Any]:
    """What must be the same for a study to go on, in JSON's types.

    Data and programs are known by checksums: learners and transform by their traces.
    """
    recipe = populations[0].recipe
    parts = [index for fold in folds for index in (fold.train, fold.valid)]
    listed = [{k: plain(v) for k, v in h.items()} for h in settings]
    early = recipe.early_stopping
    return {
        "settings": fingerprint.of_json(listed),
        "data": fingerprint.of_arrays((data, recipe.groups)),
        "folds": fingerprint.of_arrays(parts),
        "seeds": [int(s) for s in seeds],
        "key": fingerprint.of_key(recipe.key),
        "lengths": [plain(v) for v in recipe.lengths],
        "early stopping": [
            fingerprint.of_stopping(cast(Any, early)(h) if callable(early) else early)
            for h in settings
        ],
        "halving": [[metric, maximize, *map(int, rung)] for rung in levels],
        "program": [population.checksum for population in populations],
    }
