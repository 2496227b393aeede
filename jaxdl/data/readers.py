"""From the bytes of a CSV or NPZ file to named columns, or to one line that says what is wrong.

Nothing in a file is trusted: no pickles, sizes are checked before anything is unpacked.
"""

import csv
import io
import os
import stat
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

MAX_CSV_BYTES = 1 << 28
MAX_NPZ_BYTES = 1 << 30
MISSING = frozenset({"", "na", "n/a", "#n/a", "nan", "null", "none", "?"})


class TableError(ValueError):
    """A file that cannot be used, in one line that names it."""


class Table(NamedTuple):
    """What was read: columns by name.

    path: for messages.
    columns: {name: [N]}, an array of numbers or a list of texts as they stand in the file.
    unit: what the rows are counted in: ``"line"`` of a CSV, ``"row"`` of an NPZ.
    lines: where each row starts, [N], counted from 1.
    comma: whether a comma may be the decimal sign.
    response: the column that an NPZ holds as its response; None for a CSV.
    class_names: names of the classes 0..K-1 that an NPZ brings along.
    """

    path: str
    columns: dict[str, np.ndarray | list[str]]
    unit: str
    lines: list[int] | range
    comma: bool = False
    response: str | None = None
    class_names: tuple[str, ...] | None = None

    def row(self, i: int) -> str:
        """Where row i is, in words."""
        return f"{self.unit} {self.lines[i]}"

    def error(self, problem: str) -> TableError:
        """The TableError for a problem with this table."""
        return fail(self.path, problem)


def fail(path: str, problem: str) -> TableError:
    """``path: problem`` as a TableError of one printable line."""
    text = f"{path}: {problem}"
    return TableError("".join(c if c.isprintable() else repr(c)[1:-1] for c in text))


def shown(value: str) -> str:
    """A text from a file, quoted and cut to a length that fits in a message."""
    return repr(value if len(value) <= 40 else value[:37] + "...")


def listed(names, limit: int = 8) -> str:
    """Names for a message: quoted, the first few."""
    names = list(names)
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(shown(str(name)) for name in names[:limit]) + more


def read(path: str | os.PathLike, response: str | None = None) -> Table:
    """A file as a Table: NPZ if its name ends so, else CSV.

    ``response`` names the NPZ's array of responses, ``"y"`` if None; a missing one is left out.
    Raises TableError, and nothing else, on whatever cannot be read.
    """
    name = os.fsdecode(path)
    try:
        mode = os.stat(name)
        if stat.S_ISDIR(mode.st_mode):
            raise fail(name, "is a directory, not a CSV or NPZ file")
        if not stat.S_ISREG(mode.st_mode):
            raise fail(name, "is not a regular file")
        if mode.st_size == 0:
            raise fail(name, "the file is empty")
        if name.lower().endswith(".npz"):
            return _read_npz(name, response or "y")
        if mode.st_size > MAX_CSV_BYTES:
            raise fail(name, f"the file has more than {MAX_CSV_BYTES >> 20} MiB; save it as NPZ")
        return _read_csv(name, Path(name).read_bytes())
    except OSError as error:
        raise fail(name, error.strerror or type(error).__name__) from None
    except ValueError as error:
        if isinstance(error, TableError):
            raise
        raise fail(name, str(error)) from None  # a NUL in the path, say


def _read_csv(path: str, data: bytes) -> Table:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise fail(path, "the text is UTF-16; save it as UTF-8")
    if b"\0" in data:
        line = data.count(b"\n", 0, data.index(b"\0")) + 1
        raise fail(path, f"line {line}: not a text file (it holds a NUL byte)")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        at = error.start
        line = data.count(b"\n", 0, at) + 1
        raise fail(path, f"line {line}: not UTF-8 (byte 0x{error.object[at]:02x})") from None
    del data

    delimiter = _delimiter(text)
    rows, lines = _records(path, text, delimiter)
    if not rows:
        raise fail(path, "the file has no rows, only blank lines")
    header = [name.strip() for name in rows.pop(0)]
    line = lines.pop(0)
    if all(_is_number(name) for name in header):
        raise fail(path, f"line {line}: the first row must name the columns, but holds numbers")
    seen = set()
    for j, name in enumerate(header):
        if not name:
            raise fail(path, f"line {line}: column {j + 1} has no name")
        if name in seen:
            raise fail(path, f"line {line}: two columns are called {shown(name)}")
        seen.add(name)
    if not rows:
        raise fail(path, "no rows after the header")
    for row, line in zip(rows, lines, strict=True):
        if len(row) != len(header):
            raise fail(path, f"line {line} has {len(row)} fields, the header has {len(header)}")
    columns = {
        name: [cell.strip() for cell in cells]
        for name, cells in zip(header, zip(*rows, strict=True), strict=True)
    }
    return Table(path, columns, "line", lines, comma=delimiter == ";")


def _records(path: str, text: str, delimiter: str) -> tuple[list[list[str]], list[int]]:
    """Rows with at least one field, and the line where each starts."""
    rows, lines, start = [], [], 1
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for row in reader:
            if row and (len(row) > 1 or row[0].strip()):
                rows.append(row)
                lines.append(start)
            start = reader.line_num + 1
    except csv.Error as error:
        problem = str(error)
        if "end of data" in problem:
            problem = "a quoted field is never closed"
        elif "field limit" in problem:
            problem = f"a field has more than {csv.field_size_limit()} characters"
        raise fail(path, f"line {start}: {problem}") from None
    return rows, lines


def _delimiter(text: str) -> str:
    """The first of tab, ';' and ',' that cuts header and first row alike, else the commonest."""
    head = [line for line in text[:1_000_000].splitlines()[:50] if line.strip()][:2]

    def fields(line: str, delimiter: str) -> int:
        # Quotes come in pairs, so every other piece lies outside them.
        return sum(piece.count(delimiter) for piece in line.split('"')[::2]) + 1

    counts = {d: [fields(line, d) for line in head] for d in "\t;,"}
    for delimiter, count in counts.items():
        if len(count) == 2 and count[0] == count[1] > 1:
            return delimiter
    return max(",\t;", key=lambda d: counts[d][:1])


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


def _read_npz(path: str, response: str) -> Table:
    with Path(path).open("rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                return _npz_table(path, response, archive)
        except TableError:
            raise
        except Exception as error:  # whatever zipfile, zlib and numpy make of broken bytes
            raise fail(path, f"not a whole NPZ file ({type(error).__name__}: {error})") from None


def _npz_table(path: str, response: str, archive: zipfile.ZipFile) -> Table:
    names = [info.filename.removesuffix(".npy") for info in archive.infolist()]
    if len(set(names)) < len(names):
        raise fail(path, "two arrays have the same name")
    if "x" not in names:
        raise fail(path, f"no array 'x'; the arrays are {listed(names) or 'none'}")
    total = sum(info.file_size for info in archive.infolist())
    if total > MAX_NPZ_BYTES:
        raise fail(path, f"the arrays take more than {MAX_NPZ_BYTES >> 20} MiB")

    x = _array(path, archive, "x")
    if x.dtype.kind not in "biuf":
        raise fail(path, f"x must hold numbers, not {x.dtype}")
    if x.ndim == 0 or x.size == 0:
        raise fail(path, f"x must be [N, D] with rows, but has shape {x.shape}")
    x = x.reshape(x.shape[0], -1)
    features = _names(path, archive, "feature_names", names)
    features = features or tuple(f"x{j}" for j in range(x.shape[1]))
    if len(features) != x.shape[1] or len(set(features)) < len(features):
        raise fail(path, f"feature_names must be {x.shape[1]} different names, one for each column")
    if response in names and response in features:
        raise fail(path, f"a feature and the response are both called {shown(response)}")
    columns = dict(zip(features, x.T, strict=True))
    lines = range(1, x.shape[0] + 1)
    if response not in names:
        return Table(path, columns, "row", lines)

    y = _array(path, archive, response)
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    if y.shape != x.shape[:1]:
        raise fail(path, f"{shown(response)} has shape {y.shape}, but x has {x.shape[0]} rows")
    if y.dtype.kind not in "biufU":
        raise fail(path, f"{shown(response)} must hold numbers or texts, not {y.dtype}")
    texts = y.dtype.kind in "bU"
    columns[response] = [str(v).strip() for v in y] if texts else y
    class_names = _names(path, archive, "target_names", names)
    return Table(path, columns, "row", lines, response=response, class_names=class_names)


def _array(path: str, archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """One array. Its header is read first, so that no claim of a huge shape is believed."""
    filename = name + ".npy" if name + ".npy" in archive.namelist() else name
    with archive.open(filename) as member:
        version = np.lib.format.read_magic(member)
        if version not in ((1, 0), (2, 0), (3, 0)):
            raise fail(path, f"array {shown(name)} has the unknown format version {version}")
        header = np.lib.format.read_array_header_2_0  # of 3.0 too: only names of fields differ
        if version == (1, 0):
            header = np.lib.format.read_array_header_1_0
        shape, _, dtype = header(member)
        if dtype.hasobject:
            raise fail(path, f"array {shown(name)} is pickled; only plain arrays are read")
        count = 1
        for length in shape:
            count *= length
        size = archive.getinfo(filename).file_size
        if count * dtype.itemsize > size or any(length < 0 for length in shape):
            raise fail(path, f"array {shown(name)} is cut short: {shape} does not fit {size} bytes")
    with archive.open(filename) as member:
        return np.lib.format.read_array(member, allow_pickle=False)


def _names(path, archive, name, names) -> tuple[str, ...] | None:
    if name not in names:
        return None
    array = _array(path, archive, name)
    if array.ndim != 1 or array.dtype.kind != "U":
        raise fail(path, f"{name} must be a list of texts, not {array.dtype} {array.shape}")
    return tuple(str(v) for v in array)
