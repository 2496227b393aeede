"""Pictures of studies: scores by setting, learning curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from jaxdl.model_selection.designs import LearningCurve
from jaxdl.model_selection.study import Study, mean_and_error

if TYPE_CHECKING:
    from matplotlib.figure import Figure
from jaxdl.metrics.directions import default_metric
from jaxdl.plotting.axes import (
    _band,
    _figure,
    _in_order,
    _label,
    _legend,
    _scale,
    _text,
    _value,
)
from jaxdl.plotting.fonts import legible

MAX_LINES = 6


def validation_curve(
    study: Study,
    name: str,
    metric: str | None = None,
    *,
    maximize: bool | None = None,
    others: str = "best",
) -> Figure:
    """A metric's mean by the values of one setting, with standard errors. Notes: Figure 10, §3.2.

    Scores are those of the S settings over folds, [S, F, K]; the training part's are drawn where
    the study has them. Settings with a diverged member are left out.

    Args:
      study: from ``cross_validate``.
      name: the setting on the x axis; log-spaced numbers get a log axis, texts one place each.
      metric, maximize: default ``study.metric``, see ``Study.best``.
      others: ``"best"``: at each value the other settings are the best ones for it;
        ``"lines"``: a line for each combination of them, the best ``MAX_LINES`` at most.

    Raises a ValueError for names that the study does not have.
    """
    metric = metric or study.metric
    ranking = [
        int(s) for s in study.ranking(metric, maximize=maximize) if not study.diverged[s].any()
    ]
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
        mean, error = _mean_and_bars(study.scores[metric][rows])
        axes.errorbar(
            x,
            mean,
            error,
            fmt="o-",
            color=f"C{i}",
            capsize=3,
            label=label or "validation, ± standard error",
        )
        if metric in study.train_scores:
            mean, error = _mean_and_bars(study.train_scores[metric][rows])
            axes.errorbar(
                x,
                mean,
                error,
                fmt="s--",
                ms=4,
                color=f"C{i}",
                alpha=0.6,
                capsize=3,
                label="_" if label else "training, ± standard error",
            )
    axes.set_xlabel(name.replace("_", " "))
    axes.set_ylabel(_label(metric))
    title = "the other settings at their best for each value"
    if others == "lines":
        title = f"the best {len(drawn)} of {len(lines)} combinations of the other settings"
        title += "\n" + _solid_and_dashed(study) + "; bars: ± standard error"
    axes.set_title(title, fontsize="medium")
    if having:
        _legend(figure, axes, outside=others == "lines")
    return figure


def learning_curves(
    study: Study,
    settings: int | Sequence[int] = 3,
    metric: str | None = None,
    *,
    maximize: bool | None = None,
) -> Figure:
    """Training loss and a metric by epoch, each with a band of one standard deviation.

    Bands are over folds x seeds: loss [S, F, K, epochs], curves [S, F, K, V]. A diverged member
    leaves the loss where it diverged.

    Args:
      study: from ``cross_validate``.
      settings: how many of the best, or the rows of ``study.hparams``.
      metric, maximize: default ``study.metric`` where it has a curve; see ``Study.best``. Dashed lines are the training
        part's, if the study has it.

    Raises a ValueError for a metric or rows that the study does not have.
    """
    if metric is None:  # one of whole held-out parts has no curve
        metric = study.metric if study.metric in study.curves else default_metric([*study.curves])
    if metric not in study.curves:
        raise ValueError(f"metric {metric!r} is none of {', '.join(study.curves)}")
    if isinstance(settings, Sequence):
        rows = [int(s) for s in settings]
    else:
        rows = study.ranking(metric, maximize=maximize)[:settings].tolist()
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
    left.set_title("bands: ± standard deviation of folds and seeds", fontsize="medium")
    right.set_title(_solid_and_dashed(study), fontsize="medium")
    _legend(figure, left, outside=True)
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
    mean, error = _mean_and_bars(curve.scores[metric])
    axes.errorbar(places, mean, error, fmt="o-", capsize=3, label="validation, ± standard error")
    mean, error = _mean_and_bars(curve.train_scores[metric])
    axes.errorbar(
        places, mean, error, fmt="s--", ms=4, capsize=3, label="training, ± standard error"
    )
    axes.set_xlabel("training examples")
    axes.set_ylabel(_label(metric))
    _legend(figure, axes)
    return figure


def _mean_and_bars(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Means and standard errors to draw; no bars for a single fold."""
    mean, error = mean_and_error(scores)
    return mean, error if scores.shape[-2] > 1 else None


def _describe(study: Study, row: int, without: str | None = None) -> str:
    """A setting in words, ``rate=0.003, width=64``: what is not the same in all settings."""
    setting = study.hparams[row]
    varies = lambda k: len({_text(h.get(k)) for h in study.hparams}) > 1
    parts = [f"{k}={_text(v)}" for k, v in setting.items() if k != without and varies(k)]
    return legible([", ".join(parts) or f"setting {row}"])[0][0]


def _solid_and_dashed(study: Study) -> str:
    return "validation (solid), training (dashed)" if study.train_scores else "validation"
