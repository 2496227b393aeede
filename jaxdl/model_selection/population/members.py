"""What the members of one static signature are made of: settings x folds x seeds."""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxdl.base import Array, Batch, Key, Learner, Responses
from jaxdl.model_selection.grid import Signature
from jaxdl.model_selection.population.plan import ExecutionPlan
from jaxdl.training.batching import Rows
from jaxdl.training.run_state import RunState

SETTINGS = "settings"  # the vmap axis of a block
LAST_SEED = 2**31 - 2


class Group(NamedTuple):
    """Folds and seeds, int32 [G] each: what the settings of a block have in common."""

    fold: Array
    seed: Array


class Shared(NamedTuple):
    """What every member reads.

    data: pytree of arrays [N, ...]. train, valid: Rows [F, n] of all folds (valid may be None).
    settings: {name: [S, ...]}. transforms: fitted to each training part, [F, ...]; None before.
    key: the study's. start, stop: the stretch of batches to run, [].
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


def folds_key(key: Key) -> Key:
    """The key that shuffles a study's folds; no seed has its number."""
    return jax.random.fold_in(key, 2**32 - 1)


def refit_key(key: Key) -> Key:
    """The key of what is trained after a study; no seed has its number."""
    return jax.random.fold_in(key, LAST_SEED + 1)


def _noting(name: str) -> Callable:
    """A dict's method that reads one name, where it gets one, or all of them."""
    plain = getattr(dict, name)

    def method(self, *args):
        one = name in ("__getitem__", "__contains__", "get", "pop", "setdefault")
        self.seen.update(args[:1] if one else dict.keys(self))
        return plain(self, *args)

    return method


class Setting(dict):
    """A setting that notes in ``seen`` the names that are read of it, under any tracing."""

    def __init__(self, values: Mapping[str, Any], seen: set[str]):
        super().__init__(values)
        self.seen = seen

    def __missing__(self, name):
        raise MissingSettingError(name, list(dict.keys(self)))

    __getitem__, __contains__, get, pop, setdefault, __iter__, keys, items, values, copy, __or__ = (
        map(_noting, ("__getitem__", "__contains__", "get", "pop", "setdefault", "__iter__", "keys",
                      "items", "values", "copy", "__or__"))
    )  # fmt: skip


jax.tree_util.register_pytree_node(
    Setting,
    lambda setting: (tuple(setting.values()), tuple(setting)),
    lambda names, values: dict(zip(names, values, strict=True)),
)


class MissingSettingError(KeyError):
    """A name that a grid lacks."""


def built(make_learner: Callable, setting: Mapping[str, Any]) -> Learner:
    """The learner of a setting. Raises a ValueError where it is none."""
    learner = make_learner(setting)
    if not isinstance(learner, Learner):
        raise ValueError(f"make_learner must return a Learner, not {type(learner).__name__}")
    return learner


def responses_of(make_learner: Callable, signature: Signature) -> Responses | None:
    """The Responses of a signature's learners; nothing is run."""
    found = []

    def look(traced):
        setting = Setting({**signature.static, **traced}, set())
        found.append(built(make_learner, setting).responses)

    with Explained(signature.traced):
        jax.eval_shape(look, {k: v[0] for k, v in signature.traced.items()})
    return found[0]


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


# How errors speak of a traced number that stands where Python needs a whole one.
_TRACED_NUMBER = re.compile(
    r"(Tracer[(<]|Traced<)~?b?float\d+\[\]|'\w*Tracer'|Tracer\.__|integer scalar arrays"
)


class Explained:
    """Turns an error about a setting, traced or missing, into one that names the settings.

    ``traced``: the values by name of those that are traced.
    """

    def __init__(self, traced: Mapping[str, Any]):
        self.traced = traced

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if isinstance(error, MissingSettingError):
            name, there = error.args
            raise ValueError(
                f"make_learner reads the setting {name!r}, but the grid has "
                f"{', '.join(map(repr, there)) or 'none'}"
            ) from error
        first = str(error).split("\n")[0]
        if isinstance(error, jax.errors.ConcretizationTypeError) or (
            self.traced
            and isinstance(error, (TypeError, ValueError))
            and _TRACED_NUMBER.search(first)
        ):
            whole = [k for k, v in self.traced.items() if np.all(np.equal(np.mod(v, 1), 0))]
            names = ", ".join(sorted(whole or self.traced))
            raise ValueError(
                "make_learner, or what it builds, used the value of a traced setting in Python "
                f"(one of {names}). Floats are traced: write 64, not 64.0, for a width, or use "
                f"jnp.where for a value. What it says: {first}"
            ) from error
