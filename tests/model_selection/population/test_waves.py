"""Members that take turns on the devices: the same numbers, and less on the devices at a time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_study import assert_same, study

from jaxdl import parallel
from jaxdl.model_selection import Execution
from jaxdl.model_selection.population import execute
from jaxdl.model_selection.population.plan import ExecutionPlan, choose_plan

GRID = [{"rate": rate, "bad": 3.0 if rate == 0.2 else 1e9} for rate in (0.05, 0.1, 0.2, 0.4, 0.8)]


@pytest.mark.parametrize("size", [6, 12, 30])
@pytest.mark.parametrize("chunk", [1, 3])
@pytest.mark.parametrize("waves", [1, 2, 4])
def test_every_member_has_its_turn_on_its_device(size, chunk, waves):
    plan = ExecutionPlan("chunked", chunk, (0, 1), "")
    index = execute.in_waves(size, plan, waves)
    assert index.shape[0] == waves and index.shape[1] % (2 * chunk) == 0
    assert set(index.ravel()) == set(range(size))
    halves = index.reshape(waves, 2, -1)  # each device's neighbours stay with it
    assert np.all(halves[:, 0] < size // 2) and np.all(halves[:, 1] >= size // 2)
    if waves == 1:
        assert index[0].tolist() == list(range(size))


def test_as_many_waves_as_needed():
    plan = ExecutionPlan("chunked", 3, (0, 1), "")
    assert [execute.most_waves(30, plan, n) for n in (1, 6, 11, 12, 29, 30, 99)] == [
        5,
        5,
        5,
        3,
        2,
        1,
        1,
    ]


@pytest.mark.smoke
def test_a_study_in_waves():
    """Its members stop at different times, and one diverges; two looks between waves."""
    how = {"strategy": "map", "keep": ("predictions", "states"), "seeds": 2}
    whole, parts = (study(GRID, **how, resident=resident) for resident in (None, 4))
    assert_same(parts, whole)
    assert "waves" in parts.strategy and "waves" not in whole.strategy


def test_what_does_not_fit_waits_on_the_host(monkeypatch):
    """What lies on the devices is too much, not what is computed: chunks stay as they are."""
    members = jnp.arange(64.0 * 512).reshape(64, 512)
    plan = choose_plan(64, Execution("chunked", 4, devices=jax.devices()[:1]))
    compiled = lambda: execute.compile(lambda _, x: x + 1, plan, (), members, auto=True)
    roomy = compiled()
    monkeypatch.setattr(parallel, "memory_limit", lambda device: roomy.bytes // 3)
    tight = compiled()
    assert tight.bytes <= roomy.bytes // 3 and tight.plan.chunk == 4
    assert "4 waves" in tight.plan.reason
    np.testing.assert_array_equal(tight.call((), members), np.asarray(members) + 1)


def test_keys_wait_too():
    keys = jax.random.split(jax.random.key(3), 7)
    plan = choose_plan(7, Execution("map", devices=jax.devices()[:1]))
    fn = lambda _, key: (jax.random.fold_in(key, 1), jax.random.normal(key))
    whole = execute.compile(fn, plan, (), keys).call((), keys)
    parts = execute.compile(fn, plan, (), keys, resident=2).call((), keys)
    for a, b in zip(whole, parts, strict=True):
        words = lambda x: (
            jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x
        )
        np.testing.assert_array_equal(words(a), words(b))


def test_a_bad_number():
    with pytest.raises(ValueError, match="resident"):
        choose_plan(3, Execution(resident=0))
