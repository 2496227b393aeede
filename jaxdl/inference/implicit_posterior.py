"""Posteriors that are drawn and have no density: a network of x and noise. Notes: §9.4."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxdl.base import Array, Key, Model, Params, State
from jaxdl.models.parts import apply_part


def sample_posterior(
    key: Key, posterior: Model, params: Params, state: State, x: Any, *, noise: int, samples: int
) -> Array:
    """``z_s = f(e_s, x)`` with ``e_s ~ N(0, I)``: independent draws of each x, [S, N, K].

    Args:
      key: consumed.
      posterior: f, a Model from ``{"x": e [M, E], "condition": x [M, ...]}`` to z [M, K], such as
        ``models.conditioned`` makes.
      params, state: its own.
      x: [N, ...].
      noise: E.
      samples: S.

    >>> from jaxdl import models
    >>> net = models.conditioned(models.mlp((2 + 3, 4)))
    >>> own = net.init(jax.random.key(0))
    >>> sample_posterior(jax.random.key(1), net, *own, jnp.ones((5, 3)), noise=2, samples=7).shape
    (7, 5, 4)
    """
    draws, _ = drawn(key, posterior, {"posterior": params}, {"posterior": state}, x, noise, samples)
    return draws


def drawn(key, posterior, params, state, x, noise, samples, *, train=False, mask=None):
    """``(z [S, N, K], state)`` of the part "posterior", as training needs it."""
    noise_key, key = jax.random.split(key)
    x = jnp.asarray(x)
    e = jax.random.normal(noise_key, (samples * len(x), noise))
    z, state = apply_part(
        "posterior",
        posterior,
        params,
        state,
        {"x": e, "condition": often(x, samples)},
        key=key,
        train=train,
        mask=None if mask is None else often(mask, samples),
    )
    return z.reshape(samples, len(x), -1), state


def often(rows: Array, samples: int) -> Array:
    """The rows [N, ...] one time after the other, [S N, ...]."""
    return jnp.tile(rows, (samples, *(1,) * (jnp.ndim(rows) - 1)))


def score(name, model, params, state, z, x, **how):
    """What a network says of pairs: ``(T(x_n, z_sn) [S, N], state)`` for z [S, N, K], x [N, ...]."""
    inputs = {"x": z.reshape(-1, z.shape[-1]), "condition": often(x, len(z))}
    mask = how.pop("mask", None)
    mask = None if mask is None else often(mask, len(z))
    values, state = apply_part(name, model, params, state, inputs, mask=mask, **how)
    return values.reshape(z.shape[:2]), state
