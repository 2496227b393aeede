"""Splits that keep groups of examples together, and the classes in proportion. Notes: §3.1.1.

Rows of one patient, one machine, one text are alike: a model that saw some of them does well on the
others, which says nothing of the next patient.
"""

import numpy as np
from numpy.typing import ArrayLike

from jaxdl.base import Key
from jaxdl.model_selection.splits import (
    Fold,
    Split,
    check_folds,
    codes_of,
    folds_from,
    generator,
)


def group_split(
    groups: np.ndarray,
    fractions: ArrayLike = (0.6, 0.2, 0.2),
    *,
    key: Key,
    stratify: np.ndarray | None = None,
) -> Split:
    """Split at random into three parts, each group of examples in one of them. Notes: §3.1.1.

    Groups come in random order, each to the part that then lacks most rows, and most of the group's
    classes, of its share; so parts are as large as asked for to within a group. Groups of one
    example come last and fill up what is missing.

    Args:
      groups: labels [N] of any kind.
      fractions: of train, validation and test in rows; a part may be 0, the sum must be 1.
      key: typed.
      stratify: labels [N] of classes; default, sizes alone are looked at.

    Raises:
      ValueError: if the fractions do not sum to one, or there are fewer groups than parts.
    """
    groups = np.asarray(groups)
    group_of = codes_of(groups, len(groups) if groups.ndim else 0, "groups")
    classes = _classes(stratify, len(group_of))
    fractions = np.asarray(fractions, float)
    if fractions.shape != (3,) or not np.all(fractions >= 0) or abs(fractions.sum() - 1) > 1e-6:
        raise ValueError(f"fractions must be three that sum to 1, not {fractions.tolist()}")
    parts, count = np.flatnonzero(fractions > 0), group_of.max() + 1
    if count < len(parts):
        raise ValueError(f"too few groups, {count}, for the fractions {fractions.tolist()}")
    dealt = _deal(classes, group_of, fractions[parts], generator(key), largest_first=False)
    part_of = parts[dealt]
    return Split(*(np.flatnonzero(part_of == p) for p in range(3)))


def stratified_group_k_fold(
    y: np.ndarray | None, groups: np.ndarray, k: int, *, key: Key | None = None
) -> list[Fold]:
    """K folds that keep groups together and hold equally many of each class, as near as that goes.

    The largest group left goes to the fold that lacks most of the like. Unlike scikit-learn's
    ``StratifiedGroupKFold`` the sizes of folds count as a class does, and no fold is empty. Notes:
    §3.1.1.

    Args:
      y: labels [N] of classes, or None, for equal sizes alone.
      groups: labels [N] of any kind.
      k: at most the number of groups.
      key: which of equal groups and rows go where; default, in order.

    Raises:
      ValueError: where there are fewer than k groups.

    >>> folds = stratified_group_k_fold([0, 0, 1, 1, 0, 1], list("aabbcd"), 2)
    >>> [fold.valid.tolist() for fold in folds]
    [[0, 1, 5], [2, 3, 4]]
    """
    groups = np.asarray(groups)
    group_of = codes_of(groups, len(groups) if groups.ndim else 0, "groups")
    k = check_folds(k, group_of.max() + 1, "groups")
    classes = _classes(y, len(group_of))
    rng = None if key is None else generator(key)
    return folds_from(_deal(classes, group_of, np.full(k, 1 / k), rng, largest_first=True), k)


def _classes(labels: np.ndarray | None, n: int) -> np.ndarray:
    return np.zeros(n, int) if labels is None else codes_of(np.asarray(labels), n)


def _deal(
    classes: np.ndarray,
    group_of: np.ndarray,
    shares: np.ndarray,
    rng: np.random.Generator | None,
    largest_first: bool,
) -> np.ndarray:
    """The part [N] of each row, so that part p has ``shares[p]`` of the rows and of each class.

    A group goes to the part that lacks most of the like: the least ``sum count (held - wanted) /
    wanted`` over the group's classes and its rows together. Its size has no say in that, so large
    groups are tested as often as small ones; but what is larger than a whole part goes to the
    largest one.
    """
    shuffled = (lambda a: a) if rng is None else rng.permutation
    n, sizes = len(classes), np.bincount(group_of)
    wanted = np.outer(shares, np.append(np.bincount(classes), n))  # [P, C + 1], the last for all
    held = np.zeros_like(wanted)
    of_group = np.split(np.argsort(group_of, kind="stable"), np.cumsum(sizes)[:-1])
    several = shuffled(np.flatnonzero(sizes > 1))
    if largest_first:
        several = several[np.argsort(-sizes[several], kind="stable")]
    part_of = np.empty(n, int)
    for group in several:
        rows = of_group[group]
        present, count = np.unique(classes[rows], return_counts=True)
        at, count = np.append(present, -1), np.append(count, len(rows))
        lacks = np.sum(count * (wanted[:, at] - held[:, at]) / wanted[:, at], axis=1)
        fits = (len(rows) <= wanted[:, -1]) | (shares == shares.max())
        part = np.argmax(np.where(fits, lacks, -np.inf))
        part_of[rows] = part
        held[part, at] += count
    single = sizes[group_of] == 1
    for label in np.unique(classes[single]):
        rows = shuffled(np.flatnonzero(single & (classes == label)))
        number = _filling(len(rows), wanted[:, label] - held[:, label], held[:, -1] / wanted[:, -1])
        part_of[rows] = np.repeat(np.arange(len(shares)), number)
        held[:, -1] += number
    return _none_empty(part_of, group_of, len(shares))


def _filling(rows: int, lacking: np.ndarray, load: np.ndarray) -> np.ndarray:
    """Rows for each part [P], in proportion to what it lacks; what is left over, to the least load."""
    lacking = np.maximum(lacking, 0)
    ideal = rows * lacking / lacking.sum()  # what all parts lack is no less than there is
    number = np.floor(ideal + 1e-9).astype(int)
    order = np.lexsort((load, -np.round(ideal - number, 9)))
    number[order[: rows - number.sum()]] += 1
    return number


def _none_empty(part_of: np.ndarray, group_of: np.ndarray, parts: int) -> np.ndarray:
    """A part without rows takes the smallest group of the part that has the most groups."""
    sizes = np.bincount(group_of)
    _, first = np.unique(group_of, return_index=True)
    of_group = part_of[first]
    for empty in np.setdiff1d(np.arange(parts), of_group):
        giving = np.flatnonzero(of_group == np.argmax(np.bincount(of_group, minlength=parts)))
        of_group[giving[np.argmin(sizes[giving])]] = empty
    return of_group[group_of]
