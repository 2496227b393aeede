"""A study before anything runs: its settings, folds, seeds and lengths, checked."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxdl.arrays import num_rows
from jaxdl.base import Batch, Key, Transform, identity_transform, weights
from jaxdl.checks import is_whole, nearest, positive_int, typed_key
from jaxdl.model_selection import grid as grids
from jaxdl.model_selection.folds import as_folds, as_labels, make_folds
from jaxdl.model_selection.grid import Signature
from jaxdl.model_selection.population.halving import Halving, Rung, rungs
from jaxdl.model_selection.population.keys import LAST_SEED, folds_key
from jaxdl.model_selection.population.plan import Execution
from jaxdl.model_selection.population.program import Group, of_signature
from jaxdl.model_selection.population.run import Population
from jaxdl.model_selection.population.settings import looked_at
from jaxdl.model_selection.splits import Fold
from jaxdl.model_selection.study import Recipe
from jaxdl.training.batching import Lengths, Rows, lengths_of, pad_rows
from jaxdl.training.host import inputs
from jaxdl.training.stopping import EarlyStopping


class StudyPlan(NamedTuple):
    """What a study trains.

    settings: [S]. signatures: which of them share a program. data: a pytree of arrays [N, ...].
    folds: [F]; train, valid: their Rows [F, n]; valid is None where nothing is held out.
    seeds: [K]. recipe: how each member is trained. levels: the Rungs of successive halving.
    """

    settings: list[dict[str, Any]]
    signatures: list[Signature]
    data: Batch
    folds: list[Fold]
    train: Rows
    valid: Rows | None
    seeds: list[int]
    recipe: Recipe
    levels: Sequence[Rung] = ()

    @property
    def num_members(self) -> int:
        """S * F * K."""
        return len(self.settings) * len(self.folds) * len(self.seeds)

    @property
    def milestones(self) -> list[int]:
        """The epochs at which a run that is to be resumed exactly moves its members."""
        epochs = self.recipe.lengths.epochs
        eighths = range(1, epochs, max(1, epochs // 8))
        return sorted({*eighths, *(rung.epochs for rung in self.levels)})


def plan_study(
    make_learner: Callable,
    grid: Any,
    data: Any,
    *,
    key: Key,
    folds: Any,
    seeds: int | Sequence[int],
    epochs: int,
    batch_size: int | None,
    remainder: str,
    evaluate_every: int | None,
    evaluate_train: bool,
    transform: Transform | None,
    early_stopping: EarlyStopping | Callable | None,
    halving: Halving | None,
) -> StudyPlan:
    """The StudyPlan of the arguments of ``cross_validate``. Raises a ValueError for bad ones."""
    typed_key(key)
    inputs.check_transform(transform)
    settings = grids.expand(grid)
    signatures = grids.signatures(settings)
    task, data = getattr(data, "task", None), check_data(data, transform)
    learner = looked_at(make_learner, signatures[0])
    inputs.check_weights(data, learner.weighs)
    data = inputs.within_range(data)
    made = make_folds(folds, data, task, learner.responses, folds_key(key))
    train, valid = training_rows(data, made), pad_rows([fold.valid for fold in made])
    lengths = make_lengths(train, epochs, batch_size, remainder, evaluate_every, evaluate_train)
    levels = [] if halving is None else rungs(halving, len(settings), epochs)
    if levels:
        first = levels[0].epochs
        if evaluate_every is not None and first % lengths.evaluate_every:
            raise ValueError(f"evaluate_every={evaluate_every} must divide the first rung, {first}")
        every = lengths.evaluate_every if evaluate_every is not None else first
        lengths = lengths._replace(evaluate_every=every)
    transform = transform or identity_transform()
    told = as_folds(folds)
    recipe = Recipe(
        make_learner, transform, lengths, batch_size, key, early_stopping,
        as_labels(told.groups), told.same_draws,
    )  # fmt: skip
    return StudyPlan(
        settings, signatures, data, made, train, valid, check_seeds(seeds), recipe, levels
    )


def populate(
    plan: StudyPlan,
    execution: Execution,
    *,
    predictions: bool = False,
    milestones: Sequence[int] | None = None,
    capacity: Callable[[int], int] = lambda count: count,
) -> list[Population]:
    """The members of a plan, a Population for each signature; nothing runs yet.

    ``capacity`` says for how many settings there is to be room where there are so many.

    Raises a ValueError where a learner cannot be built, or the data hold none of its responses.
    """
    groups = Group(
        fold=np.repeat(np.arange(len(plan.folds), dtype=np.int32), len(plan.seeds)),
        seed=np.tile(np.asarray(plan.seeds, np.int32), len(plan.folds)),
    )
    programs = (
        of_signature(plan.recipe, signature, plan.data, plan.train, plan.valid, predictions)
        for signature in plan.signatures
    )
    populations = [
        Population(
            program, shared, groups, execution, milestones,
            capacity(len(program.signature.members)),
        )
        for program, shared in programs
    ]  # fmt: skip
    for signature in plan.signatures:
        learner = looked_at(plan.recipe.make_learner, signature)
        inputs.check_responses(plan.data, learner.responses)
        inputs.check_weights(plan.data, learner.weighs)
    return populations


def training_rows(data: Batch, folds: Sequence[Fold]) -> Rows:
    """The Rows [F, n] to train on; those of weight 0 take no place in a batch.

    Raises a ValueError where a part is left without rows, or nothing that is held out counts.
    """
    if (weight := weights(data)) is None:
        return pad_rows([fold.train for fold in folds])
    for f, fold in enumerate(folds):
        parts = {"trains on": fold.train, "holds out": fold.valid}
        for name, rows in parts.items():
            if len(rows) and not (weight[rows] > 0).any():
                raise ValueError(f"fold {f} {name} no row of a weight above 0")
    return pad_rows([fold.train[weight[fold.train] > 0] for fold in folds])


def check_data(data: Any, transform: Transform | None) -> Any:
    """The data as a pytree of NumPy arrays with leading axis [N].

    Raises a ValueError where lengths differ, nothing is there, or (without a transform that could
    mend it) a value is not finite.
    """
    data = jax.tree.map(
        np.asarray,
        inputs.as_arrays(
            data,
            mended=transform is not None,
            advice="drop those rows, or pass a transform such as impute_mean()",
        ),
    )
    rows = num_rows(data)
    if rows < 2:
        raise ValueError(f"the data have {rows} rows; at least 2 are needed")
    return data


def check_seeds(seeds: Any) -> list[int]:
    """The seeds, of a number or of themselves. Raises a ValueError for what is neither."""
    listed = (
        list(range(seeds)) if is_whole(seeds) else list(seeds if np.iterable(seeds) else [seeds])
    )
    fit = all(is_whole(seed) and 0 <= seed <= LAST_SEED for seed in listed)
    if not listed or not fit or len(set(listed)) != len(listed):
        raise ValueError(
            f"seeds must be a positive number or different whole numbers from 0 to {LAST_SEED}, "
            f"not {listed}"
        )
    return [int(seed) for seed in listed]


def check_reading(settings: list[dict[str, Any]], populations: Sequence[Population]) -> None:
    """Raise a ValueError for names of the settings that nothing has read, in no population."""
    read = set().union(*(population.program.seen for population in populations))
    unread = [name for name in dict.fromkeys(k for h in settings for k in h) if name not in read]
    if unread:
        near = nearest(unread[0], read - set(settings[0]))
        meant = f"; did you mean {near!r}?" if near else ""
        raise ValueError(
            f"make_learner never reads {', '.join(map(repr, unread))} of the grid; it reads "
            f"{', '.join(map(repr, sorted(read))) or 'nothing'}{meant}"
        )


def make_lengths(
    train: Rows,
    epochs: int,
    batch_size: int | None,
    remainder: str = "keep",
    evaluate_every: int | None = None,
    evaluate_train: bool = False,
) -> Lengths:
    """The Lengths of runs over Rows [F, n]. Raises a ValueError for numbers that do not fit."""
    every = evaluate_every
    if every is None:
        every = max(1, round(positive_int("epochs", epochs) / 10))
    lengths = lengths_of(np.sum(train.mask, axis=1), epochs, batch_size, every, remainder)
    every = min(lengths.evaluate_every, lengths.epochs)
    return lengths._replace(evaluate_every=every, evaluate_train=evaluate_train)
