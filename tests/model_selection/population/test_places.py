"""Members in a store and in rows, by hand."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.model_selection.population import places

SLOTS = np.array([[2, -1], [0, 3]])


def test_members_go_to_their_places_and_back():
    store = {"a": np.array([10, 11, 12, 13]), "b": np.arange(8.0).reshape(4, 2)}
    rows = places.lay_out(store, SLOTS)
    assert rows["a"][SLOTS >= 0].tolist() == [12, 10, 13]
    assert rows["b"].shape == (2, 2, 2) and rows["b"][1, 1].tolist() == [6, 7]
    rows["a"] = np.array([[22, 99], [20, 23]])  # 99 lies where no member is
    back = places.put_back(store, rows, SLOTS)
    assert back["a"].tolist() == [20, 11, 22, 23]
    assert store["a"].tolist() == [10, 11, 12, 13]
    np.testing.assert_array_equal(back["b"], store["b"])


def test_keys_have_places_too(allow_key_reuse):
    keys = jax.random.split(jax.random.key(1), 4)
    rows = places.lay_out(keys, SLOTS)
    data = jax.random.key_data
    np.testing.assert_array_equal(data(rows[1, 1]), data(keys[3]))
    other = jax.random.split(jax.random.key(2), 4).reshape(2, 2)
    back = places.put_back(keys, other, SLOTS)
    np.testing.assert_array_equal(data(back[2]), data(other[0, 0]))
    np.testing.assert_array_equal(data(back[1]), data(keys[1]))


def test_an_empty_store():
    shapes = jax.eval_shape(lambda: (jnp.ones(2), jax.random.key(0)))
    numbers, keys = places.empty(3, shapes)
    assert numbers.tolist() == [[0, 0]] * 3
    assert keys.shape == (3,) and keys.dtype == shapes[1].dtype
