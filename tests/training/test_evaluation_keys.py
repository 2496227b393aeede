"""Scores by Monte Carlo: which draws they see, under every strategy, chunk and number of devices."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tiny_study import with_execution

from jaxdl.base import Objective, evaluation_key, stateless
from jaxdl.model_selection import Execution, cross_validate
from jaxdl.model_selection.population.keys import member_key
from jaxdl.training import fit, gradient_learner, passes
from jaxdl.training.batching import Lengths, Rows

N = 24
X = np.linspace(-1, 1, N).astype(np.float32)


def drawing_learner(shift=0.0, rate=0.1):
    """Its score of a row is a draw of the evaluation's key; nothing of it depends on the data."""

    def loss(w, state, batch, *, key=None, train=False, mask=None):
        return jnp.square(w - shift), (state, {})

    def evaluate(w, state, batch, *, key=None):
        return {"nll": jax.random.normal(key, batch.shape) + 0 * w}

    model = stateless(lambda key: jnp.zeros(()), lambda *a, **k: None)
    return gradient_learner(model, Objective(loss, lambda w, s, x: x, evaluate), optax.sgd(rate))


def study(**how):
    return cross_validate(
        lambda h: drawing_learner(h["shift"]), {"shift": [0.0, 1.0, 2.0]}, X,
        key=jax.random.key(5), folds=3, seeds=2, epochs=4, batch_size=4, evaluate_every=2, **how,
    )  # fmt: skip


@pytest.fixture(scope="module")
def one_by_one():
    return study(execution=Execution("sequential"))


def test_settings_of_a_fold_and_seed_see_the_same_draws(one_by_one):
    scores = one_by_one.curves["nll"]  # [settings, folds, seeds, evaluations]
    np.testing.assert_array_equal(scores[0], scores[1])
    np.testing.assert_array_equal(scores[0], scores[2])
    np.testing.assert_array_equal(scores[..., 0], scores[..., 1])  # at every epoch too
    draws = scores[0, :, :, 0].ravel()
    assert len(set(draws.tolist())) == 6  # each fold and seed has its own


@pytest.mark.parametrize(
    "how",
    [{"strategy": "vmap"}, {"strategy": "map"}, {"chunk": 2}, {"chunk": 5},
     {"strategy": "vmap", "devices": 1}, {"strategy": "map", "devices": 2}],
    ids=str,
)  # fmt: skip
def test_a_strategy_changes_no_draw(one_by_one, how):
    # One draw lies a tenth and more from the next; the order of their sum rounds.
    np.testing.assert_allclose(
        study(**with_execution(how)).curves["nll"], one_by_one.curves["nll"], rtol=1e-6, atol=1e-7
    )


def test_a_member_is_scored_as_it_is_alone(one_by_one):
    fold = one_by_one.folds[1]
    alone = fit(drawing_learner(), X[fold.train], key=member_key(jax.random.key(5), 1, 1),
                epochs=4, batch_size=4, evaluate_every=2, validation=X[fold.valid])  # fmt: skip
    np.testing.assert_array_equal(
        alone.history.validation["nll"], one_by_one.curves["nll"][0, 1, 1]
    )


def test_the_draws_by_hand():
    """fold_in by the evaluation's number, the slice's, and the evaluation's again."""
    learner = drawing_learner()
    state = learner.init(jax.random.key(0))
    rows = Rows(jnp.arange(N, dtype=jnp.int32), jnp.ones(N, bool))
    sliced = passes.evaluate_rows(learner, state, X, rows, Lengths(1, 1, 1, eval_batch=10))
    expected = [
        jax.random.normal(
            evaluation_key(jax.random.fold_in(evaluation_key(state.key), i)), (10,)
        )[: 10 if i < 2 else 4]
        for i in range(3)
    ]  # fmt: skip
    np.testing.assert_allclose(sliced["nll"], np.mean(np.concatenate(expected)), rtol=1e-5)


def test_no_two_slices_share_their_draws():
    learner = drawing_learner()
    state = learner.init(jax.random.key(0))
    one = lambda rows: float(
        passes.evaluate_rows(learner, state, X, rows, Lengths(1, 1, 1, eval_batch=1))["nll"]
    )
    first = one(Rows(jnp.array([0, 1], jnp.int32), jnp.array([True, False])))
    both = one(Rows(jnp.array([0, 1], jnp.int32), jnp.array([True, True])))
    second = 2 * both - first
    assert abs(first - second) > 1e-3
