"""Densities of data that are whole numbers: uniform noise between them, and bits a dimension."""

import math

import jax
import jax.numpy as jnp

from jaxdl.base import Array, Key
from jaxdl.checks import positive_int, typed_key


def dequantise(key: Key, x: Array, levels: int) -> Array:
    """Whole numbers k = 0, ..., levels - 1 as real ones: ``(k + u) / levels``, u ~ U[0, 1).

    For x [...] returns [...] in [0, 1). By Jensen's inequality a density q of these bounds the
    probability of k, ``log P(k) >= E_u[log q((k + u) / levels)] - D log levels``, with equality
    where q is constant on each cell. The key is consumed. Source: Theis et al. (2016).

    Raises ValueError for fewer than one level.

    >>> x = dequantise(jax.random.key(0), jnp.array([0, 3]), 4)
    >>> quantise(x, 4).tolist()
    [0, 3]
    """
    levels = positive_int("levels", levels)
    x = jnp.asarray(x)
    dtype = jnp.result_type(float) if jnp.issubdtype(x.dtype, jnp.integer) else x.dtype
    u = jax.random.uniform(typed_key(key), x.shape, dtype)
    return in_cell(x, u, levels)


def in_cell(x: Array, u: Array, levels: int) -> Array:
    """``(k + u) / levels`` for whole numbers k and u in [0, 1], never in the next number's cell."""
    # Adding u to a large k may round up to k + 1.
    return jnp.minimum(x + u, jnp.nextafter(x + 1, x.astype(u.dtype))) / levels


def quantise(x: Array, levels: int) -> Array:
    """The whole numbers of ``dequantise``: ``floor(levels x)``, within 0, ..., levels - 1.

    >>> quantise(jnp.array([-0.1, 0.24, 0.25, 1.0]), 4).tolist()
    [0, 0, 1, 3]
    """
    levels = positive_int("levels", levels)
    return jnp.clip(jnp.floor(jnp.asarray(x) * levels), 0, levels - 1).astype(jnp.int32)


def cell_centres(x: Array, levels: int) -> Array:
    """The middle of each number's cell, ``(k + 1/2) / levels``: ``dequantise`` without noise.

    >>> cell_centres(jnp.array([0, 1]), 2).tolist()
    [0.25, 0.75]
    """
    return (jnp.asarray(x) + 0.5) / positive_int("levels", levels)


def bits_per_dim(
    log_prob: Array, dims: int, *, levels: int | None = None, width: float | Array = 1.0
) -> Array:
    """``(-log p(x) / log 2) / D``, plus ``log2(levels / width)`` where x stands for whole numbers.

    Args:
      log_prob: log p(x) in nats, [...].
      dims: D, the numbers of an example.
      levels: how many whole numbers there were; None for data that are real.
      width: the length of the interval that they were spread over: 1 for [0, 1), 2 for [-1, 1).

    A uniform density costs ``log2(levels)`` bits, on whichever interval:

    >>> bits_per_dim(jnp.zeros(()), 3, levels=256).item()
    8.0
    >>> bits_per_dim(-3 * jnp.log(2.0), 3, levels=256, width=2.0).item()
    8.0
    """
    bits = -log_prob / (math.log(2) * positive_int("dims", dims))
    if levels is None:
        return bits
    return bits + jnp.log2(positive_int("levels", levels) / jnp.asarray(width, bits.dtype))
