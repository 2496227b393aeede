"""SVG pictures: a frame with axes, lines, dots; colours are the page's, light or dark."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxdl.model_selection.report.markup import Html, tag

Ticks = Sequence[tuple[float, str]]


class Frame(NamedTuple):
    """A panel of so many pixels; what is drawn lies between its margins."""

    width: int = 340
    height: int = 240
    left: int = 56
    right: int = 14
    top: int = 12
    bottom: int = 42

    def x(self, places: Any) -> Any:
        """Pixels of places in [0, 1], a number or an array."""
        return self.left + np.asarray(places) * (self.width - self.left - self.right)

    def y(self, places: Any) -> Any:
        """Pixels of places in [0, 1], 1 on top, a number or an array."""
        return (
            self.height - self.bottom - np.asarray(places) * (self.height - self.top - self.bottom)
        )


def svg(frame: Frame, label: str, *content: Any) -> Html:
    """A picture; screen readers are told its label."""
    return tag(
        "svg", content, role="img", aria_label=label, viewBox=f"0 0 {frame.width} {frame.height}",
        width=frame.width, height=frame.height,
    )  # fmt: skip


def axes(frame: Frame, x: Ticks, y: Ticks, x_label: str, y_label: str) -> Html:
    """Grid lines, ticks and labels of both axes."""
    left, right = frame.x([0, 1])
    low, high = frame.y([0, 1])
    parts = []
    for place, text in y:
        at = frame.y(place)
        parts += [line(left, at, right, at, "grid"), words(left - 6, at + 4, text, "end")]
    for place, text in x:
        at = frame.x(place)
        parts += [line(at, low, at, low + 4, "axis"), words(at, low + 17, text, "middle")]
    parts.append(line(left, low, right, low, "axis"))
    parts.append(words((left + right) / 2, frame.height - 6, x_label, "middle", "label"))
    turned = f"rotate(-90 12 {(low + high) / 2:.0f})"
    middle = (low + high) / 2
    parts.append(words(12, middle, y_label, "middle", "label", transform=turned))
    return tag("g", parts)


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Html:
    """A straight line."""
    return tag("path", class_=kind, d=f"M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}")


def words(x: float, y: float, text: str, anchor: str, kind: str = "tick", **more: Any) -> Html:
    """A short text; of a long one the beginning, and all of it when it is pointed at."""
    most = 32 if kind == "label" else 14
    short = text if len(text) <= most else text[: most - 1] + "…"
    title = tag("title", text) if short != text else None
    return tag(
        "text", short, title, x=f"{x:.1f}", y=f"{y:.1f}", text_anchor=anchor, class_=kind, **more
    )


def path(x: np.ndarray, y: np.ndarray, kind: str, **more: Any) -> Html:
    """A line through points [n], with a gap where one is not finite."""
    pieces, joined = [], False
    for a, b in zip(x, y, strict=True):
        if np.isfinite(a) and np.isfinite(b):
            pieces.append(f"{'L' if joined else 'M'}{a:.1f} {b:.1f}")
        joined = bool(np.isfinite(a) and np.isfinite(b))
    return tag("path", class_=kind, d="".join(pieces), **more)


def band(x: np.ndarray, low: np.ndarray, high: np.ndarray, kind: str) -> Html:
    """The area between two lines [n], where both are finite."""
    some = np.isfinite(low) & np.isfinite(high)
    x, low, high = x[some], low[some], high[some]
    outline = zip(np.concatenate([x, x[::-1]]), np.concatenate([high, low[::-1]]), strict=True)
    return tag("path", class_=kind, d="M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in outline) + "Z")


def dot(x: float, y: float, radius: float, kind: str, **more: Any) -> Html:
    """A dot."""
    return tag("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r=f"{radius:g}", class_=kind, **more)


def figure(caption: Any, *content: Any, kind: str = "panels") -> Html:
    """Pictures side by side, as far as there is room, with their caption."""
    return tag("figure", tag("div", content, class_=kind), tag("figcaption", caption))
