"""Figures 14, 15 and those of the prose of sections 4 and 5: their claims, and what they rest on."""

import json

import jax
import jax.numpy as jnp
import matplotlib.figure
import numpy as np
import pytest

from experiments.figures import section4, section5, signals
from experiments.figures.__main__ import NAMES

FIGURES = {**section4.FIGURES, **signals.FIGURES, **section5.FIGURES}
SEARCHES = (15, "width", "depth")


@pytest.fixture(autouse=True)
def float64(x64):
    """As the command sets it."""


def draw(name):
    return FIGURES[name](jax.random.fold_in(jax.random.key(0), NAMES.index(str(name)) + 1))


def check(name):
    figure, claims = draw(name)
    assert isinstance(figure, matplotlib.figure.Figure) and figure.axes
    assert claims and all(c.measured for c in claims)
    assert [c.text for c in claims if not c.holds] == []
    json.dumps([c._asdict() for c in claims])


@pytest.mark.parametrize("name", [name for name in FIGURES if name not in SEARCHES])
def test_claims_hold(name):
    check(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", SEARCHES)
def test_claims_of_the_fitted_hold(name):
    check(name)


def test_the_best_start_is_the_one_drawn():
    x = jnp.linspace(-1, 1, 20)
    errors, values = section4.best_of_starts(
        jax.random.key(1), (1, 2, 1), x, jnp.abs(x), starts=3, steps=40
    )
    assert errors.shape == (3,) and errors.min() < 1e-2
    np.testing.assert_allclose(np.mean((values - np.abs(x)) ** 2), errors.min(), rtol=1e-9)


def test_a_sawtooth_is_the_tent_folded_into_itself():
    x = np.linspace(0, 1, 33)
    expected = x
    for k in range(1, 5):
        expected = 1 - np.abs(2 * expected - 1)
        np.testing.assert_allclose(section4.sawtooth(k)(jnp.asarray(x)), expected, atol=1e-14)


def test_statistics_err_as_theory_says():
    """Var of a batch's mean is 1/B, of its standard deviation about 1/(2B): 1.5/B together."""
    _, claims = draw("batch_norm")
    last = np.array(claims[0].measured["last"])
    np.testing.assert_allclose(last[2:], np.sqrt(1.5 / np.array(signals.BATCHES[2:])), rtol=0.12)


def test_steps_down_the_valley_by_hand():
    """Momentum and Adam, two steps each, written out."""
    rate, (start, curvature) = section5.RATE, (section5.START, section5.CURVATURES)
    first = start - rate * curvature * start
    second = first - rate * (curvature * first + 0.8 * curvature * start)
    path = section5.trajectory(section5.OPTIMIZERS["momentum"], steps=2)
    np.testing.assert_allclose(path[1:], [first, second], rtol=1e-12)

    g0 = np.asarray(curvature * start)
    z1 = np.asarray(start) - 0.3 * g0 / (np.abs(g0) + 1e-8)
    g1 = np.asarray(curvature) * z1
    m, v = (0.09 * g0 + 0.1 * g1) / (1 - 0.81), (0.000999 * g0**2 + 0.001 * g1**2) / (1 - 0.999**2)
    path = section5.trajectory(section5.OPTIMIZERS["Adam"], steps=2)
    np.testing.assert_allclose(path[2], z1 - 0.3 * m / (np.sqrt(v) + 1e-8), rtol=1e-9)
