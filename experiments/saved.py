"""A trained network in one file: its arrays by name, and what it takes to build it, as JSON.

No pickles; nothing in the file is ever executed.
"""

import json
import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl import files
from jaxdl.checks import is_whole

MAX_SIZE = 1 << 14  # of a layer, or of a list
MAX_LAYERS = 64


def save(path: str | os.PathLike, params: Any, about: dict[str, Any]) -> None:
    """Write the arrays of a tree of dicts and lists, and ``about``, as one NPZ file."""
    arrays = {name: np.asarray(leaf) for name, leaf in named(params).items()}
    header = json.dumps(about, allow_nan=False)
    with open(path, "wb") as file:
        np.savez(file, __about__=np.array(header), **arrays)


def read(path: str | os.PathLike) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """``(about, arrays by name)``.

    Raises an OSError where there is no file, and a ValueError for one that is damaged or of another
    kind.
    """
    try:
        with files.opened_npz(path) as file:
            about = files.json_of(file, "__about__")
            arrays = {name: file.read(name) for name in file.described if name != "__about__"}
    except FileNotFoundError:
        raise FileNotFoundError(2, "no saved model", str(path)) from None
    except ValueError as error:
        raise ValueError(f"{path}: not a saved network ({files.reason(error)})") from None
    return about, arrays


def size(value: Any, name: str, most: int = MAX_SIZE, least: int = 1) -> int:
    """A size that a file gives, as it is; a ValueError unless it is from ``least`` to ``most``.

    A network of a million layers need not be built to find out that the file holds another.
    """
    if not is_whole(value) or not least <= value <= most:
        raise ValueError(f"{name} is {str(value)[:40]}, not a whole number from {least} to {most}")
    return value


def sizes(values: Any, name: str, most: int = MAX_SIZE, longest: int = MAX_LAYERS) -> tuple:
    """A list of sizes that a file gives, as a tuple; a ValueError as ``size``."""
    if not isinstance(values, list) or len(values) > longest:
        raise ValueError(f"{name} is no list of {longest} sizes at most")
    return tuple(size(value, name, most) for value in values)


def texts(values: Any, name: str) -> tuple[str, ...]:
    """Different texts that a file gives, one or more, as a tuple; a ValueError for others."""
    whole = isinstance(values, list) and 0 < len(values) <= MAX_SIZE
    if not whole or not all(isinstance(v, str) for v in values) or len(set(values)) < len(values):
        raise ValueError(f"{name} are no different texts")
    return tuple(values)


def number(value: Any, name: str, least: float = 0.0) -> float:
    """A number that a file gives, as a float; a ValueError unless it is from ``least`` on."""
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not least <= value < 1e30:
        raise ValueError(f"{name} is {str(value)[:40]}, not a number from {least:g} on")
    return float(value)


def restored(arrays: dict[str, np.ndarray], like: Any, path: str | os.PathLike) -> Any:
    """The arrays as a tree of the structure of ``like``, arrays or their shapes.

    Raises a ValueError where names, shapes or dtypes are others.
    """
    wanted = named(like)
    if set(arrays) != set(wanted):
        raise ValueError(f"{path}: holds another network ({sorted(set(arrays) ^ set(wanted))[:3]})")
    for name, leaf in wanted.items():
        if arrays[name].shape != leaf.shape or arrays[name].dtype != leaf.dtype:
            raise ValueError(
                f"{path}: holds another network ({name} is {list(arrays[name].shape)}, "
                f"not {list(leaf.shape)})"
            )
    leaves = [jnp.asarray(arrays[name]) for name in wanted]
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def named(tree: Any) -> dict[str, Any]:
    """The leaves of dicts and lists, by their paths: ``decoder/layer_0/ffn/dense_0/kernel``."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    name = lambda p: str(p.key if hasattr(p, "key") else p.idx)
    return {"/".join(map(name, path)): leaf for path, leaf in leaves}
