"""What population-based training does between stretches: who copies whom, and how values move."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxdl.model_selection.spaces import Interval, Suggestions, as_space


class Exploring(NamedTuple):
    """How members exploit and explore.

    share: of the members that give up and go on from one of as many best.
    factors: by one of them, drawn evenly, a copied value is multiplied (of a list, it moves to a
        neighbour).
    anew: the probability that a value is drawn from the space instead.
    Source: Jaderberg et al., Population Based Training of Neural Networks (2017), §3.
    """

    share: float = 0.2
    factors: tuple[float, ...] = (0.8, 1.2)
    anew: float = 0.1


def check_exploring(exploring: Any) -> Exploring:
    """The Exploring. Raises a ValueError for numbers that make no sense."""
    if not isinstance(exploring, Exploring):
        raise ValueError(f"exploring takes an Exploring, not {exploring!r}")
    share, factors, anew = exploring
    if not (0 < share <= 0.5 and 0 <= anew <= 1 and factors and min(factors) > 0):
        raise ValueError(
            "a share lies in (0, 0.5], factors are positive and a probability lies in [0, 1], "
            f"not {exploring}"
        )
    return exploring


def exploit(loss: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """From whom each member goes on, [S]: the worst ones from one of the best, others from themselves.

    As many give up as ``share`` says, at least one; scores [S] that are not finite are the worst.

    >>> exploit(np.array([0.3, np.nan, 0.1, 0.2]), 0.25, np.random.default_rng(0)).tolist()
    [0, 2, 2, 3]
    """
    size = len(loss)
    count = min(max(1, round(share * size)), size // 2)
    order = np.argsort(np.where(np.isfinite(loss), loss, np.inf), kind="stable")
    source = np.arange(size)
    source[order[size - count :]] = rng.choice(order[:count], count)
    return source


def explore(
    space: Mapping[str, Interval | list],
    values: dict[str, np.ndarray],
    moved: np.ndarray,
    exploring: Exploring,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Values {name: [S]}, those of ``moved`` members [S] changed within the space."""
    new = {name: column.copy() for name, column in values.items()}
    for name, domain in space.items():
        for member in np.flatnonzero(moved):
            anew, share = rng.random(2)
            old = float(values[name][member])
            if anew < exploring.anew:
                new[name][member] = as_space({name: domain})(Suggestions(lambda _, u=share: u))[
                    name
                ]
            else:
                new[name][member] = _perturbed(domain, old, exploring.factors, rng)
    return new


def _perturbed(
    domain: Interval | list, old: float, factors: tuple[float, ...], rng: np.random.Generator
) -> float:
    if isinstance(domain, Interval):
        return float(np.clip(old * rng.choice(factors), domain.low, domain.high))
    listed = sorted(domain)
    here = int(np.argmin(np.abs(np.array(listed) - old)))
    return listed[int(np.clip(here + rng.choice([-1, 1]), 0, len(listed) - 1))]
