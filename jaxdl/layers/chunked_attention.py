"""Attention that never holds all its weights: online softmax over chunks of keys. Notes: §8.1."""

import functools
import math
from typing import cast

import jax
import jax.numpy as jnp

from jaxdl.arrays import floating
from jaxdl.base import Array
from jaxdl.checks import positive_int
from jaxdl.layers.attention_masks import check_mask


def chunked_attention(
    q: Array,
    k: Array,
    v: Array,
    *,
    mask: Array | None = None,
    causal: bool = False,
    past: int | Array | None = None,
    query_chunk: int = 512,
    key_chunk: int = 512,
) -> Array:
    """``dot_product_attention`` in memory that grows with T + S, not with T S (D-70).

    Keys come chunk by chunk; the softmax's maximum m and sum s, and the output o, are carried on:
    ``m' = max(m, max_j a_j)``, ``s' = e^(m - m') s + sum_j e^(a_j - m')``,
    ``o' = e^(m - m') o + sum_j e^(a_j - m') v_j``, and o / s at the end. The gradients compute each
    chunk's weights again. Results and gradients are those of the plain form.
    Source: Rabe and Staats (2021), Dao et al. (2022). Notes: Eq. (35), §8.1.

    ``q`` [..., T, h, d], ``k`` [..., S, h, d], ``v`` [..., S, h, dv], ``mask``, ``causal`` and
    ``past`` as there. Returns [..., T, h, dv]. It has no derivatives of higher order than one.

    >>> chunked_attention(*[jnp.ones((3, 1, 2))] * 3, query_chunk=2, key_chunk=2).tolist()[0]
    [[1.0, 1.0]]
    """
    q, k, v = (jnp.swapaxes(floating(x), -3, -2) for x in (q, k, v))
    out = chunked_heads(
        q, k, v, mask=mask, causal=causal, past=past, query_chunk=query_chunk, key_chunk=key_chunk
    )
    return jnp.swapaxes(out, -3, -2)


def chunked_heads(
    q, k, v, *, mask=None, causal=False, past=None, query_chunk: int = 512, key_chunk: int = 512
):
    """``chunked_attention`` with heads in front: q [..., h, T, d], k and v [..., h, S, ...]."""
    leading, (T, S) = q.shape[:-3], (q.shape[-2], k.shape[-2])
    mask = check_mask(mask, (*q.shape[:-1], S))
    if causal and past is None:
        if T > S:
            raise ValueError(f"{T} causal queries on {S} keys: say by past= how many came before")
        past = S - T
    sizes = (
        min(positive_int("query_chunk", query_chunk), T),
        min(positive_int("key_chunk", key_chunk), S),
    )
    rows = lambda x: x.reshape(-1, *x.shape[-3:])
    if mask is not None:
        mask = jnp.broadcast_to(mask, (*leading, *mask.shape[-3:])) if len(leading) > 1 else mask
        mask = rows(mask)
    past = jnp.asarray(past if causal else S, jnp.int32).reshape(-1)
    out = cast(Array, _attend(sizes, rows(q), rows(k), rows(v), mask, past))
    return out.reshape(*leading, *out.shape[1:])


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _attend(sizes, q, k, v, mask, past):
    return _forward(sizes, q, k, v, mask, past)[0]


def _forward(sizes, q, k, v, mask, past):
    T, S = q.shape[-2], k.shape[-2]
    keys, values = _split(k, sizes[1]), _split(v, sizes[1])
    precise = jnp.promote_types(q.dtype, jnp.float32)

    def query_chunk(i, q):
        def step(carry, chunk):
            j, k, v = chunk

            def see(carry):
                top, total, out = carry
                scores, seen = _scores(sizes, i, j, S, q, k, mask, past)
                new = jnp.maximum(top, jnp.max(scores, axis=-1, keepdims=True))
                shrink = jnp.exp(top - new)
                weights = jnp.where(seen, jnp.exp(scores - new), 0)
                total = shrink * total + jnp.sum(weights, axis=-1, keepdims=True)
                return new, total, shrink * out + _product(weights.astype(v.dtype), v, precise)

            return jax.lax.cond(_any_seen(sizes, i, j, past), see, lambda carry: carry, carry), None

        start = (
            jnp.full((*q.shape[:-1], 1), jnp.finfo(precise).min),
            jnp.zeros((*q.shape[:-1], 1), precise),
            jnp.zeros((*q.shape[:-1], v.shape[-1]), precise),
        )
        (top, total, out), _ = jax.lax.scan(step, start, (jnp.arange(len(keys)), keys, values))
        some = total > 0
        safe = jnp.where(some, total, 1)
        return out / safe, jnp.where(some, top + jnp.log(safe), 0)

    queries = _split(q, sizes[0])
    out, log_total = jax.lax.map(lambda a: query_chunk(*a), (jnp.arange(len(queries)), queries))
    return _join(out, T).astype(v.dtype), _join(log_total, T)


def _save(sizes, q, k, v, mask, past):
    out, log_total = _forward(sizes, q, k, v, mask, past)
    return out, (q, k, v, mask, past, out, log_total)


def _backward(sizes, saved, d_out):
    q, k, v, mask, past, out, log_total = saved
    T, S = q.shape[-2], k.shape[-2]
    precise = jnp.promote_types(q.dtype, jnp.float32)
    scale = 1 / math.sqrt(q.shape[-1])
    # Of a softmax's gradient p (dp - sum p dp), the sum is that of dout out.
    delta = jnp.sum(d_out.astype(precise) * out.astype(precise), axis=-1, keepdims=True)
    by_query = tuple(_split(x, sizes[0]) for x in (q, d_out, log_total, delta))
    keys, values = _split(k, sizes[1]), _split(v, sizes[1])

    def query_chunk(d_keys_values, chunk):
        i, q, d_out, log_total, delta = chunk

        def step(dq, chunk):
            j, k, v, dk, dv = chunk

            def see(carry):
                dq, dk, dv = carry
                scores, seen = _scores(sizes, i, j, S, q, k, mask, past)
                weights = jnp.where(seen, jnp.exp(scores - log_total), 0)
                d_weights = _product(d_out, jnp.swapaxes(v, -1, -2), precise)
                d_scores = (weights * (d_weights - delta) * scale).astype(q.dtype)
                transposed = lambda x: jnp.swapaxes(x, -1, -2)
                dq = dq + _product(d_scores, k, precise)
                dk = dk + _product(transposed(d_scores), q, precise)
                dv = dv + _product(transposed(weights).astype(v.dtype), d_out, precise)
                return dq, dk, dv

            seen = _any_seen(sizes, i, j, past)
            dq, dk, dv = jax.lax.cond(seen, see, lambda carry: carry, (dq, dk, dv))
            return dq, (dk, dv)

        dq = jnp.zeros(q.shape, precise)
        chunks = (jnp.arange(len(keys)), keys, values, *d_keys_values)
        dq, d_keys_values = jax.lax.scan(step, dq, chunks)
        return d_keys_values, dq

    zeros = (jnp.zeros(keys.shape, precise), jnp.zeros(values.shape, precise))
    (dk, dv), dq = jax.lax.scan(query_chunk, zeros, (jnp.arange(len(by_query[0])), *by_query))
    joined = [_join(d, n).astype(x.dtype) for d, n, x in ((dq, T, q), (dk, S, k), (dv, S, v))]
    return (*joined, None, None)


_attend.defvjp(_save, _backward)


def _scores(sizes, i, j, num_keys, q, k, mask, past):
    """The scores of query chunk i and key chunk j, the dtype's minimum where a key is not seen."""
    precise = jnp.promote_types(q.dtype, jnp.float32)
    scores = _product(q, jnp.swapaxes(k, -1, -2), precise) * (1 / math.sqrt(q.shape[-1]))
    rows = i * sizes[0] + jnp.arange(sizes[0])[:, None]
    columns = j * sizes[1] + jnp.arange(sizes[1])
    seen = (columns <= past.reshape(-1, 1, 1, 1) + rows) & (columns < num_keys)
    if mask is not None:
        seen = seen & _slice(_slice(mask, 2, i, sizes[0]), 3, j, sizes[1])
    return jnp.where(seen, scores, jnp.finfo(precise).min), seen


def _any_seen(sizes, i, j, past):
    """Whether causality lets any query of chunk i see a key of chunk j; others are skipped."""
    return j * sizes[1] <= jnp.max(past) + (i + 1) * sizes[0] - 1


def _slice(mask, axis, number, size):
    if mask.shape[axis] == 1:
        return mask
    padded = _pad(mask, axis, size)
    return jax.lax.dynamic_slice_in_dim(padded, number * size, size, axis)


def _split(x, size):
    """[B, h, T, d] -> [chunks, B, h, size, d], zeros behind the end."""
    x = _pad(x, 2, size)
    x = x.reshape(*x.shape[:2], -1, size, x.shape[-1])
    return jnp.moveaxis(x, 2, 0)


def _pad(x, axis, size):
    more = -x.shape[axis] % size
    return jnp.pad(x, [(0, more if a == axis else 0) for a in range(x.ndim)]) if more else x


def _join(chunks, length):
    """[chunks, B, h, size, d] -> [B, h, T, d]."""
    x = jnp.moveaxis(chunks, 0, 2)
    return x.reshape(*x.shape[:2], -1, x.shape[-1])[:, :, :length]


def _product(a, b, dtype):
    return jnp.matmul(a, b, preferred_element_type=dtype)
