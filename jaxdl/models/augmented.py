"""Networks with the offsets inside their weight matrices, as in the notes. Notes: L691, §4.3.

The notes' ``W_l`` is [D_l + 1, D_{l+1}]: one row of it belongs to a constant 1 that every layer
gets besides its inputs. §2.1 puts the 1 first, §4.3 last (D-39); ``position`` says which.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import jax.numpy as jnp

from jaxdl.base import Array, Params
from jaxdl.checks import one_of
from jaxdl.features import append_ones
from jaxdl.layers import activation as find_activation
from jaxdl.layers import add_skip


def to_augmented(params: Params, position: str = "last") -> list[Array]:
    """``[W_0, ..., W_L]`` with W_l [D_l + 1, D_{l+1}], from the params of ``mlp``.

    A layer without offset gets a row of zeros. Raises ValueError for another ``position`` and for
    params with more than dense layers. Notes: L691 (D-39).

    >>> params = {"dense_0": {"kernel": jnp.ones((2, 1)), "bias": jnp.array([5.0])}}
    >>> to_augmented(params, "first")[0].tolist()
    [[5.0], [1.0], [1.0]]
    """
    one_of("position", position, ("first", "last"))
    weights = []
    for layer in _dense_layers(params):
        kernel = layer["kernel"]
        row = layer.get("bias", jnp.zeros(kernel.shape[1], kernel.dtype))[None]
        weights.append(jnp.concatenate([row, kernel] if position == "first" else [kernel, row]))
    return weights


def from_augmented(weights: Sequence[Array], position: str = "last") -> Params:
    """The params of ``mlp``, ``{"dense_0": {"kernel", "bias"}, ...}``, from ``to_augmented``'s.

    W_l is [D_l + 1, D_{l+1}]. Raises ValueError for another ``position`` and for matrices that do
    not fit one another. Notes: L691 (D-39).
    """
    one_of("position", position, ("first", "last"))
    weights = [jnp.asarray(w) for w in weights]
    matrices = bool(weights) and all(w.ndim == 2 for w in weights)
    if not matrices or any(a.shape[1] + 1 != len(b) for a, b in pairwise(weights)):
        shapes = ", ".join(str(list(w.shape)) for w in weights)
        raise ValueError(f"weights are [D_l + 1, D_(l+1)] in turn, one at least, got {shapes}")
    kernel, row = (slice(1, None), 0) if position == "first" else (slice(None, -1), -1)
    return {f"dense_{i}": {"kernel": w[kernel], "bias": w[row]} for i, w in enumerate(weights)}


def augmented_apply(
    weights: Sequence[Array],
    x: Array,
    *,
    activation: str | Callable | Sequence[str | Callable] = "relu",
    position: str = "last",
    skip: bool = False,
) -> Array:
    """``eta = W_L' h_L`` with ``h_l = [phi(W_{l-1}' h_{l-1}), 1]`` and ``h_0 = [x, 1]``.

    x [..., D], weights as of ``to_augmented``; eta is [..., K]. With ``skip`` the hidden layers
    have identity skips, ``h_l = [phi(W_{l-1}' h_{l-1}) + (h_{l-1} but its 1), 1]``: adding all of
    h_{l-1} would let the 1 grow with each layer (D-46). Raises ValueError for shapes that do not
    fit. Notes: Eqs. (21), (22), (27), L691.
    """
    params = from_augmented(weights, position)  # checks
    hidden = len(params) - 1
    if isinstance(activation, str) or callable(activation):
        activation = (activation,) * hidden
    if len(activation) != hidden:
        raise ValueError(f"{len(activation)} activations for {hidden} hidden layers")
    x = jnp.asarray(x)
    if x.shape[-1:] != (len(weights[0]) - 1,):
        raise ValueError(f"x must be [..., {len(weights[0]) - 1}], got {list(x.shape)}")
    for w, phi in zip(weights[:-1], activation, strict=True):
        h = find_activation(phi)(append_ones(x, position) @ w)
        x = add_skip(None, x, h) if skip else h
    return append_ones(x, position) @ weights[-1]


def collapse_linear(params: Params) -> dict[str, Array]:
    """The one linear map that an ``mlp`` with identity activations is.

    ``{"kernel" W_0 W_1 ... W_L [D, K], "bias" [K]}`` for the linear model
    ``eta = W'x + b``; its rank is at most the smallest width. The inverse link stays outside of
    it, ``E[y|x] = g^-1(w'U'x)`` (D-37). Raises ValueError for params with more than dense layers.
    Notes: L631, L635, §4.1.

    >>> two = {f"dense_{i}": {"kernel": jnp.full((1, 1), 3.0), "bias": jnp.ones(1)} for i in (0, 1)}
    >>> collapse_linear(two)["kernel"].item(), collapse_linear(two)["bias"].item()
    (9.0, 4.0)
    """
    first, *others = _dense_layers(params)
    kernel = first["kernel"]
    bias = first.get("bias", jnp.zeros(kernel.shape[1], kernel.dtype))
    for layer in others:
        bias = bias @ layer["kernel"] + layer.get("bias", 0)
        kernel = kernel @ layer["kernel"]
    return {"kernel": kernel, "bias": bias}


def _dense_layers(params):
    names = [f"dense_{i}" for i in range(len(params))]
    if not names or set(names) != set(params):
        raise ValueError(f"only dense layers have this form, dense_0 and on; got {list(params)}")
    return [params[name] for name in names]
