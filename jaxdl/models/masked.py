"""Networks whose width and depth are settings like any other: masked within one large network."""

import itertools
from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl import layers
from jaxdl.base import Array, Model, Params, stateless
from jaxdl.layers.initializers import RECTIFIERS


def masked_mlp(
    sizes: Sequence[int],
    *,
    width: float | Array | None = None,
    depth: float | Array | None = None,
    activation: str | Callable = "relu",
    dropout: float | Array = 0.0,
) -> Model:
    """A multi-layer perceptron of which only a part is used, and that part trains as if alone.

    Units from ``width`` on are zero, ``h_j = 1[j < width] phi(a_j)``, and hidden layers from
    ``depth`` on hand on what they get, so that networks of all widths and depths have one shape
    and train as one population, which is as fast as its largest. What is not used starts at zero,
    gets no gradient and stays there; so a penalty does not see it.

    Args:
      sizes: the largest widths ``(D, hidden..., K)``.
      width: units of every hidden layer, or [L] of each; 1 to the largest; may be traced.
      depth: hidden layers, 1 to L, which must all be as wide; may be traced.
      activation: of the hidden layers.
      dropout: rate behind each hidden activation; may be traced. Its draws are those of the large
        network, so with dropout the part equals the small network in distribution only.

    Kernels start as in ``mlp`` with the fan-in that is used: variance 2 / fan_in for rectifiers,
    else 1 / fan_in. ``unmask`` cuts the small network out.

    Raises ValueError for sizes that make no sense and for numbers that are out of range.

    >>> net = masked_mlp((4, 8, 8, 3), width=5.0, depth=1.0)
    >>> params, state = net.init(jax.random.key(0))
    >>> [p["kernel"].shape for p in unmask(params, 5, 1).values()]
    [(4, 5), (5, 3)]
    """
    sizes = tuple(sizes)
    if len(sizes) < 3 or any(not isinstance(s, Integral) or s < 1 for s in sizes):
        raise ValueError(
            f"sizes are three positive whole numbers (D, hidden, K) or more, not {sizes}"
        )
    hidden = sizes[1:-1]
    if depth is not None and len(set(hidden)) > 1:
        raise ValueError(f"a depth needs hidden layers of one width, not {hidden}")
    _check_range("width", width, max(hidden))
    _check_range("depth", depth, len(hidden))
    widths = jnp.asarray(max(hidden) if width is None else width)
    if widths.shape not in ((), (len(hidden),)):
        raise ValueError(f"widths are one, or [{len(hidden)}] of each layer, not {widths.shape}")
    widths = jnp.broadcast_to(widths, (len(hidden),))
    used = jnp.arange(len(hidden)) < (len(hidden) if depth is None else depth)
    phi = layers.activation(activation)
    gain = 2.0 if phi in RECTIFIERS else 1.0
    units = lambda l: jnp.arange(hidden[l]) < widths[l]

    def init(key):
        params = {}
        for l, (m, n) in enumerate(itertools.pairwise(sizes)):
            last = l == len(hidden)
            inputs = jnp.ones(m, bool) if l == 0 else units(l - 1)
            outputs = jnp.ones(n, bool) if last else units(l) & used[l]
            kernel = jax.random.normal(jax.random.fold_in(key, l), (m, n))
            kernel *= jnp.sqrt((1.0 if last else gain) / jnp.sum(inputs))
            kernel = jnp.where(inputs[:, None] & outputs, kernel, 0)
            params[f"dense_{l}"] = {"kernel": kernel, "bias": jnp.zeros(n)}
        return params

    def apply(params, x, *, key=None, train=False):
        for l in range(len(hidden)):
            h = phi(layers.dense(params[f"dense_{l}"], x))
            layer_key = None if key is None else jax.random.fold_in(key, l)
            h = layers.dropout(h, dropout, key=layer_key, train=train)
            h = jnp.where(units(l), h, 0)
            x = h if l == 0 else jnp.where(used[l], h, x)
        return layers.dense(params[f"dense_{len(hidden)}"], x)

    return stateless(init, apply)


def unmask(params: Params, width: Any, depth: int | None) -> Params:
    """The parameters of ``mlp`` that a ``masked_mlp`` of this width and depth uses.

    ``width`` is of every hidden layer, or one for each that is used; None is all of it. Kernels
    [D, H] become [D, width]. Raises ValueError for a width or depth that is not there.
    """
    total = len(params) - 1
    depth = total if depth is None else int(depth)
    if not 1 <= depth <= total:
        raise ValueError(f"a depth is 1 to {total}, not {depth}")
    full = [params[f"dense_{l}"]["kernel"].shape[1] for l in range(depth)]
    widths = full if width is None else [int(width)] * depth if np.ndim(width) == 0 else [*width]
    if len(widths) != depth or any(not 1 <= w <= f for w, f in zip(widths, full, strict=True)):
        raise ValueError(f"widths are 1 to {full}, not {widths}")
    inputs = [None, *widths]
    outputs = [*widths, None]
    taken = [*range(depth), total]
    return {
        f"dense_{i}": {
            "kernel": params[f"dense_{l}"]["kernel"][: inputs[i], : outputs[i]],
            "bias": params[f"dense_{l}"]["bias"][: outputs[i]],
        }
        for i, l in enumerate(taken)
    }


def _check_range(name, value, most):
    known = isinstance(value, (int, float))
    if known and not (1 <= value <= most):
        raise ValueError(f"{name} is 1 to {most}, not {value}")
