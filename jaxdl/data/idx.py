"""IDX files, the format of MNIST and its successors, read strictly.

A file is a magic number 00 00 TT DD (TT the type, DD the number of dimensions), DD sizes of four
bytes, and the values, all big-endian. Compressed files are told by their first bytes, 1F 8B.
"""

import gzip
import hashlib
import io
import math
import os
import struct
import urllib.error
import urllib.request
import zlib
from pathlib import Path

import numpy as np

from jaxdl import files
from jaxdl.checks import one_of

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
MAX_BYTES = 2**30

PARTS = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}

# Where each data set lies, and the MD5 sums of its compressed files, as their keepers publish them.
SOURCES = {
    "mnist": (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        {
            "train-images-idx3-ubyte": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "train-labels-idx1-ubyte": "d53e105ee54ea40749a09fcbcd1e9432",
            "t10k-images-idx3-ubyte": "9fb629c4189551a2d022fa330f9573f3",
            "t10k-labels-idx1-ubyte": "ec29112dd5afa0611ce80d1b7f02629c",
        },
    ),
    "fashion_mnist": (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        {
            "train-images-idx3-ubyte": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "train-labels-idx1-ubyte": "25c81989df183df01b3e8a0aad5dffbe",
            "t10k-images-idx3-ubyte": "bef4ecab320f06d8554ea6380940ec79",
            "t10k-labels-idx1-ubyte": "bb300cfdad3c16e7a12a480ee83cd310",
        },
    ),
}


def parse_idx(content: bytes, name: str = "IDX data") -> np.ndarray:
    """The array in the bytes of an IDX file, compressed or not, in the machine's byte order.

    Raises ValueError, with ``name`` before what is wrong, for a wrong magic number, sizes that make
    no sense, fewer values than the sizes say or bytes behind them, and a damaged compression.

    >>> parse_idx(bytes([0, 0, 8, 1, 0, 0, 0, 2, 5, 7])).tolist()
    [5, 7]
    """
    if content[:2] == b"\x1f\x8b":
        content = _decompressed(content, name)
    if len(content) < 4:
        raise ValueError(f"{name}: {len(content)} bytes are no IDX file")
    zeros, kind, rank = struct.unpack(">HBB", content[:4])
    if zeros or kind not in TYPES:
        magic = struct.unpack(">I", content[:4])[0]
        raise ValueError(
            f"{name}: no IDX file, its magic number is {magic} (images have 2051, labels 2049)"
        )
    start = 4 + 4 * rank
    if not 1 <= rank <= 8 or len(content) < start:
        raise ValueError(f"{name}: an IDX file with {rank} dimensions, of which 1 to 8 are read")
    sizes = struct.unpack(f">{rank}I", content[4:start])
    dtype = np.dtype(TYPES[kind])
    expected = math.prod(sizes) * dtype.itemsize
    if expected > MAX_BYTES:
        raise ValueError(f"{name}: dimensions {list(sizes)} would be {expected} bytes")
    found = len(content) - start
    if found != expected:
        what = "is cut short" if found < expected else "has bytes behind its end"
        raise ValueError(
            f"{name}: {what}, {found} bytes for dimensions {list(sizes)} of {expected} bytes"
        )
    values = np.frombuffer(content, dtype, offset=start).reshape(sizes)
    return values.astype(dtype.newbyteorder("="))


def load_idx(path: str | os.PathLike) -> np.ndarray:
    """The array in an IDX file, compressed or not. Raises ValueError as ``parse_idx``, and OSError."""
    return parse_idx(files.read_bytes(path, most=MAX_BYTES), str(path))


def load_idx_images(
    folder: str | os.PathLike, part: str = "train"
) -> tuple[np.ndarray, np.ndarray]:
    """Images [N, H, W] uint8 and labels [N] int32 of MNIST's four files in a folder.

    ``part`` is "train" or "test". A name may end in ``.gz``, and have a dot for its last hyphen.
    Raises FileNotFoundError where a file is missing, and ValueError for files that are not images
    and labels of one number.
    """
    one_of("part", part, PARTS)
    images, labels = (_found(Path(folder), name) for name in PARTS[part])
    x, y = load_idx(images), load_idx(labels)
    if x.ndim != 3 or x.dtype != np.uint8:
        raise ValueError(f"{images}: images are [N, H, W] of bytes, not {list(x.shape)} {x.dtype}")
    if y.ndim != 1 or y.dtype != np.uint8:
        raise ValueError(f"{labels}: labels are [N] of bytes, not {list(y.shape)} {y.dtype}")
    if len(x) != len(y):
        raise ValueError(f"{images}: {len(x)} images, but {len(y)} labels in {labels.name}")
    if not x.size:
        raise ValueError(f"{images}: there are no images")
    return x, y.astype(np.int32)


def download_idx(name: str, folder: str | os.PathLike, *, timeout: float = 30.0) -> Path:
    """Fetch MNIST's or Fashion-MNIST's four files into a folder, unless they are there.

    ``name`` is "mnist" or "fashion_mnist". Each file is checked against its published sum before
    it gets its name. Returns the folder. Raises ValueError for another name and a wrong sum, and
    ConnectionError, with what to do, where the network does not give them.
    """
    one_of("data set", name, SOURCES)
    address, sums = SOURCES[name]
    folder = Path(folder)
    for file, expected in sums.items():
        if _paths(folder, file):
            continue
        url = f"{address}{file}.gz"
        try:
            with urllib.request.urlopen(url, timeout=timeout) as answer:
                content = answer.read(MAX_BYTES)
        except (urllib.error.URLError, TimeoutError, OSError) as error:
            reason = getattr(error, "reason", error)
            raise ConnectionError(
                f"{url} cannot be fetched ({reason}); put the four files of {name} into {folder}"
            ) from error
        found = hashlib.md5(content, usedforsecurity=False).hexdigest()
        if found != expected:
            raise ValueError(f"{url}: the file has the MD5 sum {found}, not {expected}")
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f".partial-{file}.gz"
        partial.write_bytes(content)
        partial.replace(folder / f"{file}.gz")
    return folder


def _paths(folder, name):
    """The files of a name that are there."""
    stem, kind = name.rsplit("-", 1)
    names = [f"{base}{end}" for base in (name, f"{stem}.{kind}") for end in ("", ".gz")]
    return [folder / n for n in names if (folder / n).is_file()]


def _found(folder, name):
    paths = _paths(folder, name)
    if not paths:
        raise FileNotFoundError(2, f"there is no {name}, nor {name}.gz", str(folder))
    return paths[0]


def _decompressed(content, name):
    """The decompressed bytes; a few kilobytes may stand for terabytes, which are refused."""
    try:
        with gzip.open(io.BytesIO(content)) as file:
            whole = file.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{name}: its compression is damaged ({error})") from error
    if len(whole) > MAX_BYTES:
        raise ValueError(f"{name}: it holds more than {MAX_BYTES} bytes")
    return whole
