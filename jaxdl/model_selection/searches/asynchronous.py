"""Asynchronous halving: places are never idle, for what is promoted waits for no rung to fill."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxdl import parallel
from jaxdl.base import Key, Transform
from jaxdl.checks import is_whole, one_of, positive_int, typed_key
from jaxdl.metrics import directions
from jaxdl.model_selection.assemble import assemble, study_metric
from jaxdl.model_selection.folds import Folds
from jaxdl.model_selection.grid import expand
from jaxdl.model_selection.keywords import check_keep, refuse
from jaxdl.model_selection.planning import check_reading, plan_study, populate
from jaxdl.model_selection.population.job import study_fingerprint
from jaxdl.model_selection.population.keys import search_key
from jaxdl.model_selection.population.plan import AUTO, Execution, check_execution
from jaxdl.model_selection.searches.asynchronous_job import AsynchronousJob
from jaxdl.model_selection.searches.search import OWN, Search
from jaxdl.model_selection.spaces import as_space
from jaxdl.training.host import checkpoints
from jaxdl.training.host.checkpoints import Checkpoint
from jaxdl.training.host.driver import Host, drive


def asynchronous_halving(
    make_learner: Callable,
    space: Any,
    data: Any,
    *,
    key: Key,
    sampler: str = "random",
    total: int,
    width: int,
    epochs: int,
    factor: int = 3,
    first: int = 1,
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
    progress: bool = False,
    **gone: Any,
) -> Search:
    """Search with ``width`` settings at a time, the promising ones of them ever longer.

    Whenever places are free they go to settings that are among the best ``1 / factor`` of those
    that have come to their rung so far, the highest rung first, and then to new ones. All of it is
    one program; those of a rung train together, and what waits keeps its state on the host.

    Args:
      make_learner, space, data, key: as for ``search``; all settings are traced.
      sampler: ``"random"`` or ``"halton"``; no others, for it is asked before it could be told.
      total: settings to try, ``factor^m`` or more for m rungs, so that some come to the end.
      width: settings at a time.
      epochs: of those that come to the end.
      factor, first: rungs are after ``first * factor^k`` epochs.
      folds, ..., execution, progress: as for ``search``.
      checkpoint: a folder, or a ``Checkpoint`` of one: the same call again goes on, and ends with
        the same numbers.

    Settings that did not come to the end count as dropped where they were; ``rounds`` of the Search
    says in which turn each began. Raises a ValueError as ``search``, and for static settings.
    Source: Li et al., A System for Massively Parallel Hyperparameter Tuning (2020), Algorithm 2.
    """
    if gone:
        refuse("asynchronous_halving", gone)
    if parallel.processes().count > 1:
        raise ValueError("asynchronous_halving runs in one process; search takes several")
    one_of("sampler", sampler, OWN)
    ends = rung_ends(positive_int("total", total), epochs, factor, first)
    width = min(positive_int("width", width), total)
    keep, checkpoint = check_keep(keep), checkpoints.as_checkpoint(checkpoint)
    execution = check_execution(execution)._replace(compact="never")
    proposals = OWN[sampler](as_space(space), search_key(typed_key(key)))
    plan = plan_study(
        make_learner, expand(proposals.ask(0, 0, total, None)[1]), data, key=key, folds=folds,
        seeds=seeds, epochs=epochs, batch_size=batch_size, remainder=remainder,
        evaluate_every=ends[0], evaluate_train="train_scores" in keep, transform=transform,
        early_stopping=None, halving=None,
    )  # fmt: skip
    if len(plan.signatures) > 1:
        raise ValueError(
            "asynchronous_halving takes spaces of traced settings alone: uniform, log_uniform and "
            "lists of floats, the same names in all; static ones would be other programs"
        )
    (population,) = populate(plan, execution, predictions="predictions" in keep)
    check_reading(plan.settings, [population])
    metric = study_metric(list(population.store.run.curves), metric)
    maximize = directions.resolve(metric, maximize)
    known = {}
    if checkpoint is not None:
        known = study_fingerprint(
            plan.settings, plan.data, plan.folds, plan.seeds, [population], metric, maximize, ()
        ) | {"width": width, "factor": factor, "rungs": ends}
    job = AsynchronousJob(population, metric, maximize, ends, width, factor, known)
    drive(job, Host(checkpoint, None, progress))
    for level, epoch in enumerate(ends[:-1]):
        population.epoch = epoch
        population.drop(job.reached == level)
    study = assemble(plan, [population.result("states" in keep)], metric, maximize)
    return Search(study, np.arange(total), job.began, np.arange(total))


def rung_ends(total: int, epochs: int, factor: int, first: int) -> list[int]:
    """The epochs after which rungs end, the last of them all ``epochs``.

    Raises a ValueError for numbers that make no sense, or where none would come to the end.

    >>> rung_ends(9, 12, 3, 1)
    [1, 3, 12]
    """
    positive_int("epochs", epochs)
    if not is_whole(factor) or factor < 2:
        raise ValueError(f"the factor of halving is a whole number from 2, not {factor!r}")
    if positive_int("first", first) > epochs:
        raise ValueError(f"the first rung is after 1 to {epochs} epochs, not {first}")
    ends = [first]
    while ends[-1] * factor * factor <= epochs:
        ends.append(ends[-1] * factor)
    ends += [epochs] * (ends[-1] < epochs)
    if total < factor ** (len(ends) - 1):
        raise ValueError(
            f"of {total} settings none would come through {len(ends) - 1} rungs: take "
            f"{factor ** (len(ends) - 1)} or more, or a later first rung"
        )
    return ends
