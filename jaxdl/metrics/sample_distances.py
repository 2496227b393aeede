"""How far two samples are from each other: distances between the distributions behind them.

Samples are x [N, D] and y [M, D]; N and M may differ. All are computed in float32 at least, from
differences of rows, never from differences of squared norms.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxdl.arrays import inner, norm
from jaxdl.base import Array, Key
from jaxdl.checks import positive_int


class PermutationTest(NamedTuple):
    """statistic: of the two samples. p_value: in (0, 1]; permuted: the statistics [R] under H_0."""

    statistic: Array
    p_value: Array
    permuted: Array


def maximum_mean_discrepancy(x: Array, y: Array, *, bandwidths: Array | None = None) -> Array:
    """The squared MMD of kernels ``k(a, b) = mean_s exp(-|a - b|^2 / (2 s^2))``, unbiased.

    ``mean_{i /= j} k(x_i, x_j) + mean_{i /= j} k(y_i, y_j) - 2 mean_ij k(x_i, y_j)``; it is 0 in
    expectation where both come from one distribution, so it may be below 0. ``bandwidths`` [S] are
    the s; default, the median distance between rows of x and rows of y, times 1/2, 1 and 2.
    Raises ValueError for samples of less than two rows, and of different widths.
    Source: Gretton et al. (2012).

    >>> far = maximum_mean_discrepancy(jnp.zeros((3, 1)), jnp.full((3, 1), 9.0), bandwidths=1.0)
    >>> round(far.item(), 4)
    2.0
    """
    x, y = _samples(x, y, least=2)
    between = distances(x, y)
    if bandwidths is None:
        middle = jnp.median(between)
        bandwidths = jnp.where(middle > 0, middle, 1) * jnp.array([0.5, 1.0, 2.0])
    scale = 1 / jnp.atleast_1d(jnp.asarray(bandwidths, x.dtype))
    kernel = lambda d: jnp.mean(jnp.exp(-0.5 * jnp.square(d[..., None] * scale)), axis=-1)
    return (
        _off_diagonal(kernel(distances(x, x)))
        + _off_diagonal(kernel(distances(y, y)))
        - 2 * jnp.mean(kernel(between))
    )


def energy_distance(x: Array, y: Array) -> Array:
    """``2 mean |x_i - y_j| - mean |x_i - x_j| - mean |y_i - y_j|``, at least 0.

    Means are over all pairs, those of a row with itself included; in one dimension it is the square
    of ``scipy.stats.energy_distance``. Raises ValueError for empty samples and different widths.
    Source: Szekely and Rizzo (2013).

    >>> energy_distance(jnp.zeros((2, 1)), jnp.full((2, 1), 3.0)).item()
    6.0
    """
    x, y = _samples(x, y)
    pooled = jnp.concatenate([x, y])
    first = jnp.arange(len(pooled)) < len(x)
    return _energy(distances(pooled, pooled), first)


def energy_test(key: Key, x: Array, y: Array, *, permutations: int = 200) -> PermutationTest:
    """Whether x and y come from one distribution: the energy distance against those of random splits.

    ``p = (1 + #{permuted >= statistic}) / (1 + R)`` with R = ``permutations``, which is uniform (on
    its grid) under H_0. The key is consumed. Raises ValueError as ``energy_distance``.
    """
    x, y = _samples(x, y)
    permutations = positive_int("permutations", permutations)
    pooled = jnp.concatenate([x, y])
    apart = distances(pooled, pooled)
    first = jnp.arange(len(pooled)) < len(x)
    statistic = _energy(apart, first)
    keys = jax.random.split(key, permutations)
    permuted = jax.vmap(lambda key: _energy(apart, jax.random.permutation(key, first)))(keys)
    at_least = jnp.sum(permuted >= statistic * (1 - 1e-6))  # the same split in another order counts
    return PermutationTest(statistic, (1 + at_least) / (1 + permutations), permuted)


def sliced_wasserstein(
    key: Key, x: Array, y: Array, *, projections: int = 128, order: float = 2.0
) -> Array:
    """``(mean_u W_p(x'u, y'u)^p)^(1/p)`` over random directions u on the sphere.

    W_p of two samples on a line is exact: ``(int_0^1 |Q_x - Q_y|^p dt)^(1/p)`` of their quantile
    functions. p = ``order``; it may be traced. The key is consumed. Raises ValueError as
    ``energy_distance``. Source: Bonneel et al. (2015).

    >>> shifted = sliced_wasserstein(jax.random.key(0), jnp.zeros((2, 1)), jnp.ones((4, 1)))
    >>> round(shifted.item(), 4)
    1.0
    """
    x, y = _samples(x, y)
    u = jax.random.normal(key, (positive_int("projections", projections), x.shape[1]), x.dtype)
    u = u / jnp.linalg.norm(u, axis=1, keepdims=True)
    of_x, of_y, widths = _quantile_cells(len(x), len(y))

    def along(direction):
        a, b = jnp.sort(x @ direction), jnp.sort(y @ direction)
        return jnp.sum(widths * jnp.abs(a[of_x] - b[of_y]) ** order)

    return jnp.mean(lax.map(along, u)) ** (1 / order)


def frechet_distance(x: Array, y: Array) -> Array:
    """``|m_x - m_y|^2 + tr(C_x + C_y - 2 (C_x C_y)^(1/2))`` of the samples' means and covariances.

    The squared 2-Wasserstein distance of two normal distributions; of features of a network that
    was trained on images it is what is called FID. Covariances divide by N - 1. Raises ValueError
    for samples of less than two rows, and of different widths.
    Sources: Dowson and Landau (1982); Heusel et al. (2017).

    >>> frechet_distance(jnp.array([[0.0], [2.0]]), jnp.array([[3.0], [5.0]])).item()
    9.0
    """
    x, y = _samples(x, y, least=2)
    c_x, c_y = (inner(c, c) / (len(c) - 1) for c in (x - jnp.mean(x, 0), y - jnp.mean(y, 0)))
    values, vectors = jnp.linalg.eigh(c_x)
    root = (vectors * jnp.sqrt(jnp.maximum(values, 0))) @ vectors.T
    both = jnp.linalg.eigvalsh(
        root @ c_y @ root
    )  # the eigenvalues of C_x C_y, by a symmetric matrix
    shift = jnp.sum(jnp.square(jnp.mean(x, 0) - jnp.mean(y, 0)))
    return shift + jnp.trace(c_x) + jnp.trace(c_y) - 2 * jnp.sum(jnp.sqrt(jnp.maximum(both, 0)))


def distances(x: Array, y: Array) -> Array:
    """``|x_i - y_j|`` [N, M] of rows x [N, D] and y [M, D].

    One row of x after the other, so that no array is larger than y or the result.

    >>> distances(jnp.array([[0.0, 0.0]]), jnp.array([[3.0, 4.0], [0.0, 1.0]])).tolist()
    [[5.0, 1.0]]
    """
    return lax.map(lambda row: norm(row - y, axis=-1), x)


def _energy(apart, first):
    """The energy distance of the rows in ``first`` [N + M] from the others, by distances [., .]."""
    a = first / jnp.sum(first)
    b = ~first / jnp.sum(~first)
    difference = (a - b).astype(apart.dtype)
    return jnp.maximum(-difference @ (apart @ difference), 0)


def _off_diagonal(square):
    n = len(square)
    return jnp.sum(jnp.where(jnp.eye(n, dtype=bool), 0, square)) / (n * (n - 1))


def _quantile_cells(n, m):
    """Which order statistic of each sample is the quantile in each cell of [0, 1], and its width."""
    ends = np.union1d(np.arange(1, n + 1) * m, np.arange(1, m + 1) * n)  # in units of 1 / (n m)
    starts = np.concatenate([[0], ends[:-1]])
    return starts // m, starts // n, jnp.asarray((ends - starts) / (n * m))


def _samples(x, y, least=1):
    x, y = (jnp.asarray(s) for s in (x, y))
    x, y = (s.astype(jnp.promote_types(s.dtype, jnp.float32)) for s in (x, y))
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1]:
        raise ValueError(f"samples are x [N, D] and y [M, D], not {list(x.shape)}, {list(y.shape)}")
    if min(len(x), len(y)) < least:
        raise ValueError(f"samples need {least} rows or more, not {len(x)} and {len(y)}")
    return x, y
