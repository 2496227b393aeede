"""Densities that can be evaluated and sampled: the normal, and what a flow makes of another."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.base import Array, Bijector, Family, Model, stateless
from jaxdl.checks import typed_key
from jaxdl.flows.composition import init_one
from jaxdl.flows.events import check_event, event_shape, over_event


class Density(NamedTuple):
    """A distribution over events x with a density, and parameters to learn.

    init: ``(key) -> params``; with data, ``(key, x [N, ...])``.
    log_prob: ``(params, x [..., *event]) -> [...]``, in nats.
    sample: ``(key, params, num) -> x [num, *event]``; the key is consumed.
    """

    init: Callable
    log_prob: Callable
    sample: Callable


def standard_normal(shape: int | tuple[int, ...]) -> Density:
    """N(0, I) over events of a shape; D is short for (D,). It has no parameters.

    ``log p(z) = -1/2 sum (z^2 + log 2 pi)``. Raises ValueError for events of another shape.

    >>> round(standard_normal(2).log_prob({}, jnp.zeros(2)).item(), 4)
    -1.8379
    """
    shape = event_shape(shape)

    def init(key, x=None):
        del key, x
        return {}

    def log_prob(params, z):
        z = check_event(z, shape)
        return -0.5 * over_event(jnp.square(z) + math.log(2 * math.pi), len(shape))

    def sample(key, params, num):
        return jax.random.normal(typed_key(key), (num, *shape))

    return Density(init, log_prob, sample)


def base_density(family: Family, eta: Array) -> Density:
    """Independent numbers of any family: ``p(z) = prod_i p(z_i; eta_i)``. It has no parameters.

    ``eta`` is of the event's shape, for a family of single values with one parameter each. A base
    with heavy tails, ``student_t(4.0)`` say, is for data whose test part may hold what the training
    part does not: a normal base pays ``z^2 / 2`` nats for a number z deviations off, this one
    ``5 log z``. Raises ValueError for events of another shape. Source: Alexanderson and Henter (2020).

    >>> from jaxdl import families
    >>> heavy = base_density(families.student_t(4.0), jnp.zeros(2))
    >>> round(heavy.log_prob({}, jnp.zeros((3, 2)))[0].item(), 4)  # 2 log(3 / 8)
    -1.9617
    """
    eta = jnp.asarray(eta)

    def init(key, x=None):
        del key, x
        return {}

    def log_prob(params, z):
        z = check_event(z, eta.shape)
        own = jnp.broadcast_to(eta.astype(z.dtype), z.shape)
        return over_event(family.log_prob(own, z), eta.ndim)

    def sample(key, params, num):
        return family.sample(typed_key(key), jnp.broadcast_to(eta, (num, *eta.shape)))

    return Density(init, log_prob, sample)


def flow(bijector: Bijector, base: Density) -> Density:
    """The density of ``x = T(z)``, z from the base: what a normalizing flow is. Notes: §9.4 (D-87).

    ``log p(x) = log p_z(T^-1(x)) + log |det dT^-1/dx|``: the absolute value of a determinant, not
    a matrix of absolute values. ``log_prob`` runs the bijector's inverse, ``sample`` its forward
    direction; which of them is quick depends on the bijector, see ``maf`` and ``iaf`` (D-88).

    Args:
      bijector: T, an invertible map.
      base: the density of z, as ``standard_normal(D)``; or of another flow, whose parameters then
        are learned too.

    Params are ``{"bijector": ..., "base": ...}``.

    >>> from jaxdl.flows import affine
    >>> double = flow(affine(1), standard_normal(1))
    >>> params = double.init(jax.random.key(0))
    >>> params["bijector"]["log_scale"] = jnp.log(jnp.full(1, 2.0))
    >>> round(double.log_prob(params, jnp.zeros(1)).item(), 4)  # log N(0; 0, 4)
    -1.6121
    >>> double.sample(jax.random.key(1), params, 5).shape
    (5, 1)
    """

    def init(key, x=None):
        keys = jax.random.split(key)
        params = init_one(bijector, keys[0], x)
        z = None if x is None else bijector.inverse(params, x)[0]
        return {"bijector": params, "base": init_one(base, keys[1], z)}

    def log_prob(params, x):
        z, log_det = bijector.inverse(params["bijector"], x)
        return base.log_prob(params["base"], z) + log_det

    def sample(key, params, num):
        z = base.sample(key, params["base"], num)
        return bijector.forward(params["bijector"], z)[0]

    return Density(init, log_prob, sample)


def density_model(density: Density, data: Array | None = None) -> Model:
    """A density as a Model, for a learner: ``eta = log p(x)`` [N] of x [N, ...].

    ``data`` [N, ...], if given, are what the parameters start from (``actnorm``); take them from a
    training part.

    >>> model = density_model(standard_normal(2))
    >>> params, state = model.init(jax.random.key(0))
    >>> model.apply(params, state, jnp.zeros((3, 2)))[0].shape
    (3,)
    """

    def init(key):
        return init_one(density, key, data)

    def apply(params, x, *, key, train):
        del key, train
        return density.log_prob(params, x)

    return stateless(init, apply)
