"""Features and the transforms fitted to them. Notes: §2.1."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from jaxdl import features

few = settings(deadline=None, max_examples=10, derandomize=True, database=None)
X = np.random.default_rng(0).normal(size=(9, 3)) * [1, 5, 0.1] + [0, 20, -3]
MASK = np.array([1, 1, 0, 1, 1, 0, 1, 1, 1], bool)
TRANSFORMS = {
    "standardize": features.standardize(),
    "impute_mean": features.impute_mean(),
    "scaled": features.scaled_polynomial(2),
    "orthogonal": features.orthogonal_polynomial(2),
    "orthogonal_powers": features.orthogonal_polynomial(3, interactions=False),
    "chain": features.chain(
        features.impute_mean(), features.standardize(), features.scaled_polynomial(2)
    ),
    "chain_of_none": features.chain(),
}


def fit_apply(transform, x):
    return jax.jit(lambda x: transform.apply(transform.fit(x), x))(x)


# E-18


@pytest.mark.equation(15, "L333")
@pytest.mark.parametrize("position", ["first", "last"])
def test_append_ones_makes_the_offset_a_weight(x64, position):
    w, b = jnp.array([0.5, -2.0, 3.0]), 0.7
    weights = jnp.array([b, *w] if position == "first" else [*w, b])
    augmented = features.append_ones(X, position)
    assert augmented.shape == (9, 4)
    np.testing.assert_allclose(augmented @ weights, X @ w + b, rtol=1e-13)


def test_append_ones_keeps_leading_axes_and_dtype():
    x = jnp.zeros((2, 5, 3), jnp.bfloat16)
    assert features.append_ones(x).shape == (2, 5, 4)
    assert features.append_ones(x).dtype == jnp.bfloat16
    with pytest.raises(ValueError, match="position is one of first, last, not 'front'"):
        features.append_ones(x, "front")
    with pytest.raises(ValueError, match="not a scalar"):
        features.append_ones(1.0)


# Polynomial bases


@pytest.mark.equation("L339")
def test_polynomial_equals_vander(x64):
    x = np.linspace(-2, 2, 11)
    powers = jax.jit(lambda x: features.polynomial(x, 7))(x)
    np.testing.assert_allclose(powers, np.vander(x, 8, increasing=True), rtol=1e-13)
    assert features.polynomial(x.reshape(11, 1), 3).shape == (11, 1, 4)
    np.testing.assert_array_equal(features.polynomial(x, 0), np.ones((11, 1)))


@few
@given(num_features=some.integers(1, 3), degree=some.integers(0, 4))
def test_polynomial_multivariate_equals_sklearn(num_features, degree):
    x = np.random.default_rng(degree).normal(size=(5, num_features)).astype(np.float32)
    expected = PolynomialFeatures(degree).fit_transform(x)
    got = jax.jit(lambda x: features.polynomial_multivariate(x, degree))(x)
    assert got.shape == expected.shape and got.dtype == jnp.float32
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_powers_without_interactions():
    """D-22: the two readings of a polynomial of several features."""
    x = jnp.array([[2.0, 3.0]])
    only_powers = jax.jit(lambda x: features.polynomial_multivariate(x, 3, False))(x)
    np.testing.assert_array_equal(only_powers, [[1, 2, 3, 4, 9, 8, 27]])
    full = jax.jit(lambda x: features.polynomial_multivariate(x, 3))(x)
    np.testing.assert_array_equal(full, [[1, 2, 3, 4, 6, 9, 8, 12, 18, 27]])


@few
@given(degree=some.integers(0, 4), num_features=some.integers(1, 3), interactions=some.booleans())
def test_traced_degree_masks_columns(degree, num_features, interactions):
    """Up to the degree the columns are those of the small basis, above it they are zero."""
    x = np.random.default_rng(1).normal(size=(4, num_features)).astype(np.float32)
    small = jax.jit(lambda x: features.polynomial_multivariate(x, degree, interactions))(x)
    masked = masked_basis(x, degree, interactions)
    np.testing.assert_allclose(masked[:, : small.shape[1]], small, rtol=1e-6)
    np.testing.assert_array_equal(masked[:, small.shape[1] :], 0)


@jax.jit
def _full(x, degree):
    return features.polynomial_multivariate(x, degree, True, max_degree=4)


@jax.jit
def _powers(x, degree):
    return features.polynomial_multivariate(x, degree, False, max_degree=4)


def masked_basis(x, degree, interactions):
    return (_full if interactions else _powers)(x, degree)


def test_one_program_serves_all_degrees(x64):
    """Least squares on the masked basis is least squares on the small one."""
    x = np.linspace(-1, 1, 20)
    y = np.sin(3 * x)
    degrees = jnp.arange(6)
    bases = jax.jit(jax.vmap(lambda k: features.polynomial(x, k, max_degree=5)))(degrees)
    weights = jax.vmap(lambda basis: jnp.linalg.lstsq(basis, y)[0])(bases)
    for k in degrees:
        expected = np.polynomial.polynomial.polyfit(x, y, k)
        np.testing.assert_allclose(weights[k, : k + 1], expected, atol=1e-10)
        np.testing.assert_allclose(weights[k, k + 1 :], 0, atol=1e-12)


def test_columns_above_the_degree_do_not_overflow():
    x = jnp.array([1e4, -1e4])
    basis = lambda x: features.polynomial(x, jnp.array(2), max_degree=15)
    assert bool(jnp.isfinite(jax.jit(basis)(x)).all())
    slope = jax.jit(jax.grad(lambda x: basis(x).sum()))(x)
    np.testing.assert_allclose(slope, 1 + 2 * x, rtol=1e-6)
    many = lambda x: features.polynomial_multivariate(x, jnp.array(2), max_degree=7).sum()
    assert bool(jnp.isfinite(jax.jit(jax.grad(many))(jnp.array([1e6, -1e6]))).all())
    np.testing.assert_array_equal(
        jax.jacobian(lambda x: features.polynomial(x, 3))(0.0), [0, 1, 0, 0]
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: features.polynomial(X[:, 0], -1), r"degree must be in 0\.\.-1, not -1"),
        (lambda: features.polynomial(X[:, 0], 4, max_degree=3), r"degree must be in 0\.\.3, not 4"),
        (lambda: features.polynomial(X[:, 0], jnp.array(2)), "needs max_degree"),
        (lambda: features.orthogonal_polynomial(jnp.array(2)), "needs max_degree"),
        (lambda: features.polynomial_multivariate(1.0, 2), "not a scalar"),
        (lambda: features.scaled_polynomial(2).fit(X[:, 0]), r"x must be \[N, D\]"),
        (lambda: features.standardize().fit(X, MASK[:4]), r"mask must be .9,?., one .* \(4,\)"),
        (
            lambda: features.scaled_polynomial(2).fit(X, MASK[:4]),
            r"mask must be .9,?., one .* \(4,\)",
        ),
        (
            lambda: features.scaled_polynomial(2).apply(
                features.scaled_polynomial(2).fit(X), X[:, :2]
            ),
            r"x must be \[\.\.\., 3\]",
        ),
    ],
)
def test_bad_input_raises(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_scaled_polynomial_is_chebyshev_on_the_training_range(x64):
    x = np.linspace(10, 14, 30)[:, None]
    basis = features.scaled_polynomial(6)
    columns = fit_apply(basis, x)
    unit = (x[:, 0] - 12) / 2
    np.testing.assert_allclose(columns, np.polynomial.chebyshev.chebvander(unit, 6), atol=1e-13)
    assert np.abs(columns).max() <= 1
    assert np.linalg.cond(columns) < 10 < 1e6 < np.linalg.cond(features.polynomial(x[:, 0], 6))


@pytest.mark.parametrize("degree", [0, 1, 2])
def test_scaled_polynomials_above_the_degree_are_zero(x64, degree):
    columns = fit_apply(
        features.scaled_polynomial(degree, max_degree=3), np.linspace(-1, 1, 9)[:, None]
    )
    expected = np.polynomial.chebyshev.chebvander(np.linspace(-1, 1, 9), 3)
    expected[:, degree + 1 :] = 0
    np.testing.assert_allclose(columns, expected, atol=1e-14)


@pytest.mark.parametrize("interactions", [True, False])
@pytest.mark.parametrize("make", [features.scaled_polynomial, features.orthogonal_polynomial])
def test_conditioned_bases_span_the_monomials(x64, make, interactions):
    x = np.random.default_rng(2).normal(size=(40, 2)) * 3 + 1
    basis = make(3, interactions=interactions)
    columns = np.asarray(fit_apply(basis, x))
    monomials = jax.jit(lambda x: features.polynomial_multivariate(x, 3, interactions))(x)
    assert columns.shape == monomials.shape
    coefficients, *_ = np.linalg.lstsq(columns, monomials)
    np.testing.assert_allclose(columns @ coefficients, monomials, rtol=1e-9, atol=1e-8)


def test_orthogonal_polynomials_are_orthonormal(x64):
    x = np.random.default_rng(3).uniform(-5, 20, size=(60, 1))
    basis = features.orthogonal_polynomial(15)
    q = fit_apply(basis, x)
    np.testing.assert_allclose(q.T @ q / 60, np.eye(16), atol=1e-11)
    # numpy's QR of a scaled Vandermonde matrix, up to sign
    expected = np.linalg.qr(np.polynomial.chebyshev.chebvander((x[:, 0] - 7.5) / 12.5, 15))[0]
    np.testing.assert_allclose(np.abs(q), np.abs(expected) * np.sqrt(60), atol=1e-9)


@pytest.mark.parametrize("crowded", [False, True])
def test_orthogonal_polynomials_in_float32(crowded):
    """Where most points crowd at one end, one pass of Gram-Schmidt leaves angles of 0.1."""
    x = np.random.default_rng(3).uniform(-5, 20, size=(60, 1)).astype(np.float32)
    x = np.exp(x / 3) if crowded else x
    degree = 12 if crowded else 15
    basis = features.orthogonal_polynomial(degree)
    q = fit_apply(basis, x)
    assert q.dtype == jnp.float32
    off = 3e-3 if crowded else 1e-4
    np.testing.assert_allclose(q.T @ q / 60, np.eye(degree + 1), atol=off)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_orthogonal_polynomials_of_few_distinct_points(x64, dtype):
    x = np.array([0, 1, 2, 0, 1, 2, 2], dtype)[:, None]
    basis = features.orthogonal_polynomial(5)
    q = fit_apply(basis, x)
    np.testing.assert_allclose(q.T @ q / 7, np.diag([1, 1, 1, 0, 0, 0]), atol=1e-5)
    constant = fit_apply(features.orthogonal_polynomial(3), np.ones((4, 2), dtype))
    np.testing.assert_allclose(constant, np.eye(10)[[0] * 4], atol=1e-6)


@pytest.mark.parametrize("make", [features.scaled_polynomial, features.orthogonal_polynomial])
def test_transforms_with_a_traced_degree(x64, make):
    x = X[:, :1]

    @jax.jit
    @jax.vmap
    def columns(degree):
        basis = make(degree, max_degree=4)
        return basis.apply(basis.fit(x), x)

    masked = columns(jnp.arange(5))
    for degree in range(5):
        basis = make(degree)
        small = fit_apply(basis, x)
        np.testing.assert_allclose(masked[degree, :, : degree + 1], small, atol=1e-10)
        np.testing.assert_array_equal(masked[degree, :, degree + 1 :], 0)


# Encodings


def test_one_hot_and_from_one_based():
    """D-29: the notes' classes 1..K are ours 0..K-1."""
    y = features.from_one_based(jnp.array([[1], [3]]))
    np.testing.assert_array_equal(y, [[0], [2]])
    rows = features.one_hot(y, 3)
    np.testing.assert_array_equal(rows, [[[1, 0, 0]], [[0, 0, 1]]])
    assert jnp.issubdtype(rows.dtype, jnp.floating)
    np.testing.assert_array_equal(features.one_hot(jnp.array([3, -1]), 3), np.zeros((2, 3)))
    np.testing.assert_array_equal(features.one_hot(np.array([True, False]), 2), [[0, 1], [1, 0]])
    for f in (lambda y: features.one_hot(y, 3), features.from_one_based):
        with pytest.raises(ValueError, match="must be integers, not float32"):
            f(jnp.ones(3))


# Transforms


def test_standardize_equals_sklearn(x64):
    x = np.concatenate([X, np.full((9, 1), 0.1), np.full((9, 1), 1e8)], axis=1)
    scaler = features.standardize()
    params = scaler.fit(x)
    reference = StandardScaler().fit(x)
    np.testing.assert_allclose(params["mean"], reference.mean_, rtol=1e-12)
    np.testing.assert_allclose(params["scale"], reference.scale_, rtol=1e-12)
    np.testing.assert_allclose(scaler.apply(params, 2 * x), reference.transform(2 * x), rtol=1e-9)
    x[[0, 3, 4], [0, 1, 1]] = np.nan
    expected = StandardScaler().fit_transform(x)
    np.testing.assert_allclose(scaler.apply(scaler.fit(x), x), expected, atol=1e-12)


def test_statistics_in_float32_are_those_of_the_numbers():
    """Neither the number of rows nor the distance from zero, nor the unit costs digits."""
    rng = np.random.default_rng(1)
    n = 50_000
    z = rng.normal(size=n)
    x = np.stack([
        2000 + 10 * z, 100 + 0.1 * z, 1.7e9 + 1e7 * rng.uniform(size=n), 1e20 * z, 1e-20 * z,
        1 + 1e-4 * z, np.where(np.arange(n) == 7, 1e6, z), np.full(n, 1.7e9), np.full(n, 0.1),
    ], axis=1).astype(np.float32)  # fmt: skip
    scaler = features.standardize()
    fitted = jax.jit(scaler.fit)(x)
    exact = x.astype(float)
    np.testing.assert_allclose(fitted["scale"][:7], exact.std(0)[:7], rtol=2e-6)
    np.testing.assert_allclose(
        (fitted["mean"] - exact.mean(0))[:7] / exact.std(0)[:7], 0, atol=1e-3
    )
    np.testing.assert_allclose(fitted["mean"], exact.mean(0), rtol=1e-5)
    np.testing.assert_array_equal(fitted["scale"][7:], 1)
    np.testing.assert_array_equal(fitted["mean"][7:], x[0, 7:])
    z = np.asarray(scaler.apply(fitted, x))
    np.testing.assert_allclose(z[:, [0, 3, 4]].std(0), 1, rtol=1e-5)
    np.testing.assert_array_equal(z[:, 7:], 0)
    # what does not count changes no bit, and 16 bits are summed in 32
    spoilt = np.where(np.arange(n)[:, None] < 1000, x, np.float32(3e38))
    part = jax.jit(scaler.fit)(spoilt, np.arange(n) < 1000)
    np.testing.assert_allclose(part["scale"][:6], exact[:1000].std(0)[:6], rtol=2e-6)
    half = scaler.fit(jnp.asarray(x[:, :2], jnp.float16))
    np.testing.assert_allclose(half["mean"], exact.mean(0)[:2], rtol=1e-4)
    assert scaler.apply(half, jnp.ones((1, 2), jnp.float16)).dtype == jnp.float16


@pytest.mark.parametrize("value", [0.0, 0.1, -1e7, 3e-9])
def test_a_constant_feature_is_only_centred(value):
    x = jnp.full((7, 1), value)
    scaler = features.standardize()
    z, tangent = jax.jvp(lambda x: scaler.apply(scaler.fit(x), x), (x,), (x + 1,))
    np.testing.assert_allclose(z, 0, atol=1e-6 * abs(value))
    assert bool(jnp.isfinite(tangent).all())


def test_standardize_any_trailing_shape_and_integers():
    images = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    scaler = features.standardize()
    z = scaler.apply(scaler.fit(images), images)
    np.testing.assert_allclose(z, np.stack([-np.ones((3, 4)), np.ones((3, 4))]), rtol=1e-6)


def test_impute_mean_equals_sklearn(x64):
    x = X.copy()
    x[[0, 3, 5], [0, 1, 1]] = np.nan
    x[:, 2] = np.nan
    imputer = features.impute_mean()
    reference = SimpleImputer(keep_empty_features=True).fit(x)
    got = imputer.apply(imputer.fit(x), x)
    np.testing.assert_allclose(got, reference.transform(x), rtol=1e-13)


def test_chain_fits_each_to_what_it_will_see(x64):
    x = X.copy()
    x[2, 0] = np.nan
    impute, scale = features.impute_mean(), features.standardize()
    both = features.chain(impute, scale)
    params = both.fit(x)
    filled = impute.apply(impute.fit(x), x)
    np.testing.assert_allclose(
        both.apply(params, x), StandardScaler().fit_transform(filled), atol=1e-15
    )
    np.testing.assert_array_equal(params[1]["mean"], scale.fit(filled)["mean"])
    # scaling before imputing sees another variance
    other = features.chain(scale, impute)
    assert abs(other.apply(other.fit(x), x) - both.apply(params, x)).max() > 0.01
    with pytest.raises(ValueError, match="shorter than argument 1"):
        both.apply(params[:1], x)


@pytest.mark.parametrize("name", TRANSFORMS)
@few
@given(seed=some.integers(0, 1000), kept=some.sampled_from([1, 6, 9]))
def test_mask_is_subselection(name, seed, kept):
    """Masked rows count for nothing, whatever they hold."""
    rng = np.random.default_rng(seed)
    mask = rng.permutation(9) < kept
    x = X.astype(np.float32)
    spoilt = np.where(mask[:, None], x, rng.choice([np.nan, np.inf, 1e30], size=x.shape))
    transform = TRANSFORMS[name]
    masked = transform.apply(fit(name)(spoilt.astype(np.float32), mask), x)
    chosen = transform.apply(fit(name)(x[mask], np.ones(kept, bool)), x)
    assert masked.dtype == jnp.float32
    scale = 1 + np.abs(chosen)
    well_determined = name in ("standardize", "impute_mean", "scaled", "chain", "chain_of_none")
    if (well_determined and kept > 2) or kept == 9:
        np.testing.assert_allclose(masked / scale, chosen / scale, atol=1e-3)
    else:  # few rows leave directions to rounding: compare on the rows themselves
        assert np.isfinite(masked).all()
        np.testing.assert_allclose(masked[mask], chosen[mask], atol=1e-2)


FITTED = {}


def fit(name):
    return FITTED.setdefault(name, jax.jit(TRANSFORMS[name].fit))


@pytest.mark.parametrize("name", TRANSFORMS)
def test_mask_is_subselection_in_float64(x64, name):
    transform = TRANSFORMS[name]
    spoilt = np.where(MASK[:, None], X, np.nan)
    run = jax.jit(lambda x, mask: transform.apply(transform.fit(x, mask), X))
    masked, chosen = run(spoilt, MASK), run(X[MASK], np.ones(MASK.sum(), bool))
    np.testing.assert_allclose(masked, chosen, rtol=1e-7)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms_under_jit_vmap_and_grad(name):
    transform = TRANSFORMS[name]
    run = jax.jit(lambda x, mask: transform.apply(transform.fit(x, mask), x))
    x = jnp.asarray(X, jnp.float32)
    folds = jnp.stack([jnp.asarray(MASK), ~jnp.asarray(MASK) | (jnp.arange(9) < 7)])
    together = jax.jit(jax.vmap(run, (None, 0)))(x, folds)
    for z, mask in zip(together, folds, strict=True):
        np.testing.assert_allclose(z, run(x, mask), rtol=1e-2, atol=1e-2)
    gradient = jax.jit(jax.grad(lambda x: run(x, folds[0]).sum()))(x)
    assert bool(jnp.isfinite(gradient).all())
    nothing = run(x, jnp.zeros(9, bool))
    assert bool(jnp.isfinite(nothing).all())


@pytest.mark.parametrize(
    "f",
    [
        features.append_ones,
        lambda x: features.polynomial(x, 3),
        lambda x: features.polynomial_multivariate(x, 2),
        lambda x: features.one_hot(x.astype(int), 4),
        lambda x: features.from_one_based(x.astype(int)),
    ],
    ids=["append_ones", "polynomial", "polynomial_multivariate", "one_hot", "from_one_based"],
)
def test_functions_under_jit_and_vmap(f):
    x = jnp.asarray(X, jnp.float32)
    np.testing.assert_allclose(jax.jit(f)(x), f(x), rtol=1e-6)
    np.testing.assert_allclose(jax.vmap(f)(x), f(x), rtol=1e-6)
