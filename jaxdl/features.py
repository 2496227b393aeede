"""Features: the constant one, polynomial bases, label encodings, and what is fitted to them.

Functions map x straight to features. A `Transform` is first fitted to a training part (rows with
``mask`` False count for nothing, whatever they hold) and then applied to any x. Notes: §2.1.
"""

import jax.numpy as jnp
import numpy as np

from jaxdl.base import Array, Transform, identity_transform
from jaxdl.polynomial import orthogonal_polynomial as orthogonal_polynomial
from jaxdl.polynomial import polynomial as polynomial
from jaxdl.polynomial import polynomial_multivariate as polynomial_multivariate
from jaxdl.polynomial import scaled_polynomial as scaled_polynomial


def append_ones(x: Array, position: str = "first") -> Array:
    """``[1, x]`` or ``[x, 1]``: x [..., D] -> [..., D+1], so that the offset is a weight.

    Notes: §2.1 ("first" is the notes' order). ValueError for any other ``position``.

    >>> append_ones(jnp.array([[2.0, 3.0]])).tolist()
    [[1.0, 2.0, 3.0]]
    """
    x = jnp.asarray(x)
    if x.ndim == 0:
        raise ValueError("x must be [..., D], not a scalar")
    ones = jnp.ones((*x.shape[:-1], 1), x.dtype)
    if position not in ("first", "last"):
        raise ValueError(f"position must be 'first' or 'last', not {position!r}")
    return jnp.concatenate([ones, x] if position == "first" else [x, ones], axis=-1)


def one_hot(y: Array, num_classes: int) -> Array:
    """Rows ``[y = 0, ..., y = K-1]``: integer classes y [...] -> floats [..., K]. Notes: §2.3.

    A class outside 0..K-1 gives zeros. ValueError where y is not of an integer dtype.

    >>> one_hot(jnp.array([1, 0]), 3).tolist()
    [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]
    """
    y = _integers(y)
    return (y[..., None] == jnp.arange(num_classes)).astype(float)


def from_one_based(y: Array) -> Array:
    """Classes 1..K of the notes as 0..K-1 of this library: ``y - 1`` for integers y [...].

    Notes: §3.1.2 (D-29). ValueError where y is not of an integer dtype.

    >>> from_one_based(jnp.array([1, 3])).tolist()
    [0, 2]
    """
    return _integers(y) - 1


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
        x = _floating(x)
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
        x = _floating(x)
        known = _rows(x, mask) & ~jnp.isnan(x)
        n = jnp.maximum(jnp.sum(known, axis=0, dtype=x.dtype), 1)
        return {"mean": jnp.sum(jnp.where(known, x, 0), axis=0) / n}

    def apply(params, x):
        x = _floating(x)
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
    mask = np.ones(x.shape[:1], bool) if mask is None else jnp.asarray(mask, bool)
    if mask.shape != x.shape[:1]:
        raise ValueError(f"mask must be {x.shape[:1]}, one for each row of x, not {mask.shape}")
    return jnp.broadcast_to(mask.reshape(-1, *[1] * (x.ndim - 1)), x.shape)


def _floating(x):
    return jnp.asarray(x, jnp.result_type(x, float))


def _integers(y):
    y = jnp.asarray(y)
    if not jnp.issubdtype(y.dtype, jnp.integer) and y.dtype != jnp.bool_:
        raise ValueError(f"classes must be integers, not {y.dtype}")
    return y.astype(jnp.int32) if y.dtype == jnp.bool_ else y
