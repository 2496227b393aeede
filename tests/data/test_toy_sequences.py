"""Toy sequences: the tasks by hand, their baselines by their closed forms and by simulation."""

import math

import numpy as np
import pytest

from jaxdl.data import toy_sequences as toy


@pytest.mark.parametrize("task", [toy.copy, toy.reverse])
def test_symbols_and_lengths(task):
    source, target = task(3, 400, length=6, min_length=2, num_symbols=5)
    assert source.values.shape == target.values.shape == (400, 6)
    np.testing.assert_array_equal(source.lengths, target.lengths)
    assert set(source.lengths.tolist()) == {2, 3, 4, 5, 6}
    assert set(source.values[np.asarray(source.mask)].tolist()) == {4, 5, 6, 7, 8}
    for x, y, length in zip(source.values, target.values, source.lengths, strict=True):
        said = x[:length][::-1] if task is toy.reverse else x[:length]
        np.testing.assert_array_equal(y[:length], said)
        assert not x[length:].any() and not y[length:].any()


def test_seeds_decide_all_and_alone():
    one, two, other = (toy.reverse(seed, 20).source.values for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert (one != other).any()
    assert toy.copy(0, 5).source.values.shape == (5, 16)


def test_sums_are_right_and_no_pair_comes_twice():
    """All 55 unordered pairs of one digit, each once, in an order of chance."""
    questions, answers = toy.addition(0, 55, digits=1)
    pairs = [tuple(map(int, q.split("+"))) for q in questions]
    assert [a + b for a, b in pairs] == [int(a) for a in answers]
    assert {frozenset(p) for p in pairs} == {
        frozenset((a, b)) for a in range(10) for b in range(10)
    }
    assert any(a < b for a, b in pairs) and any(a > b for a, b in pairs)


def test_sums_of_many_digits_are_of_the_whole_triangle():
    questions, answers = toy.addition(1, 2000, digits=6)
    pairs = [tuple(map(int, q.split("+"))) for q in questions]
    assert all(0 <= n < 10**6 for p in pairs for n in p)
    assert [a + b for a, b in pairs] == [int(a) for a in answers]
    # The larger of two uniform numbers has the mean 2/3 of the range and the deviation 1/sqrt(18).
    larger = np.mean([max(p) for p in pairs]) / 1e6
    assert abs(larger - 2 / 3) < 4 / math.sqrt(18 * 2000)


def test_characters_become_tokens():
    tokens = toy.addition_tokens(["0+9", "10"])
    assert tokens.values.tolist() == [[4, 14, 13], [5, 4, 0]]
    assert tokens.lengths.tolist() == [3, 2]
    with pytest.raises(ValueError, match="not '-'"):
        toy.addition_tokens(["3-1"])


def test_two_marks_one_in_each_half():
    x, y = toy.adding_problem(0, 500, length=7, min_length=2)
    lengths = np.asarray(x.lengths)
    values, marks = x.values[..., 0], x.values[..., 1]
    assert set(lengths.tolist()) == {2, 3, 4, 5, 6, 7}
    places = np.arange(7)
    first_half = places < (lengths // 2)[:, None]
    inside = places < lengths[:, None]
    np.testing.assert_array_equal((marks * first_half).sum(1), 1)
    np.testing.assert_array_equal((marks * (inside & ~first_half)).sum(1), 1)
    np.testing.assert_array_equal(marks.sum(1), 2)
    np.testing.assert_allclose(y, (values * marks).sum(1), rtol=1e-6)
    assert not values[~inside].any()
    # Every place of a half is marked now and then: of length 7, 0-2 and 3-6.
    assert (marks[lengths == 7].sum(0) > 0).all()


def test_one_prediction_for_all_has_the_error_of_its_formula():
    assert toy.adding_baseline() == pytest.approx(0.16667, abs=1e-5)
    y = toy.adding_problem(0, 200_000, length=2).y
    for c in (1.0, 0.5):
        assert np.mean((y - c) ** 2) == pytest.approx(toy.adding_baseline(c), rel=0.01)


def test_copy_memory_by_hand():
    """T = 3, L = 2: two symbols, two blanks, the delimiter, two blanks."""
    source, target = toy.copy_memory(5, 50, delay=3, length=2)
    a, b = source.values[:, 0], source.values[:, 1]
    assert a.min() == 0 and a.max() == 7
    expected = np.stack([a, b, *np.full((2, 50), 8), np.full(50, 9), *np.full((2, 50), 8)], 1)
    np.testing.assert_array_equal(source.values, expected)
    np.testing.assert_array_equal(target.values, np.stack([*np.full((5, 50), 8), a, b], 1))
    assert set(source.lengths.tolist()) == {7}
    # The first symbol is said T + L steps after it was read; the delimiter stands right before.
    assert (source.values[:, target.values.shape[1] - 2 - 1] == 9).all()


def test_guessing_the_symbols_costs_the_baseline():
    delay = 12
    target = toy.copy_memory(0, 30, delay=delay).target.values
    p = np.full((*target.shape, 10), 1e-300)
    p[:, :-10, 8] = 1
    p[:, -10:, :8] = 1 / 8
    nll = -np.log(np.take_along_axis(p, target[..., None], -1)).mean()
    assert nll == pytest.approx(toy.copy_memory_baseline(delay), rel=1e-12)
    assert toy.copy_memory_baseline(delay) == pytest.approx(10 * math.log(8) / (delay + 20))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: toy.copy(-1), "seed must be a whole number from 0 on, not -1"),
        (lambda: toy.copy(True), "seed must be"),
        (lambda: toy.copy(0, 0), "n must be a positive whole number"),
        (lambda: toy.reverse(0, length=3, min_length=4), "lengths must be from 1 to 3, not from 4"),
        (lambda: toy.copy(0, num_symbols=0), "num_symbols must be"),
        (lambda: toy.addition(0, 56, digits=1), "there are 55 pairs of numbers"),
        (lambda: toy.addition(0, digits=7), "digits must be at most 6"),
        (lambda: toy.adding_problem(0, length=1), "lengths must be from 2 to 1"),
        (lambda: toy.copy_memory(0, delay=0), "delay must be"),
    ],
)
def test_messages(call, message):
    with pytest.raises(ValueError, match=message):
        call()
