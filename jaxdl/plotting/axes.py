"""Figures, axes, legends and labels that the pictures share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jaxdl.model_selection.words import plain
from jaxdl.plotting.fonts import legible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_LONG_NAMES = {"nll": "negative log-likelihood"}


def _label(metric: str) -> str:
    return _LONG_NAMES.get(metric, metric.replace("_", " "))


def _figure(width: float, height: float, columns: int = 1, legend: int = 0):
    """A Figure with room for ``legend`` rows below its panels."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height + 0.19 * legend), dpi=120, layout="constrained")
    panels = figure.subplots(1, columns, squeeze=False)[0]
    for axes in panels:
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    return figure, panels


def _legend(figure: Figure, axes: Axes, outside: bool = False) -> None:
    if not outside:
        axes.legend(frameon=False)
        return
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", frameon=False, fontsize="small")


def _band(axes: Axes, x: np.ndarray, values: np.ndarray, color: str, **line: Any) -> None:
    """The mean [V] of values [F, K, V] with one standard deviation, over what is finite."""
    values = np.ma.masked_invalid(values.reshape(-1, values.shape[-1]))
    mean = values.mean(0).filled(np.nan)
    spread = values.std(0).filled(np.nan)
    axes.plot(x, mean, color=color, **line)
    axes.fill_between(x, mean - spread, mean + spread, color=color, alpha=0.15, lw=0)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _value(value: Any) -> Any:
    """A setting as a number or, where it is none, as text."""
    value = plain(value)
    return value if _is_number(value) else str(value)


def _text(value: Any) -> str:
    value = _value(value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _in_order(values) -> list[Any]:
    """The different values; numbers in order of size, others in order of appearance."""
    unique = list(dict.fromkeys(map(_value, values)))
    return sorted(unique) if all(_is_number(v) for v in unique) else unique


def _scale(axes: Axes, values: list[Any]) -> np.ndarray:
    """Scale the x axis for these values, label them, and return their places, [V]."""
    numeric = all(_is_number(v) for v in values)
    places = np.array(values if numeric else range(len(values)), float)
    if numeric and _log_spaced(places):
        if places[0] > 0:
            axes.set_xscale("log")
        else:
            axes.set_xscale("symlog", linthresh=places[1], linscale=0.5)
    if not numeric or len(values) <= 8:
        labels, families = legible([_text(v) for v in values])
        axes.set_xticks(places, labels, fontfamily=families)
        axes.set_xticks([], minor=True)
    if not numeric:
        axes.margins(x=0.1)
    return places


def _log_spaced(places: np.ndarray) -> bool:
    """Whether ascending values, a zero at the start apart, are more even on a log axis."""
    positive = places[places > 0]
    if len(positive) < 2 or len(positive) < len(places) - (places[0] == 0):
        return False
    if positive[-1] < 10 * positive[0]:
        return False
    uneven = lambda v: np.std(np.diff(v)) / np.mean(np.diff(v))
    return len(positive) == 2 or uneven(np.log(positive)) < uneven(positive)
