"""Early stopping: when a run has stopped getting better, and its best state."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.base import Array
from jaxdl.metrics import directions


class EarlyStopping(NamedTuple):
    """Stop a run once its validation score has not improved for a while.

    patience: epochs without an improvement; may be traced.
    min_delta: by how much a score must beat the best one to count; may be traced.
    metric: one of the learner's, default its negative log-likelihood ``nll``, where it has none the
        first loss by name.
    restore_best: give back the state of the best epoch, not of the last.
    maximize: whether more of the metric is better. None where its name says so (``accuracy``,
        ``nll``, see ``metrics.directions``); for any other it must be said.

    A score is taken wherever the run is evaluated, so ``patience`` less than ``evaluate_every``
    stops at the first evaluation that is no better. Source: Prechelt (1998), criterion UP.
    """

    patience: float | Array = 10
    min_delta: float | Array = 0.0
    metric: str | None = None
    restore_best: bool = True
    maximize: bool | None = None


class Best(NamedTuple):
    """score: [] the best so far, as a loss. epoch: [] after which; 0 if none.
    state: the learner's state then, or () where it is not kept."""

    score: Array | np.floating
    epoch: Array | np.integer
    state: Any


def check(stopping: EarlyStopping, metrics: Sequence[str], evaluated: bool) -> EarlyStopping:
    """The EarlyStopping with its metric and direction filled in.

    Raises a ValueError for a metric that the learner has not, one whose direction is not known,
    numbers below 0 that are not traced, and where nothing is evaluated.
    """
    if not isinstance(stopping, EarlyStopping):
        raise ValueError(
            f"early_stopping takes an EarlyStopping, EarlyStopping(patience=10) say, not {stopping!r}"
        )
    if not evaluated:
        raise ValueError("early stopping needs validation data")
    metric = stopping.metric or directions.default_metric(metrics)
    if metric not in metrics:
        raise ValueError(f"early stopping by {metric!r}, but the metrics are {', '.join(metrics)}")
    for name in ("patience", "min_delta"):
        value = getattr(stopping, name)
        if isinstance(value, jax.Array):  # traced, maybe
            continue
        number = isinstance(value, (int, float, np.number, np.ndarray)) and np.ndim(value) == 0
        if not (number and np.isfinite(value) and value >= 0):
            raise ValueError(f"{name} of early stopping must be 0 or more, not {value!r}")
    return stopping._replace(
        metric=metric,
        maximize=directions.resolve(
            metric, stopping.maximize, "EarlyStopping(maximize=True) or False"
        ),
    )


def check_patience(
    stopping: EarlyStopping,
    best: Best,
    score: Array | np.floating,
    epoch: Array | int,
) -> tuple[Any, Any]:
    """Whether a score [] after ``epoch`` [] beats the best, and whether patience has run out.

    Of two scores the lower is better, see ``as_loss``; a NaN never beats anything. Returns two
    [] bools. Source: Prechelt (1998).
    """
    better = score < best.score - stopping.min_delta
    return better, ~better & (epoch - best.epoch >= stopping.patience)


def before(dtype, state: Any) -> Best:
    """The Best before the first epoch: an infinite score of that dtype."""
    return Best(jnp.full((), jnp.inf, dtype), jnp.zeros((), jnp.int32), state)
