"""Networks from vectors to images by transposed convolutions: decoders. Notes: §6, §9.2."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxdl import layers
from jaxdl.arrays import spread_mask
from jaxdl.base import Array, Model, stateless
from jaxdl.checks import positive_int
from jaxdl.layers.initializers import RECTIFIERS
from jaxdl.models.cnn import checked_image_shape
from jaxdl.models.mlp import mlp
from jaxdl.models.normalizations import find_normalization, without_empty


def transposed_cnn(
    features: int,
    image_shape: Sequence[int],
    *,
    filters: Sequence[int] = (64, 32),
    hidden: Sequence[int] = (),
    activation: str | Callable = "relu",
    kernel_init: Callable | None = None,
    norm: layers.Normalization | str | None = None,
    momentum: float | Array = 0.9,
    statistics: str = "running",
    lowering: str = "auto",
) -> Model:
    """A small image from a perceptron, doubled in both sides by each transposed convolution.

    ``h_0 = phi(norm(mlp(z)))`` as [H / 2^L, W / 2^L, K_1], ``h_l = phi(norm(conv_transpose(h_{l-1})))``
    of 4 x 4 cells and stride 2; the last is linear and gives eta [..., H, W, D]. The mirror of ``cnn``.
    Source: Radford et al. (2016).

    Args:
      features: K, of z [..., K].
      image_shape: (H, W, D), sides that 2^L divides.
      filters: K_1, ..., K_L: the features of h_0 and of all layers but the last.
      hidden: widths of the perceptron's hidden layers.
      activation: phi, a name or a function.
      kernel_init: of all but the last layer; default He's for rectifiers, LeCun's else.
      norm, momentum, statistics: of all layers but the last, before the activation, as for ``cnn``.
      lowering: how convolutions are computed, see ``layers.conv_lowering``.

    Params are ``{"head": the mlp's, "norm_0", "conv_0": {"kernel" [4, 4, K_1, K_2], "bias"}, ...}``,
    without offsets before a normalisation over the batch (D-53); with one, ``apply`` takes ``mask``
    and ``observe``. D is one number a pixel and channel: for families of several see ``reshaped`` and
    a wider D.

    Raises ValueError for sizes that do not fit.

    >>> net = transposed_cnn(2, (8, 8, 1), filters=(8, 4))
    >>> net.apply(*net.init(jax.random.key(0)), jax.numpy.ones((3, 2)))[0].shape
    (3, 8, 8, 1)
    """
    height, width, channels = checked_image_shape(image_shape)
    filters = tuple(positive_int("filters", f) for f in filters)
    if not filters or height % 2 ** len(filters) or width % 2 ** len(filters):
        raise ValueError(
            f"{len(filters)} layers double a side each; {(height, width)} must be multiples of "
            f"{2 ** max(len(filters), 1)}, with at least one layer"
        )
    phi = layers.activation(activation)
    lecun = jax.nn.initializers.lecun_normal()
    kernel_init = kernel_init or (layers.he_normal() if phi in RECTIFIERS else lecun)
    start = height // 2 ** len(filters), width // 2 ** len(filters), filters[0]
    widths = (features, *hidden, start[0] * start[1] * start[2])
    norm = find_normalization(norm, momentum, statistics)
    head = mlp(
        widths,
        activation=activation,
        kernel_init=kernel_init,
        norm=norm,
        use_bias=not norm.over_batch,
    )
    pairs = list(itertools.pairwise((*filters, channels)))

    def init(key):
        params, state = {}, {}
        params["head"], state["head"] = head.init(jax.random.fold_in(key, len(pairs)))
        for l, (d_in, d_out) in enumerate(pairs):
            last = l == len(pairs) - 1
            params[f"conv_{l}"] = layers.conv_transpose_init(
                jax.random.fold_in(key, l),
                4,
                d_in,
                d_out,
                use_bias=last or not norm.over_batch,
                kernel_init=_of_a_quarter(lecun if last else kernel_init),
            )
            params[f"norm_{l}"], state[f"norm_{l}"] = norm.init(d_in)
        return without_empty(params), without_empty(state)

    def apply(params, state, x, *, key=None, train=False, mask=None, observe=False):
        del key
        if mask is not None:  # zero times NaN is NaN in gradients
            x = jnp.where(spread_mask(mask, x), x, 0)
        rows: dict[str, Any] = {"train": train, "mask": mask, "observe": observe}
        own: dict[str, Any] = rows if norm.over_batch else {"train": train}
        h, in_head = head.apply(params["head"], state.get("head", {}), x, **own)
        h, new = h.reshape(*x.shape[:-1], *start), {"head": in_head}
        for l in range(len(pairs)):
            name = f"norm_{l}"
            h, new[name] = norm.apply(params.get(name, {}), state.get(name, {}), h, **rows)
            h = layers.conv_transpose(
                params[f"conv_{l}"], phi(h), stride=2, padding=1, lowering=lowering
            )
        return h, without_empty(new)

    def apply_without_state(params, x, *, key, train):
        return apply(params, {}, x, key=key, train=train)[0]

    if norm.over_batch:
        return Model(init, apply, sees_mask=True)
    return stateless(lambda key: init(key)[0], apply_without_state)


def _of_a_quarter(kernel_init):
    """At stride 2 a pixel is met by 2 x 2 of the 4 x 4 cells: a quarter of the kernel's fan-in."""
    return lambda key, shape, dtype: 2 * kernel_init(key, shape, dtype)
