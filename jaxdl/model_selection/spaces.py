"""What a search chooses from: intervals, lists, and functions of what is suggested."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxdl.base import Key
from jaxdl.checks import is_whole

PLAIN = (type(None), bool, int, float, str)


class Interval(NamedTuple):
    """Numbers from low to high; called with a key it draws one.

    log: whether their logarithms are spread evenly. whole: whole numbers, ``high`` included; they
    are static settings, so each is another program: ``float`` of one is traced.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def at(self, share: float) -> float:
        """The number below which that share of the interval lies, in [0, 1).

        >>> round(Interval(1e-4, 1.0, log=True).at(0.5), 6), Interval(1, 3, whole=True).at(0.99)
        (0.01, 3)
        """
        low, high = (self.low - 0.5, self.high + 0.5) if self.whole else (self.low, self.high)
        if self.log:
            value = math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
        else:
            value = low + share * (high - low)
        value = min(max(value, self.low), self.high)
        return math.floor(value + 0.5) if self.whole else value

    def __call__(self, key: Key) -> float:
        return self.at(float(jax.random.uniform(key)))


def uniform(low: float, high: float) -> Interval:
    """Numbers of [low, high), spread evenly. Raises a ValueError where low >= high."""
    if not low < high:
        raise ValueError(f"uniform needs low < high, not {low} and {high}")
    return Interval(low, high)


def log_uniform(low: float, high: float) -> Interval:
    """Numbers of [low, high) whose logarithms are spread evenly.

    Raises a ValueError unless 0 < low < high. Source: Bergstra and Bengio (2012).
    """
    if not 0 < low < high:
        raise ValueError(f"log_uniform needs 0 < low < high, not {low} and {high}")
    return Interval(low, high, log=True)


def whole_numbers(low: int, high: int, *, log: bool = False) -> Interval:
    """Whole numbers from low to high, both included; static settings.

    Raises a ValueError for others, where low >= high, and with ``log`` under 1.
    """
    if not (is_whole(low) and is_whole(high) and low < high and (low >= 1 or not log)):
        raise ValueError(
            f"whole_numbers needs whole low < high (from 1 with log), not {low}, {high}"
        )
    return Interval(low, high, log, whole=True)


class Suggestions:
    """Suggests values by name as an Optuna trial does, from one number in [0, 1) for each.

    share: ``(name) -> [0, 1)``.
    """

    def __init__(self, share: Callable[[str], float]):
        self._share = share

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """A number from low to high; with ``step`` one of low, low + step, ..."""
        if step is None:
            return Interval(low, high, log).at(self._share(name))
        return low + step * Interval(0, int((high - low) / step + 1e-9), whole=True).at(
            self._share(name)
        )

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        """A whole number from low to high, both included; with ``step`` one of low, low + step, ..."""
        if log:
            return int(Interval(low, high, log, whole=True).at(self._share(name)))
        return low + step * int(Interval(0, (high - low) // step, whole=True).at(self._share(name)))

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        """One of the choices."""
        return choices[int(self._share(name) * len(choices))]


def as_space(space: Any) -> Callable[[Any], Any]:
    """A space as a function of what suggests: an Optuna trial, or ``Suggestions``.

    A dict has for each name an ``Interval`` or a list to choose from; a function is one already,
    and may suggest some values only where others are so (a conditional space). Whole numbers in a
    list with floats become floats. Raises a ValueError for anything else.

    >>> space = as_space({"rate": log_uniform(1e-3, 1e-1), "width": [8, 16]})
    >>> {name: round(v, 6) for name, v in space(Suggestions(lambda name: 0.5)).items()}
    {'rate': 0.01, 'width': 16}
    """
    if callable(space):
        return space
    if not isinstance(space, Mapping) or not space:
        raise ValueError(
            "a space is a dict with an interval or a list for each name, or a function of a trial, "
            f"not {space!r}"
        )
    domains = {name: _domain(name, values) for name, values in space.items()}
    return lambda trial: {name: _suggest(trial, name, of) for name, of in domains.items()}


def _domain(name: str, values: Any) -> Interval | list:
    if isinstance(values, Interval):
        return values
    if isinstance(values, (str, bytes)) or not np.iterable(values):
        raise ValueError(
            f"space[{name!r}] must be a list of values, or uniform(...), log_uniform(...) or "
            f"whole_numbers(...), not {values!r}"
        )
    values = [v.item() if isinstance(v, np.generic) else v for v in values]
    if not values:
        raise ValueError(f"space[{name!r}] has no values to choose from")
    some_float = any(isinstance(v, float) for v in values)
    return [float(v) if some_float and is_whole(v) else v for v in values]


def _suggest(trial: Any, name: str, domain: Interval | list) -> Any:
    if isinstance(domain, list):
        if all(isinstance(v, PLAIN) for v in domain):
            return trial.suggest_categorical(name, domain)
        return domain[trial.suggest_categorical(name, list(range(len(domain))))]
    suggest = trial.suggest_int if domain.whole else trial.suggest_float
    return suggest(name, domain.low, domain.high, log=domain.log)
