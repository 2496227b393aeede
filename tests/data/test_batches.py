import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxdl.data import minibatches


@pytest.mark.equation(30)
@settings(deadline=None, max_examples=15, derandomize=True)
@given(n=st.integers(1, 9), size=st.integers(1, 10), seed=st.integers(0, 99))
def test_every_index_occurs_once_an_epoch(n, size, seed):
    batches = minibatches(jax.random.key(seed), n, size)
    assert sorted(np.concatenate(batches).tolist()) == list(range(n))
    assert [len(b) for b in batches[:-1]] == [size] * (len(batches) - 1)
    assert 1 <= len(batches[-1]) <= size


def test_the_remainder_is_dropped_on_request(key):
    batches = minibatches(key, 7, 3, drop_remainder=True)
    assert [len(b) for b in batches] == [3, 3]
    assert len(set(np.concatenate(batches).tolist())) == 6


def test_order_depends_on_the_key_and_jit_keeps_it():
    one, same, other = (
        jnp.concatenate(f(jax.random.key(seed)))
        for f, seed in (
            (lambda k: minibatches(k, 20, 6), 1),
            (jax.jit(lambda k: minibatches(k, 20, 6)), 1),
            (lambda k: minibatches(k, 20, 6), 2),
        )
    )
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


@pytest.mark.equation(30)
def test_mean_over_the_batches_of_an_epoch_is_the_full_gradient(key):
    x_key, y_key, key = jax.random.split(key, 3)
    x, y = jax.random.normal(x_key, (6,)), jax.random.normal(y_key, (6,))
    gradient = jax.grad(lambda w, x, y: jnp.mean((w * x - y) ** 2))
    parts = [gradient(0.7, x[b], y[b]) for b in minibatches(key, 6, 2)]
    np.testing.assert_allclose(np.mean(parts), gradient(0.7, x, y), rtol=1e-5)


@pytest.mark.parametrize(
    ("n", "size", "drop", "message"),
    [
        (0, 2, False, "at least 1, not 0 and 2"),
        (3, 0, False, "at least 1, not 3 and 0"),
        (3, 4, True, "leaves no batch"),
    ],
)
def test_wrong_sizes_raise(key, n, size, drop, message):
    with pytest.raises(ValueError, match=message):
        minibatches(key, n, size, drop)
