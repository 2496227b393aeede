"""Pictures of one run and of run logs. Functions return a matplotlib Figure."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxdl.metrics.directions import default_metric

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from jaxdl.training.fit import History
    from jaxdl.training.stream.fit import StreamHistory


def training_curves(history: History | StreamHistory, metric: str | None = None) -> Figure:
    """The training loss [E] and a validation metric [V] of a fit, by epoch or, of a stream, by step.

    The dashed line is where the best score was, the dotted one where the run was stopped early.
    ``metric`` defaults to the first loss. Raises ValueError for a metric that there is not, and for
    what is no history.
    """
    if not hasattr(history, "validation"):
        inner = "; take its history" if hasattr(history, "history") else ""
        raise ValueError(
            f"training_curves takes the history of a fit, not a {type(history).__name__}{inner}"
        )
    from jaxdl.training.stream.fit import StreamHistory

    streamed = isinstance(history, StreamHistory)
    loss = np.asarray(history.loss)
    at = np.asarray(history.steps if streamed else history.epochs)
    figure, axes = _panels("step" if streamed else "epoch", bool(history.validation))
    axes[0].plot(at if streamed else np.arange(1, len(loss) + 1), loss)
    if history.validation:
        metric = _metric(metric, history.validation)
        best = int(history.best_step if streamed else history.best_epoch)
        stopped = 0 if streamed else int(history.stopped)
        values = np.asarray(history.validation[metric], float)
        ran = at <= stopped if stopped > 0 else np.ones(len(at), bool)  # flat after the end
        axes[1].plot(at[ran], values[ran], "C1.-")
        axes[1].set_ylabel(f"validation {metric}")
        for panel in axes:
            if best > 0:
                panel.axvline(best, color="gray", ls="--", lw=1)
            if stopped > 0:
                panel.axvline(stopped, color="gray", ls=":", lw=1)
    _log_where_wide(axes[0], loss)
    return figure


def log_curves(rows: Iterable[dict[str, Any]], metric: str | None = None) -> Figure:
    """The training loss and a validation metric of the rows of ``read_log``, a line a member.

    Members of one setting share a color. ``metric`` defaults to the first loss.
    Raises ValueError for no rows and for a metric that the log does not have.
    """
    if isinstance(rows, (str, PathLike)):
        raise ValueError(f"log_curves takes rows: log_curves(read_log({str(rows)!r}))")
    rows = list(rows)
    if not rows:
        raise ValueError("there are no rows to draw")
    x = "step" if rows[0].get("epoch", "") == "" else "epoch"
    lines: dict[tuple, list] = {}
    for row in rows:
        part, name = row["part"], row["metric"]
        place = (part, name, row.get("member", ""), row.get("setting", ""))
        value = row["value"]  # null in JSONL where it is not finite
        lines.setdefault(place, []).append((row[x], np.nan if value is None else value))
    metrics = {name: None for part, name, *_ in lines if part == "validation"}
    metric = _metric(metric, metrics) if metrics or metric else None
    figure, axes = _panels(x, metric is not None)
    settings = {setting: i for i, setting in enumerate(dict.fromkeys(k[3] for k in lines))}
    for (part, name, _, setting), points in lines.items():
        if (part, name) not in (("train", "loss"), ("validation", metric)):
            continue
        panel = axes[0] if part == "train" else axes[1]
        label = f"setting {setting}" if setting != "" else None
        known = panel.get_legend_handles_labels()[1]
        panel.plot(
            *np.array(points, float).T,
            color=f"C{settings[setting] % 10}",
            lw=1,
            label=None if label in known else label,
        )
    if metric is not None:
        axes[1].set_ylabel(f"validation {metric}")
    if 1 < len(settings) <= 10:
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right upper")
    _log_where_wide(axes[0], np.concatenate([line.get_ydata() for line in axes[0].lines] or [[]]))
    return figure


def _metric(metric: str | None, known: Iterable[str]) -> str:
    known = list(known)
    metric = metric or default_metric(known)
    if metric not in known:
        raise ValueError(f"metric {metric!r} is none of {', '.join(known) or 'none'}")
    return metric


def _panels(x: str, validated: bool):
    from matplotlib.figure import Figure

    columns = 2 if validated else 1
    figure = Figure(figsize=(4.6 * columns, 3.4), layout="constrained")
    axes = figure.subplots(1, columns, squeeze=False)[0]
    for panel in axes:
        panel.set_xlabel(x)
        panel.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("training loss")
    return figure, axes


def _log_where_wide(axes, values) -> None:
    shown = np.asarray(values, float)
    shown = shown[np.isfinite(shown)]
    if shown.size and shown.min() > 0 and shown.max() > 10 * shown.min():
        axes.set_yscale("log")
