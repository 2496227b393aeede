"""Bounds on the gradient, against steps that explode. Notes: §4.5."""

import jax
import jax.numpy as jnp
import optax

from jaxdl.arrays import precise, safe_divide, tree_norm
from jaxdl.base import Array


def clip_by_global_norm(max_norm: float | Array) -> optax.GradientTransformation:
    """``g min(1, max_norm / |g|)`` with the norm of all leaves together.

    The direction stays. ``max_norm`` may be traced; chain it in front of an optimizer.
    Source: Pascanu et al. (2013).

    >>> steps = clip_by_global_norm(1.0)
    >>> steps.update(jnp.array([3.0, 4.0]), steps.init(None))[0].round(3).tolist()
    [0.6000000238418579, 0.800000011920929]
    """

    def update(updates, state, params=None):
        norm = tree_norm(updates)
        scale = jnp.where(norm > max_norm, safe_divide(max_norm, norm), 1)
        return jax.tree.map(lambda g: (precise(g) * scale).astype(g.dtype), updates), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def clip_by_value(limit: float | Array) -> optax.GradientTransformation:
    """Each entry of g clipped to [-limit, limit]; ``limit`` may be traced.

    Unlike clipping by the norm it turns the direction. Source: Mikolov (2012).
    """

    def update(updates, state, params=None):
        clip = lambda g: jnp.clip(g, -jnp.asarray(limit, g.dtype), jnp.asarray(limit, g.dtype))
        return jax.tree.map(clip, updates), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)
