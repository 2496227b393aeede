"""Categories as what the response is on average where they stand."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.arrays import counted, floating, mean_and_deviation, rows_of, safe_divide
from jaxdl.base import Array, Transform


def target_encode(
    columns: Sequence[int],
    sizes: Sequence[int],
    *,
    num_classes: int | None = None,
    log: bool = False,
    smooth: float | None = None,
) -> Transform:
    """Columns of categories 0..V-1 as the mean response of each, drawn to the mean of all.

    ``mean + lambda_v (mean_v - mean)`` for category v with n_v of the N training rows. With
    ``smooth`` m, ``lambda_v = n_v / (n_v + m)``: as if there were m more rows of it with the mean
    of all. By default m is the variance within categories over that between them, both estimated
    from the analysis of variance, so categories that tell nothing all become the mean:
    ``sigma^2 = SSW / (N - V)``, ``tau^2 = max(0, (SSB / (V - 1) - sigma^2) / n_0)``,
    ``n_0 = (N - sum n_v^2 / N) / (V - 1)``, ``m = sigma^2 / tau^2``.

    Responses y [N] are numbers, or classes 0..K-1 with ``num_classes`` K: then of each class but
    the first there is the mean of its indicator, all with the same m. The encodings stand behind
    the other columns of x [N, D], one of ``columns`` after the other: [N, D - J] and [N, J] or
    [N, J (K - 1)]. NaN counts for nothing and stays NaN. A category that no training row has, or
    that is outside of 0..V-1, becomes the mean of all.

    It sees targets, so a study cross-fits it (see ``Transform``). Whoever fits and applies it to
    the same rows without that has a part of each row's response in its features.

    Args:
      columns: J different columns of x.
      sizes: the number V of categories of each.
      num_classes: K of classes; None where y are numbers.
      log: the logarithm of the mean, of counts; of half a count in all N rows at least.
      smooth: m, 0 or more, may be traced; None estimates it for each column.

    ``fit`` returns ``{"value"}``, [J, V + 1, 1 or K - 1] with the largest V: what each category
    becomes and, last, all others. Source: Micci-Barreca (2001); with a number m as scikit-learn's
    TargetEncoder; the estimate of tau^2 as in Searle, Casella and McCulloch, "Variance Components"
    (1992), Ch. 3.

    Raises:
      ValueError: where ``columns`` and ``sizes`` do not belong together, y is not [N], or the mask.

    >>> x, y = jnp.array([[0.0], [0.0], [1.0], [1.0]]), jnp.array([1.0, 3.0, 7.0, 9.0])
    >>> encoder = target_encode([0], [2], smooth=2.0)
    >>> encoder.apply(encoder.fit(x, y), jnp.array([[0.0], [1.0], [5.0]]))[:, 0].tolist()
    [3.5, 6.5, 5.0]
    """
    columns, sizes = list(columns), list(sizes)
    if len(columns) != len(sizes) or len(set(columns)) != len(columns) or not columns:
        raise ValueError(f"columns must differ and have a size each, not {columns} with {sizes}")
    if min(columns) < 0 or min(sizes) < 1 or (num_classes is not None and num_classes < 2):
        raise ValueError(
            "columns are from 0, sizes from 1 and num_classes from 2 on, not "
            f"{columns}, {sizes}, {num_classes}"
        )
    most = max(sizes)

    def places(x):
        """Which category each cell is of, [N, J], the last of others; and where it is NaN."""
        x = floating(x)
        if x.ndim != 2 or x.shape[1] <= max(columns):
            raise ValueError(f"x must be [N, D] with columns {columns}, not {list(x.shape)}")
        cells = x[:, np.array(columns)]
        known = (cells >= 0) & (cells < np.array(sizes))
        codes = jnp.where(known, cells, most).astype(jnp.int32)
        return codes, jnp.isnan(cells)

    def fit(x, y, mask=None):
        codes, gap = places(x)
        rows = rows_of(mask, len(codes))
        y = jnp.asarray(y)
        if y.shape != rows.shape:
            raise ValueError(f"y must be [{len(codes)}], one response a row, not {list(y.shape)}")
        if num_classes is not None:
            y = (y[:, None] == jnp.arange(1, num_classes)).astype(floating(x).dtype)
        y = counted(floating(y).astype(floating(x).dtype).reshape(len(codes), -1), rows)
        of_column = lambda column: _means(column[0], y, rows & ~column[1], most, smooth)
        value = jax.lax.map(of_column, (codes.T, gap.T))
        if log:
            value = jnp.log(jnp.maximum(value, 0.5 / jnp.maximum(jnp.sum(rows), 1)))
        return {"value": value}

    def apply(params, x):
        codes, gap = places(x)
        encoded = params["value"][np.arange(len(columns)), codes]  # [N, J, 1 or K - 1]
        encoded = jnp.where(gap[..., None], jnp.nan, encoded).reshape(len(codes), -1)
        rest = np.setdiff1d(np.arange(x.shape[1]), columns)
        x = floating(x)
        return jnp.concatenate([x[:, rest], encoded.astype(x.dtype)], axis=1)

    return Transform(fit, apply, sees_targets=True)


def _means(codes, y, rows, size, smooth):
    """The smoothed means [V + 1, C] of y [N, C] in each category, and that of all rows."""
    counts = jnp.broadcast_to(rows[:, None], y.shape)
    mean = mean_and_deviation(y, counts)[0]
    # Categories that are out of range, [V], tell of none.
    sums, n = segment_sums(jnp.where(rows[:, None], y - mean, 0), codes, rows, size)
    effect = safe_divide(sums, n[:, None].astype(y.dtype))
    if smooth is not None:
        shrink = safe_divide(n, n + smooth)
    else:
        known = rows & (codes < size)
        spread = jnp.append(effect, jnp.zeros((1, y.shape[1]), y.dtype), axis=0)[codes]
        within = jnp.sum(jnp.where(known[:, None], jnp.square(y - mean - spread), 0))
        shrink = _shrinkage(effect, n, within)
    means = mean + shrink[:, None].astype(y.dtype) * effect
    return jnp.concatenate([means, mean[None]])


def _shrinkage(effect, n, within):
    """lambda [V] from the effects [V, C] of categories with n [V] rows, by analysis of variance."""
    total, categories = jnp.sum(n), jnp.sum(n > 0)
    share = safe_divide(n, total)[:, None].astype(effect.dtype)
    residual = safe_divide(within, total - categories)
    center = jnp.sum(share * effect, axis=0)
    between = safe_divide(jnp.sum(n[:, None] * jnp.square(effect - center)), categories - 1)
    per_category = safe_divide(jnp.sum(share[:, 0] * (total - n)), categories - 1)
    variance = jnp.maximum(safe_divide(between - residual, per_category), 0)
    variance = jnp.where(total > categories, variance, 0)  # each in one row may be noise alone
    return safe_divide(n * variance, n * variance + residual)


def segment_sums(values: Array, segments: Array, counts: Array, size: int) -> tuple[Array, Array]:
    """Sums [S, C] and numbers [S], int32, of the rows of values [N, C] in each of S segments.

    ``segments`` [N] are whole numbers from 0; rows of those beyond S, and rows that do not count
    [N], are in none. Sums are of pairs, of pairs of these, and so on, so that their rounding grows
    with log N alone.
    """
    order = jnp.argsort(jnp.where(counts, segments, size))
    ids = jnp.where(counts, segments, size)[order]

    def add(left, right):
        same = left[0] == right[0]
        return right[0], right[1] + jnp.where(same[:, None], left[1], 0)

    _, running = jax.lax.associative_scan(add, (ids, values[order]))
    first = jnp.searchsorted(ids, jnp.arange(size + 1))
    n = jnp.diff(first).astype(jnp.int32)
    sums = jnp.where((n > 0)[:, None], running[jnp.maximum(first[1:] - 1, 0)], 0)
    return sums, n
