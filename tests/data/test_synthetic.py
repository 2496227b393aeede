import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats
from sklearn.linear_model import LogisticRegression

from jaxdl.data import synthetic

CLASSES = {
    "logistic": lambda key, n: synthetic.logistic(key, n=n),
    "two_parameters": lambda key, n: synthetic.logistic(
        key, weight=jnp.array([1.0, -2.0]), n=n, scale=1.0
    ),
    "three_classes": lambda key, n: synthetic.three_classes(key, n=n),
    "quintic_bands": lambda key, n: synthetic.quintic_bands(key, n=n),
    "xor": lambda key, n: synthetic.xor(key, n=n, noise=0.8),
    "two_moons": lambda key, n: synthetic.two_moons(key, n=n, noise=0.3),
    "rings": lambda key, n: synthetic.rings(key, n=n, noise=0.3),
    "eight_gaussians": lambda key, n: synthetic.eight_gaussians(key, n=n, noise=0.4),
}
REALS = {
    "seventh_degree": lambda key, n: synthetic.seventh_degree(key, n=n),
    "cubic": lambda key, n: synthetic.cubic(key, n=n),
    "sine": lambda key, n: synthetic.sine(key, n=n),
    "polynomial": lambda key, n: synthetic.polynomial(key, (1.0, 2.0), n=n),
    "heteroskedastic": lambda key, n: synthetic.heteroskedastic(key, n=n),
    "counts": lambda key, n: synthetic.counts(key, n=n),
}
ALL = {**CLASSES, **REALS, "separable": lambda key, n: synthetic.separable(key, n=n)}


@pytest.mark.parametrize("name", ALL)
def test_is_a_pure_function_of_the_key(name):
    draw = jax.vmap(lambda key: ALL[name](key, 12))
    many = jax.jit(draw)(jax.random.split(jax.random.key(1), 2))
    one = ALL[name](jax.random.split(jax.random.key(1), 2)[1], 12)
    assert one.x.shape[0] == 12 and one.y.shape == (12,)
    for whole, alone in zip(many, one, strict=True):
        np.testing.assert_allclose(whole[1], alone, rtol=1e-4, atol=1e-5)
    assert not np.array_equal(many.x[0], many.x[1]) or not np.array_equal(many.y[0], many.y[1])


@pytest.mark.parametrize("name", CLASSES)
def test_class_probabilities_are_calibrated(name, key):
    """Bayes' rule held against frequencies: in bins of p(y | x), y occurs as often as p says."""
    sample = CLASSES[name](key, 20_000)
    mean, y = np.asarray(sample.mean, np.float64), np.asarray(sample.y)
    if mean.ndim == 1:
        mean = np.stack([1 - mean, mean], 1)
    np.testing.assert_allclose(mean.sum(1), 1, atol=1e-5)
    assert set(y.tolist()) == set(range(mean.shape[1]))
    for label in range(mean.shape[1]):
        p, hit = mean[:, label], y == label
        bins = np.digitize(p, [0.1, 0.3, 0.5, 0.7, 0.9])
        for b in range(6):
            rows = bins == b
            error = math.sqrt(np.sum(p[rows] * (1 - p[rows])) + 1e-3)
            assert abs(np.sum(hit[rows] - p[rows])) < 4.5 * error + 1


@pytest.mark.parametrize("name", [n for n in REALS if n not in ("heteroskedastic", "counts")])
def test_noise_is_white_around_the_mean(name, key):
    sample = REALS[name](key, 4000)
    noise = np.asarray(sample.y - sample.mean)
    scale = 0.02 if name == "seventh_degree" else 0.1
    assert stats.kstest(noise / scale, "norm").pvalue > 1e-3
    assert abs(np.corrcoef(noise, sample.mean)[0, 1]) < 0.06


def test_polynomials_are_chebyshevs(key):
    x = np.linspace(-1, 1, 100)
    t7 = np.cos(7 * np.arccos(x))
    sample = synthetic.seventh_degree(key)
    np.testing.assert_allclose(sample.mean, x / 2 - x**2 / 2 + t7 / 5, atol=2e-6)
    np.testing.assert_allclose(synthetic.quintic(x), np.cos(5 * np.arccos(x)), atol=1e-12)
    cubic = synthetic.cubic(jax.random.key(1), n=100)
    np.testing.assert_allclose(cubic.mean, np.cos(3 * np.arccos(x)), atol=2e-6)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_figure_3_error_drops_at_degree_seven(seed):
    x, y, _ = synthetic.seventh_degree(jax.random.key(seed))
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    fits = [np.polynomial.Polynomial.fit(x, y, degree) for degree in range(1, 16)]
    rmse = [math.sqrt(np.mean((fit(x) - y) ** 2)) for fit in fits]
    assert np.all(np.diff(rmse) <= 1e-12)
    assert rmse[5] > 0.1 and rmse[6] < 0.025  # degrees 6 and 7


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_figure_12_penalty_jumps_at_three_and_skyrockets_after_seven(seed):
    x, y, _ = synthetic.cubic(jax.random.key(seed))
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    penalty, fit = {}, {}
    for degree in range(1, 12, 2):
        basis = np.vander(x, degree + 1, increasing=True)
        w = np.linalg.lstsq(basis, y, rcond=None)[0]
        penalty[degree], fit[degree] = np.sum(w[1:] ** 2), np.mean((basis @ w - y) ** 2)
    assert fit[3] < 0.05 * fit[1] and penalty[3] > 20 * penalty[1]
    assert penalty[7] < 4 * penalty[3] and penalty[11] > 20 * penalty[3]


@pytest.mark.equation(14)
@pytest.mark.parametrize("seed", [0, 1])
def test_figure_1_steps_fall_short_arrive_and_overshoot(seed):
    x, y, _ = (np.asarray(a, np.float64) for a in synthetic.logistic(jax.random.key(seed)))

    def gradient(w):
        return np.mean((1 / (1 + np.exp(-w * x)) - y) * x)

    def descend(w, step, times):
        path = [w]
        for _ in range(times):
            path.append(path[-1] - step * gradient(path[-1]))
        return np.array(path)

    best = descend(0.0, 0.05, 500)[-1]
    small, right, large = (descend(-1.0, step, 10) - best for step in (0.02, 0.05, 1.5))
    assert np.all(np.diff(np.abs(small)) < 0) and abs(small[-1]) > 0.1
    assert np.all(np.diff(np.abs(right)) < 1e-9) and abs(right[-1]) < 0.02
    assert large.max() > 1 and abs(large[-1]) > 0.5


def test_figure_10_validation_loss_is_least_at_degree_five(key):
    train_key, valid_key = jax.random.split(key)
    train, valid = synthetic.quintic_bands(train_key), synthetic.quintic_bands(valid_key)

    def basis(x, degree):
        one = [np.polynomial.legendre.legvander(np.asarray(x[:, d]), degree)[:, 1:] for d in (0, 1)]
        return np.concatenate(one, 1)

    losses = {}
    for degree in (1, 3, 5, 9, 13):
        model = LogisticRegression(C=1e6, max_iter=5000).fit(basis(train.x, degree), train.y)
        p = model.predict_proba(basis(valid.x, degree))
        losses[degree] = -np.mean(np.log(p[np.arange(len(p)), np.asarray(valid.y)]))
    assert min(losses, key=losses.get) == 5
    assert losses[3] > 1.3 * losses[5] and losses[13] > 1.3 * losses[5]


def test_heteroskedastic_scale_is_the_noises(key):
    sample = synthetic.heteroskedastic(key, n=4000, weight=2.0, log_scale=(-1.0, 0.5))
    np.testing.assert_allclose(sample.mean, 2 * sample.x, rtol=1e-6)
    np.testing.assert_allclose(np.log(sample.scale), -1 + 0.5 * sample.x, atol=1e-5)
    assert stats.kstest((sample.y - sample.mean) / sample.scale, "norm").pvalue > 1e-3


def test_counts_have_poisson_mean_and_variance(key):
    sample = synthetic.counts(key, n=8000)
    rate, y = np.asarray(sample.mean), np.asarray(sample.y)
    np.testing.assert_allclose(np.log(rate), 1 + np.asarray(sample.x), atol=1e-5)
    assert np.issubdtype(y.dtype, np.integer) and y.min() >= 0
    assert abs(np.mean((y - rate) / np.sqrt(rate))) < 0.05
    assert np.mean((y - rate) ** 2 / rate) == pytest.approx(1, abs=0.06)


def test_xor_without_noise_is_the_truth_table(key):
    sample = synthetic.xor(key, n=4, noise=0.0)
    np.testing.assert_array_equal(sample.x, [[-1, -1], [-1, 1], [1, -1], [1, 1]])
    np.testing.assert_array_equal(sample.y, [0, 1, 1, 0])
    np.testing.assert_array_equal(sample.mean, sample.y)


def test_xor_probability_is_bayes_rule_on_four_normals(key):
    sample = synthetic.xor(key, n=8, noise=0.7)
    x = np.asarray(sample.x, np.float64)
    density = {
        signs: stats.norm.pdf(x, loc=signs, scale=0.7).prod(1)
        for signs in [(1, 1), (-1, -1), (1, -1), (-1, 1)]
    }
    unequal = density[1, -1] + density[-1, 1]
    np.testing.assert_allclose(sample.mean, unequal / sum(density.values()), rtol=1e-4)


@pytest.mark.parametrize("seed", range(4))
def test_separable_classes_keep_their_distance(seed):
    data = synthetic.separable(jax.random.key(seed), n=200, dim=3, margin=0.2)
    assert set(np.asarray(data.y).tolist()) == {-1, 1}
    assert np.linalg.norm(data.weight) == pytest.approx(1, abs=1e-5)
    assert np.min(data.y * (data.x @ data.weight + data.bias)) >= 0.2 - 1e-5


def test_three_classes_have_linear_borders():
    x = synthetic.three_classes(jax.random.key(3), n=50, radius=1.5)
    log_ratio = np.log(np.asarray(x.mean[:, 0] / x.mean[:, 1], np.float64))
    design = np.c_[np.ones(50), x.x]
    residual = log_ratio - design @ np.linalg.lstsq(design, log_ratio, rcond=None)[0]
    assert np.abs(residual).max() < 1e-4 * np.abs(log_ratio).max()


def test_the_upper_moon_is_class_0_as_in_scikit_learn():
    made = synthetic.two_moons(jax.random.key(1), n=50, noise=1e-6)
    center = np.where(np.asarray(made.y)[:, None] == 0, [0.0, 0.0], [1.0, 0.5])
    from_center = np.asarray(made.x) - center
    np.testing.assert_allclose(np.linalg.norm(from_center, axis=1), 1, atol=1e-4)
    assert np.all((from_center[:, 1] > 0) == (np.asarray(made.y) == 0))


def test_two_moons_reach_their_known_mean_log_density(key):
    x = synthetic.two_moons(key, n=4000, noise=0.1).x
    log_p = np.asarray(jax.jit(synthetic.two_moons_log_density)(x))
    assert log_p.mean() == pytest.approx(-1.0069, abs=3 * math.hypot(0.0038, log_p.std() / 63))


@pytest.mark.usefixtures("x64")
def test_two_moons_density_is_the_integral_over_the_arcs():
    def integral(x, noise):
        def integrand(t):
            arcs = np.array([[np.cos(t), np.sin(t)], [1 - np.cos(t), 0.5 - np.sin(t)]])
            return stats.norm.pdf(x, arcs, noise).prod(1).sum()

        return integrate.quad(integrand, 0, np.pi, epsabs=1e-13, limit=500)[0] / (2 * np.pi)

    for point in [(0.0, 1.0), (1.0, 0.0), (0.5, 0.25), (2.0, 0.5)]:
        got = synthetic.two_moons_log_density(jnp.array(point), noise=0.1)
        assert np.exp(got) == pytest.approx(integral(np.array(point), 0.1), rel=1e-9)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", ["rings", "eight_gaussians"])
def test_densities_in_the_plane_integrate_to_one_and_fit_their_draws(name):
    log_density = getattr(synthetic, f"{name}_log_density")
    side = jnp.linspace(-3, 3, 601)
    grid = jnp.stack(jnp.meshgrid(side, side), -1)
    p = jnp.exp(log_density(grid, noise=0.2))
    assert float(p.sum() * (side[1] - side[0]) ** 2) == pytest.approx(1, abs=1e-6)
    x = getattr(synthetic, name)(jax.random.key(0), n=20_000, noise=0.2).x
    found = log_density(x, noise=0.2)
    entropy = -float(jnp.sum(jnp.where(p > 0, p * jnp.log(p), 0)) * (side[1] - side[0]) ** 2)
    error = float(found.std()) / np.sqrt(20_000)
    assert -float(found.mean()) == pytest.approx(entropy, abs=4 * error)


@pytest.mark.usefixtures("x64")
def test_a_ring_is_a_normal_distribution_along_a_circle():
    def integral(x):
        points = lambda t: np.array([np.cos(t), np.sin(t)]) * 0.5
        at = lambda t: stats.norm.pdf(x, points(t), 0.1).prod()
        return integrate.quad(at, 0, 2 * np.pi, epsabs=1e-13, limit=500)[0] / (2 * np.pi)

    for point in [(0.5, 0.1), (0.0, 0.0), (0.3, -0.6)]:
        got = synthetic.rings_log_density(jnp.array(point), noise=0.1, radii=(0.5,))
        assert np.exp(got) == pytest.approx(integral(np.array(point)), rel=1e-6)


def test_two_moons_log_density_has_finite_gradients():
    """Far out it is (c - x) / noise^2 with c on an arc; between the moons it is 0 by symmetry."""
    far = jnp.array([[1e3, -1e3], [0.5, 0.25]])
    gradient = jax.grad(lambda x: synthetic.two_moons_log_density(x).sum())(far)
    np.testing.assert_allclose(gradient, [[-1e5, 1e5], [0, 0]], rtol=3e-3, atol=0.1)


def test_sine_spans_its_periods(key):
    sample = synthetic.sine(key, n=7, noise=0.0, periods=3.0)
    np.testing.assert_allclose(sample.x, np.linspace(-3 * np.pi, 3 * np.pi, 7), rtol=1e-6)
    np.testing.assert_allclose(sample.y, np.sin(sample.x), atol=1e-6)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", ALL)
def test_float64_where_it_is_enabled(name):
    sample = ALL[name](jax.random.key(0), 4)
    assert sample.x.dtype == jnp.float64
