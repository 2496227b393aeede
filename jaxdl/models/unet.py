"""A U-Net that knows how far the noise has come: for diffusion and flow matching on images. Notes: §9.3."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxdl import layers
from jaxdl.base import Array, Model, stateless
from jaxdl.checks import positive_int
from jaxdl.models.cnn import check_images, checked_image_shape


class _Block(NamedTuple):
    """A residual block, from d_in features to d_out."""

    name: str
    d_in: int
    d_out: int


def unet(
    image_shape: Sequence[int],
    *,
    filters: Sequence[int] = (16, 32),
    groups: int = 4,
    time_features: int = 32,
    num_classes: int | None = None,
    activation: str | Callable = "silu",
    dropout: float | Array = 0.0,
    lowering: str = "auto",
) -> Model:
    """An image of x's shape from a noisy image x [N, H, W, D] at the time tau [N].

    Down: level l = 0, ..., L - 1 has a residual block of ``filters[l]`` features, and but for the last
    a convolution of stride 2. One block is in the middle. Up: each level's block reads what comes from
    below beside what the same level said on the way down, and a nearest-neighbour doubling with a
    convolution leads to the next. ``u = dense(phi(dense([sinusoids(1000 tau), E_label])))`` is added
    in every block: ``h + conv(phi(norm(conv(phi(norm(h))) + dense(phi(u)))))``.
    Sources: Ronneberger et al. (2015); Ho et al. (2020), here without attention.

    x is as for ``time_mlp``: ``{"x": x, "time": tau [N] in [0, 1]}``, and ``"label"`` [N] where there
    are ``num_classes`` K: whole numbers below K, or K for no label, which guidance needs.

    Args:
      image_shape: (H, W, D); 2^(L - 1) divides H and W.
      filters: K_0, ..., K_{L-1}.
      groups: of ``layers.group_norm``; they divide each of the filters.
      time_features: of the sinusoids, of the label's embedding, and of u.
      num_classes: K.
      activation: phi, a name or a function.
      dropout: rate before each block's second convolution; may be traced.
      lowering: how convolutions are computed, see ``layers.conv_lowering``.

    Params are dicts ``stem``, ``down_0`` and ``shrink_0``, ..., ``middle``, ..., ``grow_0`` and
    ``up_0``, ``norm`` and ``head``, ``time_0`` and ``time_1``, and ``label``, an embedding of K + 1
    rows. Raises ValueError for sizes that do not fit and for images of another shape.

    >>> net = unet((4, 4, 1), filters=(4, 8))
    >>> x = {"x": jnp.ones((2, 4, 4, 1)), "time": jnp.ones(2)}
    >>> net.apply(*net.init(jax.random.key(0)), x)[0].shape
    (2, 4, 4, 1)
    """
    image = checked_image_shape(image_shape)
    filters = tuple(positive_int("filters", f) for f in filters)
    time_features = positive_int("time_features", time_features)
    last = len(filters) - 1
    if last < 0:
        raise ValueError("a U-Net has at least one level of filters")
    if image[0] % 2**last or image[1] % 2**last:
        raise ValueError(
            f"{last + 1} levels halve a side {last} times; {image[:2]} must be multiples of {2**last}"
        )
    if any(f % positive_int("groups", groups) for f in filters):
        raise ValueError(f"{groups} groups must divide all of the filters {filters}")
    labelled = num_classes is not None
    phi = layers.activation(activation)
    down = [_Block(f"down_{l}", filters[max(l - 1, 0)], f) for l, f in enumerate(filters)]
    middle = _Block("middle", filters[-1], filters[-1])
    up = [_Block(f"up_{l}", 2 * f, f) for l, f in enumerate(filters)]

    def conv(layer, x, stride=1):
        return layers.conv(layer, x, stride=stride, padding="same", lowering=lowering)

    norm = lambda scales, x: layers.group_norm(scales, x, groups=groups)

    def init(key):
        keys = iter(jax.random.split(key, 4 * len(filters) + 4))
        new_conv = lambda d_in, d_out: layers.conv_init(next(keys), 3, d_in, d_out)
        new_dense = lambda d_in: layers.dense_init(next(keys), d_in, time_features)
        params = {
            "stem": new_conv(image[2], filters[0]),
            "time_0": new_dense((2 if labelled else 1) * time_features),
            "time_1": new_dense(time_features),
            "norm": layers.layer_norm_init(filters[0]),
            "head": new_conv(filters[0], image[2]),
        }
        if labelled:
            rows = positive_int("num_classes", num_classes) + 1
            params["label"] = layers.embedding_init(next(keys), rows, time_features)
        for block in (*down, middle, *up):
            params[block.name] = _block_init(next(keys), block, time_features)
        for l in range(last):
            params[f"shrink_{l}"] = new_conv(filters[l], filters[l])
            params[f"grow_{l}"] = new_conv(filters[l + 1], filters[l])
        return params

    def embedded(params, x, dtype):
        parts = [layers.sinusoids(1000 * x["time"], time_features).astype(dtype)]
        if labelled:
            parts.append(layers.embedding(params["label"], x["label"]))
        u = layers.dense(params["time_0"], jnp.concatenate(parts, axis=-1))
        return phi(layers.dense(params["time_1"], phi(u)))

    def apply(params, x, *, key, train):
        noisy = x["x"]
        check_images(image, noisy)
        u = embedded(params, x, noisy.dtype)

        def through(block, h, number):
            layer, own = (
                params[block.name],
                None if key is None else jax.random.fold_in(key, number),
            )
            a = conv(layer["conv_0"], phi(norm(layer["norm_0"], h)))
            a = a + layers.dense(layer["time"], u)[..., None, None, :]
            a = layers.dropout(phi(norm(layer["norm_1"], a)), dropout, key=own, train=train)
            return conv(layer["conv_1"], a) + (conv(layer["skip"], h) if "skip" in layer else h)

        h, seen = conv(params["stem"], noisy), []
        for l, block in enumerate(down):
            seen.append(through(block, h, l))
            h = conv(params[f"shrink_{l}"], seen[-1], 2) if l < last else seen[-1]
        h = through(middle, h, len(filters))
        for l in range(last, -1, -1):
            h = through(up[l], jnp.concatenate([h, seen[l]], axis=-1), len(filters) + 1 + l)
            if l > 0:
                doubled = jnp.repeat(jnp.repeat(h, 2, axis=-3), 2, axis=-2)
                h = conv(params[f"grow_{l - 1}"], doubled)
        return conv(params["head"], phi(norm(params["norm"], h)))

    return stateless(init, apply)


def _block_init(key, block, time_features):
    keys = jax.random.split(key, 4)
    params = {
        "norm_0": layers.layer_norm_init(block.d_in),
        "conv_0": layers.conv_init(keys[0], 3, block.d_in, block.d_out),
        "time": layers.dense_init(keys[1], time_features, block.d_out),
        "norm_1": layers.layer_norm_init(block.d_out),
        "conv_1": layers.conv_init(keys[2], 3, block.d_out, block.d_out),
    }
    if block.d_in != block.d_out:
        params["skip"] = layers.conv_init(keys[3], 1, block.d_in, block.d_out)
    return params
