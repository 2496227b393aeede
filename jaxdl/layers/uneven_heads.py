"""Heads of attention whose widths differ: each has kernels of its own. Notes: §8.1."""

from collections.abc import Callable, Sequence
from typing import Any

import jax

from jaxdl.base import Array, Key, Params
from jaxdl.checks import positive_int
from jaxdl.layers.attention import dot_product_attention
from jaxdl.layers.dense import dense, lecun_normal


def uneven_heads_init(
    key: Key,
    features: int,
    key_widths: Sequence[int],
    value_widths: Sequence[int] | None = None,
    *,
    kv_dim: int | None = None,
    value_dim: int | None = None,
    out_features: int | None = None,
    kernel_init: Callable = lecun_normal,
    dtype=None,
) -> Params:
    """``{"head_0": {"query": W_q [D, k_0], "key", "value", "out": W_o [v_0, D_o]}, ...}``.

    Each is ``{"kernel"}``. The key is consumed.

    Args:
      features: D, the width of the queries.
      key_widths, value_widths: k_e and v_e of each head e; values are by default as wide as keys.
      kv_dim, value_dim, out_features: the widths D_k, D_v and D_o; by default D, D_k and D.
      kernel_init: ``(key, shape, dtype) -> kernel``; W_o is drawn whole, [sum_e v_e, D_o].

    Raises ValueError for no head, for sizes under 1, and for other numbers of keys and values.
    """
    features = positive_int("features", features)
    value_widths = key_widths if value_widths is None else value_widths
    if not key_widths or len(key_widths) != len(value_widths):
        raise ValueError(
            f"each head has a key_width and a value_width, not {len(key_widths)} and "
            f"{len(value_widths)} of them"
        )
    kv_dim = features if kv_dim is None else positive_int("kv_dim", kv_dim)
    value_dim = kv_dim if value_dim is None else positive_int("value_dim", value_dim)
    out = features if out_features is None else positive_int("out_features", out_features)
    *keys, out_key = jax.random.split(key, len(key_widths) + 1)
    whole = kernel_init(out_key, (sum(value_widths), out), dtype or float)
    params, start = {}, 0
    for e, (head_key, k, v) in enumerate(zip(keys, key_widths, value_widths, strict=True)):
        k, v = positive_int("key_widths", k), positive_int("value_widths", v)
        shapes = {"query": (features, k), "key": (kv_dim, k), "value": (value_dim, v)}
        draws = zip(shapes.items(), jax.random.split(head_key, 3), strict=True)
        head = {name: {"kernel": kernel_init(i, s, dtype or float)} for (name, s), i in draws}
        params[f"head_{e}"] = {**head, "out": {"kernel": whole[start : start + v]}}
        start += v
    return params


def uneven_heads_attention(
    params: Params,
    queries: Array,
    keys: Array | None = None,
    values: Array | None = None,
    *,
    mask: Array | None = None,
    causal: bool = False,
) -> Array:
    """``[A_1, ..., A_h] W_o = sum_e A_e W_oe``, with ``A_e = softmax(Q W_qe (K W_ke)' / sqrt(k_e)) V W_ve``.

    As ``multi_head_attention``, one head after the other, so that their widths k_e and v_e may
    differ. Queries Q are [..., T, D], keys K [..., S, D_k], by default the queries, and values V
    [..., S, D_v], by default the keys; ``mask`` [B or 1, 1, T or 1, S or 1] and ``causal`` are as
    in ``dot_product_attention``. Returns [..., T, D_o]. Notes: Eq. (36), L1045, §8.1.

    >>> import jax.numpy as jnp
    >>> params = uneven_heads_init(jax.random.key(0), 4, (1, 3), (2, 5))
    >>> uneven_heads_attention(params, jnp.ones((1, 6, 4))).shape
    (1, 6, 4)
    """
    keys = queries if keys is None else keys
    values = keys if values is None else values
    one_head = lambda kernel, x: dense(kernel, x)[..., None, :]
    total: Any = None
    for e in range(len(params)):
        head = params[f"head_{e}"]
        q, k, v = (
            one_head(head[name], x)
            for name, x in (("query", queries), ("key", keys), ("value", values))
        )
        a = dot_product_attention(q, k, v, mask=mask, causal=causal)[..., 0, :]
        part = dense(head["out"], a)
        total = part if total is None else total + part
    return total
