"""Linear models in closed form: least squares, ridge, leave-one-out. Notes: §1.2, §2.1, §3.3.

Every fit takes ``mask [N]``, the rows that count (None is all); what the other rows hold, NaN
included, changes nothing. So one program fits every fold of a split under ``vmap`` over masks.
Fitted parameters are ``{"kernel": w, "bias": b}``; without an offset there is no ``bias``.
"""

import jax
import jax.numpy as jnp

from jaxdl.arrays import counted, dot, mean_and_deviation, rows_of, safe_divide
from jaxdl.base import Array, Params
from jaxdl.models.ridge_solver import solve_ridge


def predict(params: Params, x: Array) -> Array:
    """The linear model f(x) = w'x, plus an offset if there is one.

    ``params`` is w itself or ``{"kernel": w, "bias": b}``. w [] with x [...] gives w x (§1.2);
    w [D] with x [..., D] gives [...] (Eq. 15); w [D, K] gives [..., K] (Eq. 17). Raises ValueError
    where the features of x are not those of w. Notes: Eqs. (11), (15), (17), L333.

    >>> predict({"kernel": jnp.array([2.0, -1.0]), "bias": 0.5}, jnp.ones((3, 2))).tolist()
    [1.5, 1.5, 1.5]
    """
    w, b = (params["kernel"], params.get("bias", 0)) if isinstance(params, dict) else (params, 0)
    w, x = jnp.asarray(w), jnp.asarray(x)
    if w.ndim == 0:
        return w * x + b
    if w.ndim > 2 or x.ndim == 0 or x.shape[-1] != w.shape[0]:
        raise ValueError(
            f"w must be a scalar, [D] or [D, K] with x [..., D]; got w {w.shape} and x {x.shape}"
        )
    return x @ w + b


def weighted_rows(x: Array, y: Array, mask: Array | None) -> tuple[Array, Array, Array]:
    """Rows that do not count set to zero, and the rows' weights m_n / sum m, [N].

    x [N, D] and y [N, ...]. Raises ValueError where x, y and mask differ in N.
    """
    x, y = jnp.asarray(x), jnp.asarray(y)
    if x.ndim != 2 or y.ndim == 0 or y.shape[0] != x.shape[0]:
        raise ValueError(f"x must be [N, D] and y [N, ...]; got x {x.shape} and y {y.shape}")
    dtype = jnp.result_type(x, float)
    if mask is None:
        return x.astype(dtype), y, jnp.full(x.shape[0], 1 / x.shape[0], dtype)
    mask = rows_of(mask, x.shape[0])
    return (
        counted(x, mask).astype(dtype),
        counted(y, mask),
        mask / jnp.maximum(jnp.sum(mask), 1).astype(dtype),
    )


def ols_univariate(x: Array, y: Array, mask: Array | None = None) -> Array:
    """The slope of the least-squares line through the origin.

    ``w* = sum_n x_n y_n / sum_n x_n^2`` for x [N] and y [N]; the minimiser of Eq. (1). Where all
    x_n are 0 every slope fits alike, and the one of minimum norm is returned: 0 (D-3).
    Raises ValueError where x and y are not both [N]. Notes: Eqs. (2)-(4), §1.2.

    >>> float(ols_univariate(jnp.array([1.0, 2.0]), jnp.array([2.0, 4.0])))
    2.0
    """
    x, y = jnp.asarray(x), jnp.asarray(y)
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(f"x and y must both be [N]; got x {x.shape} and y {y.shape}")
    x, y, _ = weighted_rows(x[:, None], y, mask)
    scale = jax.lax.stop_gradient(jnp.max(jnp.abs(x)))
    unit = x[:, 0] / jnp.where(scale > 0, scale, 1)
    slope = safe_divide(jnp.sum(unit * y), jnp.sum(jnp.square(unit)))
    return safe_divide(slope, scale)


def _solve(x, y, penalty, intercept, mask):
    """The ridge solution, and what leave-one-out needs of it: residuals and leverages.

    Rows carry sqrt(1/N), so that the singular values do not grow with them.
    """
    x, y, weights = weighted_rows(x, y, mask)
    if y.ndim > 2:
        raise ValueError(f"y must be [N] or [N, K]; got {y.shape}")
    counts = weights > 0
    root = jnp.sqrt(weights)[:, None]
    columns = y.reshape(len(y), -1).astype(x.dtype)
    x, x_mean = _centred(x, counts) if intercept else (x, jnp.zeros(x.shape[1], x.dtype))
    columns, y_mean = _centred(columns, counts) if intercept else (columns, 0)
    w, leverage = solve_ridge(x * root, columns * root, penalty)
    residuals = columns - dot(x, w)
    params = {"kernel": w.reshape(-1, *y.shape[1:])}
    if intercept:
        leverage = leverage + weights
        params["bias"] = (y_mean - dot(x_mean, w)).reshape(y.shape[1:])
    return params, residuals.reshape(y.shape), leverage, counts


def _centred(columns, counts):
    """Columns [N, D] less their means [D], and the means; zeros in rows that do not count."""
    rows = jnp.broadcast_to(counts[:, None], columns.shape)
    mean, _ = mean_and_deviation(columns, rows)
    return jnp.where(rows, columns - mean, 0), mean


def ridge(
    x: Array,
    y: Array,
    penalty: float | Array,
    *,
    intercept: bool = True,
    mask: Array | None = None,
) -> dict[str, Array]:
    """Least squares with an L2 penalty, in closed form.

    ``w* = (X'X/N + lambda I)^{-1} X'y/N``, the minimiser of
    ``1/N sum_n (y_n - w'x_n - b)^2 + lambda |w|^2``; the offset b is exempt from the penalty. N is
    the number of rows that count. It is computed by the singular values of columns of one length,
    never by squaring X: neither units nor the number of rows cost a digit, and lambda = 0 with
    collinear features gives the minimum-norm solution.

    Args:
      x: features [N, D].
      y: responses [N] or [N, K], each column fitted apart.
      penalty: lambda, traced or not; scikit-learn's ``Ridge(alpha=N * lambda)``.
      intercept: whether there is an offset b.
      mask: the rows that count, [N].

    Returns:
      ``{"kernel": [D] or [D, K], "bias": [] or [K]}``.

    Notes: L579, L590 (D-34); Hoerl & Kennard 1970.
    """
    return _solve(x, y, penalty, intercept, mask)[0]


def fit_least_squares(
    x: Array, y: Array, *, intercept: bool = True, mask: Array | None = None
) -> dict[str, Array]:
    """Ordinary least squares by singular values; of all minimisers the one of minimum norm.

    ``w* = argmin_w 1/N sum_n (y_n - w'x_n - b)^2`` for x [N, D] and y [N] or [N, K]; where that is
    not unique, the smallest ``|w|``, the offset apart. ``{"kernel", "bias"}`` as in ``ridge``.
    Notes: Eqs. (2), (5), (10), §2.1.

    >>> params = fit_least_squares(jnp.array([[0.0], [1.0], [2.0]]), jnp.array([1.0, 3.0, 5.0]))
    >>> [round(float(v), 4) for v in (params["kernel"][0], params["bias"])]
    [2.0, 1.0]
    """
    return ridge(x, y, 0.0, intercept=intercept, mask=mask)


def leave_one_out_residuals(
    x: Array,
    y: Array,
    penalty: float | Array = 0.0,
    *,
    intercept: bool = True,
    mask: Array | None = None,
) -> Array:
    """What each row's residual would be, had the model been fitted without that row.

    ``e_n / (1 - h_n)`` with ``h = diag(X (X'X + N lambda I)^{-1} X')``: N refits for the price of
    one (Allen 1974, PRESS). The sum of squares' share of the penalty, N lambda, is the same in
    every refit, as with scikit-learn's ``alpha``.

    Args:
      x, y, penalty, intercept, mask: as in ``ridge``.

    Returns:
      Residuals y - prediction, [N] or [N, K]; 0 for rows that do not count; NaN for a row that no
      other row can stand in for (h_n = 1), which leaving out makes the fit ambiguous.

    Notes: §3.1.1, leave-one-out cross-validation.
    """
    _, residuals, leverage, counted = _solve(x, y, penalty, intercept, mask)
    left = 1 - leverage
    ambiguous = left <= 16 * (x.shape[1] + 1) * jnp.finfo(left.dtype).eps
    factor = jnp.where(counted, 1 / jnp.where(ambiguous, jnp.nan, left), 0)
    per_row = lambda a: a.reshape(-1, *[1] * (residuals.ndim - 1))
    return jnp.where(per_row(counted), residuals * per_row(factor), 0)
