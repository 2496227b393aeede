"""The objective of densities: flows, and whatever else can say how likely an example is."""

import math
from collections.abc import Callable

import jax.numpy as jnp

from jaxdl.arrays import counted, masked_mean
from jaxdl.base import Array, Objective, features
from jaxdl.flows.densities import Density
from jaxdl.flows.dequantisation import bits_per_dim, cell_centres, dequantise
from jaxdl.training.objectives import regulariser


def flow_nll(
    density: Density, penalty: float | Array | Callable = 0.0, *, levels: int | None = None
) -> Objective:
    """The objective of maximum likelihood for a density p of unlabelled examples.

    ``l(w; D) = -1/N sum_n log p(x_n; w) + lambda R(w)``. Notes: Eq. (9), §1.3; §9.4.

    A batch is x [B, ...], or a tuple whose first part it is. Train it with
    ``gradient_learner(flows.density_model(density), flow_nll(density), optimizer)``.

    Args:
      density: p, as ``flows.flow(bijector, base)``.
      penalty: as in ``negative_log_likelihood``.
      levels: where x are whole numbers 0, ..., levels - 1: each loss and each evaluation then adds
        uniform noise, ``(x + u) / levels``, and subtracts ``D log levels``. The loss is an upper
        bound of the probability's, see ``flows.dequantise``. It needs the key.

    Returns:
      An Objective. ``predict`` gives log p(x) [B] (at the middle of its cell with ``levels``);
      ``evaluate`` gives ``nll`` in nats and ``bits_per_dim``, per example.
    """
    added = regulariser(penalty)

    def dims(x):
        return math.prod(x.shape[1:])

    def noisy(x, key):
        if levels is None:
            return x
        if key is None:
            raise ValueError("whole numbers get noise: the objective needs a key")
        return dequantise(key, x, levels)

    def log_prob(params, x):
        value = density.log_prob(params, x)
        if value.shape != x.shape[:1]:
            raise ValueError(
                f"log_prob must give one value per example, shape [{x.shape[0]}], but gives "
                f"{list(value.shape)}; is the event's shape that of x {list(x.shape)}?"
            )
        return value if levels is None else value - dims(x) * math.log(levels)

    def loss(params, state, batch, *, key=None, train=False, mask=None):
        x = counted(jnp.asarray(features(batch)), mask)  # zero times NaN is NaN in gradients
        fit = masked_mean(-log_prob(params, noisy(x, key)), mask)
        return fit + added(params), (state, {"nll": fit})

    def predict(params, state, x):
        x = jnp.asarray(x)
        return log_prob(params, x if levels is None else cell_centres(x, levels))

    def evaluate(params, state, batch, *, key=None):
        x = jnp.asarray(features(batch))
        value = log_prob(params, noisy(x, key))
        return {"nll": -value, "bits_per_dim": bits_per_dim(value, dims(x))}

    return Objective(loss, predict, evaluate)
