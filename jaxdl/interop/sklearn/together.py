"""Many training runs as few studies: noted, trained as populations, looked up."""

import dataclasses
import warnings
from typing import Any

import jax
import numpy as np

from jaxdl import model_selection, programs
from jaxdl.base import TrainState
from jaxdl.checks import filled_in
from jaxdl.interop.sklearn import networks
from jaxdl.interop.sklearn.problems import Outcome, Problem, key_of, solve_alone, to_numpy
from jaxdl.model_selection import Study


class PostponedError(Exception):
    """A problem was noted, and is not solved yet."""


class Together:
    """A ``problems.Solver``: notes all problems until ``train``, then has their outcomes.

    Data that are equal are kept once.
    """

    def __init__(self, seed: int):
        self.seed = seed
        self.parts: list[tuple[Any, Any]] = []  # (data, valid)
        self.places: dict[tuple, list[int]] = {}  # of parts that look alike
        self.noted: dict[tuple, None] = {}  # in order
        self.outcomes: dict[tuple, Outcome] | None = None

    def __call__(self, problem: Problem) -> Outcome:
        name = (problem.design, problem.seed, problem.settings, self._place(problem))
        if self.outcomes is None:
            self.noted[name] = None
            raise PostponedError
        if name in self.outcomes:
            return self.outcomes[name]
        return solve_alone(problem)

    def train(self) -> list[Study]:
        """Train all that was noted: settings that are alike and have the same parts in a study."""
        self.outcomes, studies = {}, []
        parts_of: dict[tuple, list[int]] = {}
        for design, seed, settings, place in self.noted:
            parts_of.setdefault((design, seed, settings), []).append(place)
        populations: dict[tuple, list[tuple]] = {}
        for (design, seed, settings), places in parts_of.items():
            names = tuple(name for name, _ in settings)
            populations.setdefault((design, seed, names, tuple(sorted(places))), []).append(
                settings
            )
        for (design, seed, _, places), members in populations.items():
            try:
                study = train_study(design, seed, members, [self.parts[p] for p in places])
            except ValueError as error:  # alone, scikit-learn handles it by error_score
                warnings.warn(f"{len(members)} settings train one by one: {error}", stacklevel=2)
                continue
            studies.append(dataclasses.replace(study, states=None))
            first = programs.compiled(networks.first_state)
            first = to_numpy(first(design, dict(members[0]), key_of(seed)))
            for s, settings in enumerate(members):
                for f, place in enumerate(places):
                    self.outcomes[design, seed, settings, place] = outcome(study, first, s, f)
        return studies

    def _place(self, problem: Problem) -> int:
        """The number of the problem's data among all that were met."""
        part = (problem.data, problem.valid)
        leaves, tree = jax.tree.flatten(part)
        looks = (tree, *((leaf.shape, leaf.dtype, leaf[:1].tobytes()) for leaf in leaves))
        places = self.places.setdefault(looks, [])
        for place in places:
            if all(map(np.array_equal, leaves, jax.tree.leaves(self.parts[place]))):
                return place
        self.parts.append(part)
        places.append(len(self.parts) - 1)
        return places[-1]


def train_study(design: networks.Design, seed: int, members: list[tuple], parts: list) -> Study:
    """The study of settings (pairs of names and floats) over parts, its folds.

    Every part has rows of its own: they may be scaled and weighted by themselves.
    """
    data, folds = stacked(parts)
    return model_selection.cross_validate(
        lambda h: networks.make_learner(design, h),
        [dict(settings) for settings in members],
        data,
        key=jax.random.key(seed),
        folds=model_selection.Folds(folds, same_draws=True),
        epochs=design.epochs,
        batch_size=design.batch_size,
        evaluate_every=1 if design.early_stopping else design.epochs,
        early_stopping=networks.early_stopping if design.early_stopping else None,
        keep="states",
    )


def stacked(parts: list[tuple[Any, Any]]) -> tuple[Any, list[tuple[np.ndarray, np.ndarray]]]:
    """The rows of all parts (data, valid) one behind the other, and for each where they are.

    A study evaluates something: where there is nothing, a copy of the first row.
    """
    batches, folds, start = [], [], 0
    for data, valid in parts:
        valid = jax.tree.map(lambda leaf: leaf[:1], data) if valid is None else valid
        middle = start + len(data[0])
        end = middle + len(valid[0])
        folds.append((np.arange(start, middle), np.arange(middle, end)))
        batches += [data, valid]
        start = end
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *batches), folds


def outcome(study: Study, first: TrainState, setting: int, fold: int) -> Outcome:
    """What a member of a study gave, as if it had been trained alone; ``first``: its first state."""
    member = (setting, fold, 0)
    epochs, early = int(study.epochs[member]), study.best_epochs is not None
    best = 0 if study.best_epochs is None else int(study.best_epochs[member])
    rows, batch_size = len(study.folds[fold][0]), study.recipe.batch_size
    steps = (best or epochs) * -(-rows // (batch_size or rows))
    state = jax.tree.map(lambda leaf: np.asarray(leaf[member]), filled_in(study.states)[0])
    return Outcome(
        state._replace(step=np.int32(steps), key=first.key),
        study.train_loss[member],
        study.curves["nll"][member] if early else None,
        epochs,
        best,
        epochs if study.diverged[member] else -1,
    )
