"""Settings, shapes and plain trees in JSON's types, and back with their own types."""

import math
from typing import Any

import jax
import numpy as np

from jaxdl.base import Sequences
from jaxdl.checks import is_whole

MAX_ENTRIES = 1 << 16  # of an array that is a setting


def encoded(value: Any, what: str) -> Any:
    """A value as JSON, from which ``decoded`` makes it again.

    Numbers, texts, bools, None; tuples and lists of them; arrays. Raises a ValueError that names
    ``what`` for others, such as a function, which no file may hold.

    >>> encoded((8, 0.5), "width"), decoded(encoded((8, float("inf")), "width"))
    ({'tuple': [8, 0.5]}, (8, inf))
    """
    if isinstance(value, (np.ndarray, np.generic, jax.Array)):
        value = np.asarray(value)
        if value.dtype.kind not in "biuf" or value.size > MAX_ENTRIES:
            raise ValueError(
                f"{what} cannot be saved: it is an array of {value.size} {value.dtype}"
            )
        listed = [encoded(v, what) for v in value.ravel().tolist()]
        return {"array": listed, "dtype": value.dtype.str, "shape": list(value.shape)}
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (tuple, list)):
        return {type(value).__name__: [encoded(v, what) for v in value]} if type(value) in (tuple, list) else _unsaved(value, what)  # fmt: skip
    return _unsaved(value, what)


def _unsaved(value: Any, what: str):
    raise ValueError(
        f"{what} cannot be saved: it is a {type(value).__name__}; a name or a number can be"
    )


def decoded(value: Any) -> Any:
    """What ``encoded`` gave, as it was. Raises a ValueError for what makes no sense."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if (
        isinstance(value, dict)
        and value.keys() == {"float"}
        and value["float"] in ("nan", "inf", "-inf")
    ):
        return float(value["float"])
    if isinstance(value, dict) and len(value) == 1:
        ((kind, listed),) = value.items()
        if kind in ("tuple", "list") and isinstance(listed, list):
            return (tuple if kind == "tuple" else list)(map(decoded, listed))
    if isinstance(value, dict) and value.keys() == {"array", "dtype", "shape"}:
        listed, dtype, shape = value["array"], _dtype(value["dtype"]), _shape(value["shape"])
        if isinstance(listed, list) and math.prod(shape) == len(listed) <= MAX_ENTRIES:
            return np.array([decoded(v) for v in listed], dtype).reshape(shape)
    raise ValueError("a value that makes no sense")


def shapes_encoded(tree: Any) -> Any:
    """A tree of shapes and dtypes: of dicts by text, lists, tuples and Sequences; else a ValueError."""
    if hasattr(tree, "shape") and hasattr(tree, "dtype"):
        return {"shape": list(tree.shape), "dtype": np.dtype(tree.dtype).str}
    if isinstance(tree, Sequences):
        return {"sequences": [shapes_encoded(part) for part in tree]}
    if isinstance(tree, dict) and all(isinstance(name, str) for name in tree):
        return {"dict": {name: shapes_encoded(part) for name, part in tree.items()}}
    if type(tree) in (tuple, list):
        return {type(tree).__name__: [shapes_encoded(part) for part in tree]}
    raise ValueError(f"a {type(tree).__name__} in a tree of arrays cannot be saved")


def shapes_decoded(value: Any) -> Any:
    """What ``shapes_encoded`` gave. Raises a ValueError for what makes no sense.

    >>> shapes_decoded(shapes_encoded({"a": jax.ShapeDtypeStruct((2,), np.float32)}))["a"].shape
    (2,)
    """
    if isinstance(value, dict) and value.keys() == {"shape", "dtype"}:
        return jax.ShapeDtypeStruct(_shape(value["shape"]), _dtype(value["dtype"]))
    if isinstance(value, dict) and len(value) == 1:
        ((kind, parts),) = value.items()
        if kind == "dict" and isinstance(parts, dict):
            return {name: shapes_decoded(part) for name, part in parts.items()}
        if kind in ("tuple", "list", "sequences") and isinstance(parts, list):
            made = [shapes_decoded(part) for part in parts]
            if kind != "sequences":
                return tuple(made) if kind == "tuple" else made
            if len(made) == 2:
                return Sequences(*made)
    raise ValueError("shapes that make no sense")


def _shape(value: Any) -> tuple[int, ...]:
    if isinstance(value, list) and all(is_whole(size) and 0 <= size < 2**31 for size in value):
        return tuple(value)
    raise ValueError("a shape that makes no sense")


def _dtype(value: Any) -> np.dtype:
    known = {
        np.dtype(kind).str for kind in ("?", "b", "B", "h", "H", "i", "I", "q", "Q", "e", "f", "d")
    }
    if value in known:
        return np.dtype(value)
    raise ValueError("a type that makes no sense")
