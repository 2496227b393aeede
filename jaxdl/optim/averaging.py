"""Averages of parameters over the steps of a training run."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxdl.arrays import safe_divide
from jaxdl.base import Array, Params
from jaxdl.optim.adaptive import share_seen
from jaxdl.optim.composition import moments_like


class Average(NamedTuple):
    """step: [] int32, how many were averaged. decay: []. mean: like the params, in float32 at least."""

    step: Array
    decay: Array
    mean: Params


class AveragedState(NamedTuple):
    """optimizer: the state of the optimizer that is wrapped. average: an Average."""

    optimizer: Any
    average: Average


def average_init(params: Params, decay: float | Array) -> Average:
    """An Average that has seen no params yet; ``decay`` in [0, 1], 1 for the plain mean, may be traced."""
    return Average(jnp.zeros((), jnp.int32), jnp.asarray(decay, float), moments_like(params))


def average_update(average: Average, params: Params) -> Average:
    """The Average after one more set of params: ``m + a (w - m)``, ``a = (1 - decay) / (1 - decay^t)``.

    The first is taken whole, a = 1, so that there is no start at zero to correct for.

    >>> average = average_update(average_init(jnp.zeros(1), 0.5), jnp.full(1, 4.0))
    >>> average.step.item(), average.mean.item()
    (1, 4.0)
    """
    t, rest = average.step + 1, 1 - average.decay
    share = safe_divide(rest, share_seen(rest, t), 1 / t)
    into = lambda m, w: (m + share * (w - m)).astype(m.dtype)
    return Average(t, average.decay, jax.tree.map(into, average.mean, params))


def average_params(average: Average) -> Params:
    """``sum_s decay^(t-s) w_s / sum_s decay^(t-s)``, in the params' shapes; NaN of nothing.

    Source: Polyak and Juditsky (1992); Kingma and Ba (2015), §3.

    >>> average = average_init(jnp.zeros(1), 0.5)
    >>> for w in (1.0, 4.0):
    ...     average = average_update(average, jnp.full(1, w))
    >>> average_params(average).item()
    3.0
    """
    return jax.tree.map(lambda m: jnp.where(average.step > 0, m, jnp.nan), average.mean)


def with_average(
    optimizer: optax.GradientTransformation, decay: float | Array
) -> optax.GradientTransformation:
    """An optimizer whose state also averages the params after each step.

    Read them with ``average_params(state.average)``; ``decay`` may be traced. Raises ValueError
    where ``update`` gets no params.
    """

    def init(params):
        return AveragedState(optimizer.init(params), average_init(params, decay))

    def update(updates, state, params=None):
        if params is None:
            raise ValueError("averaging needs the params: update(grads, state, params)")
        updates, inner = optimizer.update(updates, state.optimizer, params)
        new = optax.apply_updates(params, updates)
        return updates, AveragedState(inner, average_update(state.average, new))

    return optax.GradientTransformation(init, update)
