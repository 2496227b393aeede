"""A small residual convolutional network. Notes: §4.5.2, §6."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from jaxdl import layers
from jaxdl.arrays import spread_mask
from jaxdl.base import Array, Model
from jaxdl.checks import positive_int
from jaxdl.models.cnn import check_images, checked_image_shape


def residual_cnn(
    image_shape: Sequence[int],
    num_outputs: int,
    *,
    filters: Sequence[int] = (16, 32),
    blocks: int = 1,
    filter_size: int = 3,
    activation: str | Callable = "relu",
    dropout: float | Array = 0.0,
    momentum: float | Array = 0.9,
    statistics: str = "running",
    lowering: str = "auto",
) -> Model:
    """Residual blocks of two convolutions with batch normalisation, and a mean over all places.

    ``h' = phi(norm(conv(phi(norm(conv(h))))) + skip(h))`` with the identity for skip, or a
    convolution with filters of size 1 where the number of features or the stride changes. Behind
    the blocks, ``eta = W' dropout(mean over places of h) + b``. Source: He et al. (2016).
    Notes: Eq. (27), §4.5.2; §6.

    Args:
      image_shape: (H, W, D).
      num_outputs: K, of eta.
      filters: of each stage; a stage but the first halves the sides.
      blocks: residual blocks in each stage.
      filter_size: odd or even, a number.
      activation: phi, a name or a function.
      dropout: rate before the last layer; may be traced.
      momentum, statistics: of the normalisations, see ``layers.batch_norm``.
      lowering: how convolutions are computed, see ``layers.conv_lowering``.

    Params are ``{"stem": {"conv", "norm"}, "stage_0_block_0": {"conv_0", "norm_0", "conv_1",
    "norm_1"[, "skip"]}, ..., "dense"}``; convolutions have no offsets (D-53). ``apply`` takes
    x [..., H, W, D], and the keywords ``mask`` and ``observe`` of ``mlp``.

    Raises ValueError for sizes that are no positive whole numbers, and images of another shape.

    >>> net = residual_cnn((8, 8, 1), 10, filters=(4, 8))
    >>> params, state = net.init(jax.random.key(0))
    >>> net.apply(params, state, jnp.ones((2, 8, 8, 1)))[0].shape
    (2, 10)
    """
    image = checked_image_shape(image_shape)
    filters = tuple(positive_int("filters", f) for f in filters)
    if not filters:
        raise ValueError("a residual network has at least one stage of filters")
    size = positive_int("filter_size", filter_size)
    phi = layers.activation(activation)
    norm = layers.batch_normalization(momentum=momentum, statistics=statistics)
    plan = [  # name, features in, features out, stride
        (
            f"stage_{s}_block_{b}",
            filters[max(s - 1, 0)] if b == 0 else f,
            f,
            2 if s and b == 0 else 1,
        )
        for s, f in enumerate(filters)
        for b in range(positive_int("blocks", blocks))
    ]
    he = layers.he_normal()

    def convolution(key, f, d_in, d_out):
        return layers.conv_init(key, f, d_in, d_out, kernel_init=he, use_bias=False)

    def init(key):
        stem, stem_state = norm.init(filters[0])
        params = {
            "stem": {
                "conv": convolution(jax.random.fold_in(key, 0), size, image[2], filters[0]),
                "norm": stem,
            }
        }
        state = {"stem": {"norm": stem_state}}
        for i, (name, d_in, d_out, stride) in enumerate(plan, 1):
            first, second, skip = jax.random.split(jax.random.fold_in(key, i), 3)
            scales, statistics = zip(norm.init(d_out), norm.init(d_out), strict=True)
            params[name] = {
                "conv_0": convolution(first, size, d_in, d_out),
                "norm_0": scales[0],
                "conv_1": convolution(second, size, d_out, d_out),
                "norm_1": scales[1],
            }
            if stride > 1 or d_in != d_out:
                params[name]["skip"] = convolution(skip, 1, d_in, d_out)
            state[name] = {"norm_0": statistics[0], "norm_1": statistics[1]}
        last = jax.random.fold_in(key, len(plan) + 1)
        params["dense"] = layers.dense_init(
            last, filters[-1], positive_int("num_outputs", num_outputs)
        )
        return params, state

    def apply(params, state, x, *, key=None, train=False, mask=None, observe=False):
        check_images(image, x)
        if mask is not None:  # zero times NaN is NaN in gradients
            x = jnp.where(spread_mask(mask, x), x, 0)

        def conv(layer, x, stride=1):
            return layers.conv(layer, x, stride=stride, padding="same", lowering=lowering)

        rows = {"train": train, "mask": mask, "observe": observe}
        new = {}

        def normalized(part, name, a):
            y, new.setdefault(part, {})[name] = norm.apply(
                params[part][name], state[part][name], a, **rows
            )
            return y

        h = phi(normalized("stem", "norm", conv(params["stem"]["conv"], x)))
        for name, _, _, stride in plan:
            layer = params[name]
            a = phi(normalized(name, "norm_0", conv(layer["conv_0"], h, stride)))
            a = normalized(name, "norm_1", conv(layer["conv_1"], a))
            h = phi(a + (conv(layer["skip"], h, stride) if "skip" in layer else h))
        h = layers.dropout(layers.global_avg_pool(h), dropout, key=key, train=train)
        return layers.dense(params["dense"], h), new

    return Model(init, apply, sees_mask=True)
