"""Maximum likelihood for whole numbers, with a density between them and noise that is learnt too."""

import math
from collections.abc import Callable

import jax.numpy as jnp

from jaxdl.arrays import counted, masked_mean
from jaxdl.base import Array, Objective, features
from jaxdl.divergences import log_mean_exp
from jaxdl.flows.densities import Density
from jaxdl.flows.dequantisation import bits_per_dim, cell_centres
from jaxdl.flows.dequantisers import Dequantiser, dequantised_log_weights
from jaxdl.training.objectives import regulariser


def dequantised_nll(
    density: Density,
    dequantiser: Dequantiser,
    penalty: float | Array | Callable = 0.0,
    *,
    samples: int = 1,
    eval_samples: int = 1,
) -> Objective:
    """``l = -1/N sum_n 1/S sum_s (log p((k_n + u_ns) / L) - D log L - log q(u_ns|k_n)) + lambda R(w)``.

    An upper bound on minus the mean ``log P(k_n)``, of density and noise at once; ``flow_nll`` with
    ``levels`` is the same with uniform noise, and is looser. Source: Ho et al. (2019), Flow++.

    A batch is k [B, ...], whole numbers, or a tuple whose first part it is. It goes with
    ``flows.dequantised_model(density, dequantiser)`` into a learner, and needs keys.

    Args:
      density: p, of x in [0, 1).
      dequantiser: q, as ``flows.flow_dequantiser``.
      penalty: as in ``negative_log_likelihood``.
      samples: S of the loss.
      eval_samples: draws for the scores, which are of the importance-weighted bound: the more, the
        tighter.

    Returns:
      An Objective. ``predict`` gives ``log p - D log L`` [B] at the middle of its cell; ``evaluate``
      gives ``nll`` in nats and ``bits_per_dim``, per example.
    """
    added = regulariser(penalty)

    def weights(key, params, k, samples):
        if key is None:
            raise ValueError("whole numbers get noise: the objective needs a key")
        return dequantised_log_weights(key, density, dequantiser, params, k, samples=samples)

    def loss(params, state, batch, *, key=None, train=False, mask=None):
        k = counted(jnp.asarray(features(batch)), mask)
        fit = masked_mean(-jnp.mean(weights(key, params, k, samples), axis=0), mask)
        return fit + added(params), (state, {"nll": fit})

    def predict(params, state, k):
        volume = math.prod(k.shape[1:]) * math.log(dequantiser.levels)
        return density.log_prob(params["density"], cell_centres(k, dequantiser.levels)) - volume

    def evaluate(params, state, batch, *, key=None):
        k = jnp.asarray(features(batch))
        value = log_mean_exp(weights(key, params, k, eval_samples)).mean
        return {"nll": -value, "bits_per_dim": bits_per_dim(value, math.prod(k.shape[1:]))}

    return Objective(loss, predict, evaluate)
