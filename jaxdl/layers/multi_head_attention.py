"""Several heads of attention over one database, and their common output. Notes: §8.1."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.base import Array, Key, Params
from jaxdl.checks import positive_int
from jaxdl.layers.attention import attend_heads
from jaxdl.layers.dense import dense, lecun_normal


def multi_head_attention_init(
    key: Key,
    features: int,
    num_heads: int,
    *,
    kv_dim: int | None = None,
    value_dim: int | None = None,
    key_width: int | None = None,
    value_width: int | None = None,
    out_features: int | None = None,
    kernel_init: Callable = lecun_normal,
    use_bias: bool = False,
    dtype=None,
) -> Params:
    """Parameters of h = ``num_heads`` heads and their output map; the key is consumed.

    ``{"query": {"kernel" [D, h, k]}, "key": {"kernel" [D_k, h, k]}, "value": {"kernel"
    [D_v, h, v]}, "out": {"kernel" [h, v, D_o]}}``, flax's leaves, each with a ``"bias"`` of zeros
    where ``use_bias`` says so (D-80).

    Args:
      features: D, the width of the queries.
      kv_dim, value_dim: D_k and D_v, the widths of keys and values; default D and D_k (D-76).
      key_width, value_width: k and v, the widths within a head; default D / h and k.
      out_features: D_o, by default D.
      kernel_init: ``(key, shape, dtype) -> kernel``, of kernels with heads joined, [D, h k].

    Raises ValueError for sizes under 1, and where D / h is no whole number and ``key_width`` is
    not given. Notes: Eq. (36), L1045, §8.1.
    """
    features, heads = positive_int("features", features), positive_int("num_heads", num_heads)
    kv_dim = features if kv_dim is None else positive_int("kv_dim", kv_dim)
    value_dim = kv_dim if value_dim is None else positive_int("value_dim", value_dim)
    if key_width is None and features % heads:
        raise ValueError(
            f"{features} features do not divide into {heads} heads; give key_width, or another "
            "number of heads"
        )
    key_width = features // heads if key_width is None else positive_int("key_width", key_width)
    value_width = key_width if value_width is None else positive_int("value_width", value_width)
    out = features if out_features is None else positive_int("out_features", out_features)
    dtype = jnp.result_type(float if dtype is None else dtype)
    keys = jax.random.split(key, 4)

    def into_heads(key, d_in, width):
        kernel = kernel_init(key, (d_in, heads * width), dtype).reshape(d_in, heads, width)
        return {"kernel": kernel, "bias": jnp.zeros((heads, width), dtype)}

    kernel = kernel_init(keys[3], (heads * value_width, out), dtype)
    params = {
        "query": into_heads(keys[0], features, key_width),
        "key": into_heads(keys[1], kv_dim, key_width),
        "value": into_heads(keys[2], value_dim, value_width),
        "out": {
            "kernel": kernel.reshape(heads, value_width, out),
            "bias": jnp.zeros(out, dtype),
        },
    }
    if use_bias:
        return params
    return {name: {"kernel": part["kernel"]} for name, part in params.items()}


def multi_head_attention(
    params: Params,
    queries: Array,
    keys: Array | None = None,
    values: Array | None = None,
    *,
    mask: Array | None = None,
    causal: bool = False,
    past: int | Array | None = None,
    turn: Callable[[Array], Array] | None = None,
    dropout: float | Array = 0.0,
    key: Key | None = None,
    train: bool = False,
    return_weights: bool = False,
    implementation: str = "auto",
):
    """``[A_1, ..., A_h] W_o`` with ``A_e = softmax((Q W_qe)(K W_ke)' / sqrt(k)) (V W_ve)``.

    W_qe, W_ke and W_ve are the heads of the kernels of ``params``, W_o is that of ``"out"``, where
    heads and widths are one axis. Source: Vaswani et al. (2017). Notes: Eq. (36), L1045, §8.1.

    Args:
      queries: Q [..., T, D].
      keys: K [..., S, D_k], by default the queries: self-attention.
      values: V [..., S, D_v], by default the keys.
      mask, causal, past: who may be seen, see ``dot_product_attention``.
      turn: what is done to queries and keys in heads [..., h, T, k], such as ``rotary``.
      dropout, key, train: of the weights.
      return_weights: whether to return ``(output, weights [..., h, T, S])``.
      implementation: see ``dot_product_attention``.

    Returns [..., T, D_o].

    >>> params = multi_head_attention_init(jax.random.key(0), 4, 2)
    >>> multi_head_attention(params, jnp.ones((1, 3, 4))).shape
    (1, 3, 4)
    """
    keys = queries if keys is None else keys
    q = into_heads(params["query"], queries)
    k = into_heads(params["key"], keys)
    v = into_heads(params["value"], keys if values is None else values)
    if turn is not None:
        q, k = turn(q), turn(k)
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
        return out_of_heads(params["out"], out[0]), out[1]
    return out_of_heads(params["out"], out)


class Cache(NamedTuple):
    """Keys and values of tokens that were read before, heads in front: [B, h, S, k] and [.., v]."""

    key: Array
    value: Array


def empty_cache(params: Params, rows: int, length: int) -> Cache:
    """A cache of zeros for ``rows`` rows of up to ``length`` tokens, in the parameters' dtype."""
    kernels = params["key"]["kernel"], params["value"]["kernel"]
    shape = lambda kernel: (rows, kernel.shape[1], length, kernel.shape[2])
    return Cache(*(jnp.zeros(shape(kernel), kernel.dtype) for kernel in kernels))


def filled_cache(params: Params, keys: Array) -> Cache:
    """The keys and values of ``keys`` [B, S, D_k], of an encoder's output for one."""
    return Cache(into_heads(params["key"], keys), into_heads(params["value"], keys))


def cached_attention(
    params: Params, x: Array, cache: Cache, positions: Array, *, turn: Callable | None = None
) -> tuple[Array, Cache]:
    """Causal self-attention of new tokens x [B, T, D] to all that were read, themselves included.

    ``positions`` [B, T] are their numbers in each row: their keys and values are written there,
    and a query sees the keys of its own position and those before. A position behind the cache's
    end is not written. Returns ``(output [B, T, D_o], cache)``.
    """
    q, k = into_heads(params["query"], x), into_heads(params["key"], x)
    if turn is not None:
        q, k = turn(q), turn(k)
    rows = jnp.arange(len(x))[:, None]

    def write(old, new):
        return old.at[rows, :, positions].set(
            jnp.swapaxes(new, 1, 2).astype(old.dtype), mode="drop"
        )

    cache = Cache(write(cache.key, k), write(cache.value, into_heads(params["value"], x)))
    seen = jnp.arange(cache.key.shape[2]) <= positions[:, None, :, None]
    out = attend_heads(q, cache.key, cache.value, mask=seen)
    return out_of_heads(params["out"], out), cache


def attend_cache(params: Params, x: Array, cache: Cache, *, mask: Array | None = None) -> Array:
    """Attention of x [B, T, D] to a cache that stays as it is, [B, T, D_o]."""
    out = attend_heads(into_heads(params["query"], x), cache.key, cache.value, mask=mask)
    return out_of_heads(params["out"], out)


def into_heads(params: Params, x: Array) -> Array:
    """``x W_e + b_e`` for each head e: [..., T, D] -> [..., h, T, k], W = ``kernel`` [D, h, k]."""
    heads, width = params["kernel"].shape[1:]
    joined = jax.tree.map(lambda leaf: leaf.reshape(*leaf.shape[:-2], heads * width), params)
    y = dense(joined, x)
    return jnp.swapaxes(y.reshape(*y.shape[:-1], heads, width), -3, -2)


def out_of_heads(params: Params, x: Array) -> Array:
    """``[A_1, ..., A_h] W_o + b``: [..., h, T, v] -> [..., T, D_o], W_o = ``kernel`` [h, v, D_o]."""
    kernel = params["kernel"]
    x = jnp.swapaxes(x, -3, -2)
    joined = {**params, "kernel": kernel.reshape(-1, kernel.shape[-1])}
    return dense(joined, x.reshape(*x.shape[:-2], -1))
