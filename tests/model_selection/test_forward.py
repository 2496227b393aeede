"""Splits forward in time, against scikit-learn's TimeSeriesSplit and by hand."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.model_selection import TimeSeriesSplit

from jaxdl.model_selection import forward_k_fold, forward_split

properties = settings(deadline=None, max_examples=60, derandomize=True)


@pytest.mark.parametrize(("n", "k"), [(6, 5), (20, 3), (23, 5)])
def test_folds_of_different_times_are_scikit_learns(n, k):
    order = np.random.default_rng(n).permutation(n)  # order[i] is when row i was
    rows = np.argsort(order)
    for fold, (train, valid) in zip(
        forward_k_fold(order * 1.5, k), TimeSeriesSplit(k).split(rows), strict=True
    ):
        np.testing.assert_array_equal(fold.train, np.sort(rows[train]))
        np.testing.assert_array_equal(fold.valid, np.sort(rows[valid]))


@properties
@given(times=st.lists(st.integers(0, 12), min_size=4, max_size=60), k=st.integers(2, 5))
def test_what_is_validated_is_later_than_what_is_fitted_to(times, k):
    times = np.array(times)
    assume(len(np.unique(times)) > k)
    folds = forward_k_fold(times, k)
    assert len(folds) == k
    for i, fold in enumerate(folds):
        assert len(fold.train) and len(fold.valid)
        assert times[fold.train].max() < times[fold.valid].min()
        earlier = np.flatnonzero(times < times[fold.valid].min())
        np.testing.assert_array_equal(fold.train, earlier)
        if i + 1 < k:
            assert times[fold.valid].max() < times[folds[i + 1].valid].min()
    assert times[folds[-1].valid].max() == times.max()


@properties
@given(times=st.lists(st.integers(0, 9), min_size=2, max_size=60), share=st.floats(0.05, 0.95))
def test_the_test_part_is_the_latest_and_as_large_as_ties_allow(times, share):
    times = np.array(times)
    assume(len(np.unique(times)) > 1)
    split = forward_split(times, share)
    assert sorted(np.concatenate(split).tolist()) == list(range(len(times)))
    assert times[split.train].max() < times[split.test].min()
    possible = [np.sum(times >= t) for t in np.unique(times)[1:]]
    off = np.abs(np.array(possible) - share * len(times)).min()
    assert abs(len(split.test) - share * len(times)) == pytest.approx(off)


def test_dates_are_times():
    days = np.array(["2024-03-01", "2024-01-01", "2024-02-01", "2024-02-01"], "datetime64[D]")
    split = forward_split(days, 0.5)
    assert split.train.tolist() == [1] and split.test.tolist() == [0, 2, 3]
    assert [f.valid.tolist() for f in forward_k_fold(days, 2)] == [[2, 3], [0]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: forward_split([1.0, np.nan]), "row 1 has no time"),
        (lambda: forward_split(np.array(["2024-01-01", "NaT"], "datetime64[D]")), "row 1 has no"),
        (lambda: forward_split([2, 2, 2]), "all rows are of one time"),
        (lambda: forward_split(["a", "b"]), "must be numbers or dates"),
        (lambda: forward_split([[1], [2]]), "must be numbers or dates"),
        (lambda: forward_split([1, 2], 1.0), "test_fraction must lie between 0 and 1, not 1.0"),
        (lambda: forward_k_fold([1, 2, 2], 2), "from 2 to 1, the number of times after the first"),
    ],
)
def test_what_cannot_be_is_one_line(make, message):
    with pytest.raises(ValueError, match=message):
        make()
