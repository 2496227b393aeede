"""Ensembles: averages and votes of J members, bagging, and what an ensemble gains. Notes: §3.3."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.base import Array, Key, Params


class Vote(NamedTuple):
    """labels: [N] int32, of equals the lowest. shares: [N, K], votes or mean probabilities."""

    labels: Array
    shares: Array


class Ambiguity(NamedTuple):
    """``ensemble = members - ambiguity``, [] each: mean squared errors and the mean variance.

    ensemble: of the averaged prediction. members: their average. ambiguity: how far members lie
    from their average, 0 or more, so the ensemble is never worse than its average member.
    """

    ensemble: Array
    members: Array
    ambiguity: Array


def average(predictions: Array, weights: Array | None = None) -> Array:
    """``1/J sum_j E[y|f(x; w_j)]``, [...], for predictions [J, ...]; or weighted [J]. Notes: L601."""
    predictions = jnp.asarray(predictions)
    return jnp.tensordot(_weights(weights, predictions), predictions, axes=1)


def hard_vote(labels: Array, *, num_classes: int) -> Vote:
    """``argmax_k sum_j y_hat_jk``, the class that most members predict. Notes: L607 (D-36).

    ``labels`` [J, N] of whole numbers, or probabilities [J, N, K], each member's argmax of which
    is its vote; a label outside 0..K-1 votes for no class. Raises ValueError for other shapes.

    >>> hard_vote(jnp.array([[0, 1], [2, 1], [2, 0]]), num_classes=3).labels.tolist()
    [2, 1]
    """
    labels = jnp.asarray(labels)
    dtype = jnp.result_type(labels, float)
    if labels.ndim == 3 and labels.shape[2] == num_classes:
        labels = jnp.argmax(labels, axis=2)
    if labels.ndim != 2 or not jnp.issubdtype(labels.dtype, jnp.integer):
        raise ValueError(
            f"members vote by labels [J, N] or probabilities [J, N, {num_classes}]; got "
            f"{labels.shape} of {labels.dtype}"
        )
    shares = jnp.mean(jax.nn.one_hot(labels, num_classes, dtype=dtype), axis=0)
    return Vote(jnp.argmax(shares, axis=1).astype(jnp.int32), shares)


def soft_vote(probabilities: Array, weights: Array | None = None) -> Vote:
    """``argmax_k sum_j softmax_k(f(x; w_j))`` for probabilities [J, N, K]. Notes: L613 (D-36)."""
    probabilities = jnp.asarray(probabilities)
    if probabilities.ndim != 3:
        raise ValueError(f"probabilities must be [J, N, K], got {probabilities.shape}")
    shares = average(probabilities, weights)
    return Vote(jnp.argmax(shares, axis=1).astype(jnp.int32), shares)


def bootstrap(key: Key, n: int, num_members: int) -> tuple[Array, Array]:
    """Rows for bagging: ``num_members`` draws of n rows with replacement; the key is consumed.

    Returns indices [J, n] int32, and masks [J, n] of the rows that were not drawn (out of bag,
    about 1/e of them). Source: Breiman (1996).
    """
    if n < 1 or num_members < 1:
        raise ValueError(f"bagging needs rows and members, not {n} and {num_members}")
    drawn = jax.random.randint(key, (num_members, n), 0, n, jnp.int32)
    unseen = jnp.ones((num_members, n), bool).at[jnp.arange(num_members)[:, None], drawn].set(False)
    return drawn, unseen


def out_of_bag(predictions: Array, unseen: Array) -> Array:
    """Each row's mean prediction by members that did not train on it: [N, ...] of [J, N, ...].

    ``unseen`` [J, N] as from ``bootstrap``; NaN for a row that every member saw. Raises ValueError
    where it has other members or rows than the predictions. Source: Breiman (1996).
    """
    predictions, unseen = jnp.asarray(predictions), jnp.asarray(unseen, bool)
    if unseen.ndim != 2 or predictions.shape[:2] != unseen.shape:
        raise ValueError(
            f"predictions [J, N, ...] and unseen [J, N] must agree in J and N, got "
            f"{predictions.shape} and {unseen.shape}"
        )
    weights = unseen.reshape(*unseen.shape, *(1,) * (predictions.ndim - 2))
    count = jnp.sum(weights, axis=0)
    total = jnp.sum(jnp.where(weights, predictions, 0), axis=0)
    return jnp.where(count > 0, total / jnp.maximum(count, 1), jnp.nan)


def diversity(predictions: Array, weights: Array | None = None) -> Array:
    """The members' variance about their average, averaged over all else: [] of [J, ...].

    ``mean_n sum_j a_j (f_j(x_n) - f_bar(x_n))^2``. Source: Krogh and Vedelsby (1995).
    """
    predictions = jnp.asarray(predictions)
    about = jnp.square(predictions - average(predictions, weights))
    return jnp.mean(average(about, weights))


def ambiguity_decomposition(
    predictions: Array, y: Array, weights: Array | None = None
) -> Ambiguity:
    """``MSE(f_bar) = sum_j a_j MSE(f_j) - ambiguity``, exactly, for predictions [J, N] and y [N].

    Raises ValueError where the members' shape is not y's. Source: Krogh and Vedelsby (1995).
    """
    predictions, y = jnp.asarray(predictions), jnp.asarray(y)
    if predictions.ndim == 0 or predictions.shape[1:] != y.shape:
        raise ValueError(f"predictions must be [J, *{y.shape}], got {predictions.shape}")
    each = jnp.mean(jnp.square(predictions - y).reshape(len(predictions), -1), axis=1)
    return Ambiguity(
        jnp.mean(jnp.square(average(predictions, weights) - y)),
        average(each, weights),
        diversity(predictions, weights),
    )


def average_parameters(params: Params, link: str) -> Params:
    """The mean of parameters stacked over members, leaves [J, ...] -> [...].

    ``1/J sum_j w_j'x = (1/J sum_j w_j)'x`` holds only where the mean is linear in the parameters,
    so ``link`` must be "identity" and ``params`` a linear model: an array or one dict of
    ``kernel`` and ``bias``. Anything else raises ValueError: average the predictions instead.
    Notes: §3.3, after L601 (D-35).
    """
    if link != "identity":
        raise ValueError(
            f"with the {link} link the mean is not linear in the parameters, so averaging them is "
            "not averaging the models: average the predictions instead"
        )
    linear = params if isinstance(params, dict) else {"kernel": params}
    if not set(linear) <= {"kernel", "bias"} or not jax.tree_util.all_leaves(linear.values()):
        named = sorted(params) if isinstance(params, dict) else f"a {type(params).__name__}"
        raise ValueError(
            f"parameters of {named} are not one linear model: their product is not linear in them; "
            "average the predictions instead"
        )
    counts = {jnp.shape(leaf)[:1] for leaf in linear.values()}
    if len(counts) != 1 or counts <= {(), (0,)}:
        raise ValueError("an ensemble needs at least one member, stacked along the first axis")
    return jax.tree.map(lambda leaf: jnp.mean(leaf, axis=0), params)


def zero_pad(coefficients: list[Array]) -> Array:
    """Coefficient vectors of different lengths on one basis, [J, K]: the missing ones are 0.

    Polynomials of different degrees share a basis only so. Raises ValueError for no vectors, and
    for arrays of more axes. Notes: Figure 13 (D-35).

    >>> zero_pad([jnp.ones(1), jnp.ones(3)]).tolist()
    [[1.0, 0.0, 0.0], [1.0, 1.0, 1.0]]
    """
    coefficients = [jnp.asarray(c) for c in coefficients]
    if not coefficients or any(c.ndim != 1 for c in coefficients):
        raise ValueError(
            f"coefficients are one vector a member, not {[c.shape for c in coefficients]}"
        )
    longest = max(len(c) for c in coefficients)
    return jnp.stack([jnp.pad(c, (0, longest - len(c))) for c in coefficients])


def _weights(weights, predictions):
    if predictions.ndim == 0 or len(predictions) == 0:
        raise ValueError("an ensemble needs at least one member, stacked along the first axis")
    count, dtype = len(predictions), jnp.result_type(predictions, float)
    if weights is None:
        return jnp.full(count, 1 / count, dtype)
    weights = jnp.asarray(weights, dtype)
    if weights.shape != (count,):
        raise ValueError(f"weights must be [{count}], one a member, got {weights.shape}")
    return weights / jnp.sum(weights)
