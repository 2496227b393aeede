"""Optimizers are chains: a direction first, then the learning rate. Notes: §1.6, Eq. (16)."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxdl.arrays import precise
from jaxdl.base import Array, Params


class LearningRateState(NamedTuple):
    """step: [] int32, the number of updates so far."""

    step: Array


def chain(*parts: optax.GradientTransformation) -> optax.GradientTransformation:
    """``optax.chain`` of the parts, in their order, whose updates have the gradients' dtypes.

    In between 16-bit gradients may be in float32, as their moments are: they are rounded once.
    The state is the tuple of the parts' states.

    >>> steps = chain(scale_by_learning_rate(0.5), optax.scale(2.0))
    >>> steps.update(jnp.array([1.0, -3.0]), steps.init(jnp.zeros(2)))[0].tolist()
    [-1.0, 3.0]
    """
    inner = optax.chain(*parts)

    def update(updates, state, params=None):
        steps, state = inner.update(updates, state, params)
        return jax.tree.map(lambda u, g: u.astype(g.dtype), steps, updates), state

    return optax.GradientTransformation(inner.init, update)


def scale_by_learning_rate(
    learning_rate: float | Array | Callable,
) -> optax.GradientTransformation:
    """``u_t -> -alpha_t u_t``: the last part of an optimizer, in the dtypes of the u_t.

    ``learning_rate`` is alpha, a number, which may be traced, or a schedule ``step -> alpha``.
    Notes: L262, Eq. (16).

    >>> steps = scale_by_learning_rate(lambda t: 0.5 / (t + 1))
    >>> state = steps.init(jnp.zeros(1))
    >>> first, state = steps.update(jnp.ones(1), state)
    >>> second, state = steps.update(jnp.ones(1), state)
    >>> [u.item() for u in (first, second)]
    [-0.5, -0.25]
    """

    # Unlike optax's, a traced alpha leaves 16-bit updates in 16 bits.
    def init(params):
        return LearningRateState(jnp.zeros([], jnp.int32))

    def update(updates, state, params=None):
        alpha = step_size_at(learning_rate, state.step)
        updates = jax.tree.map(lambda u: -jnp.asarray(alpha, u.dtype) * u, updates)
        return updates, LearningRateState(state.step + 1)

    return optax.GradientTransformation(init, update)


def step_size_at(step_size: float | Array | Callable, step: Array) -> Array | float:
    """alpha_t: a schedule ``step -> alpha`` asked for step [], or the constant itself."""
    return step_size(step) if callable(step_size) else step_size


def moments_like(params: Params) -> Params:
    """Zeros in the params' shapes, in float32 at least: squares and sums outgrow 16 bits."""
    return jax.tree.map(lambda w: jnp.zeros_like(precise(w)), params)
