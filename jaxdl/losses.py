"""Losses for each example, the losses of data sets, their gradients in closed form, and penalties.

Per-example losses take ``(prediction, y)`` of one shape and reduce nothing, but for a class axis;
the mean is taken once, by whoever minimises. Those of probabilities take logits, never
probabilities: the logarithm of a softmax is not the softmax's logarithm (D-95).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxdl import families, special
from jaxdl.arrays import floating, inner
from jaxdl.base import Array, Family, Params
from jaxdl.checks import one_of, same_shape
from jaxdl.families import links

_HALF_LOG_2PI = 0.9189385332046727


def squared_error(prediction: Array, y: Array) -> Array:
    """``(f - y)^2``, [...] for prediction f and y [...]. Notes: §1.2."""
    f, y = same_shape(prediction, y, "the prediction and y")
    return jnp.square(f - y)


def half_squared_error(prediction: Array, y: Array) -> Array:
    """``(f - y)^2 / 2``, [...], whose derivative is the residual. Notes: Eq. (10), §1.3 (D-6)."""
    return squared_error(prediction, y) / 2


def absolute_error(prediction: Array, y: Array) -> Array:
    """``|f - y|``, [...]: a Laplace likelihood up to constants. Notes: §1.3."""
    f, y = same_shape(prediction, y, "the prediction and y")
    return jnp.abs(f - y)


def pinball_loss(prediction: Array, y: Array, quantile: float | Array) -> Array:
    """``max(q (y - f), (q - 1) (y - f))``, [...]; the q-quantile of y minimises its mean.

    ``quantile`` q in (0, 1) may be traced. Source: Koenker and Bassett (1978). Notes: §1.2.
    """
    f, y = same_shape(prediction, y, "the prediction and y")
    return jnp.maximum(quantile * (y - f), (quantile - 1) * (y - f))


def price_is_right_loss(prediction: Array, y: Array, overbid: float | Array = 10.0) -> Array:
    """The distance below y, and ``overbid`` times the distance above it, [...].

    ``y - f`` where f <= y, else ``overbid (f - y)``: the closest bid wins, but one above the price
    loses. Notes: §1.2, where the loss is named without a formula.
    """
    f, y = same_shape(prediction, y, "the prediction and y")
    return jnp.where(f <= y, y - f, overbid * (f - y))


def gaussian_nll(prediction: Array, y: Array, scale: float | Array = 1.0) -> Array:
    """``(f - y)^2 / (2 s^2) + log s + log sqrt(2 pi)``, [...], s = ``scale`` the standard deviation.

    For s = 1 half the squared error plus 0.9189385, with the same minimum. Notes: Eqs. (6), (10).
    """
    f, y = same_shape(prediction, y, "the prediction and y")
    return jnp.square((f - y) / scale) / 2 + jnp.log(scale) + _HALF_LOG_2PI


def poisson_nll(log_rate: Array, y: Array) -> Array:
    """``exp(eta) - y eta + log y!``, [...], for log-rates eta and counts y. Notes: §1.4."""
    eta, y = same_shape(log_rate, y, "the prediction and y")
    return -families.poisson().log_prob(eta, y)


def binary_cross_entropy_with_logits(logits: Array, y: Array) -> Array:
    """``-y log s(z) - (1 - y) log(1 - s(z)) = softplus(z) - y z``, [...]. Notes: L244, L377.

    z = ``logits`` [...], y [...] in [0, 1]. As ``y softplus(-z) + (1 - y) softplus(z)``: finite for
    every finite z, where the logarithm of a rounded logistic function is not (D-95), and not lost
    where the label is nearly certain, as the difference is.

    >>> float(binary_cross_entropy_with_logits(17.0, 1.0))  # doctest: +ELLIPSIS
    4.139...e-08
    """
    z, y = same_shape(logits, y, "the prediction and y")
    return -families.bernoulli().log_prob(z, y)


def softmax_cross_entropy_with_logits(logits: Array, y: Array) -> Array:
    """``-sum_k y_k log softmax_k(z)``, [...], for logits z [..., K]. Notes: L434, L769.

    y holds classes 0..K-1, [...], or distributions over them, [..., K]; a class outside gives NaN.
    0 log 0 is 0.
    """
    y = _classes_or_distributions(y, jnp.shape(logits))
    log_pi = special.log_softmax(floating(logits))
    if y.shape == log_pi.shape:
        return -jnp.sum(special.times_log(y, log_pi), axis=-1)
    known = (y >= 0) & (y < log_pi.shape[-1])
    chosen = jnp.take_along_axis(log_pi, jnp.where(known, y, 0)[..., None], axis=-1)[..., 0]
    return jnp.where(known, -chosen, jnp.nan)


def mean_squared_error(prediction: Array, y: Array, reduction: str = "mean") -> Array:
    """``1/N sum_n (f(x_n) - y_n)^2 = |f - y|^2 / N``, [], for f and y [N]. Notes: Eqs. (1), (5), (23).

    ``reduction="sum"`` leaves out 1/N (D-2). Of K outputs [N, K] the squares of a row are summed and
    rows averaged: Eq. (23) has one output, L775 sums over all N K. The mean over all of them, which
    PyTorch and scikit-learn take, is a K-th of it. Notes: L775.

    >>> mean_squared_error(jnp.ones((4, 2)), jnp.zeros((4, 2))).item()
    2.0
    """
    one_of("reduction", reduction, ("mean", "sum"))
    each = squared_error(prediction, y)
    if each.ndim == 0:
        raise ValueError("the loss of a data set takes [N] predictions, not a scalar")
    return jnp.sum(each) / len(each) if reduction == "mean" else jnp.sum(each)


def negative_log_likelihood(family: Family, eta: Array, y: Array) -> Array:
    """``-1/N sum_n log p(y_n; eta_n)``, [], of any family. Notes: Eq. (9), §1.3."""
    return -jnp.mean(family.log_prob(eta, y))


def mse_gradient_univariate(w: Array, x: Array, y: Array) -> Array:
    """``dl/dw = 2/N (w sum_n x_n^2 - sum_n x_n y_n)``, [], for x and y [N]. Notes: Eq. (3), §1.2."""
    x, y = same_shape(x, y, "x and y")
    if x.ndim != 1:
        raise ValueError(f"x and y must be [N], got {x.shape}")
    return 2 / len(x) * (w * jnp.vdot(x, x) - jnp.vdot(x, y))


def bce_gradient(w: Array, x: Array, y: Array) -> Array:
    """``dl/dw = 1/N sum_n (s(w'x_n) - y_n) x_n``, of w's shape. Notes: L268, L381, L394, §1.6.

    w [D] with x [N, D], or w [] with x [N]; y [N] in {0, 1}.
    """
    x, w = jnp.asarray(x), jnp.asarray(w)
    if x.ndim not in (1, 2) or x.shape[1:] != w.shape:
        raise ValueError(f"w [D] goes with x [N, D], w [] with x [N]; got {w.shape}, {x.shape}")
    z, y = same_shape(jnp.dot(x, w), y, "the prediction and y")
    return jnp.mean((links.logistic(z) - y) * x.T, axis=-1)


def softmax_regression_gradient(w: Array, x: Array, y: Array) -> Array:
    """``dl/dw_j = 1/N sum_n (pi_nj - y_nj) x_n`` as columns of [D, K]. Notes: Eq. (19), §2.3.

    w [D, K], x [N, D], y [N] classes or [N, K] distributions; a class outside 0..K-1 gives NaN.
    The columns sum to 0 over j (D-23). The notes' case by case forms before (19) sum over all n
    with y_nk = 1 and hold for one example only (D-20). Notes: L447, L464.
    """
    x, w = jnp.asarray(x), jnp.asarray(w)
    if x.ndim != 2 or w.ndim != 2 or x.shape[1] != len(w):
        raise ValueError(f"w [D, K] goes with x [N, D]; got {w.shape} and {x.shape}")
    pi = links.softmax(x @ w)
    y = _classes_or_distributions(y, pi.shape)
    if y.ndim == 1:
        known = (y >= 0) & (y < pi.shape[1])
        y = jnp.where(known[:, None], jax.nn.one_hot(y, pi.shape[1], dtype=pi.dtype), jnp.nan)
    return inner(x, pi - y) / len(x)


def l2(params: Params, *, offset: str | None = None) -> Array:
    """``R(w) = sum_d w_d^2``, [], over all weights: of a network ``sum_{l=0}^L |W_l|_F^2``.

    ``params`` is a pytree of arrays. Leaves named ``bias`` or ``scale`` are exempt:
    offsets, and the parameters of normalisation. The norm is Frobenius's and W_0 counts (D-54).
    ``offset`` says where a plain vector, or each matrix [D + 1, K], holds the weights of an
    appended 1, which are exempt too: "first", "last" or None. Notes: L590 (D-34), L883.
    """
    return _penalty(jnp.square, params, offset)


def l1(params: Params, *, offset: str | None = None) -> Array:
    """``R(w) = sum_d |w_d|``, []; as ``l2`` otherwise. Source: Tibshirani (1996)."""
    return _penalty(jnp.abs, params, offset)


def elastic_net(params: Params, ratio: float | Array, *, offset: str | None = None) -> Array:
    """``ratio l1(w) + (1 - ratio) l2(w)``, []. Source: Zou and Hastie (2005)."""
    return ratio * l1(params, offset=offset) + (1 - ratio) * l2(params, offset=offset)


def decay_mask(params: Params) -> Params:
    """True for each leaf that ``l2`` counts, False for offsets and parameters of normalisation.

    The mask that decoupled decay takes, ``optax.adamw(rate, mask=decay_mask)`` or
    ``optax.masked``. Source: Loshchilov and Hutter (2019).

    >>> decay_mask({"dense_0": {"kernel": jnp.ones((2, 1)), "bias": jnp.ones(1)}})
    {'dense_0': {'bias': False, 'kernel': True}}
    """
    return jax.tree_util.tree_map_with_path(lambda path, _: _decays(path), params)


def penalized(loss: Callable, regulariser: Callable, coefficient: float | Array) -> Callable:
    """``w -> l(w) + lambda R(w)``, [], with lambda = ``coefficient``. Notes: L579, §3.3."""
    return lambda w: loss(w) + coefficient * regulariser(w)


def _penalty(fn, params, offset):
    one_of("offset", offset, (None, "first", "last"))
    kept = {None: slice(None), "first": slice(1, None), "last": slice(None, -1)}[offset]
    leaves = jax.tree_util.tree_leaves_with_path(params)
    weights = [w for path, w in leaves if _decays(path)]
    return jnp.asarray(sum((jnp.sum(fn(w[kept] if offset else w)) for w in weights), start=0.0))


def _decays(path):
    """Whether the leaf at that path is a weight: its name, of a dict or a named tuple, says so."""
    name = getattr(path[-1], "key", getattr(path[-1], "name", None)) if path else None
    return name not in ("bias", "scale")


def _classes_or_distributions(y, shape):
    y = jnp.asarray(y)
    classes = y.shape == shape[:-1] and jnp.issubdtype(y.dtype, jnp.integer)
    if not shape or not (classes or y.shape == shape):
        raise ValueError(
            f"for logits {shape}, y is classes {shape[:-1]} of whole numbers or distributions "
            f"{shape}; got {y.shape} of {y.dtype}"
        )
    return y
