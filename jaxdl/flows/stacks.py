"""Whole flows: many layers of one kind, and Glow's levels for images."""

from collections.abc import Sequence

import jax

from jaxdl import layers
from jaxdl.base import Array, Bijector, Model, stateless
from jaxdl.checks import positive_int
from jaxdl.flows.composition import chain, invert, repeat
from jaxdl.flows.coupling import coupling, half_mask
from jaxdl.flows.elementwise import actnorm, reverse
from jaxdl.flows.images import invertible_convolution, split, squeeze
from jaxdl.flows.scalar_maps import ScalarMap, affine_map


def stack(layer: Bijector, dim: int, depth: int) -> Bijector:
    """``depth`` layers with the variables reversed behind each: all of them get their turn.

    ``stack(affine_coupling(D), D, 8)`` is a RealNVP, ``stack(spline_coupling(D), D, 4)`` a neural
    spline flow, ``stack(maf(D), D, 5)`` a masked autoregressive flow; one layer's program serves
    all. ``depth`` is static: each has a program of its own in a study.

    >>> import jax.numpy as jnp
    >>> from jaxdl.flows import affine_coupling
    >>> real_nvp = stack(affine_coupling(3, 8), 3, depth=2)
    >>> z = jnp.array([1.0, 2.0, 3.0])
    >>> real_nvp.forward(real_nvp.init(jax.random.key(0)), z)[0].tolist()
    [1.0, 2.0, 3.0]
    """
    return repeat(chain(layer, reverse(dim)), depth)


def glow(
    image_shape: Sequence[int],
    *,
    levels: int = 2,
    steps: int = 4,
    hidden: int = 32,
    scalar_map: ScalarMap | None = None,
) -> Bijector:
    """Glow: levels of squeezing, ``steps`` of mixing and coupling, and factoring out of channels.

    A step reads, from x to z, ``actnorm``, ``invertible_convolution``, ``coupling`` by channels; a
    level's half of the channels is done, the other half goes on to the next level. The coupling
    that comes first from z conditions what was factored out on the rest: a learned prior. The
    latents stay in one array of the image's shape.

    Args:
      image_shape: (H, W, C); H and W are multiples of ``2^levels``.
      levels: how often squares of 2 x 2 pixels become channels.
      steps: of each level.
      hidden: channels of the conditioners' two hidden layers.
      scalar_map: of the couplings, by default ``affine_map()``.

    Give ``init`` a batch of images for actnorm (``density_model(density, data)``). Raises
    ValueError for a shape that cannot be squeezed so often. Source: Kingma and Dhariwal (2018).

    >>> import jax.numpy as jnp
    >>> images = glow((4, 4, 1), levels=2, steps=1, hidden=4)
    >>> z, log_det = images.inverse(images.init(jax.random.key(0)), jnp.ones((2, 4, 4, 1)))
    >>> z.shape, log_det.shape
    ((2, 4, 4, 1), (2,))
    """
    height, width, channels = (positive_int("each axis of an image", n) for n in image_shape)
    levels = positive_int("levels", levels)
    if height % 2**levels or width % 2**levels:
        raise ValueError(
            f"{levels} levels need sides that are multiples of {2**levels}, not {height} x {width}"
        )
    tau = affine_map() if scalar_map is None else scalar_map
    wide = 4 * channels
    net = conv_conditioner(wide // 2, hidden, wide // 2 * tau.num_parameters)
    step = chain(
        coupling(tau, net, half_mask(wide), event_ndims=3),
        invertible_convolution(wide),
        actnorm(wide, event_ndims=3),
    )
    parts = [squeeze(), repeat(step, steps), invert(squeeze())]
    if levels > 1:
        shape = (height // 2, width // 2, wide // 2)
        inner = glow(shape, levels=levels - 1, steps=steps, hidden=hidden, scalar_map=tau)
        parts.insert(1, split(inner, wide // 2))
    return chain(*parts)


def conv_conditioner(d_in: int, hidden: int, d_out: int) -> Model:
    """Convolutions 3x3, 1x1 and 3x3 with ReLUs between, [..., H, W, d_in] to [..., H, W, d_out].

    The last kernel is zero: a coupling by it starts as the identity.

    >>> import jax.numpy as jnp
    >>> net = conv_conditioner(1, 4, 2)
    >>> params, state = net.init(jax.random.key(0))
    >>> net.apply(params, state, jnp.ones((3, 4, 4, 1)))[0].shape
    (3, 4, 4, 2)
    """
    sizes = ((3, d_in, hidden), (1, hidden, hidden), (3, hidden, d_out))

    def init(key):
        params = {}
        for l, (size, m, n) in enumerate(sizes):
            kernel_init = jax.nn.initializers.zeros if l == 2 else layers.he_normal()
            own = jax.random.fold_in(key, l)
            params[f"conv_{l}"] = layers.conv_init(own, (size, size), m, n, kernel_init=kernel_init)
        return params

    def apply(params, x: Array, *, key=None, train=False):
        del key, train
        h = x.reshape(-1, *x.shape[-3:])
        for l in range(3):
            h = layers.conv(params[f"conv_{l}"], h if l == 0 else jax.nn.relu(h), padding="same")
        return h.reshape(*x.shape[:-1], d_out)

    return stateless(init, apply)
