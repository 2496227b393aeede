"""A picture for each diagnostic. Functions return a matplotlib Figure and leave pyplot alone."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def norms_by_layer(norms: Mapping[str, Sequence[float]], what: str = "gradient") -> Figure:
    """Norms [L] of several networks by layer, from the input on, on a log axis. Notes: §4.5.

    ``norms`` are {name of a network: [L]}; ``what`` they are of, for the label. A norm of zero is
    drawn at the bottom.
    """
    figure, axes = _figure()
    values = {name: np.asarray(list(v), float) for name, v in norms.items()}
    positive = np.concatenate([v[(v > 0) & np.isfinite(v)] for v in values.values()])
    floor = positive.min() / 10 if positive.size else 1e-12
    for name, v in values.items():
        axes.plot(np.arange(1, len(v) + 1), np.maximum(v, floor), marker="o", ms=3, label=name)
    axes.set_yscale("log")
    axes.set_xlabel("layer, from the input")
    axes.set_ylabel(f"norm of the {what}")
    _whole_numbers(axes)
    if len(values) > 1:
        figure.legend(loc="outside right upper")
    return figure


def spectrum(values: Mapping[str, Sequence[float]]) -> Figure:
    """Singular values [K] of the Jacobians of several networks, the largest first, {name: [K]}.

    The dashed line is 1, where a direction passes unchanged. Source: Saxe et al. (2014).
    """
    figure, axes = _figure()
    styles = itertools.cycle(("o-", "s--", "^:"))  # spectra may lie on top of each other
    for name, v in values.items():
        axes.plot(np.arange(1, len(v) + 1), np.maximum(v, 1e-30), next(styles), ms=5, label=name)
    axes.axhline(1, color="gray", ls="--", lw=1)
    axes.set_yscale("log")
    axes.set_xlabel("rank")
    axes.set_ylabel("singular value")
    _whole_numbers(axes)
    if len(values) > 1:
        figure.legend(loc="outside right upper")
    return figure


def fractions_by_layer(fractions: Mapping[str, Sequence[float]], what: str = "saturated") -> Figure:
    """Fractions [L] of units that are ``what`` (saturated, dead) by layer, {name: [L]}; in bars."""
    figure, axes = _figure()
    width = 0.8 / len(fractions)
    for i, (name, v) in enumerate(fractions.items()):
        place = np.arange(1, len(v) + 1) + (i - (len(fractions) - 1) / 2) * width
        axes.bar(place, v, width, label=name)
    axes.set_ylim(0, 1)
    axes.set_xlabel("hidden layer, from the input")
    axes.set_ylabel(f"fraction {what}")
    _whole_numbers(axes)
    if len(fractions) > 1:
        figure.legend(loc="outside right upper")
    return figure


def update_ratios_by_step(ratios: Mapping[str, Sequence[float]]) -> Figure:
    """Update-to-weight ratios [T] of each layer over T steps, {layer: [T]}, on a log axis.

    The dashed line is 1e-3, about what training well looks like.
    """
    figure, axes = _figure()
    for name, v in ratios.items():
        axes.plot(np.arange(1, len(v) + 1), np.maximum(v, 1e-12), lw=1, label=name)
    axes.axhline(1e-3, color="gray", ls="--", lw=1)
    axes.set_yscale("log")
    axes.set_xlabel("step")
    axes.set_ylabel("|update| / |weights|")
    figure.legend(loc="outside right upper")
    return figure


def _figure() -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    return figure, figure.subplots()


def _whole_numbers(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
