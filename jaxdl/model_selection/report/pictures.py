"""Pictures of settings against the score: parallel coordinates, and every pair of settings."""

import itertools
from typing import TYPE_CHECKING

import numpy as np

from jaxdl.model_selection.report import drawing, scales
from jaxdl.model_selection.report.drawing import Frame
from jaxdl.model_selection.report.markup import Html, number, scrolling, section, tag
from jaxdl.model_selection.report.settings import varying
from jaxdl.model_selection.words import in_words, plain

if TYPE_CHECKING:
    from jaxdl.model_selection.study import Choice, Study

MOST_LINES = 300  # settings in a picture: the best, and of the rest every so many
MOST_AXES = 8
MOST_PAIRED = 4  # settings in pairs: 6 panels
SHADES = 5  # of scores


def against_score(study: "Study", choice: "Choice | None") -> Html | None:
    """The section; None where no setting varies or none has a score."""
    mean, _ = study.summary()
    ranked = [int(s) for s in study.ranking() if np.isfinite(mean[s])]
    names = varying(study)
    if not names or len(ranked) < 2:
        return None
    shown = _sample(ranked, None if choice is None else choice.index)
    score = scales.of_scores(mean[shown], study.maximize)
    metric = study.metric.replace("_", " ")
    shades = _shades(len(shown))
    placed = {
        name: scales.of_settings([plain(study.hparams[s].get(name)) for s in shown])
        for name in names[:MOST_AXES]
    }
    said = []
    if len(shown) < len(study.hparams):
        said.append(f"Drawn are {len(shown)} of {len(study.hparams)} settings.")
    if len(names) > MOST_AXES:
        said.append(f"Of {len(names)} settings that vary the first {MOST_AXES} have an axis.")
    beyond = _beyond(mean[shown], score)
    if beyond:
        said.append(f"{beyond} with a far worse score are drawn on the edge.")
    chosen = None if choice is None else choice.index
    lines = _parallel(study, mean[shown], shown, placed, score, shades, chosen, metric)
    panels = [
        _single(name, placed[name], score, mean[shown], shown, shades, chosen, metric)
        for name in list(placed)[:MOST_AXES]
    ]
    pairs = [
        _pair(a, b, placed, shown, shades, chosen)
        for a, b in itertools.combinations(list(placed)[:MOST_PAIRED], 2)
    ]
    return section(
        "pictures",
        "Settings against the score",
        tag("p", " ".join(said)) if said else None,
        lines if len(placed) > 1 else None,
        drawing.figure(
            f"Each setting alone against {metric}, best on top. The ring is the choice.", panels
        ),
        drawing.figure(
            "Settings in pairs: the stronger and larger, the better the score; on each other the "
            "best is on top. The ring is the choice. The table of settings has the numbers.",
            pairs,
        )
        if pairs
        else None,
    )


def _sample(ranked: list[int], chosen: int | None) -> list[int]:
    """At most MOST_LINES settings in their order: the best half, then evenly spaced ones."""
    if len(ranked) > MOST_LINES:
        best = MOST_LINES // 2
        rest = np.linspace(best, len(ranked) - 1, MOST_LINES - best).round().astype(int)
        kept = {*ranked[:best], *(ranked[i] for i in rest), chosen}
        ranked = [s for s in ranked if s in kept]
    return ranked


def _shades(count: int) -> np.ndarray:
    """Shades [count] of settings in their order, the best SHADES - 1, in equal parts."""
    return SHADES - 1 - np.arange(count) * SHADES // count


def _beyond(mean: np.ndarray, score: scales.Scale) -> int:
    low, high = sorted((score.low, score.high))
    margin = 1e-9 * (high - low)
    return int(np.sum((mean < low - margin) | (mean > high + margin)))


def _parallel(study, mean, shown, placed, score, shades, chosen, metric) -> Html:
    """A line for each setting through all its values to its score."""
    names = [*placed, metric]
    frame = Frame(max(340, 118 * len(names)), 300, left=64, right=64, top=34, bottom=14)
    at = frame.x(np.arange(len(names)) / (len(names) - 1))
    heights = np.stack([*(frame.y(p.places) for p in placed.values()), frame.y(score(mean))])
    parts = []
    for i in reversed(range(len(shown))):  # the best on top
        s = shown[i]
        kind = f"setting q{shades[i]}" + " chosen" * (s == chosen)
        title = tag("title", f"{in_words(study.hparams[s])}: {metric} {number(float(mean[i]))}")
        line = drawing.path(at, heights[:, i], kind, data_s=s)
        parts.append(Html(line.replace("</path>", f"{title}</path>")))
    ticks = [*(p.ticks for p in placed.values()), score.ticks]
    low, high = frame.y([0, 1])
    for name, x, marks in zip(names, at, ticks, strict=True):
        parts.append(drawing.line(x, low, x, high, "axis"))
        parts.append(drawing.words(x, 16, name, "middle", "label"))
        last = name == metric
        parts += [
            drawing.words(x + (7 if last else -7), frame.y(p) + 4, text, "start" if last else "end")
            for p, text in marks
        ]
    caption = (
        f"Each line is one setting, from its values to its {metric} at the right, best on top; "
        "the strong line is the choice. Pointing at a line names it, and a setting's rank in the "
        "table marks it."
    )
    picture = drawing.svg(frame, "Parallel coordinates of settings and score", *parts)
    return drawing.figure(caption, scrolling(picture, "Parallel coordinates"), kind="wide")


def _single(name, placed, score, mean, shown, shades, chosen, metric) -> Html:
    frame = Frame()
    x, y = frame.x(placed.places), frame.y(score(mean))
    picture = [drawing.axes(frame, placed.ticks, score.ticks, name, metric)]
    return drawing.svg(frame, f"{metric} by {name}", *picture, _dots(x, y, shown, shades, chosen))


def _pair(a, b, placed, shown, shades, chosen) -> Html:
    frame = Frame(left=74)
    x, y = frame.x(placed[a].places), frame.y(placed[b].places)
    return drawing.svg(
        frame,
        f"The score by {a} and {b}",
        drawing.axes(frame, placed[a].ticks, placed[b].ticks, a, b),
        _dots(x, y, shown, shades, chosen),
    )


def _dots(x, y, shown, shades, chosen) -> list[Html]:
    parts = [
        drawing.dot(x[i], y[i], 3 + 0.5 * shades[i], f"setting q{shades[i]}", data_s=shown[i])
        for i in reversed(range(len(shown)))
    ]
    if chosen in shown:
        i = shown.index(chosen)
        parts.append(drawing.dot(x[i], y[i], 8, "ring"))
    return parts
