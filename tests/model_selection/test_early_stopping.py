"""Early stopping of each member of a study: as if it had been trained alone, however it is run."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from networks import three_classes
from tiny_study import RUN, assert_same, softmax_learner, study

from jaxdl import base
from jaxdl.model_selection import Folds, member_key, refit
from jaxdl.model_selection.study import Study
from jaxdl.training import EarlyStopping, fit

GRID = {"rate": [0.03, 0.5, 2.0], "noise": [0.1, 0.4]}
EARLY = EarlyStopping(patience=2, min_delta=1e-3)
WAYS = {
    "map": {"strategy": "map"},
    "chunked": {"strategy": "chunked", "chunk": 4},
    "sequential": {"strategy": "sequential"},
}


@pytest.fixture(scope="module")
def stopped() -> Study:
    from conftest import enable_x64

    with enable_x64(True):
        return study(GRID, strategy="vmap", early_stopping=EARLY, keep=("predictions", "states"))


def alone(h, part, fold, early, key=0):
    x, y = three_classes(dtype=np.float64)
    return fit(
        softmax_learner(h),
        (x[part.train], y[part.train]),
        key=member_key(jax.random.key(key), 0, fold),
        epochs=RUN["epochs"],
        batch_size=RUN["batch_size"],
        validation=(x[part.valid], y[part.valid]),
        early_stopping=early,
    )


def test_some_members_stop_and_some_do_not(stopped):
    assert (stopped.epochs < RUN["epochs"]).any() and (stopped.epochs == RUN["epochs"]).any()
    assert len(set(stopped.epochs.ravel().tolist())) > 3
    assert (stopped.best_epochs <= stopped.epochs).all() and (stopped.best_epochs > 0).all()


@pytest.mark.parametrize(("setting", "fold"), [(0, 0), (5, 2)])
def test_member_equals_fit(stopped, setting, fold, x64):
    one = alone(stopped.hparams[setting], stopped.folds[fold], fold, EARLY)
    at = (setting, fold, 0)
    assert int(one.history.best_epoch) == stopped.best_epochs[at]
    end = int(one.history.stopped)
    assert stopped.epochs[at] == (end if end >= 0 else RUN["epochs"])
    np.testing.assert_allclose(one.history.loss, stopped.train_loss[at], rtol=1e-10)
    for name, curve in one.history.validation.items():
        np.testing.assert_allclose(curve, stopped.curves[name][at], rtol=1e-10)
    state = jax.tree.map(lambda leaf: leaf[at], stopped.states[0])
    np.testing.assert_allclose(state.params, one.state.params, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(state.opt_state, one.state.opt_state, rtol=1e-9, atol=1e-12)


def test_the_rule_by_hand(stopped):
    """Each member's epochs again from the curve alone."""
    for at in np.ndindex(*stopped.epochs.shape):
        best, best_epoch, end = np.inf, 0, RUN["epochs"]
        for epoch, value in enumerate(stopped.curves["nll"][at], 1):
            if value < best - EARLY.min_delta:
                best, best_epoch = value, epoch
            elif epoch - best_epoch >= EARLY.patience:
                end = epoch
                break
        assert (stopped.best_epochs[at], stopped.epochs[at]) == (best_epoch, end)
        assert stopped.scores["nll"][at] == best


def test_scores_are_those_of_the_best_epoch_and_curves_flat_after_the_end(stopped):
    for at in np.ndindex(*stopped.epochs.shape):
        end, best = stopped.epochs[at], stopped.best_epochs[at]
        for name, curves in stopped.curves.items():
            assert stopped.scores[name][at] == curves[at][best - 1]
            assert (curves[at][end - 1 :] == curves[at][end - 1]).all()
        assert np.isfinite(stopped.train_loss[at][:end]).all()
        assert np.isnan(stopped.train_loss[at][end:]).all()


def test_predictions_and_states_are_of_the_best_epoch(stopped):
    x, y = three_classes(dtype=np.float64)
    for f, part in enumerate(stopped.folds):
        p = stopped.predictions[:, 0, part.valid]
        nll = -np.log(p[:, np.arange(len(part.valid)), y[part.valid]]).mean(1)
        np.testing.assert_allclose(nll, stopped.scores["nll"][:, f, 0], rtol=1e-9)
        z = x[part.valid] @ np.asarray(stopped.states[0].params[:, f, 0])
        by_state = np.exp(z) / np.exp(z).sum(-1, keepdims=True)
        np.testing.assert_allclose(by_state, p, rtol=1e-9)


@pytest.mark.parametrize("way", WAYS)
def test_strategies_agree(stopped, way, x64):
    other = study(GRID, early_stopping=EARLY, keep=("predictions", "states"), **WAYS[way])
    assert_same(other, stopped, rtol=1e-10, atol=1e-12)


def test_patience_and_delta_may_be_settings(stopped, x64):
    """Each setting has its own rule, in one program."""
    grid = [{"rate": 0.5, "noise": 0.1, "patience": p, "delta": d}
            for p, d in ((1.0, 1e-3), (2.0, 1e-3), (2.0, 0.05), (99.0, 0.0))]  # fmt: skip
    own = study(grid, early_stopping=lambda h: EarlyStopping(h["patience"], h["delta"]))
    assert own.num_programs - 1 <= np.log2(own.epochs.size)
    assert (own.epochs[3] == RUN["epochs"]).all()
    assert (own.epochs[0] <= own.epochs[1]).all() and (own.epochs[0] < own.epochs[3]).any()
    same = stopped.hparams.index({"rate": 0.5, "noise": 0.1})
    np.testing.assert_array_equal(own.epochs[1], stopped.epochs[same])
    np.testing.assert_allclose(own.scores["nll"][1], stopped.scores["nll"][same], rtol=1e-10)
    one = alone(grid[2], own.folds[1], 1, EarlyStopping(2.0, 0.05))
    assert int(one.history.best_epoch) == own.best_epochs[2, 1, 0]


def test_stopping_by_an_accuracy_and_without_the_best_state(x64):
    """Scores and states are those of the last epoch."""
    early = EarlyStopping(patience=1, metric="accuracy", restore_best=False)
    result = study(GRID, early_stopping=early, strategy="map", keep="states")
    x, y = three_classes(dtype=np.float64)
    assert (result.best_epochs < result.epochs).any()
    for at in np.ndindex(*result.epochs.shape):
        curve = result.curves["accuracy"][at][: result.epochs[at]]
        assert result.best_epochs[at] == 1 + np.argmax(curve)
        assert result.scores["accuracy"][at] == curve[-1]
        held = result.folds[at[1]].valid
        right = np.argmax(x[held] @ result.states[0].params[at], 1) == y[held]
        assert np.mean(right) == pytest.approx(curve[-1])


BAD_AFTER = [{"rate": 0.1, "bad": 1e9}, {"rate": 0.1, "bad": 10.0}, {"rate": 0.1, "bad": 0.0}]


def test_members_that_diverge_do_not_disturb(x64):
    """One of 8 epochs of three steps ends in the fourth, one in the first."""
    early = EarlyStopping(patience=3)
    wild = study(BAD_AFTER, early_stopping=early, strategy="vmap", devices=1)
    calm = study(BAD_AFTER[:1], early_stopping=early, strategy="map")
    assert wild.diverged[:, :, 0].all(1).tolist() == [False, True, True]
    np.testing.assert_allclose(wild.curves["nll"][0], calm.curves["nll"][0], rtol=1e-10)
    assert wild.epochs[1:, :, 0].tolist() == [[4] * 3, [1] * 3]
    assert (wild.best_epochs[1] == 3).all() and (wild.best_epochs[2] == 0).all()
    np.testing.assert_array_equal(wild.scores["nll"][1], wild.curves["nll"][1, ..., 2])
    assert np.isfinite(wild.scores["nll"]).all()
    assert wild.best().index == 0


def test_a_row_mate_that_diverges_between_evaluations_changes_nothing(x64):
    """Members of one row are evaluated at their own epochs, not wherever another one ends."""
    how = {"early_stopping": EarlyStopping(patience=1), "evaluate_every": 4}
    grid = [{"rate": 2.0, "bad": 1e9}, {"rate": 2.0, "bad": 16.0}]
    together, apart = (study(grid, strategy=s, devices=1, **how) for s in ("vmap", "map"))
    assert (together.epochs[1] == 6).all()
    assert_same(together, apart, rtol=1e-10, atol=1e-12)
    assert set(together.best_epochs[0].ravel().tolist()) <= {4, 8}


def test_refit_trains_for_the_mean_best_epoch(stopped):
    x, y = three_classes()
    index = int(np.argmin(stopped.best_epochs.mean((1, 2))))
    wanted = round(float(stopped.best_epochs[index].mean()))
    fitted = refit(stopped, (x, y), index=index)
    assert 1 <= wanted < RUN["epochs"]
    assert fitted.train_loss.shape == (1, wanted)
    assert fitted.recipe.early_stopping is None


def key_learner(h):
    """A random walk whose own key is in its state; as scores, how far it is from one."""
    return base.Learner(
        init=lambda key: (jnp.zeros(()), key),
        step=lambda s, batch, *, mask=None: _walk(s, h["rate"]),
        predict=lambda s, x: jnp.broadcast_to(s[0], x.shape[:1]),
        evaluate=lambda s, batch: {"far": jnp.broadcast_to((s[0] - 1) ** 2, batch[1].shape)},
    )


def _walk(state, rate):
    at, key = state
    key, use = jax.random.split(key)
    at = at + rate * (0.5 + jax.random.normal(use, dtype=at.dtype))
    return (at, key), {"loss": at**2}


def test_learners_whose_state_holds_typed_keys(allow_key_reuse):
    """JAX's own loops under vmap reuse a carried key in the eyes of its debug mode."""
    how = {"make": key_learner, "keep": "states", "folds": Folds(3, stratify=False), "early_stopping": EarlyStopping(2, maximize=False),
           "maximize": False}  # fmt: skip
    together = study({"rate": [0.1, 0.3]}, strategy="vmap", devices=1, **how)
    apart = study({"rate": [0.1, 0.3]}, strategy="map", **how)
    np.testing.assert_allclose(together.scores["far"], apart.scores["far"], rtol=1e-5)
    assert together.states[0][1].shape == (2, 3, 1)
    data = [np.asarray(jax.random.key_data(s.states[0][1])) for s in (together, apart)]
    np.testing.assert_array_equal(*data)


BAD = {
    "metric": (EarlyStopping(metric="speed"), "early stopping by 'speed', but the metrics are"),
    "patience": (EarlyStopping(-1), "patience of early stopping must be 0 or more"),
    "delta": (lambda h: EarlyStopping(1, -1.0), "min_delta of early stopping must be 0 or more"),
    "number": (lambda h: 3, "early_stopping takes an EarlyStopping, .* not 3"),
    "branch": (lambda h: EarlyStopping(1 if h["rate"] > 0 else 2), "value of a traced setting"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_rules_get_one_clear_error(case):
    early, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        study({"rate": [0.1]}, early_stopping=early)
