"""Grids and schedules: what is tried where nothing was asked for, and where it goes on from there."""

import dataclasses
import math
from typing import Any

RATES = (0.003, 0.01, 0.03)
STEPS = (1000, 3000)  # of a run: at least, and at most
PASSES = 20  # over the training part, while they are no more than the most steps
MANY = 1000  # rows
MOVED = ("learning_rate", "weight_decay")  # what ``moved`` moves


def fitted(config: Any, rows: int) -> Any:
    """The Config with everything filled in that was left to training parts of ``rows``.

    Wider and deeper networks for more rows. A weight decay lambda acts as a prior of lambda * rows
    observations, so it is tried from a tenth of 1 / rows on, in powers of ten: three, or of fewer
    rows four, the last of which leaves hardly more than a constant.
    """
    epochs, batch_size = schedule(config, rows)
    found = {
        "hidden": ("none", "64" if rows < 300 else "64-64" if rows < MANY else "128-64"),
        "learning_rates": RATES,
        "weight_decays": decays(rows),
        "dropouts": (0.0,),
    }
    left = {name: value for name, value in found.items() if getattr(config, name) is None}
    return dataclasses.replace(config, **left, epochs=epochs, batch_size=batch_size)


def decays(rows: int) -> tuple[float, ...]:
    """Weight decays for training parts of ``rows``.

    >>> decays(100), decays(10_000)
    ((0.001, 0.01, 0.1, 1.0), (1e-05, 0.0001, 0.001))
    """
    first = -1 - round(math.log10(rows))
    return tuple(10.0**k for k in range(first, first + (4 if rows < MANY else 3)))


def schedule(config: Any, rows: int) -> tuple[int, int]:
    """Epochs and batch size for training parts of ``rows``."""
    batch_size = config.batch_size or min(100, max(16, rows // 10))
    each = steps(1, batch_size, rows)
    least, most = STEPS
    wanted = min(most, max(least, PASSES * each))
    return config.epochs or max(5, -(-wanted // each)), batch_size


def steps(epochs: int, batch_size: int, rows: int) -> int:
    """How many steps a run takes: the last batch of an epoch may be smaller."""
    return epochs * -(-rows // batch_size)


def grid(config: Any, log_targets: tuple[float, ...] = ()) -> list[dict[str, Any]]:
    """All settings of a Config that is filled in.

    A linear model has no hidden layer whose units could drop out; where none ever does, no setting
    says so. Where ``log_targets`` has values, ``log_target`` is a setting too.
    """
    from experiments.tabular import widths

    distinct = lambda values: list(dict.fromkeys(values))
    dropouts = distinct(config.dropouts)
    return [
        {
            "hidden": h,
            "learning_rate": rate,
            "weight_decay": decay,
            **({"dropout": dropout} if any(dropouts) else {}),
            **log,
        }
        for h in distinct(config.hidden)
        for dropout in (dropouts if widths(h) else [0.0])
        for log in ([{"log_target": value} for value in log_targets] or [{}])
        for decay in distinct(config.weight_decays)
        for rate in distinct(config.learning_rates)
    ]


def in_words(config: Any, rows: int) -> str:
    """One line on a Config that is filled in."""
    listed = lambda values: ", ".join(v if isinstance(v, str) else f"{v:g}" for v in values)
    return (
        f"grid for training parts of {rows} rows: hidden {listed(config.hidden)}; learning rates "
        f"{listed(config.learning_rates)}; weight decays {listed(config.weight_decays)}; dropouts "
        f"{listed(config.dropouts)}; {config.epochs} epochs in batches of {config.batch_size}"
    )


def at_edge(settings: list[dict[str, Any]], chosen: dict[str, Any]) -> dict[str, str]:
    """Which of the chosen numbers are the ``largest`` or ``smallest`` of three or more, not 0."""
    found = {}
    for name, value in chosen.items():
        tried = sorted({h[name] for h in settings})
        if isinstance(value, float) and len(tried) > 2 and value and value in (tried[0], tried[-1]):
            found[name] = "largest" if value == tried[-1] else "smallest"
    return found


def moved(
    settings: list[dict[str, Any]], chosen: dict[str, Any]
) -> tuple[list[dict[str, Any]], list[str]]:
    """New settings beyond each edge of the grid where the chosen one lies, and a line on each.

    The next value is as far from the edge, as a ratio, as the edge is from its neighbour.
    """
    new, said = [], []
    for name, end in at_edge(settings, chosen).items():
        if name not in MOVED:
            continue
        edge = chosen[name]
        others = sorted({h[name] for h in settings} - {edge, 0.0})
        value = edge * edge / (others[-1] if end == "largest" else others[0])
        added = [{**h, name: value} for h in [*settings, *new] if h[name] == edge]
        said.append(f"{name}={edge:g} is the {end} that was tried: {value:g} is tried too")
        new += added
    return new, said
