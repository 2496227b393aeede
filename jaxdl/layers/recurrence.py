"""All steps of a recurrence at once, with a gradient of its own.

A cell here is ``s_t = U'h_{t-1} + b`` and a function, element by element, of what the input gives,
``u_t``, of ``s_t`` and of the carry, whose last part is h. The products with the inputs are one
product before the loop, and the gradient of U is one product behind the backward loop: a loop that
adds a [H, G] gradient up at every step spends most of its time on that. What the backward loop can
know beforehand is computed for all steps at once, on all cores; a step alone is too small for that.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.base import Array


class Gates(NamedTuple):
    """What a cell does element by element, and its derivative.

    forward: ``(u [B, G], s [B, G], carry) -> (carry, kept)``; ``kept`` is for ``slopes``.
    slopes: ``(kept, before, after) -> slopes``, all of the derivative that the carries before and
        after the step decide. It is called for all steps at once, so it takes [..., G] and [..., H].
    backward: ``(slopes, d) -> (du, ds, d before)`` of the loss's derivatives d by the carry after
        the step. Where du and ds are the same, it returns one array twice.
    """

    forward: Callable
    slopes: Callable
    backward: Callable


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def recur(
    gates: Gates, kernel: Array, bias: Array | None, u: Array, mask: Array | None, carry: tuple
) -> tuple[tuple, Array]:
    """``(carry, h [T, B, H])`` after the steps of u [T, B, G]; U is ``kernel`` [H, G].

    The carry stays as it is where mask [T, B] is False. Its gradients are reverse-mode only, of any
    order.
    """
    return _forward(gates, kernel, bias, u, mask, carry)[0]


def recurrent_sum(kernel: Array, bias: Array | None, h: Array) -> Array:
    """``s = U'h + b``, [..., G H], of the kernel U [H, G H] of G gates, b [G H] or None, h [..., H].

    Notes: §7.1.

    >>> recurrent_sum(jnp.array([[2.0, 3.0]]), None, jnp.array([5.0])).tolist()
    [10.0, 15.0]
    """
    return h @ kernel if bias is None else h @ kernel + bias


def hold(mask: Array | None, new: Any, old: Any) -> Any:
    """The new leaves [B, ...] where mask [B] is True, and the old ones elsewhere."""
    if mask is None:
        return new
    return jax.tree.map(lambda n, o: jnp.where(mask[:, None], n, o), new, old)


def _forward(gates, kernel, bias, u, mask, carry):
    def step(carry, now):
        u, mask = now
        new, kept = gates.forward(u, recurrent_sum(kernel, bias, carry[-1]), carry)
        new = hold(mask, new, carry)
        return new, (new, kept)

    last, (after, kept) = jax.lax.scan(step, carry, (u, mask))
    return (last, after[-1]), (kernel, bias, mask, carry, after, kept)


def _backward(gates, residuals, d):
    kernel, bias, mask, first, after, kept = residuals
    before = jax.tree.map(lambda c, a: jnp.concatenate([c[None], a[:-1]]), first, after)
    slopes = gates.slopes(kept, before, after)
    transposed = kernel.T

    def step(d, now):
        slopes, mask, dy = now
        d = (*d[:-1], d[-1] + dy)
        nothing = jax.tree.map(jnp.zeros_like, d)
        du, ds, d_before = gates.backward(slopes, hold(mask, d, nothing))
        d_before = (*d_before[:-1], d_before[-1] + ds @ transposed)
        if mask is not None:
            d_before = jax.tree.map(jnp.add, d_before, hold(mask, nothing, d))
        return d_before, (du, None if ds is du else ds)  # what is kept once is written once

    d_last, d_outputs = d
    d_first, (du, ds) = jax.lax.scan(step, d_last, (slopes, mask, d_outputs), reverse=True)
    flat = lambda x: x.reshape(-1, x.shape[-1])
    ds = flat(du if ds is None else ds)
    d_kernel = flat(before[-1]).T @ ds
    d_bias = None if bias is None else jnp.sum(ds, axis=0)
    return d_kernel, d_bias, du, None, d_first


recur.defvjp(_forward, _backward)
