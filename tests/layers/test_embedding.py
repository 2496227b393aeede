import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import layers

TABLE = {"embedding": jnp.arange(6.0).reshape(3, 2)}


def test_rows_of_the_table_are_looked_up():
    tokens = jnp.array([[2, 0], [1, 1]])
    one_hot = np.eye(3)[np.asarray(tokens)] @ np.arange(6.0).reshape(3, 2)
    np.testing.assert_array_equal(layers.embedding(TABLE, tokens), one_hot)


def test_the_gradient_counts_how_often_a_token_came():
    tokens = jnp.array([2, 0, 2, 2])
    gradient = jax.grad(lambda p: layers.embedding(p, tokens).sum())(TABLE)
    np.testing.assert_array_equal(gradient["embedding"], [[1, 1], [0, 0], [3, 3]])


def test_a_frozen_table_has_no_gradient():
    total = lambda p: layers.embedding(p, jnp.array([0, 1]), trainable=False).sum()
    np.testing.assert_array_equal(jax.grad(total)(TABLE)["embedding"], np.zeros((3, 2)))


@pytest.mark.parametrize("token", [-1, 3])
def test_a_token_outside_the_vocabulary_is_refused(token):
    with pytest.raises(ValueError, match=rf"token {token} is outside the vocabulary 0, ..., 2"):
        layers.embedding(TABLE, jnp.array([0, token]))
    rows = jax.jit(layers.embedding)(TABLE, jnp.array([0, token]))
    assert np.isfinite(rows[0]).all() and np.isnan(rows[1]).all()


def test_tokens_are_whole_numbers():
    with pytest.raises(ValueError, match="whole numbers, not float32"):
        layers.embedding(TABLE, jnp.array([0.0, 1.0]))
    assert layers.embedding(TABLE, jnp.zeros((0,), jnp.int32)).shape == (0, 2)


def test_init_draws_a_standard_normal(key):
    table = layers.embedding_init(key, 200, 50)["embedding"]
    assert table.shape == (200, 50) and table.dtype == jnp.float32
    assert abs(table.mean()) < 0.03 and abs(table.std() - 1) < 0.03
    with pytest.raises(ValueError, match="num_tokens must be a positive whole number, not 0"):
        layers.embedding_init(jax.random.key(1), 0, 2)
