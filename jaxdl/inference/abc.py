"""Approximate Bayesian computation: parameters whose simulations look like the data. Notes: §9.4."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxdl.arrays import tree_norm
from jaxdl.base import Array, Key
from jaxdl.checks import positive_int


class AbcSamples(NamedTuple):
    """All draws, the closest first.

    parameters: leaves [N, ...]; distances: [N]; accepted: [N] bool, the first ones; threshold: [].
    """

    parameters: Any
    distances: Array
    accepted: Array
    threshold: Array


def abc_rejection(
    key: Key,
    prior: Callable[[Key], Any],
    simulate: Callable[[Key, Any], Any],
    observed: Any,
    *,
    draws: int = 10_000,
    share: float = 0.01,
    threshold: float | Array | None = None,
    distance: Callable[[Any, Any], Array] | None = None,
    at_once: int = 1024,
) -> AbcSamples:
    """Draws theta_n from the prior, simulates x_n ~ p(x | theta_n), and keeps ``d(x_n, x) <= epsilon``.

    As epsilon falls, what is kept becomes the posterior p(theta | s(x)) of whatever ``simulate`` and
    ``observed`` hold, data or their summaries s. ``result.parameters[result.accepted]`` are its
    samples. Sources: Rubin (1984); Pritchard et al. (1999). Notes: §9.4 (E-62).

    Args:
      key: it is consumed; each draw has a key of its own.
      prior: ``(key) -> theta``, a pytree.
      simulate: ``(key, theta) -> x``, traced once and run for ``at_once`` draws side by side.
      observed: x, of the same shapes.
      draws: N.
      share: which share of the draws to keep, those nearest; epsilon is the largest distance kept.
      threshold: epsilon, instead of a share; it may be traced, and may keep none.
      distance: ``(x_n, x) -> []``; default, Euclidean over all numbers. A distance that is no number
        is never accepted.

    Raises ValueError for numbers under 1 and a share outside of (0, 1].

    >>> prior = lambda key: jax.random.uniform(key)
    >>> found = abc_rejection(jax.random.key(0), prior, lambda key, p: p, 0.5, draws=100, share=0.1)
    >>> bool((abs(found.parameters[found.accepted] - 0.5) < 0.2).all()), int(found.accepted.sum())
    (True, 10)
    """
    draws, at_once = positive_int("draws", draws), positive_int("at_once", at_once)
    if threshold is None and not 0 < share <= 1:
        raise ValueError(f"share lies in (0, 1], not {share}")
    distance = _euclidean if distance is None else distance

    def one(key):
        prior_key, data_key = jax.random.split(key)
        theta = prior(prior_key)
        apart = jnp.asarray(distance(simulate(data_key, theta), observed))
        if apart.shape:
            raise ValueError(f"a distance is one number, not {list(apart.shape)}")
        return theta, jnp.where(jnp.isnan(apart), jnp.inf, apart)

    keys = jax.random.split(key, draws)
    parameters, distances = lax.map(one, keys, batch_size=min(at_once, draws))
    order = jnp.argsort(distances)
    parameters, distances = jax.tree.map(lambda leaf: leaf[order], (parameters, distances))
    if threshold is None:
        kept = max(1, round(share * draws))
        accepted = (jnp.arange(draws) < kept) & (distances < jnp.inf)
        limit = distances[kept - 1]
    else:
        limit = jnp.asarray(threshold)
        accepted = (distances <= limit) & (distances < jnp.inf)
    return AbcSamples(parameters, distances, accepted, limit)


def _euclidean(a, b):
    return tree_norm(jax.tree.map(jnp.subtract, a, b))
