"""Confidence intervals for scores on a test set."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.scipy.special import ndtri

from jaxdl.base import Array, Key


def wilson(successes: int | Array, n: int | Array, level: float = 0.95) -> tuple[Array, Array]:
    """Wilson's interval (low, high) for a proportion, an accuracy say: ``successes`` of ``n``.

    ``(p + z^2/2n -+ z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n)`` with ``p = successes / n`` and z
    the standard normal's quantile at (1 + level) / 2. Counts [...] broadcast. Unlike
    ``p -+ z sqrt(p(1-p)/n)`` it is good near 0 and 1 and stays inside. Source: Wilson (1927).

    >>> [round(float(v), 3) for v in wilson(8, 10)]
    [0.49, 0.943]
    """
    successes, n = jnp.asarray(successes), jnp.asarray(n)
    p = successes / n
    z2 = jnp.square(ndtri((1 + jnp.asarray(level, p.dtype)) / 2)) / n
    half = jnp.sqrt(z2 * (p * (1 - p) + z2 / 4))
    clip = lambda v: jnp.clip(v / (1 + z2), 0, 1)
    return clip(p + z2 / 2 - half), clip(p + z2 / 2 + half)


def bootstrap(
    key: Key,
    values: Array,
    statistic: Callable[[Array], Array] = jnp.mean,
    *,
    level: float = 0.95,
    num_resamples: int = 2000,
) -> tuple[Array, Array]:
    """The percentile bootstrap's interval (low, high) for a statistic of independent values.

    Args:
      key: typed, consumed.
      values: [N, ...], one row an example; rows are drawn with replacement.
      statistic: ``[N, ...] -> []``, as ``lambda e: jnp.sqrt(jnp.mean(e))`` of squared errors.
      level: of confidence.
      num_resamples: how often.

    Raises a ValueError without values. Source: Efron (1979).
    """
    values = jnp.asarray(values)
    if values.ndim == 0 or values.shape[0] == 0:
        raise ValueError(f"values must be [N, ...] with N at least 1, not {values.shape}")
    n = values.shape[0]

    def once(key):
        return statistic(values[jax.random.randint(key, (n,), 0, n)])

    keys = jax.random.split(key, num_resamples)
    drawn = jax.lax.map(once, keys, batch_size=min(num_resamples, max(1, 2**20 // n)))
    tail = (1 - jnp.asarray(level)) / 2
    low, high = jnp.quantile(drawn, jnp.stack([tail, 1 - tail]))
    return low, high
