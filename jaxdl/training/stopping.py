"""Early stopping: when a run has stopped getting better, and its best state."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.base import Array

HIGHER_IS_BETTER = ("accuracy", "f1", "r2", "auc")


def higher_is_better(metric: str) -> bool:
    """Whether more of a metric is better: for accuracies, not for losses; no shape is involved."""
    return any(metric == name or metric.startswith(f"{name}_") for name in HIGHER_IS_BETTER)


class EarlyStopping(NamedTuple):
    """Stop a run once its validation score has not improved for a while.

    patience: epochs without an improvement; may be traced.
    min_delta: by how much a score must beat the best one to count; may be traced.
    metric: one of the learner's, default its loss (the negative log-likelihood, say).
    restore_best: give back the state of the best epoch, not of the last.

    A score is taken wherever the run is evaluated, so ``patience`` less than ``evaluate_every``
    stops at the first evaluation that is no better. Source: Prechelt (1998), criterion UP.
    """

    patience: float | Array = 10
    min_delta: float | Array = 0.0
    metric: str | None = None
    restore_best: bool = True


class Best(NamedTuple):
    """score: [] the best so far, of a loss or a negated accuracy. epoch: [] after which; 0 if none.
    state: the learner's state then, or () where it is not kept."""

    score: Array
    epoch: Array
    state: Any


def default_metric(metrics: list[str]) -> str:
    """The first metric by name that is a loss, else the first; no shape is involved."""
    return next((m for m in sorted(metrics) if not higher_is_better(m)), sorted(metrics)[0])


def check(stopping: EarlyStopping, metrics: list[str], evaluated: bool) -> EarlyStopping:
    """The same with its metric's name filled in.

    Raises a ValueError for an unknown metric, numbers below 0 that are not traced, and where
    nothing is evaluated; no shape is involved.
    """
    if not isinstance(stopping, EarlyStopping):
        raise ValueError(f"early_stopping takes an EarlyStopping, not {stopping!r}")
    if not evaluated:
        raise ValueError("early stopping needs validation data")
    metric = stopping.metric or default_metric(metrics)
    if metric not in metrics:
        raise ValueError(f"early stopping by {metric!r}, but the metrics are {', '.join(metrics)}")
    for name in ("patience", "min_delta"):
        value = getattr(stopping, name)
        if isinstance(value, jax.Array):  # traced, maybe
            continue
        number = isinstance(value, (int, float, np.number, np.ndarray)) and np.ndim(value) == 0
        if not (number and np.isfinite(value) and value >= 0):
            raise ValueError(f"{name} of early stopping must be 0 or more, not {value!r}")
    return stopping._replace(metric=metric)


def check_patience(
    stopping: EarlyStopping, best: Best, score: Array, epoch: Array
) -> tuple[Array, Array]:
    """Whether an ``oriented`` score [] after ``epoch`` [] beats the best, and whether patience ends.

    Returns two [] bools. A NaN never beats anything. Source: Prechelt (1998).
    """
    better = score < best.score - stopping.min_delta
    return better, ~better & (epoch - best.epoch >= stopping.patience)


def as_loss(stopping: EarlyStopping, score: Array) -> Array:
    """The score [] so that less is better."""
    return -score if higher_is_better(stopping.metric) else score


def before(dtype, state: Any) -> Best:
    """The Best before the first epoch: an infinite score [] of that dtype."""
    return Best(jnp.full((), jnp.inf, dtype), jnp.zeros((), jnp.int32), state)
