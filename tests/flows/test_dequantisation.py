"""Noise between whole numbers, and bits a dimension, by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jaxdl import flows


@pytest.mark.parametrize("levels", [2, 17, 256, 2**20])
def test_whole_numbers_come_back_exactly(levels):
    """Noise never reaches the next cell, also where float32 is coarse."""
    k = jnp.concatenate([jnp.arange(min(levels, 3000)), jnp.full(3000, levels - 1)])
    x = flows.dequantise(jax.random.key(0), k, levels)
    assert x.dtype == jnp.float32 and x.min() >= 0 and x.max() < 1
    np.testing.assert_array_equal(flows.quantise(x, levels), k)


def test_noise_is_uniform_on_each_cell():
    x = flows.dequantise(jax.random.key(0), jnp.full(4000, 3), 8)
    assert scipy.stats.kstest(x, "uniform", (3 / 8, 1 / 8)).pvalue > 1e-3
    np.testing.assert_allclose(flows.cell_centres(jnp.array([3]), 8), [3.5 / 8])


def test_bits_do_not_depend_on_the_interval():
    """8 bits on [0, 1) and on [-1, 1): the offset is log2(levels / width), not 7
    (yang-song/score_sde_pytorch #51)."""
    on_unit = flows.bits_per_dim(jnp.zeros(2), 10, levels=256)
    on_two = flows.bits_per_dim(jnp.full(2, -10 * np.log(2)), 10, levels=256, width=2.0)
    np.testing.assert_allclose(on_unit, 8, rtol=1e-6)
    np.testing.assert_allclose(on_two, 8, rtol=1e-6)
    np.testing.assert_allclose(flows.bits_per_dim(jnp.array(-np.log(2)), 2), 0.5, rtol=1e-6)


def test_noise_bounds_the_probability(x64):
    """Jensen: the mean log-density is below the log of the mean, equal for a flat density."""
    density = lambda x: 2 * x  # on [0, 1); of cell k of 4: (2k + 1) / 16
    k = jnp.full(20000, 1)
    x = flows.dequantise(jax.random.key(0), k, 4)
    bound = np.mean(np.log(density(x))) - np.log(4)
    exact = np.log(3 / 16)
    integral = scipy.integrate.quad(lambda x: 4 * np.log(density(x)), 0.25, 0.5)[0] - np.log(4)
    assert integral < exact
    np.testing.assert_allclose(bound, integral, atol=5e-3)


def test_levels_are_whole_and_positive():
    for call in (
        lambda: flows.dequantise(jax.random.key(0), jnp.zeros(1, int), 0),
        lambda: flows.quantise(jnp.zeros(1), 2.5),
        lambda: flows.bits_per_dim(jnp.zeros(1), 3, levels=0),
    ):
        with pytest.raises(ValueError, match="levels must be a positive whole number"):
            call()
