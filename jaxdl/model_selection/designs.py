"""Nested cross-validation and learning curves over the amount of data: calls of one engine.

Both are a study with more folds; the folds of all parts train in the same program.
"""

import collections
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxdl.base import Key
from jaxdl.model_selection import grid as grids
from jaxdl.model_selection import tables
from jaxdl.model_selection.folds import Folds, as_folds, make_folds, of_rows
from jaxdl.model_selection.keywords import check_keep
from jaxdl.model_selection.planning import check_data
from jaxdl.model_selection.population.keys import folds_key
from jaxdl.model_selection.population.settings import responses_of
from jaxdl.model_selection.splits import Fold
from jaxdl.model_selection.study import Choice, Study, mean_and_error
from jaxdl.model_selection.validation import cross_validate
from jaxdl.model_selection.words import in_words
from jaxdl.training.host import inputs

MOST_SHOWN = 5


class Nested(NamedTuple):
    """Nested cross-validation: O outer folds, K seeds.

    scores: [O, K] of the choices on the outer test parts: what choosing by CV is worth.
    choices: [O], what the inner folds chose in each outer training part.
    mean, standard_error: of the scores over outer folds.
    non_nested: the best mean score over the outer folds, which has looked at them; its excess
        over ``mean`` is the optimism that nesting takes away.
    study: all of it; its first O folds are the outer ones.
    """

    scores: np.ndarray
    choices: list[Choice]
    mean: float
    standard_error: float
    non_nested: float
    study: Study

    def __repr__(self) -> str:
        chosen = collections.Counter(in_words(choice.hparams) for choice in self.choices)
        lines = [
            f"{self.study.metric} {self.mean:.4f} ± {self.standard_error:.4f} over "
            f"{len(self.choices)} outer folds (chosen on them: {self.non_nested:.4f})",
            *(f"chosen on {count}: {h}" for h, count in chosen.most_common(MOST_SHOWN)),
            tables.caption(self.study),
        ]
        return "\n".join(lines)


class LearningCurve(NamedTuple):
    """Scores by the size of the training part: M sizes, F folds, K seeds.

    sizes: [M] rows. scores, train_scores: {metric: [M, F, K]}. study: all of it.
    """

    sizes: np.ndarray
    scores: dict[str, np.ndarray]
    train_scores: dict[str, np.ndarray]
    study: Study

    def __repr__(self) -> str:
        metric = self.study.metric
        unknown = np.full_like(self.scores[metric], np.nan)  # of training parts, not of whole ones
        both = (
            mean_and_error(values)
            for values in (self.scores[metric], self.train_scores.get(metric, unknown))
        )
        lines = [f"{metric} by training rows, held out and in training"]
        for n, *numbers in zip(self.sizes, *(part for pair in both for part in pair), strict=True):
            lines.append("{:8d}  {:.4f} ± {:.4f}  {:.4f} ± {:.4f}".format(n, *numbers))
        return "\n".join([*lines, tables.caption(self.study)])


def nested_cross_validate(
    make_learner: Callable,
    grid: Mapping[str, Sequence] | Iterable[Mapping[str, Any]],
    data: Any,
    *,
    key: Key,
    outer: int | Folds | Any = 5,
    inner: int = 4,
    rule: str = "mean",
    **options: Any,
) -> Nested:
    """Choose by inner folds, score on outer ones: an honest score [O, K] of the whole procedure.

    Args:
      make_learner, grid, data, key: as for ``cross_validate``.
      outer: folds to score on, as ``folds`` of ``cross_validate``.
      inner: number of folds of each outer training part to choose on; they are stratified, and
        keep groups together, as the outer ones do.
      rule: see ``Study.best``.
      **options: as for ``cross_validate``, except ``folds``, and ``early_stopping`` and
        ``halving``: by those the outer test parts would decide what is trained.

    Raises a ValueError for those two.

    The outer x (inner + 1) folds of all settings are one program for each static signature: the
    settings that are not chosen train on the outer parts too, which costs 1 / inner more.
    Source: Cawley and Talbot (2010).
    """
    for name in ("early_stopping", "halving"):
        if options.get(name) is not None:
            raise ValueError(
                f"nested cross-validation takes no {name}: it would look at the outer test parts, "
                "and the scores would no longer be honest"
            )
    settings = grids.expand(grid)
    data, make = _prepared(make_learner, settings, data, options)
    outer_folds = make(outer, data, folds_key(key))
    folds = list(outer_folds)
    for o, fold in enumerate(outer_folds):
        rows = jax.tree.map(lambda leaf, rows=fold.train: leaf[rows], data)
        within = of_rows(as_folds(outer), fold.train, inner)
        part = make(within, rows, jax.random.fold_in(folds_key(key), o))
        folds += [Fold(fold.train[p.train], fold.train[p.valid]) for p in part]
    study = cross_validate(make_learner, settings, data, key=key, folds=folds, **options)
    count = len(outer_folds)
    choices, scores = [], []
    for o in range(count):
        chosen = study.only(range(count + o * inner, count + (o + 1) * inner)).best(rule=rule)
        choices.append(chosen)
        scores.append(study.scores[study.metric][chosen.index, o])
    scores = np.array(scores)
    mean, error = mean_and_error(scores)
    non_nested = study.only(range(count)).best().mean
    return Nested(scores, choices, float(mean), float(error), non_nested, study)


def learning_curve(
    make_learner: Callable,
    setting: Mapping[str, Any],
    data: Any,
    *,
    key: Key,
    sizes: Sequence[int | float] = (0.1, 0.25, 0.5, 0.75, 1.0),
    folds: int | Folds | Any = 5,
    keep: str | Collection[str] = (),
    **options: Any,
) -> LearningCurve:
    """Score one setting after training on growing parts of each fold's training rows.

    Args:
      make_learner, data, key, folds: as for ``cross_validate``.
      setting: one setting.
      sizes: [M] rows, or fractions of the training part; the rows of a smaller part are among
        those of a larger one.
      keep: as for ``cross_validate``; training scores are kept in any case.
      **options: as for ``cross_validate``.

    Raises:
      ValueError: for sizes that are not in (0, 1] or not in the smallest training part.
    """
    data, make = _prepared(make_learner, [dict(setting)], data, options)
    order_key, key = jax.random.split(key)
    parts = make(folds, data, folds_key(key))
    smallest = min(len(p.train) for p in parts)
    rows = [max(1, round(s * smallest)) if isinstance(s, float) else int(s) for s in sizes]
    if not rows or min(rows) < 1 or max(rows) > smallest or min(sizes) <= 0:
        raise ValueError(f"sizes must lie in (0, 1] or in 1 to {smallest}, not {list(sizes)}")
    orders = [
        np.asarray(jax.random.permutation(jax.random.fold_in(order_key, f), len(part.train)))
        for f, part in enumerate(parts)
    ]
    grown = [
        Fold(part.train[order[:size]], part.valid)
        for size in rows
        for part, order in zip(parts, orders, strict=True)
    ]
    study = cross_validate(
        make_learner, [setting], data, key=key, folds=grown,
        keep={"train_scores", *check_keep(keep)}, **options,
    )  # fmt: skip
    by_size = lambda scores: {k: v[0].reshape(len(rows), len(parts), -1) for k, v in scores.items()}
    return LearningCurve(np.array(rows), by_size(study.scores), by_size(study.train_scores), study)


def _prepared(make_learner, settings, data: Any, options: dict[str, Any]):
    """The data as arrays, and ``(folds, data, key) -> [Fold]`` as ``cross_validate`` makes them."""
    if "folds" in options:
        raise TypeError("nested_cross_validate takes outer and inner instead of folds")
    inputs.check_transform(options.get("transform"))
    task, data = getattr(data, "task", None), check_data(data, options.get("transform"))
    responses = responses_of(make_learner, grids.signatures(settings)[0])
    return data, lambda folds, data, key: make_folds(folds, data, task, responses, key)
