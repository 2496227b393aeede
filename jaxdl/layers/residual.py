"""Residual blocks: a layer learns what to add to its input. Notes: §4.5.2."""

from collections.abc import Callable

import jax

from jaxdl.base import Array, Key, Params
from jaxdl.layers.activations import activation as find_activation
from jaxdl.layers.dense import dense, dense_init, lecun_normal
from jaxdl.layers.initializers import orthogonal


def residual_block_init(
    key: Key,
    d_in: int,
    d_out: int,
    *,
    kernel_init: Callable = lecun_normal,
    use_bias: bool = True,
    projection: bool | None = None,
    dtype=None,
) -> Params:
    """``{"dense": {"kernel", "bias"}}``, and ``"skip": {"kernel" [d_in, d_out]}`` if projected.

    ``projection`` defaults to whether the widths differ; U starts orthogonal, for U != 0 alone
    does not keep gradients from vanishing (D-47). The key is consumed. Raises ValueError where
    an identity skip is asked for between two widths.
    """
    if projection is False and d_in != d_out:
        raise ValueError(f"an identity skip needs equal widths, not {d_in} -> {d_out}")
    skip_key = jax.random.fold_in(key, 1)
    layer = dense_init(key, d_in, d_out, kernel_init=kernel_init, use_bias=use_bias, dtype=dtype)
    projected = d_in != d_out if projection is None else projection
    if not projected:
        return {"dense": layer}
    return {"dense": layer, "skip": skip_init(skip_key, d_in, d_out, dtype=dtype)}


def residual_block(params: Params, h: Array, *, activation: str | Callable = "relu") -> Array:
    """``phi(W'h + b) + h``, or ``phi(W'h + b) + U'h`` with U = ``params["skip"]["kernel"]``.

    h [..., d_in] gives [..., d_out]. Where phi' = 0 the Jacobian is the skip's, I or U' (D-90).
    The skip comes first: a 1 appended to h would grow with every block (D-46). Raises ValueError
    for an identity skip between two widths. Source: He et al. (2016). Notes: Eq. (27), L813, L835.

    >>> import jax.numpy as jnp
    >>> dead = {"dense": {"kernel": jnp.eye(2), "bias": jnp.full(2, -9.0)}}
    >>> residual_block(dead, jnp.array([1.0, 2.0])).tolist()
    [1.0, 2.0]
    """
    phi = find_activation(activation)
    return add_skip(params.get("skip"), h, phi(dense(params["dense"], h)))


def skip_init(key: Key, d_in: int, d_out: int, *, dtype=None) -> Params:
    """``{"kernel" U [d_in, d_out]}`` with orthonormal rows or columns; the key is consumed."""
    return dense_init(key, d_in, d_out, kernel_init=orthogonal(), use_bias=False, dtype=dtype)


def add_skip(projection: Params | None, h: Array, residual: Array) -> Array:
    """``residual + h``, or ``residual + U'h`` with U = ``projection["kernel"]``.

    h [..., d_in], residual [..., d_out]. Raises ValueError where the shapes differ.
    """
    h = h if projection is None else dense(projection, h)
    if h.shape != residual.shape:
        raise ValueError(f"an identity skip needs equal widths, not {h.shape} -> {residual.shape}")
    return residual + h
