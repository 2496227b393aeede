"""Batch and layer normalisation. Notes: §4.5.4.

Features are the last axis. Reductions take place in float32 at least. Variances are second
*central* moments over their count, 1/N and not 1/(N - 1), in what is normalised (D-52).
"""

import functools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jaxdl.arrays import spread_mask
from jaxdl.base import Array, Params, State
from jaxdl.checks import one_of


def batch_norm_init(features: int, *, dtype=None) -> tuple[Params, State]:
    """Params ``{"scale" gamma, "bias" beta}`` (1, 0) and state ``{"mean", "var"}`` (0, 1), each [D].

    D = ``features``; the names are flax's. The state has float32 at least. Raises ValueError for
    less than one feature.
    """
    params = layer_norm_init(features, dtype=dtype)
    precise = jnp.promote_types(params["scale"].dtype, jnp.float32)
    return params, {"mean": jnp.zeros(features, precise), "var": jnp.ones(features, precise)}


def batch_norm(
    params: Params,
    state: State,
    x: Array,
    *,
    train: bool = False,
    mask: Array | None = None,
    momentum: float | Array = 0.9,
    epsilon: float | Array = 1e-5,
    statistics: str = "running",
    unbiased_running: bool = False,
    observe: bool = False,
) -> tuple[Array, State]:
    """``y = beta + gamma (x - E[x]) / sqrt(Var[x] + epsilon)`` for each feature of x [..., D].

    E and Var run over all axes but the last: while training those of this batch, else those in
    ``state``. Training moves the state, ``s <- momentum s + (1 - momentum) batch's``. An offset
    before it is without effect (D-53). Source: Ioffe and Szegedy (2015). Notes: L863, §4.5.4.

    Args:
      params: ``scale`` gamma and ``bias`` beta, [D].
      state: ``mean`` and ``var``, [D].
      x: [..., D].
      train: whether to normalise by the batch's own statistics.
      mask: [B] or more of x's leading axes, True for the rows that count. The others take no
        part, may hold NaN, and come out finite but meaningless. A batch in which less than two
        count leaves the state as it is.
      momentum: of the running statistics; flax's convention, one minus torch's. May be traced.
      epsilon: may be traced.
      statistics: what evaluation will use: ``"running"`` averages, or ``"last"``, those of the
        last training batch, as in the notes, with much larger errors (D-50).
      unbiased_running: whether the state gets Var N / (N - 1), as in torch.
      observe: return in the state the statistics of these very rows (what is normalised does not
        change); for ``population_statistics``.

    Returns:
      ``(y [..., D], state)``.

    Raises ValueError while training with one row only, for which y is beta whatever x is, and
    for shapes that do not fit.
    """
    one_of("statistics", statistics, ("running", "last"))
    _check_features(params, x)
    if train and math.prod(x.shape[:-1]) < 2:
        raise ValueError(
            f"batch_norm needs two rows or more while training, got x {list(x.shape)}: "
            "one row less its own mean is zero"
        )
    rows = spread_mask(mask, x)
    # Before anything else: zero times a NaN is NaN, in gradients too.
    values = x if rows is None else jnp.where(rows, x, 0)
    values = values.astype(_precise(x))
    if train or observe:
        count, seen = _moments(values, rows)
    mean, var = (seen if train else state)["mean"], (seen if train else state)["var"]
    y = (values - mean) * jax.lax.rsqrt(var + epsilon)
    y = _scale_and_shift(params, y, x)
    if observe:
        return y, _as_state(seen, state)
    if not train:
        return y, state
    if unbiased_running:
        seen = {**seen, "var": seen["var"] * count / jnp.maximum(count - 1, 1)}
    if statistics == "running":
        seen = jax.tree.map(lambda old, new: momentum * old + (1 - momentum) * new, state, seen)
    if rows is not None:
        seen = jax.tree.map(lambda old, new: jnp.where(count > 1, new, old), state, seen)
    return y, _as_state(seen, state)


def population_statistics(
    chunks: Array | Sequence[Array], masks: Array | Sequence[Array] | None = None
) -> State:
    """The exact mean and variance (1/N) of all rows of x [N, ..., D], whole or in chunks of it.

    Returns ``{"mean", "var"}`` [D], a state of ``batch_norm``; ``masks`` [N], one for each chunk,
    mark the rows that count. Chunks are merged as by Chan et al. (1979), without cancellation.
    Raises ValueError where masks and chunks do not fit.

    >>> population_statistics([jnp.array([[1.0], [2.0]]), jnp.array([[6.0]])])["mean"].item()
    3.0
    """

    def moments(x, mask):
        x = jnp.asarray(x)
        rows = spread_mask(mask, x)
        values = x if rows is None else jnp.where(rows, x, 0)
        return _moments(values.astype(_precise(x)), rows)

    parts = (moments(*chunk) for chunk in with_masks(chunks, masks))
    return functools.reduce(merge_statistics, parts)[1]


def merge_statistics(a: tuple[Array, State], b: tuple[Array, State]) -> tuple[Array, State]:
    """Count, mean and variance (1/N) of two sets of rows together: ``(count [], {"mean", "var"})``.

    ``mean = mean_a + d n_b / n`` and ``var = (n_a var_a + n_b var_b + d^2 n_a n_b / n) / n`` with
    d the difference of the means and n = n_a + n_b. Source: Chan et al. (1979).
    """
    (n_a, a), (n_b, b) = a, b
    n = n_a + n_b
    share = n_b / jnp.maximum(n, 1)
    d = b["mean"] - a["mean"]
    var = (1 - share) * a["var"] + share * b["var"] + share * (1 - share) * jnp.square(d)
    return n, {"mean": a["mean"] + share * d, "var": var}


def layer_norm_init(features: int, *, dtype=None) -> Params:
    """``{"scale" gamma, "bias" beta}``, ones and zeros [D], D = ``features``.

    Raises ValueError for less than one feature.
    """
    if features < 1:
        raise ValueError(f"normalisation needs at least one feature, got {features}")
    dtype = jnp.zeros((), dtype or float).dtype
    return {"scale": jnp.ones(features, dtype), "bias": jnp.zeros(features, dtype)}


def layer_norm(
    params: Params, x: Array, *, epsilon: float | Array = 1e-6, epsilon_inside: bool = True
) -> Array:
    """``y = beta + gamma (x - E[x]) / sqrt(Var[x] + epsilon)`` for each row of x [..., D].

    E and Var run over the D features of a row, while training and afterwards alike.
    ``epsilon_inside=False`` is the notes' ``sqrt(Var[x]) + epsilon`` (D-51), whose gradient is
    kept finite on a constant row. ``epsilon`` may be traced. Raises ValueError on x of another
    width. Source: Ba et al. (2016). Notes: L871, §4.5.4.

    >>> params = layer_norm_init(2)
    >>> layer_norm(params, jnp.array([1.0, 3.0])).round(3).tolist()
    [-1.0, 1.0]
    """
    _check_features(params, x)
    values = x.astype(_precise(x))
    centred = values - jnp.mean(values, axis=-1, keepdims=True)
    var = jnp.mean(jnp.square(centred), axis=-1, keepdims=True)
    if epsilon_inside:
        y = centred * jax.lax.rsqrt(var + epsilon)
    else:
        constant = var == 0
        y = centred / (jnp.where(constant, 0, jnp.sqrt(jnp.where(constant, 1, var))) + epsilon)
    return _scale_and_shift(params, y, x)


def with_masks(chunks, masks) -> list[tuple[Array, Array | None]]:
    """Pairs of a chunk [N, ...] and its mask [N] or None, from one array or a sequence of them.

    Raises ValueError where there are no chunks, or not as many masks.
    """
    if hasattr(chunks, "shape"):
        return [(chunks, masks)]
    chunks = list(chunks)
    masks = [None] * len(chunks) if masks is None else list(masks)
    if not chunks or len(masks) != len(chunks):
        raise ValueError(f"{len(masks)} masks for {len(chunks)} chunks, of which one is needed")
    return list(zip(chunks, masks, strict=True))


def _moments(values, rows):
    """Count, mean and variance of the rows that count; the others hold zeros already."""
    axes = tuple(range(values.ndim - 1))
    if rows is None:
        count = jnp.asarray(math.prod(values.shape[:-1]), values.dtype)
        mean = jnp.mean(values, axes)
        return count, {"mean": mean, "var": jnp.mean(jnp.square(values - mean), axes)}
    each = values.size // (values.shape[-1] * rows.size) if rows.size else 0
    count = jnp.sum(rows, dtype=values.dtype) * each
    n = jnp.maximum(count, 1)
    mean = jnp.sum(values, axes) / n
    return count, {
        "mean": mean,
        "var": jnp.sum(jnp.square(jnp.where(rows, values - mean, 0)), axes) / n,
    }


def _check_features(params, x):
    if x.ndim == 0 or x.shape[-1:] != params["scale"].shape:
        raise ValueError(
            f"normalisation of {params['scale'].size} features expects x "
            f"[..., {params['scale'].size}], got {list(x.shape)}"
        )


def _scale_and_shift(params, y, x):
    dtype = jnp.result_type(x.dtype, params["scale"].dtype, params["bias"].dtype)
    return (y * params["scale"] + params["bias"]).astype(dtype)


def _precise(x):
    return jnp.promote_types(x.dtype, jnp.float32)


def _as_state(new, old):
    return jax.tree.map(lambda a, b: a.astype(b.dtype), new, old)
