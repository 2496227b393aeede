"""One driver for whatever trains in stretches: it resumes, looks, logs, shows, saves and obeys."""

import contextlib
import functools
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

from jaxdl import parallel
from jaxdl.metrics.directions import as_loss
from jaxdl.training.host import checkpoints, fingerprint
from jaxdl.training.host.checkpoints import Checkpoint
from jaxdl.training.host.interrupts import Interrupts
from jaxdl.training.host.stretches import Bar
from jaxdl.training.stopping import EarlyStopping

# Between two looks of the host: with a bar, and with checkpoints and logs alone.
SECONDS_WITH_BAR, SECONDS = 0.5, 1.0


class Host(NamedTuple):
    """What the host keeps of a job: its checkpoints, a log (``start`` and ``add``), a bar."""

    checkpoint: Checkpoint | None = None
    log: Any = None
    progress: bool = False

    @property
    def seconds(self) -> float | None:
        """Between two looks; None where nobody looks."""
        watches = self.checkpoint is not None or self.log is not None
        return SECONDS_WITH_BAR if self.progress else SECONDS if watches else None


class Snapshot(NamedTuple):
    """What a job has to know to go on.

    position: how far it is. arrays: a pytree. about: the rest, in JSON's types.
    scores: {metric: value} of the last evaluation, by which the best checkpoint is known.
    """

    position: int
    arrays: Any
    about: dict[str, Any]
    scores: dict[str, float]


class Job(Protocol):
    """What trains in stretches that the host looks between: a fit, a stream, a study.

    kind: its name. unit: what its positions count. total: the last of them.
    fingerprint: what makes it the same job, in JSON's types; it is asked for with checkpoints only.
    """

    kind: str
    unit: str
    total: int
    fingerprint: dict[str, Any]

    @property
    def metrics(self) -> Sequence[str]:
        """The names of the scores of its snapshots."""
        ...

    @property
    def early_stopping(self) -> EarlyStopping | None:
        """By one of them."""
        ...

    @property
    def position(self) -> int:
        """How far it is, 0 before the first stretch."""
        ...

    def stretches(self, seconds: float | None) -> Generator[bool, None, None]:
        """Train to the end, and yield about every so many ``seconds`` (None: seldom).

        Wherever it yields it can be saved and left; what it yields says whether there is
        something new to log and to show.
        """
        ...

    def rows(self) -> Iterable[dict[str, Any]]:
        """The rows of a log since they were asked for last; at first all from the beginning."""
        ...

    def numbers(self) -> dict[str, Any]:
        """What to show beside the bar, by name."""
        ...

    def snapshot(self) -> Snapshot:
        """What it has to know to go on from here."""
        ...

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot. Raises a ValueError for one that it would not have come to."""
        ...


def drive(job: Job, host: Host) -> None:
    """Train a job to its end, from where a checkpoint left it.

    With checkpoints, SIGTERM and SIGINT are obeyed once it is saved. Raises a ValueError for a
    checkpoint of another job. Of several processes the first reads and writes for all.
    """
    checkpoint = host.checkpoint
    if checkpoint is None:
        _train(job, host, None)
        return
    by = None
    if job.metrics:
        by = checkpoints.judged_by(checkpoint, job.metrics, job.early_stopping)
    run = {**job.fingerprint, "best by": by and list(by)}
    with _opened(checkpoint.folder) as folder:
        known = checkpoints.positions(folder) if parallel.processes().first else None
        if known := parallel.agree("checkpoints", known):
            _resume(job, run, folder, known[-1])
        _train(job, host, functools.partial(_save, job, run, by, checkpoint))


def _opened(folder: str | Path) -> contextlib.AbstractContextManager[Path]:
    """The folder, held by the first process for all."""
    if parallel.processes().first:
        return checkpoints.opened(Path(folder))
    return contextlib.nullcontext(Path(folder))


def _train(job: Job, host: Host, save: Callable[[], None] | None) -> None:
    first, several = parallel.processes().first, parallel.processes().count > 1
    seconds = host.seconds  # of all processes, whichever logs
    host = host if first else host._replace(log=None, progress=False)
    with (
        Bar(job.total, job.position, job.unit, host.progress) as bar,
        Interrupts(save is not None) as interrupts,
        contextlib.closing(job.stretches(seconds)) as stretches,
    ):
        if host.log is not None:
            host.log.start(job.rows())
        looks, saved, saved_at = 0, (job.position, 0), time.perf_counter()
        for looked in stretches:
            if looked:
                looks += 1
                _tell(job, host, bar)
            moved = saved != (job.position, looks)
            # What comes after this is heard of at the next look, so that all leave at the same one.
            caught = interrupts.share() if several and save is not None else interrupts.caught
            if save is not None and host.checkpoint is not None and moved:
                due = time.perf_counter() - saved_at >= host.checkpoint.seconds
                due = parallel.agree("save", due)
                if due or caught:
                    save()
                    saved, saved_at = (job.position, looks), time.perf_counter()
            if caught or not several:
                interrupts.obey()
        if save is not None and saved != (job.position, looks):
            save()


def _tell(job: Job, host: Host, bar: Bar) -> None:
    if host.log is not None:
        host.log.add(job.rows())
    if host.progress:
        bar.update(job.position, job.numbers())


def _save(
    job: Job, run: dict[str, Any], by: tuple[str, bool] | None, checkpoint: Checkpoint
) -> None:
    """Write a checkpoint; ``by`` is the metric of its score and whether more of it is better."""
    position, arrays, about, scores = job.snapshot()
    score = None
    if by is not None and by[0] in scores:
        loss = as_loss(scores[by[0]], by[1])
        score = loss if np.isfinite(loss) else None
    about = {"kind": job.kind, "run": run, **about}
    if not parallel.processes().first:
        return
    if parallel.processes().joined:
        arrays = parallel.local(arrays)
    checkpoints.save(checkpoint, position, jax.device_get(arrays), about, score)


def _resume(job: Job, run: dict[str, Any], folder: Path, position: int) -> None:
    path, like = folder / f"{position:010d}", job.snapshot().arrays
    about = arrays = None
    if parallel.processes().first:
        about = checkpoints.read_about(folder, position)["about"]
        if (why := _another(job, run, position, about)) is not None:
            raise ValueError(f"{path}: {why}")
        arrays, _ = checkpoints.restore(folder, position, like)
    about, arrays = parallel.agree("about", about), parallel.send("checkpoint", arrays, like)
    try:
        job.restore(Snapshot(position, arrays, about, {}))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _another(job: Job, run: dict[str, Any], position: int, about: dict[str, Any]) -> str | None:
    """Why a checkpoint is of no earlier part of a job, or None."""
    if about.get("kind") != job.kind:
        return f"of a {about.get('kind', 'run of another kind')}, not of a {job.kind}"
    there = about.get("run", about)  # studies used to say it beside the rest
    if not isinstance(there, dict):
        return "damaged (its run makes no sense)"
    if changed := fingerprint.differences(there, run):
        return f"of another {job.kind} ({changed}); take another folder"
    if position > job.total:
        return f"already has {position} {job.unit}, more than the {job.total} asked for"
    return None
