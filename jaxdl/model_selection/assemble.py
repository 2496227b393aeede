"""The results of a study's programs, put together as a Study."""

from collections.abc import Sequence

import jax
import numpy as np

from jaxdl.arrays import num_rows
from jaxdl.metrics import directions
from jaxdl.model_selection.planning import StudyPlan
from jaxdl.model_selection.population.result import Result
from jaxdl.model_selection.population.transforms import unfit_folds
from jaxdl.model_selection.study import Study, final_scores


def assemble(plan: StudyPlan, results: Sequence[Result], metric: str, maximize: bool) -> Study:
    """The Study of the results of all signatures, in the order of the settings."""
    signatures, recipe = plan.signatures, plan.recipe
    shape = (len(plan.folds), len(plan.seeds))
    order = np.argsort(np.concatenate([s.members for s in signatures]))

    def join(pick):
        parts = [pick(r) for r in results]
        return np.concatenate([p.reshape(len(p), *shape, *p.shape[2:]) for p in parts])[order]

    names = [list(r.run.curves) for r in results]
    if any(n != names[0] for n in names):
        raise ValueError(f"settings report different metrics: {names}")
    curves = {m: join(lambda r, m=m: r.run.curves[m]) for m in names[0]}
    train_curves = {
        m: join(lambda r, m=m: r.run.train_curves[m]) for m in results[0].run.train_curves
    }
    params = np.concatenate([[r.num_params] * len(s.members)
                             for s, r in zip(signatures, results, strict=True)])  # fmt: skip
    every = recipe.lengths.evaluation_epochs
    best = None
    if recipe.early_stopping is not None:
        best = join(lambda r: r.run.best.epoch)
    kept = np.concatenate([np.full(len(s.members), r.keeps_best)
                           for s, r in zip(signatures, results, strict=True)])[order]  # fmt: skip
    at_end = lambda curve: final_scores(
        curve, every, np.where(kept[:, None, None], 0 if best is None else best, 0)
    )
    dropped = np.concatenate([r.dropped for r in results])[order]
    stopped, diverged = (join(lambda r, n=n: getattr(r.run, n)) for n in ("stopped", "diverged"))
    ran = np.where(diverged >= 0, diverged + 1, np.where(stopped >= 0, stopped, every[-1]))
    unfit = np.zeros(len(plan.folds), bool)
    if (diverged >= 0).any():
        unfit = unfit_folds(recipe.transform, plan.data, plan.train)
    held_out = None if type(results[0].predictions) is tuple else join(lambda r: r.predictions)
    return Study(
        hparams=plan.settings,
        scores={m: at_end(c) for m, c in curves.items()},
        train_scores={m: at_end(c) for m, c in train_curves.items()},
        curves=curves,
        train_curves=train_curves,
        curve_epochs=recipe.lengths.evaluation_epochs,
        train_loss=join(lambda r: r.run.loss),
        diverged=diverged >= 0,
        unfit=unfit,
        epochs=ran,
        best_epochs=best,
        dropped=dropped,
        folds=plan.folds,
        seeds=plan.seeds,
        predictions=None if held_out is None else _out_of_fold(held_out, plan),
        held_out=held_out,
        states=_states(results, shape),
        metric=metric,
        maximize=maximize,
        num_params=params[order],
        strategy="; ".join(dict.fromkeys(str(r.plan) for r in results)),
        num_programs=sum(r.num_programs for r in results),
        num_traces=sum(r.num_traces for r in results),
        compile_seconds=sum(r.compile_seconds for r in results),
        run_seconds=sum(r.run_seconds for r in results),
        recipe=recipe,
    )


def study_metric(metrics: Sequence[str], metric: str | None) -> str:
    """What a study goes by: accuracy, else squared error, else the first whose direction is known.

    Raises a ValueError for a metric that the study has not.
    """
    preferred = [m for m in ("accuracy", "squared_error") if m in metrics]
    metric = metric or [*preferred, *filter(directions.known, metrics), *metrics][0]
    if metric not in metrics:
        raise ValueError(f"metric {metric!r} is none of {', '.join(metrics)}")
    return metric


def _out_of_fold(held, plan):
    """Predictions [S, F, K, n, ...] by row of the data, [S, K, N, ...]: the last fold wins."""
    shape = (held.shape[0], held.shape[2], num_rows(plan.data), *held.shape[4:])
    rows = np.full(shape, np.nan, np.result_type(held.dtype, np.float32))
    for f, fold in enumerate(plan.folds):
        rows[:, :, fold.valid] = held[:, f, :, : len(fold.valid)]
    return rows


def _states(results, shape):
    if any(type(r.states) is tuple and r.states == () for r in results):
        return None
    split = lambda leaf: leaf.reshape(leaf.shape[0], *shape, *leaf.shape[2:])
    return [jax.tree.map(split, r.states) for r in results]
