"""Metrics of real predictions, and the mean of any loss on held-out data. Notes: §3.1."""

from collections.abc import Callable

import jax.numpy as jnp

from jaxdl.arrays import counted, floating, masked_mean, rows_of, safe_divide
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
    error = counted(floating(y_true) - y_pred, mask)
    unit = _unit(error)
    total = jnp.sum(jnp.square(error / unit), axis=0)
    root = unit * jnp.sqrt(safe_divide(total, jnp.sum(rows_of(mask, len(error)))))
    return root if multioutput == "raw_values" else jnp.mean(root)


def r2_score(y_true: Array, y_pred: Array, *, mask: Array | None = None) -> Array:
    """``1 - sum (y - f)^2 / sum (y - mean y)^2``, [] for y and f [N].

    Of a constant y it is 1 where f is that constant too, else 0, as in scikit-learn; constant is
    what has equal values, whatever their mean rounds to. Of less than two rows it is NaN, as there.
    Raises ValueError for other shapes.

    >>> r2_score(jnp.full(3, 0.1), jnp.array([0.1, 0.1, 0.2])).item()
    0.0
    """
    y, f = map(floating, same_rows(y_true, y_pred))
    if y.ndim != 1:
        raise ValueError(f"y_true and y_pred must be [N], not {y.shape}")
    rows = rows_of(mask, len(y))
    apart = jnp.where(rows, y - y[jnp.argmax(rows)], 0)  # from some row that counts
    apart = jnp.where(rows, apart - safe_divide(jnp.sum(apart), jnp.sum(rows)), 0)
    error, unit = jnp.where(rows, y - f, 0), _unit(apart)
    residual, total = (jnp.sum(jnp.square(v / unit)) for v in (error, apart))
    r2 = jnp.where(total > 0, 1 - safe_divide(residual, total), residual == 0)
    return jnp.where(jnp.sum(rows) < 2, jnp.nan, r2)


def held_out_loss(loss: Callable, predictions: Array, y: Array, *, mask: Array | None = None):
    """The mean, [], of ``loss(predictions, y) -> [N]`` on held-out data. Notes: L495, §3.1."""
    values = loss(predictions, y)
    return masked_mean(values, rows_of(mask, len(values)))


def _unit(values):
    """The largest size in each column of values [N, ...], 1 where that is 0: the unit to square in.

    Squares of 1e20 overflow in float32, those of 1e-25 vanish.
    """
    size = jnp.max(jnp.abs(values), axis=0)
    return jnp.where((size > 0) & jnp.isfinite(size), size, 1)
