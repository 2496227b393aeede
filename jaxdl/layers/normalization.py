"""Batch and layer normalisation, and the parts that they are made of. Notes: §4.5.4.

Features are the last axis. Reductions take place in float32 at least. Variances are second
*central* moments over their count, 1/N and not 1/(N - 1), in what is normalised (D-52).

``batch_norm`` is ``moments``, ``normalize`` and ``move_statistics``; models take a
``Normalization``, the pair of functions of one layer.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.arrays import safe_sqrt, spread_mask, unit_of
from jaxdl.base import Array, Params, State
from jaxdl.checks import one_of

STATISTICS = ("running", "last")


class Normalization(NamedTuple):
    """How a model normalises its layers: a pair of functions, closed over their settings.

    init: ``(features) -> (params, state)``; without statistics the state is ``{}``.
    apply: ``(params, state, x, *, train=False, mask=None, observe=False) -> (y, state)`` for x and
        y [..., D]; the keywords are those of ``batch_norm``.
    over_batch: whether it takes off a mean over the rows: an offset before it is then without
        effect (D-53), and it needs the ``mask``. Only such a one may have a state.
    """

    init: Callable[..., tuple[Params, State]]
    apply: Callable[..., tuple[Array, State]]
    over_batch: bool = False


def batch_normalization(
    *,
    momentum: float | Array = 0.9,
    epsilon: float | Array = 1e-5,
    statistics: str = "running",
    unbiased_running: bool = False,
) -> Normalization:
    """``batch_norm`` with these settings, for models. Raises ValueError for unknown statistics."""
    one_of("statistics", statistics, STATISTICS)
    apply = functools.partial(
        batch_norm,
        momentum=momentum,
        epsilon=epsilon,
        statistics=statistics,
        unbiased_running=unbiased_running,
    )
    return Normalization(batch_norm_init, apply, over_batch=True)


def layer_normalization(*, epsilon: float | Array = 1e-6, epsilon_inside=True) -> Normalization:
    """``layer_norm`` with these settings, for models; ``epsilon`` may be traced."""

    def apply(params, state, x, *, train=False, mask=None, observe=False):
        return layer_norm(params, x, epsilon=epsilon, epsilon_inside=epsilon_inside), state

    return Normalization(lambda features: (layer_norm_init(features), {}), apply)


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
    before it is without effect (D-53). Variances are kept in the dtype of the state: features beyond
    1e19 in float32, whose squares are infinite, come out as beta. Source: Ioffe and Szegedy (2015).
    Notes: L863, §4.5.4.

    Args:
      params, state: ``scale`` gamma and ``bias`` beta; ``mean`` and ``var``; each [D].
      x: [..., D], as is y.
      train: whether to normalise by the batch's own statistics.
      mask: [B] or more of x's leading axes, True for the rows that count. The others take no
        part, may hold NaN, and come out finite but meaningless. A batch in which less than two
        count leaves the state as it is.
      momentum, epsilon: may be traced; the momentum is flax's, one minus torch's.
      statistics: what evaluation will use: ``"running"`` averages, or ``"last"``, those of the
        last training batch, as in the notes, with much larger errors (D-50).
      unbiased_running: whether the state gets Var N / (N - 1), as in torch.
      observe: return as state the statistics of these very rows, for ``population_statistics``.

    Returns ``(y, state)``. Raises ValueError while training with one row only, whose y is beta
    whatever x is, and for shapes that do not fit.
    """
    one_of("statistics", statistics, STATISTICS)
    _check_features(params, x)
    if train and math.prod(x.shape[:-1]) < 2:
        raise ValueError(
            f"batch_norm needs two rows or more while training, got x {list(x.shape)}: "
            "one row less its own mean is zero"
        )
    # Precise from here on, so that the gradients through both parts are added before they round.
    values = _filled(x, spread_mask(mask, x)).astype(_precise(x))
    count, seen = moments(values, mask) if train or observe else (jnp.zeros(()), state)
    y = normalize(params, seen if train else state, values, epsilon=epsilon)
    y = y.astype(_dtype_of_y(params, x))
    if observe:
        return y, jax.tree.map(lambda new, old: new.astype(old.dtype), seen, state)
    if not train:
        return y, state
    return y, move_statistics(
        state, seen, count, momentum=momentum, statistics=statistics, unbiased=unbiased_running
    )


def moments(x: Array, mask: Array | None = None) -> tuple[Array, State]:
    """Count, mean and variance (1/N) of the rows: ``(N [], {"mean" [D], "var" [D]})``.

    ``mean = sum_n m_n x_n / N``, ``var = sum_n m_n (x_n - mean)^2 / N``, N = sum_n m_n, over all
    axes of x [..., D] but the last; 0 if N is. ``mask`` m has leading axes of x, True for the rows
    that count; others may hold NaN. Raises ValueError if it does not fit. Notes: L863, §4.5.4.

    >>> count, seen = moments(jnp.array([[1.0], [5.0], [jnp.nan]]), jnp.array([True, True, False]))
    >>> count.item(), seen["mean"].item(), seen["var"].item()
    (2.0, 3.0, 4.0)
    """
    x = jnp.asarray(x)
    rows = spread_mask(mask, x)
    values = _filled(x, rows).astype(_precise(x))
    axes = tuple(range(x.ndim - 1))
    each = math.prod(x.shape[0 if mask is None else jnp.ndim(mask) : -1])  # rows of a mask's entry
    count = jnp.asarray(each, values.dtype)
    count = count if rows is None else count * jnp.sum(rows, dtype=values.dtype)
    n = jnp.maximum(count, 1)
    mean = jnp.sum(values, axes) / n
    # The mean comes off before the square: far from zero E[x^2] - E[x]^2 has no digit left.
    deviations = _filled(values - mean, rows)
    return count, {"mean": mean, "var": jnp.sum(jnp.square(deviations), axes) / n}


def normalize(params: Params, statistics: State, x: Array, *, epsilon: float | Array) -> Array:
    """``y = beta + gamma (x - mean) / sqrt(var + epsilon)`` for x [..., D].

    ``params`` holds ``scale`` gamma and ``bias`` beta, [D]; ``statistics`` ``mean`` and ``var``,
    [D], of this batch or of a state. ``epsilon`` may be traced. Raises ValueError on x of another
    width. Notes: L863, §4.5.4.

    >>> params, _ = batch_norm_init(1)
    >>> seen = {"mean": jnp.array([3.0]), "var": jnp.array([4.0])}
    >>> normalize(params, seen, jnp.array([[1.0], [9.0]]), epsilon=0.0).tolist()
    [[-1.0], [3.0]]
    """
    _check_features(params, x)
    y = (x.astype(_precise(x)) - statistics["mean"]) * jax.lax.rsqrt(statistics["var"] + epsilon)
    return _scale_and_shift(params, y, x)


def move_statistics(
    state: State,
    seen: State,
    count: Array,
    *,
    momentum: float | Array = 0.9,
    statistics: str = "running",
    unbiased: bool = False,
) -> State:
    """``s <- momentum s + (1 - momentum) seen``, or ``s <- seen`` for the ``"last"`` statistics.

    ``state`` s has ``mean`` and ``var``, [D]; ``count`` N [] and ``seen`` are a batch's ``moments``.
    Fewer than two rows leave s as it is; its dtypes stay. ``unbiased`` moves by Var N / (N - 1).
    ``momentum`` may be traced. Raises ValueError for unknown statistics. Notes: §4.5.4 (D-50).

    >>> state, seen = {"mean": jnp.array([1.0])}, {"mean": jnp.array([5.0])}
    >>> move_statistics(state, seen, 2, momentum=0.75)["mean"].item()
    2.0
    """
    one_of("statistics", statistics, STATISTICS)
    if unbiased:
        seen = {**seen, "var": seen["var"] * count / jnp.maximum(count - 1, 1)}
    if statistics == "running":
        seen = jax.tree.map(lambda old, new: momentum * old + (1 - momentum) * new, state, seen)
    moved = lambda old, new: jnp.where(count > 1, new, old).astype(old.dtype)
    return jax.tree.map(moved, state, seen)


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
    parts = (moments(*chunk) for chunk in with_masks(chunks, masks))
    return functools.reduce(merge_statistics, parts)[1]


def merge_statistics(a: tuple[Array, State], b: tuple[Array, State]) -> tuple[Array, State]:
    """Count, mean and variance (1/N) of two sets of rows together: ``(count [], {"mean", "var"})``.

    ``mean = mean_a + d n_b / n`` and ``var = (n_a var_a + n_b var_b + d^2 n_a n_b / n) / n`` with
    d the difference of the means and n = n_a + n_b. Source: Chan et al. (1979).
    """
    (n_a, of_a), (n_b, of_b) = a, b
    n = n_a + n_b
    share = n_b / jnp.maximum(n, 1)
    d = of_b["mean"] - of_a["mean"]
    var = (1 - share) * of_a["var"] + share * of_b["var"] + share * (1 - share) * jnp.square(d)
    return n, {"mean": of_a["mean"] + share * d, "var": var}


def layer_norm_init(features: int, *, dtype=None) -> Params:
    """``{"scale" gamma, "bias" beta}``, ones and zeros [D]. Raises ValueError unless D = features > 0."""
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
    y = standardized(x.astype(_precise(x)), -1, epsilon, epsilon_inside=epsilon_inside)
    return _scale_and_shift(params, y, x)


def standardized(
    x: Array,
    axes: int | tuple[int, ...],
    epsilon: float | Array,
    *,
    epsilon_inside: bool = True,
) -> Array:
    """``(x - E[x]) / sqrt(Var[x] + epsilon)``, of x's shape, with E and Var over axes of it.

    With ``epsilon_inside=False`` over ``sqrt(Var[x]) + epsilon``. Numbers of 1e30 and 1e-30 are as
    good as any others: squares are taken in the unit of the largest.
    """
    centred = x - jnp.mean(x, axis=axes, keepdims=True)
    unit = unit_of(centred, axes)
    y = centred / unit
    deviation = safe_sqrt(jnp.mean(jnp.square(y), axis=axes, keepdims=True))
    if epsilon_inside:
        return y / jnp.hypot(deviation, jnp.sqrt(epsilon) / unit)
    return y / (deviation + epsilon / unit)


def with_masks(chunks, masks) -> list[tuple[Array, Array | None]]:
    """Pairs of chunk and mask or None, of one array or of many. Raises ValueError if none fit."""
    if hasattr(chunks, "shape"):
        return [(chunks, masks)]
    chunks = list(chunks)
    masks = [None] * len(chunks) if masks is None else list(masks)
    if not chunks or len(masks) != len(chunks):
        raise ValueError(f"{len(masks)} masks for {len(chunks)} chunks, of which one is needed")
    return list(zip(chunks, masks, strict=True))


def _filled(x, rows):
    # Before anything is computed of them: zero times a NaN is NaN, in gradients too.
    return x if rows is None else jnp.where(rows, x, 0)


def _check_features(params, x):
    if x.ndim == 0 or x.shape[-1:] != params["scale"].shape:
        raise ValueError(
            f"normalisation of {params['scale'].size} features expects x "
            f"[..., {params['scale'].size}], got {list(x.shape)}"
        )


def _scale_and_shift(params, y, x):
    return (y * params["scale"] + params["bias"]).astype(_dtype_of_y(params, x))


def _dtype_of_y(params, x):
    return jnp.result_type(x.dtype, params["scale"].dtype, params["bias"].dtype)


def _precise(x):
    return jnp.promote_types(x.dtype, jnp.float32)
