"""Networks from vectors to images by transposed convolutions: decoders. Notes: §6, §9.2."""

import itertools
from collections.abc import Callable, Sequence

import jax

from jaxdl import layers
from jaxdl.base import Model, stateless
from jaxdl.checks import positive_int
from jaxdl.layers.initializers import RECTIFIERS
from jaxdl.models.cnn import checked_image_shape
from jaxdl.models.mlp import mlp


def transposed_cnn(
    features: int,
    image_shape: Sequence[int],
    *,
    filters: Sequence[int] = (64, 32),
    hidden: Sequence[int] = (),
    activation: str | Callable = "relu",
    kernel_init: Callable | None = None,
    lowering: str = "auto",
) -> Model:
    """A small image from a perceptron, doubled in both sides by each transposed convolution.

    ``h_0 = phi(mlp(z))`` as [H / 2^L, W / 2^L, K_1], ``h_l = phi(conv_transpose(h_{l-1}))`` of 4 x 4
    cells and stride 2; the last is linear and gives eta [..., H, W, D]. The mirror of ``cnn``.
    Source: Radford et al. (2016).

    Args:
      features: K, of z [..., K].
      image_shape: (H, W, D), sides that 2^L divides.
      filters: K_1, ..., K_L: the features of h_0 and of all layers but the last.
      hidden: widths of the perceptron's hidden layers.
      activation: phi, a name or a function.
      kernel_init: of all but the last layer; default He's for rectifiers, LeCun's else.
      lowering: how convolutions are computed, see ``layers.conv_lowering``.

    Params are ``{"head": the mlp's, "conv_0": {"kernel" [4, 4, K_1, K_2], "bias"}, ...}``. D is one
    number a pixel and channel: for families of several see ``reshaped`` and a wider D.

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
    head = mlp(widths, activation=activation, kernel_init=kernel_init)
    pairs = list(itertools.pairwise((*filters, channels)))

    def init(key):
        params = {"head": head.init(jax.random.fold_in(key, len(pairs)))[0]}
        for l, (d_in, d_out) in enumerate(pairs):
            last = l == len(pairs) - 1
            params[f"conv_{l}"] = layers.conv_transpose_init(
                jax.random.fold_in(key, l), 4, d_in, d_out,
                kernel_init=_of_a_quarter(lecun if last else kernel_init),
            )  # fmt: skip
        return params

    def apply(params, z, *, key=None, train=False):
        h, _ = head.apply(params["head"], {}, z)
        h = h.reshape(*z.shape[:-1], *start)
        for l in range(len(pairs)):
            h = layers.conv_transpose(
                params[f"conv_{l}"], phi(h), stride=2, padding=1, lowering=lowering
            )
        return h

    return stateless(init, apply)


def _of_a_quarter(kernel_init):
    """At stride 2 a pixel is met by 2 x 2 of the 4 x 4 cells: a quarter of the kernel's fan-in."""
    return lambda key, shape, dtype: 2 * kernel_init(key, shape, dtype)
