"""Grids of images, of a convolution's filters, and of its feature maps.

Functions return a Figure and leave pyplot alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def image_grid(
    images: Any,
    titles: Sequence[str] | None = None,
    *,
    columns: int | None = None,
    low: float | None = None,
    high: float | None = None,
    cmap: str = "gray_r",
) -> Figure:
    """Images [N, H, W] or [N, H, W, D], D = 1 or 3 colours, one beside the other in rows.

    Args:
      titles: N texts, one above each image.
      columns: images in a row; by default somewhat more than there are rows.
      low, high: the values of the lightest and the darkest shade, for all images alike; by default
        the least and the greatest of the finite values. Colours are scaled by them too.
      cmap: of images with one channel; the default is dark on light.

    Raises a ValueError for arrays of another shape, and for titles that are not N.
    """
    images = np.asarray(images, np.float32)
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or not images.size:
        raise ValueError(
            f"images must be [N, H, W], or [N, H, W, D] with D 1 or 3, not {list(images.shape)}"
        )
    finite = images[np.isfinite(images)]
    low = float(finite.min() if finite.size else 0) if low is None else low
    high = float(finite.max() if finite.size else 1) if high is None else high
    if images.shape[-1] == 3:
        images = np.clip((images - low) / (high - low if high > low else 1), 0, 1)
    else:
        images = images[..., 0]
    return _grid(images, titles, columns, {"vmin": low, "vmax": high, "cmap": cmap})


def filter_grid(
    kernel: Any, titles: Sequence[str] | None = None, *, columns: int | None = None
) -> Figure:
    """The filters of a kernel [H, W, D_in, D_out], a row for each input and a column for each output.

    A kernel with one input is laid out in rows of ``columns`` instead. Blue is negative, red is
    positive and white is 0, on one scale for all. ``titles`` are of the outputs. Raises a ValueError
    for another shape. Notes: §6.
    """
    kernel = np.asarray(kernel, np.float32)
    if kernel.ndim != 4 or not kernel.size:
        raise ValueError(f"a kernel must be [H, W, D_in, D_out], not {list(kernel.shape)}")
    d_in, d_out = kernel.shape[2:]
    filters = np.moveaxis(kernel, (2, 3), (0, 1))  # [D_in, D_out, H, W]
    if titles is not None:
        titles = [*titles, *[""] * (d_out * (d_in - 1))]
    columns = columns if d_in == 1 else d_out
    return _signed(filters.reshape(d_in * d_out, *kernel.shape[:2]), titles, columns)


def feature_map_grid(
    maps: Any, titles: Sequence[str] | None = None, *, columns: int | None = None
) -> Figure:
    """The channels of feature maps [H, W, D] of one image, on one scale; a row for each of [N, H, W, D].

    Maps without negative values are shades of grey, others blue and red as in ``filter_grid``.
    ``titles`` are of the channels. Raises a ValueError for another shape. Notes: §6.
    """
    maps = np.asarray(maps, np.float32)
    if maps.ndim not in (3, 4) or not maps.size:
        raise ValueError(f"feature maps must be [H, W, D] or [N, H, W, D], not {list(maps.shape)}")
    several = maps if maps.ndim == 4 else maps[None]
    number, high, wide, channels = several.shape
    panels = np.moveaxis(several, -1, 1).reshape(number * channels, high, wide)
    if titles is not None:
        titles = [*titles, *[""] * (channels * (number - 1))]
    columns = columns if maps.ndim == 3 else channels
    if np.nanmin(panels) < 0:
        return _signed(panels, titles, columns)
    return image_grid(panels, titles, columns=columns)


def _signed(panels, titles, columns):
    finite = np.abs(panels[np.isfinite(panels)])
    largest = float(finite.max()) if finite.size and finite.max() > 0 else 1.0
    return _grid(panels, titles, columns, {"vmin": -largest, "vmax": largest, "cmap": "RdBu_r"})


def _even(number):
    """Columns for ``number`` panels: the fewest empty places, then as wide as it is pleasant."""
    least = math.ceil(math.sqrt(number))
    choices = range(least, 2 * least + 1)
    return min(choices, key=lambda c: (-number % c, abs(c - math.sqrt(1.5 * number))))


def _grid(images, titles, columns, shades):
    """A panel for each of ``images`` [N, H, W] or [N, H, W, 3], and a bar of the shades."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    number = len(images)
    if titles is not None and len(titles) != number:
        raise ValueError(f"titles must be {number}, one for each image, not {len(titles)}")
    columns = min(number, columns or _even(number))
    rows = math.ceil(number / columns)
    side = float(np.clip(10 / max(columns, rows), 0.45, 1.4))
    height = side * images.shape[1] / images.shape[2] + (0.22 if titles is not None else 0)
    size = (side * columns + 1.0, max(height * rows, 1.0) + 0.15)
    layout = ConstrainedLayoutEngine(w_pad=0.035, h_pad=0.035, wspace=0.02, hspace=0.02)
    figure = Figure(figsize=size, dpi=120, layout=layout)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels[number:]:
        axes.set_visible(False)
    for i, (axes, image) in enumerate(zip(panels, images, strict=False)):
        drawn = axes.imshow(image, interpolation="nearest", **shades)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set(color="0.6", linewidth=0.6)
        if titles is not None:
            axes.set_title(str(titles[i]), fontsize=8, pad=2)
    if images.ndim == 3:
        bar = figure.colorbar(drawn, ax=panels[:number], shrink=0.9, aspect=20, pad=0.02)
        bar.ax.tick_params(labelsize=8)
    return figure
