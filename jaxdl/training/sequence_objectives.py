"""The objective of language models: each token given those before it. Notes: §7.2."""

from collections.abc import Callable

import jax.numpy as jnp

from jaxdl.base import Array, Model, Objective, Sequences
from jaxdl.families import categorical
from jaxdl.training.objectives import apply_model, sequence_nll


def next_token_nll(
    model: Model,
    num_tokens: int,
    penalty: float | Array | Callable = 0.0,
    *,
    reduction: str = "mean",
    label_smoothing: float | Array = 0.0,
) -> Objective:
    """The negative log-likelihood of each window's tokens behind its first.

    ``l = -1/N sum_n 1/(T_n - 1) sum_{t=2}^{T_n} log p(x_nt | x_n1, ..., x_n,t-1)``, or without
    ``1/(T_n - 1)`` for the ``reduction`` "sum". A batch is one part: windows x [N, T] of tokens, or
    Sequences of them; what is behind an end counts for nothing. Notes: L985, Eq. (32), §7.2.

    Args:
      model: ``language_model``, say: from tokens [N, T - 1] to eta [N, T - 1, V]; its eta at t must
        not depend on tokens behind t.
      num_tokens: V.
      penalty, label_smoothing: as in ``sequence_nll``.
      reduction: "mean" over a window's tokens, or their "sum".

    Returns:
      An Objective; per window, ``evaluate`` gives ``nll`` of all tokens behind the first, and the
      means ``nll_per_token`` (in nats) and ``accuracy``. ``predict`` gives the probabilities
      [N, T, V] of the token behind each.
    """
    inner = sequence_nll(
        model,
        categorical(num_tokens),
        penalty,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )

    def loss(params, state, batch, *, key=None, train=False, mask=None):
        return inner.loss(params, state, _shifted(batch), key=key, train=train, mask=mask)

    def predict(params, state, x):
        eta, _ = apply_model(model, params, state, x)
        return categorical(num_tokens).mean(eta)

    def evaluate(params, state, batch, *, key=None):
        values = inner.evaluate(params, state, _shifted(batch), key=key)
        per_token = values.pop("nll_per_step")
        return {**values, "nll_per_token": per_token}

    return Objective(loss, predict, evaluate, inner.responses)


def _shifted(batch):
    """``(x, y)`` with x all tokens but the last, and y, as Sequences, all but the first."""
    if isinstance(batch, Sequences):
        tokens = batch.values
        behind = jnp.maximum(jnp.asarray(batch.lengths) - 1, 0)
    elif hasattr(batch, "ndim"):
        tokens, behind = batch, jnp.full(len(batch), batch.shape[-1] - 1)
    else:
        raise ValueError(
            f"next_token_nll takes windows of tokens [N, T] or Sequences, not {type(batch).__name__}"
        )
    if tokens.ndim != 2 or tokens.shape[1] < 2:
        raise ValueError(f"windows of tokens are [N, T] with T of 2 or more, not {tokens.shape}")
    y = Sequences(tokens[:, 1:], behind)
    x = tokens[:, :-1]
    return (Sequences(x, behind) if isinstance(batch, Sequences) else x), y
