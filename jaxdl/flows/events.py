"""Which of an array's axes are one example's (its event), and sums over these."""

import math
from collections.abc import Sequence

import jax.numpy as jnp

from jaxdl.base import Array
from jaxdl.checks import positive_int


def event_shape(shape: int | Sequence[int]) -> tuple[int, ...]:
    """The shape of one example as a tuple; D is short for (D,)."""
    axes = tuple(shape) if isinstance(shape, Sequence) else (shape,)
    return tuple(positive_int("each axis of an event's shape", axis) for axis in axes)


def check_event(x: Array, shape: tuple[int, ...]) -> Array:
    """x as an array [..., *shape]. Raises a ValueError for another shape."""
    x = jnp.asarray(x)
    if x.ndim < len(shape) or x.shape[x.ndim - len(shape) :] != shape:
        wanted = ", ".join(map(str, ("...", *shape)))
        raise ValueError(f"expected an array [{wanted}], not {list(x.shape)}")
    return x


def check_channels(x: Array, channels: int, event_ndims: int) -> Array:
    """x as an array [..., channels] of ``event_ndims`` axes or more, else a ValueError."""
    x = jnp.asarray(x)
    if x.ndim < event_ndims or x.shape[-1] != channels:
        axes = f"at least {event_ndims} axes" if event_ndims > 1 else "an axis"
        raise ValueError(f"expected {axes}, the last of length {channels}, not {list(x.shape)}")
    return x


def over_event(values: Array, event_ndims: int) -> Array:
    """The sum over the last ``event_ndims`` axes of values [..., *event]: one an example, [...].

    >>> over_event(jnp.ones((2, 3, 4)), 2).tolist()
    [12.0, 12.0]
    """
    return jnp.sum(values, axis=tuple(range(-event_ndims, 0)))


def num_positions(x: Array, event_ndims: int) -> int:
    """How many positions (pixels) an example has: H W of x [..., H, W, C] where ``event_ndims`` is 3.

    >>> num_positions(jnp.ones((5, 2, 3, 4)), 3)
    6
    """
    return math.prod(x.shape[x.ndim - event_ndims : -1])


def no_volume(x: Array, event_ndims: int) -> Array:
    """``log |det I| = 0``, of what moves the values of x [..., *event] and scales none: [...].

    >>> no_volume(jnp.ones((2, 3)), 1).tolist()
    [0.0, 0.0]
    """
    return jnp.zeros(x.shape[: x.ndim - event_ndims], x.dtype)
