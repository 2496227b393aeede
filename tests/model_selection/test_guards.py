"""Guards of honest evaluation."""

import warnings

import jax.numpy as jnp
import pytest

from jaxdl.model_selection import TestSetGuard, suspicious_accuracy


def test_the_first_look_is_free_and_every_other_is_counted_aloud():
    part = (jnp.ones(3), jnp.zeros(3))
    guard = TestSetGuard(part)
    assert guard.looks == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert guard.look() is part
    for number in (2, 3):
        with pytest.warns(UserWarning, match=f"look number {number}"):
            assert guard.look() is part
    assert guard.looks == 3


def test_a_perfect_accuracy_gets_its_possible_causes():
    assert suspicious_accuracy(0.9999) is None and suspicious_accuracy(jnp.array(0.5)) is None
    note = suspicious_accuracy(jnp.array(1.0))
    for cause in ("easy", "few", "overfitted", "bug", "both parts"):
        assert cause in note
    for value in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match=r"an accuracy lies in \[0, 1\], not"):
            suspicious_accuracy(value)
