"""Asynchronous halving: places are never idle, for what is promoted waits for no rung to fill."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np

from jaxdl import parallel
from jaxdl.base import Key, Transform
from jaxdl.checks import is_whole, one_of, positive_int, typed_key
from jaxdl.metrics import directions
from jaxdl.metrics.directions import as_loss
from jaxdl.model_selection.assemble import assemble, study_metric
from jaxdl.model_selection.folds import Folds
from jaxdl.model_selection.grid import expand, signatures
from jaxdl.model_selection.keywords import check_keep, refuse
from jaxdl.model_selection.planning import check_reading, plan_study, populate
from jaxdl.model_selection.population.keys import search_key
from jaxdl.model_selection.population.plan import AUTO, Execution, check_execution
from jaxdl.model_selection.population.run import Population
from jaxdl.model_selection.searches.rounds import name_of
from jaxdl.model_selection.searches.search import OWN, Search
from jaxdl.model_selection.spaces import Suggestions, as_space
from jaxdl.training.host.stretches import Bar


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
      folds, ..., progress: as for ``search``.

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
    suggest, keep = as_space(space), check_keep(keep)
    execution = check_execution(execution)._replace(compact="never")
    middle = expand([suggest(Suggestions(lambda name: 0.5))])
    plan = plan_study(
        make_learner, middle * total, data, key=typed_key(key), folds=folds, seeds=seeds,
        epochs=epochs, batch_size=batch_size, remainder=remainder, evaluate_every=ends[0],
        evaluate_train="train_scores" in keep, transform=transform, early_stopping=None,
        halving=None,
    )  # fmt: skip
    (population,) = populate(plan, execution, predictions="predictions" in keep)
    check_reading(middle, [population])
    metric = study_metric(list(population.store.run.curves), metric)
    maximize = directions.resolve(metric, maximize)
    ask = OWN[sampler](suggest, search_key(key)).ask
    settings, began = list(plan.settings), np.zeros(total, int)
    reached, loss = np.full(total, -1), np.full((total, len(ends)), np.nan)
    turn = 0
    with Bar(total, 0, "settings", progress) as bar:
        while jobs := next_jobs(reached, loss, width, factor):
            fresh = [s for s, level in jobs if level == 0]
            if fresh:
                new = expand(ask(turn, fresh[0], len(fresh), None)[1])
                settings[fresh[0] : fresh[-1] + 1], began[fresh] = new, turn
                _change(population, settings)
            for level in sorted({level for _, level in jobs}):
                chosen = [s for s, to in jobs if to == level]
                _train(population, chosen, [0, *ends][level], ends[level], width)
                loss[chosen, level] = _losses(population, metric, maximize, ends[level])[chosen]
                reached[chosen] = level
            turn += 1
            bar.update(
                int(np.sum(reached >= 0)), {"to the end": int(np.sum(reached == len(ends) - 1))}
            )
    for level, epoch in enumerate(ends[:-1]):
        population.epoch = epoch
        population.drop(reached == level)
    result = population.result("states" in keep)
    study = assemble(plan._replace(settings=settings), [result], metric, maximize)
    return Search(study, np.arange(total), began, np.arange(total))


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


def _train(population: Population, chosen: list[int], start: int, stop: int, width: int) -> None:
    only = np.zeros(population.capacity, bool)
    only[chosen] = True
    population.train(only, start, stop, width)


def _losses(population: Population, metric: str, maximize: bool, epoch: int) -> np.ndarray:
    """The mean loss of each setting [S] after an epoch, NaN where a member diverged."""
    every = population.recipe.lengths.evaluation_epochs
    score = population.scores(metric, int(np.searchsorted(every, epoch))).mean(1)
    failed = population.by_setting(population.peek(lambda run: run.diverged)) >= 0
    return as_loss(np.where(failed.any(1), np.nan, score), maximize)


def _change(population: Population, settings: list[dict[str, Any]]) -> None:
    """Give the population other values. Raises a ValueError where a static one is among them."""
    found = signatures(settings)
    if len(found) > 1 or name_of(found[0]) != name_of(population.signature):
        raise ValueError(
            "asynchronous_halving takes spaces of traced settings alone: uniform, log_uniform and "
            "lists of floats, the same names in all; static ones would be other programs"
        )
    population.change(found[0].traced)
