"""Where members lie, by hand: who is active, in which rows, on which devices, and when they move."""

import numpy as np
import pytest

from jaxdl.model_selection.population import placement, store
from jaxdl.model_selection.population.placement import Placement
from jaxdl.model_selection.population.plan import ExecutionPlan
from jaxdl.training.run_state import RunState

ONE, TWO = ("a",), ("a", "b")
plan = lambda chunk, devices=ONE: ExecutionPlan("chunked", chunk, devices, "")
rows = lambda placed: placed.slots.tolist()


def going_on(*members, settings=4, groups=2):
    """[S, G] bool, by number ``g * S + s``."""
    active = np.zeros(settings * groups, bool)
    active[list(members)] = True
    return active.reshape(groups, settings).T


def test_at_first_each_group_has_rows_of_its_own():
    everyone = np.ones((4, 2), bool)
    placed = placement.first(everyone, plan(4))
    assert rows(placed) == [[0, 1, 2, 3], [4, 5, 6, 7]] and placed.plan.chunk == 1
    assert rows(placement.first(everyone, plan(8))) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert placement.first(everyone, plan(8)).plan.chunk == 2  # rows at once
    # Three settings at most at once: two blocks of two, not three and one.
    assert rows(placement.first(everyone, plan(3))) == [[0, 1], [2, 3], [4, 5], [6, 7]]


def test_at_first_devices_have_equal_work():
    placed = placement.first(np.ones((3, 1), bool), plan(1, TWO))
    assert rows(placed) == [[0], [2], [1], [-1]]  # two rows a device, dealt in turn
    assert placed.plan.devices == TWO
    assert rows(placement.first(np.ones((4, 1), bool), plan(4, TWO))) == [[0, 1], [2, 3]]


def test_the_smallest_placement_halves_rows_while_all_fit():
    placed = placement.first(np.ones((4, 2), bool), plan(4))
    assert rows(placement.smallest(going_on(1, 6), placed)) == [[1], [6]]
    assert rows(placement.smallest(going_on(0, 3, 6), placed)) == [[0, 3], [6, -1]]
    assert rows(placement.smallest(going_on(0, 1, 3, 6), placed)) == [
        [0, 1, 3, -1],
        [6, -1, -1, -1],
    ]
    assert rows(placement.smallest(going_on(2), placed)) == [[2]]


def test_members_move_where_that_saves_more_than_it_costs():
    placed = placement.first(np.ones((4, 2), bool), plan(8))
    half, one = going_on(0, 1, 4, 5), going_on(3)
    # Half of the work of 10 seconds is saved; 5 seconds of compilation are too many, 4.9 are not.
    assert placement.moved(half, placed, 10.0, 5.0) is placed
    assert rows(placement.moved(half, placed, 10.0, 4.9)) == [[0, 1], [4, 5]]
    assert rows(placement.moved(one, placed, 10.0, 8.7)) == [[3]]  # an eighth is left
    assert placement.moved(going_on(0, 1, 2, 4, 5), placed, np.inf, 0.0) is placed
    assert placement.moved(going_on(), placed, np.inf, 0.0) is placed


def test_rows_in_turn_are_dealt_anew_in_the_same_program():
    """Two devices with two rows each, of which one has both that go on."""
    placed = Placement(plan(1, TWO), np.array([[0], [1], [2], [3]], np.int32))
    active = going_on(0, 1, groups=1)
    again = placement.moved(active, placed, 0.0, 1.0)
    assert rows(again) == [[0], [-1], [1], [-1]] and again.plan == placed.plan
    assert placement.moved(active, again, 0.0, 1.0) is again
    # What is saved is counted from there: one row a device is no less in the smallest program.
    assert placement.moved(active, again, np.inf, 0.0) is again
    assert rows(placement.moved(going_on(2, groups=1), placed, np.inf, 0.0)) == [[2]]


def test_a_placement_survives_its_file():
    wanted = plan(4, TWO)
    placed = Placement(plan(2), np.array([[0, 3], [5, -1]], np.int32))
    listed = placement.as_list(placed, wanted)
    assert listed == [2, 2, 1, 2, 2, 4]
    again = placement.from_list(listed, placed.slots.ravel(), 8, wanted)
    assert rows(again) == rows(placed)
    assert (again.plan.devices, again.plan.chunk) == (ONE, 2)
    assert placement.from_list(listed, placed.slots.ravel(), 8, plan(8, TWO)) is None
    assert placement.from_list(None, np.zeros(0, np.int32), 8, wanted) is None


@pytest.mark.parametrize(
    ("at", "value"), [(0, 3), (1, 0), (2, 3), (3, "2"), (4, True), (5, None)], ids=str
)
def test_a_placement_that_makes_no_sense_is_refused(at, value):
    listed = [2, 2, 1, 2, 2, 4]
    listed[at] = value
    for bad, slots in ((listed, [0, 3, 5, -1]), (listed[:5], [0, 3, 5, -1])):
        with pytest.raises(ValueError, match="make no sense"):
            placement.from_list(bad, np.array(slots), 8, plan(4, TWO))
    for slots in ([0, 3, 8, -1], [0, 3, 5, -2], [0, 3, 5]):
        with pytest.raises(ValueError, match="make no sense"):
            placement.from_list([2, 2, 1, 2, 2, 4], np.array(slots), 8, plan(4, TWO))


def test_a_store_in_rows_and_back():
    nothing = dict.fromkeys(RunState._fields, ())
    run = RunState(**{**nothing, "loss": np.arange(4.0), "stopped": np.full(4, -1, np.int32)})
    stored = store.Store(run, np.arange(8).reshape(4, 2))
    slots = np.array([[3, 1], [0, -1]], np.int32)
    laid = store.lay_out(stored, slots)
    assert laid.run.loss.tolist() == [[3, 1], [0, 0]]  # member 0 fills the empty place
    assert laid.run.stopped.tolist() == [[-1, -1], [-1, 0]]  # as one that has finished
    assert laid.held[0].tolist() == [[6, 7], [2, 3]]
    trained = laid._replace(run=laid.run._replace(loss=np.add(laid.run.loss, [[10, 20], [30, 40]])))
    peeked = store.peek(stored, trained, slots, lambda run: run.loss)
    assert peeked.tolist() == [30, 21, 2, 13]
    assert store.put_back(stored, trained, slots).run.loss.tolist() == [30, 21, 2, 13]
    assert stored.run.loss.tolist() == [0, 1, 2, 3]
    assert store.peek(stored, None, slots, lambda run: run.loss).tolist() == [0, 1, 2, 3]
