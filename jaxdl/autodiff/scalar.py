"""The networks of three scalar weights, with their derivatives written out. Notes: §4.4, §4.5.2."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.base import Array


class ScalarWeights(NamedTuple):
    """w0, w1, w2: [] each, of the first and second hidden unit and of the output."""

    w0: Array
    w1: Array
    w2: Array


def scalar_nn(w: ScalarWeights, x: Array, *, skip: bool = False) -> Array:
    """``w_2 h_2`` with ``h_2 = phi(w_1 h_1) [+ h_1]`` and ``h_1 = phi(w_0 x)``, phi logistic.

    x [N] gives [N]. Notes: L713, §4.4; with ``skip`` L821, §4.5.2.
    """
    h1 = jax.nn.sigmoid(w.w0 * x)
    h2 = jax.nn.sigmoid(w.w1 * h1) + (h1 if skip else 0)
    return w.w2 * h2


def scalar_nn_gradients(w: ScalarWeights, x: Array, y: Array) -> ScalarWeights:
    """The derivatives of the mean of ``(y - w_2 h_2)^2`` over x [N], y [N], [] each.

    Every one has the factor ``2 (w_2 h_2 - y)``; each earlier weight has one link more.
    Notes: L721, L725, L729, §4.4.

    >>> w = ScalarWeights(jnp.float32(0), jnp.float32(0), jnp.float32(2))
    >>> [g.item() for g in scalar_nn_gradients(w, jnp.ones(1), jnp.zeros(1))]
    [0.0, 0.5, 1.0]
    """
    h1 = jax.nn.sigmoid(w.w0 * x)
    h2 = jax.nn.sigmoid(w.w1 * h1)
    to_h2 = 2 * (w.w2 * h2 - y) * w.w2
    to_a2 = to_h2 * h2 * (1 - h2)
    to_a1 = to_a2 * w.w1 * h1 * (1 - h1)
    return ScalarWeights(
        jnp.mean(to_a1 * x), jnp.mean(to_a2 * h1), jnp.mean(2 * (w.w2 * h2 - y) * h2)
    )


def scalar_skip_gradients(w: ScalarWeights, x: Array, y: Array) -> ScalarWeights:
    """``scalar_nn_gradients`` of the network with a skip from h_1 to h_2, x [N], y [N].

    ``h_2 = p + h_1`` with ``p = phi(w_1 h_1)``, so the slope of the second unit is ``p (1 - p)``
    and not ``h_2 (1 - h_2)`` (D-45); ``dh_2/dh_1 = p (1 - p) w_1 + 1`` does not vanish with it.
    Notes: L821-L829, §4.5.2.
    """
    h1 = jax.nn.sigmoid(w.w0 * x)
    p = jax.nn.sigmoid(w.w1 * h1)
    error = 2 * (w.w2 * (p + h1) - y)
    to_h2 = error * w.w2
    to_h1 = to_h2 * (p * (1 - p) * w.w1 + 1)
    return ScalarWeights(
        jnp.mean(to_h1 * h1 * (1 - h1) * x),
        jnp.mean(to_h2 * p * (1 - p) * h1),
        jnp.mean(error * (p + h1)),
    )
