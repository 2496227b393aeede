"""Hyperband: brackets that race many settings over few epochs, and few over many."""

from collections.abc import Callable
from typing import Any

from jaxdl.base import Key
from jaxdl.checks import is_whole, positive_int
from jaxdl.model_selection.population.halving import Rung
from jaxdl.model_selection.searches.search import Search, Turn, search


def hyperband(
    make_learner: Callable,
    space: Any,
    data: Any,
    *,
    key: Key,
    epochs: int,
    factor: int = 3,
    first: int = 1,
    sampler: Any = "random",
    sweeps: int = 1,
    **options: Any,
) -> Search:
    """Search by brackets of successive halving, each a round that trains as one program.

    Args:
      make_learner, space, data, key: as for ``search``.
      epochs: of the settings that are left at the end of a bracket.
      factor: after each rung the best ``1 / factor`` go on, so many times as long.
      first: epochs of the first rung of the widest bracket.
      sampler: as for ``search``; with one that learns each bracket is proposed by what those before
        it found, dropped settings with the score that they had.
      sweeps: how often to go through all brackets; the later ones compile nothing.
      **options: as for ``search``, but for ``rounds``, ``per_round`` and ``halving``.

    Raises a ValueError as ``search``, and for a factor or first rung that makes no sense.
    Source: Li et al., Hyperband (2018), Algorithm 1.
    """
    for name in ("rounds", "per_round", "halving"):
        if name in options:
            raise ValueError(f"hyperband takes no {name}: its brackets say so")
    turns = brackets(epochs, factor, first) * positive_int("sweeps", sweeps)
    return search(
        make_learner, space, data, key=key, epochs=epochs, sampler=sampler, rounds=turns, **options
    )


def brackets(epochs: int, factor: int = 3, first: int = 1) -> list[Turn]:
    """The rounds of Hyperband, from the widest bracket to that of settings trained to the end.

    With ``m`` the largest number so that ``first * factor^m <= epochs``, bracket ``s = m, ..., 0``
    has ``ceil((m + 1) / (s + 1) * factor^s)`` settings, its first rung after ``r factor^(m - s)``
    epochs with ``r = epochs / factor^m``, and rungs that keep ``1 / factor``, all rounded down.

    >>> [(turn.count, [tuple(rung) for rung in turn.levels]) for turn in brackets(9)]
    [(9, [(1, 3), (3, 1)]), (5, [(3, 1)]), (3, [])]
    """
    positive_int("epochs", epochs)
    if not is_whole(factor) or factor < 2:
        raise ValueError(f"the factor of halving is a whole number from 2, not {factor!r}")
    if positive_int("first", first) > epochs:
        raise ValueError(f"the first rung is after 1 to {epochs} epochs, not {first}")
    most = 0
    while first * factor ** (most + 1) <= epochs:
        most += 1
    turns = []
    for s in range(most, -1, -1):
        count = -(-(most + 1) * factor**s // (s + 1))
        start = epochs // factor**most * factor ** (most - s)
        levels = [Rung(start * factor**i, max(1, count // factor ** (i + 1))) for i in range(s)]
        turns.append(Turn(count, levels))
    return turns
