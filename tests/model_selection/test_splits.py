import warnings

import jax
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn import model_selection as sk

from jaxdl.model_selection import (
    Fold,
    as_folds,
    group_k_fold,
    k_fold,
    leave_one_out,
    shuffle_split,
    stratified_k_fold,
    train_validation_test,
)

properties = settings(deadline=None, max_examples=30, derandomize=True)
keys = st.one_of(st.none(), st.integers(0, 50))
labels = st.lists(st.integers(0, 3), min_size=4, max_size=40)


def make_key(seed):
    return None if seed is None else jax.random.key(seed)


def assert_partition(folds, n):
    """Every example is validated exactly once, and fitted to in all other folds."""
    assert sorted(np.concatenate([f.valid for f in folds]).tolist()) == list(range(n))
    for fold in folds:
        assert sorted(np.concatenate(fold).tolist()) == list(range(n))


def assert_same(folds, pairs):
    pairs = list(pairs)
    assert len(folds) == len(pairs)
    for fold, (train, valid) in zip(folds, pairs, strict=True):
        np.testing.assert_array_equal(fold.train, train)
        np.testing.assert_array_equal(fold.valid, valid)


# train, validation, test


@properties
@given(n=st.integers(20, 90), a=st.integers(1, 8), b=st.integers(1, 8), seed=st.integers(0, 50))
def test_parts_are_disjoint_and_exhaustive(n, a, b, seed):
    assume(a + b <= 9)
    fractions = np.array([a, b, 10 - a - b]) / 10
    split = train_validation_test(n, fractions, key=jax.random.key(seed))
    assert sorted(np.concatenate(split).tolist()) == list(range(n))
    for part, fraction in zip(split, fractions, strict=True):
        assert abs(len(part) - fraction * n) < 1
        assert np.all(np.diff(part) > 0)


@properties
@given(y=labels, seed=st.integers(0, 50))
def test_parts_keep_the_classes_in_proportion(y, seed):
    y = np.array(y)
    assume(len(y) >= 10)
    split = train_validation_test(y, key=jax.random.key(seed))
    assert sorted(np.concatenate(split).tolist()) == list(range(len(y)))
    for part, fraction in zip(split, (0.6, 0.2, 0.2), strict=True):
        assert abs(len(part) - fraction * len(y)) < 1
        for label in np.unique(y):
            assert abs(np.sum(y[part] == label) - fraction * np.sum(y == label)) < 2


def test_stratification_is_exact_where_it_can_be(key):
    y = np.repeat(["a", "b"], [50, 10])
    split = train_validation_test(60, key=key, stratify=y)
    for part, size in zip(split, (6, 2, 2), strict=True):
        assert np.sum(y[part] == "a") == 5 * size and np.sum(y[part] == "b") == size


def test_split_depends_on_the_key_alone():
    first, again, other = (train_validation_test(40, key=jax.random.key(s)) for s in (0, 0, 1))
    np.testing.assert_array_equal(first.test, again.test)
    assert not np.array_equal(first.test, other.test)
    assert not np.array_equal(first.test, np.arange(32, 40))


def test_responses_that_are_real_are_not_stratified(key):
    y = np.linspace(0, 1, 20)
    split = train_validation_test(y, key=key)
    assert [len(part) for part in split] == [12, 4, 4]
    plain = train_validation_test(np.zeros(20, int), key=key, stratify=False)
    np.testing.assert_array_equal(split.train, plain.train)


def test_a_part_of_zero_is_empty(key):
    split = train_validation_test(10, (0.8, 0.2, 0), key=key)
    assert [len(part) for part in split] == [8, 2, 0]


@pytest.mark.parametrize(
    ("n", "fractions", "options", "message"),
    [
        (100, (0.6, 0.3, 0.2), {}, "must sum to 1"),  # the literal reading of the notes, D-24
        (100, (0.8, 0.1, 0.0), {}, "must sum to 1"),
        (100, (1.2, -0.1, -0.1), {}, "from 0 on"),
        (100, (0.5, 0.5), {}, "three numbers"),
        (100, (np.nan, 0.5, 0.5), {}, "from 0 on"),
        (2, (0.6, 0.2, 0.2), {}, "too few"),
        (0, (0.6, 0.2, 0.2), {}, "from 1 on"),
        (True, (0.6, 0.2, 0.2), {}, "from 1 on"),
        (100, (0.6, 0.2, 0.2), {"stratify": True}, "needs the labels"),
        (10, (0.6, 0.2, 0.2), {"stratify": np.zeros(9, int)}, r"have shape \(9,\) for 10 examples"),
        (10, (0.6, 0.2, 0.2), {"stratify": np.linspace(0, 1, 10)}, "fractions or NaN"),
    ],
)
def test_wrong_fractions_raise(key, n, fractions, options, message):
    with pytest.raises(ValueError, match=message):
        train_validation_test(n, fractions, key=key, **options)


def test_ten_ninety_of_the_notes_sums_to_one(key):
    assert [len(p) for p in train_validation_test(50, (0.8, 0.1, 0.1), key=key)] == [40, 5, 5]


@pytest.mark.parametrize("wrong", [0, None, np.zeros(2, np.uint32)])
def test_keys_are_typed(wrong):
    with pytest.raises(ValueError, match="typed key"):
        train_validation_test(10, key=wrong)


def test_a_batch_of_keys_is_refused(key):
    with pytest.raises(ValueError, match="single key"):
        k_fold(10, 2, key=jax.random.split(key, 3))


# folds


@properties
@given(n=st.integers(2, 40), k=st.integers(2, 9), seed=keys)
def test_k_fold_is_a_partition(n, k, seed):
    assume(k <= n)
    folds = k_fold(n, k, key=make_key(seed))
    assert_partition(folds, n)
    sizes = [len(fold.valid) for fold in folds]
    assert sizes == [n // k + (i < n % k) for i in range(k)]
    if seed is None:
        assert_same(folds, sk.KFold(k).split(np.zeros(n)))


@properties
@given(y=labels, k=st.integers(2, 5), seed=keys)
def test_stratified_k_fold_is_a_balanced_partition(y, k, seed):
    y = np.array(y)
    counts = np.bincount(y)
    assume(counts.max() >= k)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folds = stratified_k_fold(y, k, key=make_key(seed))
        expected = list(sk.StratifiedKFold(k).split(y, y))
    assert_partition(folds, len(y))
    for label, count in enumerate(counts):
        held = [np.sum(y[fold.valid] == label) for fold in folds]
        assert set(held) <= {count // k, -(-count // k)}
    if seed is None:
        assert_same(folds, expected)


def test_stratified_k_fold_takes_any_labels():
    y = np.array(["b", "a", "b", "a", "c", "c", "b", "a"])
    expected = list(sk.StratifiedKFold(2).split(y, y))
    assert_same(stratified_k_fold(y, 2), expected)
    assert_same(stratified_k_fold(y.astype(object), 2), expected)
    codes = np.array([1.0, 0, 1, 0, 2, 2, 1, 0])
    assert_same(stratified_k_fold(codes, 2), expected)


def test_a_small_class_warns_and_no_large_class_raises():
    with pytest.warns(UserWarning, match="smallest class has 1 members, fewer than k=3"):
        folds = stratified_k_fold(np.array([0, 0, 0, 0, 1]), 3)
    assert_partition(folds, 5)
    with pytest.raises(ValueError, match="more than the members of any class"):
        stratified_k_fold(np.array([0, 0, 1, 1]), 3)


def test_shuffled_folds_differ_from_unshuffled(key):
    assert not np.array_equal(k_fold(30, 3, key=key)[0].valid, np.arange(10))
    y = np.arange(30) % 2
    shuffled, plain = stratified_k_fold(y, 3, key=key), stratified_k_fold(y, 3)
    assert not np.array_equal(shuffled[0].valid, plain[0].valid)


@properties
@given(groups=st.lists(st.integers(0, 6), min_size=3, max_size=30), k=st.integers(2, 4))
def test_group_k_fold_keeps_groups_together(groups, k):
    groups = np.array(groups)
    assume(len(set(groups.tolist())) >= k)
    folds = group_k_fold(groups, k)
    assert_partition(folds, len(groups))
    for fold in folds:
        assert not set(groups[fold.train]) & set(groups[fold.valid])
    assert_same(folds, sk.GroupKFold(k).split(groups, groups=groups))


def test_leave_one_out_is_scikit_learns():
    assert_same(leave_one_out(7), sk.LeaveOneOut().split(np.zeros(7)))
    assert_partition(leave_one_out(7), 7)


def test_shuffle_split_gives_fresh_disjoint_parts(key):
    y = np.repeat([0, 1], [30, 10])
    folds = shuffle_split(y, 4, valid_fraction=0.3, key=key)
    assert len({tuple(fold.valid.tolist()) for fold in folds}) == 4
    for fold in folds:
        assert len(fold.valid) == 12 and np.sum(y[fold.valid]) == 3
        assert sorted(np.concatenate(fold).tolist()) == list(range(40))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: k_fold(5, 1), "from 2 to 5"),
        (lambda: k_fold(5, 6), "from 2 to 5"),
        (lambda: k_fold(5, 2.0), "must be an integer"),
        (lambda: k_fold(5.0, 2), "must be an integer"),
        (lambda: leave_one_out(1), "from 2 to 1"),
        (lambda: group_k_fold(["a", "a", "b"], 3), "number of groups"),
        (lambda: group_k_fold([0.5, np.nan], 2), "fractions or NaN"),
        (lambda: stratified_k_fold(np.array([0.1, 0.2, 0.3]), 2), "fractions or NaN"),
        (lambda: stratified_k_fold(np.zeros((4, 2), int), 2), r"have shape \(4, 2\)"),
        (lambda: stratified_k_fold(3, 2), r"have shape \(\)"),
        (lambda: shuffle_split(9, 0, key=jax.random.key(0)), "at least 1"),
        (lambda: shuffle_split(9, 2, valid_fraction=1.0, key=jax.random.key(0)), "between 0 and 1"),
        (lambda: shuffle_split(2, 2, valid_fraction=0.1, key=jax.random.key(0)), "too few"),
    ],
)
def test_wrong_numbers_of_folds_raise(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# any description of folds

SPLITTERS = {
    "KFold": sk.KFold(3, shuffle=True, random_state=0),
    "StratifiedKFold": sk.StratifiedKFold(3),
    "GroupKFold": sk.GroupKFold(3),
    "LeaveOneOut": sk.LeaveOneOut(),
    "ShuffleSplit": sk.ShuffleSplit(2, random_state=0),
    "RepeatedKFold": sk.RepeatedKFold(n_splits=2, n_repeats=2, random_state=0),
}


@pytest.mark.parametrize("name", SPLITTERS)
def test_scikit_learns_splitters_are_taken(name):
    y, groups = np.arange(12) % 2, np.arange(12) % 4 if name == "GroupKFold" else None
    folds = as_folds(SPLITTERS[name], 12, y, groups=groups)
    assert_same(folds, SPLITTERS[name].split(np.zeros((12, 1)), y, groups))
    assert all(isinstance(fold, Fold) for fold in folds)


def test_a_number_is_stratified_for_classes_only(key):
    y = np.repeat([0, 1], [6, 3])
    assert_same(as_folds(3, 9, y), sk.StratifiedKFold(3).split(y, y))
    assert_same(as_folds(3, 9, y.astype(bool)), sk.StratifiedKFold(3).split(y, y))
    assert_same(as_folds(3, 9, y / 7), sk.KFold(3).split(y))
    assert_same(as_folds(np.int64(3), 9), sk.KFold(3).split(y))
    groups = np.arange(9) // 2
    assert_same(as_folds(3, 9, y, groups=groups), sk.GroupKFold(3).split(y, y, groups))
    assert_same(as_folds(3, 9, y, key=key), stratified_k_fold(y, 3, key=key))


def test_pairs_are_kept_in_order_and_masks_become_indices():
    mask = np.array([True, False, True, False])
    folds = as_folds(iter([([3, 0], (2,)), (mask, ~mask), (mask.tolist(), [1])]), 4)
    expected = [([3, 0], [2]), ([0, 2], [1, 3]), ([0, 2], [1])]
    assert_same(folds, expected)
    assert all(part.dtype == np.intp for fold in folds for part in fold)
    assert_same(as_folds(folds, 4), expected)


@pytest.mark.parametrize(
    ("folds", "message"),
    [
        ([], "no folds"),
        ("ab", "must be a number, a splitter"),
        (2.5, "must be a number, a splitter"),
        (None, "must be a number, a splitter"),
        (True, "from 2 to 4"),
        (5, "from 2 to 4"),
        ([([0, 1], [4])], r"fold 0, valid: index 4 is outside 0\.\.3"),
        ([([0, -1], [2])], "fold 0, train: index -1 is outside"),
        ([([0], [1]), ([0, 1], [1, 2])], "fold 1: example 1 is in train and in valid"),
        ([([], [1])], "fold 0, train: no examples"),
        ([([0], [])], "fold 0, valid: no examples"),
        ([([0, 0], [1])], "example 0 occurs more than once"),
        ([([0], [1, 2, 1])], "example 1 occurs more than once"),
        ([([0.0, 1.0], [2])], "must be integers, not float64"),
        ([([np.nan], [2])], "must be integers, not float64"),
        ([(["a"], [2])], "must be integers"),
        ([([[0, 1]], [2])], "one dimension"),
        ([([[0], [1, 2]], [3])], "not a one-dimensional array"),
        ([([True, False], [2])], "a mask of 2 for 4 examples"),
        ([([False] * 4, [2])], "no examples"),
        ([(0, 1)], "one dimension"),
        (([0, 1, 2], [3]), "not a pair"),
        ([([0], [1], [2])], "not a pair"),
        ([3], "not a pair"),
    ],
)
def test_wrong_folds_raise_one_clear_line(folds, message):
    with pytest.raises(ValueError, match=message) as caught:
        as_folds(folds, 4)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["y", "groups"])
def test_responses_and_groups_have_a_row_for_each_example(name):
    with pytest.raises(ValueError, match=rf"{name} has shape \(3,\), but there are 4"):
        as_folds(2, 4, **{name: np.arange(3)})


def test_no_example_is_fitted_to_and_evaluated_on(key):
    """E-19 for every way of splitting."""
    y = np.arange(24) % 3
    ways = [
        *k_fold(24, 5),
        *stratified_k_fold(y, 4, key=key),
        *group_k_fold(y, 3),
        *leave_one_out(24),
        *shuffle_split(24, 3, key=jax.random.fold_in(key, 1)),
    ]
    assert len(ways) == 5 + 4 + 3 + 24 + 3
    assert all(not set(f.train.tolist()) & set(f.valid.tolist()) for f in ways)
