"""McCulloch-Pitts units and nets by their truth tables."""

import itertools

import jax
import numpy as np
import pytest

from jaxdl.models import mcculloch_pitts as mp

A, B = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])


@pytest.mark.parametrize(
    ("gate", "table"),
    [
        (mp.logical_and, [0, 0, 0, 1]),
        (mp.logical_or, [0, 1, 1, 1]),
        (mp.logical_nand, [1, 1, 1, 0]),
        (mp.logical_xor, [0, 1, 1, 0]),
    ],
)
def test_gates(gate, table):
    np.testing.assert_array_equal(jax.jit(gate)(A, B), np.array(table, bool))
    np.testing.assert_array_equal(jax.vmap(gate)(A, B), np.array(table, bool))


def test_not():
    np.testing.assert_array_equal(mp.logical_not(np.array([0, 1])), [True, False])


def test_a_tie_fires_and_inhibition_is_absolute():
    # D-14: at the threshold, not only above it
    kinds = dict(excitatory=[1, 1, 1, 0], inhibitory=[0, 0, 0, 1])
    x = np.array(list(itertools.product([0, 1], repeat=4)))
    for threshold in range(5):
        expected = (x[:, :3].sum(1) >= threshold) & (x[:, 3] == 0)
        np.testing.assert_array_equal(mp.unit(x, **kinds, threshold=threshold), expected)


def test_no_single_unit_is_xor_or_nand():
    x = np.stack([A, B], axis=1)
    reached = set()
    for kinds in itertools.product([-1, 0, 1], repeat=2):
        kinds = np.array(kinds)
        for threshold in range(4):
            y = mp.unit(x, excitatory=kinds > 0, inhibitory=kinds < 0, threshold=threshold)
            reached.add(tuple(np.asarray(y).astype(int)))
    assert (0, 1, 1, 0) not in reached and (1, 1, 1, 0) not in reached
    assert {(0, 0, 0, 1), (0, 1, 1, 1), (1, 0, 0, 0)} <= reached


def test_shapes_are_checked():
    with pytest.raises(ValueError, match=r"must be \[D\] for x"):
        mp.unit(np.ones(3), excitatory=[1, 1], inhibitory=[0, 0], threshold=1)
