"""How sure predictions are, and whether rightly: entropies of an ensemble, calibration, dropout.

An ensemble's predictions are probabilities [J, N, K] of J members for N examples, as from
``Fitted.members``, ``vmap`` of ``learner.predict`` over stacked states, or ``mc_dropout`` through a
family's mean. Of a binary family, [J, N], they are ``jnp.stack([1 - p, p], axis=-1)``. Entropies
are in nats. Where a function takes ``mask`` [N], it marks the rows that count.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxdl.arrays import floating, masked_mean, rows_of
from jaxdl.base import Array, Key, Model, Params, State
from jaxdl.checks import positive_int
from jaxdl.divergences import entropy, kl_divergence


def predictive_entropy(probabilities: Array) -> Array:
    """``H[1/J sum_j p_j]``, [N]: all the uncertainty of an ensemble's prediction, of [J, N, K].

    At most log K; the sum of ``expected_entropy`` and ``mutual_information``. Raises ValueError
    for other shapes. Source: Gal (2016), §3.3.

    >>> certain_but_at_odds = jnp.array([[[1.0, 0.0]], [[0.0, 1.0]]])
    >>> round(predictive_entropy(certain_but_at_odds).item(), 4)  # log 2, all of it disagreement
    0.6931
    >>> expected_entropy(certain_but_at_odds).item()
    0.0
    """
    return entropy(jnp.mean(_members(probabilities), axis=0))


def expected_entropy(probabilities: Array) -> Array:
    """``1/J sum_j H[p_j]``, [N] of [J, N, K]: how unsure members are themselves (aleatoric).

    Raises ValueError for other shapes. Source: Depeweg et al. (2018).
    """
    return jnp.mean(entropy(_members(probabilities)), axis=0)


def mutual_information(probabilities: Array) -> Array:
    """``H[1/J sum_j p_j] - 1/J sum_j H[p_j] = 1/J sum_j KLD[p_j || p_bar]``, [N] of [J, N, K].

    How far members disagree (epistemic), 0 or more, at most log J and log K; what is asked for
    next in active learning (BALD). Raises ValueError for other shapes. Source: Houlsby et al.
    (2011).
    """
    p = _members(probabilities)
    return jnp.mean(kl_divergence(p, jnp.broadcast_to(jnp.mean(p, axis=0), p.shape)), axis=0)


class Reliability(NamedTuple):
    """Examples by how sure their prediction was, B bins (lower, upper] of the confidence.

    edges: [B + 1]. count: [B] int32, the examples in each. confidence: [B], the mean of the largest
    probability. accuracy: [B], the share that was predicted right. Both are 0 where there are none.
    """

    edges: Array
    count: Array
    confidence: Array
    accuracy: Array


def reliability(
    probabilities: Array, labels: Array, *, num_bins: int = 15, mask: Array | None = None
) -> Reliability:
    """Confidence and accuracy in bins of equal width, of probabilities [N, K], labels [N].

    The confidence of a row is its largest probability ``max_k p_k``; its bin is closed on the
    right. ``num_bins`` is static. Raises ValueError for shapes that do not fit, labels that are
    not whole numbers, fewer than one bin. Source: Guo et al. (2017), Eqs. (2), (3); DeGroot and
    Fienberg (1983).
    """
    p, labels, rows = _classified(probabilities, labels, mask)
    positive_int("num_bins", num_bins)
    edges = jnp.asarray(np.arange(num_bins + 1) / num_bins, p.dtype)
    confidence = jnp.max(p, axis=1)
    right = jnp.argmax(p, axis=1) == labels
    # One more than the inner edges that lie strictly below: an edge belongs to the bin it closes.
    bins = jnp.sum(confidence[:, None] > edges[1:-1], axis=1)
    total = lambda v: jnp.zeros(num_bins, v.dtype).at[bins].add(jnp.where(rows, v, 0))
    count = total(jnp.ones(len(p), jnp.int32))
    mean = lambda v: total(v).astype(p.dtype) / jnp.maximum(count, 1)
    return Reliability(edges, count, mean(confidence), mean(right.astype(jnp.int32)))


def expected_calibration_error(
    probabilities: Array, labels: Array, *, num_bins: int = 15, mask: Array | None = None
) -> Array:
    """``ECE = sum_b N_b/N |accuracy_b - confidence_b|``, [], of probabilities [N, K], labels [N].

    0 where predictions are right as often as they claim, at most 1. It depends on the bins, and
    is biased upwards where these hold few examples. Arguments and errors as ``reliability``.
    Source: Naeini et al. (2015); Guo et al. (2017), Eq. (3).

    >>> p = jnp.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6]])  # sure of two, right about one of them
    >>> round(expected_calibration_error(p, jnp.array([0, 1, 1]), num_bins=10).item(), 4)
    0.4
    """
    bins = reliability(probabilities, labels, num_bins=num_bins, mask=mask)
    gap = jnp.abs(bins.accuracy - bins.confidence)
    return jnp.vdot(bins.count.astype(gap.dtype), gap) / jnp.maximum(jnp.sum(bins.count), 1)


def maximum_calibration_error(
    probabilities: Array, labels: Array, *, num_bins: int = 15, mask: Array | None = None
) -> Array:
    """``MCE = max_b |accuracy_b - confidence_b|``, [], over bins that hold examples.

    Of probabilities [N, K] and labels [N]; arguments and errors as ``reliability``. Source: Guo et
    al. (2017), Eq. (5).
    """
    bins = reliability(probabilities, labels, num_bins=num_bins, mask=mask)
    return jnp.max(jnp.abs(bins.accuracy - bins.confidence))  # of empty bins both are 0


def brier_score(probabilities: Array, labels: Array, *, mask: Array | None = None) -> Array:
    """``1/N sum_n sum_k (p_nk - [y_n = k])^2``, [], in [0, 2], of [N, K] and labels [N].

    A proper score: its expectation is least for the true probabilities. Of two classes it is twice
    the squared error of one probability. Raises ValueError for shapes that do not fit and labels
    that are not whole numbers. Source: Brier (1950).
    """
    p, labels, rows = _classified(probabilities, labels, mask)
    each = jnp.sum(jnp.square(p - jax.nn.one_hot(labels, p.shape[1], dtype=p.dtype)), axis=1)
    return masked_mean(each, rows)


def mc_dropout(
    model: Model, params: Params, state: State, x: Array, *, key: Key, samples: int
) -> Array:
    """eta [S, N, ...] of S networks that dropout leaves of one, for x [N, ...].

    Dropout stays on while predicting: ``1/S sum_s g^-1(eta_s)`` approximates the average over
    weights, and the spread of eta says how sure it is. Each example and sample has its own masks.
    Through ``family.mean`` it is an ensemble of S members. The key is consumed.
    Source: Gal and Ghahramani (2016).

    Raises ValueError for fewer than one sample, and for a model with a state: with ``train=True``
    batch normalisation would take the statistics of x, so that predictions depend on each other.

    >>> from jaxdl import models
    >>> net = models.mlp((2, 8, 3), dropout=0.5)
    >>> params, state = net.init(jax.random.key(0))
    >>> mc_dropout(net, params, state, jnp.ones((4, 2)), key=jax.random.key(1), samples=10).shape
    (10, 4, 3)
    """
    positive_int("samples", samples)
    if jax.tree.leaves(state):
        raise ValueError(
            "mc_dropout takes models without a state: with train=True batch normalisation would "
            "use the statistics of x"
        )
    one = lambda key: model.apply(params, state, x, key=key, train=True)[0]
    return jax.vmap(one)(jax.random.split(key, samples))


def _members(probabilities: Any) -> Array:
    p = jnp.asarray(probabilities)
    if p.ndim != 3 or 0 in p.shape:
        raise ValueError(f"probabilities of members must be [J, N, K], got {p.shape}")
    return floating(p)


def _classified(probabilities, labels, mask):
    p, labels = jnp.asarray(probabilities), jnp.asarray(labels)
    if p.ndim != 2 or 0 in p.shape or labels.shape != p.shape[:1]:
        raise ValueError(
            f"probabilities must be [N, K] and labels [N], got {p.shape} and {labels.shape}"
        )
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise ValueError(f"labels must be whole numbers, got {labels.dtype}")
    rows = rows_of(mask, len(labels))
    concrete = not any(isinstance(a, Tracer) for a in (labels, rows))
    if concrete and bool(jnp.any(rows & ((labels < 0) | (labels >= p.shape[1])))):
        raise ValueError(f"labels must lie in 0..{p.shape[1] - 1}")
    p = jnp.where(rows[:, None], p, 0)  # rows that do not count may hold NaN
    return floating(p), labels, rows
