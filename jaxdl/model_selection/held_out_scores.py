"""Scores of whole held-out parts, from the predictions that a study made of them."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from jaxdl.base import Batch, weights
from jaxdl.metrics import Metric, named
from jaxdl.model_selection.planning import StudyPlan
from jaxdl.model_selection.population.settings import responses_of
from jaxdl.model_selection.study import Study


def asked(
    metrics: str | Metric | Sequence[str | Metric], plan: StudyPlan, reported: Sequence[str]
) -> list[Metric]:
    """The Metrics that a study is asked for, besides those that its learners have ``reported``.

    Raises a ValueError for names and responses that do not fit, for a Metric with a name that the
    learner has, and where a fold holds out no row of a class that a metric needs.
    """
    metrics = [metrics] if isinstance(metrics, (str, Metric)) else list(metrics)
    for one in metrics:
        if isinstance(one, Metric) and one.name in reported:
            raise ValueError(f"the learner reports {one.name!r} itself: call the metric otherwise")
    metrics = [one for one in metrics if not (isinstance(one, str) and one in reported)]
    if not metrics:
        return []
    found = named(metrics, responses_of(plan.recipe.make_learner, plan.signatures[0]))
    if type(plan.data) is not tuple or not isinstance(plan.data[1], np.ndarray):
        raise ValueError("metrics are of responses: data (x, y) with an array y [N, ...]")
    whole = [metric.name for metric in found if metric.every_class]
    if whole:
        y, weight = plan.data[1], weights(plan.data)
        counts = np.ones(len(y), bool) if weight is None else weight > 0
        classes = len(np.unique(y[counts]))
        for f, fold in enumerate(plan.folds):
            there = len(np.unique(y[fold.valid][counts[fold.valid]]))
            if there < max(classes, 2):
                raise ValueError(
                    f"{whole[0]} needs a row of every class in what each fold holds out; fold {f} "
                    f"has {there} of {classes} classes"
                )
    return found


def scored(study: Study, metrics: Sequence[Metric], data: Batch, *, keeps: bool) -> Study:
    """The study with the scores [S, F, K] of metrics, and its predictions if it ``keeps`` them.

    NaN where a member's predictions are not finite.
    """
    if not metrics:
        return study if keeps else dataclasses.replace(study, predictions=None, held_out=None)
    y, weight, held_out = data[1], weights(data), np.asarray(study.held_out)
    scores = {metric.name: np.full(study.diverged.shape, np.nan) for metric in metrics}
    for f, fold in enumerate(study.folds):
        rows = fold.valid
        of_rows = None if weight is None else weight[rows]
        for s, k in np.ndindex(len(study.hparams), len(study.seeds)):
            predicted = held_out[s, f, k, : len(rows)]
            if np.isfinite(predicted).all():
                for metric in metrics:
                    scores[metric.name][s, f, k] = metric.score(y[rows], predicted, of_rows)
    return dataclasses.replace(
        study,
        scores={**study.scores, **scores},
        directions={metric.name: metric.maximize for metric in metrics},
        predictions=study.predictions if keeps else None,
        held_out=study.held_out if keeps else None,
    )
