"""From a file, of whatever kind, to a table; or to one line that says what is wrong with it.

Nothing in a file is trusted: see ``jaxdl.files``. What is compressed is bounded by what it unpacks
to, and a kind is told by the first bytes, not by the name.
"""

import bz2
import gzip
import io
import lzma
import os
import re
import zipfile
import zlib
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Union

from jaxdl import files
from jaxdl.data.tables import frames
from jaxdl.data.tables import table as limits
from jaxdl.data.tables.delimited import read_delimited
from jaxdl.data.tables.npz import read_npz
from jaxdl.data.tables.table import MISSING, Table, TableError, fail

if TYPE_CHECKING:
    import pandas as pd

Source = Union[str, os.PathLike, "pd.DataFrame"]
_PACKED = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
# What Excel takes for the delimiter; the line stays, empty, so that lines count as in the file.
_SEPARATOR = re.compile(rb"\A(\xef\xbb\xbf)?\"?sep=[,;|\t]\"?(?=[\r\n])", re.IGNORECASE)
_BROKEN = (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError)


def read(
    source: Source,
    response: str | None = None,
    missing: Iterable[str] = MISSING,
    *,
    header: bool | None = None,
    as_texts: Collection[str] = (),
) -> Table:
    """A file or DataFrame as a Table.

    A file is NPZ if its name ends so; Parquet or Feather if it begins so; else text, which may be
    compressed by gzip, bzip2, xz or as the only member of a ZIP. ``response`` names the NPZ's array
    of responses, ``"y"`` if None; a missing one is left out. ``missing``: the words of a text that
    stand for no value, in any case. ``header`` and ``as_texts``: of a text, see ``read_delimited``.
    Raises TableError, and nothing else, on whatever cannot be read.
    """
    if not isinstance(source, (str, bytes, os.PathLike)):
        return frames.read_frame("table", source, missing)
    name = os.fsdecode(source)
    try:
        if name.lower().endswith(".npz"):
            return read_npz(name, response or "y")
        data = _unpacked(name)
        if frames.is_columnar(data):
            return frames.read_columnar(name, data, missing)
        return read_delimited(name, data, missing, header=header, as_texts=as_texts)
    except TableError:
        raise
    except OSError as error:
        broken = f"not whole ({files.reason(error)})"  # what gzip and bz2 say has no number
        raise fail(name, error.strerror or broken) from None
    except _BROKEN as error:
        raise fail(name, f"not whole ({files.reason(error)})") from None
    except MemoryError:
        raise fail(name, "takes more memory than there is") from None
    except ValueError as error:  # a NUL in the path, say
        raise fail(name, files.reason(error)) from None


def _unpacked(name: str) -> bytes:
    """What is in a file, decompressed, if that is not too much."""
    most = limits.MAX_CSV_BYTES
    with files.open_regular(name) as file:
        start = file.peek(8)[:8]
        for mark, opener in _PACKED.items():
            if start.startswith(mark):
                with opener(file) as unpacked:
                    data = unpacked.read(most + 1)
                break
        else:
            data = file.read(most + 1)
    if data.startswith(b"PK\x03\x04"):
        data = _only_member(name, data)
    if len(data) > most:
        raise fail(name, f"has more than {files.amount(most)}")
    return _SEPARATOR.sub(rb"\1", data)


def _only_member(name: str, data: bytes) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [info for info in archive.infolist() if not info.is_dir()]
            if len(members) != 1:
                raise fail(name, f"the ZIP file has {len(members)} members; one table is read")
            if members[0].flag_bits & 1:
                raise fail(name, "the ZIP file is encrypted")
            with archive.open(members[0]) as member:
                return member.read(limits.MAX_CSV_BYTES + 1)
    except TableError:
        raise
    except ValueError as error:  # of an offset before the start
        raise zipfile.BadZipFile(str(error)) from None
