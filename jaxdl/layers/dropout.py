"""Dropout."""

import jax
import jax.numpy as jnp

from jaxdl.base import Array, Key


def dropout(x: Array, rate: float | Array, *, key: Key | None = None, train: bool = False) -> Array:
    """Set each entry of x [...] to zero with probability ``rate``, and scale up the others.

    ``h = m x / (1 - rate)`` with ``m ~ Bernoulli(1 - rate)`` while training, so that E[h] = x;
    the identity otherwise. ``rate`` may be traced; at 1 everything is zero. The key is consumed.
    Raises ValueError while training without a key, unless ``rate`` is the number 0, and for a
    number outside [0, 1]. Source: Srivastava et al. (2014), in the inverted form. Notes: §4.6.2.

    >>> dropout(jnp.ones(3), 0.5).tolist()
    [1.0, 1.0, 1.0]
    """
    if isinstance(rate, (int, float)):
        if not 0 <= rate <= 1:
            raise ValueError(f"a dropout rate lies in [0, 1], got {rate}")
        if rate == 0:
            return x
    if not train:
        return x
    if key is None:
        raise ValueError("dropout with train=True needs a key")
    precise = jnp.promote_types(x.dtype, jnp.float32)  # 1 - 0.001 is 1 in bfloat16
    keep = 1 - jnp.asarray(rate, precise)
    kept = jax.random.uniform(key, x.shape, precise) < keep
    return jnp.where(kept, x / jnp.where(keep > 0, keep, 1).astype(x.dtype), 0)
