"""What a figure says, measured; and the canvas that all figures share."""

from typing import Any, NamedTuple


class Claim(NamedTuple):
    """text: what must hold. holds: whether it does. measured: {name: the figures behind it}."""

    text: str
    holds: bool
    measured: dict[str, Any]


def claim(text: str, holds, **measured) -> Claim:
    """A Claim of plain Python values; arrays become lists."""
    import numpy as np

    def plain(value):
        array = np.asarray(value)
        if array.dtype.kind == "f":
            return np.vectorize(lambda v: float(f"{v:.6g}"))(array).tolist()
        return array.tolist()

    return Claim(text, bool(holds), {name: plain(value) for name, value in measured.items()})


def canvas(rows: int = 1, columns: int = 1, *, size: tuple[float, float] = (4.2, 3.4), **options):
    """A Figure with ``rows`` x ``columns`` panels of ``size`` inches, and its axes, flat."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(size[0] * columns, size[1] * rows), dpi=110, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **options).ravel()
    for panel in axes:
        panel.spines[["top", "right"]].set_visible(False)
    return figure, axes


def regions(axes, x, y, classes, extent: float, num_classes: int = 3) -> None:
    """Colour the plane by the predicted ``classes`` [G, G] and put the points x [N, 2] on it."""
    colors = [f"C{k}" for k in range(num_classes)]
    axes.contourf(
        classes, levels=[k - 0.5 for k in range(num_classes + 1)], colors=colors, alpha=0.25,
        extent=(-extent, extent, -extent, extent),
    )  # fmt: skip
    for k, color in enumerate(colors):
        axes.scatter(*x[y == k].T, s=7, color=color, lw=0)
    axes.set(xlim=(-extent, extent), ylim=(-extent, extent), xticks=[], yticks=[])


def grid(extent: float, side: int):
    """The points of a square grid around 0, [side * side, 2]."""
    import numpy as np

    ticks = np.linspace(-extent, extent, side)
    return np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
