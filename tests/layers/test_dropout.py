"""Dropout: its mean, its rate, its refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.layers import dropout

X = jnp.arange(1.0, 20_001.0)


def test_kept_entries_are_scaled_up_and_the_mean_stays(key):
    h = dropout(X, 0.3, key=key, train=True)
    kept = np.asarray(h) != 0
    np.testing.assert_allclose(h[kept], X[kept] / 0.7, rtol=1e-6)
    assert abs(kept.mean() - 0.7) < 5 * np.sqrt(0.21 / 20_000)
    np.testing.assert_allclose(h.mean(), X.mean(), rtol=0.03)


def test_rates_are_traced_and_each_keeps_its_share(key):
    with jax.debug_key_reuse(False):  # one mask's uniforms for all rates, on purpose
        h = jax.vmap(lambda rate: dropout(X, rate, key=key, train=True))(
            jnp.array([0.0, 0.25, 0.9, 1.0])
        )
        alone = dropout(X, 0.25, key=key, train=True)
    np.testing.assert_array_equal(h[0], X)
    np.testing.assert_allclose((h != 0).mean(1), [1, 0.75, 0.1, 0], atol=0.02)
    np.testing.assert_allclose(h[1], alone, rtol=1e-6)
    half = dropout(X, 0.5, key=jax.random.key(1), train=True).sum()
    slope = jax.grad(lambda r: dropout(X, r, key=jax.random.key(1), train=True).sum())(0.5)
    np.testing.assert_allclose(slope, half / (1 - 0.5), rtol=1e-5)  # of 1 / (1 - r) alone
    edge = jax.grad(lambda x: dropout(x, jnp.float32(1.0), key=jax.random.key(1), train=True).sum())
    assert not edge(X).any()


def test_evaluation_is_the_identity():
    for rate in (0.0, 0.5, jnp.float32(0.5)):
        assert dropout(X, rate) is X
    assert dropout(X, 0.0, train=True) is X  # nothing to draw, so no key is needed


def test_refusals(key):
    for rate in (0.5, jnp.float32(0.0)):
        with pytest.raises(ValueError, match="needs a key"):
            dropout(X, rate, train=True)
    for rate in (-0.1, 1.5):
        with pytest.raises(ValueError, match=rf"a dropout rate lies in \[0, 1\], got {rate}"):
            dropout(X, rate, key=key, train=True)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64, jnp.bfloat16])
def test_dtype_is_kept(x64, key, dtype):
    assert dropout(X.astype(dtype), jnp.float32(0.5), key=key, train=True).dtype == dtype


def test_small_rates_are_not_lost_in_half_precision(key):
    """1 - 0.001 is 1 in bfloat16."""
    ones = jnp.ones(100_000, jnp.bfloat16)
    zeros = float((dropout(ones, 0.001, key=key, train=True) == 0).mean())
    assert abs(zeros - 0.001) < 5 * np.sqrt(0.001 / 100_000)
