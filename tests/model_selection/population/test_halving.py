"""Successive halving: rungs by hand, and the race against the full study it takes a part of."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_study import assert_same, softmax_learner, study

from jaxdl.model_selection import Halving, refit
from jaxdl.model_selection.population.halving import losers, rungs
from jaxdl.training import EarlyStopping

# Nine rates; the largest diverge after three epochs or later.
RATES = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0]
GRID = [{"rate": r, "bad": 12.0 if r > 5 else 1e9} for r in RATES]
HOW = {"epochs": 9, "folds": 2, "seeds": 2, "strategy": "vmap"}


@pytest.fixture(scope="module")
def full():
    from conftest import enable_x64

    with enable_x64(True):
        return study(GRID, **HOW)


@pytest.fixture(scope="module")
def halved():
    from conftest import enable_x64

    with enable_x64(True):
        return study(GRID, halving=Halving(3), keep=("predictions", "states"), **HOW)


# -- rungs


@pytest.mark.parametrize(
    ("halving", "count", "epochs", "expected"),
    [
        (Halving(3), 27, 27, [(1, 9), (3, 3), (9, 1)]),
        (Halving(3), 9, 27, [(3, 3), (9, 1)]),
        (Halving(2), 8, 20, [(2, 4), (4, 2), (8, 1)]),
        (Halving(4, first=5), 10, 100, [(5, 3), (20, 1)]),
        (Halving(2, first=10), 4, 10, []),  # the first rung is the end: nobody is dropped
        (Halving(3), 1, 10, []),
        (Halving(3), 100, 4, [(1, 34), (3, 12)]),  # too few epochs to leave one
    ],
)
def test_rungs_by_hand(halving, count, epochs, expected):
    assert [tuple(rung) for rung in rungs(halving, count, epochs)] == expected


@given(
    factor=st.integers(2, 6), count=st.integers(1, 300), epochs=st.integers(1, 500),
)  # fmt: skip
@settings(deadline=None, max_examples=100, derandomize=True)
def test_rungs_narrow_by_the_factor_and_lengthen_by_it(factor, count, epochs):
    levels = rungs(Halving(factor), count, epochs)
    assert bool(levels) == (count > 1 and epochs >= factor)
    left = count
    for before, rung in zip([None, *levels], levels, strict=False):
        assert rung.keep == math.ceil(left / factor) < left
        assert before is None or rung.epochs == factor * before.epochs
        assert 1 <= rung.epochs < epochs
        left = rung.keep
    # No rung costs more than the first but for rounding up: that is what makes halving cheap.
    if levels and count >= factor:
        cost = count * levels[0].epochs
        for rung in levels[1:]:
            before = rung.epochs - rung.epochs // factor
            alive = math.ceil(count / factor ** (levels.index(rung)))
            assert alive * before <= cost + before


@pytest.mark.parametrize(
    ("halving", "message"),
    [
        (Halving(1), "whole number from 2"),
        (Halving(2.5), "whole number from 2"),
        (Halving(3, first=0), "after 1 to 9 epochs, not 0"),
        (Halving(3, first=10), "after 1 to 9 epochs, not 10"),
        ("yes", "takes a Halving"),
    ],
)
def test_bad_halving_gets_one_clear_error(halving, message):
    with pytest.raises(ValueError, match=message):
        study(GRID, **{**HOW, "halving": halving})


def test_evaluations_must_meet_the_rungs():
    with pytest.raises(ValueError, match="evaluate_every=2 must divide the first rung, 3"):
        study(GRID, **{**HOW, "halving": Halving(3, first=3), "evaluate_every": 2})


@given(
    scores=st.lists(
        st.one_of(st.floats(allow_nan=True), st.sampled_from([0.0, 1.0])), min_size=1, max_size=12
    ),
    data=st.data(),
)
@settings(deadline=None, max_examples=100, derandomize=True)
def test_losers_are_the_worst_of_those_alive(scores, data):
    scores = np.array(scores)
    alive = np.array(data.draw(st.lists(st.booleans(), min_size=len(scores), max_size=len(scores))))
    keep = data.draw(st.integers(1, len(scores)))
    dropped = losers(scores, alive, keep)
    assert not (dropped & ~alive).any()
    assert (alive & ~dropped).sum() == min(keep, alive.sum())
    loss = np.where(np.isfinite(scores), scores, np.inf)
    if dropped.any():
        assert loss[dropped].min() >= loss[alive & ~dropped].max()


# -- the race


def test_who_is_dropped_when_by_the_full_study(full, halved):
    """The rule replayed by hand on the curves of the study that drops nobody."""
    alive, expected = np.ones(len(GRID), bool), np.full(len(GRID), -1)
    for epochs, keep in [(1, 3), (3, 1)]:
        slot = int(np.flatnonzero(full.curve_epochs == epochs)[0])
        accuracy = full.curves["accuracy"][..., slot].mean((1, 2))
        failed = np.isnan(full.train_loss[..., :epochs]).any((1, 2, 3))
        loss = np.where(failed, np.inf, -accuracy)
        order = sorted(np.flatnonzero(alive), key=lambda s: (loss[s], s))
        for s in order[keep:]:
            alive[s], expected[s] = False, epochs
    np.testing.assert_array_equal(halved.dropped, expected)
    assert sorted(np.unique(halved.dropped)) == [-1, 1, 3]
    np.testing.assert_array_equal(halved.dropped >= 0, halved.epochs.max((1, 2)) < 9)


def test_what_was_trained_is_what_the_full_study_trained(full, halved):
    for s in range(len(GRID)):
        end = halved.dropped[s] if halved.dropped[s] >= 0 else 9
        np.testing.assert_allclose(
            halved.train_loss[s, ..., :end], full.train_loss[s, ..., :end], rtol=1e-12
        )
        assert np.isnan(halved.train_loss[s, ..., end:]).all()
        slot = int(np.flatnonzero(full.curve_epochs == end)[0])
        for metric in full.curves:
            reached = full.curves[metric][s, ..., slot]
            np.testing.assert_allclose(halved.curves[metric][s, ..., slot], reached, rtol=1e-12)
            np.testing.assert_allclose(halved.scores[metric][s], reached, rtol=1e-12)
    assert halved.epochs.sum() < full.epochs.sum() / 3


def test_dropped_settings_are_ranked_by_how_far_they_came_and_never_chosen(halved):
    best = halved.best()
    assert halved.dropped[best.index] == -1 and halved.ranking()[0] == best.index
    came = np.where(halved.dropped < 0, 99, halved.dropped)[halved.ranking()]
    whole = came[~halved.diverged.any((1, 2))[halved.ranking()]]
    assert (np.diff(whole) <= 0).all()
    simplest = halved.best(rule="one_standard_error", complexity=lambda h: h["rate"])
    assert simplest.index == best.index  # nobody else is left


def test_regret_is_what_halving_loses(full, halved):
    """Its choice scored by the full study is no better than the full study's own."""
    mean, _ = full.summary()
    regret = mean[full.best().index] - mean[halved.best().index]
    assert regret >= 0
    np.testing.assert_allclose(
        halved.best().mean, mean[halved.best().index], rtol=1e-12
    )  # a survivor's scores are those of the full study


def test_predictions_and_states_of_dropped_settings_are_of_their_rung(halved, x64):
    s = int(np.flatnonzero(halved.dropped == 3)[0])
    short = study([GRID[s]], keep=("predictions", "states"), **{**HOW, "epochs": 3})
    for k in range(2):
        np.testing.assert_allclose(halved.predictions[s, k], short.predictions[0, k], rtol=1e-12)
    np.testing.assert_allclose(
        np.asarray(halved.states[0].params)[s], np.asarray(short.states[0].params)[0], rtol=1e-12
    )


@pytest.mark.parametrize("compact", ["never", "always"])
def test_ways_to_run_agree(halved, compact, x64):
    other = study(
        GRID, halving=Halving(3), keep=("predictions", "states"), compact=compact,
        **{**HOW, "strategy": "map"},
    )  # fmt: skip
    assert_same(other, halved, rtol=1e-10, atol=1e-12)


def test_signatures_race_each_other(x64):
    """Two programs, one race: three of nine go on wherever they were compiled."""
    make = lambda h: softmax_learner({k: v for k, v in h.items() if k != "kind"})
    grid = [{**h, "kind": "ab"[s % 2]} for s, h in enumerate(GRID)]
    raced = study(grid, make=make, halving=Halving(3), **HOW)
    alone = study(GRID, halving=Halving(3), **HOW)
    np.testing.assert_array_equal(raced.dropped, alone.dropped)
    np.testing.assert_allclose(raced.scores["nll"], alone.scores["nll"], rtol=1e-10)
    assert raced.num_programs >= 2 and alone.num_programs >= 1


def test_halving_by_a_loss_and_with_early_stopping(full, x64):
    """A member that has stopped races on with the score of the state that it kept."""
    how = {**HOW, "evaluate_every": 1, "metric": "nll", "halving": Halving(3, first=3)}
    for restore, epoch in ((True, 1), (False, 2)):
        # Nothing is ever better by 10: the first epoch is the best, the second the last.
        rule = EarlyStopping(1, min_delta=10.0, restore_best=restore)
        raced = study(GRID, early_stopping=rule, **how)
        assert (raced.epochs == 2).all() and (raced.best_epochs == 1).all()
        kept = full.curves["nll"][..., epoch - 1]
        np.testing.assert_allclose(raced.scores["nll"], kept, rtol=1e-12)
        best = np.argsort(kept.mean((1, 2)))[:3]
        assert sorted(best) == list(np.flatnonzero(raced.dropped < 0))


def test_refit_after_halving_trains_to_the_end(halved, full, x64):
    from networks import three_classes

    data = three_classes(dtype=np.float64)
    one, other = (refit(s, data, index=halved.best().index) for s in (halved, full))
    np.testing.assert_allclose(one.predict(data[0]), other.predict(data[0]), rtol=1e-12)
