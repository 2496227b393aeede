"""Transforms fitted to a training part: standardising, imputing, chains of them. Notes: §2.1."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxdl.arrays import floating, mean_and_deviation, rows_of, spread
from jaxdl.base import Array, Sequences, Transform, fit_to, identity_transform


def standardize() -> Transform:
    """``(x - mean) / std`` for each feature of x [N, ...], with the training part's statistics.

    The standard deviation is the population's (divided by N), as in scikit-learn's
    StandardScaler; a constant feature, all of whose values are equal, is only centred. NaN counts
    for nothing and stays NaN.
    ``fit`` returns ``{"mean", "scale"}``. Of Sequences [N, T, D] every position before an end is a
    row; of a dict each array is taken by itself. ValueError where the mask is not [N], and for
    token ids.

    >>> scaler = standardize()
    >>> x = jnp.array([[1.0, 5.0], [3.0, 5.0]])
    >>> scaler.apply(scaler.fit(x), x).tolist()
    [[-1.0, 0.0], [1.0, 0.0]]
    """

    def fit(x, known):
        mean, deviation = mean_and_deviation(x, known)
        return {"mean": mean, "scale": jnp.where(deviation > 0, deviation, 1)}

    def apply(params, x):
        x = floating(x)
        return ((x - params["mean"]) / params["scale"]).astype(x.dtype)

    return _of_each_part(fit, apply)


def robust_scale() -> Transform:
    """``f((x - median) s)``, ``f(z) = z / sqrt(1 + (z / 3)^2)``: far values end within 3 of 0.

    s is 1 over the interquartile range of the feature in the training part; where that is 0, 2 over
    its whole range, and where that is 0 too, 0. For x [N, ...] whose tails are heavy: unlike the
    standard deviation, quartiles do not follow a few far values, and f is nearly the identity for
    the others. Quartiles are between neighbours as ``numpy.percentile`` has them. NaN counts for
    nothing and stays NaN. ``fit`` returns ``{"median", "range"}``, the latter ``1 / (64 s)`` or
    infinity. Sequences and dicts as in ``standardize``. ValueError where the mask is not [N], and
    for token ids. Source: Holzmüller, Grinsztajn and Steinwart, "Better by default" (2024).

    >>> scaler = robust_scale()
    >>> x = jnp.array([[1.0], [2.0], [3.0], [4.0], [1e9]])
    >>> [round(z, 2) for z in scaler.apply(scaler.fit(x), x)[:, 0].tolist()]
    [-0.95, -0.49, 0.0, 0.49, 3.0]
    """

    def fit(x, known):
        # A part, so that neither a difference overflows nor the reciprocal, which XLA takes, vanishes.
        low, median, high = quartiles(x, known)
        between = high / 64 - low / 64
        least = jnp.min(jnp.where(known, x, jnp.inf), axis=0)
        most = jnp.max(jnp.where(known, x, -jnp.inf), axis=0)
        whole = most / 128 - least / 128
        apart = jnp.where(most > least, whole, jnp.inf)
        return {"median": median, "range": jnp.where(high > low, between, apart)}

    def apply(params, x):
        x = floating(x)
        z = (x / 64 - params["median"] / 64) / params["range"]
        most = jnp.finfo(x.dtype).max
        z = jnp.clip(z, -most, most)
        return (z / jnp.hypot(1, z / 3)).astype(x.dtype)

    return _of_each_part(fit, apply)


def quartiles(x: Array, counts: Array) -> tuple[Array, Array, Array]:
    """The quartiles [...] of the entries of x [M, ...] that count; 0 where none does.

    Quartile k of n sorted entries is at ``(n - 1) k / 4``, between two on the line that joins them,
    as of ``numpy.percentile``. ``counts`` [M, ...] are bools; entries that do not count may be NaN.

    >>> [q.item() for q in quartiles(jnp.array([4.0, 1.0, 2.0, 9.0]), jnp.array([1, 1, 1, 0]))]
    [1.5, 2.0, 3.0]
    """
    x = _ascending(jnp.moveaxis(jnp.where(counts, x, jnp.inf), 0, -1))
    last = jnp.maximum(jnp.sum(counts, axis=0, dtype=jnp.int32) - 1, 0)
    known = jnp.any(counts, axis=0)
    entry = lambda i: jnp.where(known, jnp.take_along_axis(x, i[..., None], axis=-1)[..., 0], 0)

    def quartile(k):
        # last * k / 4 in whole numbers, without a product that overflows
        below, rest = last // 4 * k + last % 4 * k // 4, last % 4 * k % 4
        a, b = entry(below), entry(jnp.minimum(below + 1, last))
        return a + rest / 2 * (b / 2 - a / 2)  # exactly a where they are equal

    return quartile(1), quartile(2), quartile(3)


@jax.custom_jvp
def _ascending(x: Array) -> Array:
    """The numbers x [..., M], none of them NaN, sorted along the last axis.

    By their bits as whole numbers, which XLA sorts several times as fast on CPUs: those of negative
    numbers fall as the numbers rise, so all but the sign are turned over, before and after.
    """
    whole = jnp.dtype(f"int{8 * x.dtype.itemsize}")
    turn = lambda bits: jnp.where(bits < 0, bits ^ jnp.iinfo(whole).max, bits)
    bits = turn(jax.lax.bitcast_convert_type(x, whole))
    return jax.lax.bitcast_convert_type(turn(jnp.sort(bits, axis=-1)), x.dtype)


@_ascending.defjvp
def _ascending_jvp(primals, tangents):
    (x,), (dx,) = primals, tangents
    return _ascending(x), jnp.take_along_axis(dx, jnp.argsort(x, axis=-1), axis=-1)


def impute_mean() -> Transform:
    """Replace NaN by the training part's mean of the feature, over the entries that are known.

    ``x_nd -> sum_m k_md x_md / sum_m k_md`` where x_nd is NaN, k_md being 1 where x_md is known.
    x [N, ...]; a feature without a known entry becomes 0. ``fit`` returns ``{"mean"}``. As
    scikit-learn's SimpleImputer (with ``keep_empty_features=True``). Sequences and dicts as in
    ``standardize``. ValueError where the mask is not [N], and for token ids.

    >>> imputer = impute_mean()
    >>> x = jnp.array([[1.0], [3.0], [jnp.nan]])
    >>> imputer.apply(imputer.fit(x), x).tolist()
    [[1.0], [3.0], [2.0]]
    """

    def fit(x, known):
        return {"mean": mean_and_deviation(x, known)[0]}

    def apply(params, x):
        x = floating(x)
        return jnp.where(jnp.isnan(x), params["mean"], x).astype(x.dtype)

    return _of_each_part(fit, apply)


def chain(*transforms: Transform) -> Transform:
    """One Transform from several, the first applied first; each is fitted to what it will see.

    ``apply = f_k o ... o f_1``, and f_j is fitted to ``f_{j-1}(... f_1(x))``. ``fit`` returns a
    tuple of their params. Without any transform it leaves x [N, D] as it is. It sees targets where
    one of them does.
    """
    if not transforms:
        return identity_transform()

    def fit(x, y, mask=None):
        fitted = []
        for transform in transforms:
            params = fit_to(transform, (x, y), mask)
            x = transform.apply(params, x)
            fitted.append(params)
        return tuple(fitted)

    def apply(params, x):
        for transform, p in zip(transforms, params, strict=True):
            x = transform.apply(p, x)
        return x

    if any(transform.sees_targets for transform in transforms):
        return Transform(fit, apply, sees_targets=True)
    return Transform(lambda x, mask=None: fit(x, None, mask), apply)


def _of_each_part(fit: Callable, apply: Callable) -> Transform:
    """A Transform of arrays from ``fit(x [M, ...], known)`` and ``apply(params, x)``.

    ``known`` says of each entry of x whether it counts. Each array of a pytree has its own params.
    """

    def fit_part(part, mask):
        if not isinstance(part, Sequences):
            x = floating(part)
            known = jnp.broadcast_to(spread(rows_of(mask, len(x)), x), x.shape)
            return fit(x, known & ~jnp.isnan(x))
        values = _real(part)
        positions = part.mask & rows_of(mask, len(values))[:, None]
        x = values.reshape(-1, *values.shape[2:])
        known = jnp.broadcast_to(spread(positions.ravel(), x), x.shape)
        return fit(x, known & ~jnp.isnan(x))

    def apply_part(part, params):
        if not isinstance(part, Sequences):
            return apply(params, part)
        return part._replace(values=apply(params, _real(part)))

    is_part = lambda node: isinstance(node, Sequences)
    return Transform(
        lambda x, mask=None: jax.tree.map(lambda p: fit_part(p, mask), x, is_leaf=is_part),
        lambda params, x: jax.tree.map(apply_part, x, params, is_leaf=is_part),
    )


def _real(sequences: Sequences) -> Array:
    values = jnp.asarray(sequences.values)
    if not jnp.issubdtype(values.dtype, jnp.floating):
        raise ValueError(
            f"Sequences of {values.dtype} are token ids, which have no mean; leave the transform out"
        )
    return values
