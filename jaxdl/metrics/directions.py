"""Which way a metric is better: known by its name, or said by the caller; never guessed."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxdl.checks import nearest

HIGHER_IS_BETTER = (
    "accuracy", "auc", "average_precision", "balanced_accuracy", "bleu", "elbo", "exact_match", "f1", "f1_score",
    "log_likelihood", "macro_f1", "precision", "r2", "r2_score", "recall", "roc_auc", "token_accuracy", "top5_accuracy",
)  # fmt: skip
LOWER_IS_BETTER = (
    "absolute_error", "bits_per_character", "bits_per_dim", "bound_bits_per_dim", "brier", "calibration_error",
    "cross_entropy", "deviance", "energy_distance", "energy_score", "error", "frechet_distance", "kl", "log_loss", "loss", "mae",
    "mean_absolute_error", "mean_squared_error", "mmd", "mse", "negative_elbo", "nll", "nll_per_step", "perplexity", "rmse",
    "pinball", "pinball_loss", "reconstruction_error", "root_mean_squared_error", "squared_error",
    "zero_one_loss",
)  # fmt: skip


def known(metric: str) -> bool:
    """Whether the direction of a metric is known by its name.

    >>> known("rmse"), known("happiness")
    (True, False)
    """
    return metric in HIGHER_IS_BETTER or metric in LOWER_IS_BETTER


def resolve(
    metric: str, maximize: bool | None = None, say: str = "maximize=True or maximize=False"
) -> bool:
    """Whether more of a metric is better: as the caller says, else as its name is known for.

    ``say`` is what the message advises.

    Raises a ValueError for an unknown name without ``maximize``, and for a ``maximize`` that is
    neither True, False nor None.

    >>> resolve("accuracy"), resolve("nll"), resolve("my_score", maximize=True)
    (True, False, True)
    """
    if isinstance(maximize, (bool, np.bool_)):
        return bool(maximize)
    if maximize is not None:
        raise ValueError(f"maximize is True, False or None, not {maximize!r}")
    if not known(metric):
        near = nearest(metric, (*HIGHER_IS_BETTER, *LOWER_IS_BETTER))
        meant = f" (known is {near!r})" if near else ""
        raise ValueError(
            f"whether more or less of the metric {metric!r} is better is not known{meant}: "
            f"say {say}"
        )
    return metric in HIGHER_IS_BETTER


def as_loss(score: Any, maximize: bool | None) -> Any:
    """A score [...] so that less is better: ``-score`` of what is to be maximised.

    >>> as_loss(0.75, maximize=True)
    -0.75
    """
    return -score if maximize else score


def default_metric(metrics: Sequence[str]) -> str:
    """What a run goes by where nothing is said: ``nll``, else its first known loss by name.

    Where there is no known loss it is the first known metric, else the first.
    """
    losses = [m for m in metrics if m in LOWER_IS_BETTER]
    return min(losses or [m for m in metrics if known(m)] or metrics, key=lambda m: (m != "nll", m))
