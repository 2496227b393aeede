"""What makes a run the same run, in JSON's types, so that a checkpoint of another is refused.

A learner, a transform and what else is a function are known by the program that JAX traces of
them: by their operations, shapes, dtypes and constants. What a trace does not show is not seen:
what a host callback does, and what the data's rows mean.
"""

import json
import re
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from jaxdl.base import Batch, Key, Learner
from jaxdl.checks import is_key
from jaxdl.training.stopping import EarlyStopping


class Checksum(int):
    """A CRC-32. Nobody reads one, so messages do not show it."""


def of_arrays(tree: Any) -> Checksum:
    """A CRC-32 of a tree's leaves: of their dtypes, shapes and bytes."""
    total = 0
    for leaf in jax.tree.leaves(tree):
        leaf = jax.random.key_data(leaf) if is_key(leaf) else leaf
        leaf = np.ascontiguousarray(leaf)
        total = zlib.crc32(f"{leaf.dtype}{leaf.shape}".encode(), total)
        total = zlib.crc32(leaf.tobytes(), total)
    return Checksum(total)


def of_json(value: Any) -> Checksum:
    """A CRC-32 of a value in JSON's types; of others by their ``repr``."""
    return Checksum(zlib.crc32(json.dumps(value, sort_keys=True, default=repr).encode()))


def of_program(fn: Callable, *args) -> Checksum:
    """A CRC-32 of the trace of a pure function for arguments of these shapes: text and constants."""
    closed = jax.make_jaxpr(fn)(*args)
    text = re.sub(r"0x[0-9a-f]+", "", str(closed))  # addresses differ from process to process
    return Checksum(zlib.crc32(text.encode(), of_arrays(list(_constants(closed)))))


def _constants(closed: Any) -> Iterator[Any]:
    """The arrays that a trace closes over, those of the traces within it too."""
    yield from getattr(closed, "consts", ())
    for equation in getattr(closed, "jaxpr", closed).eqns:
        for value in equation.params.values():
            for inner in value if isinstance(value, (tuple, list)) else (value,):
                if hasattr(getattr(inner, "jaxpr", inner), "eqns"):
                    yield from _constants(inner)


def of_learner(learner: Learner, data: Batch, key: Key) -> Checksum:
    """A CRC-32 of what a learner does on a batch: its start, a step, and the scores after that.

    The batch is two rows of the data, whose values do not matter.
    """

    def run(key, batch):
        state, info = learner.step(learner.init(key), batch)
        return state, info, learner.evaluate(state, batch)

    return of_program(run, key, jax.tree.map(lambda leaf: leaf[np.zeros(2, int)], data))


def of_key(key: Key) -> list:
    """A typed key's algorithm and its words."""
    return [str(jax.random.key_impl(key)), np.asarray(jax.random.key_data(key)).tolist()]


def of_stopping(early_stopping: EarlyStopping | None) -> list | None:
    """The fields of an EarlyStopping in JSON's types, or None."""
    if early_stopping is None:
        return None
    return [v if v is None or isinstance(v, (str, bool)) else float(v) for v in early_stopping]


def differences(there: dict[str, Any], here: dict[str, Any]) -> str:
    """What differs of one run from another, by name; "" where nothing does.

    >>> there = {"data": 7, "key": ["fry", [0, 1]], "rows": 3}
    >>> differences(there, {**there, "data": of_arrays(1.0), "rows": 4})
    'other data; rows was 3, is 4'
    """
    changed = [name for name, value in here.items() if there.get(name) != value]
    unread = [name for name in changed if _is_unread(there.get(name)) or _is_unread(here[name])]
    told = [f"{n} was {there.get(n)}, is {here[n]}" for n in changed if n not in unread]
    return "; ".join([f"other {', '.join(unread)}"] * bool(unread) + told)


def _is_unread(value: Any) -> bool:
    """Whether a value says nothing to a reader: a checksum, or more than fits in a line."""
    listed = value if isinstance(value, list) else [value]
    return any(isinstance(item, Checksum) for item in listed) or len(str(value)) > 80
