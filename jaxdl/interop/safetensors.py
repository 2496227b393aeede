"""Parameters as safetensors files, by the names of their paths (the extra ``safetensors``).

A leaf is called by its keys, fields and places in lists with points between them,
``{"dense_0": {"kernel": ...}}`` as ``dense_0.kernel``: the names that PyTorch's state dicts have. A
file holds numbers and nothing that could be executed.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl import files
from jaxdl.checks import is_key, nearest

CODES = {
    "float16": "F16", "bfloat16": "BF16", "float32": "F32", "float64": "F64", "bool": "BOOL",
    "int8": "I8", "int16": "I16", "int32": "I32", "int64": "I64", "uint8": "U8", "uint16": "U16",
    "uint32": "U32", "uint64": "U64", "complex64": "C64",
}  # fmt: skip
FLOATS = ("F16", "BF16", "F32", "F64")


def save(path: str | os.PathLike, tree: Any) -> None:
    """Write the arrays of a pytree of dicts, lists and named tuples; the file is whole or not there.

    Raises a ValueError, before anything is written, for two leaves of one name, for a lone array,
    and for leaves that are no numbers, such as random keys; an OSError where it cannot be written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(f"{folder}/net.safetensors", {"dense_0": {"kernel": jnp.ones((2, 3))}})
    ...     list(read(f"{folder}/net.safetensors"))
    ['dense_0.kernel']
    """
    library = _library()
    arrays = {name: _numbers(name, leaf) for name, leaf in named(tree).items()}
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    try:
        library.numpy.save_file(arrays, partial)
        partial.replace(path)
    except library.SafetensorError as error:
        partial.unlink(missing_ok=True)
        raise OSError(f"{path}: {files.reason(error)}") from None
    except BaseException:  # a full disk, or Ctrl-C
        partial.unlink(missing_ok=True)
        raise


def load(path: str | os.PathLike, like: Any, *, cast: bool = False) -> Any:
    """The pytree that ``save`` wrote, in the form of ``like``, its arrays JAX's.

    Args:
      path: the file.
      like: a pytree of arrays or of what ``jax.eval_shape`` gives, ``jax.eval_shape(model.init,
        key)[0]`` for one.
      cast: whether floats may have another precision in the file; they get that of ``like``.

    Raises a ValueError in one line, before an array is read, for a name that is missing or not
    wanted, for another shape or dtype, and for a file that is none or damaged.
    """
    wanted = named(like)
    with _opened(path) as file:
        stored = {name: file.get_slice(name) for name in file.keys()}
        found = {name: (tuple(s.get_shape()), s.get_dtype()) for name, s in stored.items()}
        if problem := _mismatch(found, wanted, cast):
            raise ValueError(problem)
        leaves = [
            jnp.asarray(file.get_tensor(name).astype(leaf.dtype)) for name, leaf in wanted.items()
        ]
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def read(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """All arrays of a file by name, NumPy's: for ``pytorch.from_torch``, and to look around.

    Raises a ValueError in one line for a file that is none or damaged.
    """
    with _opened(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}


def named(tree: Any) -> dict[str, Any]:
    """The leaves of a pytree by the names that they have in a file.

    Raises a ValueError for two of one name, and for a tree that is one leaf.

    >>> named({"layers": [{"bias": 1}, {"bias": 2}]})
    {'layers.0.bias': 1, 'layers.1.bias': 2}
    """
    leaves = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        name = ".".join(_word(entry) for entry in path)
        if not path or name == "__metadata__":
            raise ValueError(f"an array needs a name in the file, which {name!r} cannot be")
        if name in leaves:
            raise ValueError(f"two arrays would have the name {name!r}")
        leaves[name] = leaf
    return leaves


def _word(entry) -> str:
    for kind in ("key", "name", "idx"):
        if hasattr(entry, kind):
            return str(getattr(entry, kind))
    return str(entry)


def _numbers(name: str, leaf: Any) -> np.ndarray:
    if is_key(leaf):
        raise ValueError(f"{name!r} holds random keys; jax.random.key_data makes numbers of them")
    array = np.array(leaf, order="C")
    if array.dtype.name not in CODES:
        raise ValueError(f"{name!r} is {array.dtype}; a file holds {', '.join(CODES)}")
    return array


def _mismatch(found: dict[str, tuple], wanted: dict[str, Any], cast: bool) -> str | None:
    """The first difference between what is stored and what is wanted, in words, or None."""
    for name in wanted:
        if name not in found:
            near = nearest(name, set(found) - set(wanted))
            return f"has no {name!r}" + (f"; did it become {near!r}?" if near else "")
    for name in found:
        if name not in wanted:
            return f"has {name!r}, which is not wanted"
    for name, leaf in wanted.items():
        shape, code = found[name]
        if shape != tuple(leaf.shape):
            return f"{name!r} is {list(shape)}, not {list(leaf.shape)}"
        own = CODES.get(np.dtype(leaf.dtype).name)
        if code != own and not (cast and code in FLOATS and own in FLOATS):
            advice = "; cast=True takes other floats" if code in FLOATS and own in FLOATS else ""
            return f"{name!r} is {code}, not {own}{advice}"
    return None


@contextlib.contextmanager
def _opened(path: str | os.PathLike) -> Iterator[Any]:
    """A safetensors file; whatever is wrong with it, there or in the block, in one line."""
    library = _library()
    try:
        with files.open_regular(path) as file:
            header = int.from_bytes(file.read(8), "little")
        if header > files.MAX_TEXT:
            raise ValueError(f"its header would have more than {files.MAX_TEXT} characters")
        with library.safe_open(path, framework="np") as file:
            yield file
    except FileNotFoundError:
        raise ValueError(f"{path}: there is no such file") from None
    except (OSError, ValueError, AttributeError, library.SafetensorError) as error:
        # AttributeError: of a dtype that NumPy has not.
        raise ValueError(f"{path}: {files.reason(error)}") from None


def _library():
    try:
        import safetensors.numpy
    except ImportError as error:
        raise ImportError(
            "safetensors files need the package safetensors: pip install 'jaxdl[safetensors]'"
        ) from error
    return safetensors
