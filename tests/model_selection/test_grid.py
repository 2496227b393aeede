"""Which settings there are, and which share a program."""

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from jaxdl.model_selection import grid, log_uniform, random_search, uniform


def test_product_and_list():
    assert grid.expand({"a": [1, 2], "b": ["x", "y"]}) == [
        {"a": 1, "b": "x"}, {"a": 1, "b": "y"}, {"a": 2, "b": "x"}, {"a": 2, "b": "y"},
    ]  # fmt: skip
    assert grid.expand([{"a": 1}, {"a": 2, "b": 0.5}]) == [{"a": 1}, {"a": 2, "b": 0.5}]
    assert grid.expand({"a": np.array([0.5, 1.0])}) == [{"a": 0.5}, {"a": 1.0}]


def test_the_product_equals_scikit_learns():
    from sklearn.model_selection import ParameterGrid

    space = {"a": [1.0, 2.0, 3.0], "b": ["x", "y"], "c": [True, False]}
    assert grid.expand(space) == list(ParameterGrid(space))


def test_whole_numbers_among_floats_share_their_program():
    settings = grid.expand({"rate": [0, 0.1, 1], "width": [8, 16], "flag": [True]})
    assert {type(h["rate"]) for h in settings} == {float}
    assert {type(h["width"]) for h in settings} == {int}
    groups = grid.signatures(settings)
    assert [g.static for g in groups] == [{"width": 8, "flag": True}, {"width": 16, "flag": True}]
    np.testing.assert_array_equal(groups[1].traced["rate"], np.float32([0, 0.1, 1]))
    assert groups[1].members == [1, 3, 5]


def test_arrays_are_traced_and_their_shapes_tell_programs_apart():
    groups = grid.signatures([{"w": np.ones(2)}, {"w": np.zeros(2)}, {"w": np.ones(3)}])
    assert [g.members for g in groups] == [[0, 1], [2]]
    np.testing.assert_array_equal(groups[0].traced["w"], [[1, 1], [0, 0]])


@hypothesis_settings(deadline=None, max_examples=30, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=12))
def test_every_setting_is_in_one_signature(pairs):
    groups = grid.signatures([{"a": a, "b": b} for a, b in pairs])
    assert sorted(m for g in groups for m in g.members) == list(range(len(pairs)))
    assert len(groups) == len(set(pairs))


def test_random_search_draws_from_its_space(key):
    space = {"rate": log_uniform(1e-4, 1e-1), "l2": uniform(0.5, 1), "width": [8, 16]}
    drawn = random_search(space, 60, key=key)
    rates = np.log10([h["rate"] for h in drawn])
    assert rates.min() >= -4 and rates.max() < -1
    assert abs(rates.mean() + 2.5) < 0.35  # 3.1 standard errors of the mean of 60
    assert all(0.5 <= h["l2"] < 1 for h in drawn)
    assert {h["width"] for h in drawn} == {8, 16}
    again = random_search(space, 60, key=jax.random.key(0))
    assert again == drawn
    assert len({h["rate"] for h in drawn}) == 60


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: grid.expand([]), "grid is empty"),
        (lambda: grid.expand({"a": "relu"}), "must be a list of values"),
        (lambda: grid.signatures([{"a": {}}]), "cannot be static"),
        (lambda: log_uniform(0, 1), "0 < low < high"),
        (lambda: uniform(2, 1), "low < high"),
        (lambda: random_search({"a": [1]}, 0, key=jax.random.key(0)), "num must be"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
