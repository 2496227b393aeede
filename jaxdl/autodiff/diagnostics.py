"""What happens inside a network: signals that vanish, explode, saturate or die. Notes: §4.5."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.arrays import safe_divide, tree_norm
from jaxdl.autodiff.backprop import Cache
from jaxdl.base import Array, Params


class Verdict(NamedTuple):
    """ratio: [] of the first layer's norm to the last one's. vanishing, exploding: [] bool."""

    ratio: Array
    vanishing: Array
    exploding: Array


def layer_gradient_norms(gradients: Params) -> dict[str, Array]:
    """The root mean square of each layer's gradient, {layer: []}, over all its leaves together.

    Layers are the keys of the params. The mean makes layers of different sizes comparable.
    Notes: L749, §4.5 (E-35).
    """

    def rms(layer):
        return tree_norm(layer) / math.sqrt(sum(leaf.size for leaf in jax.tree.leaves(layer)))

    return {name: rms(layer) for name, layer in gradients.items()}


def jacobian_norms(jacobians: Sequence[Array]) -> Array:
    """The spectral norm of each of a chain of Jacobians [D_{l+1}, D_l], [L].

    ``|dl/dh_l| <= |dl/d eta|`` times the product of those from l on. Notes: L749, §4.5.
    """
    return jnp.stack([jacobian_spectrum(j)[0] for j in jacobians])


def jacobian_spectrum(jacobian: Array) -> Array:
    """Singular values of a Jacobian [M, D], the largest first, [min(M, D)].

    All near 1 is what lets a signal through unchanged (D-47); the smallest says which directions
    are lost. Raises ValueError unless it is a matrix. Source: Saxe et al. (2014).
    """
    if jacobian.ndim != 2:
        raise ValueError(f"a Jacobian is [M, D], not {jacobian.shape}")
    return jnp.linalg.svd(jacobian, compute_uv=False)


def verdict(norms: Array | dict[str, Array], threshold: float | Array = 1e3) -> Verdict:
    """Whether gradients vanish or explode on their way back, by their norms at each layer [L].

    ``ratio = norms[0] / norms[-1]``, from the first layer to the last: below 1 / ``threshold``
    they vanish, above it, or where one is not finite, they explode. Notes: §4.5 (E-35).

    >>> [bool(v) for v in verdict(jnp.array([1e-9, 1e-5, 1.0]))[1:]]
    [True, False]
    """
    if isinstance(norms, dict):
        order = sorted((k for k in norms if k.startswith("dense_")), key=lambda k: int(k[6:]))
        norms = jnp.stack([norms[k] for k in order])
    first, last = norms[0], norms[-1]
    ratio = safe_divide(first, last, jnp.where(first > 0, jnp.inf, 0))
    finite = jnp.all(jnp.isfinite(norms))
    return Verdict(ratio, finite & (ratio < 1 / threshold), ~finite | (ratio > threshold))


def saturation(cache: Cache, *, slope: Callable, share: float | Array = 0.1) -> Array:
    """The fraction of each hidden layer's activations whose slope is nearly zero, [L].

    Nearly zero is below ``share`` of the largest slope there can be at a [...], which is
    ``slope(0)`` for logistic and tanh: 0.25 and 1. A NaN counts as saturated.
    ``slope`` is phi', as ``layers.derivative("tanh")``. Notes: §4.5 (E-36).
    """
    most = slope(jnp.zeros(()))
    return jnp.stack([jnp.mean(~(slope(a) >= share * most)) for a in cache.pre])


def dead_relu_fraction(cache: Cache, *, slope: Callable | None = None) -> Array:
    """The fraction of each hidden layer's units that are dead over a data set, [L].

    Dead is a unit whose slope is zero for *all* of the N examples of the cache [N, D_l]: no
    gradient reaches its weights (D-55). ``slope`` defaults to ReLU's, ``a > 0``; a leaky ReLU's
    is never zero. Notes: §4.5 (E-36).
    """
    alive = (lambda a: a > 0) if slope is None else lambda a: slope(a) != 0
    return jnp.stack([jnp.mean(~jnp.any(alive(a), axis=0)) for a in cache.pre])


def update_ratios(params: Params, updates: Params) -> dict[str, Array]:
    """``|update| / |weights|`` of each layer, {layer: []}; about 1e-3 is healthy.

    Layers are the keys of the params. Weights of zero give 0 for no update, else inf.
    Source: Karpathy, CS231n notes on babysitting the learning process (2015).
    """

    def ratio(step, weight):
        moved = jnp.where(step > 0, jnp.inf, 0)
        return safe_divide(step, weight, moved)

    return {name: ratio(tree_norm(updates[name]), tree_norm(params[name])) for name in params}
