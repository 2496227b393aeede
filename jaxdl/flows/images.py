"""Invertible maps of images [H, W, C]: mixing channels, squeezing, and factoring channels out."""

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from jaxdl.base import Array, Bijector
from jaxdl.checks import positive_int
from jaxdl.flows.composition import init_one
from jaxdl.flows.events import check_channels, no_volume, num_positions


def invertible_convolution(
    channels: int,
    *,
    order: ArrayLike | None = None,
    event_ndims: int = 3,
    init_scale: float | Array = 0.0,
) -> Bijector:
    """A 1x1 convolution, ``z = W x`` at each position, ``W = P L (U + diag(exp s))``.

    L is lower triangular with ones on its diagonal, U strictly upper triangular, P a permutation:
    ``log |det dz/dx| = positions * sum s``. Densities (``inverse``) take a product with W, samples
    (``forward``) two triangular solves. With ``event_ndims=1`` it is a linear map of vectors.

    Args:
      channels: C.
      order: of P, ``(P v)_i = v_order[i]``; by default the channels from last to first. It is fixed.
      event_ndims: axes of an event [..., C].
      init_scale: standard deviation of L's and U's entries at first; 0 starts at W = P.

    Params are ``lower`` and ``upper`` [C, C], of which one triangle counts, and ``log_scale`` [C].
    Raises ValueError for an order that is none. Source: Kingma and Dhariwal (2018), §3.2.

    >>> mix = invertible_convolution(2)
    >>> x, log_det = mix.forward(mix.init(jax.random.key(0)), jnp.arange(8.0).reshape(2, 2, 2))
    >>> x[0, 0].tolist(), log_det.item()
    ([1.0, 0.0], 0.0)
    """
    channels = positive_int("channels", channels)
    order = np.arange(channels)[::-1] if order is None else np.asarray(order)
    if order.shape != (channels,) or sorted(order.tolist()) != list(range(channels)):
        raise ValueError(f"an order has each of 0, ..., {channels - 1} once, not {order.tolist()}")
    there = order.astype(np.int32)
    back = np.argsort(order).astype(np.int32)

    def init(key, x=None):
        del x
        keys = jax.random.split(key)
        draw = lambda key: init_scale * jax.random.normal(key, (channels, channels))
        lower, upper = jnp.tril(draw(keys[0]), -1), jnp.triu(draw(keys[1]), 1)
        return {"lower": lower, "upper": upper, "log_scale": jnp.zeros(channels)}

    def factors(params):
        lower = jnp.tril(params["lower"], -1) + jnp.eye(channels, dtype=params["lower"].dtype)
        return lower, jnp.triu(params["upper"], 1) + jnp.diag(jnp.exp(params["log_scale"]))

    def log_det(params, x, sign):
        total = sign * num_positions(x, event_ndims) * jnp.sum(params["log_scale"])
        return no_volume(x, event_ndims) + total

    def forward(params, z):
        z = check_channels(z, channels, event_ndims)
        lower, upper = factors(params)
        columns = jnp.take(z, back, axis=-1).reshape(-1, channels).T
        solve = jax.scipy.linalg.solve_triangular
        columns = solve(lower, columns, lower=True, unit_diagonal=True)
        return solve(upper, columns).T.reshape(z.shape), log_det(params, z, -1)

    def inverse(params, x):
        x = check_channels(x, channels, event_ndims)
        lower, upper = factors(params)
        z = jnp.take(x.reshape(-1, channels) @ (lower @ upper).T, there, axis=-1)
        return z.reshape(x.shape), log_det(params, x, 1)

    return Bijector(init, forward, inverse)


def squeeze(factor: int = 2) -> Bijector:
    """Squares of f x f pixels become channels: [..., H, W, C] to [..., H / f, W / f, C f f].

    Channel ``c f f + i f + j`` is pixel (i, j) of the square in channel c, which is Glow's order:
    the pixels of one channel stay together (RealNVP's order has c last). ``invert(squeeze())``
    goes the other way. Raises ValueError where f does not divide H and W.

    >>> x, _ = squeeze().forward({}, jnp.arange(4.0).reshape(2, 2, 1))
    >>> x.tolist()
    [[[0.0, 1.0, 2.0, 3.0]]]
    """
    f = positive_int("factor", factor)

    def init(key, x=None):
        del key, x
        return {}

    def image(value, *divisors):
        value = jnp.asarray(value)
        if value.ndim < 3 or any(n % d for n, d in zip(value.shape[-3:], divisors, strict=True)):
            raise ValueError(f"squeezing by {f} does not fit images {list(value.shape)}")
        return value, value.shape[:-3], *value.shape[-3:]

    def forward(params, z):
        z, lead, h, w, c = image(z, f, f, 1)
        x = z.reshape(*lead, h // f, f, w // f, f, c)
        x = jnp.moveaxis(x, (-1, -4, -2), (-3, -2, -1))
        return x.reshape(*lead, h // f, w // f, c * f * f), no_volume(z, 3)

    def inverse(params, x):
        x, lead, h, w, c = image(x, 1, 1, f * f)
        z = x.reshape(*lead, h, w, c // (f * f), f, f)
        z = jnp.moveaxis(z, (-3, -2, -1), (-1, -4, -2))
        return z.reshape(*lead, h * f, w * f, c // (f * f)), no_volume(x, 3)

    return Bijector(init, forward, inverse)


def split(bijector: Bijector, channels: int, *, event_ndims: int = 3) -> Bijector:
    """Only the first ``channels`` of the last axis go through a map, the others pass it by.

    ``x = (T(z_a), z_b)``, with the log-determinant of T. This is how a multi-scale flow factors
    variables out: those of z_b are done, and all latents stay in one array. A coupling behind it
    that changes the second part by the first is what makes z_b's distribution depend on z_a.
    Raises ValueError where there are no more channels than that. Source: Dinh et al. (2017), §3.6.

    >>> from jaxdl.flows import affine
    >>> first = split(affine(1), 1, event_ndims=1)
    >>> params = {"shift": jnp.ones(1), "log_scale": jnp.zeros(1)}
    >>> first.forward(params, jnp.array([1.0, 2.0]))[0].tolist()
    [2.0, 2.0]
    """
    channels = positive_int("channels", channels)

    def halves(value):
        value = jnp.asarray(value)
        if value.ndim < event_ndims or value.shape[-1] <= channels:
            raise ValueError(f"{list(value.shape)} has no more than {channels} channels to split")
        return value[..., :channels], value[..., channels:]

    def init(key, x=None):
        return init_one(bijector, key, None if x is None else halves(x)[0])

    def through(direction):
        def run(params, value):
            a, b = halves(value)
            a, log_det = direction(params, a)
            return jnp.concatenate([a, b], axis=-1), log_det

        return run

    return Bijector(init, through(bijector.forward), through(bijector.inverse))
