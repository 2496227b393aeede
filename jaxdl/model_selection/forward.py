"""Splits that go forward in time: what comes later is told from what came before. Notes: §3.1.1.

A random split lets a model learn from tomorrow what it says of today.
"""

import numpy as np

from jaxdl.model_selection.splits import Fold, Split, check_folds


def forward_split(times: np.ndarray, test_fraction: float = 0.2) -> Split:
    """The latest rows are the test part; rows of one time are all in one part. Notes: §3.1.1.

    Args:
      times: [N], numbers or ``datetime64``, in any order.
      test_fraction: of the rows; the nearest that ties allow.

    Returns:
      A Split whose validation part is empty.

    Raises:
      ValueError: for times that are missing or all the same, or a fraction outside (0, 1).

    >>> split = forward_split([3, 1, 4, 1, 5, 9, 2, 6, 5, 3], 0.3)
    >>> split.train.tolist(), split.test.tolist()
    ([0, 1, 2, 3, 6, 9], [4, 5, 7, 8])
    """
    if not 0 < test_fraction < 1:
        raise ValueError(f"test_fraction must lie between 0 and 1, not {test_fraction}")
    order, starts = _ordered(times)
    if not len(starts):
        raise ValueError("all rows are of one time: none is later than the others")
    (cut,) = _cuts(starts, np.array([(1 - test_fraction) * len(order)]))
    train, test = np.sort(order[:cut]), np.sort(order[cut:])
    return Split(train, np.zeros(0, train.dtype), test)


def forward_k_fold(times: np.ndarray, k: int) -> list[Fold]:
    """K folds that go forward: fitted to all that is earlier, validated on the next block.

    The rows in the order of time make k + 1 blocks; the first is fitted to only. Where all times
    differ the folds are those of scikit-learn's ``TimeSeriesSplit``; rows of one time are never on
    both sides. Notes: §3.1.1.

    Args:
      times: [N], numbers or ``datetime64``, in any order.
      k: fewer than there are different times.

    Raises:
      ValueError: for times that are missing, or too few different ones.

    >>> [(f.train.tolist(), f.valid.tolist()) for f in forward_k_fold([1, 2, 3, 4, 5], 2)]
    [([0, 1, 2], [3]), ([0, 1, 2, 3], [4])]
    """
    order, starts = _ordered(times)
    k = check_folds(k, len(starts), "times after the first")
    size = len(order) // (k + 1)
    cuts = _cuts(starts, len(order) - size * np.arange(k, 0, -1))
    return [
        Fold(np.sort(order[:start]), np.sort(order[start:end]))
        for start, end in zip(cuts, [*cuts[1:], len(order)], strict=True)
    ]


def _ordered(times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows [N] in the order of time, and where in it each later time begins."""
    times = np.asarray(times)
    if times.ndim != 1 or not len(times) or times.dtype.kind not in "biufM":
        raise ValueError(f"times must be numbers or dates [N], not {times.dtype} {times.shape}")
    missing = np.isnat(times) if times.dtype.kind == "M" else ~np.isfinite(times)
    if missing.any():
        raise ValueError(f"row {int(np.argmax(missing))} has no time")
    order = np.argsort(times, kind="stable")
    ranked = times[order]
    return order, np.flatnonzero(ranked[1:] != ranked[:-1]) + 1


def _cuts(starts: np.ndarray, ideal: np.ndarray) -> list[int]:
    """Different, ascending ``starts``, each as near to its ideal place as the others leave room."""
    cuts, last = [], -1
    for i, place in enumerate(ideal):
        nearest = int(np.argmin(np.abs(starts - place)))
        last = int(np.clip(nearest, last + 1, len(starts) - (len(ideal) - i)))
        cuts.append(int(starts[last]))
    return cuts
