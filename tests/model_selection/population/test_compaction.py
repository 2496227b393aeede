"""Compaction: members that have finished leave, and nothing else changes."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tiny_study import assert_same, study

from jaxdl.model_selection.population import execute, placement, store
from jaxdl.model_selection.population.placement import pack
from jaxdl.training import EarlyStopping
from jaxdl.training.host import driver

# One of sixteen goes on to the end; the rest stop after two or three epochs.
GRID = [{"rate": 0.3, "patience": 99.0 if s == 5 else 1.0 + (s % 2)} for s in range(16)]
HOW = {
    "early_stopping": lambda h: EarlyStopping(h["patience"], min_delta=1.0),
    "keep": ("predictions", "states"),
    "folds": 2,
}
WAYS = ("always", "auto", "never")


@pytest.fixture(autouse=True)
def looks_after_every_epoch(monkeypatch):
    monkeypatch.setattr(driver, "SECONDS", 1e-9)


@pytest.fixture(scope="module")
def whole():
    from conftest import enable_x64

    with enable_x64(True):
        return study(GRID, strategy="vmap", compact="never", **HOW)


@pytest.fixture
def programs(monkeypatch):
    """The rows x settings of each program that is compiled, and how many devices share it."""
    seen, compiled = [], execute.compile

    def watched(fn, plan, shared, row, run, **how):
        seen.append((*row[1].shape, len(plan.devices)))
        return compiled(fn, plan, shared, row, run, **how)

    monkeypatch.setattr(execute, "compile", watched)
    return seen


def test_members_finish_at_different_epochs(whole):
    """No score is better by 1 than the first, so each stops when its patience ends."""
    assert (whole.best_epochs == 1).all()
    patience = np.array([h["patience"] for h in GRID])
    ends = np.minimum(1 + patience, 8)[:, None, None]
    np.testing.assert_array_equal(whole.epochs, np.broadcast_to(ends, whole.epochs.shape))
    assert whole.num_programs == 1


@pytest.mark.parametrize("devices", [1, 2])
def test_a_smaller_program_with_the_same_numbers(whole, programs, devices, x64):
    packed = study(GRID, strategy="vmap", compact="always", devices=devices, **HOW)
    assert_same(packed, whole, rtol=1e-12, atol=1e-12)
    places = [rows * size for rows, size, _ in programs]
    assert packed.num_programs == len(programs) > 1
    assert places[0] >= 32 and places[-1] == 2  # member 5 of both folds is left
    assert all(b <= a / 2 for a, b in itertools.pairwise(places))
    assert len(programs) <= 1 + np.log2(places[0])
    assert all(rows % shared == 0 and shared <= devices for rows, _, shared in programs)


def test_looped_members_are_dealt_out_again_without_a_compilation(whole, monkeypatch, x64):
    moves, lay_out = [], store.lay_out
    monkeypatch.setattr(
        store, "lay_out", lambda s, slots: (moves.append(slots), lay_out(s, slots))[1]
    )
    packed = study(GRID, strategy="map", compact="always", **HOW)
    assert packed.num_programs == 1 and len(moves) > 1
    busy = np.any(moves[-1] >= 0, axis=1).reshape(2, -1).sum(1)
    assert busy.tolist() == [1, 1]  # one of the last two members on each device
    monkeypatch.undo()
    still = study(GRID, strategy="map", compact="never", **HOW)
    assert_same(packed, still)  # bit for bit
    assert_same(packed, whole, rtol=1e-12, atol=1e-12)


def test_auto_compiles_only_what_pays(whole, programs, monkeypatch, x64):
    """Steps of microseconds are not worth a compilation; steps of an hour are."""
    same = study(GRID, strategy="vmap", compact="auto", **HOW)
    assert same.num_programs == len(programs) == 1
    programs.clear()
    moved = placement.moved
    hours = lambda active, placed, left, cost: moved(active, placed, 3600.0 + left, cost)
    monkeypatch.setattr(placement, "moved", hours)
    slow = study(GRID, strategy="vmap", compact="auto", **HOW)
    assert slow.num_programs == len(programs) > 1
    assert_same(slow, whole, rtol=1e-12, atol=1e-12)


def test_rows_that_run_one_after_the_other_grow_narrower(programs):
    """Two folds, a row each, one after the other: 16 settings wide, at the end one."""
    packed = study(GRID, strategy="chunked", chunk=16, devices=1, compact="always", **HOW)
    assert programs[0] == (2, 16, 1)
    assert programs[-1] == (2, 1, 1)
    assert packed.epochs[5].tolist() == [[8], [8]]


def test_diverged_members_leave_with_nothing_else_to_look_for(programs):
    """Without early stopping, logs or checkpoints, ``always`` looks all the same."""
    grid = [{"rate": 0.1, "bad": 1e9 if s == 3 else 3.0 * s} for s in range(8)]
    packed = study(grid, strategy="vmap", compact="always", keep="states")
    assert packed.num_programs == len(programs) > 1
    still = study(grid, strategy="map", compact="never", keep="states")
    assert packed.diverged[:, 0, 0].tolist() == [s != 3 for s in range(8)]
    assert_same(packed, still, rtol=1e-5, atol=1e-6)


def test_unknown_ways_are_refused():
    with pytest.raises(ValueError, match="compact is one of auto, always, never, not 'maybe'"):
        study(GRID, compact="maybe")


@given(
    active=st.integers(1, 6).flatmap(
        lambda s: st.lists(st.lists(st.booleans(), min_size=s, max_size=s), min_size=1, max_size=5)
    ),
    size=st.integers(1, 6),
    devices=st.integers(1, 3),
    spare=st.integers(0, 3),
)
@settings(deadline=None, max_examples=60, derandomize=True)
def test_pack(active, size, devices, spare):
    active = np.array(active).T  # [S, G]
    num_settings = len(active)
    needed = int(np.sum(-(-active.sum(0) // size)))
    share = -(-needed // devices) + spare
    assume(share)
    slots = pack(active, size, share * devices, devices)
    assert slots.shape == (share * devices, size) and slots.dtype == np.int32
    ids = np.sort(slots[slots >= 0])
    np.testing.assert_array_equal(ids, np.flatnonzero(active.T.ravel()))  # each exactly once
    for row in slots:
        held = row[row >= 0]
        assert len(set(held // num_settings)) <= 1  # of one group
        assert (row[: len(held)] >= 0).all()  # empty places come last
    busy = np.any(slots >= 0, axis=1).reshape(devices, share).sum(1)
    assert busy.sum() == needed and np.ptp(busy) <= 1  # devices have equal work


def test_pack_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="3 rows of members do not fit in 2"):
        pack(np.ones((3, 1), bool), 1, 2, 1)
