"""Objectives: what is minimised. The recipe of the notes' §1.3 for any network and any family."""

import inspect
from collections.abc import Callable

from jaxdl import losses
from jaxdl.arrays import masked_mean
from jaxdl.base import Array, Family, Model, Objective


def match_response(eta: Array, y: Array) -> Array:
    """Drop the output axis of one-output networks, eta [B, 1] against y [B]; else eta as it is.

    This is the one place where [B, 1] meets [B]; families raise on it.
    """
    return eta[..., 0] if eta.ndim == y.ndim + 1 and eta.shape == (*y.shape, 1) else eta


def negative_log_likelihood(
    model: Model, family: Family, penalty: float | Array | Callable = 0.0
) -> Objective:
    """The objective of maximum likelihood, plus a penalty.

    ``l(w; D) = -1/N sum_n log p(y_n; f(x_n; w)) + lambda R(w)``. Notes: Eq. (9), §1.3; §3.3.

    A batch is ``(x [B, ...], y [B, ...])``.

    Args:
      model: the network f; ``eta = f(x; w)``. Its [B, 1] output meets a [B] response. Where its
        ``apply`` takes ``mask`` (batch normalisation does), it is told which rows count.
      family: the response distribution p(y; eta).
      penalty: lambda, the coefficient (traced or not) of ``R(w) = sum w^2`` over all weights but
        the offsets; or a function of the parameters, which is added as it is.

    Returns:
      An Objective; ``evaluate`` gives ``nll`` and the family's scores per example.
    """
    # XLA must not drop 0 * R(w), which is a pass over all weights; so it is not even written.
    none = isinstance(penalty, (int, float)) and penalty == 0
    scaled = lambda w: 0.0 if none else penalty * losses.l2(w)
    regulariser = penalty if callable(penalty) else scaled
    # Batch statistics are taken over the rows that count; other models never see the mask.
    sees_mask = "mask" in inspect.signature(model.apply).parameters

    def loss(params, state, batch, *, key=None, train=False, mask=None):
        x, y = batch
        rows = {"mask": mask} if sees_mask else {}
        eta, state = model.apply(params, state, x, key=key, train=train, **rows)
        nll = -family.log_prob(match_response(eta, y), y)
        if nll.ndim != 1:
            raise ValueError(
                f"log_prob must give one value per example, shape [{y.shape[0]}], but gives "
                f"{nll.shape}; sum the outputs with families.independent(family)"
            )
        fit = masked_mean(nll, mask)
        return fit + regulariser(params), (state, {"nll": fit})

    def predict(params, state, x):
        eta, _ = model.apply(params, state, x)
        mean = family.mean(eta)
        return mean[..., 0] if mean.ndim > 1 and mean.shape == (*x.shape[:-1], 1) else mean

    def evaluate(params, state, batch):
        x, y = batch
        eta, _ = model.apply(params, state, x)
        eta = match_response(eta, y)
        return {"nll": -family.log_prob(eta, y), **family.scores(eta, y)}

    return Objective(loss, predict, evaluate)
