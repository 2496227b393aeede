"""A study's populations from the first epoch to the last: rungs, checkpoints, logs, signals."""

import functools
import json
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxdl.base import features
from jaxdl.metrics.directions import as_loss
from jaxdl.model_selection.population.halving import Rung, losers
from jaxdl.model_selection.population.reporter import Reporter
from jaxdl.model_selection.population.run import Population
from jaxdl.model_selection.words import plain
from jaxdl.training.batching import steps_per_epoch
from jaxdl.training.host import checkpoints, fingerprint
from jaxdl.training.host.checkpoints import Checkpoint
from jaxdl.training.host.interrupts import Interrupts
from jaxdl.training.host.stretches import stretches

# Between two looks of the host: with a bar, and without one.
SECONDS_WITH_BAR, SECONDS = 0.5, 1.0


class Campaign:
    """Trains the populations of a study's signatures. See ``cross_validate``."""

    def __init__(
        self,
        populations: Sequence[Population],
        metric: str,
        maximize: bool,
        rungs: Sequence[Rung],
        *,
        checkpoint: Checkpoint | None,
        log: Any,
        reporter: Reporter,
        host_watches: bool,
        about: dict[str, Any],
        milestones: Sequence[int] = (),
    ):
        self.populations, self.rungs = populations, list(rungs)
        self.metric, self.maximize = metric, maximize
        self.checkpoint, self.log, self.reporter, self.about = checkpoint, log, reporter, about
        self.milestones = milestones
        self.epochs = populations[0].recipe.lengths.epochs
        self.seconds = SECONDS_WITH_BAR if reporter.enabled else SECONDS if host_watches else None
        self.logged = [0] * len(populations)
        self.saved = time.perf_counter()

    def train(self) -> None:
        """Train all members to the end, from where a checkpoint left them."""
        first = self.populations[0]  # they differ in their learners alone
        first.fit_transforms()
        for population in self.populations:
            fitted = first.shared.transforms
            population.shared = population.shared._replace(transforms=fitted)
        if self.checkpoint is None:
            self._train(Interrupts(False))
            return
        with checkpoints.opened(self.checkpoint.folder) as folder:
            if known := checkpoints.positions(folder):
                self._resume(folder, known[-1])
            with Interrupts() as interrupts:
                self._train(interrupts)
                self._save()

    def _train(self, interrupts: Interrupts) -> None:
        if self.log is not None:
            self.logged = [population.epoch for population in self.populations]
            self.log.start(
                row for i, population in enumerate(self.populations) for row in self._rows(i, 0)
            )
        drops = {rung.epochs: rung for rung in self.rungs}
        for stop in sorted({*drops, *self.milestones, self.epochs}):
            for i, population in enumerate(self.populations):
                advance = functools.partial(_advance, population, stop)
                for _ in stretches(advance, population.epoch, stop, self.seconds):
                    self._look(i, interrupts)
                    if population.epoch == stop:
                        break
            if stop in drops:
                self._drop(drops[stop])

    def _look(self, i: int, interrupts: Interrupts) -> None:
        population = self.populations[i]
        self.reporter.update(
            sum(p.epoch * p.size for p in self.populations), population, population.epoch
        )
        if self.log is not None:
            self.log.add(self._rows(i, self.logged[i]))
            self.logged[i] = population.epoch
        if self.checkpoint is None:
            return
        if interrupts.caught or time.perf_counter() - self.saved >= self.checkpoint.seconds:
            self._save()
        interrupts.obey()

    # -- successive halving

    def _drop(self, rung: Rung) -> None:
        """Leave the best settings of all populations in the race."""
        every = self.populations[0].recipe.lengths.evaluation_epochs
        slot = int(np.searchsorted(every, rung.epochs))
        alive = [population.dropped < 0 for population in self.populations]
        # A resumed run has passed this rung; it may have come to better epochs since.
        if sum(map(np.sum, alive)) <= rung.keep:
            return
        scores = []
        for population in self.populations:
            failed = population._by_setting(population.peek(lambda p: p.diverged)) >= 0
            mean = np.where(failed.any(1), np.nan, population.scores(self.metric, slot).mean(1))
            scores.append(as_loss(mean, self.maximize))
        dropped = losers(np.concatenate(scores), np.concatenate(alive), rung.keep)
        ends = np.cumsum([len(a) for a in alive])[:-1]
        for population, part in zip(self.populations, np.split(dropped, ends), strict=True):
            population.drop(part)

    # -- checkpoints

    def _save(self) -> None:
        tree = [population.snapshot() for population in self.populations]
        about = {
            **self.about,
            "epochs": [population.epoch for population in self.populations],
            "layouts": [population.layout() for population in self.populations],
        }
        position = sum(population.epoch * population.size for population in self.populations)
        checkpoints.save(self.checkpoint, position, tree, about)
        self.saved = time.perf_counter()

    def _resume(self, folder: Path, position: int) -> None:
        path = folder / f"{position:010d}"
        there = checkpoints.read_about(folder, position)["about"]
        if there.get("kind") != self.about["kind"]:
            raise ValueError(f"{path}: of a {there.get('kind', 'run')}, not of a study")
        mismatched = [name for name, value in self.about.items() if there.get(name) != value]
        if mismatched:
            raise ValueError(
                f"{path}: of another study (other {', '.join(mismatched)}); take another folder"
            )
        tree, _ = checkpoints.restore(
            folder, position, [population.snapshot() for population in self.populations]
        )
        checkpoints.check_types(path, there, epochs=list, layouts=list)
        try:
            places = zip(self.populations, tree, there["epochs"], there["layouts"], strict=True)
            for population, part, epoch, layout in places:
                population.restore(part, epoch, layout)
        except ValueError as error:
            raise ValueError(f"{path}: damaged ({error})") from None

    # -- logs

    def _rows(self, i: int, start: int) -> Iterator[dict[str, Any]]:
        """A log's rows of a population's members for the epochs from ``start`` on."""
        population = self.populations[i]
        first = sum(p.size for p in self.populations[:i])
        every = population.recipe.lengths.evaluation_epochs
        loss, diverged, stopped = (
            population.peek(lambda p, n=n: getattr(p, n)) for n in ("loss", "diverged", "stopped")
        )
        names = list(population.store[0].curves)
        curves = {m: population.peek(lambda p, m=m: p.curves[m]) for m in names}
        steps = steps_per_epoch(population.shared.train.mask.sum(1), population.recipe.lengths)
        num_settings = len(population.signature.members)
        for m in range(population.size):
            ended = [e for e in (diverged[m] + 1, stopped[m]) if e > 0]
            group, s = divmod(m, num_settings)
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


def _advance(population: Population, stop: int, start: int, end: int) -> None:
    """Train a population to the end of an epoch; where nobody goes on, it is at ``stop`` at once."""
    if population.active.any():
        population.advance(end)
    else:
        population.epoch = stop


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
        "kind": "study",
        "settings": zlib.crc32(json.dumps(listed, sort_keys=True, default=repr).encode()),
        "data": fingerprint.of_arrays(data),
        "folds": fingerprint.of_arrays(parts),
        "seeds": [int(s) for s in seeds],
        "key": fingerprint.of_key(recipe.key),
        "lengths": [plain(v) for v in recipe.lengths],
        "early stopping": [
            fingerprint.of_stopping(early(h) if callable(early) else early) for h in settings
        ],
        "halving": [[metric, maximize, *map(int, rung)] for rung in levels],
        "program": [_program(population) for population in populations],
    }


def _program(population: Population) -> int:
    """A checksum of what a member does: transform, start, a step, scores and predictions."""

    def run(setting, key, batch, rows):
        fitted = population._fit(batch, rows)
        learner = population._learner(setting, fitted)
        state, info = learner.step(learner.init(key), batch)
        predicted = learner.predict(state, features(batch)) if population.predicts else ()
        return info, state, learner.evaluate(state, batch), predicted

    first = {k: v[0] for k, v in population.settings.items()}
    args = (first, jax.random.key(0), population.one, np.ones(2, bool))
    return fingerprint.of_program(run, *args)
