"""Gradients of parts of the data, and the whole from its parts. Notes: Eq. (30), §5.1."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from jaxdl.arrays import num_rows, precise
from jaxdl.base import Array, Batch, Params


def minibatch_gradient(fn: Callable, params: Params, data: Batch, index: Array) -> Params:
    """``1/B sum_{n in batch} d fn(w; x_n)/dw``, in the shape of the params. Notes: Eq. (30).

    Over uniformly drawn batches its mean is the whole gradient.

    Args:
      fn: ``(params, data [B, ...]) -> [B]``, the loss of each example.
      params: w.
      data: a pytree of arrays [N, ...].
      index: [B] the batch's rows.
    """
    batch = jax.tree.map(lambda leaf: jnp.asarray(leaf)[index], data)
    return jax.grad(lambda w: jnp.mean(fn(w, batch)))(params)


def accumulate_gradients(
    fn: Callable, params: Params, batch: Batch, num_parts: int, mask: Array | None = None
) -> tuple[Array, Params]:
    """The loss [] and gradient of a batch [B, ...], taken part by part to save memory.

    Equal to those of ``mean(fn(params, batch))`` over the rows that count; only B / ``num_parts``
    examples are in flight at once.

    Args:
      fn: ``(params, part [b, ...]) -> [b]``, the loss of each example by itself (no statistics
        of the batch).
      params: what to differentiate by.
      batch: a pytree of arrays [B, ...], B a multiple of ``num_parts``.
      num_parts: how many parts, static.
      mask: [B] the rows that count; others may hold anything finite. None is all.

    Raises ValueError where B is no multiple of ``num_parts``.

    >>> squares = lambda w, x: (x - w) ** 2
    >>> loss, gradient = accumulate_gradients(squares, 0.0, jnp.array([1.0, 2.0, 3.0, 6.0]), 2)
    >>> loss.item(), gradient.item()
    (12.5, -6.0)
    """
    size = num_rows(batch)
    if num_parts < 1 or size % num_parts:
        raise ValueError(f"{size} rows are not {num_parts} equal parts")
    rows = jnp.ones(size, bool) if mask is None else mask
    split = lambda leaf: leaf.reshape(num_parts, size // num_parts, *leaf.shape[1:])

    def total(w, part, counts):
        values = fn(w, part)
        return jnp.sum(jnp.where(counts, values, 0))

    def add(carry, part):
        return jax.tree.map(jnp.add, carry, jax.value_and_grad(total)(params, *part)), None

    shapes = jax.eval_shape(jax.value_and_grad(total), params, batch, rows)
    # Sums of 16 bits would lose the later parts.
    zero = jax.tree.map(lambda s: precise(jnp.zeros(s.shape, s.dtype)), shapes)
    sums, _ = lax.scan(add, zero, jax.tree.map(split, (batch, rows)))
    count = jnp.maximum(jnp.sum(rows), 1)
    return jax.tree.map(lambda s, like: (s / count).astype(like.dtype), sums, shapes)
