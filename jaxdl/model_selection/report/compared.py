"""The choice against other models, on the same rows."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxdl.model_selection.report import drawing, scales
from jaxdl.model_selection.report.drawing import Frame
from jaxdl.model_selection.report.markup import Html, number, section, table, tag
from jaxdl.model_selection.report.predicted import has_labels

if TYPE_CHECKING:
    from jaxdl.model_selection.study import Choice, Study


class Compared(NamedTuple):
    """A model with its score. low, high: the score's interval, NaN where there is none.

    ahead: by how much the choice is better, with that difference's interval; None of the choice
    itself, NaN where nothing is known.
    """

    name: str
    score: float
    low: float = math.nan
    high: float = math.nan
    ahead: tuple[float, float, float] | None = None


def on_folds(
    study: "Study", choice: "Choice", y: np.ndarray | None, given: Mapping[str, Any] | None
) -> list[Compared]:
    """The choice, what needs no features, and ``given`` scores by name, on the folds of a study.

    A given score is a number, or one of each fold, [F], which is compared in pairs. Intervals are
    one standard error to either side.

    Raises a ValueError for scores of another shape.
    """
    f = len(study.folds)
    mean, error = study.summary(choice.metric)
    # Folds that are drawn several times over are no more rows, see ``Study.summary``.
    plain = study.scores[choice.metric][choice.index].mean(-1)
    rows = np.concatenate([np.asarray(valid) for _, valid in study.folds])
    widen = math.sqrt(max(1.0, len(rows) / max(1, len(np.unique(rows)))))
    sign = 1 if study.maximize else -1
    found = [
        Compared(
            "the choice", float(mean[choice.index]), *_around(mean[choice.index], error[choice.index])
        )
    ]  # fmt: skip
    for name, scores in {**_constant(study, choice.metric, y), **(given or {})}.items():
        scores = np.asarray(scores, float)
        if scores.shape not in ((), (f,)):
            raise ValueError(
                f"the score of {name!r} is one number or {f}, one of each fold, not of shape "
                f"{list(scores.shape)}"
            )
        ahead = sign * (plain - scores)
        spread = lambda v: v.std(ddof=1) / math.sqrt(f) * widen if f > 1 else math.nan
        own = spread(scores) if scores.shape else math.nan
        found.append(
            Compared(str(name), float(scores.mean()), *_around(scores.mean(), own),
                     (float(ahead.mean()), *_around(ahead.mean(), spread(ahead))))
        )  # fmt: skip
    return found


def _around(mean: float, error: float) -> tuple[float, float]:
    return float(mean - error), float(mean + error)


def _constant(study: "Study", metric: str, y: np.ndarray | None) -> dict[str, np.ndarray]:
    """Scores [F] of what is the best for each training part without features.

    Classes have the shares ``(n_k + 1) / (n + K)`` there (Laplace's rule), numbers their mean.
    """
    if y is None or y.ndim != 1:
        return {}
    parts = [(y[train], y[valid]) for train, valid in study.folds]
    of_fold = lambda score: np.array([score(train, valid) for train, valid in parts])
    if metric in ("squared_error", "rmse") and not has_labels(study, y):
        squared = lambda train, valid: np.mean((valid - train.mean(dtype=float)) ** 2)
        root = np.sqrt if metric == "rmse" else lambda v: v
        return {"the mean": root(of_fold(squared))}
    if metric not in ("accuracy", "nll") or not has_labels(study, y) or y.min(initial=0) < 0:
        return {}
    y = y.astype(np.int64)
    k = int(y.max()) + 1
    shares = lambda train: (np.bincount(train, minlength=k) + 1) / (len(train) + k)
    if metric == "accuracy":
        return {
            "the most frequent class": of_fold(lambda t, v: np.mean(v == shares(t).argmax()))
        }  # fmt: skip
    return {"the class frequencies": of_fold(lambda t, v: -np.mean(np.log(shares(t)[v])))}


def comparison(metric: str, models: Sequence[Compared], how: str) -> Html | None:
    """The section: a table with a picture of the intervals; None without another model."""
    if len(models) < 2:
        return None
    ends = np.array([[m.score, m.low, m.high] for m in models], float)
    ends = ends[np.isfinite(ends)]
    scale = scales.of_numbers(float(ends.min()), float(ends.max())) if len(ends) else None
    rows = []
    for i, m in enumerate(models):
        ahead = "" if m.ahead is None else number(m.ahead[0], 3)
        rows.append([
            tag("strong", m.name) if i == 0 else m.name, number(m.score),
            [_bar(scale, m, i == 0), _between(m.low, m.high)], ahead, _between(*m.ahead[1:], digits=3) if m.ahead else "",
        ])  # fmt: skip
    shown = metric.replace("_", " ")
    header = ["model", shown, "its interval", "choice is better by", "interval of that"]
    return section("baselines", "Against baselines", table(header, rows, f"{shown} {how}"))


def _between(low: float, high: float, digits: int = 4) -> str:
    if not (math.isfinite(low) and math.isfinite(high)):
        return "–"
    return f"{number(low, digits)} to {number(high, digits)}"


def _bar(scale: scales.Scale | None, model: Compared, chosen: bool) -> Html | None:
    """The interval on the scale of all; the cells beside it say the same."""
    if scale is None or not math.isfinite(model.score):
        return None
    frame = Frame(140, 16, left=6, right=6, top=0, bottom=0)
    at = frame.x(scale([model.score, model.low, model.high]))
    kind = "strong" if chosen else "plain"
    parts = [drawing.line(6, 8, 134, 8, "grid")]
    if np.isfinite(at).all():
        parts.append(drawing.line(at[1], 8, at[2], 8, f"interval {kind}"))
    parts.append(drawing.dot(at[0], 8, 4, f"estimate {kind}"))
    return tag(
        "svg", parts, aria_hidden="true", viewBox="0 0 140 16", width=140, height=16, class_="bar"
    )
