"""Where predictions fail: confusions, calibration or residuals, the worst rows."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxdl.metrics import reliability
from jaxdl.model_selection.report import drawing, scales
from jaxdl.model_selection.report.drawing import Frame
from jaxdl.model_selection.report.markup import Html, behind, number, section, table, tag
from jaxdl.model_selection.report.predicted import Predicted

MOST_CLASSES = 20  # of a confusion matrix
MOST_CONFUSIONS = 20
MOST_DOTS = 1000
WORST = 20
MOST_COLUMNS = 8
BINS = 10


def failures(predicted: Predicted) -> list[Html]:
    """The sections on predictions; none where there are no rows."""
    if not len(predicted.y):
        return []
    said = tag("p", f"Of {len(predicted.y):,} rows: {predicted.said}.")
    if predicted.classes is None:
        return [section("residuals", "Residuals", said, *_residuals(predicted)), _worst(predicted)]
    return [
        section("confusion", "Confusion", said, *_confusion(predicted, predicted.classes)),
        section("calibration", "Calibration", *_calibration(predicted)),
        _worst(predicted),
    ]


def counts_of(predicted: Predicted) -> np.ndarray:
    """Counts [K, K] of true classes by predicted ones."""
    k = predicted.outputs.shape[1]
    pairs = predicted.y * k + predicted.outputs.argmax(1)
    return np.bincount(pairs, minlength=k * k).reshape(k, k)


def _confusion(predicted: Predicted, names: list[str]) -> list[Html]:
    counts = counts_of(predicted)
    parts = []
    if len(names) <= MOST_CLASSES:
        share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
        cell = lambda i, j: tag(
            "span", f"{counts[i, j]:,}" if counts[i, j] else "·",
            class_=f"heat h{int(np.ceil(share[i, j] * 5))}" + " right" * (i == j),
        )  # fmt: skip
        rows = [[names[i], *(cell(i, j) for j in range(len(names)))] for i in range(len(names))]
        caption = "True classes by row, predicted ones by column; shaded by the share of the row"
        parts.append(table(["true \\ predicted", *names], rows, caption))
    wrong = counts - np.diag(np.diag(counts))
    most = np.argsort(wrong, axis=None, kind="stable")[::-1][:MOST_CONFUSIONS]
    pairs = [(*np.unravel_index(at, wrong.shape), wrong.flat[at]) for at in most if wrong.flat[at]]
    if len(names) > MOST_CLASSES:
        rows = [[names[i], names[j], f"{n:,}"] for i, j, n in pairs]
        parts.append(
            table(["true", "taken for", "rows"], rows, "The most frequent confusions", texts=2)
        )
    of_class, given, right = counts.sum(1), counts.sum(0), np.diag(counts)
    ratio = lambda a, b: number(float(a / b)) if b else "–"
    rows = [
        [names[k], f"{of_class[k]:,}", ratio(right[k], of_class[k]), ratio(right[k], given[k])]
        for k in np.argsort(right / np.maximum(of_class, 1), kind="stable")[: 2 * MOST_CLASSES]
    ]
    caption = "By class, the one that is found least first"
    parts.append(table(["class", "rows", "found (recall)", "right when said (precision)"], rows, caption))  # fmt: skip
    return parts


def _calibration(predicted: Predicted) -> list[Html]:
    """Accuracy by confidence. Source: Guo et al. (2017)."""
    bins = reliability(jnp.asarray(predicted.outputs), jnp.asarray(predicted.y), num_bins=BINS)
    edges, count, confidence, accuracy = (np.asarray(a, float) for a in bins)
    error = float(np.sum(count / count.sum() * np.abs(accuracy - confidence)))
    some = np.flatnonzero(count)
    frame, unit = Frame(), scales.of_numbers(0, 1)
    largest = count.max()
    parts = [drawing.axes(frame, unit.ticks, unit.ticks, "confidence", "share right")]
    (left, right), (low, high) = frame.x([0, 1]), frame.y([0, 1])
    parts.append(drawing.line(left, low, right, high, "axis dashed"))
    x, y = frame.x(confidence), frame.y(accuracy)
    parts += [drawing.line(x[b], frame.y(confidence[b]), x[b], y[b], "gap") for b in some]
    parts += [drawing.dot(x[b], y[b], 2 + 6 * np.sqrt(count[b] / largest), "point") for b in some]
    sure, true = confidence @ count / count.sum(), accuracy @ count / count.sum()
    lean = "surer than right" if sure > true else "less sure than right"
    caption = (
        f"Calibration error {number(error)}: the mean distance to the diagonal. On the whole "
        f"predictions are {lean}, {sure:.1%} against {true:.1%}. Dots below the diagonal are too "
        "sure; the larger, the more rows."
    )
    rows = [
        [f"{edges[b]:.1f} to {edges[b + 1]:.1f}", f"{count[b]:.0f}", number(confidence[b]), number(accuracy[b])]
        for b in some
    ]  # fmt: skip
    header = ["confidence", "rows", "mean confidence", "share right"]
    return [
        drawing.figure(caption, drawing.svg(frame, "Share right by confidence", *parts)),
        behind("The numbers of this picture", table(header, rows, "Rows by their confidence")),
    ]


def _residuals(predicted: Predicted) -> list[Html]:
    y, mean = predicted.y.astype(float), predicted.outputs.astype(float)
    residual = y - mean
    # The same dots for the same data; the largest residuals are among them.
    kept = np.arange(len(y))
    if len(y) > MOST_DOTS:
        worst = np.argsort(-np.abs(residual), kind="stable")[:WORST]
        evenly = np.linspace(0, len(y) - 1, MOST_DOTS - WORST).astype(int)
        kept = np.unique([*worst, *evenly])
    both = np.concatenate([y, mean])
    across = scales.of_numbers(float(mean.min()), float(mean.max()))
    value = scales.of_numbers(float(both.min()), float(both.max()))
    reach = float(np.abs(residual).max()) or 1.0
    beside = scales.of_numbers(-reach, reach)
    frame = Frame(left=64)
    dots = lambda scale, at: [
        drawing.dot(a, b, 2.5, "point small")
        for a, b in zip(frame.x(across(mean[kept])), frame.y(scale(at[kept])), strict=True)
    ]
    ends = frame.x([0, 1])
    level = frame.y(value([across.low, across.high]))
    zero = float(frame.y(beside(0.0)))
    pictures = [
        drawing.svg(
            frame, "Response by prediction",
            drawing.axes(frame, across.ticks, value.ticks, "prediction", "response"),
            dots(value, y), drawing.line(ends[0], level[0], ends[1], level[1], "axis dashed"),
        ),
        drawing.svg(
            frame, "Residual by prediction",
            drawing.axes(frame, across.ticks, beside.ticks, "prediction", "response - prediction"),
            dots(beside, residual), drawing.line(ends[0], zero, ends[1], zero, "axis dashed"),
        ),
    ]  # fmt: skip
    parts = np.array_split(np.argsort(mean, kind="stable"), min(BINS, len(y)))
    rows = [
        [f"{number(float(mean[p].min()))} to {number(float(mean[p].max()))}", f"{len(p):,}",
         number(float(mean[p].mean())), number(float(y[p].mean())),
         number(float(np.sqrt(np.mean(residual[p] ** 2))))]
        for p in parts
    ]  # fmt: skip
    header = ["prediction", "rows", "mean prediction", "mean response", "root mean squared error"]
    drawn = f" {len(kept):,} of {len(y):,} rows are drawn." if len(kept) < len(y) else ""
    caption = f"On the dashed lines predictions are right.{drawn}"
    calibrated = "Calibration: rows by tenths of the prediction; where it is right on average, the means agree"
    return [drawing.figure(caption, pictures), table(header, rows, calibrated)]


def _worst(predicted: Predicted) -> Html:
    losses = predicted.losses()
    worst = np.argsort(-losses, kind="stable")[:WORST]
    names = list(predicted.columns)[:MOST_COLUMNS]
    if predicted.classes is None:
        header = ["row", "response", "prediction", "off by", *names]
        about = lambda n: [number(v) for v in (
            float(predicted.y[n]), float(predicted.outputs[n]), float(losses[n]))]  # fmt: skip
        caption = f"The {len(worst)} rows with the largest residuals"
    else:
        header = ["row", "true class", "predicted", "its probability", "of the true one", *names]
        classes, outputs = predicted.classes, predicted.outputs
        about = lambda n: [
            classes[predicted.y[n]], classes[outputs[n].argmax()],
            f"{outputs[n].max():.3f}", f"{outputs[n, predicted.y[n]]:.3g}",
        ]  # fmt: skip
        caption = f"The {len(worst)} rows whose true class was given the least probability"
    cells = lambda n: [_cell(predicted.columns[name][n]) for name in names]
    rows = [[str(predicted.rows[n]), *about(n), *cells(n)] for n in worst]
    more = len(predicted.columns) - len(names)
    note = f"The first {len(names)} of {len(names) + more} columns are shown." if more else None
    return section(
        "worst",
        "Where it fails",
        tag("p", note) if note else None,
        table(header, rows, caption, texts=1 if predicted.classes is None else 3),
    )


def _cell(value: Any) -> str:
    if isinstance(value, (float, np.floating)):
        return number(float(value))
    text = str(value)
    return text if len(text) <= 60 else text[:59] + "…"
