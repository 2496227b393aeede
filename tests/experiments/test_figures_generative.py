"""Figures 18 and 19: their claims, and that what is drawn comes from the models."""

import jax
import pytest

from experiments.figures import section9
from experiments.figures.__main__ import NAMES, Config, check


@pytest.fixture(autouse=True)
def float64(x64):
    """As the command sets it."""


@pytest.mark.equation(48, 50)
@pytest.mark.parametrize("name", [pytest.param(18, marks=pytest.mark.slow), 19])
def test_claims_hold(name):
    key = jax.random.fold_in(jax.random.key(0), NAMES.index(str(name)) + 1)
    figure, claims = section9.FIGURES[name](key)
    assert figure.axes and claims and all(c.measured for c in claims)
    assert [c.text for c in claims if not c.holds] == []
    check(Config(only=(str(name),)))
