"""Gradient descent with momentum. Notes: §5.2."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import optax

from jaxdl.base import Array, Params
from jaxdl.optim.composition import chain, moments_like, scale_by_learning_rate


class MomentumState(NamedTuple):
    """velocity: V, like the params but in float32 at least; V_0 = 0."""

    velocity: Params


def momentum(
    learning_rate: float | Array | Callable,
    decay: float | Array = 0.9,
    *,
    dampening: float | Array = 0.0,
    nesterov: bool = False,
) -> optax.GradientTransformation:
    """``w_{t+1} = w_t - alpha_t V_{t+1}`` with the velocity V of ``trace``.

    Under a constant gradient the step grows to ``(1 - dampening) / (1 - decay)`` times the plain
    one (D-59). Sources: Polyak (1964); Sutskever et al. (2013). Notes: L895-L897, §5.2.

    Args:
      learning_rate: alpha, a number or a schedule ``step -> alpha``; may be traced.
      decay, dampening, nesterov: as in ``trace``.

    The update has the params' shapes and dtypes.

    >>> import jax.numpy as jnp
    >>> steps = momentum(0.1, 0.5)
    >>> state = steps.init(jnp.zeros(1))
    >>> first, state = steps.update(jnp.ones(1), state)
    >>> second, state = steps.update(jnp.ones(1), state)
    >>> [round(u.item(), 3) for u in (first, second)]
    [-0.1, -0.15]
    """
    velocity = trace(decay, dampening=dampening, nesterov=nesterov)
    return chain(velocity, scale_by_learning_rate(learning_rate))


def trace(
    decay: float | Array = 0.9, *, dampening: float | Array = 0.0, nesterov: bool = False
) -> optax.GradientTransformation:
    """``g_t -> V_{t+1} = decay V_t + (1 - dampening) g_t``, from V_0 = 0, in float32 at least.

    With ``dampening = decay`` V is an average, as in Adam. Nesterov's form gives
    ``decay V_{t+1} + (1 - dampening) g_t``. PyTorch sets V_1 = g_1 without its dampening.

    Args:
      decay: beta in the notes. This and all numbers may be traced.
      dampening: 0 in the notes.
      nesterov: whether to look ahead; static.

    Notes: L895, §5.2.

    >>> import jax.numpy as jnp
    >>> steps = trace(0.5, dampening=0.5)
    >>> steps.update(jnp.array([4.0]), steps.init(jnp.zeros(1)))[0].tolist()
    [2.0]
    """

    # Unlike optax's, the state keeps its dtype, and 16-bit gradients add up in float32.
    def init(params):
        return MomentumState(moments_like(params))

    def update(updates, state, params=None):
        into = lambda v, g: (decay * v + (1 - dampening) * g).astype(v.dtype)
        velocity = jax.tree.map(into, state.velocity, updates)
        ahead = jax.tree.map(into, velocity, updates) if nesterov else velocity
        return ahead, MomentumState(velocity)

    return optax.GradientTransformation(init, update)
