"""Mini-batches as index arrays."""

import jax
import jax.numpy as jnp

from jaxdl.base import Array, Key


def minibatches(
    key: Key | None, n: int, batch_size: int, drop_remainder: bool = False
) -> list[Array]:
    """Cut one epoch into mini-batches: every index 0..n-1 once, in random order. Notes: Eq. (30).

    Args:
      key: typed, consumed; None keeps the order.
      n: number of examples.
      batch_size: indices in a batch, [B] each; one larger than n gives a single batch [n].
      drop_remainder: leave out a last batch of n mod B indices; else it is shorter.

    Raises:
      ValueError: on sizes under 1, and where dropping the remainder leaves no batch.

    >>> [batch.tolist() for batch in minibatches(None, 5, 2)]
    [[0, 1], [2, 3], [4]]
    """
    if n < 1 or batch_size < 1:
        raise ValueError(f"n and batch_size must be at least 1, not {n} and {batch_size}")
    if drop_remainder and batch_size > n:
        raise ValueError(f"drop_remainder leaves no batch: {n} examples, batch_size {batch_size}")
    order = jnp.arange(n, dtype=jnp.int32)
    if key is not None:
        order = jax.random.permutation(key, order)
    stop = n - n % batch_size if drop_remainder else n
    return [order[i : i + batch_size] for i in range(0, stop, batch_size)]
