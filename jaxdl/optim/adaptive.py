"""Step sizes of each parameter's own: Adam, AdamW, RMSProp. Notes: §5.3.

The moments are those of optax in other forms: infinite squares are the largest number, averages
move by ``(1 - b) (g - V)``, and ``1 - b^t`` keeps its digits where b is close to 1.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxdl.arrays import precise, safe_sqrt
from jaxdl.base import Array, Params
from jaxdl.optim.composition import chain, moments_like, scale_by_learning_rate


class AdamState(NamedTuple):
    """step: [] int32, updates so far. mean, square: the moments V and S, like the params but in
    float32 at least."""

    step: Array
    mean: Params
    square: Params


class RMSPropState(NamedTuple):
    """square: S, like the params but in float32 at least."""

    square: Params


def adam(
    learning_rate: float | Array | Callable,
    b1: float | Array = 0.9,
    b2: float | Array = 0.999,
    *,
    eps: float | Array = 1e-8,
    eps_root: float | Array = 0.0,
) -> optax.GradientTransformation:
    """Adam: ``w_t = w_{t-1} - alpha u_t`` with the direction u of ``scale_by_adam``.

    The first step is ``alpha sign(g)``. Every number may be traced; ``learning_rate`` may be a
    schedule ``step -> alpha``. The update has the params' shapes and dtypes.
    Source: Kingma and Ba (2015). Notes: L901-L907, §5.3.

    >>> steps = adam(0.1)
    >>> updates, _ = steps.update(jnp.array([5.0, -0.3]), steps.init(jnp.zeros(2)))
    >>> [round(u, 4) for u in updates.tolist()]
    [-0.1, 0.1]
    """
    direction = scale_by_adam(b1, b2, eps=eps, eps_root=eps_root)
    return chain(direction, scale_by_learning_rate(learning_rate))


def adamw(
    learning_rate: float | Array | Callable,
    b1: float | Array = 0.9,
    b2: float | Array = 0.999,
    *,
    eps: float | Array = 1e-8,
    eps_root: float | Array = 0.0,
    weight_decay: float | Array = 1e-2,
    mask: Any = None,
) -> optax.GradientTransformation:
    """Adam with decoupled decay: ``w_t = w_{t-1} - alpha (u_t + lambda w_{t-1})``.

    u is the direction of ``scale_by_adam``. The decay is no part of the gradient, so Adam does not
    rescale it: unlike a penalty it shrinks all weights at one rate.
    Source: Loshchilov and Hutter (2019).

    Args:
      learning_rate, b1, b2, eps, eps_root: as in ``adam``.
      weight_decay: lambda; may be traced.
      mask: which leaves decay, a pytree of bools like the params or a function of them that gives
        one, as ``losses.decay_mask``; static; default all.

    The update has the params' shapes and dtypes. Raises ValueError where ``update`` gets no params.

    >>> steps, w = adamw(0.1, weight_decay=0.5), jnp.array([4.0])
    >>> round(steps.update(jnp.zeros(1), steps.init(w), w)[0].item(), 4)
    -0.2
    """
    return chain(
        scale_by_adam(b1, b2, eps=eps, eps_root=eps_root),
        optax.add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )


def rmsprop(
    learning_rate: float | Array | Callable,
    decay: float | Array = 0.9,
    *,
    eps: float | Array = 1e-8,
    eps_root: float | Array = 0.0,
) -> optax.GradientTransformation:
    """``w_t = w_{t-1} - alpha u_t`` with the direction u of ``scale_by_rms``.

    Adam without the average of the gradient and without corrections. Every number may be traced;
    ``learning_rate`` may be a schedule ``step -> alpha``. The update has the params' shapes and
    dtypes. Source: Tieleman and Hinton (2012).

    >>> steps = rmsprop(0.1, 0.75)
    >>> round(steps.update(jnp.array([5.0]), steps.init(jnp.zeros(1)))[0].item(), 4)
    -0.2
    """
    direction = scale_by_rms(decay, eps=eps, eps_root=eps_root)
    return chain(direction, scale_by_learning_rate(learning_rate))


def scale_by_adam(
    b1: float | Array = 0.9,
    b2: float | Array = 0.999,
    *,
    eps: float | Array = 1e-8,
    eps_root: float | Array = 0.0,
) -> optax.GradientTransformation:
    """Averages of the gradient and of its square, corrected for their start at zero.

    ``V_t = b1 V_{t-1} + (1 - b1) g_t``, ``S_t = b2 S_{t-1} + (1 - b2) g_t^2``, and
    ``u_t = V^_t / (sqrt(S^_t + eps_root) + eps)`` with ``V^_t = V_t / (1 - b1^t)`` and
    ``S^_t = S_t / (1 - b2^t)``, t = 1, 2, ... and V_0 = S_0 = 0 (D-58).

    ``eps`` outside the root is Kingma and Ba's and PyTorch's; the notes have it inside, ``eps=0,
    eps_root=1e-8``, which for small gradients is something else (D-57). Every number may be traced.
    u has the params' shapes, in float32 at least. Notes: L901-L905, §5.3.

    >>> steps = scale_by_adam()
    >>> updates, _ = steps.update(jnp.array([5.0, -0.3]), steps.init(jnp.zeros(2)))
    >>> [round(u, 4) for u in updates.tolist()]
    [1.0, -1.0]
    """

    def init(params):
        return AdamState(jnp.zeros((), jnp.int32), moments_like(params), moments_like(params))

    def update(updates, state, params=None):
        t = state.step + 1
        mean = jax.tree.map(lambda v, g: _average(b1, v, precise(g)), state.mean, updates)
        square = jax.tree.map(lambda s, g: _average(b2, s, _square(g)), state.square, updates)
        # Both corrections are scalars of a step: they are not taken for each entry.
        of_mean, of_square = (share_seen(1 - b, t) for b in (b1, b2))

        def direction(v, s):
            return v / of_mean / (safe_sqrt(s / of_square + eps_root) + eps)

        return jax.tree.map(direction, mean, square), AdamState(t, mean, square)

    return optax.GradientTransformation(init, update)


def scale_by_rms(
    decay: float | Array = 0.9, *, eps: float | Array = 1e-8, eps_root: float | Array = 0.0
) -> optax.GradientTransformation:
    """``S_t = decay S_{t-1} + (1 - decay) g_t^2``, S_0 = 0, ``u_t = g_t / (sqrt(S_t + eps_root) + eps)``.

    ``eps`` is PyTorch's, outside the root; ``eps_root`` optax's default place. Every number may be
    traced. u has the params' shapes, in float32 at least.

    >>> steps = scale_by_rms(0.75)
    >>> round(steps.update(jnp.array([5.0]), steps.init(jnp.zeros(1)))[0].item(), 4)
    2.0
    """

    def init(params):
        return RMSPropState(moments_like(params))

    def update(updates, state, params=None):
        square = jax.tree.map(lambda s, g: _average(decay, s, _square(g)), state.square, updates)

        def direction(g, s):
            return precise(g) / (safe_sqrt(s + eps_root) + eps)

        return jax.tree.map(direction, updates, square), RMSPropState(square)

    return optax.GradientTransformation(init, update)


def share_seen(rest: float | Array, t: Array) -> Array:
    """``1 - b^t`` of ``rest = 1 - b`` for t steps [], as -expm1(t log b): b may be close to 1."""
    above = rest < 1
    log = jnp.log1p(-jnp.where(above, rest, 0))
    return jnp.where(above, -jnp.expm1(t.astype(float) * log), 1)


def _average(decay, old, new):
    return (old + (1 - decay) * (new - old)).astype(old.dtype)


def _square(g):
    """g^2 as far as there are such numbers: an infinite moment would never come down again."""
    g = precise(g)
    return jnp.minimum(jnp.square(g), jnp.finfo(g.dtype).max)
