"""The runs of a study from the first epoch to the last: rungs, checkpoints, logs, signals."""

import json
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxdl.model_selection.halving import Rung, losers
from jaxdl.model_selection.progress import Reporter
from jaxdl.model_selection.runs import Run
from jaxdl.model_selection.study import plain
from jaxdl.training import checkpoints, identity
from jaxdl.training.checkpoints import Checkpoint
from jaxdl.training.interrupts import Interrupts
from jaxdl.training.pacing import stretches
from jaxdl.training.rows import steps_per_epoch
from jaxdl.training.stopping import higher_is_better

# Between two looks of the host: with a bar, and with nothing but a reason to look.
SECONDS_WITH_BAR, SECONDS = 0.5, 1.0


class Campaign:
    """Trains the runs of a study's signatures; [S, G] members each. See ``cross_validate``."""

    def __init__(
        self,
        runs: Sequence[Run],
        metric: str,
        rungs: Sequence[Rung],
        *,
        checkpoint: Checkpoint | None,
        log: Any,
        reporter: Reporter,
        looks: bool,
        about: dict[str, Any],
        milestones: Sequence[int] = (),
    ):
        self.runs, self.metric, self.rungs = runs, metric, list(rungs)
        self.checkpoint, self.log, self.reporter, self.about = checkpoint, log, reporter, about
        self.milestones = milestones
        self.epochs = runs[0].recipe.schedule.epochs
        self.seconds = SECONDS_WITH_BAR if reporter.enabled else SECONDS if looks else None
        self.logged = [0] * len(runs)
        self.saved = time.perf_counter()

    def train(self) -> None:
        """Train all runs, [S, G] members each, to the end, from where a checkpoint left them."""
        if self.checkpoint is None:
            self._train(Interrupts(False))
            return
        with checkpoints.opened(self.checkpoint.folder) as folder:
            if known := checkpoints.positions(folder):
                self._resume(folder, known[-1])
            with Interrupts() as interrupts:
                self._train(interrupts)
                self._save()
                interrupts.obey()

    def _train(self, interrupts: Interrupts) -> None:
        if self.log is not None:
            self.logged = [run.epoch for run in self.runs]
            self.log.start(row for i, run in enumerate(self.runs) for row in self._rows(i, 0))
        drops = {rung.epochs: rung for rung in self.rungs}
        for stop in sorted({*drops, *self.milestones, self.epochs}):
            for i, run in enumerate(self.runs):
                for _, end in stretches(run.epoch, stop, self.seconds):
                    if not run.active.any():
                        run.epoch = stop
                        self._look(i, interrupts)
                        break
                    run.advance(end)
                    self._look(i, interrupts)
            if stop in drops:
                self._drop(drops[stop])

    def _look(self, i: int, interrupts: Interrupts) -> None:
        run = self.runs[i]
        self.reporter.update(sum(r.epoch * r.size for r in self.runs), run, run.epoch)
        if self.log is not None:
            self.log.add(self._rows(i, self.logged[i]))
            self.logged[i] = run.epoch
        if self.checkpoint is None:
            return
        if interrupts.caught or time.perf_counter() - self.saved >= self.checkpoint.seconds:
            self._save()
        if interrupts.caught:
            interrupts.obey()

    # -- successive halving

    def _drop(self, rung: Rung) -> None:
        """Leave the best settings of all runs in the race."""
        every = self.runs[0].recipe.schedule.evaluation_epochs
        slot = int(np.searchsorted(every, rung.epochs))
        scores, alive = [], []
        for run in self.runs:
            failed = run._by_setting(run.peek(lambda p: p.diverged)) >= 0
            mean = np.where(failed.any(1), np.nan, run.scores(self.metric, slot).mean(1))
            scores.append(-mean if higher_is_better(self.metric) else mean)
            alive.append(run.dropped < 0)
        if sum(map(np.sum, alive)) <= rung.keep:  # a resumed run has passed this rung
            return
        dropped = losers(np.concatenate(scores), np.concatenate(alive), rung.keep)
        ends = np.cumsum([len(a) for a in alive])[:-1]
        for run, part in zip(self.runs, np.split(dropped, ends), strict=True):
            run.drop(part)

    # -- checkpoints

    def _save(self) -> None:
        tree = [run.snapshot() for run in self.runs]
        about = {
            **self.about,
            "epochs": [run.epoch for run in self.runs],
            "layouts": [run.layout() for run in self.runs],
        }
        position = sum(run.epoch * run.size for run in self.runs)
        checkpoints.save(self.checkpoint, position, tree, about)
        self.saved = time.perf_counter()

    def _resume(self, folder: Path, position: int) -> None:
        path = folder / f"{position:010d}"
        there = checkpoints.read_about(folder, position)["about"]
        if there.get("kind") != self.about["kind"]:
            raise ValueError(f"{path}: of a {there.get('kind', 'run')}, not of a study")
        odd = [name for name, value in self.about.items() if there.get(name) != value]
        if odd:
            raise ValueError(
                f"{path}: of another study (other {', '.join(odd)}); take another folder"
            )
        tree, _ = checkpoints.restore(folder, position, [run.snapshot() for run in self.runs])
        places = zip(self.runs, tree, there["epochs"], there["layouts"], strict=True)
        for run, part, epoch, layout in places:
            run.restore(part, epoch, layout)

    # -- logs

    def _rows(self, i: int, start: int) -> Iterator[dict[str, Any]]:
        """Rows of a run's members for the epochs from ``start`` on."""
        run = self.runs[i]
        first = sum(r.size for r in self.runs[:i])
        every = run.recipe.schedule.evaluation_epochs
        loss, diverged, stopped = (
            run.peek(lambda p, n=n: getattr(p, n)) for n in ("loss", "diverged", "stopped")
        )
        names = list(run.store[0].curves)
        curves = {m: run.peek(lambda p, m=m: p.curves[m]) for m in names}
        steps = steps_per_epoch(run.shared.train.mask.sum(1), run.recipe.schedule)
        num_settings = len(run.signature.members)
        for m in range(run.size):
            ended = [e for e in (diverged[m] + 1, stopped[m]) if e > 0]
            group, s = divmod(m, num_settings)
            traced = {k: plain(v[s]) for k, v in run.signature.traced.items()}
            member = {
                "member": first + m,
                "setting": run.signature.members[s],
                "fold": int(run.groups.fold[group]),
                "seed": int(run.groups.seed[group]),
                "settings": {**{k: plain(v) for k, v in run.signature.static.items()}, **traced},
            }
            for epoch in range(start + 1, min([run.epoch, *ended]) + 1):
                place = {**member, "epoch": epoch, "step": epoch * int(steps[member["fold"]])}
                value = float(loss[m, epoch - 1])
                yield {**place, "part": "train", "metric": "loss", "value": value}
                slot = int(np.searchsorted(every, epoch))
                if slot < len(every) and every[slot] == epoch:
                    for name in names:
                        value = float(curves[name][m, slot])
                        yield {**place, "part": "validation", "metric": name, "value": value}


def fingerprint(settings, data, folds, seeds, recipe, metric, levels) -> dict[str, Any]:
    """What must be the same for a study to go on, in JSON's types; data [N, D] by checksum."""
    parts = [index for fold in folds for index in (fold.train, fold.valid)]
    listed = [{k: plain(v) for k, v in h.items()} for h in settings]
    early = recipe.early_stopping
    return {
        "kind": "study",
        "settings": zlib.crc32(json.dumps(listed, sort_keys=True, default=repr).encode()),
        "data": identity.of_arrays(data),
        "folds": identity.of_arrays(parts),
        "seeds": [int(s) for s in seeds],
        "key": np.asarray(jax.random.key_data(recipe.key)).tolist(),
        "schedule": [plain(v) for v in recipe.schedule],
        "early stopping": None if early is None or callable(early) else [plain(v) for v in early],
        "halving": [[metric, *map(int, rung)] for rung in levels],
    }
