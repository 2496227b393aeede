"""Increasing maps of single values, whose parameters a network gives: what couplings apply."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp

from jaxdl.base import Array


class ScalarMap(NamedTuple):
    """An increasing map tau of each value by itself, with P parameters theta for each.

    ``theta = 0`` is the identity wherever a builder says so.

    num_parameters: P.
    forward: ``(theta [..., P], z [...]) -> (x [...], log dx/dz [...])``.
    inverse: ``(theta [..., P], x [...]) -> (z [...], log dz/dx [...])``.
    """

    num_parameters: int
    forward: Callable
    inverse: Callable


def affine_map(max_log_scale: float | Array = 3.0) -> ScalarMap:
    """Shift and scale: ``x = exp(s) z + t`` with ``s = m tanh(theta_1 / m)``, ``t = theta_0``.

    The bound m is ``max_log_scale``, which may be traced: no network can make the scale overflow.
    ``theta = 0`` is the identity. Source: Dinh et al. (2017), RealNVP.

    >>> x, log_slope = affine_map().forward(jnp.array([0.5, 0.0]), jnp.array(2.0))
    >>> x.item(), log_slope.item()
    (2.5, 0.0)
    """

    def parts(theta):
        return theta[..., 0], max_log_scale * jnp.tanh(theta[..., 1] / max_log_scale)

    def forward(theta, z):
        t, s = parts(theta)
        return jnp.exp(s) * z + t, s

    def inverse(theta, x):
        t, s = parts(theta)
        return jnp.exp(-s) * (x - t), -s

    return ScalarMap(2, forward, inverse)


def additive_map() -> ScalarMap:
    """Shift alone: ``x = z + theta_0``; the volume stays. Source: Dinh et al. (2015), NICE.

    >>> additive_map().inverse(jnp.array([0.5]), jnp.array(2.0))[0].item()
    1.5
    """

    def forward(theta, z):
        return z + theta[..., 0], jnp.zeros_like(z)

    def inverse(theta, x):
        return x - theta[..., 0], jnp.zeros_like(x)

    return ScalarMap(1, forward, inverse)


def inverse_softplus(y: float) -> float:
    """The x with ``log(1 + exp(x)) = y``, for a positive number.

    >>> round(inverse_softplus(math.log(2)), 6)
    0.0
    """
    return y + math.log(-math.expm1(-y))
