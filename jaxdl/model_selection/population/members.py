"""What the members of one static signature are made of: settings x folds x seeds."""

from typing import Any, NamedTuple

import jax
import numpy as np

from jaxdl.base import Array, Batch, Key, Learner, Transform, features, with_features
from jaxdl.model_selection.population.plan import ExecutionPlan
from jaxdl.training.batching import Rows
from jaxdl.training.run_state import RunState

SETTINGS = "settings"  # the vmap axis of a block


class Group(NamedTuple):
    """Folds and seeds, int32 [G] each: what the settings of a block have in common."""

    fold: Array
    seed: Array


class Shared(NamedTuple):
    """What every member reads.

    data: pytree of arrays [N, ...]. train, valid: Rows [F, n] of all folds (valid may be None).
    settings: {name: [S, ...]}. transforms: fitted to each training part, [F, ...]. key: the
    study's. start, stop: the stretch of batches to run, [].
    """

    data: Batch
    train: Rows
    valid: Rows | None
    settings: dict[str, Array]
    transforms: Any
    key: Key
    start: Array
    stop: Array


class Result(NamedTuple):
    """What the members of one signature gave, with leading axes [S, G].

    run: a RunState without states. predictions: [S, G, n, ...] of the held-out rows, or ().
    states: trained states, or (). dropped: [S], the epochs after which halving dropped a setting,
    -1 if it did not. keeps_best: whether members end with the state of their best epoch.
    num_params: of one member. The rest: how they ran.
    """

    run: RunState
    predictions: Any
    states: Any
    dropped: np.ndarray
    keeps_best: bool
    num_params: int
    plan: ExecutionPlan
    num_programs: int
    num_traces: int
    compile_seconds: float
    run_seconds: float


def member_key(key: Key, seed: int | Array, fold: int | Array) -> Key:
    """The key of a study's members: ``fold_in(fold_in(key, seed), fold)``.

    It does not depend on the setting, so all settings start from the same draws, see the same
    batches and are compared in pairs; nor on the strategy or on what else is in the grid.
    """
    return jax.random.fold_in(jax.random.fold_in(key, seed), fold)


def with_transform(learner: Learner, transform: Transform, params: Any) -> Learner:
    """A learner on transformed features: x [B, D] becomes ``transform.apply(params, x)``."""

    def change(batch):
        return with_features(batch, transform.apply(params, features(batch)))

    def step(train_state, batch, *, mask=None):
        # Handed on only where there is one: a learner of even batches needs to take none.
        rows = {} if mask is None else {"mask": mask}
        return learner.step(train_state, change(batch), **rows)

    return Learner(
        init=learner.init,
        step=step,
        predict=lambda ts, x: learner.predict(ts, transform.apply(params, x)),
        evaluate=lambda ts, batch: learner.evaluate(ts, change(batch)),
    )


def arrange(
    num_settings: int, num_groups: int, plan: ExecutionPlan
) -> tuple[np.ndarray, ExecutionPlan]:
    """Cut the settings into blocks that share a group's batches, so that all devices have work.

    Returns the settings of each block, [blocks, s] (the last is filled up by repeating), and the
    plan for the rows of the population: groups x blocks.
    """
    cores = len(plan.devices)
    size = max(1, min(num_settings, plan.chunk))
    fewest = max(-(-num_settings // size), min(num_settings, -(-cores // num_groups)))
    even = [b for b in range(fewest, fewest + cores) if b * num_groups % cores == 0]
    count = even[0] if even and even[0] <= num_settings else fewest
    size = -(-num_settings // count)
    count = -(-num_settings // size)
    blocks = np.minimum(np.arange(count * size), num_settings - 1).reshape(count, size)
    rows_at_once = max(1, plan.chunk // size)
    return blocks, plan._replace(chunk=rows_at_once, devices=plan.devices[: count * num_groups])


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


class Explained:
    """Turns JAX's error about a traced value into one that names the settings."""

    def __init__(self, names):
        self.names = names

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if isinstance(error, jax.errors.ConcretizationTypeError):
            raise ValueError(
                "make_learner, or what it builds, used the value of a traced setting in Python "
                f"(one of {', '.join(self.names)}). Use jnp.where, or make the setting static: "
                f"a string, a tuple or a whole number. JAX says: {str(error).splitlines()[0]}"
            ) from error
