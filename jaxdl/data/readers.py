"""From the bytes of a CSV or NPZ file to named columns, or to one line that says what is wrong.

Nothing in a file is trusted: see ``jaxdl.files``. A table within these limits takes less than 1 GB.
"""

import csv
import io
import math
import os
from array import array
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np

from jaxdl import files
from jaxdl.files import Arrays

MAX_CSV_BYTES = 1 << 27
MAX_TEXTS = 1 << 22  # cells of a CSV, each a text of its own
MAX_CELLS = 1 << 25  # numbers of x
MAX_COLUMNS = 1 << 14
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
    lines: Sequence[int]
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
        if name.lower().endswith(".npz"):
            return _read_npz(name, response or "y")
        data = files.read_bytes(name, most=MAX_CSV_BYTES)
    except OSError as error:
        raise fail(name, error.strerror or type(error).__name__) from None
    except TableError:
        raise
    except ValueError as error:  # a NUL in the path, say
        raise fail(name, str(error)) from None
    return _read_csv(name, data)


def _read_csv(path: str, data: bytes) -> Table:
    if not data:
        raise fail(path, "the file is empty")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise fail(path, "the text is UTF-16; save it as UTF-8")
    if b"\0" in data:
        line = data.count(b"\n", 0, data.index(b"\0")) + 1
        raise fail(path, f"line {line}: not a text file (it holds a NUL byte)")
    try:
        data.decode("utf-8-sig")  # once for the place of a wrong byte; it is read piece by piece
    except UnicodeDecodeError as error:
        at = error.start
        line = data.count(b"\n", 0, at) + 1
        raise fail(path, f"line {line}: not UTF-8 (byte 0x{error.object[at]:02x})") from None

    delimiter = _delimiter(data[:1_000_000].decode("utf-8-sig", "ignore"))
    ends = max(data.count(b"\n"), data.count(b"\r"))
    if data.count(delimiter.encode()) + ends > MAX_TEXTS:
        raise fail(path, f"the file has more than {MAX_TEXTS} cells; save it as NPZ")
    records = _records(path, data, delimiter)
    line, header = next(records, (0, None))
    if header is None:
        raise fail(path, "the file has no rows, only blank lines")
    header = [name.strip() for name in header]
    if all(_is_number(name) for name in header):
        raise fail(path, f"line {line}: the first row must name the columns, but holds numbers")
    if len(header) > MAX_COLUMNS:
        raise fail(path, f"line {line}: more than {MAX_COLUMNS} columns")
    seen = set()
    for j, name in enumerate(header):
        if not name:
            raise fail(path, f"line {line}: column {j + 1} has no name")
        if name in seen:
            raise fail(path, f"line {line}: two columns are called {shown(name)}")
        seen.add(name)
    columns, lines = {name: [] for name in header}, array("q")
    # Rows become columns a few at a time: a list for each row would take more than its cells.
    while some := list(islice(records, 1024)):
        for line, row in some:
            if len(row) != len(header):
                raise fail(path, f"line {line} has {len(row)} fields, the header has {len(header)}")
            lines.append(line)
        for column, cells in zip(
            columns.values(), zip(*(row for _, row in some), strict=True), strict=True
        ):
            column.extend(map(str.strip, cells))
    if not lines:
        raise fail(path, "no rows after the header")
    return Table(path, columns, "line", lines, comma=delimiter == ";")


def _records(path: str, data: bytes, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The line where it starts, and the fields, of each row with at least one field."""
    start, text = 1, io.TextIOWrapper(io.BytesIO(data), "utf-8-sig", newline="")
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    try:
        for row in reader:
            if row and (len(row) > 1 or row[0].strip()):
                yield start, row
            start = reader.line_num + 1
    except csv.Error as error:
        problem = str(error)
        if "end of data" in problem:
            problem = "a quoted field is never closed"
        elif "field limit" in problem:
            problem = f"a field has more than {csv.field_size_limit()} characters"
        raise fail(path, f"line {start}: {problem}") from None


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
    try:
        with files.opened_npz(path) as arrays:
            return _npz_table(path, response, arrays)
    except ValueError as error:
        if isinstance(error, TableError):
            raise
        raise fail(path, f"not a whole NPZ file ({error})") from None


def _npz_table(path: str, response: str, arrays: Arrays) -> Table:
    described = arrays.described
    if "x" not in described:
        raise fail(path, f"no array 'x'; the arrays are {listed(described) or 'none'}")
    (rows, *rest), dtype = described["x"].shape or (0,), described["x"].dtype
    width = math.prod(rest)
    if dtype.kind not in "biuf":
        raise fail(path, f"x must hold numbers, not {dtype}")
    if not rows * width:
        raise fail(path, f"x must be [N, D] with rows, but has shape {described['x'].shape}")
    if rows * width > MAX_CELLS or width > MAX_COLUMNS:
        raise fail(
            path, f"x is [{rows}, {width}]: more than {MAX_CELLS} numbers or {MAX_COLUMNS} columns"
        )
    features = _names(path, arrays, "feature_names", width)
    features = features or tuple(f"x{j}" for j in range(width))
    if len(features) != width or len(set(features)) < len(features):
        raise fail(path, f"feature_names must be {width} different names, one for each column")
    if response in described and response in features:
        raise fail(path, f"a feature and the response are both called {shown(response)}")
    if response in described:
        shape, dtype = described[response]
        if shape not in ((rows,), (rows, 1)):
            raise fail(path, f"{shown(response)} has shape {shape}, but x has {rows} rows")
        if dtype.kind not in "biufU":
            raise fail(path, f"{shown(response)} must hold numbers or texts, not {dtype}")
        if dtype.kind == "U" and rows > MAX_TEXTS:
            raise fail(path, f"{shown(response)} has more than {MAX_TEXTS} texts")
    x = arrays.read("x").reshape(rows, width)
    columns = dict(zip(features, x.T, strict=True))
    lines = range(1, rows + 1)
    if response not in described:
        return Table(path, columns, "row", lines)
    y = arrays.read(response).reshape(rows)
    columns[response] = [str(v).strip() for v in y] if y.dtype.kind in "bU" else y
    class_names = _names(path, arrays, "target_names", MAX_COLUMNS)
    return Table(path, columns, "row", lines, response=response, class_names=class_names)


def _names(path: str, arrays: Arrays, name: str, most: int) -> tuple[str, ...] | None:
    if name not in arrays.described:
        return None
    shape, dtype = arrays.described[name]
    if len(shape) != 1 or dtype.kind != "U":
        raise fail(path, f"{name} must be a list of texts, not {dtype} {shape}")
    if shape[0] > most:
        raise fail(path, f"{name} must be {most} different names at most, not {shape[0]}")
    return tuple(str(v) for v in arrays.read(name))
