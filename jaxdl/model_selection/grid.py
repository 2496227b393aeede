"""Settings to compare: products, lists, random draws; which are traced and which are static."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.base import Array, Key
from jaxdl.checks import is_whole, positive_int


class Signature(NamedTuple):
    """The settings that share one program.

    static: the settings that are the same in all of them, by name.
    members: [S] positions in the list of settings.
    traced: {name: [S, ...]} arrays, one entry a setting.
    """

    static: dict[str, Any]
    members: list[int]
    traced: dict[str, np.ndarray]


def expand(grid: Mapping[str, Sequence] | Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A list of settings: the product of a dict of lists (last name fastest), or a list as it is.

    Where some values of a name are floats, whole numbers among them become floats too, so that
    ``[0, 0.1]`` is one program. Raises a ValueError where nothing is left to compare.

    >>> expand({"width": [8, 16], "rate": [0, 0.5]})[:2]
    [{'width': 8, 'rate': 0.0}, {'width': 8, 'rate': 0.5}]
    """
    settings: list[dict[str, Any]]
    if isinstance(grid, Mapping):
        for name, values in grid.items():
            if isinstance(values, (str, bytes)) or not isinstance(values, (Iterable, Array)):
                raise ValueError(f"grid[{name!r}] must be a list of values, not {values!r}")
        names: list[Any] = list(grid)
        settings = [
            dict(zip(names, values, strict=True)) for values in itertools.product(*grid.values())
        ]
    else:
        settings = [dict(setting) for setting in cast(Iterable[Mapping[str, Any]], grid)]
    if not settings:
        raise ValueError("the grid is empty: it needs at least one setting")
    floats = {name for h in settings for name, value in h.items() if isinstance(value, float)}
    return [
        {k: float(v) if k in floats and is_whole(v) else v for k, v in h.items()} for h in settings
    ]


def is_traced(value: Any) -> bool:
    """Whether a setting enters the program as an array: floats and arrays do."""
    return isinstance(value, (float, np.floating, np.ndarray, jax.Array))


def signatures(settings: Sequence[Mapping[str, Any]]) -> list[Signature]:
    """Group settings [S] by what must be static; each group is one program.

    Raises a ValueError for a static setting that cannot be compared (a list, say).
    """
    groups: dict[Any, list[int]] = {}
    for position, setting in enumerate(settings):
        parts = []
        for name in sorted(setting):
            value = setting[name]
            if is_traced(value):
                parts.append((name, "traced", np.shape(value)))
                continue
            try:
                hash(value)
            except TypeError:
                raise ValueError(
                    f"setting {name}={value!r} cannot be static: use a tuple, a string or a number"
                ) from None
            parts.append((name, type(value).__name__, value))
        groups.setdefault(tuple(parts), []).append(position)
    result = []
    for members in groups.values():
        first = settings[members[0]]
        traced = [name for name in first if is_traced(first[name])]
        result.append(
            Signature(
                static={k: v for k, v in first.items() if k not in traced},
                members=members,
                traced={k: _stacked([settings[m][k] for m in members]) for k in traced},
            )
        )
    return result


def _stacked(values: list) -> np.ndarray:
    with jax.ensure_compile_time_eval():  # also where somebody traces a call
        return np.asarray(jnp.stack([jnp.asarray(value) for value in values]))


def random_search(space: Mapping[str, Any], num: int, *, key: Key) -> list[dict[str, Any]]:
    """A list of ``num`` random settings; the key is consumed.

    Args:
      space: for each name a list to choose from, or a function ``(key) -> value`` such as
        ``log_uniform(1e-4, 1e-1)``.
      num: how many settings to draw.

    Source: Bergstra and Bengio, Random Search for Hyper-Parameter Optimization (2012).

    >>> import jax
    >>> from jaxdl.model_selection.spaces import log_uniform
    >>> len(random_search({"rate": log_uniform(1e-4, 1.0), "width": [8, 16]}, 3,
    ...                   key=jax.random.key(0)))
    3
    """
    positive_int("num", num)

    def draw(key, values):
        if callable(values):
            return values(key)
        return list(values)[int(jax.random.randint(key, (), 0, len(values)))]

    keys = jax.random.split(key, (num, len(space)))
    drawn = [
        {name: draw(k, values) for k, (name, values) in zip(row, space.items(), strict=True)}
        for row in keys
    ]
    return expand(drawn)
