"""Convolutional networks in the manner of LeNet. Notes: §6."""

import itertools
import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from jaxdl import layers
from jaxdl.arrays import spread_mask
from jaxdl.base import Array, Model, stateless
from jaxdl.checks import positive_int
from jaxdl.layers import windows
from jaxdl.layers.initializers import RECTIFIERS
from jaxdl.models.mlp import mlp
from jaxdl.models.normalizations import find_normalization, without_empty

# max(phi(a)) = phi(max(a)) for these, of which phi(max(a)) is computed for fewer entries.
_NONDECREASING = tuple(
    map(layers.activation, ("identity", "leaky_relu", "logistic", "relu", "softplus", "tanh"))
)


def cnn(
    image_shape: Sequence[int],
    num_outputs: int,
    *,
    filters: Sequence[int] = (32, 64),
    filter_size: int | Sequence[int] = 3,
    pool: int = 2,
    hidden: Sequence[int] = (128,),
    activation: str | Callable = "relu",
    dropout: float | Array = 0.0,
    kernel_init: Callable | None = None,
    norm: layers.Normalization | str | None = None,
    momentum: float | Array = 0.9,
    statistics: str = "running",
    padding: str | int = "same",
    lowering: str = "auto",
) -> Model:
    """Convolutions, each with an activation and a max pool, and a multi-layer perceptron behind.

    ``h_l = pool(phi(norm(conv(h_{l-1}; K_l))))`` for each of ``filters``, and
    ``eta = mlp(vec(h_L))`` with the ``hidden`` layers. Source: LeCun et al. (1998).
    Notes: L913, L919, §6.

    Args:
      image_shape: (H, W, D).
      num_outputs: K, of eta.
      filters: how many each convolution has.
      filter_size: of all of them, a number or a pair.
      pool: the side of a pooling window, its stride too; 1 does not pool.
      hidden: widths of the hidden layers behind the convolutions, () for none.
      activation: phi of all hidden layers, a name or a function.
      dropout: rate behind each of the ``hidden`` layers; may be traced.
      kernel_init: of all but the last layer; default He's for rectifiers, LeCun's else.
      norm, momentum, statistics: of all hidden layers, before the activation, as for ``mlp``.
      padding: of the convolutions, see ``layers.conv``.
      lowering: how convolutions are computed, see ``layers.conv_lowering``.

    Params are ``{"conv_0": {"kernel" [F, F, D, K], "bias"}, "norm_0", ..., "head": the mlp's}``,
    without offsets before a normalisation over the batch (D-53). ``apply`` takes x [..., H, W, D],
    and as ``mlp`` ``mask`` and ``observe`` with such a normalisation.

    Raises ValueError for sizes that do not fit, unknown names, and images of another shape.

    >>> net = cnn((8, 8, 1), 10, filters=(4, 8), hidden=(16,))
    >>> params, state = net.init(jax.random.key(0))
    >>> net.apply(params, state, jnp.ones((2, 8, 8, 1)))[0].shape
    (2, 10)
    """
    image = checked_image_shape(image_shape)
    filters = tuple(positive_int("filters", f) for f in filters)
    phi = layers.activation(activation)
    norm = find_normalization(norm, momentum, statistics)
    lecun = jax.nn.initializers.lecun_normal()
    kernel_init = kernel_init or (layers.he_normal() if phi in RECTIFIERS else lecun)
    sides = image[:2]
    each = windows.per_axis("filter_size", filter_size, 2)
    for _ in filters:
        sides = [
            layers.conv_output_size(n, f, padding=padding) for n, f in zip(sides, each, strict=True)
        ]
        sides = [layers.pool_output_size(n, pool) for n in sides]
    widths = (math.prod(sides) * (filters or image[2:])[-1], *hidden, num_outputs)
    head = mlp(
        widths,
        activation=activation,
        dropout=dropout,
        kernel_init=(*(kernel_init,) * (len(widths) - 2), lecun),
        norm=norm,
    )

    def init(key):
        params, state = {}, {}
        for l, (d_in, d_out) in enumerate(itertools.pairwise((image[2], *filters))):
            params[f"conv_{l}"] = layers.conv_init(
                jax.random.fold_in(key, l),
                each,
                d_in,
                d_out,
                kernel_init=kernel_init,
                use_bias=not norm.over_batch,
            )
            params[f"norm_{l}"], state[f"norm_{l}"] = norm.init(d_out)
        params["head"], state["head"] = head.init(jax.random.fold_in(key, len(filters)))
        return without_empty(params), without_empty(state)

    def pooled(a):
        if phi in _NONDECREASING:
            return phi(layers.max_pool(a, pool))
        return layers.max_pool(phi(a), pool)

    def apply(params, state, x, *, key=None, train=False, mask=None, observe=False):
        check_images(image, x)
        if mask is not None:  # zero times NaN is NaN in gradients
            x = jnp.where(spread_mask(mask, x), x, 0)
        rows = {"train": train, "mask": mask, "observe": observe}
        new = {}
        for l in range(len(filters)):
            a = layers.conv(params[f"conv_{l}"], x, padding=padding, lowering=lowering)
            name = f"norm_{l}"
            a, new[name] = norm.apply(params.get(name, {}), state.get(name, {}), a, **rows)
            x = pooled(a)
        x = x.reshape(*x.shape[:-3], widths[0])
        rows = rows if norm.over_batch else {"train": train}
        eta, new["head"] = head.apply(params["head"], state.get("head", {}), x, key=key, **rows)
        return eta, without_empty(new)

    def apply_without_state(params, x, *, key, train):
        return apply(params, {}, x, key=key, train=train)[0]

    if norm.over_batch:
        return Model(init, apply, sees_mask=True)
    return stateless(lambda key: init(key)[0], apply_without_state)


def checked_image_shape(shape: Sequence[int]) -> tuple[int, int, int]:
    """(H, W, D). Raises a ValueError unless there are three, positive whole numbers."""
    if len(shape) != 3:
        raise ValueError(f"image_shape is (H, W, D), not {tuple(shape)}")
    height, width, depth = (positive_int("image_shape", n) for n in shape)
    return height, width, depth


def check_images(shape: tuple[int, int, int], x: Array) -> None:
    """Raise a ValueError unless x is [..., H, W, D] of this shape."""
    if x.shape[-3:] != shape:
        raise ValueError(
            f"the network expects x [..., {', '.join(map(str, shape))}], got {x.shape}"
        )
