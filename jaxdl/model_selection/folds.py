"""What a study is told of its folds, and the folds that come of it."""

from typing import Any, NamedTuple

import numpy as np

from jaxdl.arrays import num_rows
from jaxdl.base import Key, Responses
from jaxdl.checks import is_whole
from jaxdl.model_selection import splits
from jaxdl.model_selection.splits import Fold


class Folds(NamedTuple):
    """Folds that respect labels or groups; ``folds=5`` of a study is ``Folds(5)``.

    of: a number of folds, a scikit-learn splitter, or pairs ``(train, valid)`` of index arrays.
    stratify: whether a number of folds keeps the frequencies of y. None: where the learner's
        ``responses`` are labels, as of an objective with a family of labels, or the Dataset's task
        is to classify. Of whole numbers y [N] it must be said where neither is known.
    groups: labels [N] of rows that stay together in a number of folds, or for the splitter; and,
        whatever the folds are, in the parts by which a ``transform`` is cross-fitted.
    same_draws: whether all folds start from the same weights and draws, those of the first, as in
        scikit-learn, where a model's ``random_state`` knows of no fold. ``member_key`` has them apart.
    """

    of: int | Any = 5
    stratify: bool | None = None
    groups: Any = None
    same_draws: bool = False


def as_folds(folds: Any) -> Folds:
    """A number, a splitter or pairs as Folds."""
    return folds if isinstance(folds, Folds) else Folds(folds)


def as_labels(groups: Any) -> np.ndarray | None:
    """The groups as whole numbers [N] from 0; None where each row is on its own.

    >>> as_labels(["b", "a", "b"]).tolist()
    [1, 0, 1]
    """
    return None if groups is None else np.unique(groups, return_inverse=True)[1]


def of_rows(folds: Folds, rows: np.ndarray, number: int) -> Folds:
    """So many folds that respect the same, but of some rows of the data alone."""
    groups = None if folds.groups is None else np.asarray(folds.groups)[rows]
    return folds._replace(of=number, groups=groups)


def make_folds(
    folds: Folds | int | Any, data: Any, task: str | None, responses: Responses | None, key: Key
) -> list[Fold]:
    """The folds of data [N, ...], shuffled by the key and stratified by labels for a number of them.

    What y is, the ``responses`` of the learner tell, or the ``task`` of a Dataset. Raises a
    ValueError where neither does and y are whole numbers, which may be labels, prices or counts.

    >>> import jax
    >>> y = np.array([0, 1, 0, 1])
    >>> made = make_folds(Folds(2, stratify=True), (np.ones((4, 1)), y), None, None,
    ...                   jax.random.key(0))
    >>> [sorted(y[fold.valid].tolist()) for fold in made]
    [[0, 1], [0, 1]]
    """
    number, stratify, groups, _ = as_folds(folds)
    y = data[1] if type(data) is tuple and len(data) > 1 else None
    y = y if isinstance(y, np.ndarray) and y.ndim == 1 else None
    whole = y is not None and y.dtype.kind in "iub"
    if stratify and not whole:
        raise ValueError("stratify=True needs data (x, y) with whole numbers y [N] as classes")
    if is_whole(number) and groups is None:
        if stratify is None and whole and responses is None and task is None:
            raise ValueError(
                "y holds whole numbers, and the learner does not say (Learner.responses) whether "
                f"they are labels: pass folds=Folds({number}, stratify=True), or stratify=False "
                "for prices and counts"
            )
        labels = task == "classify" if responses is None else responses.kind == "labels"
        y = y if whole and (labels if stratify is None else stratify) else None
    return splits.as_folds(number, num_rows(data), y, groups=groups, key=key)
