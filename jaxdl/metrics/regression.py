"""Metrics of real predictions, and the mean of any loss on held-out data. Notes: §3.1."""

from collections.abc import Callable

import jax.numpy as jnp

from jaxdl.arrays import counted, row_weights, safe_divide
from jaxdl.base import Array
from jaxdl.checks import one_of, same_rows


def root_mean_squared_error(
    y_true: Array, y_pred: Array, *, multioutput: str = "uniform_average", mask: Array | None = None
) -> Array:
    """``sqrt(1/M sum_m (y_m - f(x_m))^2)``, in the units of y [N] or [N, K]. Notes: L520 (D-26).

    Of K outputs the mean of their RMSEs, or all [K] with ``multioutput="raw_values"``.
    """
    y_true, y_pred = same_rows(y_true, y_pred)
    one_of("multioutput", multioutput, ("uniform_average", "raw_values"))
    weights = row_weights(y_true.shape[0], mask)
    root = jnp.sqrt(jnp.tensordot(weights, jnp.square(counted(y_true - y_pred, mask)), 1))
    return root if multioutput == "raw_values" else jnp.mean(root)


def r2_score(y_true: Array, y_pred: Array, *, mask: Array | None = None) -> Array:
    """``1 - sum (y - f)^2 / sum (y - mean y)^2`` for y [N]; 0 where y is constant."""
    y_true, y_pred = same_rows(y_true, y_pred)
    weights = row_weights(y_true.shape[0], mask)
    y = counted(y_true, mask)
    residual = jnp.vdot(weights, jnp.square(counted(y_true - y_pred, mask)))
    total = jnp.vdot(weights, jnp.square(y - jnp.vdot(weights, y)))
    return jnp.where(total > 0, 1 - safe_divide(residual, total), 0)


def held_out_loss(loss: Callable, predictions: Array, y: Array, *, mask: Array | None = None):
    """The mean, [], of ``loss(predictions, y) -> [N]`` on held-out data. Notes: L495, §3.1."""
    values = loss(predictions, y)
    return jnp.vdot(row_weights(values.shape[0], mask), counted(values, mask))
