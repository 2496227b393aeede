"""Where values lie on an axis, and the ticks beside it."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxdl.model_selection.report.markup import number
from jaxdl.model_selection.words import shown

FEW = 12  # different values have a place each, evenly spaced


class Scale(NamedTuple):
    """An axis from 0 to 1. ticks: (place, label).

    low, high: what lies at 0 and at 1; values beyond are drawn there. log: of their logarithms.
    """

    low: float
    high: float
    log: bool
    ticks: list[tuple[float, str]]

    def __call__(self, values: Any) -> np.ndarray:
        """Places in [0, 1] of values [...]; NaN stays NaN."""
        values, low, high = np.asarray(values, float), self.low, self.high
        if self.log:
            values, low, high = np.log(np.maximum(values, low)), math.log(low), math.log(high)
        return np.clip((values - low) / (high - low), 0, 1)


def of_numbers(low: float, high: float, *, log: bool = False, most: int = 5) -> Scale:
    """A Scale of numbers from low to high with ``most`` ticks or fewer at round ones.

    >>> [label for _, label in of_numbers(0, 1).ticks]
    ['0', '0.25', '0.5', '0.75', '1']
    >>> [label for _, label in of_numbers(1e-4, 1e-1, log=True).ticks]
    ['0.0001', '0.001', '0.01', '0.1']
    """
    if not high > low:
        margin = abs(low) / 10 or 1.0
        low, high, log = low - margin, high + margin, False
    scale = Scale(low, high, log, [])
    values = _decades(low, high, most) if log else _round(low, high, most)
    return scale._replace(ticks=[(float(scale(v)), number(float(v))) for v in values])


def _round(low: float, high: float, most: int) -> np.ndarray:
    """Multiples of 1, 2, 2.5 or 5 times a power of ten, as many as there is room for."""
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    for step in power * np.array([1, 2, 2.5, 5, 10, 20]):
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first < most:
            break
    return np.arange(first, last + 1) * step


def _decades(low: float, high: float, most: int) -> np.ndarray:
    """Powers of ten, every other one where there are many; 1, 2 and 5 times them where few."""
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    if last - first >= 1:
        return 10.0 ** np.arange(first, last + 1, -(-(last - first + 1) // most))
    fine = np.outer(10.0 ** np.arange(first - 1, last + 2), [1, 2, 5]).ravel()
    return fine[(fine >= low * (1 - 1e-9)) & (fine <= high * (1 + 1e-9))][:most]


class Placed(NamedTuple):
    """Values on their axis. places: [S] in [0, 1]. ticks: (place, label)."""

    places: np.ndarray
    ticks: list[tuple[float, str]]


def of_settings(values: Sequence[Any]) -> Placed:
    """The places [S] of a setting's values, plain ones, in order.

    Few different ones have a place each; more numbers lie on an axis, a logarithmic one where
    they span a factor of 30.
    """
    kinds = {shown(v): v for v in values}
    numeric = all(_is_number(v) for v in values)
    order = sorted(kinds, key=(lambda t: kinds[t]) if numeric else None)
    if numeric and len(order) > FEW:
        found = np.array(values, float)
        low, high = found.min(), found.max()
        scale = of_numbers(low, high, log=bool(low > 0 and high >= 30 * low))
        return Placed(scale(found), scale.ticks)
    at = {text: (i + 0.5) / len(order) for i, text in enumerate(order)}
    every = -(-len(order) // FEW)
    places = np.array([at[shown(v)] for v in values])
    return Placed(places, [(at[text], text) for text in order[::every]])


def of_scores(scores: np.ndarray, maximize: bool) -> Scale:
    """A Scale of scores with the best at 1; far worse ones lie on the edge.

    Far is more than three times as far from the best as three in four are: a setting that did not
    learn would squeeze all others together.
    """
    loss = -scores if maximize else scores
    loss = loss[np.isfinite(loss)]
    best = loss.min()
    worst = min(loss.max(), best + 3 * (np.quantile(loss, 0.75) - best) or loss.max())
    ends = sorted((-best, -worst)) if maximize else (best, worst)
    scale = of_numbers(*map(float, ends))
    return scale if maximize else _turned(scale)


def _turned(scale: Scale) -> Scale:
    return Scale(scale.high, scale.low, scale.log, [(1 - p, label) for p, label in scale.ticks])


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
