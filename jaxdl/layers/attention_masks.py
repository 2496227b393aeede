"""Who may be seen by whom in attention: causal and padding masks. Notes: §8.3.2.

A mask is boolean, True where a query may see a key, ``[B or 1, h or 1, T or 1, S]`` for T queries
and S keys. It acts before the softmax: weights that are set to zero after it no longer sum to one
(D-73), and tokens that are replaced by a padding token are still seen (D-72).
"""

import jax.numpy as jnp
import numpy as np

from jaxdl.base import Array


def causal_mask(num_queries: int, num_keys: int, *, past: int | Array | None = None) -> Array:
    """``[1, 1, T, S]``, True where query i may see key j: ``j <= past + i``.

    T = ``num_queries``, S = ``num_keys``; ``past`` keys were there before the first query, by
    default S - T, so that the last query sees all of them. ``past`` [B] gives each row its own,
    and the mask is [B, 1, T, S]. Raises ValueError where T > S and ``past`` is not given.
    Notes: L1139, §8.3.2.

    >>> causal_mask(2, 5)[0, 0].astype(int).tolist()
    [[1, 1, 1, 1, 0], [1, 1, 1, 1, 1]]
    """
    if past is None:
        if num_queries > num_keys:
            raise ValueError(
                f"{num_queries} causal queries on {num_keys} keys: say by past= how many keys were "
                "there before the first query"
            )
        past = num_keys - num_queries
    last = jnp.asarray(past).reshape(-1, 1, 1, 1) + jnp.arange(num_queries)[:, None]
    return jnp.arange(num_keys) <= last


def padding_mask(lengths: Array | np.ndarray, num_keys: int) -> Array:
    """``[B, 1, 1, S]``, True at the first ``lengths`` [B] of S = ``num_keys`` keys. Notes: §8.3.2.

    >>> padding_mask(jnp.array([1, 2]), 3)[:, 0, 0].astype(int).tolist()
    [[1, 0, 0], [1, 1, 0]]
    """
    return (jnp.arange(num_keys) < jnp.asarray(lengths)[:, None])[:, None, None]


def both(a: Array | None, b: Array | None) -> Array | None:
    """``a and b``, in their common shape: what two boolean masks [..., T, S] allow; None allows all.

    >>> both(jnp.array([[True, False]]), jnp.array([[True], [False]])).tolist()
    [[True, False], [False, False]]
    """
    if a is None or b is None:
        return b if a is None else a
    return a & b


def check_mask(mask: Array | None, scores_shape: tuple[int, ...]) -> Array | None:
    """The mask. Raises a ValueError unless it is boolean, and each axis that of the scores or 1."""
    if mask is None:
        return None
    mask = jnp.asarray(mask)
    if mask.dtype != jnp.bool_:
        raise ValueError(f"a mask is boolean, True where a key may be seen; not {mask.dtype}")
    fits = mask.ndim == len(scores_shape) and all(
        m in (1, n) for m, n in zip(mask.shape, scores_shape, strict=True)
    )
    if not fits:
        raise ValueError(
            f"a mask is [batch, heads, queries, keys] = {list(scores_shape)}, or 1 in their place; "
            f"not {list(mask.shape)}"
        )
    return mask
