"""Splits of the examples: for training, validation and test, and into folds. Notes: §3.1.1.

Splitting is preparation of data, so it happens on the host: indices are numpy arrays, seeded from
a typed jax key. Within each part they ascend. Without a key, ``k_fold``, ``stratified_k_fold``,
``group_k_fold`` and ``leave_one_out`` give scikit-learn's indices; with a key the parts are as
balanced but the draws are our own, not those of scikit-learn for any ``random_state``.
"""

import warnings
from collections.abc import Iterable
from typing import Any, NamedTuple, cast

import jax
import numpy as np
from numpy.typing import ArrayLike

from jaxdl.base import Key
from jaxdl.checks import is_whole, typed_key


class Split(NamedTuple):
    """Disjoint indices [n_train], [n_validation], [n_test] of all examples."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


class Fold(NamedTuple):
    """Disjoint indices [n_train], [n_valid]: what to fit to and what to evaluate on."""

    train: np.ndarray
    valid: np.ndarray


def train_validation_test(
    n: int | np.ndarray,
    fractions: ArrayLike = (0.6, 0.2, 0.2),
    *,
    key: Key,
    stratify: np.ndarray | bool | None = None,
) -> Split:
    """Split the examples at random into three parts, every one in one of them. Notes: §3.1.1.

    Args:
      n: the number of examples, or their responses y [N].
      fractions: of train, validation and test; a part may be 0, the sum must be 1 (the notes'
        60 + 30 + 20 % is not). Sizes are rounded by largest remainder.
      key: typed.
      stratify: labels [N] whose frequencies every part keeps, to within two of each. Default: y
        where it was given and holds integers, bools or texts; False for none.

    Raises:
      ValueError: if the fractions do not sum to one, or a part with a positive fraction is empty.
    """
    labels = None if np.ndim(n) == 0 else np.asarray(n)
    n = _check_count(cast(int, n) if labels is None else labels.shape[0])
    if stratify is None or stratify is True:
        labels = labels if labels is not None and (stratify or _discrete(labels)) else None
        if stratify and labels is None:
            raise ValueError("stratify=True needs the labels in place of n")
    elif stratify is False:
        labels = None
    else:
        labels = np.asarray(stratify)
    codes = np.zeros(n, int) if labels is None else codes_of(labels, n)

    fractions = np.asarray(fractions, float)
    if fractions.shape != (3,) or not np.all(fractions >= 0):
        raise ValueError(f"fractions must be three numbers from 0 on, not {fractions.tolist()}")
    if abs(fractions.sum() - 1) > 1e-6:
        raise ValueError(f"fractions must sum to 1; {fractions.tolist()} sums to {fractions.sum()}")
    rng = generator(key)
    sizes = _apportion(fractions, n, rng)
    if np.any((fractions > 0) & (sizes == 0)):
        raise ValueError(f"{n} examples are too few for the fractions {fractions.tolist()}")

    counts = np.bincount(codes)
    test = _apportion(counts, sizes[2], rng)
    validation = _apportion(counts - test, sizes[1], rng)
    part = np.zeros(n, int)
    for label in range(len(counts)):
        rows = rng.permutation(np.flatnonzero(codes == label))
        part[rows[: test[label]]] = 2
        part[rows[test[label] : test[label] + validation[label]]] = 1
    return Split(*(np.flatnonzero(part == p) for p in range(3)))


def k_fold(n: int, k: int, *, key: Key | None = None) -> list[Fold]:
    """K folds: each of n examples is validated once, in fold sizes that differ by one at most.

    The first n mod K folds hold one more. Without a key they are contiguous, as of scikit-learn's
    ``KFold``. Raises ValueError unless 2 <= k <= n. Notes: Figure 7, §3.1.1.

    >>> [fold.valid.tolist() for fold in k_fold(5, 2)]
    [[0, 1, 2], [3, 4]]
    """
    n, k = _check_count(n), check_folds(k, n)
    fold_of = np.sort(np.arange(n) % k)
    if key is not None:
        fold_of = generator(key).permutation(fold_of)
    return folds_from(fold_of, k)


def stratified_k_fold(y: np.ndarray, k: int, *, key: Key | None = None) -> list[Fold]:
    """K folds that each hold the same number of every class, to within one; y [N] of any labels.

    Without a key these are the folds of scikit-learn's ``StratifiedKFold``. Warns where a class
    has fewer than k members; raises ValueError where every class has. Notes: §3.1.1.
    """
    y = np.asarray(y)
    codes = codes_of(y, len(y) if y.ndim else 0)
    k = check_folds(k, len(codes))
    counts = np.bincount(codes)
    if counts.max() < k:
        raise ValueError(
            f"k={k} is more than the members of any class; the largest has {counts.max()}. Where "
            "these are no classes take k_fold, or Folds(k, stratify=False) in a study"
        )
    if counts.min() < k:
        warnings.warn(
            f"the smallest class has {counts.min()} members, fewer than k={k}: it is absent from "
            "some folds (where these are no classes take k_fold, or Folds(k, stratify=False) in a study)",
            UserWarning,
            stacklevel=2,
        )
    # Deal the sorted labels out to the folds, as cards; classes in order of first appearance.
    _, first = np.unique(codes, return_index=True)
    codes = np.argsort(np.argsort(first))[codes]
    dealt = np.sort(codes)
    rng = None if key is None else generator(key)
    fold_of = np.empty(len(codes), int)
    for label in range(len(counts)):
        folds = np.repeat(np.arange(k), [np.sum(dealt[i::k] == label) for i in range(k)])
        fold_of[codes == label] = folds if rng is None else rng.permutation(folds)
    return folds_from(fold_of, k)


def group_k_fold(groups: np.ndarray, k: int) -> list[Fold]:
    """K folds that keep each group of examples together; groups [N] of any labels.

    The largest group left goes to the smallest fold, as in scikit-learn's ``GroupKFold``.
    Raises ValueError where there are fewer than k groups. Notes: §3.1.1.
    """
    groups = np.asarray(groups)
    codes = codes_of(groups, len(groups) if groups.ndim else 0, "groups")
    counts = np.bincount(codes)
    k = check_folds(k, len(counts), "groups")
    fold_of_group, load = np.zeros(len(counts), int), np.zeros(k, int)
    for group in np.argsort(counts, kind="stable")[::-1]:
        fold_of_group[group] = np.argmin(load)
        load[fold_of_group[group]] += counts[group]
    return folds_from(fold_of_group[codes], k)


def leave_one_out(n: int) -> list[Fold]:
    """N folds that each validate one example [1]. Raises ValueError under two. Notes: §3.1.1."""
    return k_fold(n, n)


def shuffle_split(
    n: int | np.ndarray, num_splits: int = 5, *, valid_fraction: float = 0.2, key: Key
) -> list[Fold]:
    """Independent random splits: an example may be validated several times, or never.

    ``n`` is a number, or responses y [N], whose classes are then kept in proportion. Raises
    ValueError where a part is empty. Source: scikit-learn's ``ShuffleSplit``, other draws.
    """
    if num_splits < 1 or not 0 < valid_fraction < 1:
        raise ValueError(
            "num_splits must be at least 1 and valid_fraction between 0 and 1, not "
            f"{num_splits} and {valid_fraction}"
        )
    fractions = (1 - valid_fraction, valid_fraction, 0.0)
    parts = [
        train_validation_test(n, fractions, key=jax.random.fold_in(key, i))
        for i in range(num_splits)
    ]
    return [Fold(part.train, part.validation) for part in parts]


def as_folds(
    folds: int | Iterable[Any] | Any,
    n: int,
    y: np.ndarray | None = None,
    *,
    groups: np.ndarray | None = None,
    key: Key | None = None,
) -> list[Fold]:
    """Bring any description of folds into a list of Folds of n examples, and check it.

    Args:
      folds: K (stratified where y holds integers, bools or texts, as in scikit-learn), a splitter
        (an object with ``split(X, y, groups)``), or pairs (train, valid) of index arrays or of
        masks [n].
      n: number of examples.
      y: responses [n] or None; leave them out where integers are not classes (counts).
      groups: labels [n]; for K, groups stay together.
      key: shuffles the examples; for K without groups only, ignored otherwise.

    Raises:
      ValueError: on indices that are not whole, in [0, n) and different, on a part that is empty,
        on a training part that meets its validation part, on anything that is not pairs.
    """
    n = _check_count(n)
    for name, labels in (("y", y), ("groups", groups)):
        if labels is not None and np.shape(labels)[:1] != (n,):
            raise ValueError(f"{name} has shape {np.shape(labels)}, but there are {n} examples")
    if isinstance(folds, (int, np.integer)):
        if groups is not None:
            return group_k_fold(groups, int(folds))
        if y is not None and _discrete(np.asarray(y)):
            return stratified_k_fold(y, int(folds), key=key)
        return k_fold(n, int(folds), key=key)
    if isinstance(folds, (str, bytes)):
        raise ValueError(f"folds must be a number, a splitter or (train, valid) pairs: {folds!r}")
    if hasattr(folds, "split"):
        folds = _split(folds, n, y, groups)
    try:
        pairs = list(folds)
    except TypeError:
        raise ValueError(
            f"folds must be a number, a splitter or (train, valid) pairs, not {folds!r}"
        ) from None
    if not pairs:
        raise ValueError("there are no folds")
    return [_check_fold(i, pair, n) for i, pair in enumerate(pairs)]


def _split(splitter: Any, n: int, y: np.ndarray | None, groups: np.ndarray | None) -> list[Any]:
    try:
        return list(splitter.split(np.zeros((n, 1)), y, groups))
    except (ValueError, TypeError) as error:
        if groups is not None or "groups" not in str(error):
            raise
        name = type(splitter).__name__
        raise ValueError(
            f"{name} needs the group of each of the {n} examples: Folds({name}(...), groups=labels)"
        ) from error


def _check_fold(i: int, pair, n: int) -> Fold:
    try:
        train, valid = pair
    except (TypeError, ValueError):
        raise ValueError(f"fold {i} is not a pair (train, valid) of index arrays") from None
    fold = Fold(
        _check_part(f"fold {i}, train", train, n), _check_part(f"fold {i}, valid", valid, n)
    )
    both = np.intersect1d(*fold)
    if len(both):
        raise ValueError(f"fold {i}: example {both[0]} is in train and in valid")
    return fold


def _check_part(name: str, part, n: int) -> np.ndarray:
    try:
        index = np.asarray(part)
    except ValueError:
        raise ValueError(f"{name}: not a one-dimensional array of indices") from None
    if index.ndim != 1:
        raise ValueError(f"{name}: indices must have one dimension, not shape {index.shape}")
    if not index.size:
        raise ValueError(f"{name}: no examples")
    if index.dtype == bool:
        if len(index) != n:
            raise ValueError(f"{name}: a mask of {len(index)} for {n} examples")
        index = np.flatnonzero(index)
        if not index.size:
            raise ValueError(f"{name}: no examples")
    if index.dtype.kind not in "iu":
        raise ValueError(f"{name}: indices must be integers, not {index.dtype}")
    outside = index[(index < 0) | (index >= n)]
    if outside.size:
        raise ValueError(f"{name}: index {outside[0]} is outside 0..{n - 1}")
    values, counts = np.unique(index, return_counts=True)
    if counts.max() > 1:
        raise ValueError(f"{name}: example {values[np.argmax(counts)]} occurs more than once")
    return index.astype(np.intp)


def folds_from(fold_of: np.ndarray, k: int) -> list[Fold]:
    """K folds, of the one [N] that validates each example."""
    return [Fold(np.flatnonzero(fold_of != i), np.flatnonzero(fold_of == i)) for i in range(k)]


def generator(key: Key) -> np.random.Generator:
    """NumPy's generator, seeded by a typed key."""
    typed_key(key)
    return np.random.default_rng(np.asarray(jax.random.key_data(key)).tolist())


def _discrete(y: np.ndarray) -> bool:
    return y.ndim == 1 and y.dtype.kind in "biuUSO"


def codes_of(labels: np.ndarray, n: int, name: str = "labels") -> np.ndarray:
    """Labels [n] as integers from 0, in sorted order."""
    if labels.shape != (n,) or n == 0:
        raise ValueError(f"{name} must be [N], but have shape {labels.shape} for {n} examples")
    if labels.dtype.kind == "f" and not np.array_equal(labels, np.floor(labels)):
        raise ValueError(f"{name} must be classes, but hold fractions or NaN; use k_fold")
    return np.unique(labels, return_inverse=True)[1]


def _apportion(weights: np.ndarray, total: int, rng: np.random.Generator) -> np.ndarray:
    """Share out ``total`` in proportion to the weights, by largest remainder, ties at random."""
    ideal = weights * (total / max(weights.sum(), 1e-300))
    share = np.floor(ideal + 1e-9).astype(int)
    order = np.lexsort((rng.random(len(share)), -np.round(ideal - share, 9)))
    share[order[: total - share.sum()]] += 1
    return share


def _check_count(n: int) -> int:
    if not is_whole(n) or n < 1:
        raise ValueError(f"the number of examples must be an integer from 1 on, not {n!r}")
    return int(n)


def check_folds(k: int, n: int, what: str = "examples") -> int:
    """A number of folds, as it is; a ValueError unless it is from 2 to n."""
    if not is_whole(k) or not 2 <= k <= n:
        raise ValueError(
            f"the number of folds must be an integer from 2 to {n}, the number of {what}, not {k!r}"
        )
    return int(k)
