"""What makes a run the same run, in JSON's types, so that a checkpoint of another is refused."""

import zlib
from typing import Any

import jax
import numpy as np

from jaxdl.base import Key
from jaxdl.training.stopping import EarlyStopping


def of_arrays(tree: Any) -> int:
    """A CRC-32 of the bytes of a tree's leaves."""
    total = 0
    for leaf in jax.tree.leaves(tree):
        total = zlib.crc32(np.ascontiguousarray(leaf).tobytes(), total)
    return total


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
