"""Members in a store and in rows, by hand."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.model_selection.population import store
from jaxdl.model_selection.population.store import Store
from jaxdl.training.run_state import RunState

SLOTS = np.array([[2, -1], [0, 3]])


def run_of(state, stopped):
    """A RunState of which two parts matter."""
    blank = dict.fromkeys(RunState._fields, ())
    return RunState(**{**blank, "state": state, "stopped": stopped, "diverged": stopped})


def members():
    state = {"a": np.array([10, 11, 12, 13]), "b": np.arange(8.0).reshape(4, 2)}
    return Store(run_of(state, np.full(4, -1, np.int32)), np.array([0.0, 0.1, 0.2, 0.3]))


def test_members_go_to_their_places_and_back():
    kept = members()
    rows = store.lay_out(kept, SLOTS)
    assert rows.run.state["a"][SLOTS >= 0].tolist() == [12, 10, 13]
    assert rows.run.state["b"].shape == (2, 2, 2) and rows.run.state["b"][1, 1].tolist() == [6, 7]
    assert rows.run.stopped.tolist() == [[-1, 0], [-1, -1]]  # an empty place has finished
    assert rows.held[SLOTS >= 0].tolist() == [0.2, 0.0, 0.3]
    state = {**rows.run.state, "a": np.array([[22, 99], [20, 23]])}  # 99 lies where no member is
    now = rows._replace(run=rows.run._replace(state=state))
    pick = lambda run: run.state["a"]
    assert store.peek(kept, None, SLOTS, pick).tolist() == [10, 11, 12, 13]
    assert store.peek(kept, now, SLOTS, pick).tolist() == [20, 11, 22, 23]
    back = store.put_back(kept, now, SLOTS)
    assert pick(back.run).tolist() == [20, 11, 22, 23]
    assert back.run.stopped.tolist() == [-1, -1, -1, -1]
    assert pick(kept.run).tolist() == [10, 11, 12, 13]
    np.testing.assert_array_equal(back.run.state["b"], kept.run.state["b"])


def test_keys_have_places_too(allow_key_reuse):
    keys = jax.random.split(jax.random.key(1), 4)
    kept = Store(run_of(keys, np.full(4, -1, np.int32)), ())
    rows = store.lay_out(kept, SLOTS)
    data = jax.random.key_data
    np.testing.assert_array_equal(data(rows.run.state[1, 1]), data(keys[3]))
    other = jax.random.split(jax.random.key(2), 4).reshape(2, 2)
    back = store.put_back(kept, rows._replace(run=rows.run._replace(state=other)), SLOTS).run.state
    np.testing.assert_array_equal(data(back[2]), data(other[0, 0]))
    np.testing.assert_array_equal(data(back[1]), data(keys[1]))


def test_an_empty_store():
    shapes = jax.eval_shape(lambda: (jnp.ones(2), jax.random.key(0), jnp.int32(0)))
    run, held = store.empty(3, run_of(shapes[:2], shapes[2]), shapes[0])
    numbers, keys = run.state
    assert numbers.tolist() == held.tolist() == [[0, 0]] * 3
    assert keys.shape == (3,) and keys.dtype == shapes[1].dtype
    assert run.stopped.tolist() == run.diverged.tolist() == [-1, -1, -1]
