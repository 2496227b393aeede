"""Whether generated samples are as good, and as varied, as the data: by nearest neighbours."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax

from jaxdl.base import Array
from jaxdl.checks import positive_int
from jaxdl.metrics.sample_distances import distances


class Coverage(NamedTuple):
    """precision, recall, density and coverage, each []; see ``sample_coverage``."""

    precision: Array
    recall: Array
    density: Array
    coverage: Array


def sample_coverage(data: Array, samples: Array, *, k: int = 5) -> Coverage:
    """How much of either set lies near the other, by balls that reach to the k-th neighbour.

    Each point has a ball whose radius is the distance to its k-th nearest neighbour in its own set.

    - ``precision``: the share of samples in the ball of some row of data (quality);
    - ``recall``: the share of data in the ball of some sample (variety);
    - ``density``: how many balls of data a sample lies in, on average, over k; may be above 1;
    - ``coverage``: the share of balls of data that hold a sample.

    ``data`` [N, D] and ``samples`` [M, D] have more than k rows each, else a ValueError is raised.
    Sources: Kynkaanniemi et al. (2019); Naeem et al. (2020).

    >>> x = jnp.arange(4.0)[:, None]
    >>> [float(share) for share in sample_coverage(x, x + 100, k=1)]
    [0.0, 0.0, 0.0, 0.0]
    """
    k = positive_int("k", k)
    data, samples = jnp.asarray(data), jnp.asarray(samples)
    if data.ndim != 2 or samples.ndim != 2 or data.shape[1] != samples.shape[1]:
        shapes = f"{list(data.shape)} and {list(samples.shape)}"
        raise ValueError(f"data [N, D] and samples [M, D] are needed, not {shapes}")
    if min(len(data), len(samples)) <= k:
        raise ValueError(f"k = {k} needs more rows than {len(data)} and {len(samples)}")
    between = distances(data, samples)
    of_data = between <= _radii(data, k)[:, None]
    of_samples = between <= _radii(samples, k)[None, :]
    return Coverage(
        precision=jnp.mean(jnp.any(of_data, axis=0)),
        recall=jnp.mean(jnp.any(of_samples, axis=1)),
        density=jnp.mean(jnp.sum(of_data, axis=0)) / k,
        coverage=jnp.mean(jnp.any(of_data, axis=1)),
    )


def nearest_neighbours(data: Array, samples: Array) -> tuple[Array, Array]:
    """For each of the samples [M, D], its nearest row of data [N, D]: ``(index [M], distance [M])``.

    A sample at the distance 0 was memorised.

    >>> index, distance = nearest_neighbours(jnp.array([[0.0], [5.0]]), jnp.array([[4.0]]))
    >>> index.tolist(), distance.tolist()
    ([1], [1.0])
    """
    apart = distances(jnp.asarray(samples), jnp.asarray(data))
    index = jnp.argmin(apart, axis=1)
    return index, jnp.take_along_axis(apart, index[:, None], axis=1)[:, 0]


def _radii(x, k):
    """The distance of each row to its k-th neighbour, itself not counted."""
    return -lax.top_k(-distances(x, x), k + 1)[0][:, k]
