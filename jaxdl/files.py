"""Files that nobody vouches for: read within limits, or refused with one ValueError.

What a file claims is checked before anything is made of it, and limits are on what it unpacks to,
never on its own size alone. Nothing is executed, no pickle is loaded, and only regular files are
read: a pipe or a device would never end.
"""

import contextlib
import errno
import io
import json
import math
import os
import stat
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

MAX_BYTES = 1 << 28  # of a file that is read whole, and of all arrays of an NPZ together
MAX_TEXT = 1 << 24  # characters of JSON; a list of them may take twenty times as much
MAX_DEPTH = 32  # of JSON
MAX_ARRAYS = 1 << 12
_DIRECTORY = 1 << 20  # bytes of an NPZ's table of contents, each of its entries some hundred


class Described(NamedTuple):
    """What an array is said to be: its shape and dtype."""

    shape: tuple[int, ...]
    dtype: np.dtype


class Arrays(NamedTuple):
    """An NPZ file that is open: what its arrays are, and ``read(name)``, one of them."""

    described: dict[str, Described]
    read: Callable[[str], np.ndarray]


def open_regular(path: str | os.PathLike, *, follow: bool = True) -> io.BufferedReader:
    """A regular file, opened for reading; a link is followed unless ``follow`` is False.

    Raises an OSError as ``open`` does, and for anything else that has the name.
    """
    # A pipe without a writer would block here for ever but for O_NONBLOCK.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags | (0 if follow else getattr(os, "O_NOFOLLOW", 0)))
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, "is a directory", str(path))
        raise OSError(errno.EINVAL, "is not a regular file", str(path))
    return open(descriptor, "rb")


def read_bytes(path: str | os.PathLike, *, most: int = MAX_BYTES, follow: bool = True) -> bytes:
    """What is in a regular file. Raises an OSError, for more than ``most`` bytes too."""
    with open_regular(path, follow=follow) as file:
        if os.fstat(file.fileno()).st_size > most:
            raise OSError(errno.EFBIG, f"has more than {amount(most)}", str(path))
        return file.read()


def parse_json(text: str | bytes, *, finite: bool = True) -> Any:
    """The value of a JSON text. Raises a ValueError for what is none, or too long or too deep.

    NaN and infinities, which Python writes though JSON has none, are taken with ``finite=False``.

    >>> parse_json('{"a": [1, null]}')
    {'a': [1, None]}
    """
    if len(text) > MAX_TEXT:
        raise ValueError(f"has more than {MAX_TEXT} characters of JSON")
    try:
        value = json.loads(text, parse_constant=_no_number if finite else None)
    except RecursionError:
        raise ValueError(f"nests deeper than {MAX_DEPTH}") from None
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for node in level
            if isinstance(node, (dict, list))
            for child in (node.values() if isinstance(node, dict) else node)
        ]
        if not level:
            return value
    raise ValueError(f"nests deeper than {MAX_DEPTH}")


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def write_npz(path: str | os.PathLike, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays by name as one NPZ file, whole or not at all. Raises an OSError as ``open``."""
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    try:
        with open(partial, "wb") as file:
            np.savez(file, **dict[str, Any](arrays))
        partial.replace(path)
    except BaseException:  # a full disk, or Ctrl-C
        partial.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def opened_npz(path: str | os.PathLike) -> Iterator[Arrays]:
    """The Arrays of an NPZ file; headers are read and checked, the arrays are not yet.

    Raises a ValueError for what is no NPZ file, holds pickles or more than ``MAX_BYTES`` in all,
    and an OSError where it cannot be opened. So does ``read``.
    """
    with _Frugal(open_regular(path).detach()) as file:
        with _in_one_line():
            if not os.fstat(file.fileno()).st_size:
                raise ValueError("the file is empty")
            archive = zipfile.ZipFile(file)
            file.most = None
            members = _members(archive)
            described = {name: _described(archive, info) for name, info in members.items()}

        def read(name: str) -> np.ndarray:
            with _in_one_line(f"array {name!r}: "), archive.open(members[name]) as member:
                return _with_texts(np.lib.format.read_array(member, allow_pickle=False))

        yield Arrays(described, read)


def json_of(arrays: Arrays, name: str) -> dict[str, Any]:
    """The JSON object that is one of the arrays, a text. Raises a ValueError for anything else."""
    described = arrays.described.get(name)
    if described is None or described.shape != () or described.dtype.kind != "U":
        raise ValueError("it does not say what it is")
    if described.dtype.itemsize > 4 * MAX_TEXT:  # each character takes four bytes
        raise ValueError(f"has more than {MAX_TEXT} characters of JSON")
    value = parse_json(arrays.read(name).item())
    if not isinstance(value, dict):
        raise ValueError("it does not say what it is")
    return value


def read_npy(path: str | os.PathLike) -> np.ndarray:
    """The array of an NPY file. Raises a ValueError that names the file, and an OSError."""
    content = io.BytesIO(read_bytes(path))
    with _in_one_line(f"{path}: not a whole NPY file: "):
        _header(content, len(content.getbuffer()), "the array")
        content.seek(0)
        return _with_texts(np.lib.format.read_array(content, allow_pickle=False))


def _with_texts(array: np.ndarray) -> np.ndarray:
    """The array. Raises a ValueError where its texts hold what is no character."""
    if array.dtype.kind == "U":
        codes = array.reshape(-1).view(np.dtype(np.uint32).newbyteorder(array.dtype.byteorder))
        if np.any((codes > sys.maxunicode) | (codes >> 11 == 0xD800 >> 11)):
            raise ValueError("holds texts that are none")
    return array


class _Frugal(io.BufferedReader):
    """A file that refuses to be asked for much at once: a table of contents is read whole."""

    most: int | None = _DIRECTORY

    def read(self, size: int | None = -1) -> bytes:
        if self.most is not None and size is not None and size > self.most:
            raise ValueError(f"lists more than {MAX_ARRAYS} arrays")
        return super().read(size)


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The members by the names of their arrays, none of which can unpack to too much."""
    infos = archive.infolist()
    if len(infos) > MAX_ARRAYS:
        raise ValueError(f"lists more than {MAX_ARRAYS} arrays")
    total = sum(info.file_size for info in infos)
    if total > MAX_BYTES:
        raise ValueError(f"its arrays take more than {amount(MAX_BYTES)}")
    members = {}
    for info in infos:
        name = info.filename.removesuffix(".npy")
        if name in members:
            raise ValueError(f"two arrays have the same name, {name[:40]!r}")
        if info.flag_bits & 1:
            raise ValueError(f"array {name[:40]!r} is encrypted")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"array {name[:40]!r} is compressed in an unknown way")
        members[name] = info
    return members


def _described(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Described:
    with archive.open(info) as member:
        return _header(member, info.file_size, f"array {info.filename.removesuffix('.npy')[:40]!r}")


def _header(file: IO[bytes], size: int, name: str) -> Described:
    """What the header of an array says, which must account for every byte behind it."""
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise ValueError(f"{name} has the unknown format version {version}")
    header = np.lib.format.read_array_header_2_0  # of 3.0 too: only names of fields differ
    if version == (1, 0):
        header = np.lib.format.read_array_header_1_0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a header that is hardly Python
        try:
            shape, _, dtype = header(file)
        except Exception:  # NumPy parses it as Python, which fails in many ways
            raise ValueError(f"{name} has a header that cannot be read") from None
    behind = size - file.tell()
    if dtype.hasobject:
        raise ValueError(f"{name} is pickled; only plain arrays are read")
    if not dtype.itemsize or dtype.fields or dtype.subdtype:
        raise ValueError(f"{name} is of {str(dtype)[:40]}, which is not read")
    if any(length < 0 for length in shape) or math.prod(shape) * dtype.itemsize != behind:
        raise ValueError(f"{name} is cut short: {str(shape)[:40]} does not fit {behind} bytes")
    return Described(shape, dtype)


@contextlib.contextmanager
def _in_one_line(what: str = "") -> Iterator[None]:
    """Whatever zipfile, zlib and NumPy make of broken bytes, as one ValueError."""
    try:
        yield
    except Exception as error:
        if type(error) is ValueError and not what:
            raise
        raise ValueError(f"{what}{type(error).__name__}: {reason(error)}") from None


def reason(error: BaseException) -> str:
    """The first line of what an error says, cut to a length that fits in a message."""
    lines = str(getattr(error, "strerror", None) or error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


def amount(number: int) -> str:
    """A number of bytes in words."""
    return f"{number >> 20} MiB" if number >= 1 << 20 else f"{number} bytes"
