"""Networks that give the parameters of a map: from some variables, and from a context."""

import itertools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from jaxdl import layers
from jaxdl.base import Array, Model, stateless
from jaxdl.layers.initializers import RECTIFIERS


def hidden_initializers(activation: str | Callable, depth: int) -> list[Callable]:
    """Initializers of ``depth`` hidden kernels, and of a last one of zeros.

    A map whose parameters are zero is then the identity at first.
    """
    he = layers.activation(activation) in RECTIFIERS
    own = layers.he_normal() if he else jax.nn.initializers.lecun_normal()
    return [*[own] * depth, jax.nn.initializers.zeros]


def network(widths: Sequence[int], activation: str | Callable) -> Model:
    """``h_l = phi(W_{l-1}' h_{l-1} + b)`` and a linear last layer that starts at zero: an MLP.

    Params are ``{"dense_0": {"kernel", "bias"}, ...}``.
    """
    phi = layers.activation(activation)
    inits = hidden_initializers(activation, len(widths) - 2)

    def init(key):
        sizes = enumerate(zip(itertools.pairwise(widths), inits, strict=True))
        return {
            f"dense_{l}": layers.dense_init(jax.random.fold_in(key, l), *size, kernel_init=start)
            for l, (size, start) in sizes
        }

    def apply(params, h, *, key=None, train=False):
        del key, train
        for l in range(len(widths) - 2):
            h = phi(layers.dense(params[f"dense_{l}"], h))
        return layers.dense(params[f"dense_{len(widths) - 2}"], h)

    return stateless(init, apply)


def with_context(x: Array, context: Array | None) -> Array:
    """x [..., D] and context [..., C] side by side, [..., D + C].

    The context's leading axes are x's last ones before the features: context [C] is of all
    examples, [B, C] of x [B, D] or x [S, B, D]. Raises ValueError for others.
    """
    if context is None:
        return x
    context = jnp.asarray(context)
    lead = x.shape[:-1]
    if context.ndim == 0 or context.ndim > x.ndim:
        raise ValueError(f"context must be [..., C] for x {list(x.shape)}, not {context.shape}")
    own = context.shape[:-1]
    if own != lead[len(lead) - len(own) :]:
        raise ValueError(
            f"the context {list(context.shape)} has other examples than x {list(x.shape)}"
        )
    return jnp.concatenate([x, jnp.broadcast_to(context, (*lead, context.shape[-1]))], axis=-1)


def context_width(context: Array | None) -> int:
    """C of a context [..., C], 0 for None.

    >>> context_width(jnp.ones((5, 3))), context_width(None)
    (3, 0)
    """
    return 0 if context is None else jnp.shape(context)[-1]


def widths_of(hidden: int | Sequence[int]) -> tuple[int, ...]:
    """Hidden widths (H_1, ..., H_L) as a tuple; one number is one hidden layer.

    >>> widths_of(8), widths_of([8, 4])
    ((8,), (8, 4))
    """
    return tuple(hidden) if isinstance(hidden, Sequence) else (hidden,)
