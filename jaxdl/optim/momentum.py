"""Gradient descent with momentum. Notes: §5.2."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxdl.base import Array, Params
from jaxdl.optim.adaptive import moments_like
from jaxdl.optim.gradient_descent import step_size_at


class MomentumState(NamedTuple):
    """step: [] int32, updates so far. velocity: V, like the params but in float32 at least; V_0 = 0."""

    step: Array
    velocity: Params


def momentum(
    learning_rate: float | Array | Callable,
    decay: float | Array = 0.9,
    *,
    dampening: float | Array = 0.0,
    nesterov: bool = False,
) -> optax.GradientTransformation:
    """``V_{t+1} = decay V_t + (1 - dampening) g_t``, and ``w_{t+1} = w_t - alpha_t V_{t+1}``.

    Under a constant gradient the step grows to ``(1 - dampening) / (1 - decay)`` times the plain
    one (D-59); with ``dampening = decay`` V is an average, as in Adam. Nesterov's form steps by
    ``decay V_{t+1} + (1 - dampening) g_t``. PyTorch sets V_1 = g_1 without its dampening; here
    V_0 = 0. Sources: Polyak (1964); Sutskever et al. (2013). Notes: L895-L897, §5.2.

    Args:
      learning_rate: alpha, a number or a schedule ``step -> alpha``.
      decay: beta in the notes. This and all numbers may be traced.
      dampening: 0 in the notes.
      nesterov: whether to look ahead; static.

    >>> steps = momentum(0.1, 0.5)
    >>> state = steps.init(jnp.zeros(1))
    >>> first, state = steps.update(jnp.ones(1), state)
    >>> second, state = steps.update(jnp.ones(1), state)
    >>> [round(u.item(), 3) for u in (first, second)]
    [-0.1, -0.15]
    """

    def init(params):
        return MomentumState(jnp.zeros((), jnp.int32), moments_like(params))

    def update(grads, state, params=None):
        alpha = step_size_at(learning_rate, state.step)
        into = lambda v, g: (decay * v + (1 - dampening) * g).astype(v.dtype)
        velocity = jax.tree.map(into, state.velocity, grads)
        ahead = jax.tree.map(into, velocity, grads) if nesterov else velocity
        updates = jax.tree.map(lambda v, g: (-alpha * v).astype(g.dtype), ahead, grads)
        return updates, MomentumState(state.step + 1, velocity)

    return optax.GradientTransformation(init, update)
