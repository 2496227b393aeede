"""Flow matching: a velocity that carries noise to data, learnt without solving for it. Notes: §9.4."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxdl.arrays import counted, masked_mean
from jaxdl.base import Array, Model, Objective, features
from jaxdl.training.objectives import apply_model, regulariser


def flow_matching(
    model: Model, *, smallest_noise: float | Array = 0.0, penalty: float | Array | Callable = 0.0
) -> Objective:
    """``l(w) = mean_n |v(x_t, t; w) - (x_1 - (1 - s) x_0)|^2 / D + lambda R(w)``, on straight lines

    ``x_t = (1 - (1 - s) t) x_0 + t x_1`` from noise x_0 ~ N(0, I) to data x_1, t ~ Uniform(0, 1). The
    best v is the expected direction of the lines through (x, t); its flow carries N(0, I) to the
    data's distribution (blurred by s). Draw by ``generation.integrate``, and its log-densities are
    ``generation.continuous_flow_log_prob``. Source: Lipman et al. (2023).

    A batch is x [B, ...], or a tuple whose first part it is.

    Args:
      model: v, which reads ``{"x": x_t, "time": t [B]}``, as ``models.time_mlp``.
      smallest_noise: s, which may be traced.
      penalty: lambda and R as in ``negative_log_likelihood``.

    Returns:
      An Objective that needs keys; ``evaluate`` gives ``mse`` [B], ``predict`` v of its input.
    """
    added = regulariser(penalty)

    def errors(params, state, batch, key, train, mask):
        if key is None:
            raise ValueError("flow matching draws times and noise: the objective needs a key")
        x1 = counted(jnp.asarray(features(batch)), mask)
        keys = jax.random.split(key, 3)
        t = jax.random.uniform(keys[0], x1.shape[:1], x1.dtype)
        x0 = jax.random.normal(keys[1], x1.shape, x1.dtype)
        along = t.reshape(-1, *(1,) * (x1.ndim - 1))
        inputs = {"x": (1 - (1 - smallest_noise) * along) * x0 + along * x1, "time": t}
        v, state = apply_model(model, params, state, inputs, keys[2], train, mask)
        off = jnp.square(v - (x1 - (1 - smallest_noise) * x0))
        return jnp.mean(off.reshape(len(off), -1), axis=1), state

    def loss(params, state, batch, *, key=None, train=False, mask=None):
        mse, state = errors(params, state, batch, key, train, mask)
        fit = masked_mean(mse, mask)
        return fit + added(params), (state, {"mse": fit})

    def predict(params, state, x):
        return apply_model(model, params, state, x)[0]

    def evaluate(params, state, batch, *, key=None):
        return {"mse": errors(params, state, batch, key, False, None)[0]}

    return Objective(loss, predict, evaluate)
