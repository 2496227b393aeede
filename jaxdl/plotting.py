"""Pictures of studies. Each function returns a matplotlib Figure and leaves pyplot alone.

Save one with ``figure.savefig(path)``; a notebook shows it after ``%matplotlib inline``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxdl.model_selection.designs import LearningCurve
from jaxdl.model_selection.study import Study, plain
from jaxdl.uncertainty import Reliability

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_LINES = 6
_LONG_NAMES = {"nll": "negative log-likelihood"}


def validation_curve(
    study: Study, name: str, metric: str | None = None, *, others: str = "best"
) -> Figure:
    """A metric's mean by the values of one setting, with standard errors. Notes: Figure 10, §3.2.

    Scores are those of the S settings over folds, [S, F, K]; the training part's are drawn where
    the study has them. Settings with a diverged member are left out.

    Args:
      study: from ``cross_validate``.
      name: the setting on the x axis; log-spaced numbers get a log axis, texts one place each.
      metric: default ``study.metric``.
      others: ``"best"``: at each value the other settings are the best ones for it;
        ``"lines"``: a line for each combination of them, the best ``MAX_LINES`` at most.

    Raises a ValueError for names that the study does not have.
    """
    metric = metric or study.metric
    ranking = [int(s) for s in study.ranking(metric) if not study.diverged[s].any()]
    having = [s for s in ranking if name in study.hparams[s]]
    if not any(name in h for h in study.hparams):
        known = dict.fromkeys(k for h in study.hparams for k in h)
        raise ValueError(f"no setting {name!r}; there are {', '.join(known)}")
    if others == "best":
        lines = {"": having} if having else {}
    elif others == "lines":
        lines = {}
        for s in having:
            lines.setdefault(_describe(study, s, without=name), []).append(s)
    else:
        raise ValueError(f"others is 'best' or 'lines', not {others!r}")

    drawn = list(lines.items())[:MAX_LINES]
    figure, (axes,) = _figure(6.4, 4.2, legend=len(drawn) if others == "lines" else 0)
    values = _in_order(h[name] for h in study.hparams if name in h)
    places = _scale(axes, values)
    for i, (label, members) in enumerate(drawn):
        best = {}  # the first member of a value is its best
        for s in members:
            best.setdefault(values.index(_value(study.hparams[s][name])), s)
        at = sorted(best)
        rows = [best[v] for v in at]
        x = places[at]
        mean, error = _mean_and_error(study.scores[metric][rows])
        axes.errorbar(
            x, mean, error, fmt="o-", color=f"C{i}", capsize=3, label=label or "validation"
        )
        if metric in study.train_scores:
            mean, error = _mean_and_error(study.train_scores[metric][rows])
            axes.errorbar(
                x, mean, error, fmt="s--", ms=4, color=f"C{i}", alpha=0.6, capsize=3,
                label="_" if label else "training",
            )  # fmt: skip
    axes.set_xlabel(name.replace("_", " "))
    axes.set_ylabel(_label(metric))
    title = "the other settings at their best for each value"
    if others == "lines":
        title = f"the best {len(drawn)} of {len(lines)} combinations of the other settings"
        title += "\n" + _solid_and_dashed(study)
    axes.set_title(title, fontsize="medium")
    if having:
        _legend(figure, axes, outside=others == "lines")
    return figure


def learning_curves(
    study: Study, settings: int | Sequence[int] = 3, metric: str | None = None
) -> Figure:
    """Training loss and a metric by epoch, each with a band of one standard deviation.

    Bands are over folds x seeds: loss [S, F, K, epochs], curves [S, F, K, V]. A diverged member
    leaves the loss where it diverged.

    Args:
      study: from ``cross_validate``.
      settings: how many of the best, or the rows of ``study.hparams``.
      metric: default ``study.metric``; dashed lines are the training part's, if the study has it.

    Raises a ValueError for a metric or rows that the study does not have.
    """
    metric = metric or study.metric
    if metric not in study.curves:
        raise ValueError(f"metric {metric!r} is none of {', '.join(study.curves)}")
    if isinstance(settings, (int, np.integer)):
        settings = study.ranking(metric)[:settings]
    rows = [int(s) for s in settings]
    if not rows or not all(0 <= s < len(study.hparams) for s in rows):
        raise ValueError(f"settings are rows from 0 to {len(study.hparams) - 1}, not {rows}")
    figure, (left, right) = _figure(9.6, 3.8, columns=2, legend=len(rows))
    epochs = np.arange(1, study.train_loss.shape[-1] + 1)
    for i, s in enumerate(rows):
        color = f"C{i}"
        _band(left, epochs, study.train_loss[s], color, label=_describe(study, s))
        _band(right, study.curve_epochs, study.curves[metric][s], color, marker="o", ms=3)
        if metric in study.train_curves:
            _band(right, study.curve_epochs, study.train_curves[metric][s], color, ls="--")
    shown = study.train_loss[rows]
    shown = shown[np.isfinite(shown)]
    if shown.size and shown.min() > 0 and shown.max() > 10 * shown.min():
        left.set_yscale("log")
    for axes in (left, right):
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
    left.set_ylabel("training loss, with penalty")
    right.set_ylabel(_label(metric))
    right.set_title(_solid_and_dashed(study), fontsize="medium")
    _legend(figure, left, outside=True)
    return figure


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
    names = [n if len(n) <= 18 else n[:17] + "…" for n in names]
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
    axes.set_xticks(range(0, k, every), names[::every], rotation=45 if turned else 0,
                    ha="right" if turned else "center", rotation_mode="anchor")  # fmt: skip
    axes.set_yticks(range(0, k, every), names[::every])
    axes.grid(False)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    figure.colorbar(image, label="share of the true class", shrink=0.8)
    return figure


def learning_curve_sizes(curve: LearningCurve, metric: str | None = None) -> Figure:
    """Scores by the size of the training part, with standard errors over folds.

    Args:
      curve: from ``model_selection.learning_curve``; scores [M, F, K].
      metric: default the study's.

    Raises a ValueError for a metric that the study does not have.
    """
    metric = metric or curve.study.metric
    if metric not in curve.scores:
        raise ValueError(f"metric {metric!r} is none of {', '.join(curve.scores)}")
    figure, (axes,) = _figure(6.4, 4.2)
    places = _scale(axes, [int(n) for n in curve.sizes])
    mean, error = _mean_and_error(curve.scores[metric])
    axes.errorbar(places, mean, error, fmt="o-", capsize=3, label="validation")
    mean, error = _mean_and_error(curve.train_scores[metric])
    axes.errorbar(places, mean, error, fmt="s--", ms=4, capsize=3, label="training")
    axes.set_xlabel("training examples")
    axes.set_ylabel(_label(metric))
    _legend(figure, axes)
    return figure


def reliability_diagram(bins: Reliability) -> Figure:
    """Accuracy by confidence, the gap to the diagonal, and how many examples each bin holds.

    Args:
      bins: from ``uncertainty.reliability``, [B]. Bins without examples have no bar. The expected
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
    odd = [list(c.shape) for c in named.values() if c.ndim != 1 or not c.size]
    if odd or not named:
        raise ValueError(f"curves must be [J], one score a size, not {odd}")
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


def _describe(study: Study, row: int, without: str | None = None) -> str:
    """A setting in words, ``rate=0.003, width=64``: what is not the same in all settings."""
    setting = study.hparams[row]
    varies = lambda k: len({_text(h.get(k)) for h in study.hparams}) > 1
    parts = [f"{k}={_text(v)}" for k, v in setting.items() if k != without and varies(k)]
    return ", ".join(parts) or f"setting {row}"


def _solid_and_dashed(study: Study) -> str:
    return "validation (solid), training (dashed)" if study.train_scores else "validation"


def _value(value: Any) -> Any:
    """A setting as a number or, where it is none, as text."""
    value = plain(value)
    return value if _is_number(value) else str(value)


def _text(value: Any) -> str:
    value = _value(value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


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


def _in_order(values) -> list[Any]:
    """The different values; numbers in order of size, others in order of appearance."""
    unique = list(dict.fromkeys(map(_value, values)))
    return sorted(unique) if all(_is_number(v) for v in unique) else unique


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


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
        axes.set_xticks(places, [_text(v) for v in values])
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


def _mean_and_error(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Mean [S] over folds of scores [S, F, K], and its standard error (None for one fold)."""
    by_fold = scores.mean(-1)
    count = by_fold.shape[1]
    error = by_fold.std(1, ddof=1) / np.sqrt(count) if count > 1 else None
    return by_fold.mean(1), error


def _band(axes: Axes, x: np.ndarray, values: np.ndarray, color: str, **line: Any) -> None:
    """The mean [V] of values [F, K, V] with one standard deviation, over what is finite."""
    values = np.ma.masked_invalid(values.reshape(-1, values.shape[-1]))
    mean = values.mean(0).filled(np.nan)
    spread = values.std(0).filled(np.nan)
    axes.plot(x, mean, color=color, **line)
    axes.fill_between(x, mean - spread, mean + spread, color=color, alpha=0.15, lw=0)
