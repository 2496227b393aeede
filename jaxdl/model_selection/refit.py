"""The chosen setting, or an ensemble of the best, trained on all of the training data."""

from collections.abc import Sequence
from typing import Any, cast

import jax
import numpy as np

from jaxdl.arrays import num_rows
from jaxdl.base import Key, features
from jaxdl.checks import filled_in, positive_int, typed_key
from jaxdl.data.frames import names_of
from jaxdl.model_selection import grid as grids
from jaxdl.model_selection.fitted import Fitted
from jaxdl.model_selection.folds import as_labels
from jaxdl.model_selection.keywords import refuse
from jaxdl.model_selection.planning import (
    StudyPlan,
    check_data,
    make_lengths,
    populate,
    training_rows,
)
from jaxdl.model_selection.population.keys import refit_key
from jaxdl.model_selection.population.plan import AUTO, Execution, check_execution
from jaxdl.model_selection.population.settings import responses_of
from jaxdl.model_selection.population.transforms import fitted_to_all
from jaxdl.model_selection.splits import Fold
from jaxdl.model_selection.study import Study
from jaxdl.model_selection.validation import run
from jaxdl.training import divergence
from jaxdl.training.host import inputs


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
    groups: Any = None,
    execution: Execution = AUTO,
    progress: bool = False,
    **gone: Any,
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
      groups: labels [N] of rows that stay together, see ``Folds``; default, the study's.
      execution: an ``Execution``, how the members are run.
      progress: show a bar.

    Raises:
      ValueError: where there are fewer usable settings than asked for, or other numbers of rows
        and of groups, and as ``cross_validate``.
    """
    if gone:
        refuse("refit", gone)
    check_execution(execution)
    positive_int("seeds", seeds)
    positive_int("settings", settings)
    if index is not None:
        several = cast(list[int], [index] if np.ndim(index) == 0 else [*cast(Sequence, index)])
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
    names = names_of(data)
    data = check_data(data, old.transform)
    inputs.check_weights(data, True)
    data = inputs.within_range(data)
    rows = np.arange(num_rows(data))
    train = training_rows(data, [Fold(rows, rows[:0])])
    epochs = old.lengths.epochs
    if study.best_epochs is not None:
        epochs = max(1, round(float(np.mean(study.best_epochs[chosen]))))
    together = old.groups if groups is None else as_labels(groups)
    if together is not None and len(together) != len(rows):
        raise ValueError(
            f"groups are of {len(together)} rows, the data have {len(rows)}: pass groups="
        )
    recipe = old._replace(
        lengths=make_lengths(train, epochs, old.batch_size, old.lengths.remainder),
        key=refit_key(old.key) if key is None else typed_key(key),
        early_stopping=None,
        groups=together,
    )
    hparams = [study.hparams[s] for s in chosen]
    signatures = grids.signatures(hparams)
    # A study of one fold that holds nothing out.
    plan = StudyPlan(
        hparams, signatures, data, [Fold(rows, rows[:0])], train, None, list(range(seeds)), recipe
    )
    populations = populate(plan, execution)
    trained = run(plan, populations, study.metric, study.maximize, states=True, progress=progress)
    members = [
        (s, seed, jax.tree.map(lambda leaf, i=i, seed=seed: leaf[i, 0, seed], states))
        for signature, states in zip(signatures, filled_in(trained.states), strict=True)
        for i, s in enumerate(signature.members)
        for seed in plan.seeds
    ]
    of_member = lambda values: np.array([values[s, 0, seed] for s, seed, _ in members])
    diverged, losses = of_member(trained.diverged), of_member(trained.train_loss)
    causes = tuple(
        divergence.explain(int(epoch), loss, trained.unfit[0]) if failed else ""
        for failed, epoch, loss in zip(diverged, of_member(trained.epochs), losses, strict=True)
    )
    one_fold = jax.tree.map(lambda leaf: leaf[0], populations[0].shared.transforms)
    return Fitted(
        [hparams[s] for s, _, _ in members], diverged, fitted_to_all(recipe.transform, one_fold),
        [state for _, _, state in members], losses, recipe, inputs.shape_of_a_row(features(data)),
        causes, responses_of(recipe.make_learner, signatures[0]), names,
    )  # fmt: skip
