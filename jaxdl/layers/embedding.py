"""Embeddings: a row of a table for each token. Notes: §7.1, §8.3.1."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxdl.base import Array, Key, Params
from jaxdl.checks import positive_int


def standard_normal(key: Key, shape: tuple[int, ...], dtype) -> Array:
    """Independent draws from N(0, 1); the key is consumed."""
    return jax.random.normal(key, shape, dtype)


def embedding_init(
    key: Key,
    num_tokens: int,
    features: int,
    *,
    embedding_init: Callable = standard_normal,
    dtype=None,
) -> Params:
    """``{"embedding" E [V, D]}`` with V = ``num_tokens``, D = ``features``; the key is consumed.

    The default draws of N(0, 1) are PyTorch's. Raises ValueError for sizes under 1.
    """
    shape = positive_int("num_tokens", num_tokens), positive_int("features", features)
    return {
        "embedding": embedding_init(key, shape, jnp.result_type(float if dtype is None else dtype))
    }


def embedding(params: Params, tokens: Array, *, trainable: bool = True) -> Array:
    """The rows ``E[tokens]`` [..., D] of E = ``params["embedding"]`` [V, D], tokens [...].

    With ``trainable=False`` no gradient reaches E. A token outside 0, ..., V - 1 raises a
    ValueError; where tokens are traced, its row is NaN, so that it cannot go unseen.
    Notes: §7.1 (E-45), §8.3.1 (E-55).

    >>> params = {"embedding": jnp.array([[0.0, 1.0], [2.0, 3.0]])}
    >>> embedding(params, jnp.array([1, 0, 1])).tolist()
    [[2.0, 3.0], [0.0, 1.0], [2.0, 3.0]]
    """
    table = jnp.asarray(params["embedding"])
    check_tokens(tokens, len(table))
    if not trainable:
        table = jax.lax.stop_gradient(table)
    inside = (tokens >= 0) & (tokens < len(table))
    rows = table.at[jnp.where(inside, tokens, 0)].get(mode="promise_in_bounds")
    return jnp.where(inside[..., None], rows, jnp.nan)


def check_tokens(tokens: Any, num_tokens: int) -> None:
    """Raise a ValueError unless tokens are whole numbers below ``num_tokens``, from 0 on.

    Of traced tokens only the type is known.
    """
    tokens = tokens if hasattr(tokens, "dtype") else np.asarray(tokens)
    if not jnp.issubdtype(tokens.dtype, jnp.integer):
        raise ValueError(f"tokens are whole numbers, not {tokens.dtype}")
    if isinstance(tokens, Tracer) or not tokens.size:
        return
    tokens = np.asarray(tokens)  # inside jit, the least of known tokens would be traced
    low, high = int(tokens.min()), int(tokens.max())
    if low < 0 or high >= num_tokens:
        wrong = low if low < 0 else high
        raise ValueError(f"token {wrong} is outside the vocabulary 0, ..., {num_tokens - 1}")
