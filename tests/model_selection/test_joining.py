"""Joined studies: the settings of several are those of one that tried them all at once."""

import dataclasses

import jax
import numpy as np
import pytest
from tiny_study import assert_same, study

from jaxdl.model_selection import join, tables
from jaxdl.training.batching import Lengths

RATES = [{"rate": rate} for rate in (0.03, 0.1, 0.3, 1.0)]


@pytest.fixture(scope="module")
def parts():
    whole = {"keep": ("predictions", "states", "train_scores"), "seeds": 2}
    return [study(grid, **whole) for grid in (RATES, RATES[:1], RATES[1:])]


def test_two_studies_are_the_one_of_all_settings(parts):
    one, *others = parts
    joined = join(others)
    assert joined.hparams == one.hparams
    flat = lambda states: jax.tree.map(lambda *leaves: np.concatenate(leaves), *states)
    assert len(one.states) == 1 and len(joined.states) == 2
    joined = dataclasses.replace(joined, states=[flat(joined.states)])
    assert_same(joined, one, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(joined.held_out, one.held_out, rtol=1e-5, atol=1e-6)
    assert joined.best().index == one.best().index
    assert joined.best().standard_error == pytest.approx(one.best().standard_error, rel=1e-5)
    np.testing.assert_array_equal(joined.num_params, one.num_params)


def test_programs_and_seconds_are_added_up(parts):
    _, a, b = parts
    joined = join([a, b])
    assert joined.num_programs == a.num_programs + b.num_programs
    assert joined.run_seconds == a.run_seconds + b.run_seconds
    assert tables.caption(joined).startswith(
        "4 settings x 3 folds x 2 seeds = 24 members in 2 programs"
    )


def test_what_one_study_has_not_is_left_out(parts):
    _, a, b = parts
    joined = join([a, dataclasses.replace(b, states=None, predictions=None, held_out=None)])
    assert joined.states is joined.predictions is joined.held_out is None
    assert joined.scores["nll"].shape == (4, 3, 2)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"seeds": [0, 2]}, "studies of other seeds cannot be joined"),
        ({"metric": "nll"}, "other metric cannot"),
        ({"scores": {"nll": np.zeros((3, 3, 2))}}, "other metrics cannot"),
        ({"folds": []}, "other folds cannot"),
        ({"hparams": [*RATES[1:3], {"rate": 0.03}]}, "the setting rate=0.03 is there twice"),
    ],
)
def test_studies_that_differ_are_refused(parts, changed, message):
    _, a, b = parts
    with pytest.raises(ValueError, match=message):
        join([a, dataclasses.replace(b, **changed)])


def test_what_one_study_tells_of_its_folds_is_kept(parts):
    _, a, b = parts
    unfit, best = np.array([False, True, False]), np.arange(6).reshape(1, 3, 2)
    a = dataclasses.replace(a, unfit=unfit, best_epochs=best)
    b = dataclasses.replace(b, best_epochs=np.zeros((3, 3, 2), int))
    joined = join([a, b])
    assert joined.unfit.tolist() == [False, True, False]
    assert joined.best_epochs.shape == (4, 3, 2)
    np.testing.assert_array_equal(joined.best_epochs[0], best[0])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("keys", {"key": jax.random.key(1)}),
        ("batch sizes", {"batch_size": 5}),
        ("lengths", {"lengths": Lengths(12, 9, 1, "keep")}),
    ],
)
def test_recipes_that_differ_are_refused(parts, name, value):
    _, a, b = parts
    other = dataclasses.replace(b, recipe=b.recipe._replace(**value))
    with pytest.raises(ValueError, match=f"studies of other {name} cannot be joined"):
        join([a, other])


def test_other_rows_in_a_fold_are_refused(parts):
    _, a, b = parts
    (first, *rest) = b.folds
    moved = [first._replace(train=first.train[::-1]), *rest]
    with pytest.raises(ValueError, match="other folds"):
        join([a, dataclasses.replace(b, folds=moved)])


def test_nothing_is_no_study():
    with pytest.raises(ValueError, match="there are no studies to join"):
        join([])
