"""Where members lie: from who is active to rows, under which plan. Pure functions on the host.

Members lie in rows [R, s]. Those of a row belong to one group and share its batches; one that has
finished costs nothing once its whole row has.
"""

from typing import Any, NamedTuple

import numpy as np

from jaxdl import parallel
from jaxdl.checks import is_whole
from jaxdl.model_selection.population.plan import ExecutionPlan, balance


class Placement(NamedTuple):
    """plan: for the rows. slots: [R, s] int32, ``g * S + s`` of the member in each place, or -1."""

    plan: ExecutionPlan
    slots: np.ndarray


def first(active: np.ndarray, wanted: ExecutionPlan, width: int | None = None) -> Placement:
    """All members that go on, [S, G] bool, by the plan for that many, or for ``width`` settings."""
    blocks, size, plan = arrange(width or active.shape[0], active.shape[1], wanted)
    total, plan = balance(blocks * active.shape[1], plan)
    return Placement(plan, pack(active, size, total, len(plan.devices)))


def moved(
    active: np.ndarray, placement: Placement, seconds_left: float, compile_seconds: float
) -> Placement:
    """Where the active members, [S, G] bool, go on.

    In a smaller program where it is of half the size or less and saves more of the seconds that
    are left than it takes to compile; else in the same one, dealt out evenly where its rows run
    one after the other; else where they are.
    """
    if not active.any():
        return placement
    plan, slots = placement
    again, (num_rows, size), devices = placement, slots.shape, len(plan.devices)
    if plan.chunk == 1:
        longest = lambda busy: busy.reshape(devices, -1).sum(1).max() * devices
        busy = np.any((slots >= 0) & active.T.ravel()[slots], axis=1)
        even = pack(active, size, num_rows, devices)
        num_rows = longest(np.any(even >= 0, axis=1))
        again = Placement(plan, even) if num_rows < longest(busy) else placement
    fewer = smallest(active, placement)
    share = fewer.slots.size / (num_rows * size)
    pays = share <= 0.5 and seconds_left * (1 - share) > compile_seconds
    return fewer if pays else again


def smallest(active: np.ndarray, placement: Placement) -> Placement:
    """The active members, [S, G] bool, in as few rows as they fill, halved while all fit."""
    plan, size = placement.plan, placement.slots.shape[1]
    while size > 1 and active.sum(0).max() <= size // 2:
        size = -(-size // 2)
    needed = int(np.sum(-(-active.sum(0) // size)))
    plan = plan._replace(devices=plan.devices[:needed], chunk=min(plan.chunk, needed))
    total, plan = balance(needed, plan)
    return Placement(plan, pack(active, size, total, len(plan.devices)))


def arrange(
    num_settings: int, num_groups: int, plan: ExecutionPlan
) -> tuple[int, int, ExecutionPlan]:
    """Cut the settings into blocks that share a group's batches, so that all devices have work.

    Returns how many blocks there are, of how many settings each (the last may be shorter), and the
    plan for the rows of the population: groups x blocks.
    """
    cores = len(plan.devices)
    size = max(1, min(num_settings, plan.chunk))
    fewest = max(-(-num_settings // size), min(num_settings, -(-cores // num_groups)))
    even = [b for b in range(fewest, fewest + cores) if b * num_groups % cores == 0]
    count = even[0] if even and even[0] <= num_settings else fewest
    size = -(-num_settings // count)
    count = -(-num_settings // size)
    rows_at_once = max(1, plan.chunk // size)
    rows = plan._replace(chunk=rows_at_once, devices=plan.devices[: count * num_groups])
    return count, size, rows


def pack(active: np.ndarray, size: int, num_rows: int, num_devices: int) -> np.ndarray:
    """Members that are still active, [S, G] bool, in rows of ``size`` from one group each.

    Returns [num_rows, size] int32, ``g * S + s`` of a member or -1 for an empty place. Rows are
    dealt out to the devices in turn, each of which has ``num_rows / num_devices`` neighbours.
    Raises a ValueError where there are more members than places.
    """
    rows = []
    for g in range(active.shape[1]):
        ids = np.flatnonzero(active[:, g]) + g * active.shape[0]
        rows += [ids[i : i + size] for i in range(0, len(ids), size)]
    if len(rows) > num_rows:
        raise ValueError(f"{len(rows)} rows of members do not fit in {num_rows}")
    slots = np.full((num_rows, size), -1, np.int32)
    share = num_rows // num_devices
    for i, ids in enumerate(rows):
        slots[(i % num_devices) * share + i // num_devices, : len(ids)] = ids
    return slots


def of_process(slots: np.ndarray, plan: ExecutionPlan) -> tuple[np.ndarray, ExecutionPlan | None]:
    """The slots [R', s] that lie on devices of this process, and the plan for them, None for none."""
    here = [parallel.is_here(device) for device in plan.devices]
    if all(here):
        return slots, plan
    mine = np.repeat(here, len(slots) // len(here))
    devices = tuple(device for device in plan.devices if parallel.is_here(device))
    return slots[mine], plan._replace(devices=devices) if devices else None


def as_list(placement: Placement, wanted: ExecutionPlan) -> list[int]:
    """A placement but for its slots, and the plan that it began with, in JSON's types."""
    plan, slots = placement
    return [*slots.shape, len(plan.devices), plan.chunk, len(wanted.devices), wanted.chunk]


def from_list(
    listed: Any, slots: np.ndarray, num_members: int, wanted: ExecutionPlan
) -> Placement | None:
    """The Placement of ``as_list`` and its slots [R * s]; None where the plan is another by now.

    Raises a ValueError where they make no sense.
    """
    laid = listed is None or (
        isinstance(listed, list)
        and len(listed) == 6
        and all(is_whole(value) and value >= 1 for value in listed)
        and listed[0] * listed[1] == len(slots)
        and listed[2] <= listed[4]
        and listed[0] % listed[2] == 0
    )
    if not (laid and np.all((slots >= -1) & (slots < num_members))):
        raise ValueError("its epochs or its layout make no sense")
    if not listed or listed[4:] != [len(wanted.devices), wanted.chunk]:
        return None
    plan = wanted._replace(devices=wanted.devices[: listed[2]], chunk=listed[3])
    return Placement(plan, slots.reshape(listed[:2]))
