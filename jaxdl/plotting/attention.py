"""Pictures of attention: who looks where. Functions return a Figure and leave pyplot alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxdl.plotting.fonts import legible

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_LABELS = 60  # more would not be legible


def attention_map(
    weights: Any,
    source: Sequence[Any] | None = None,
    target: Sequence[Any] | None = None,
    *,
    titles: Sequence[str] | None = None,
    xlabel: str = "looked at",
    ylabel: str = "looks",
) -> Figure:
    """Attention weights a_ts, a row for each target t and a column for each source s, as shades.

    Args:
      weights: [T, S], or [h, T, S] of several heads, a panel each; from 0 to 1.
      source, target: labels of the S columns and the T rows, such as characters of a string or
        words; by default the positions from 0 on. A space is shown as ``␣``.
      titles: of the panels; by default the heads are numbered.
      xlabel, ylabel: of the axes.

    White is 0 and the darkest shade is 1 in each panel, so that pictures compare. Raises a
    ValueError for weights that are not such an array, and for labels of another number. Source:
    Bahdanau et al. (2015), Figure 3. Notes: Eqs. (33), (38), §7.3, §8.1.
    """
    from matplotlib.figure import Figure

    weights = np.asarray(weights, np.float32)
    if weights.ndim not in (2, 3) or not weights.size:
        raise ValueError(f"weights must be [T, S] or [heads, T, S], not {list(weights.shape)}")
    heads = weights[None] if weights.ndim == 2 else weights
    number, rows, columns = heads.shape
    source = _labels("source", source, columns)
    target = _labels("target", target, rows)
    if titles is None:
        titles = [f"head {i}" for i in range(number)] if weights.ndim == 3 else [""]
    if len(titles) != number:
        raise ValueError(f"titles must be {number}, one for each panel, not {len(titles)}")

    wide = math.ceil(math.sqrt(number)) if number > 3 else number
    high = math.ceil(number / wide)
    cell = 0.17 if number > 1 else 0.23
    longest = lambda labels: 0.075 * max(map(len, labels))
    width = np.clip(cell * columns + longest(target), 1.6, 9) + 0.5
    height = np.clip(cell * rows + longest(source), 1.2, 9) + 0.6
    size = (width * wide + 0.9, height * high)
    figure = Figure(figsize=size, dpi=120, layout="constrained")
    panels = figure.subplots(high, wide, squeeze=False).ravel()
    for axes in panels[number:]:
        axes.set_visible(False)
    for i, (axes, head, title) in enumerate(zip(panels, heads, titles, strict=False)):
        image = axes.imshow(head, cmap="Blues", vmin=0, vmax=1, aspect="equal")
        _ticks(axes.set_xticks, source, turned=max(map(len, source)) > 2)
        _ticks(axes.set_yticks, target)
        axes.tick_params(length=0, labelsize=8)
        axes.set_title(title, fontsize="medium")
        if i // wide == high - 1 or i + wide >= number:
            axes.set_xlabel(xlabel)
        if i % wide == 0:
            axes.set_ylabel(ylabel)
        axes.set_xticks(np.arange(columns + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(rows + 1) - 0.5, minor=True)
        axes.grid(which="minor", color="0.93", lw=0.4)
        axes.tick_params(which="minor", length=0)
    figure.colorbar(image, ax=panels[:number], label="weight", shrink=0.9, pad=0.02, aspect=25)
    return figure


def _labels(name, labels, number):
    if labels is None:
        return [str(i) for i in range(number)]
    labels = ["␣" if label == " " else str(label) for label in labels]
    if len(labels) != number:
        raise ValueError(
            f"{name} must have {number} labels, one for each position, not {len(labels)}"
        )
    return labels


def _ticks(set_ticks, labels, turned=False):
    every = math.ceil(len(labels) / MOST_LABELS)
    how = {"rotation": 90} if turned else {}
    names, families = legible(labels)
    set_ticks(range(0, len(labels), every), names[::every], fontfamily=families, **how)
