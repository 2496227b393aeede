"""Backpropagation by hand, in the shape of the parameters. Notes: Eq. (26), §4.5.1.

Networks are those of ``models.mlp``: params ``{"dense_0": {"kernel", "bias"}, ...}`` with hidden
activations and a linear last layer; ``"skip_l": {"kernel"}`` are projected skips.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxdl import layers
from jaxdl.base import Array, Params
from jaxdl.checks import one_of

LINKS: dict[str, Callable] = {
    "identity": lambda eta: eta,
    "logistic": jax.nn.sigmoid,
    "softmax": jax.nn.softmax,
}


class Cache(NamedTuple):
    """What forward propagation keeps for the way back, for L hidden layers.

    hidden: h_0 = x to h_L, [N, D_l] each. pre: a_1 to a_L, [N, D_l] each. eta: [N, K].
    """

    hidden: tuple[Array, ...]
    pre: tuple[Array, ...]
    eta: Array


class Backprop(NamedTuple):
    """gradients: like the params. deltas: dl/da_1 to dl/da_{L+1}, [N, D_l] each, the last being
    dl/d eta. cache: the Cache; every partial derivative is computed once (E-32)."""

    gradients: Params
    deltas: tuple[Array, ...]
    cache: Cache


def forward(
    params: Params, x: Array, *, activation: str | Callable | Sequence = "relu", skip: bool = False
) -> Cache:
    """``a_l = W_{l-1}' h_{l-1} + b_{l-1}``, ``h_l = phi_l(a_l)``, plus ``h_{l-1}`` with skips.

    x [N, D]. A skip between different widths has a ``"skip_l"`` in the params. Raises ValueError
    for a number of activations that does not fit. Notes: Eqs. (21), (27), §4.3, §4.5.2.
    """
    phis = [layers.activation(a) for a in activations_of(activation, params)]
    hidden, pre = [x], []
    for l, phi in enumerate(phis):
        pre.append(layers.dense(params[f"dense_{l}"], hidden[-1]))
        h = phi(pre[-1])
        hidden.append(layers.add_skip(params.get(f"skip_{l}"), hidden[-1], h) if skip else h)
    return Cache(tuple(hidden), tuple(pre), layers.dense(params[f"dense_{len(phis)}"], hidden[-1]))


def output_delta(eta: Array, y: Array, *, link: str = "identity") -> Array:
    """``dl/d eta = (E[y|x] - y) / N`` for eta [N, K] or [N] and y of the same shape.

    It is the gradient of the mean negative log-likelihood under the canonical links:
    ``"identity"`` with ``|y - eta|^2 / 2`` (the 1/2 and its sign belong there, D-40),
    ``"logistic"`` and ``"softmax"`` with their cross-entropies. Labels y [N] of whole numbers are
    taken as one-hot where eta is [N, K]. Raises ValueError for other shapes and links.
    Notes: L781, §4.5.1.

    >>> output_delta(jnp.array([[2.0], [0.0]]), jnp.array([[1.0], [1.0]])).tolist()
    [[0.5], [-0.5]]
    """
    one_of("link", link, LINKS)
    y = jnp.asarray(y)
    if eta.ndim == 2 and y.ndim == 1 and jnp.issubdtype(y.dtype, jnp.integer):
        y = jax.nn.one_hot(y, eta.shape[1], dtype=eta.dtype)
    if y.shape != eta.shape:
        raise ValueError(f"y must be like eta {eta.shape}, or labels [{len(eta)}], not {y.shape}")
    return (LINKS[link](eta) - y) / len(eta)


def backprop_deltas(
    params: Params,
    cache: Cache,
    delta: Array,
    *,
    activation: str | Callable | Sequence = "relu",
    skip: bool = False,
) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """The fold from the output to the first layer: ``delta_l = (delta_{l+1} W_l') * phi'(a_l)``.

    Products and elementwise factors alternate from left to right; in any other order they are
    something else (D-42). Offsets take no part (D-43). With skips, ``dl/dh_l`` also gets
    ``dl/dh_{l+1}`` itself, or that times U'. Notes: L785-L797, Eq. (26).

    Args:
      params, cache: of the network; see ``forward``.
      delta: [N, K], ``dl/d eta``.
      activation, skip: as in ``forward``.

    Returns:
      ``dl/da_1 .. dl/da_{L+1}`` and ``dl/dh_0 .. dl/dh_L``, [N, D_l] each.
    """
    slopes = [_slope(a) for a in activations_of(activation, params)]
    deltas, signals = [delta], [delta @ params[f"dense_{len(slopes)}"]["kernel"].T]
    for l in reversed(range(len(slopes))):
        deltas.insert(0, signals[0] * slopes[l](cache.pre[l]))
        signal = deltas[0] @ params[f"dense_{l}"]["kernel"].T
        if skip:
            through = params.get(f"skip_{l}")
            signal += signals[0] if through is None else signals[0] @ through["kernel"].T
        signals.insert(0, signal)
    return tuple(deltas), tuple(signals)


def backprop(
    params: Params,
    x: Array,
    y: Array,
    *,
    link: str = "identity",
    activation: str | Callable | Sequence = "relu",
    skip: bool = False,
) -> Backprop:
    """All gradients by one pass forward and one back: ``dl/dW_l = h_l' delta_{l+1}``.

    An offset's gradient is the sum of its deltas. The loss is the mean over rows of the canonical
    link's negative log-likelihood; see ``output_delta``. Gradients have the shape of their
    parameters, the transpose of the notes' (D-41). Equal to ``jax.grad``, which does the same.

    Args:
      params: as of ``models.mlp``.
      x: [N, D].
      y: [N, K], or labels [N].
      link: ``"identity"``, ``"logistic"`` or ``"softmax"``.
      activation: of the hidden layers: a name, an elementwise function, or one for each.
      skip: whether hidden layers have skips.

    Raises ValueError for shapes and names that do not fit. Source: Rumelhart et al. (1986).
    Notes: Eq. (26), §4.5.1.
    """
    cache = forward(params, x, activation=activation, skip=skip)
    delta = output_delta(cache.eta, y, link=link)
    deltas, signals = backprop_deltas(params, cache, delta, activation=activation, skip=skip)
    gradients = {}
    for l, (h, d) in enumerate(zip(cache.hidden, deltas, strict=True)):
        layer = {"kernel": h.T @ d, "bias": jnp.sum(d, axis=0)}
        gradients[f"dense_{l}"] = {name: layer[name] for name in params[f"dense_{l}"]}
        if f"skip_{l}" in params:
            gradients[f"skip_{l}"] = {"kernel": h.T @ signals[l + 1]}
    return Backprop(gradients, deltas, cache)


def activations_of(activation: str | Callable | Sequence, params: Params) -> list:
    """One activation for each hidden layer, [L]. Raises ValueError where they do not fit."""
    hidden = sum(name.startswith("dense_") for name in params) - 1
    if isinstance(activation, str) or callable(activation):
        return [activation] * hidden
    if len(activation) != hidden:
        raise ValueError(f"{len(activation)} activations for {hidden} hidden layers")
    return list(activation)


def _slope(activation):
    """phi', written out for names, by forward mode for functions."""
    if isinstance(activation, str):
        return layers.derivative(activation)
    return lambda a: jax.jvp(activation, (a,), (jnp.ones_like(a),))[1]
