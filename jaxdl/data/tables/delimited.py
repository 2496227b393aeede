"""From the bytes of a text file to a table; pandas cuts it into cells, and nothing is converted.

pandas fills rows that are too short without a word, so the delimiters are counted, and where they
do not add up, the line is looked for.
"""

import csv
import io
import re
from array import array
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from jaxdl.data.tables import number_formats
from jaxdl.data.tables import table as limits
from jaxdl.data.tables.table import Table, Texts, fail, merged, shown

DELIMITERS = "\t;|,"
_HEAD = 1 << 18  # characters by which the delimiter is found
_CONTROL = re.compile(rb"[\x01-\x08\x0e-\x1f]")
_FIELD = 1 << 20
_CHUNK = 1 << 19  # cells that pandas holds at once
_MANY = 10_000  # rows
_TEXT = np.dtypes.StringDType()


def read_delimited(path: str, data: bytes, missing: Iterable[str]) -> Table:
    """The table in a text: UTF-8, UTF-16 with its mark, or else Windows-1252; a header first."""
    import pandas as pd

    data, encoding, notes = _decodable(path, data)
    head = data[:_HEAD].decode(encoding, "ignore")
    delimiter = _delimiter(head)
    ends = max(data.count(b"\n"), data.count(b"\r"))
    if data.count(delimiter.encode()) + ends > limits.MAX_TEXTS:
        raise fail(path, f"the file has more than {limits.MAX_TEXTS} cells; save it as NPZ")
    first = next(_records(path, head, delimiter), None)
    if first is None:
        raise fail(path, "the file has no rows, only blank lines")
    line, header = first
    names, named = _names(path, line, header)
    try:
        chunks = pd.read_csv(
            io.BytesIO(data), sep=delimiter, header=None, dtype=str, encoding=encoding,
            na_filter=False, index_col=False, engine="c", chunksize=max(1, _CHUNK // len(names)),
        )  # fmt: skip
        # NumPy's texts take a quarter of the room of Python's.
        parts = [[np.array(c[j], _TEXT) for j in range(len(names))] for c in chunks]
    except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError, OverflowError) as error:
        _find_fault(path, data.decode(encoding), delimiter, len(header))
        said = str(error).strip().splitlines()
        raise fail(path, said[0] if said else type(error).__name__) from None
    rows = sum(len(part[0]) for part in parts)
    lines = _lines(path, data, encoding, delimiter, rows, len(header))
    if lines is None:  # rows that pandas and csv see in different ways
        raise fail(path, "its quotation marks do not pair")
    if rows < 2:
        raise fail(path, "no rows after the header")
    columns = {}
    for j, name in enumerate(names):
        cells = np.concatenate([part[j] for part in parts])[1:]
        for part in parts:
            part[j] = None
        columns[name] = _column(cells, missing, delimiter == ";")
    return Table(
        path, columns, "line", lines[1:], comma=delimiter == ";", notes=(*notes, *named)
    )  # fmt: skip


def _column(cells: np.ndarray, missing: Iterable[str], comma: bool) -> np.ndarray | Texts:
    """Cells [N] as they stand there; many numbers that are written plainly, as numbers at once."""
    import pandas as pd

    cells = cells.astype(object)
    if len(cells) > _MANY and not comma:
        numbers = _plain_numbers(cells, missing)
        if numbers is not None:
            return numbers
    at, values = pd.factorize(cells)
    return merged(list(values), at.astype(np.int32), missing)


def _plain_numbers(cells: np.ndarray, missing: Iterable[str]) -> np.ndarray | None:
    """Numbers [N] of cells as Python writes them, NaN where one is missing; else None.

    All must be finite and exact in float64, and none a code that begins with a zero.
    """
    words = frozenset(word.lower() for word in missing)
    number = lambda cell: np.nan if cell.strip().lower() in words else float(cell)
    try:
        numbers = np.array([*map(float, cells)])
    except ValueError:
        try:
            numbers = np.array([*map(number, cells)])
        except ValueError:
            return None
    if not (np.abs(numbers[~np.isnan(numbers)]) < 2.0**53).all():
        return None
    text = ("\n" + "\n".join(cells)).replace(" ", "")
    codes = (f"\n{sign}0{digit}" in text for sign in ("", "-", "+") for digit in range(10))
    return None if "_" in text or any(codes) else numbers


def _decodable(path: str, data: bytes) -> tuple[bytes, str, list[str]]:
    """The bytes without a mark in front, their encoding, and what there is to say of it."""
    if not data:
        raise fail(path, "the file is empty")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return data.decode("utf-16").encode(), "utf-8", ["the text is UTF-16"]
        except UnicodeDecodeError:
            raise fail(path, "the text is broken UTF-16") from None
    data = data.removeprefix(b"\xef\xbb\xbf")
    if b"\0" in data:
        raise fail(
            path, f"line {_line(data, data.index(0))}: not a text file (it holds a NUL byte)"
        )
    try:
        if not data.isascii():
            data.decode("utf-8")
        return data, "utf-8", []
    except UnicodeDecodeError as error:
        at = error.start
    found = _CONTROL.search(data)
    try:
        if found:
            raise ValueError
        data.decode("cp1252")
    except ValueError:
        line = _line(data, at)
        raise fail(
            path, f"line {line}: not UTF-8 (byte 0x{data[at]:02x}), nor other text"
        ) from None
    said = f"line {_line(data, at)} is not UTF-8: the text is read as Latin-1 (Windows-1252)"
    return data, "cp1252", [said]


def _line(data: bytes, at: int) -> int:
    return data.count(b"\n", 0, at) + 1


def _delimiter(head: str) -> str:
    """The first of tab, ';', '|' and ',' that cuts the first rows alike, else the commonest."""
    scores = {}
    for delimiter in DELIMITERS:
        reader, sizes = csv.reader(io.StringIO(head, newline=""), delimiter=delimiter), []
        try:
            for row in reader:
                if row and any(map(str.strip, row)):
                    sizes.append(len(row))
                if len(sizes) == 20:
                    break
        except csv.Error:
            pass
        if len(sizes) > 1 and sizes[0] > 1 and len(set(sizes)) == 1:
            return delimiter
        scores[delimiter] = (sum(n == sizes[0] for n in sizes) if sizes and sizes[0] > 1 else 0,
                             sizes[0] if sizes else 0)  # fmt: skip
    return max(",\t;|", key=lambda d: scores[d])


def _names(path: str, line: int, header: Sequence[str]) -> tuple[list[str], list[str]]:
    """A name for each column, and what there is to say of names that were made up."""
    if len(header) > limits.MAX_COLUMNS:
        raise fail(path, f"line {line}: more than {limits.MAX_COLUMNS} columns")
    header = [name.strip() for name in header]
    given = [name for name in header if name]
    if given and all(not np.isnan(number_formats.parse([name])[0]) for name in given):
        raise fail(path, f"line {line}: the first row must name the columns, but holds numbers")
    names, notes, taken = [], [], set(header)
    for j, name in enumerate(header):
        new = name or f"column {j + 1}"
        k = 2
        while new in names or (new != name and new in taken):
            new, k = f"{name or f'column {j + 1}'} ({k})", k + 1
        if not name:
            notes.append(f"column {j + 1} has no name; it is called {shown(new)}")
        elif new != name:
            notes.append(f"two columns are called {shown(name)}; the later is called {shown(new)}")
        names.append(new)
    return names, notes


def _records(path: str, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The line where it starts, and the fields, of each row that is not blank."""
    start, reader = 1, csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    csv.field_size_limit(_FIELD)
    try:
        for row in reader:
            if row and (len(row) > 1 or row[0].strip()):
                yield start, row
            start = reader.line_num + 1
    except csv.Error as error:
        problem = str(error)
        if "field limit" in problem:
            problem = f"a field has more than {_FIELD} characters"
        raise fail(path, f"line {start}: {problem}") from None


def _find_fault(path: str, text: str, delimiter: str, width: int) -> None:
    """Raise the TableError of the first row that has not ``width`` fields, or is never closed."""
    last = 1
    for line, row in _records(path, text, delimiter):
        last = line
        if len(row) != width:
            if text.count('"') % 2 and any("\n" in cell for cell in row):
                break
            raise fail(path, f"line {line} has {len(row)} fields, the header has {width}")
    if text.count('"') % 2:
        raise fail(path, f"line {last}: a quoted field is never closed")


def _lines(
    path: str, data: bytes, encoding: str, delimiter: str, rows: int, width: int
) -> Sequence[int] | None:
    """The line [R] where each of pandas' rows starts; TableError for a row that is too short."""
    outside = b"".join(data.split(b'"')[::2]) if b'"' in data else data
    ends = outside.count(b"\n") or outside.count(b"\r")
    ends += not data.endswith((b"\n", b"\r"))
    one_line_each = ends == rows and data.count(b"\n") == outside.count(b"\n")
    if one_line_each and outside.count(delimiter.encode()) == rows * (width - 1):
        return range(1, rows + 1)
    text, lines = data.decode(encoding), array("q")
    for line, row in _records(path, text, delimiter):
        if len(row) != width:
            raise fail(path, f"line {line} has {len(row)} fields, the header has {width}")
        lines.append(line)
    return lines if len(lines) == rows else None
