"""Pictures of predictions: confusion, calibration, the size of an ensemble."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxdl.metrics.calibration import Reliability

if TYPE_CHECKING:
    from matplotlib.figure import Figure
from jaxdl.plotting.axes import _figure, _label, _legend
from jaxdl.plotting.fonts import legible


def confusion_matrix(counts: Any, names: Sequence[str] | None = None) -> Figure:
    """Counts [K, K] of true classes (rows) by predicted ones, shaded by their share of the row.

    Raises a ValueError where counts are not square or names not K. Notes: §3.1.2.
    """
    counts = np.asarray(counts)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or not counts.size:
        raise ValueError(f"counts must be [K, K], not {list(counts.shape)}")
    k = len(counts)
    names = [str(c) for c in range(k)] if names is None else [str(n) for n in names]
    if len(names) != k:
        raise ValueError(f"names must be {k}, one for each class, not {len(names)}")
    names, families = legible([n if len(n) <= 18 else n[:17] + "…" for n in names])
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = float(np.clip(2.2 + 0.42 * k, 3.6, 12))
    figure, (axes,) = _figure(side + 0.9, side)
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    if k <= 25:
        for (i, j), count in np.ndenumerate(counts):
            if count:
                shade = "white" if share[i, j] > 0.5 else "black"
                axes.text(j, i, f"{count:g}", ha="center", va="center", color=shade, fontsize=9)
    every = max(1, k // 25)
    turned = max(map(len, names)) > 3 and k > 3
    axes.set_xticks(
        range(0, k, every),
        names[::every],
        rotation=45 if turned else 0,
        ha="right" if turned else "center",
        rotation_mode="anchor",
        fontfamily=families,
    )
    axes.set_yticks(range(0, k, every), names[::every], fontfamily=families)
    axes.grid(False)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    figure.colorbar(image, label="share of the true class", shrink=0.8)
    return figure


def reliability_diagram(bins: Reliability) -> Figure:
    """Accuracy by confidence, the gap to the diagonal, and how many examples each bin holds.

    Args:
      bins: from ``metrics.reliability``, [B]. Bins without examples have no bar. The expected
        calibration error of these bins stands in the diagram.

    Raises a ValueError where no bin holds an example. Source: Guo et al. (2017), Figure 1.
    """
    edges, count, confidence, accuracy = map(np.asarray, bins)
    if not count.sum() > 0:
        raise ValueError("a reliability diagram needs at least one example")
    figure, (left, right) = _figure(9.0, 3.8, columns=2)
    width = np.diff(edges)
    some = count > 0
    for axes in (left, right):
        axes.set_axisbelow(True)
    bars = {"x": edges[:-1][some], "width": width[some], "align": "edge", "lw": 0.8}
    left.bar(height=accuracy[some], color="C0", edgecolor="white", label="accuracy", **bars)
    left.plot([0, 1], [0, 1], "--", color="0.4", lw=1, label="perfectly calibrated")
    # From the accuracy to the mean confidence: this, weighted by the counts, is the error.
    left.vlines(confidence[some], accuracy[some], confidence[some], color="C3", lw=2, label="gap")
    left.plot(confidence[some], confidence[some], "o", color="C3", ms=4, clip_on=False)
    error = np.sum(count * np.abs(accuracy - confidence)) / count.sum()
    left.set_title(f"expected calibration error {error:.3f}", fontsize="medium")
    left.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="accuracy", aspect="equal")
    left.legend(frameon=False, fontsize="small", loc="upper left")
    right.bar(height=count[some] / count.sum(), color="0.6", edgecolor="white", **bars)
    means = {"accuracy": accuracy, "confidence": confidence}
    for (name, values), color in zip(means.items(), ("C0", "C3"), strict=True):
        mean = np.sum(count * values) / count.sum()
        right.axvline(mean, color=color, lw=1.5, label=f"mean {name} {mean:.3f}")
    right.set(xlim=(0, 1), xlabel="confidence", ylabel="share of the examples")
    right.legend(frameon=False, fontsize="small", loc="upper left")
    return figure


def ensemble_size(curves: Any, ylabel: str = "score") -> Figure:
    """Scores of ensembles of 1..J members.

    Args:
      curves: [J] from ``model_selection.ensemble_size_curve``, or {name: [J]} of several.
      ylabel: what the score is.

    Raises a ValueError where a curve is not [J].
    """
    named = curves if isinstance(curves, dict) else {"": curves}
    named = {name: np.asarray(curve) for name, curve in named.items()}
    unfit = [list(c.shape) for c in named.values() if c.ndim != 1 or not c.size]
    if unfit or not named:
        raise ValueError(f"curves must be [J], one score a size, not {unfit}")
    figure, (axes,) = _figure(6.4, 4.2)
    for i, (name, curve) in enumerate(named.items()):
        sizes = np.arange(1, len(curve) + 1)
        axes.plot(sizes, curve, "o-", ms=4, color=f"C{i % 10}", label=name)
        axes.axhline(curve[0], ls=":", lw=1, color=f"C{i % 10}")
    axes.set_xlabel("members (dotted: one alone)")
    axes.set_ylabel(_label(ylabel))
    axes.xaxis.get_major_locator().set_params(integer=True)
    if isinstance(curves, dict):
        _legend(figure, axes)
    return figure
