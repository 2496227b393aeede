"""A trained network in one file: its arrays by name, and what it takes to build it, as JSON.

No pickles; nothing in the file is ever executed.
"""

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


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
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(2, "no saved model", str(path))
    try:
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        about = json.loads(str(arrays.pop("__about__")))
        if not isinstance(about, dict):
            raise ValueError("it does not say what it is")
    except (ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise ValueError(f"{path}: not a saved network ({error})") from None
    return about, arrays


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
