"""Averages of parameters over the steps of a training run."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxdl.base import Array, Params


class Average(NamedTuple):
    """step: [] int32, how many were averaged. decay: []. total: like the params.

    ``total = (1 - decay) sum_s decay^(t - s) w_s``, which lacks what came before the first."""

    step: Array
    decay: Array
    total: Params


class AveragedState(NamedTuple):
    """optimizer: the state of the optimizer that is wrapped. average: an Average."""

    optimizer: Any
    average: Average


def average_init(params: Params, decay: float | Array) -> Average:
    """An Average that has seen no params yet; ``decay`` may be traced."""
    precise = lambda w: jnp.zeros(w.shape, jnp.promote_types(w.dtype, jnp.float32))
    return Average(
        jnp.zeros((), jnp.int32), jnp.asarray(decay, float), jax.tree.map(precise, params)
    )


def average_update(average: Average, params: Params) -> Average:
    """The Average after one more set of params."""
    decay = average.decay
    into = lambda m, w: (decay * m + (1 - decay) * w).astype(m.dtype)
    return Average(average.step + 1, decay, jax.tree.map(into, average.total, params))


def average_params(average: Average) -> Params:
    """``sum_s decay^(t-s) w_s / sum_s decay^(t-s)``, in the params' shapes; NaN of nothing.

    The division takes out the start at zero, as in Adam. Source: Polyak and Juditsky (1992);
    Kingma and Ba (2015), §3.

    >>> average = average_init(jnp.zeros(1), 0.5)
    >>> for w in (1.0, 4.0):
    ...     average = average_update(average, jnp.full(1, w))
    >>> average_params(average).item()
    3.0
    """
    weight = 1 - jnp.power(average.decay, average.step.astype(average.decay.dtype))
    return jax.tree.map(lambda m: (m / weight).astype(m.dtype), average.total)


def with_average(
    optimizer: optax.GradientTransformation, decay: float | Array
) -> optax.GradientTransformation:
    """An optimizer whose state also averages the params after each step.

    Read them with ``average_params(state.average)``; ``decay`` may be traced. Raises ValueError
    where ``update`` gets no params.
    """

    def init(params):
        return AveragedState(optimizer.init(params), average_init(params, decay))

    def update(grads, state, params=None):
        if params is None:
            raise ValueError("averaging needs the params: update(grads, state, params)")
        updates, inner = optimizer.update(grads, state.optimizer, params)
        new = optax.apply_updates(params, updates)
        return updates, AveragedState(inner, average_update(state.average, new))

    return optax.GradientTransformation(init, update)
