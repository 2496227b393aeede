"""What a denoising network minimises, and the bound on the likelihood that it means. Notes: §9.3."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxdl.arrays import counted, masked_mean
from jaxdl.base import Array, Key, Model, Objective, features
from jaxdl.models import diffusion
from jaxdl.models.diffusion import NoiseSchedule
from jaxdl.training.objectives import apply_model, regulariser


def denoising(
    model: Model,
    schedule: NoiseSchedule,
    *,
    target: str = "epsilon",
    num_classes: int | None = None,
    drop_label: float | Array = 0.1,
    penalty: float | Array | Callable = 0.0,
) -> Objective:
    """``l(w) = mean_n |f(x_t, t/T; w) - target(x_0, t, epsilon)|^2 / D + lambda R(w)``.

    Each example has one step t, uniform on 1, ..., T, and one noise epsilon ~ N(0, I).
    Source: Ho et al. (2020). Notes: §9.3 (E-60).

    A batch is x [B, ...], or ``(x, label [B])`` where there are ``num_classes``.

    Args:
      model: f, which reads ``{"x", "time"}`` and ``"label"`` where there are classes, as
        ``models.time_mlp``.
      schedule: of the noise.
      target: "epsilon", "x0" or "v", see ``models.diffusion.regression_target``.
      num_classes: K; a label is replaced by K, which says none, with the probability
        ``drop_label`` (traced or not), so that guidance can leave it out.
      penalty: lambda and R as in ``negative_log_likelihood``.

    Returns:
      An Objective that needs keys. ``evaluate`` gives, per example, the squared error ``mse`` and an
      unbiased estimate of the ``variational_bound`` from that one step, ``bound_bits_per_dim``.
      ``predict`` gives f's output for its input.
    """
    added = regulariser(penalty)
    steps = len(schedule.beta)

    def noisy(key, x):
        if key is None:
            raise ValueError("denoising draws steps and noise: the objective needs a key")
        keys = jax.random.split(key)
        t = jax.random.randint(keys[0], x.shape[:1], 1, steps + 1)
        noise = jax.random.normal(keys[1], x.shape, x.dtype)
        return t, noise, diffusion.diffuse(schedule, x, t, noise)

    def errors(params, state, batch, keys, train, mask):
        x = counted(jnp.asarray(features(batch)), mask)
        t, noise, x_t = noisy(keys[0], x)
        inputs = {"x": x_t, "time": t / steps}
        if num_classes is not None:
            label = batch[1]
            if train:
                dropped = jax.random.uniform(keys[1], label.shape) < drop_label
                label = jnp.where(dropped, num_classes, label)
            inputs["label"] = label
        output, state = apply_model(model, params, state, inputs, keys[2], train, mask)
        wanted = diffusion.regression_target(schedule, x, t, noise, target)
        return x, t, x_t, output, _mean_square(output - wanted), state

    def loss(params, state, batch, *, key=None, train=False, mask=None):
        keys = (None,) * 3 if key is None else jax.random.split(key, 3)
        *_, mse, state = errors(params, state, batch, keys, train, mask)
        fit = masked_mean(mse, mask)
        return fit + added(params), (state, {"mse": fit})

    def predict(params, state, x):
        return apply_model(model, params, state, x)[0]

    def evaluate(params, state, batch, *, key=None):
        keys = (None,) * 2 if key is None else jax.random.split(key)
        x, t, x_t, output, mse, _ = errors(params, state, batch, (keys[0], None, None), False, None)
        x0 = diffusion.predicted_x0(schedule, x_t, t, output, target)
        bound = steps * _step_nats(schedule, x, x0, t) + prior_nats(schedule, x)
        return {"mse": mse, "bound_bits_per_dim": bound / (_dims(x) * math.log(2))}

    return Objective(loss, predict, evaluate)


def variational_bound(
    denoise: Callable[[Array, Array], Array], schedule: NoiseSchedule, x0: Array, key: Key
) -> Array:
    """The bound ``-log p(x_0) <= L_0 + sum_{t>=2} L_{t-1} + L_T`` in nats [N], all steps summed.

    ``L_T`` is ``prior_nats``; ``L_{t-1} = KL(q(x_{t-1}|x_t, x_0) | p(x_{t-1}|x_t))`` of two normal
    distributions with the posterior's variance; ``L_0 = -log N(x_0; x0_hat(x_1), beta_1)``. Each step
    has one draw of the noise, so that it is unbiased. Divide by D log 2 for bits a dimension.
    Source: Ho et al. (2020), Eq. (5). Notes: §9.3.

    Args:
      denoise: ``(x_t [N, ...], t [N]) -> x0_hat``, see ``generation.denoiser``.
      x0: [N, ...].
      key: of the noise; it is consumed.
    """
    x0 = jnp.asarray(x0)

    def one(total, t):
        noise = jax.random.normal(jax.random.fold_in(key, t), x0.shape, x0.dtype)
        steps = jnp.full(len(x0), t)
        x_t = diffusion.diffuse(schedule, x0, steps, noise)
        return total + _step_nats(schedule, x0, denoise(x_t, steps), steps), None

    every = jnp.arange(1, len(schedule.beta) + 1)
    return lax.scan(one, prior_nats(schedule, x0), every)[0]


def prior_nats(schedule: NoiseSchedule, x0: Array) -> Array:
    """``KL(q(x_T | x_0) | N(0, I)) = 1/2 sum_d (abar_T (x_0^2 - 1) - log(1 - abar_T))`` [N]."""
    alpha_bar = jnp.exp(schedule.log_alpha_bar[-1])
    each = 0.5 * (alpha_bar * (jnp.square(x0) - 1) - jnp.log1p(-alpha_bar))
    return jnp.maximum(_sum(each), 0)


def _step_nats(schedule: NoiseSchedule, x0: Any, found: Any, t: Any) -> Array:
    """L_{t-1}, and L_0 at t = 1, for the x_0 that was ``found``."""
    beta = schedule.beta[t - 1]
    now, before = diffusion.scales(schedule, t), diffusion.scales(schedule, t - 1)
    # Half of the fall of the signal-to-noise ratio, without a difference of two large ratios.
    left = jnp.where(t > 1, jnp.square(before.noise), 1)
    weight = 0.5 * jnp.square(before.signal) * beta / (left * jnp.square(now.noise))
    squares = _sum(jnp.square(x0 - found))
    first = 0.5 * (squares / beta + _dims(x0) * jnp.log(2 * math.pi * beta))
    return jnp.where(t > 1, weight * squares, first)


def _sum(values):
    return jnp.sum(values.reshape(len(values), -1), axis=1)


def _mean_square(values):
    return jnp.mean(jnp.square(values).reshape(len(values), -1), axis=1)


def _dims(x):
    return math.prod(x.shape[1:])
