"""Scaling by quartiles against NumPy and scikit-learn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.preprocessing import RobustScaler

from jaxdl.features import chain, impute_mean, robust_scale
from jaxdl.features.transforms import _ascending, quartiles

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6, 7, 8, 101])
def test_quartiles_are_those_of_numpy(n):
    x = RNG.standard_t(1, size=(n + 5, 4)).astype(np.float32)
    counts = np.zeros((n + 5, 4), bool)
    for j in range(4):  # other rows in each column
        counts[RNG.permutation(n + 5)[:n], j] = True
    x[~counts] = np.nan
    theirs = np.nanpercentile(x.astype(np.float64), [25, 50, 75], axis=0)
    np.testing.assert_allclose(jax.jit(quartiles)(x, counts), theirs, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_numbers_are_sorted_by_their_bits(dtype):
    x = np.array([3, -1, np.inf, -0.5, 2e-3, -np.inf, 0, -7, 3, 1e-7, -1e-7, 6e4])
    x = jnp.asarray(np.stack([x, -x]), dtype)
    sorted_ = _ascending(x)
    assert sorted_.dtype == dtype
    np.testing.assert_array_equal(
        np.asarray(sorted_, np.float64), np.sort(np.asarray(x, np.float64), axis=-1)
    )


def test_a_quartile_moves_with_the_entry_that_it_is():
    """Of five numbers quartiles are the second, third and fourth smallest."""
    x, counts = jnp.array([4.0, -1.0, 2.0, 9.0, -3.0]), jnp.ones(5, bool)
    for k, entry in enumerate([1, 2, 0]):
        grad = jax.grad(lambda x, k=k: quartiles(x, counts)[k])(x)
        np.testing.assert_array_equal(grad, np.eye(5)[entry])


def test_scaled_as_by_scikit_learn_and_clipped_smoothly():
    x = RNG.standard_t(2, size=(201, 3)).astype(np.float32)
    mask = RNG.random(201) < 0.7
    scaler = robust_scale()
    z = RobustScaler().fit(x[mask]).transform(x)
    wanted = z / np.sqrt(1 + (z / 3) ** 2)
    np.testing.assert_allclose(scaler.apply(scaler.fit(x, mask), x), wanted, rtol=1e-5, atol=1e-6)


def test_where_the_quartiles_are_one_the_range_scales_and_what_is_constant_is_zero():
    """Of 0, 0, 0, 0, 0, 8 the scale is 2 / 8: 8 becomes f(2) = 2 / sqrt(1 + 4 / 9)."""
    x = np.stack([[0, 0, 0, 0, 0, 8], [7, 7, 7, 7, 7, 7], [np.nan] * 6], axis=1).astype(np.float32)
    scaler = robust_scale()
    scaled = scaler.apply(scaler.fit(x), x)
    np.testing.assert_allclose(scaled[:, 0], [0, 0, 0, 0, 0, 2 / np.sqrt(1 + 4 / 9)], rtol=1e-6)
    assert (scaled[:, 1] == 0).all() and np.isnan(scaled[:, 2]).all()
    new = scaler.apply(scaler.fit(x), np.array([[16, 9, 1]], np.float32))
    np.testing.assert_allclose(new, [[4 / np.sqrt(1 + 16 / 9), 0, 0]], rtol=1e-6)


def test_the_largest_numbers_stay_finite_and_within_three():
    most = np.finfo(np.float32).max
    x = np.array([[-most], [-most], [most], [most], [0]], np.float32)
    scaler = robust_scale()
    run = lambda x: scaler.apply(scaler.fit(x), x)
    wanted = 0.5 / np.sqrt(1 + (0.5 / 3) ** 2)
    np.testing.assert_allclose(run(x)[:, 0], wanted * np.sign(x[:, 0]), rtol=1e-6)
    near = np.concatenate([RNG.normal(size=(9, 1)), [[most]]]).astype(np.float32)
    np.testing.assert_allclose(run(near)[-1], 3, rtol=1e-6)
    assert np.isfinite(jax.grad(lambda x: run(x).sum())(near)).all()


def test_means_are_filled_in_before():
    x = np.array([[1], [2], [3], [6], [np.nan]], np.float32)
    both = chain(impute_mean(), robust_scale())
    np.testing.assert_allclose(both.apply(both.fit(x), x)[[2, 4], 0], 0)  # 3 is mean and median
