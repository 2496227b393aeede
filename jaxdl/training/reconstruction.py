"""The objective of autoencoders: the response is x itself. Notes: §9.1."""

from collections.abc import Callable

import jax.numpy as jnp

from jaxdl.arrays import counted, masked_mean
from jaxdl.base import Array, Family, Model, Objective, features
from jaxdl.training.objectives import apply_model, regulariser


def reconstruction_nll(
    model: Model, family: Family, penalty: float | Array | Callable = 0.0
) -> Objective:
    """The negative log-likelihood of x given x: ``-1/N sum_n log p(x_n; f(x_n; w)) + lambda R(w)``.

    Notes: Eq. (48), §9.1. A batch is x [B, ...]; of ``(x, y)`` y is not looked at.

    Args:
      model: an ``autoencoder``; a denoising one sees noise while training, but x is what it must
        give.
      family: of the support of x (D-83): ``families.bernoulli()`` for bits, ``normal(scale)`` for
        reals; of single values, multiplied over those of a row, or of whole rows.
      penalty: as in ``negative_log_likelihood``.

    Returns:
      An Objective; ``predict`` gives ``E[x~|x]``, ``evaluate`` ``nll`` of each row and the means of
      the family's scores (``squared_error``, ``accuracy``) over its values.

    Raises:
      ValueError: the model gives eta of another number of rows than x.
    """
    added = regulariser(penalty)

    def rows(values, x):
        """One value a row: log-probabilities of single values are added up."""
        if values.shape[:1] != x.shape[:1]:
            raise ValueError(f"there are {x.shape[0]} rows in x, but values {values.shape}")
        return values.reshape(x.shape[0], -1)

    def loss(params, state, batch, *, key=None, train=False, mask=None):
        x = counted(jnp.asarray(features(batch)), mask)  # a NaN that is left out has gradients
        eta, state = apply_model(model, params, state, x, key, train, mask)
        fit = masked_mean(-jnp.sum(rows(family.log_prob(eta, x), x), axis=1), mask)
        return fit + added(params), (state, {"nll": fit})

    def predict(params, state, x):
        return family.mean(apply_model(model, params, state, x)[0])

    def evaluate(params, state, batch, *, key=None):
        x = features(batch)
        eta, _ = apply_model(model, params, state, x)
        scores = {k: jnp.mean(rows(v, x), axis=1) for k, v in family.scores(eta, x).items()}
        return {"nll": -jnp.sum(rows(family.log_prob(eta, x), x), axis=1), **scores}

    return Objective(loss, predict, evaluate)
