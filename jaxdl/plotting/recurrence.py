"""Pictures of recurrences. Functions return a matplotlib Figure and leave pyplot alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from jaxdl.plotting.axes import _figure, _legend

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def norms_through_time(norms: Mapping[str, Sequence[float]]) -> Figure:
    """``|dl/dh_t|`` by t = 1, ..., T on a log axis, ``norms`` being {name: [T]}.

    A line that falls towards t = 1 is a gradient that vanishes, and one that rises explodes; norms
    of 0 and those that are not finite are gaps. Raises ValueError for no line, and for norms that
    are not [T]. See ``autodiff.gradient_norms_through_time``. Notes: L973, §7.1.
    """
    if not norms:
        raise ValueError("there are no norms to draw")
    figure, (axes,) = _figure(4.8, 3.2)
    for name, values in norms.items():
        values = np.asarray(values, float)
        if values.ndim != 1:
            raise ValueError(f"norms through time are [T], but {name!r} is {list(values.shape)}")
        shown = np.where(np.isfinite(values) & (values > 0), values, np.nan)
        axes.plot(np.arange(1, len(values) + 1), shown, label=name)
    axes.set_yscale("log")
    axes.set_xlabel("time $t$")
    axes.set_ylabel(r"$\|\partial \ell / \partial \mathbf{h}_t\|$")
    _legend(figure, axes)
    return figure
