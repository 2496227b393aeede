"""Confidence intervals against scipy's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxdl.metrics import intervals


@pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
@pytest.mark.parametrize(("successes", "n"), [(0, 7), (3, 10), (10, 10), (442, 450)])
def test_wilson_equals_scipy(successes, n, level, x64):
    expected = stats.binomtest(successes, n).proportion_ci(level, method="wilson")
    low, high = intervals.wilson(successes, n, level)
    np.testing.assert_allclose([low, high], [expected.low, expected.high], atol=1e-12)


def test_wilson_stays_inside_in_float32():
    low, high = intervals.wilson(np.array([0, 450]), 450)
    assert low[0] == 0 and high[1] == 1 and np.all(low < high)
    assert low.dtype == jnp.float32


def test_wilson_covers_its_level():
    """Over all outcomes of 50 throws, the interval holds the truth in about 95 % of cases."""
    k = np.arange(51)
    low, high = jax.jit(jax.vmap(intervals.wilson, (0, None)))(k, 50)
    for truth in (0.5, 0.9):
        inside = (low <= truth) & (truth <= high)
        assert 0.93 < stats.binom.pmf(k, 50, truth)[inside].sum() < 0.98


def test_bootstrap_is_near_scipy(key, x64):
    values = np.random.default_rng(0).exponential(size=60)
    expected = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=20000, rng=np.random.default_rng(1)
    ).confidence_interval
    low, high = intervals.bootstrap(key, values, num_resamples=20000)
    np.testing.assert_allclose([low, high], expected, rtol=0.01)


def test_bootstrap_maps_the_statistic(key):
    """A monotone statistic's interval is the image of the mean's, resample by resample."""
    values = jnp.arange(1.0, 9.0)
    mean = jax.jit(intervals.bootstrap)(jax.random.clone(key), values)
    root = intervals.bootstrap(key, values, lambda v: jnp.sqrt(jnp.mean(v)))
    np.testing.assert_allclose(np.square(root), mean, rtol=1e-3)
    assert mean[0] < values.mean() < mean[1]


def test_bootstrap_draws_every_row(key):
    """The largest value of 8 rows is drawn in two resamples of three, first row or last."""
    for place in (0, 7):
        values = jnp.zeros(8).at[place].set(1)
        drawn = intervals.bootstrap(jax.random.clone(key), values, jnp.max, num_resamples=200)
        assert [float(end) for end in drawn] == [0, 1]


def test_bootstrap_of_nothing(key):
    with pytest.raises(ValueError, match=r"N at least 1, not \(0,\)"):
        intervals.bootstrap(key, jnp.zeros(0))
