"""fit: the loop for one learner."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import classifier, three_classes

from jaxdl.training import fit, passes
from jaxdl.training.batching import Lengths, Rows, epoch_order, stable_argsort


def test_history_and_learning(key):
    x, y = three_classes(60)
    learner = classifier({"rate": 0.03})
    result = fit(learner, (x, y), key=key, epochs=30, batch_size=16, validation=(x, y),
                 evaluate_every=10)  # fmt: skip
    assert result.history.loss.shape == (30,)
    assert result.history.epochs.tolist() == [10, 20, 30]
    assert result.history.validation["nll"].shape == (3,)
    assert result.history.loss[-1] < 0.5 * result.history.loss[0]
    assert int(result.history.diverged) == -1
    assert int(result.state.step) == 30 * 4
    loss = result.history.loss
    assert repr(result).splitlines() == [
        "43 parameters after step 120",
        f"training loss {loss[0]:.4g} in epoch 1, {loss[-1]:.4g} in epoch 30 of 30",
        f"validation: accuracy {result.history.validation['accuracy'][-1]:.4g}, "
        f"nll {result.history.validation['nll'][-1]:.4g} at the end",
    ]
    direct = learner.evaluate(result.state, (jnp.asarray(x), jnp.asarray(y)))
    np.testing.assert_allclose(
        result.history.validation["nll"][-1], jnp.mean(direct["nll"]), rtol=1e-5
    )


def test_fit_inside_other_transformations(key):
    x, y = three_classes(20)

    def run(rate):
        result = fit(classifier({"rate": rate}), (x, y), key=key, epochs=2)
        assert len(repr(result)) < 200  # traced or not
        return result.history.loss

    with jax.debug_key_reuse(False):
        alone = run(0.03)
        np.testing.assert_allclose(jax.jit(run)(0.03), alone, rtol=1e-5)
        np.testing.assert_allclose(jax.vmap(run)(jnp.array([0.03, 0.1]))[0], alone, rtol=1e-5)


def test_the_same_learner_compiles_once(key):
    x, y = three_classes(20)
    traces = []
    learner = classifier({"rate": 0.03})
    counted = learner._replace(
        step=lambda ts, batch, **kw: (traces.append(1), learner.step(ts, batch, **kw))[1]
    )
    first = fit(counted, (x, y), key=key, epochs=2, batch_size=5)
    count = len(traces)
    second = fit(counted, (x, y), key=jax.random.key(0), epochs=2, batch_size=5)
    assert len(traces) == count > 0
    np.testing.assert_array_equal(first.history.loss, second.history.loss)


def test_full_batch_equals_plain_gradient_steps(key, x64):
    x, y = three_classes(20, dtype=np.float64)
    learner = classifier({"rate": 0.03})
    result = fit(learner, (x, y), key=key, epochs=5)
    state = learner.init(jax.random.split(jax.random.key(0))[0])
    for _ in range(5):
        state, info = learner.step(state, (jnp.asarray(x), jnp.asarray(y)))
    np.testing.assert_allclose(result.history.loss[-1], info["loss"], rtol=1e-12)


def test_divergence_is_flagged_and_frozen(key):
    x, y = three_classes(20)
    learner = classifier({"rate": 1e30, "l2": 1e-3})
    result = fit(learner, (x, y), key=key, epochs=5)
    bad = int(result.history.diverged)
    assert bad == np.flatnonzero(~np.isfinite(result.history.loss))[0]
    assert f"diverged in epoch {bad + 1}: the loss was {float(result.history.loss[bad]):g}" in repr(
        result
    )
    before = fit(learner, (x, y), key=jax.random.key(0), epochs=bad)
    assert abs(before.state.params["dense_0"]["kernel"]).max() > 1e20  # one step was taken
    jax.tree.map(np.testing.assert_array_equal, result.state.params, before.state.params)


def test_fit_works_under_vmap_over_keys(x64):
    x, y = three_classes(20, dtype=np.float64)
    learner = classifier({"rate": 0.03, "dropout": 0.1})
    keys = jax.random.split(jax.random.key(0), 3)
    again = jax.random.clone(keys)
    many = jax.vmap(lambda k: fit(learner, (x, y), key=k, epochs=3, batch_size=8).history.loss)(
        keys
    )
    one = fit(learner, (x, y), key=again[1], epochs=3, batch_size=8).history.loss
    np.testing.assert_allclose(many[1], one, rtol=1e-9)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"epochs": 0}, "epochs must be a positive"),
        ({"batch_size": 0}, "batch_size must be a positive"),
        ({"batch_size": 2.5}, "batch_size must be a positive"),
        ({"remainder": "pad"}, "remainder is"),
        ({"remainder": "drop", "batch_size": 50}, "there would be no step"),
        ({"data": (np.ones((3, 4)), np.zeros(2, int))}, "differ in length"),
        ({"data": (np.ones((0, 4)), np.zeros(0, int))}, "no rows"),
    ],
)
def test_bad_input(how, message, key):
    how = {"data": three_classes(20), "epochs": 1, **how}
    data = how.pop("data")
    with pytest.raises(ValueError, match=message):
        fit(classifier({"rate": 0.1}), data, key=key, **how)


padded_order = jax.jit(lambda seed, n: epoch_order(jax.random.key(seed), jnp.arange(40) < n))


@settings(deadline=None, max_examples=30, derandomize=True)
@given(n=st.integers(1, 40), seed=st.integers(0, 99))
def test_an_order_is_a_permutation_of_the_rows_that_count(n, seed):
    order = np.asarray(padded_order(seed, n))
    assert sorted(order[:n]) == list(range(n))
    assert sorted(order[n:]) == list(range(n, 40))


@pytest.mark.parametrize("n", [1, 7, 39])
def test_padding_does_not_change_an_order(n):
    alone = epoch_order(jax.random.key(3), jnp.ones(n, bool))
    np.testing.assert_array_equal(padded_order(3, n)[:n], alone)


@pytest.mark.parametrize("n", [1, 2, 500, 1 << 16, (1 << 16) + 3])
def test_ties_stay_in_order(n):
    """Against NumPy, with words of which many are equal in one half or in both."""
    rng = np.random.default_rng(n)
    words = rng.choice(np.array([0, 1, 0x10000, 0x10001, 0x7FFFFFFF, 0xFFFFFFFF], np.uint32), n)
    words[::3] = rng.integers(0, 1 << 32, len(words[::3]), dtype=np.uint32)
    expected = np.argsort(words, kind="stable")
    np.testing.assert_array_equal(stable_argsort(jnp.asarray(words)), expected)


def test_orders_are_uniform():
    """Each row is first about equally often: chi-squared over 2000 draws, 9 degrees of freedom."""
    keys = jax.random.split(jax.random.key(5), 2000)
    first = jax.vmap(lambda k: epoch_order(k, jnp.ones(10, bool))[0])(keys)
    counts = np.bincount(np.asarray(first), minlength=10)
    assert np.sum((counts - 200) ** 2 / 200) < 27.9  # 0.001 quantile


@settings(deadline=None, max_examples=25, derandomize=True)
@given(epochs=st.integers(1, 30), every=st.integers(1, 30))
def test_the_last_epoch_is_always_evaluated(epochs, every):
    taken = Lengths(1, epochs, min(every, epochs)).evaluation_epochs
    assert taken[-1] == epochs and np.all(np.diff(taken) > 0)


def test_evaluation_in_slices_equals_the_whole(x64):
    x, y = three_classes(23, dtype=np.float64)
    learner = classifier({})
    state = learner.init(jax.random.key(0))
    rows = Rows(jnp.arange(23), jnp.arange(23) < 19)
    data = (jnp.asarray(x), jnp.asarray(y))
    whole, sliced = (
        passes.evaluate_rows(learner, state, data, rows, Lengths(1, 1, 1, eval_batch=size))
        for size in (100, 5)
    )
    by_hand = np.mean(learner.evaluate(state, (data[0][:19], data[1][:19]))["nll"])
    np.testing.assert_allclose(whole["nll"], by_hand, rtol=1e-12)
    np.testing.assert_allclose(sliced["nll"], by_hand, rtol=1e-12)
