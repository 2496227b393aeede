"""Learning curves of the best settings."""

from typing import TYPE_CHECKING

import numpy as np

from jaxdl.metrics import directions
from jaxdl.model_selection.report import drawing, scales
from jaxdl.model_selection.report.drawing import Frame
from jaxdl.model_selection.report.markup import Html, behind, section, table, tag, with_error
from jaxdl.model_selection.words import in_words

if TYPE_CHECKING:
    from jaxdl.model_selection.study import Choice, Study

BEST = 4  # settings
MOST_POINTS = 120  # of a line
MOST_EPOCHS = 20  # in the table


def learning_curves(study: "Study", choice: "Choice | None") -> Html | None:
    """The section; None where a study has no curves, or all of its settings failed."""
    mean, _ = study.summary()
    ranking = study.ranking().tolist()
    usable = [s for s in ranking if np.isfinite(mean[s])][:BEST]
    if choice is not None and choice.index not in usable:
        usable = [choice.index, *usable[: BEST - 1]]
    metric = next((m for m in (study.metric, "nll", *study.curves) if m in study.curves), None)
    if not usable or metric is None:
        return None
    chosen = usable[0] if choice is None else choice.index
    epochs = np.arange(1, study.train_loss.shape[-1] + 1)
    pictures = [
        _panel("training loss, with penalty", epochs, study.train_loss, {}, usable, chosen),
        _panel(
            metric.replace("_", " "), study.curve_epochs, study.curves[metric],
            {"training": study.train_curves[metric]} if metric in study.train_curves else {},
            usable, chosen,
        ),
    ]  # fmt: skip
    legend = tag(
        "ul",
        [
            tag("li", tag("span", class_=_kind(i, s, chosen)), f"{ranking.index(s) + 1}. ",
                in_words(study.hparams[s]), " (the choice)" if s == chosen else None)
            for i, s in enumerate(usable)
        ],
        class_="legend",
    )  # fmt: skip
    dashed = "; dashed, its training part" if metric in study.train_curves else ""
    caption = (
        f"The best settings by epoch: mean over folds and seeds, for the strong line with one "
        f"standard deviation{dashed}."
    )
    points = _thinned(len(study.curve_epochs), MOST_EPOCHS)
    numbers = [
        [str(study.curve_epochs[v]), *(with_error(*map(float, _middle(study.curves[metric][s][..., v]))) for s in usable)]
        for v in points
    ]  # fmt: skip
    better = "more" if directions.known(metric) and directions.resolve(metric) else "less"
    header = ["epoch", *(f"setting {ranking.index(s) + 1}" for s in usable)]
    return section(
        "curves",
        "Learning curves",
        drawing.figure([caption, legend], pictures),
        behind(
            "The numbers of this picture",
            table(
                header, numbers,
                f"{metric.replace('_', ' ')} on the held-out parts by epoch ({better} is better), "
                "mean ± standard deviation",
            ),
        ),
    )  # fmt: skip


def _kind(i: int, setting: int, chosen: int) -> str:
    return "curve strong" if setting == chosen else f"curve c{i}"


def _panel(label, epochs, values, more, settings, chosen) -> Html:
    """Lines [V] of values [S, F, K, V]; ``more`` are dashed ones of the chosen setting."""
    mean = {s: _middle(values[s])[0] for s in settings}
    mean_of, spread = _middle(values[chosen])
    dashed = [_middle(v[chosen])[0] for v in more.values()]
    every = np.concatenate([*mean.values(), *dashed])
    every = every[np.isfinite(every)]
    if not len(every):
        every = np.array([0.0, 1.0])
    log = bool(every.min() > 0 and every.max() > 10 * every.min())
    vertical = scales.of_numbers(float(every.min()), float(every.max()), log=log)
    horizontal = scales.of_numbers(float(epochs[0]), float(epochs[-1]))
    frame = Frame(height=260)
    points = _thinned(len(epochs), MOST_POINTS)
    x = frame.x(horizontal(epochs[points]))
    y = lambda line: frame.y(vertical(line[points]))
    parts = [drawing.axes(frame, horizontal.ticks, vertical.ticks, "epoch", label)]
    parts.append(drawing.band(x, y(mean_of - spread), y(mean_of + spread), "band"))
    ordered = sorted(enumerate(settings), key=lambda pair: pair[1] == chosen)
    parts += [drawing.path(x, y(mean[s]), _kind(i, s, chosen)) for i, s in ordered]
    parts += [drawing.path(x, y(line), "curve strong dashed") for line in dashed]
    return drawing.svg(frame, f"{label} by epoch", *parts)


def _middle(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean [...] and standard deviation of values [F, K, ...], over what is finite."""
    values = np.ma.masked_invalid(values.reshape(-1, *values.shape[2:]))
    filled = lambda a: np.ma.filled(np.ma.asarray(a, float), np.nan)[()]
    return filled(values.mean(0)), filled(values.std(0))


def _thinned(count: int, most: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))
