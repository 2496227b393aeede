"""Distances of samples against scipy, scikit-learn and closed forms."""

import jax
import numpy as np
import pytest
import scipy.linalg
import scipy.spatial
import scipy.stats
from sklearn.neighbors import NearestNeighbors

from jaxdl import metrics

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(30, 3)), RNG.normal(size=(20, 3)) * 1.5 + 0.5


def test_maximum_mean_discrepancy_by_hand(x64):
    total = 0.0
    for s in (0.7, 2.0):
        k = lambda a, b, s=s: np.exp(
            -scipy.spatial.distance.cdist(a, b, "sqeuclidean") / (2 * s * s)
        )
        own = [(k(a, a).sum() - len(a)) / (len(a) * (len(a) - 1)) for a in (X, Y)]
        total += (sum(own) - 2 * k(X, Y).mean()) / 2
    ours = metrics.maximum_mean_discrepancy(X, Y, bandwidths=np.array([0.7, 2.0]))
    assert float(ours) == pytest.approx(total, rel=1e-10)
    middle = np.median(scipy.spatial.distance.cdist(X, Y)) * np.array([0.5, 1, 2])
    assert float(metrics.maximum_mean_discrepancy(X, Y)) == pytest.approx(
        float(metrics.maximum_mean_discrepancy(X, Y, bandwidths=middle)), rel=1e-10
    )


@pytest.mark.parametrize("unit", [1e-25, 1e25])
def test_energy_distance_in_any_unit_in_float32(unit):
    apart = scipy.spatial.distance.cdist
    exact = 2 * apart(X, Y).mean() - apart(X, X).mean() - apart(Y, Y).mean()
    found = float(metrics.energy_distance(np.float32(X * unit), np.float32(Y * unit)))
    assert found / unit == pytest.approx(exact, rel=1e-4)


def test_maximum_mean_discrepancy_is_unbiased():
    """Of one distribution its mean is 0: with the diagonals it would be about 2 / N = 0.2."""
    draws = jax.random.normal(jax.random.key(0), (400, 2, 10, 2))
    values = jax.vmap(lambda d: metrics.maximum_mean_discrepancy(d[0], d[1], bandwidths=1.0))(draws)
    assert abs(values.mean()) < 4 * values.std() / np.sqrt(400) and values.std() < 0.2


def test_the_diagonals_of_a_kernel_do_not_count():
    """x = y = {0, 1}: e^-1/2 - 1, with the diagonals 0 (shogun #5133)."""
    two = np.array([[0.0], [1.0]])
    found = metrics.maximum_mean_discrepancy(two, two, bandwidths=1.0)
    np.testing.assert_allclose(found, np.exp(-0.5) - 1, rtol=1e-6)


@pytest.mark.parametrize("sizes", [(30, 30), (30, 20)])
def test_one_dimension_is_scipys(x64, sizes):
    x, y = X[: sizes[0], :1], Y[: sizes[1], :1]
    energy = scipy.stats.energy_distance(x[:, 0], y[:, 0])
    assert float(metrics.energy_distance(x, y)) == pytest.approx(energy**2, rel=1e-10)
    wasserstein = scipy.stats.wasserstein_distance(x[:, 0], y[:, 0])
    ours = metrics.sliced_wasserstein(jax.random.key(0), x, y, projections=2, order=1.0)
    assert float(ours) == pytest.approx(wasserstein, rel=1e-10)


def test_energy_distance_of_rows(x64):
    mean = lambda a, b: scipy.spatial.distance.cdist(a, b).mean()
    expected = 2 * mean(X, Y) - mean(X, X) - mean(Y, Y)
    assert float(metrics.energy_distance(X, Y)) == pytest.approx(expected, rel=1e-10)


def test_float32_far_from_the_origin():
    """Squared norms of 1e6 would drown distances of 1."""
    near = float(metrics.energy_distance(X.astype(np.float32), Y.astype(np.float32)))
    shift = 1000.0
    far = metrics.energy_distance((X + shift).astype(np.float32), (Y + shift).astype(np.float32))
    assert float(far) == pytest.approx(near, rel=2e-3)


def test_p_values_are_uniform_where_nothing_differs_and_small_where_something_does():
    draws = jax.random.normal(jax.random.key(0), (200, 2, 12, 2))
    keys = jax.random.split(jax.random.key(1), 200)
    test = lambda key, d: metrics.energy_test(key, d[0], d[1], permutations=49).p_value
    p = np.asarray(jax.jit(jax.vmap(test))(keys, draws))
    assert p.min() >= 1 / 50 and scipy.stats.kstest(p, "uniform").statistic < 0.12
    result = metrics.energy_test(jax.random.key(2), X, Y, permutations=99)
    assert float(result.p_value) <= 0.05 and result.permuted.shape == (99,)
    assert float(result.statistic) == pytest.approx(float(metrics.energy_distance(X, Y)), rel=1e-5)
    same = metrics.energy_test(jax.random.key(3), X, X, permutations=9)
    assert float(same.p_value) == 1


def test_a_p_value_is_never_zero():
    """Of 99 permutations none is as far as two samples far apart: 1 / 100 (frouros #251)."""
    result = metrics.energy_test(jax.random.key(4), X, X[:20] + 50, permutations=99)
    assert float(result.p_value) == pytest.approx(0.01)
    assert float(result.permuted.max()) < float(result.statistic)


@pytest.mark.parametrize("order", [1.0, 2.0, 3.0])
def test_the_root_is_of_the_order_of_the_costs(order):
    """Points 0 and 3: 3 for all orders, not 9 / 2 for 2; it scales as the points do (ott #651)."""
    run = lambda scale: metrics.sliced_wasserstein(
        jax.random.key(0), np.zeros((1, 1)), scale * np.full((1, 1), 3.0), projections=1,
        order=order,
    )  # fmt: skip
    np.testing.assert_allclose([run(1.0), run(7.0)], [3, 21], rtol=1e-5)


def test_sliced_wasserstein_of_a_shift():
    """Of x and x + s, W_2 along u is |s'u|, whose mean square is |s|^2 / D."""
    shift = np.array([3.0, 0, 0])
    ours = metrics.sliced_wasserstein(jax.random.key(0), X, X + shift, projections=4000)
    assert float(ours) == pytest.approx(np.sqrt(9 / 3), rel=0.03)


def test_frechet_distance_is_by_the_matrix_root(x64):
    c, d = np.cov(X.T), np.cov(Y.T)
    root = scipy.linalg.sqrtm(c @ d).real
    expected = np.sum((X.mean(0) - Y.mean(0)) ** 2) + np.trace(c + d - 2 * root)
    assert float(metrics.frechet_distance(X, Y)) == pytest.approx(expected, rel=1e-10)
    flat = np.concatenate([X, np.zeros((30, 1))], axis=1)  # a feature that never moves
    assert float(metrics.frechet_distance(flat, flat)) == pytest.approx(0, abs=1e-10)


def test_coverage_is_by_neighbours(x64):
    k = 3
    radius = lambda a: NearestNeighbors(n_neighbors=k + 1).fit(a).kneighbors(a)[0][:, k]
    apart = scipy.spatial.distance.cdist(X, Y)
    in_x, in_y = apart <= radius(X)[:, None], apart <= radius(Y)[None]
    expected = [in_x.any(0).mean(), in_y.any(1).mean(), in_x.sum(0).mean() / k, in_x.any(1).mean()]
    np.testing.assert_allclose(metrics.sample_coverage(X, Y, k=k), expected, rtol=1e-6)
    # One mode of two: all samples are good, half of the data is covered.
    two = np.concatenate([X, X + 100])
    one = metrics.sample_coverage(two, X + 1e-6, k=k)
    assert (one.precision, one.recall, one.coverage) == (1.0, 0.5, 0.5)


def test_points_that_coincide_are_covered():
    """Radii of zero, k = 1 (generative-evaluation-prdc #7); a set covers itself."""
    same = np.ones((4, 2))
    assert [float(v) for v in metrics.sample_coverage(same, same, k=1)] == [1, 1, 4, 1]
    itself = metrics.sample_coverage(X, X, k=3)
    assert itself.precision == itself.recall == itself.coverage == 1


def test_nearest_neighbours_are_scikit_learns():
    distance, index = NearestNeighbors(n_neighbors=1).fit(X).kneighbors(Y)
    ours = metrics.nearest_neighbours(X, Y)
    np.testing.assert_array_equal(ours[0], index[:, 0])
    np.testing.assert_allclose(ours[1], distance[:, 0], rtol=1e-5)
    assert metrics.nearest_neighbours(X, X[4:5])[1].tolist() == [0.0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.energy_distance(X, Y[:, :2]), r"x \[N, D\] and y \[M, D\], not"),
        (lambda: metrics.energy_distance(X[:, 0], Y[:, 0]), r"not \[30\], \[20\]"),
        (lambda: metrics.frechet_distance(X[:1], Y), "2 rows or more, not 1 and 20"),
        (lambda: metrics.sample_coverage(X, Y, k=20), "k = 20 needs more rows than 30 and 20"),
        (lambda: metrics.sample_coverage(X, Y[:, :1]), r"not \[30, 3\] and \[20, 1\]"),
    ],
)
def test_samples_that_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
