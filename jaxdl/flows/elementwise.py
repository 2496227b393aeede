"""Invertible maps of each value by itself: shifts and scales, and the order of the values."""

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from jaxdl.arrays import mean_and_deviation
from jaxdl.base import Array, Bijector
from jaxdl.checks import positive_int
from jaxdl.flows.events import (
    check_channels,
    check_event,
    event_shape,
    no_volume,
    num_positions,
    over_event,
)


def affine(shape: int | tuple[int, ...]) -> Bijector:
    """Shift and scale each value: ``x = exp(s) z + t``, ``log |det dx/dz| = sum s``.

    t is ``shift`` and s is ``log_scale``, of the event's ``shape`` each, zeros at first: the
    identity. Events are z [..., *shape]; D is short for (D,). Raises ValueError for other events.
    Notes: §9.4.

    >>> scale = affine(2)
    >>> params = {"shift": jnp.ones(2), "log_scale": jnp.log(jnp.array([2.0, 4.0]))}
    >>> x, log_det = scale.forward(params, jnp.array([1.0, 1.0]))
    >>> x.tolist(), round(log_det.item(), 4)
    ([3.0, 5.0], 2.0794)
    """
    shape = event_shape(shape)

    def init(key, x=None):
        del key, x
        return {"shift": jnp.zeros(shape), "log_scale": jnp.zeros(shape)}

    def forward(params, z):
        z = check_event(z, shape)
        x = jnp.exp(params["log_scale"]) * z + params["shift"]
        return x, _of_each(jnp.sum(params["log_scale"]), x, len(shape))

    def inverse(params, x):
        x = check_event(x, shape)
        z = jnp.exp(-params["log_scale"]) * (x - params["shift"])
        return z, _of_each(-jnp.sum(params["log_scale"]), z, len(shape))

    return Bijector(init, forward, inverse)


def actnorm(channels: int, *, event_ndims: int = 1) -> Bijector:
    """Shift and scale each channel, at first so that the data have mean 0 and variance 1.

    ``x = exp(s) z + t``; s and t are ``log_scale`` and ``shift`` [channels], the same at all
    positions of an event [..., channels] of ``event_ndims`` axes, so that
    ``log |det dx/dz| = positions * sum s``.

    With data x [N, ...], ``init`` takes t and exp(s) from them, means and standard deviations of
    each channel over examples and positions; a constant channel keeps its scale. Without, both are
    zeros: the identity. Source: Kingma and Dhariwal (2018), Glow.

    >>> data = jnp.array([[0.0, 0.0], [2.0, 20.0]])
    >>> norm = actnorm(2)
    >>> norm.inverse(norm.init(jax.random.key(0), data), data)[0].round(4).tolist()
    [[-1.0, -1.0], [1.0, 1.0]]
    """
    channels = positive_int("channels", channels)

    def init(key, x=None):
        del key
        if x is None:
            return {"shift": jnp.zeros(channels), "log_scale": jnp.zeros(channels)}
        x = check_channels(x, channels, event_ndims)
        rows = x.reshape(-1, channels)
        mean, scale = mean_and_deviation(rows, jnp.ones(rows.shape, bool))
        return {"shift": mean, "log_scale": jnp.log(jnp.where(scale > 0, scale, 1))}

    def total(params, x):
        return num_positions(x, event_ndims) * jnp.sum(params["log_scale"])

    def forward(params, z):
        z = check_channels(z, channels, event_ndims)
        x = jnp.exp(params["log_scale"]) * z + params["shift"]
        return x, _of_each(total(params, x), x, event_ndims)

    def inverse(params, x):
        x = check_channels(x, channels, event_ndims)
        z = jnp.exp(-params["log_scale"]) * (x - params["shift"])
        return z, _of_each(-total(params, z), z, event_ndims)

    return Bijector(init, forward, inverse)


def permutation(order: ArrayLike, *, event_ndims: int = 1) -> Bijector:
    """Another order of the last axis: ``x_i = z_order[i]``; the log-determinant is 0.

    Raises ValueError unless ``order`` has each of 0, ..., D - 1 once.

    >>> permutation([2, 0, 1]).forward({}, jnp.array([5.0, 6.0, 7.0]))[0].tolist()
    [7.0, 5.0, 6.0]
    """
    order = np.asarray(order)
    if order.ndim != 1 or sorted(order.tolist()) != list(range(len(order))):
        raise ValueError(f"an order has each of 0, ..., D - 1 once, not {order.tolist()}")
    order = order.astype(np.int32)
    back = np.argsort(order).astype(np.int32)

    def moved(value, order):
        value = check_channels(value, len(order), event_ndims)
        return jnp.take(value, order, axis=-1), no_volume(value, event_ndims)

    def init(key, x=None):
        del key, x
        return {}

    return Bijector(init, lambda params, z: moved(z, order), lambda params, x: moved(x, back))


def reverse(dim: int, *, event_ndims: int = 1) -> Bijector:
    """The last axis from its end to its start; its own inverse.

    >>> reverse(3).forward({}, jnp.array([5.0, 6.0, 7.0]))[0].tolist()
    [7.0, 6.0, 5.0]
    """
    return permutation(range(positive_int("dim", dim))[::-1], event_ndims=event_ndims)


def logit(event_ndims: int = 1, *, margin: float | Array = 0.0) -> Bijector:
    """From the real line into (0, 1), widened by a margin: ``x = (sigmoid(z) - m) / (1 - 2m)``.

    m is ``margin``, below 1/2, which may be traced; with one, data x in [0, 1] have a finite z:
    ``z = logit(m + (1 - 2m) x)``. There are no parameters. Source: Dinh et al. (2017), §4.1.

    The log-determinant counts the widening: forward and inverse add up to zero.

    >>> logit(margin=0.05).inverse({}, jnp.array([0.5]))[0].tolist()
    [0.0]
    """

    def log_slope(z):
        slope = -jnp.logaddexp(0.0, z) - jnp.logaddexp(0.0, -z)
        return over_event(slope - jnp.log1p(-2 * jnp.asarray(margin, z.dtype)), event_ndims)

    def init(key, x=None):
        del key, x
        return {}

    def forward(params, z):
        z = jnp.asarray(z)
        return (jax.nn.sigmoid(z) - margin) / (1 - 2 * margin), log_slope(z)

    def inverse(params, x):
        p = margin + (1 - 2 * margin) * jnp.asarray(x)
        z = jnp.log(p) - jnp.log1p(-p)
        return z, -log_slope(z)

    return Bijector(init, forward, inverse)


def _of_each(total, x, event_ndims):
    """One log-determinant for all, spread over the examples."""
    return jnp.broadcast_to(total.astype(x.dtype), x.shape[: x.ndim - event_ndims])
