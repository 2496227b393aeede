"""Invertible maps made of invertible maps: one after the other, many alike, the other way round."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxdl.arrays import floating
from jaxdl.base import Bijector
from jaxdl.checks import positive_int


def chain(*bijectors: Bijector) -> Bijector:
    """One after the other, read from left to right as z becomes x: ``x = (T_K o ... o T_1)(z)``.

    ``log |det dx/dz| = sum_k log |det dT_k|``, each at its own input. The inverse goes from right to
    left. Params are a list, one entry for each of T_1, ..., T_K.

    With data x, ``init`` starts the last first, sends the data through its inverse, and goes on:
    each map sees what it will get. Raises ValueError for no bijector at all. Notes: §9.4.

    >>> from jaxdl.flows import affine, reverse
    >>> both = chain(affine(2), reverse(2))
    >>> x, log_det = both.forward(both.init(jax.random.key(0)), jnp.array([1.0, 2.0]))
    >>> x.tolist(), log_det.item()
    ([2.0, 1.0], 0.0)
    """
    if not bijectors:
        raise ValueError("a chain needs at least one bijector")

    def init(key, x=None):
        params = []
        for k in reversed(range(len(bijectors))):
            own = jax.random.fold_in(key, k)
            params.append(init_one(bijectors[k], own, x))
            if x is not None and k > 0:
                x, _ = bijectors[k].inverse(params[-1], x)
        return params[::-1]

    def forward(params, z):
        log_det = jnp.asarray(0.0)
        for bijector, p in zip(bijectors, params, strict=True):
            z, more = bijector.forward(p, z)
            log_det += more
        return z, log_det

    def inverse(params, x):
        log_det = jnp.asarray(0.0)
        for bijector, p in zip(reversed(bijectors), reversed(params), strict=True):
            x, more = bijector.inverse(p, x)
            log_det += more
        return x, log_det

    return Bijector(init, forward, inverse)


def repeat(bijector: Bijector, times: int) -> Bijector:
    """The same kind of map ``times`` times, each with parameters of its own, in one loop.

    It equals ``chain`` of as many copies, but is compiled once for all of them. Params are those of
    one map with a leading axis [times]; events keep their shape.

    >>> from jaxdl.flows import affine
    >>> twice = repeat(affine(3), 2)
    >>> twice.init(jax.random.key(0))["shift"].shape
    (2, 3)
    """
    times = positive_int("times", times)

    def init(key, x=None):
        keys = jax.vmap(lambda k: jax.random.fold_in(key, k))(jnp.arange(times))
        if x is None:
            return jax.vmap(bijector.init)(keys)

        def one(x, key):
            params = bijector.init(key, x)
            return bijector.inverse(params, x)[0], params

        # Parameters are of the default dtype, and so is what comes out of a layer.
        x = floating(x)
        x = x.astype(jnp.promote_types(x.dtype, jnp.result_type(float)))
        return jax.lax.scan(one, x, keys, reverse=True)[1]

    def through(direction, reverse):
        def run(params, value):
            def one(value, p):
                return direction(p, value)

            value, log_dets = jax.lax.scan(one, floating(value), params, reverse=reverse)
            return value, jnp.sum(log_dets, axis=0)

        return run

    return Bijector(init, through(bijector.forward, False), through(bijector.inverse, True))


def invert(bijector: Bijector) -> Bijector:
    """The inverse map: forward and inverse change places, and so do their costs.

    With data x, ``init`` hands on nothing: they are on the other side of the map, which cannot be
    reached without its parameters.

    >>> from jaxdl.flows import affine
    >>> halve = invert(affine(1))
    >>> params = {"shift": jnp.zeros(1), "log_scale": jnp.log(jnp.full(1, 2.0))}
    >>> halve.forward(params, jnp.array([3.0]))[0].tolist()
    [1.5]
    """

    def init(key, x=None):
        del x
        return bijector.init(key)

    return Bijector(init, bijector.inverse, bijector.forward)


def init_one(bijector: Any, key, x):
    """``init`` of a Bijector or a Density, with the data if there are any."""
    return bijector.init(key) if x is None else bijector.init(key, x)
