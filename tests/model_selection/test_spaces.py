"""Spaces and the proposals that need no history."""

import jax
import numpy as np
import pytest

from jaxdl.model_selection import log_uniform, uniform, whole_numbers
from jaxdl.model_selection.searches.proposals import at_random, halton, radical_inverse
from jaxdl.model_selection.spaces import Interval, Suggestions, as_space

SPACE = {"rate": log_uniform(1e-4, 1.0), "l2": uniform(0, 2), "depth": whole_numbers(1, 4)}


@pytest.mark.parametrize(
    ("interval", "at", "value"),
    [
        (uniform(2, 4), 0.25, 2.5),
        (log_uniform(1e-4, 1), 0.25, 1e-3),
        (whole_numbers(1, 4), 0.0, 1),
        (whole_numbers(1, 4), 0.249, 1),
        (whole_numbers(1, 4), 0.251, 2),
        (whole_numbers(1, 4), 0.999, 4),
        (Interval(1, 8, True, True), 0.0, 1),  # from 0.5 to 8.5: 1.5 lies at log 3 / log 17
        (Interval(1, 8, True, True), np.log(3) / np.log(17) - 1e-3, 1),
        (Interval(1, 8, True, True), np.log(3) / np.log(17) + 1e-3, 2),
    ],
)
def test_places_of_intervals(interval, at, value):
    assert interval.at(at) == pytest.approx(value, rel=1e-12)
    assert type(interval.at(at)) is (int if interval.whole else float)


def test_suggestions_are_as_optunas():
    trial = Suggestions({"a": 0.5, "b": 0.99, "c": 0.0, "d": 0.6, "e": 0.5}.__getitem__)
    assert trial.suggest_float("a", 0.0, 1.0, step=0.25) == 0.5
    assert trial.suggest_int("b", 1, 7, step=2) == 7
    assert trial.suggest_int("c", 2, 32, log=True) == 2
    assert trial.suggest_categorical("d", ["x", "y", "z"]) == "y"
    assert trial.suggest_float("e", 0.01, 1.0, log=True) == pytest.approx(0.1)


def test_lists_of_anything_and_of_mixed_numbers():
    shape = (8, 8)
    space = as_space({"sizes": [shape, (4,)], "rate": [0, 0.5]})
    assert space(Suggestions(lambda name: 0.0)) == {"sizes": shape, "rate": 0.0}
    assert type(space(Suggestions(lambda name: 0.0))["rate"]) is float


def test_radical_inverses_are_scipys_halton_points():
    from scipy.stats import qmc

    points = qmc.Halton(3, scramble=False).random(40)
    ours = [[radical_inverse(n, base) for base in (2, 3, 5)] for n in range(40)]
    np.testing.assert_allclose(ours, points, atol=1e-9)


@pytest.mark.parametrize("base", [2, 3, 5])
def test_scrambled_points_fill_every_cell_once(base, key):
    """The first b^2 points of a base have one in each of b^2 cells, and so have the next b^2."""
    size = base**2
    points = np.array([radical_inverse(n, base, key) for n in range(2 * size)])
    for part in (points[:size], points[size:]):
        np.testing.assert_array_equal(np.sort((part * size).astype(int)), np.arange(size))
    other = [radical_inverse(n, base, jax.random.key(1)) for n in range(size)]
    assert not np.allclose(other, points[:size])


def test_proposals_depend_on_their_number_alone(key):
    for made in (at_random, halton):
        _, whole = made(as_space(SPACE), key).ask(0, 0, 6, None)
        proposals = made(as_space(SPACE), key)
        numbers, first = proposals.ask(0, 0, 2, None)
        more, rest = proposals.ask(1, 2, 4, None)
        assert first + rest == whole and numbers + more == list(range(6))
        assert len({h["rate"] for h in whole}) == 6
    _, drawn = at_random(as_space(SPACE), key).ask(0, 0, 200, None)
    logs = np.log10([h["rate"] for h in drawn])
    assert abs(logs.mean() + 2) < 0.25 and abs(logs.std() - 4 / np.sqrt(12)) < 0.12
    assert abs(np.corrcoef(logs, [h["l2"] for h in drawn])[0, 1]) < 0.2
    assert {h["depth"] for h in drawn} == {1, 2, 3, 4}


def test_bad_spaces(key):
    with pytest.raises(ValueError, match="whole low < high"):
        whole_numbers(1.5, 3)
    with pytest.raises(ValueError, match="from 1 with log"):
        whole_numbers(0, 3, log=True)
    many = as_space({f"n{i}": [1, 2] for i in range(21)})
    with pytest.raises(ValueError, match="20 names at most"):
        halton(many, key).ask(0, 0, 1, None)
