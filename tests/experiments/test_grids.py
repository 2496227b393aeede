"""Grids that fit the table, and how they go on at their edges; worked by hand."""

import numpy as np
import pytest

from experiments import grids
from experiments.model_selection import Config


def config(**options):
    return Config(**options)


def test_grid_has_no_dropout_without_hidden_layers():
    settings = grids.grid(
        config(
            hidden=("none", "8", "none"),
            learning_rates=(0.1, 0.2),
            dropouts=(0.0, 0.5),
            weight_decays=(0.0, 0.1, 0.2),
        )
    )
    assert len(settings) == (1 + 2) * 3 * 2
    assert {h["dropout"] for h in settings if h["hidden"] == "none"} == {0.0}
    assert {h["dropout"] for h in settings if h["hidden"] == "8"} == {0.0, 0.5}


def test_what_is_never_tried_is_no_setting():
    given = config(hidden=("8",), learning_rates=(0.1,), weight_decays=(0.0, 1.0), dropouts=(0.0,))
    plain = {"hidden": "8", "learning_rate": 0.1}
    assert grids.grid(given) == [{**plain, "weight_decay": w} for w in (0.0, 1.0)]
    assert grids.grid(given, (0.0, 1.0)) == [
        {**plain, "weight_decay": w, "log_target": log} for log in (0.0, 1.0) for w in (0.0, 1.0)
    ]


@pytest.mark.parametrize(
    ("rows", "hidden", "decays", "epochs", "batch_size"),
    [
        (60, "64", (0.001, 0.01, 0.1, 1.0), 250, 16),  # 4 steps an epoch
        (299, "64", (0.001, 0.01, 0.1, 1.0), 91, 29),  # 11 steps
        (316, "64-64", (0.001, 0.01, 0.1, 1.0), 91, 31),  # 11 steps; log10 of 316 is below 2.5
        (317, "64-64", (0.0001, 0.001, 0.01, 0.1), 91, 31),
        (999, "64-64", (0.0001, 0.001, 0.01, 0.1), 91, 99),  # 11 steps
        (1078, "128-64", (0.0001, 0.001, 0.01), 91, 100),  # 11 steps
        (8000, "128-64", (0.00001, 0.0001, 0.001), 20, 100),  # 80 steps, 20 times
        (20_000, "128-64", (0.00001, 0.0001, 0.001), 15, 100),  # 200 steps, 3000 at most
        (100_000, "128-64", (0.000001, 0.00001, 0.0001), 5, 100),  # 1000 steps
    ],
)
def test_what_was_left_open_follows_the_rows(rows, hidden, decays, epochs, batch_size):
    given = grids.fitted(config(), rows)
    assert given.hidden == ("none", hidden)
    assert given.weight_decays == pytest.approx(decays)
    assert (given.epochs, given.batch_size) == (epochs, batch_size)
    assert given.learning_rates == (0.003, 0.01, 0.03) and given.dropouts == (0.0,)


def test_what_was_asked_for_stays():
    asked = config(hidden=("9",), learning_rates=(1.0,), weight_decays=(0.5,), dropouts=(0.1,),
                   epochs=3, batch_size=7)  # fmt: skip
    assert grids.fitted(asked, 90) == asked
    assert grids.schedule(config(batch_size=45), 90) == (500, 45)  # 2 steps an epoch
    assert grids.schedule(config(epochs=3), 90) == (3, 16)
    assert grids.steps(3, 16, 90) == 18


def test_the_grid_is_said_in_a_line():
    given = grids.fitted(config(hidden=("none",), dropouts=(0.0, 0.5)), 60)
    assert grids.in_words(given, 60) == (
        "grid for training parts of 60 rows: hidden none; learning rates 0.003, 0.01, 0.03; weight "
        "decays 0.001, 0.01, 0.1, 1; dropouts 0, 0.5; 250 epochs in batches of 16"
    )


def settings(rates, decays, **rest):
    return [{**rest, "learning_rate": r, "weight_decay": w} for r in rates for w in decays]


def test_the_next_values_are_as_far_away_as_the_neighbours():
    tried = settings((0.01, 0.03, 0.1), (0.0, 0.1, 1.0))
    new, said = grids.moved(tried, {"learning_rate": 0.01, "weight_decay": 0.1})
    assert new == [pytest.approx(h) for h in settings((0.01 / 3,), (0.0, 0.1, 1.0))]
    assert said == ["learning_rate=0.01 is the smallest that was tried: 0.00333333 is tried too"]


def test_at_a_corner_both_go_on():
    tried = settings((1.0, 2.0, 4.0), (0.0, 0.1, 1.0))
    new, said = grids.moved(tried, {"learning_rate": 4.0, "weight_decay": 1.0})
    beyond = [
        (8.0, 0.0),
        (8.0, 0.1),
        (8.0, 1.0),
        (1.0, 10.0),
        (2.0, 10.0),
        (4.0, 10.0),
        (8.0, 10.0),
    ]
    got = [(h["learning_rate"], h["weight_decay"]) for h in new]
    np.testing.assert_allclose(got, beyond, rtol=1e-12)
    assert len(said) == 2


@pytest.mark.parametrize(
    "chosen",
    [
        {"learning_rate": 2.0, "weight_decay": 0.1},  # within
        {"learning_rate": 2.0, "weight_decay": 0.0},  # nothing is below 0
        {"learning_rate": 2.0, "dropout": 0.5, "weight_decay": 0.1},  # no ratio leads there
    ],
)
def test_within_the_grid_nothing_moves(chosen):
    tried = settings((1.0, 2.0, 4.0), (0.0, 0.1, 1.0))
    tried = [{**h, "dropout": d} for h in tried for d in (0.0, 0.2, 0.5)]
    assert grids.moved(tried, chosen) == ([], [])


def test_two_values_have_no_edge():
    """Nobody asked where it leads; and of a switch, 0 and 1 are all there is."""
    tried = settings((1.0,), (0.1, 1.0), log_target=1.0) + settings(
        (1.0,), (0.1, 1.0), log_target=0.0
    )
    assert grids.moved(tried, tried[0]) == ([], [])
    assert grids.at_edge(tried, tried[0]) == {}
