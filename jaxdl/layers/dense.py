"""The fully connected layer."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxdl.base import Array, Key

lecun_normal = jax.nn.initializers.lecun_normal()


def dense_init(
    key: Key,
    d_in: int,
    d_out: int,
    *,
    kernel_init: Callable = lecun_normal,
    use_bias: bool = True,
    dtype=None,
) -> dict[str, Array]:
    """Parameters ``kernel [d_in, d_out]`` and ``bias [d_out]`` (zeros); the key is consumed.

    ``kernel_init`` is ``(key, shape, dtype) -> kernel``, as in ``jax.nn.initializers``; ``dtype``
    defaults to JAX's default float. The leaf names and layout are flax's. Raises ValueError on
    widths below 1.
    """
    if d_in < 1 or d_out < 1:
        raise ValueError(f"a dense layer needs widths of at least 1, got {d_in} -> {d_out}")
    dtype = jnp.zeros((), dtype or float).dtype
    params = {"kernel": kernel_init(key, (d_in, d_out), dtype)}
    return {**params, "bias": jnp.zeros((d_out,), dtype)} if use_bias else params


def dense(params: dict[str, Array], x: Array) -> Array:
    """An affine map, ``h = W'x + b`` for x [..., d_in]; returns [..., d_out].

    W is ``kernel`` [d_in, d_out] and b is ``bias`` [d_out], if there is one. Raises ValueError
    where the width of x is not the kernel's. Notes: Eqs. (17), (21), §2.3, §4.3;
    rows of examples: L761, L765, §4.5.1.

    >>> params = {"kernel": jnp.array([[1.0], [2.0]]), "bias": jnp.array([0.5])}
    >>> dense(params, jnp.array([[1.0, 1.0]])).tolist()
    [[3.5]]
    """
    kernel = params["kernel"]
    if x.ndim == 0 or x.shape[-1] != kernel.shape[0]:
        raise ValueError(
            f"dense expects x [..., {kernel.shape[0]}] for a kernel {list(kernel.shape)}, "
            f"got x {list(x.shape)}"
        )
    # One flat axis of examples: the backward product then contracts a single axis.
    flat = x.reshape(-1, x.shape[-1]) @ kernel
    h = flat.reshape(*x.shape[:-1], kernel.shape[1])
    return h + params["bias"] if "bias" in params else h
