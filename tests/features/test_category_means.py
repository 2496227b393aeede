"""Target encoding against scikit-learn's, hand-worked numbers and sums in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.preprocessing import TargetEncoder

from jaxdl.features import target_encode
from jaxdl.features.targets import segment_sums

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("smooth", [0.0, 3.0, 20.0])
def test_numbers_are_encoded_as_by_scikit_learn(smooth):
    codes, y = RNG.integers(0, 9, (200, 2)), RNG.normal(5, 2, 200)
    x = np.insert(codes.astype(np.float32), 1, RNG.normal(size=200), axis=1)
    encoder = target_encode([0, 2], [9, 12], smooth=smooth)
    params = encoder.fit(x, y.astype(np.float32))
    theirs = TargetEncoder(smooth=smooth, target_type="continuous").fit(codes, y)
    new = np.array([[0, 8], [4, 3], [77, 1], [-1, 0]])  # two that no training row has
    mine = encoder.apply(params, np.insert(new.astype(np.float32), 1, 0.5, axis=1))
    np.testing.assert_allclose(mine[:, 0], 0.5)
    np.testing.assert_allclose(mine[:, 1:], theirs.transform(new), rtol=1e-5)


@pytest.mark.parametrize("classes", [2, 4])
def test_classes_are_encoded_as_by_scikit_learn(classes):
    codes, y = RNG.integers(0, 6, (150, 2)), RNG.integers(0, classes, 150)
    encoder = target_encode([0, 1], [6, 6], num_classes=classes, smooth=5.0)
    mine = encoder.apply(encoder.fit(codes, y), codes).reshape(150, 2, classes - 1)
    kind = "binary" if classes == 2 else "multiclass"
    theirs = TargetEncoder(smooth=5.0, target_type=kind).fit(codes, y).transform(codes)
    theirs = theirs.reshape(150, 2, -1)[..., -(classes - 1) :]  # without the first of several
    np.testing.assert_allclose(mine, theirs, rtol=1e-5)


def test_the_smoothing_follows_from_the_analysis_of_variance():
    """SSW = 4, SSB = 36, N - V = 2, n_0 = 2: sigma^2 = 2, tau^2 = 17, lambda = 34 / 36."""
    x, y = np.array([[0], [0], [1], [1.0]]), np.array([1.0, 3.0, 7.0, 9.0])
    value = target_encode([0], [3]).fit(x, y)["value"][0, :, 0]
    np.testing.assert_allclose(value, [5 - 3 * 34 / 36, 5 + 3 * 34 / 36, 5, 5], rtol=1e-6)


def test_unequal_categories_have_a_smoothing_of_their_own():
    """Of n = 1, 3: means 8, 2, of all 3.5; SSW = 6, SSB = 27, n_0 = (4 - 10 / 4) / 1 = 1.5.

    sigma^2 = 6 / 2 = 3 and tau^2 = (27 - 3) / 1.5 = 16, so lambda = 16 / 19 and 48 / 51.
    """
    x, y = np.array([[1], [0], [0], [0.0]]), np.array([8.0, 2 - 3**0.5, 2.0, 2 + 3**0.5])
    value = target_encode([0], [2]).fit(x, y)["value"][0, :, 0]
    np.testing.assert_allclose(value, [3.5 - 1.5 * 48 / 51, 3.5 + 4.5 * 16 / 19, 3.5], rtol=1e-6)


@pytest.mark.parametrize(
    ("codes", "y"),
    [
        ([0, 0, 1, 1], [0.0, 2.0, 2.0, 0.0]),  # means that do not differ
        ([0, 1, 2, 3], [4.0, 1.0, 0.0, 3.0]),  # a row each
        ([0, 0, 0, 0], [4.0, 1.0, 0.0, 3.0]),  # one category
        ([9, 9, 9, 9], [4.0, 1.0, 0.0, 3.0]),  # none that is known
    ],
)
def test_categories_that_tell_nothing_are_the_mean_of_all(codes, y):
    value = target_encode([0], [4]).fit(np.array(codes, float)[:, None], np.array(y))["value"]
    np.testing.assert_allclose(value, np.mean(y), rtol=1e-6)


def test_categories_that_tell_all_are_their_means():
    x, y = np.array([[0], [0], [1], [1.0]]), np.array([1.0, 1.0, 5.0, 5.0])
    np.testing.assert_allclose(target_encode([0], [2]).fit(x, y)["value"][0, :, 0], [1, 5, 3])


def test_counts_are_encoded_as_log_rates():
    """Where all are 0 and nothing is smoothed the rate is half a count in all four rows."""
    x, y = np.array([[0], [0], [1], [1.0]]), np.array([0, 0, 2, 6])
    value = target_encode([0], [2], log=True, smooth=0.0).fit(x, y)["value"][0, :, 0]
    np.testing.assert_allclose(value, np.log([0.5 / 4, 4, 2]), rtol=1e-6)


def test_nan_counts_for_nothing_and_stays():
    x, y = np.array([[0], [0], [1], [np.nan]]), np.array([1.0, 3.0, 7.0, 100.0])
    encoder = target_encode([0], [2], smooth=0.0)
    params = encoder.fit(x, y)
    np.testing.assert_allclose(encoder.apply(params, x)[:, 0], [2, 2, 7, np.nan])


@pytest.mark.slow
def test_means_of_many_rows_are_exact_to_rounding():
    """Added up one by one in float32, half a million of equal summands lose the fourth digit."""
    n = 1 << 19
    codes = (np.arange(n) % 7 > 0).astype(np.float32)
    y = np.where(codes == 1, 0.1, 3.3).astype(np.float32) + 1000
    value = jax.jit(target_encode([0], [2], smooth=0.0).fit)(codes[:, None], y)["value"][0, :2, 0]
    exact = [y[codes == c].astype(np.float64).mean() for c in (0, 1)]
    np.testing.assert_allclose(np.subtract(value, exact), 0, atol=2 * np.spacing(np.float32(1000)))
    ones = jnp.full((n, 1), jnp.float32(0.1))
    sums, counts = segment_sums(ones, jnp.asarray(codes, jnp.int32), jnp.ones(n, bool), 2)
    assert counts.tolist() == np.bincount(codes.astype(int)).tolist()
    np.testing.assert_allclose(sums[:, 0], np.float64(np.float32(0.1)) * counts, rtol=2e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0, 0], [2, 2]), "columns must differ"),
        (([0], [2, 2]), "a size each"),
        (([], []), "columns must differ"),
        (([-1], [2]), "columns are from 0"),
        (([0], [0]), "sizes from 1"),
    ],
)
def test_columns_that_make_no_sense_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        target_encode(*arguments)


def test_features_and_responses_of_another_shape_are_refused():
    encoder = target_encode([1], [2])
    with pytest.raises(ValueError, match=r"x must be \[N, D\] with columns \[1\], not \[3, 1\]"):
        encoder.fit(np.zeros((3, 1)), np.zeros(3))
    with pytest.raises(ValueError, match=r"y must be \[3\], one response a row, not \[3, 1\]"):
        encoder.fit(np.zeros((3, 2)), np.zeros((3, 1)))
