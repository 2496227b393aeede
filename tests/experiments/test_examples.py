"""The examples in the docstrings of the experiments run."""

import doctest
import importlib
import pkgutil

import pytest

import experiments

MODULES = [module.name for module in pkgutil.iter_modules(experiments.__path__) if not module.ispkg]


@pytest.mark.parametrize("name", MODULES)
def test_examples_hold(name):
    found = doctest.testmod(importlib.import_module(f"experiments.{name}"))
    assert not found.failed


def test_there_are_some():
    import experiments.grids

    assert doctest.testmod(experiments.grids).attempted > 0
