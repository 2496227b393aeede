"""Attention: values averaged by how well their keys answer a query. Notes: §8.1.

Arrays of queries, keys and values are ``[..., T, h, d]``, heads behind the positions, as flax has
them. Inside, heads stand in front of the positions, where the products are fastest.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp

from jaxdl.arrays import floating
from jaxdl.base import Array, Key
from jaxdl.checks import one_of
from jaxdl.layers.attention_masks import both, causal_mask, check_mask
from jaxdl.layers.chunked_attention import chunked_heads
from jaxdl.layers.dropout import dropout as drop

IMPLEMENTATIONS = ("auto", "plain", "chunked", "cudnn")


def query_weights(query: Array, keys: Array, *, temperature: float | Array = 1.0) -> Array:
    """The weights ``alpha(q, k_m) = softmax_m(q'k_m / (sqrt(D_k) temperature))`` [M] of one query.

    q is ``query`` [D_k], k_m a row of ``keys`` [M, D_k]. They lie in [0, 1] and sum to 1. At the
    temperature 0 the best key has all the weight (the best ones share it), at infinity all keys
    have the same (E-50); it may be traced. Notes: Eq. (34), §8.1.

    >>> query_weights(jnp.array([2.0]), jnp.array([[0.0], [1.0]]), temperature=0.0).tolist()
    [0.0, 1.0]
    """
    query, keys = floating(query), floating(keys)
    if query.ndim != 1 or keys.ndim != 2 or keys.shape[1] != query.shape[0]:
        raise ValueError(
            f"one query [D] meets keys [M, D], not {list(query.shape)} and {list(keys.shape)}"
        )
    scores = keys @ query / math.sqrt(query.shape[0])
    temperature = jnp.asarray(temperature, scores.dtype)
    best = scores == jnp.max(scores)
    hard = best / jnp.sum(best)
    # The largest score is taken off first: a small temperature then makes no overflow.
    scores = scores - jax.lax.stop_gradient(jnp.max(scores))
    soft = jax.nn.softmax(scores / jnp.where(temperature > 0, temperature, 1))
    return jnp.where(temperature > 0, soft, hard)


def attend(query: Array, keys: Array, values: Array, *, temperature: float | Array = 1.0) -> Array:
    """Attention of one query to a database: ``sum_m alpha(q, k_m) v_m`` [D_v].

    ``query`` q is [D_k], ``keys`` [M, D_k], ``values`` [M, D_v]; the weights are those of
    ``query_weights``. Notes: Eq. (33), §8.1.

    >>> attend(jnp.ones(1), jnp.zeros((2, 1)), jnp.array([[1.0], [3.0]])).tolist()
    [2.0]
    """
    values = floating(values)
    if values.ndim != 2 or len(values) != len(keys):
        raise ValueError(f"each of {len(keys)} keys has a value, not {list(values.shape)}")
    return query_weights(query, keys, temperature=temperature) @ values


def dot_product_attention(
    q: Array,
    k: Array,
    v: Array,
    *,
    mask: Array | None = None,
    causal: bool = False,
    past: int | Array | None = None,
    dropout: float | Array = 0.0,
    key: Key | None = None,
    train: bool = False,
    return_weights: bool = False,
    implementation: str = "auto",
) -> Any:
    """``softmax(Q K' / sqrt(D_k)) V`` for each row and head, all queries at once.

    Sums and the softmax are computed in float32 at least. Notes: Eq. (35), §8.1; masked attention,
    §8.3.2.

    Args:
      q: queries Q [..., T, h, d].
      k, v: keys K [..., S, h, d] and values V [..., S, h, dv].
      mask: [B or 1, h or 1, T or 1, S or 1] bool, True where a key may be seen; with as many axes
        as q. A query that sees no key has the output 0, and no gradient. Keys and values that no
        query sees must be finite.
      causal, past: whether query i sees no more than the keys 0, ..., past + i; see ``causal_mask``.
      dropout, key, train: of the weights, see ``layers.dropout``.
      return_weights: whether to return ``(output, weights [..., h, T, S])``.
      implementation: "plain"; "chunked", which never holds all weights (``chunked_attention``);
        "cudnn", for 16-bit numbers on NVIDIA's GPUs; or "auto", which takes "cudnn" where it
        applies and "plain" elsewhere.

    Returns [..., T, h, dv]. Raises ValueError for shapes that do not fit.

    >>> v = jnp.array([[[1.0]], [[3.0]]])
    >>> dot_product_attention(jnp.zeros((2, 1, 1)), jnp.zeros((2, 1, 1)), v, causal=True).tolist()
    [[[1.0]], [[2.0]]]
    """
    q, k, v = (_heads_in_front(floating(x)) for x in (q, k, v))
    out = attend_heads(
        q,
        k,
        v,
        mask=mask,
        causal=causal,
        past=past,
        dropout=dropout,
        key=key,
        train=train,
        return_weights=return_weights,
        implementation=implementation,
    )
    if return_weights:
        return _heads_in_front(out[0]), out[1]
    return _heads_in_front(out)


def attention_weights(
    q: Array,
    k: Array,
    *,
    mask: Array | None = None,
    causal: bool = False,
    past: int | Array | None = None,
) -> Array:
    """The weights ``softmax(Q K' / sqrt(D_k))`` [..., h, T, S] of ``dot_product_attention``.

    Rows sum to one, or are zero where a query sees no key. Notes: Eq. (34), (35), §8.1.

    >>> attention_weights(jnp.zeros((2, 1, 1)), jnp.zeros((2, 1, 1)), causal=True)[0].tolist()
    [[1.0, 0.0], [0.5, 0.5]]
    """
    q, k = _heads_in_front(floating(q)), _heads_in_front(floating(k))
    return _weights(q, k, _allowed(q, k, mask, causal, past))


def self_attention(x: Array) -> Array:
    """Self-attention without parameters, ``softmax(X X' / sqrt(D)) X`` for tokens X [..., M, D].

    A token's own weight need not be the largest: dot products favour long vectors (D-69). The
    tokens permuted give the outputs permuted (D-78). Notes: Eq. (37), §8.1.

    >>> self_attention(jnp.array([[1.0], [1.0]])).tolist()
    [[1.0], [1.0]]
    """
    one_head = floating(x)[..., None, :]
    return dot_product_attention(one_head, one_head, one_head)[..., 0, :]


def attend_heads(
    q: Array,
    k: Array,
    v: Array,
    *,
    mask: Array | None = None,
    causal: bool = False,
    past: int | Array | None = None,
    dropout: float | Array = 0.0,
    key: Key | None = None,
    train: bool = False,
    return_weights: bool = False,
    implementation: str = "auto",
) -> Any:
    """``dot_product_attention`` with heads in front: q [..., h, T, d], k and v [..., h, S, ...]."""
    _check_shapes(q, k, v)
    drops = train and not (isinstance(dropout, (int, float)) and dropout == 0)
    chosen = choose_implementation(implementation, q, k, v, needs_weights=drops or return_weights)
    if chosen == "chunked":
        return chunked_heads(q, k, v, mask=mask, causal=causal, past=past)
    if chosen == "cudnn":
        return _cudnn(q, k, v, mask, causal, past)
    weights = _weights(q, k, _allowed(q, k, mask, causal, past))
    dropped = drop(weights, dropout, key=key, train=train)
    out = jnp.matmul(dropped.astype(v.dtype), v)
    return (out, weights) if return_weights else out


def choose_implementation(
    implementation: str, q: Array, k: Array, v: Array, *, needs_weights: bool = False
) -> str:
    """Which implementation runs: the one named, or for "auto" what suits the device and the arrays.

    cuDNN takes 16-bit numbers and widths of heads that are multiples of 8, at most 128, and equal
    for keys and values. Raises ValueError for an unknown name, and where one is named that holds no
    weights while weights are needed: to return them or to drop some.
    """
    one_of("implementation", implementation, IMPLEMENTATIONS)
    if needs_weights:
        if implementation in ("chunked", "cudnn"):
            raise ValueError(
                f"implementation {implementation!r} holds no weights to return or drop; take 'plain'"
            )
        return "plain"
    if implementation != "auto":
        return implementation
    width = q.shape[-1]
    applies = (
        jax.default_backend() == "gpu"
        and q.dtype == k.dtype == v.dtype
        and q.dtype in (jnp.float16, jnp.bfloat16)
        and q.ndim == 4
        and width == v.shape[-1]
        and width % 8 == 0
        and width <= 128
    )
    return "cudnn" if applies else "plain"


def _heads_in_front(x):
    return jnp.swapaxes(x, -3, -2)


def _check_shapes(q, k, v):
    rows = q.ndim >= 3 and q.shape[:-2] == k.shape[:-2] == v.shape[:-2]
    if not rows or q.shape[-1] != k.shape[-1] or k.shape[-2] != v.shape[-2]:
        shapes = [[*x.shape[:-3], x.shape[-2], x.shape[-3], x.shape[-1]] for x in (q, k, v)]
        raise ValueError(
            "attention takes q [..., T, h, d], k [..., S, h, d] and v [..., S, h, dv], "
            f"not {shapes[0]}, {shapes[1]} and {shapes[2]}"
        )


def _allowed(q, k, mask, causal, past):
    mask = check_mask(mask, (*q.shape[:-1], k.shape[-2]))
    if not causal:
        return mask
    before = causal_mask(q.shape[-2], k.shape[-2], past=past)
    if before.shape[0] > 1 and (q.ndim != 4 or before.shape[0] != q.shape[0]):
        raise ValueError(f"past is a number or one for each row, not {before.shape[0]} numbers")
    before = before[0] if q.ndim == 3 else before
    return both(mask, before)


def _weights(q, k, mask):
    precise = jnp.promote_types(q.dtype, jnp.float32)
    scores = jnp.matmul(q, jnp.swapaxes(k, -1, -2), preferred_element_type=precise)
    scores = scores * (1 / math.sqrt(q.shape[-1]))
    if mask is None:
        return jax.nn.softmax(scores)
    # The smallest number, not -inf: the difference of two -inf is NaN.
    weights = jax.nn.softmax(jnp.where(mask, scores, jnp.finfo(precise).min))
    return jnp.where(mask, weights, 0)


def _cudnn(q, k, v, mask, causal, past):
    # A query that sees nothing must be known by the mask, so only causality alone is left to cuDNN.
    aligned = causal and mask is None and past is None and q.shape[-2] == k.shape[-2]
    mask = _allowed(q, k, mask, causal and not aligned, past)
    q, k, v = (_heads_in_front(x) for x in (q, k, v))
    out = jax.nn.dot_product_attention(
        q, k, v, mask=mask, is_causal=aligned, implementation="cudnn"
    )
    out = _heads_in_front(out)
    # Queries that see nothing would get the mean of all values.
    return out if mask is None else jnp.where(jnp.any(mask, axis=-1, keepdims=True), out, 0)
