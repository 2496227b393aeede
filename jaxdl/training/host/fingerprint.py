"""What makes a run the same run, in JSON's types, so that a checkpoint of another is refused.

A learner, a transform and what else is a function are known by the program that JAX traces of
them: by their operations, shapes, dtypes and constants. What a trace does not show is not seen:
what a host callback does, and what the data's rows mean.
"""

import re
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from jaxdl.base import Batch, Key, Learner
from jaxdl.checks import is_key
from jaxdl.training.stopping import EarlyStopping


def of_arrays(tree: Any) -> int:
    """A CRC-32 of a tree's leaves: of their dtypes, shapes and bytes."""
    total = 0
    for leaf in jax.tree.leaves(tree):
        leaf = jax.random.key_data(leaf) if is_key(leaf) else leaf
        leaf = np.ascontiguousarray(leaf)
        total = zlib.crc32(f"{leaf.dtype}{leaf.shape}".encode(), total)
        total = zlib.crc32(leaf.tobytes(), total)
    return total


def of_program(fn: Callable, *args) -> int:
    """A CRC-32 of the trace of a pure function for arguments of these shapes: text and constants."""
    closed = jax.make_jaxpr(fn)(*args)
    text = re.sub(r"0x[0-9a-f]+", "", str(closed))  # addresses differ from process to process
    return zlib.crc32(text.encode(), of_arrays(list(_constants(closed))))


def _constants(closed: Any) -> Iterator[Any]:
    """The arrays that a trace closes over, those of the traces within it too."""
    yield from getattr(closed, "consts", ())
    for equation in getattr(closed, "jaxpr", closed).eqns:
        for value in equation.params.values():
            for inner in value if isinstance(value, (tuple, list)) else (value,):
                if hasattr(getattr(inner, "jaxpr", inner), "eqns"):
                    yield from _constants(inner)


def of_learner(learner: Learner, batch: Batch, key: Key) -> int:
    """A CRC-32 of what a learner does on a batch: its start, a step, and the scores after that."""

    def run(key, batch):
        state, info = learner.step(learner.init(key), batch)
        return state, info, learner.evaluate(state, batch)

    return of_program(run, key, batch)


def of_key(key: Key) -> list:
    """A typed key's algorithm and its words."""
    return [str(jax.random.key_impl(key)), np.asarray(jax.random.key_data(key)).tolist()]


def of_stopping(early_stopping: EarlyStopping | None) -> list | None:
    """The fields of an EarlyStopping in JSON's types, or None."""
    if early_stopping is None:
        return None
    return [v if v is None or isinstance(v, (str, bool)) else float(v) for v in early_stopping]


def refuse_another(path: Any, there: dict[str, Any], here: dict[str, Any]) -> None:
    """Raise a ValueError that names what differs between two runs."""
    mismatched = [f"{k} was {there.get(k)}, is {v}" for k, v in here.items() if there.get(k) != v]
    if mismatched:
        raise ValueError(f"{path}: of another run ({'; '.join(mismatched)}); take another folder")
