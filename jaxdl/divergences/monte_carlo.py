"""Expectations and divergences by Monte Carlo, with standard errors. Notes: §1.3."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

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
    return MonteCarlo(mean, jnp.std(values, axis=0, ddof=1) / math.sqrt(num_samples))


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
