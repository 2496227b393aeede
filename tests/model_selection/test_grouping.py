"""Splits by groups: what they must keep, and how near to their shares they come."""

import jax
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn import model_selection as sk

from jaxdl.model_selection import group_split, stratified_group_k_fold

properties = settings(deadline=None, max_examples=60, derandomize=True)
rows = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2)), min_size=6, max_size=60)


def assert_whole(parts, groups):
    """No group is in two parts."""
    found = [set(np.asarray(groups)[part].tolist()) for part in parts]
    assert sum(map(len, found)) == len(set().union(*found))


@properties
@given(rows=rows, k=st.integers(2, 5), seed=st.integers(0, 20))
def test_folds_keep_groups_together(rows, k, seed):
    groups, y = np.array(rows).T
    assume(len(set(groups.tolist())) >= k)
    folds = stratified_group_k_fold(y, groups, k, key=jax.random.key(seed))
    assert sorted(np.concatenate([f.valid for f in folds]).tolist()) == list(range(len(y)))
    for fold in folds:
        assert len(fold.valid) and sorted(np.concatenate(fold).tolist()) == list(range(len(y)))
        assert_whole(fold, groups)


@properties
@given(rows=rows, seed=st.integers(0, 20))
def test_three_parts_keep_groups_together(rows, seed):
    groups, y = np.array(rows).T
    assume(len(set(groups.tolist())) >= 3)
    split = group_split(groups, (0.5, 0.2, 0.3), key=jax.random.key(seed), stratify=y)
    assert sorted(np.concatenate(split).tolist()) == list(range(len(y)))
    assert all(len(part) for part in split)
    assert_whole(split, groups)


def misfit(folds, y):
    """How far the folds are from their shares, in all classes and in size, squared."""
    table = np.stack([np.bincount(y[f.valid], minlength=y.max() + 1) for f in folds])
    table = np.column_stack([table, table.sum(1)])
    return np.sum((table - table.mean(0)) ** 2 / table.mean(0))


def test_folds_are_as_balanced_as_scikit_learns():
    ours, theirs, by_size = [], [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        groups = rng.integers(0, 40, 300) ** 2 // 40
        y = (rng.random(300) < 0.2 + 0.5 * rng.random(40)[groups]).astype(int) + (groups % 3 == 0)
        ours.append(misfit(stratified_group_k_fold(y, groups, 5), y))
        for found, splitter in ((theirs, sk.StratifiedGroupKFold(5)), (by_size, sk.GroupKFold(5))):
            pairs = splitter.split(np.zeros((300, 1)), y, groups)
            found.append(misfit([type("F", (), {"valid": valid}) for _, valid in pairs], y))
    assert np.mean(ours) < 1.02 * np.mean(theirs) and np.mean(ours) < 0.6 * np.mean(by_size)


def test_groups_of_one_are_stratified_rows(key):
    """Then each class, and each size, is within one of its share, as of StratifiedKFold."""
    y = np.repeat([0, 1, 2], [33, 21, 8])
    folds = stratified_group_k_fold(y, np.arange(62), 5, key=key)
    table = np.stack([np.bincount(y[f.valid], minlength=3) for f in folds])
    assert np.all(np.ptp(table, axis=0) <= 1) and np.ptp(table.sum(1)) <= 1
    split = group_split(np.arange(62), (0.5, 0.0, 0.5), key=key, stratify=y)
    assert not len(split.validation)
    assert np.all(np.abs(np.bincount(y[split.test]) - [16.5, 10.5, 4]) <= 0.5)
    assert abs(len(split.test) - 31) <= 1


def test_groups_of_one_make_up_for_large_ones(key):
    """One group holds half of the positives; rows on their own go where those are not."""
    y = np.array([1] * 10 + [0] * 10 + [1] * 10 + [0] * 70)
    groups = np.array([0] * 20 + list(range(1, 81)))
    folds = stratified_group_k_fold(y, groups, 2, key=key)
    assert [np.bincount(y[f.valid]).tolist() for f in folds] == [[40, 10], [40, 10]]


def test_each_group_is_tested_as_often_as_its_share_says():
    """Whatever its size: a test part of small groups alone would be of another population."""
    groups = np.repeat(np.arange(24), [1, 2, 3, 4, 5, 9] * 4)
    tested = np.zeros(24)
    for seed in range(400):
        split = group_split(groups, (0.75, 0.0, 0.25), key=jax.random.key(seed))
        tested[np.unique(groups[split.test])] += 1 / 400
        assert abs(len(split.test) - 24) <= 9
    by_size = tested.reshape(4, 6).mean(0)
    assert np.all(np.abs(by_size - 0.25) < 0.12), by_size
    assert np.all(np.abs(by_size[1:] - 0.25) < 0.06), by_size


def test_the_key_decides(key):
    groups = np.repeat(np.arange(20), 3)
    one, same = (group_split(groups, key=key) for _ in range(2))
    other = group_split(groups, key=jax.random.key(7))
    assert np.array_equal(one.test, same.test) and not np.array_equal(one.test, other.test)
    first = stratified_group_k_fold(None, groups, 4, key=key)
    second = stratified_group_k_fold(None, groups, 4, key=jax.random.key(7))
    assert not all(np.array_equal(a.valid, b.valid) for a, b in zip(first, second, strict=True))
    assert {len(f.valid) for f in first} == {15}


def test_a_group_larger_than_the_test_part_is_trained_on(key):
    groups = np.repeat([0, 1, 2, 3, 4], [60, 10, 10, 10, 10])
    for seed in range(20):
        split = group_split(groups, (0.75, 0.0, 0.25), key=jax.random.key(seed))
        assert 0 in groups[split.train] and 20 <= len(split.test) <= 30


def test_groups_larger_than_a_fold_go_to_different_folds():
    groups = np.repeat([0, 1, 2, 3], [40, 35, 2, 2])
    folds = stratified_group_k_fold(None, groups, 4)
    assert sorted(len(f.valid) for f in folds) == [2, 2, 35, 40]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda k: group_split(["a", "a"], (0.5, 0.0, 0.5), key=k), "too few groups, 1, for the fractions"),
        (lambda k: group_split([1, 2, 3], (0.5, 0.1, 0.5), key=k), "three that sum to 1"),
        (lambda k: group_split([1, 2, 3], (0.5, 0.5), key=k), "three that sum to 1"),
        (lambda k: group_split([[1], [2]], key=k), "groups must be"),
        (lambda k: group_split([1, 2, 3], key=k, stratify=[0, 1]), "labels must be"),
        (lambda k: stratified_group_k_fold([0, 1, 1], [0, 0, 1], 3), "from 2 to 2, the number of groups"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_line(make, message, key):
    with pytest.raises(ValueError, match=message):
        make(key)
