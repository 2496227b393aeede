"""Expectations and divergences by Monte Carlo, with standard errors. Notes: §1.3."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.arrays import norm
from jaxdl.base import Array, Key
from jaxdl.checks import positive_int
from jaxdl.divergences.general import in_base


class MonteCarlo(NamedTuple):
    """A Monte Carlo estimate.

    mean: ``1/S sum_s phi(x_s)``, of phi's shape.
    standard_error: its estimated standard deviation, of the same shape; inf for S = 1.
    """

    mean: Array
    standard_error: Array


def monte_carlo_expectation(
    key: Key, sampler: Callable, phi: Callable, num_samples: int
) -> MonteCarlo:
    """``E[phi(x)] ~ 1/S sum_s phi(x_s)`` with x_s drawn by ``sampler``. Notes: L180, §1.3.

    Args:
      key: consumed.
      sampler: ``(key, S) -> x [S, ...]``, an array or a pytree of arrays.
      phi: ``(x) -> [...]``, of one x.
      num_samples: S, at least 1 (ValueError).

    >>> normals = lambda key, n: jax.random.normal(key, (n,))
    >>> second_moment = monte_carlo_expectation(jax.random.key(0), normals, jnp.square, 1000)
    >>> bool(abs(second_moment.mean - 1) < 4 * second_moment.standard_error)
    True
    """
    positive_int("num_samples", num_samples)
    values = jax.vmap(phi)(sampler(key, num_samples))
    mean = jnp.mean(values, axis=0)
    if num_samples == 1:
        return MonteCarlo(mean, jnp.full_like(mean, jnp.inf))
    deviation = norm(values - mean, axis=0) / math.sqrt(num_samples - 1)
    return MonteCarlo(mean, deviation / math.sqrt(num_samples))


def monte_carlo_kl(
    key: Key,
    sampler: Callable,
    log_p: Callable,
    log_q: Callable,
    num_samples: int,
    base: float | None = None,
) -> MonteCarlo:
    """``KLD[p || q] ~ 1/S sum_s log p(x_s)/q(x_s)`` over draws x_s from p. Notes: §1.3.

    log_p, log_q: log-densities of one x; other arguments as `monte_carlo_expectation`.
    """
    log_ratio = lambda x: in_base(log_p(x) - log_q(x), base)
    return monte_carlo_expectation(key, sampler, log_ratio, num_samples)


def log_mean_exp(log_weights: Array, axis: int = 0) -> MonteCarlo:
    """``log 1/S sum_s w_s`` of log-weights, without leaving log space; its bound on log E[w].

    By Jensen's inequality its expectation is at most ``log E[w]``, and rises to it with S. The
    standard error is that of the mean weight over the mean weight (the delta method); it is inf
    for S = 1, and means little where a few weights have most of the sum.

    Args:
      log_weights: [..., S, ...], -inf for weights of 0.
      axis: the one of S.

    >>> log_mean_exp(jnp.log(jnp.array([1.0, 3.0]))).mean.round(4) == 0.6931
    Array(True, dtype=bool)
    """
    log_weights = jnp.asarray(log_weights)
    count = log_weights.shape[axis]
    mean = jax.nn.logsumexp(log_weights, axis=axis) - math.log(count)
    if count == 1:
        return MonteCarlo(mean, jnp.full_like(mean, jnp.inf))
    # The weights over their mean: at most S each, so nothing overflows.
    finite = jnp.where(jnp.isfinite(mean), mean, 0)
    relative = jnp.exp(log_weights - jnp.expand_dims(finite, axis))
    return MonteCarlo(mean, jnp.std(relative, axis=axis, ddof=1) / math.sqrt(count))
