"""Population-based training: members copy better ones and explore from there, while they train."""

from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Never

import jax
import numpy as np

from jaxdl import parallel
from jaxdl.base import Key, Transform
from jaxdl.checks import is_whole, positive_int, typed_key
from jaxdl.metrics import directions
from jaxdl.model_selection.assemble import assemble, study_metric
from jaxdl.model_selection.folds import Folds
from jaxdl.model_selection.keywords import check_keep, refuse
from jaxdl.model_selection.planning import check_reading, plan_study, populate
from jaxdl.model_selection.population.job import StudyJob, study_fingerprint
from jaxdl.model_selection.population.keys import search_key
from jaxdl.model_selection.population.plan import AUTO, Execution, check_execution
from jaxdl.model_selection.population.run import Population
from jaxdl.model_selection.searches.exploring import (
    Exploring,
    check_exploring,
    exploit,
    explore,
)
from jaxdl.model_selection.searches.proposals import at_random
from jaxdl.model_selection.spaces import Interval, as_space
from jaxdl.model_selection.study import Study
from jaxdl.model_selection.words import in_words
from jaxdl.training.host import checkpoints, runlog
from jaxdl.training.host.checkpoints import Checkpoint
from jaxdl.training.host.driver import Host, Snapshot, drive
from jaxdl.training.host.stretches import stretches


class Lineages(NamedTuple):
    """What population-based training found: S members, J stretches of ``every`` epochs.

    study: of the members as they ended; the curves of each are those of its lineage, so are
        losses; ``hparams`` are its last values.
    schedules: {name: [S, J]}, the values that each member's weights were trained with.
    parents: [J - 1, S], the member that each went on from after each stretch but the last.
    """

    study: Study
    schedules: dict[str, np.ndarray]
    parents: np.ndarray
    every: int

    def schedule(self, index: int | None = None) -> dict[str, np.ndarray]:
        """A member's values {name: [J]}; default, those of the best: for ``scheduled``."""
        index = self.study.best().index if index is None else index
        return {name: values[index] for name, values in self.schedules.items()}

    def __repr__(self) -> str:
        study, first = self.study, int(self.study.ranking()[0])
        moved = int(np.sum(self.parents != np.arange(len(study.hparams))))
        return (
            f"{len(study.hparams)} members, {len(self.parents) + 1} stretches of {self.every} "
            f"epochs, {moved} copies; best {study.metric} {study.summary()[0][first]:.4f} ends with "
            f"{in_words(study.hparams[first])}"
        )


def population_based_training(
    make_learner: Callable,
    space: Mapping[str, Any],
    data: Any,
    *,
    key: Key,
    size: int,
    epochs: int,
    every: int,
    exploring: Exploring = Exploring(),  # noqa: B008, a tuple of numbers
    folds: int | Folds | Any = 5,
    seeds: int | Sequence[int] = 1,
    batch_size: int | None = None,
    remainder: str = "keep",
    transform: Transform | None = None,
    metric: str | None = None,
    maximize: bool | None = None,
    keep: str | Collection[str] = (),
    execution: Execution = AUTO,
    checkpoint: str | Path | Checkpoint | None = None,
    log: Any = None,
    progress: bool = False,
    **gone: Any,
) -> Lineages:
    """Train a population whose worst members go on from the best ones, with values nearby.

    After each stretch of ``every`` epochs the members of the lowest scores take over the weights,
    the optimizer's state and the history of one of the highest, fold by fold and seed by seed, and
    its settings, changed a little. What comes out is a schedule: as all settings share their draws,
    ``scheduled`` trains a learner by it to the very weights of the member.

    Args:
      make_learner, data, key: as for ``cross_validate``.
      space: for each name ``uniform``, ``log_uniform``, or a list of numbers; all of them traced.
      size: members, from 2 on.
      epochs, every: in all, and of a stretch.
      exploring: an ``Exploring``, who copies and how values move.
      folds, ..., transform: as for ``cross_validate``. A member is judged by its mean over folds
        and seeds; the same rows then choose the schedule, so keep a test part.
      metric, ..., execution: as for ``cross_validate``; members are never compacted.
      checkpoint, log, progress: as for ``cross_validate``; a resumed run ends with the same numbers.

    Raises a ValueError as ``cross_validate``, for static settings, and numbers that make no sense.
    Source: Jaderberg et al., Population Based Training of Neural Networks (2017).
    """
    if gone:
        refuse("population_based_training", gone)
    if parallel.processes().count > 1:
        raise ValueError("population_based_training runs in one process; search takes several")
    domains = _traced(space)
    check_exploring(exploring)
    if positive_int("size", size) < 2:
        raise ValueError("a population has at least 2 members")
    if positive_int("every", every) > positive_int("epochs", epochs):
        raise ValueError(f"a stretch has at most the {epochs} epochs of all, not {every}")
    execution, keep = check_execution(execution)._replace(compact="never"), check_keep(keep)
    draws = search_key(typed_key(key))
    _, settings = at_random(as_space(domains), draws).ask(0, 0, size, None)
    plan = plan_study(
        make_learner, settings, data, key=key, folds=folds, seeds=seeds, epochs=epochs,
        batch_size=batch_size, remainder=remainder, evaluate_every=every,
        evaluate_train="train_scores" in keep, transform=transform, early_stopping=None,
        halving=None,
    )  # fmt: skip
    checkpoint = checkpoints.as_checkpoint(checkpoint)
    (population,) = populate(plan, execution, predictions="predictions" in keep)
    check_reading(plan.settings, [population])
    metric = study_metric(list(population.store.run.curves), metric)
    maximize = directions.resolve(metric, maximize)
    fingerprint = {}
    if checkpoint is not None:
        fingerprint = study_fingerprint(
            settings, plan.data, plan.folds, plan.seeds, [population], metric, maximize, ()
        ) | {"every": every, "space": repr(domains), "exploring": repr(exploring)}
    evolve = lambda loss, values, turn: _evolve(domains, exploring, draws, loss, values, turn)
    job = EvolvingJob(population, metric, maximize, every, evolve, fingerprint)
    drive(job, Host(checkpoint, runlog.as_log(log), progress))
    last = [dict(zip(domains, map(float, row), strict=True)) for row in job.values[:, :, -1].T]
    study = assemble(
        plan._replace(settings=last, recipe=plan.recipe._replace(make_learner=_not_one_setting)),
        [population.result("states" in keep)], metric, maximize,
    )  # fmt: skip
    return Lineages(study, dict(zip(domains, job.values, strict=True)), job.parents, every)


class EvolvingJob:
    """Trains a population from stretch to stretch, and lets it evolve in between.

    ``values`` [H, S, J] are the settings of each lineage, ``parents`` [J - 1, S]. ``evolve`` is
    ``(loss [S], values [H, S], turn) -> (source [S], values [H, S])``.
    """

    kind, unit = "population-based training", "epochs"
    metrics, early_stopping = (), None

    def __init__(
        self,
        population: Population,
        metric: str,
        maximize: bool,
        every: int,
        evolve: Callable,
        fingerprint: dict[str, Any],
    ):
        self.population, self.metric, self.maximize = population, metric, maximize
        self.every, self.evolve, self.fingerprint = every, evolve, fingerprint
        self.epochs = population.recipe.lengths.epochs
        self.total = self.epochs * population.size
        self.evolved, count = 0, -(-self.epochs // every)
        self.names = list(population.signature.traced)
        first = np.stack([population.signature.traced[name] for name in self.names])
        self.values = np.repeat(first[:, :, None], count, axis=2)
        self.parents = np.tile(np.arange(first.shape[1], dtype=np.int32), (count - 1, 1))
        self.study_job = StudyJob([population], metric, maximize, fingerprint={})

    @property
    def position(self) -> int:
        """The epochs of all members so far."""
        return self.study_job.position

    def stretches(self, seconds: float | None) -> Generator[bool, None, None]:
        """Train to the end; see ``driver.Job``."""
        while (epoch := self.population.epoch) < self.epochs:
            if epoch == (self.evolved + 1) * self.every:
                self._evolve()
            stop = min((self.evolved + 1) * self.every, self.epochs)
            for _ in stretches(self._advance, epoch, stop, seconds):
                yield True

    def _advance(self, start: int, stop: int) -> None:
        self.population.advance(stop)

    def _evolve(self) -> None:
        """Let the members copy and explore after a stretch."""
        population, turn = self.population, self.evolved
        loss = population.losses(self.metric, self.maximize, population.epoch)
        source, new = self.evolve(loss, self.values[:, :, turn], turn)
        population.copy(source)
        self.values = self.values[:, source]
        self.values[:, :, turn + 1 :] = new[:, :, None]
        self.parents[turn] = source
        self.evolved += 1
        population.change(dict(zip(self.names, new, strict=True)))

    def rows(self) -> Any:
        """A log's rows of all members since it was asked last."""
        return self.study_job.rows()

    def numbers(self) -> dict[str, Any]:
        """What is shown of the running population, and how often it has evolved."""
        return self.study_job.numbers() | {"evolved": self.evolved}

    def snapshot(self) -> Snapshot:
        """That of the population, and its lineages."""
        of_study = self.study_job.snapshot()
        arrays = {"members": of_study.arrays, "values": self.values, "parents": self.parents}
        return of_study._replace(arrays=arrays, about={**of_study.about, "evolved": self.evolved})

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot. Raises a ValueError where it makes no sense."""
        checkpoints.check_types(snapshot.about, evolved=int)
        self.evolved = snapshot.about["evolved"]
        if not (is_whole(self.evolved) and 0 <= self.evolved <= len(self.parents)):
            raise ValueError("damaged (its stretches make no sense)")
        arrays = snapshot.arrays
        self.study_job.restore(snapshot._replace(arrays=arrays["members"]))
        self.values, self.parents = np.array(arrays["values"]), np.array(arrays["parents"])
        now = self.values[:, :, self.evolved]
        self.population.change(dict(zip(self.names, now, strict=True)))


def _evolve(
    space: dict, exploring: Exploring, key: Key, loss: np.ndarray, values: np.ndarray, turn: int
) -> tuple[np.ndarray, np.ndarray]:
    """Who goes on from whom, [S], and with what values [H, S]; the draws are those of the turn."""
    words = jax.random.key_data(jax.random.fold_in(key, 2**32 - 1 - turn))
    rng = np.random.default_rng(np.asarray(words).ravel())
    source = exploit(loss, exploring.share, rng)
    names, copied = list(space), source != np.arange(len(source))
    inherited = dict(zip(names, values[:, source], strict=True))
    new = explore(space, inherited, copied, exploring, rng)
    return source, np.stack([new[name] for name in names])


def _traced(space: Any) -> dict[str, Interval | list]:
    """A space of traced values. Raises a ValueError for others."""
    if not isinstance(space, Mapping) or not space:
        raise ValueError("the space of a population is a dict with values for each name")
    found = {}
    for name, domain in space.items():
        if isinstance(domain, Interval) and not domain.whole:
            found[name] = domain
            continue
        listed = (
            [] if isinstance(domain, (Interval, str)) or not np.iterable(domain) else list(domain)
        )
        numbers = all(isinstance(v, (float, np.floating)) or is_whole(v) for v in listed)
        if not listed or not numbers:
            raise ValueError(
                f"space[{name!r}] must be uniform(...), log_uniform(...) or a list of numbers: "
                "members that copy one another share a program, so static settings cannot vary"
            )
        found[name] = [float(v) for v in listed]
    return found


def _not_one_setting(h: dict[str, Any]) -> Never:
    raise ValueError(
        "what was chosen is a schedule, not a setting: train "
        "scheduled(make_learner, found.schedule(), steps) by fit"
    )
