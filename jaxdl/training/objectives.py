"""Objectives: what is minimised. The recipe of the notes' §1.3 for any network and any family."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxdl import losses
from jaxdl.arrays import counting, masked_mean, num_rows, safe_divide
from jaxdl.base import Array, Family, Model, Objective, Sequences, weighted
from jaxdl.checks import one_of


def match_response(eta: Array, y: Array) -> Array:
    """Drop the output axis of one-output networks, eta [B, 1] against y [B]; else eta as it is.

    This is the one place where [B, 1] meets [B]; families raise on it.
    """
    return eta[..., 0] if eta.ndim == y.ndim + 1 and eta.shape == (*y.shape, 1) else eta


def negative_log_likelihood(
    model: Model,
    family: Family,
    penalty: float | Array | Callable = 0.0,
    *,
    class_weights: Array | None = None,
) -> Objective:
    """The objective of maximum likelihood, plus a penalty.

    ``l(w; D) = -1/N sum_n c_n log p(y_n; f(x_n; w)) + lambda R(w)``, ``c_n = 1``. Notes: Eq. (9),
    §1.3; §3.3.

    A batch is ``(x, y [B, ...])``, x an array [B, ...], Sequences or a dict of arrays; or
    ``(x, y, weight [B])``, of which the mean is ``sum_n w_n ... / sum_n w_n``: a whole weight is as
    many rows, the unit of weights plays no part.

    Args:
      model: the network f; ``eta = f(x; w)``. Its [B, 1] output meets a [B] response. One that
        ``sees_mask`` is told which rows count.
      family: the response distribution p(y; eta).
      penalty: lambda, the coefficient (traced or not) of ``R(w) = sum w^2`` over all weights but
        the offsets; or a function of the parameters, which is added as it is.
      class_weights: [K], which may be traced: an example of class y counts ``c = class_weights[y]``
        times in the loss (and in the ``nll`` that it reports), not in scores. The sum is divided by
        N, or the sum of the rows' weights, not by that of c, so batches stay unbiased.

    Returns:
      An Objective; ``evaluate`` gives ``nll`` and the family's scores per example.
    """
    added = regulariser(penalty)

    def loss(params, state, batch, *, key=None, train=False, mask=None):
        x, y, weight = weighted(batch)
        eta, state = apply_model(model, params, state, x, key, train, counting(mask, weight))
        nll = -family.log_prob(match_response(eta, y), y)
        if nll.ndim != 1:
            raise ValueError(
                f"log_prob must give one value per example, shape [{y.shape[0]}], but gives "
                f"{nll.shape}; sum the outputs with families.independent(family)"
            )
        if class_weights is not None:
            nll = nll * jnp.asarray(class_weights, nll.dtype)[y]
        fit = masked_mean(nll, mask, weight)
        return fit + added(params), (state, {"nll": fit})

    def predict(params, state, x):
        eta, _ = apply_model(model, params, state, x)
        return _drop_output_axis(family.mean(eta), x)

    def evaluate(params, state, batch, *, key=None):
        x, y, _ = weighted(batch)
        eta, _ = apply_model(model, params, state, x)
        eta = match_response(eta, y)
        return {"nll": -family.log_prob(eta, y), **family.scores(eta, y)}

    return Objective(loss, predict, evaluate, family.responses, weighs=True)


def sequence_nll(
    model: Model,
    family: Family,
    penalty: float | Array | Callable = 0.0,
    *,
    reduction: str = "sum",
    label_smoothing: float | Array = 0.0,
) -> Objective:
    """The objective of maximum likelihood for sequences of responses, one to each position.

    ``l(w; D) = -1/N sum_n sum_{t <= T_n} log p(y_nt; eta_nt) + lambda R(w)`` with
    ``eta_n = f(x_n; w)``. Notes: Eq. (32), §7.2 (D-67).

    A batch is ``(x, y)`` or ``(x, y, weight [B])``, a weight for each sequence as in
    ``negative_log_likelihood``, with y Sequences [B, T] (or [B, T, K] for a family of rows), whose lengths
    say what counts; x is Sequences, an array or a dict. The model finds zeros behind the ends of
    Sequences, whatever stood there; it must keep those from the positions before.

    Args:
      model: the network f, with eta [B, T, ...].
      family, penalty: as in ``negative_log_likelihood``.
      reduction: ``"sum"`` over the positions of a sequence, its log-likelihood; or ``"mean"``, so
        that long sequences count no more than short ones.
      label_smoothing: epsilon of the loss, which may be traced: responses are 1 - epsilon of the
        label and epsilon of all K labels alike. Scores are of the labels themselves.
        Source: Szegedy et al. (2016).

    Returns:
      An Objective; per example, ``evaluate`` gives ``nll`` of the whole sequence, and the means
      over its positions: ``nll_per_step`` and the family's scores. An empty sequence has zeros.
    """
    one_of("reduction", reduction, ("sum", "mean"))
    added = regulariser(penalty)

    def over_steps(values, y):
        total = jnp.sum(jnp.where(y.mask, values, 0), axis=1)
        return total, safe_divide(total, y.lengths.astype(total.dtype))

    def per_position(params, state, x, y, key=None, train=False, mask=None, smoothed=False):
        if not isinstance(y, Sequences):
            raise ValueError(f"sequence_nll takes responses y as Sequences, not {type(y).__name__}")
        eta, state = apply_model(model, params, state, x, key, train, mask)
        responses = y.filled()
        eta = match_response(eta, responses)
        epsilon = label_smoothing if smoothed else 0.0
        log_prob = family.log_prob(eta, smooth_labels(eta, responses, epsilon))
        if log_prob.shape != y.mask.shape:
            raise ValueError(
                f"log_prob must give one value per position, {list(y.mask.shape)}, but gives "
                f"{list(log_prob.shape)}"
            )
        return eta, responses, log_prob, state

    def loss(params, state, batch, *, key=None, train=False, mask=None):
        x, y, weight = weighted(batch)
        rows = counting(mask, weight)
        _, _, log_prob, state = per_position(params, state, x, y, key, train, rows, smoothed=True)
        total, mean = over_steps(-log_prob, y)
        fit = masked_mean(total if reduction == "sum" else mean, mask, weight)
        return fit + added(params), (state, {"nll": fit})

    def predict(params, state, x):
        eta, _ = apply_model(model, params, state, x)
        mean = family.mean(eta)
        return mean[..., 0] if mean.ndim > 2 and mean.shape[-1] == 1 else mean

    def evaluate(params, state, batch, *, key=None):
        x, y, _ = weighted(batch)
        eta, responses, log_prob, _ = per_position(params, state, x, y)
        nll, per_step = over_steps(-log_prob, y)
        scores = {k: over_steps(v, y)[1] for k, v in family.scores(eta, responses).items()}
        return {"nll": nll, "nll_per_step": per_step, **scores}

    return Objective(loss, predict, evaluate, family.responses, weighs=True)


def smooth_labels(eta: Array, y: Array, epsilon: float | Array) -> Array:
    """``(1 - epsilon) onehot(y) + epsilon / K`` for labels y [...] and eta [..., K]; y for 0.

    Raises ValueError where eta has no such axis of labels.

    >>> smooth_labels(jnp.zeros((1, 2)), jnp.array([1]), 0.5).tolist()
    [[0.25, 0.75]]
    """
    if isinstance(epsilon, (int, float)) and epsilon == 0:
        return y
    if isinstance(epsilon, (int, float)) and not 0 <= epsilon <= 1:
        raise ValueError(f"label_smoothing lies in [0, 1], got {epsilon}")
    if eta.ndim != y.ndim + 1 or not jnp.issubdtype(y.dtype, jnp.integer):
        raise ValueError(
            f"label_smoothing is for labels [...] and eta [..., K], not {y.dtype} {list(y.shape)} "
            f"and {list(eta.shape)}"
        )
    labels = eta.shape[-1]
    return (1 - epsilon) * jax.nn.one_hot(y, labels, dtype=eta.dtype) + epsilon / labels


def apply_model(model, params, state, x, key=None, train=False, mask=None):
    """``model.apply`` on Sequences with zeros behind their ends; returns ``(eta, state)``."""
    # A NaN behind an end would have gradients, though its loss is left out.
    is_sequences = lambda node: isinstance(node, Sequences)
    fill = lambda part: part._replace(values=part.filled()) if is_sequences(part) else part
    x = jax.tree.map(fill, x, is_leaf=is_sequences)
    # Batch statistics are taken over the rows that count; other models never see the mask.
    rows = {"mask": mask} if model.sees_mask else {}
    return model.apply(params, state, x, key=key, train=train, **rows)


def regulariser(penalty: float | Array | Callable) -> Callable:
    """``R(w)`` times its coefficient, as a function of the parameters."""
    if callable(penalty):
        return penalty
    if isinstance(penalty, (int, float)) and penalty == 0:
        return lambda params: 0.0  # XLA keeps 0 * R(w), a pass over all weights
    return lambda params: penalty * losses.l2(params)


def _drop_output_axis(mean: Array, x: Any) -> Array:
    """The means of a one-output network without their last axis, one a row."""
    positions = x.shape[:-1] if hasattr(x, "shape") else ()
    one_output = mean.ndim > 1 and mean.shape[-1] == 1
    return mean[..., 0] if one_output and mean.shape[:-1] in ((num_rows(x),), positions) else mean
