"""Autoencoders: networks that predict x from a narrower representation of it. Notes: §9.1."""

import math
import warnings
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxdl.arrays import floating
from jaxdl.base import Array, Model
from jaxdl.models.normalizations import without_empty
from jaxdl.models.parts import apply_part, init_parts, keys_of


def autoencoder(encoder: Model, decoder: Model, *, corrupt: Callable | None = None) -> Model:
    """A network that reconstructs: ``h = encoder(x)``, ``eta = decoder(h)``, ``g^-1(eta) ~ x``.

    Its layers count on through both networks: ``h_0 = x``, ``h_l = phi(W_l' h_{l-1})``, and
    ``E[x~|x] = g^-1(eta)`` of the last layer's eta, with g the link of the family that the
    objective ``training.reconstruction_nll`` is given (D-82).
    Notes: Eq. (48), §9.1. Source: Baldi and Hornik (1989).

    Args:
      encoder: from x [N, ...] to the representation h [N, K]; ``mlp((64, 32, 2))``, say.
      decoder: from h to eta [N, ...]; ``mlp((2, 32, 64))``, say.
      corrupt: None, or ``(key, x) -> x~`` of one shape, what the encoder sees instead of x while
        training: a denoising autoencoder. x itself stays the response. ``masking_noise`` and
        ``normal_noise`` are such. Source: Vincent et al. (2008).

    Params are ``{"encoder": ..., "decoder": ...}``; ``encoder.apply(params["encoder"], ...)``
    encodes. Where h has as many numbers as x, or more, and nothing is corrupted, the network can
    copy x and learn nothing: this warns (D-83).

    Raises ValueError while training with ``corrupt`` but no key.

    >>> from jaxdl import models
    >>> net = autoencoder(models.mlp((4, 2)), models.mlp((2, 4)))
    >>> params, state = net.init(jax.random.key(0))
    >>> net.apply(params, state, jnp.ones((3, 4)))[0].shape
    (3, 4)
    """
    parts = {"encoder": encoder, "decoder": decoder}

    def run(params, state, x, key, rows):
        corruption, *keys = keys_of(key, 3)
        seen = x
        if corrupt is not None and rows["train"]:
            if key is None:
                raise ValueError("a denoising autoencoder needs a key while training")
            seen = corrupt(corruption, x)
        new = {}
        h, new["encoder"] = apply_part(
            "encoder", encoder, params, state, seen, key=keys[0], **_seen_by(encoder, rows)
        )
        if corrupt is None:
            _warn_without_bottleneck(x, h)
        eta, new["decoder"] = apply_part(
            "decoder", decoder, params, state, h, key=keys[1], **_seen_by(decoder, rows)
        )
        return eta, without_empty(new)

    def apply(params, state, x, *, key=None, train=False):
        return run(params, state, x, key, {"train": train})

    def apply_to_rows(params, state, x, *, key=None, train=False, mask=None, observe=False):
        return run(params, state, x, key, {"train": train, "mask": mask, "observe": observe})

    sees_mask = encoder.sees_mask or decoder.sees_mask
    return Model(
        lambda key: init_parts(key, parts), apply_to_rows if sees_mask else apply, sees_mask
    )


def masking_noise(rate: float | Array) -> Callable:
    """``x~_d = x_d`` with probability 1 - rate, else 0; nothing is scaled. ``(key, x) -> x~``.

    ``rate`` in [0, 1] may be traced. Source: Vincent et al. (2008).

    >>> masking_noise(1.0)(jax.random.key(0), jnp.ones(3)).tolist()
    [0.0, 0.0, 0.0]
    """
    if isinstance(rate, (int, float)) and not 0 <= rate <= 1:
        raise ValueError(f"the rate of masking_noise lies in [0, 1], not {rate}")
    # u < 1 - rate has probability 1 - rate for every rate, 0 and 1 included: u lies in [0, 1).
    return lambda key, x: jnp.where(jax.random.uniform(key, x.shape) < 1 - rate, x, 0)


def normal_noise(scale: float | Array) -> Callable:
    """``x~ = x + scale e`` with e ~ N(0, I): ``(key, x) -> x~``. ``scale`` may be traced.

    >>> normal_noise(0.0)(jax.random.key(0), jnp.ones(2)).tolist()
    [1.0, 1.0]
    """

    def corrupt(key, x):
        x = floating(x)
        return x + scale * jax.random.normal(key, x.shape, x.dtype)

    return corrupt


def _seen_by(model, rows):
    return rows if model.sees_mask else {"train": rows["train"]}


def _warn_without_bottleneck(x, h):
    """Each row of h is compared with a row of x; both have x's first axis in front."""
    of_a_row = lambda a, axes: math.prod(a.shape[axes:])
    axes = min(h.ndim, x.ndim) - 1
    if of_a_row(h, axes) >= of_a_row(x, axes):
        warnings.warn(
            f"this autoencoder has no bottleneck: it encodes rows of {of_a_row(x, axes)} numbers by "
            f"{of_a_row(h, axes)}, so it can copy them; make the code narrower, or corrupt the input",
            stacklevel=4,
        )
