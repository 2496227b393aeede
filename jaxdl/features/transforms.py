"""Transforms fitted to a training part: standardising, imputing, chains of them. Notes: §2.1."""

import jax.numpy as jnp

from jaxdl.arrays import floating, rows_of, spread
from jaxdl.base import Transform, identity_transform


def standardize() -> Transform:
    """``(x - mean) / std`` for each feature of x [N, ...], with the training part's statistics.

    The standard deviation is the population's (divided by N), as in scikit-learn's
    StandardScaler; a constant feature is only centred, NaN counts for nothing and stays NaN.
    ``fit`` returns ``{"mean", "scale"}``. ValueError where the mask is not [N].

    >>> scaler = standardize()
    >>> x = jnp.array([[1.0, 5.0], [3.0, 5.0]])
    >>> scaler.apply(scaler.fit(x), x).tolist()
    [[-1.0, 0.0], [1.0, 0.0]]
    """

    def fit(x, mask=None):
        x = floating(x)
        known = _rows(x, mask) & ~jnp.isnan(x)
        n = jnp.maximum(jnp.sum(known, axis=0, dtype=x.dtype), 1)
        mean = jnp.sum(jnp.where(known, x, 0), axis=0) / n
        deviation = jnp.where(known, x, mean) - mean
        variance = jnp.sum(jnp.square(deviation), axis=0) / n
        # What rounding alone makes of a constant, as scikit-learn counts it.
        eps = jnp.finfo(x.dtype).eps
        constant = variance <= n * eps * variance + jnp.square(n * eps * mean)
        return {"mean": mean, "scale": jnp.sqrt(jnp.where(constant, 1, variance))}

    def apply(params, x):
        return (x - params["mean"]) / params["scale"]

    return Transform(fit, apply)


def impute_mean() -> Transform:
    """Replace NaN by the training part's mean of the feature, over the entries that are known.

    ``x_nd -> sum_m k_md x_md / sum_m k_md`` where x_nd is NaN, k_md being 1 where x_md is known.
    x [N, ...]; a feature without a known entry becomes 0. ``fit`` returns ``{"mean"}``. As
    scikit-learn's SimpleImputer (with ``keep_empty_features=True``). ValueError where the mask
    is not [N].

    >>> imputer = impute_mean()
    >>> x = jnp.array([[1.0], [3.0], [jnp.nan]])
    >>> imputer.apply(imputer.fit(x), x).tolist()
    [[1.0], [3.0], [2.0]]
    """

    def fit(x, mask=None):
        x = floating(x)
        known = _rows(x, mask) & ~jnp.isnan(x)
        n = jnp.maximum(jnp.sum(known, axis=0, dtype=x.dtype), 1)
        return {"mean": jnp.sum(jnp.where(known, x, 0), axis=0) / n}

    def apply(params, x):
        x = floating(x)
        return jnp.where(jnp.isnan(x), params["mean"], x)

    return Transform(fit, apply)


def chain(*transforms: Transform) -> Transform:
    """One Transform from several, the first applied first; each is fitted to what it will see.

    ``apply = f_k o ... o f_1``, and f_j is fitted to ``f_{j-1}(... f_1(x))``. ``fit`` returns a
    tuple of their params. Without any transform it leaves x [N, D] as it is.
    """
    if not transforms:
        return identity_transform()

    def fit(x, mask=None):
        fitted = []
        for transform in transforms:
            params = transform.fit(x, mask)
            x = transform.apply(params, x)
            fitted.append(params)
        return tuple(fitted)

    def apply(params, x):
        for transform, p in zip(transforms, params, strict=True):
            x = transform.apply(p, x)
        return x

    return Transform(fit, apply)


def _rows(x, mask):
    """Which entries of x [N, ...] count: mask [N] spread over the features."""
    return jnp.broadcast_to(spread(rows_of(mask, len(x)), x), x.shape)
