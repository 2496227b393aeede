"""Successive halving: train all settings a little, the better part longer, the best to the end."""

import math
from typing import NamedTuple

import numpy as np


class Halving(NamedTuple):
    """After each rung only the best ``1 / factor`` of the settings go on, ``factor`` times as long.

    factor: 2 or more. first: epochs of the first rung; by default so many that one setting is
    left for the last. Source: Jamieson and Talwalkar (2016).
    """

    factor: int = 3
    first: int | None = None


class Rung(NamedTuple):
    """epochs: after which settings are dropped. keep: how many go on."""

    epochs: int
    keep: int


def rungs(halving: Halving, num_settings: int, epochs: int) -> list[Rung]:
    """The Rungs of a study of S settings over so many epochs.

    ``r_k = first * factor^k`` epochs, after which ``ceil(S / factor^(k+1))`` settings are left.
    Raises a ValueError for numbers that make no sense. Source: Jamieson and Talwalkar (2016).

    >>> [tuple(rung) for rung in rungs(Halving(3), 27, 81)]
    [(3, 9), (9, 3), (27, 1)]
    """
    if not isinstance(halving, Halving):
        raise ValueError(f"halving takes a Halving, not {halving!r}")
    factor, first = halving
    if not isinstance(factor, int) or factor < 2:
        raise ValueError(f"the factor of halving is a whole number from 2, not {factor!r}")
    if first is None:
        wanted = math.ceil(math.log(num_settings) / math.log(factor) - 1e-9)
        possible = int(math.log(epochs) / math.log(factor) + 1e-9)
        first = max(1, epochs // factor ** min(wanted, possible))
    if not isinstance(first, int) or not 1 <= first <= epochs:
        raise ValueError(f"the first rung of halving is after 1 to {epochs} epochs, not {first!r}")
    result, at, left = [], first, num_settings
    while at < epochs and left > 1:
        left = math.ceil(left / factor)
        result.append(Rung(at, left))
        at *= factor
    return result


def losers(scores: np.ndarray, alive: np.ndarray, keep: int) -> np.ndarray:
    """Which settings to drop, [S] bool: all alive but the ``keep`` with the lowest scores [S].

    ``alive`` [S] bool. Scores that are not finite lose first; of equals the later one.
    """
    order = np.lexsort(
        (np.arange(len(scores)), np.where(np.isfinite(scores), scores, np.inf), ~alive)
    )
    dropped = alive.copy()
    dropped[order[:keep]] = False
    return dropped
