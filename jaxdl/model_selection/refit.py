"""The chosen setting, or an ensemble of the best, trained on all of the training data."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from jaxdl.arrays import num_rows
from jaxdl.base import Key, features
from jaxdl.checks import positive_int, typed_key
from jaxdl.model_selection import grid as grids
from jaxdl.model_selection.fitted import Fitted
from jaxdl.model_selection.population.job import StudyJob
from jaxdl.model_selection.population.members import Group, refit_key
from jaxdl.model_selection.population.run import Population
from jaxdl.model_selection.population.transforms import fitted_to_all
from jaxdl.model_selection.study import Study
from jaxdl.model_selection.validation import check_data, make_lengths, unfit_folds
from jaxdl.training import divergence
from jaxdl.training.batching import pad_rows
from jaxdl.training.host import inputs
from jaxdl.training.host.driver import Host, drive


def refit(
    study: Study,
    data: Any,
    *,
    key: Key | None = None,
    index: int | Sequence[int] | None = None,
    settings: int = 1,
    seeds: int = 1,
    rule: str = "mean",
    metric: str | None = None,
    maximize: bool | None = None,
    strategy: str = "auto",
    progress: bool = False,
) -> Fitted:
    """Train what a study chose on all N rows of the data, by the same recipe. Notes: §3.1.1.

    After a study with early stopping it trains for the mean number of best epochs of what was
    chosen: no rows are held out to stop by.

    Args:
      study: from ``cross_validate``.
      data: all training data; the transform is fitted anew, to all of it.
      key: a typed key, consumed; default, one derived from the study's.
      index: the setting to train, a row of ``study.hparams``, or several; default
        ``study.best(rule=rule)``.
      settings: an ensemble of this many of the best settings instead of one.
      seeds: members for each setting, from different keys.
      rule, metric, maximize: how to choose, see ``Study.best``.
      strategy: see ``population.choose_plan``.
      progress: show a bar.

    Raises:
      ValueError: where there are fewer usable settings than asked for, and as ``cross_validate``.
    """
    positive_int("seeds", seeds)
    positive_int("settings", settings)
    if index is not None:
        several = [index] if np.ndim(index) == 0 else list(index)
        if not several or not all(-len(study.hparams) <= i < len(study.hparams) for i in several):
            raise ValueError(f"index is of {len(study.hparams)} settings, not {index}")
        chosen = [range(len(study.hparams))[i] for i in several]
    elif settings > 1:
        whole = ~study.diverged.any((1, 2)) & (study.dropped < 0)
        usable = [int(s) for s in study.ranking(metric, maximize=maximize) if whole[s]]
        if settings > len(usable):
            raise ValueError(
                f"{settings} settings asked for, {len(usable)} did not diverge and were not dropped"
            )
        chosen = usable[:settings]
    else:
        chosen = [study.best(metric, rule, maximize=maximize).index]
    old = study.recipe
    data = check_data(data, old.transform)
    n = num_rows(data)
    train = pad_rows([np.arange(n)])
    epochs = old.lengths.epochs
    if study.best_epochs is not None:
        epochs = max(1, round(float(np.mean(study.best_epochs[chosen]))))
    lengths = make_lengths(train, epochs, old.batch_size, old.lengths.remainder)
    key = refit_key(old.key) if key is None else typed_key(key)
    recipe = old._replace(lengths=lengths, key=key, early_stopping=None)
    groups = Group(np.zeros(seeds, np.int32), np.arange(seeds, dtype=np.int32))
    hparams = [study.hparams[s] for s in chosen]
    signatures = grids.signatures(hparams)
    populations = [
        Population(recipe, signature, data, train, None, groups, strategy=strategy)
        for signature in signatures
    ]
    inputs.check_responses(data, populations[0].responses)
    job = StudyJob(populations, study.metric, study.maximize, fingerprint={})
    drive(job, Host(progress=progress))
    results = [population.result(states=True) for population in populations]
    members = [
        (hparams[s], jax.tree.map(lambda leaf, i=i, j=j: leaf[i, j], result.states),
         int(result.run.diverged[i, j]), result.run.loss[i, j])
        for signature, result in zip(signatures, results, strict=True)
        for i, s in enumerate(signature.members)
        for j in range(seeds)
    ]  # fmt: skip
    every, states, diverged, losses = zip(*members, strict=True)
    one_fold = jax.tree.map(lambda leaf: leaf[0], populations[0].shared.transforms)
    fitted = fitted_to_all(recipe.transform, one_fold)
    unfit = max(diverged) >= 0 and unfit_folds(recipe.transform, data, train)[0]
    causes = tuple(
        divergence.explain(epoch + 1, loss, unfit) if epoch >= 0 else ""
        for epoch, loss in zip(diverged, losses, strict=True)
    )
    return Fitted(
        list(every), np.array(diverged) >= 0, fitted, list(states), np.array(losses), recipe,
        inputs.shape_of_a_row(features(data)), causes,
    )  # fmt: skip
