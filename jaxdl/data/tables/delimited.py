"""From the bytes of a text file to a table.

pandas fills rows that are too short without a word, so the delimiters are counted, and where they
do not add up, the line is looked for.
"""

import csv
import io
import re
from array import array
from collections.abc import Collection, Iterable, Sequence
from itertools import islice

from jaxdl.data.tables import dialect
from jaxdl.data.tables import table as limits
from jaxdl.data.tables.cells import Written, read_columns
from jaxdl.data.tables.table import Column, Table, fail

_SAMPLE = 100  # rows by which names are told from data, and numbers from texts
_SAMPLE_CELLS = 1 << 17
_QUOTED = re.compile(rb'"[^"]*"')


def read_delimited(
    path: str,
    data: bytes,
    missing: Iterable[str],
    *,
    header: bool | None = None,
    as_texts: Collection[str] = (),
) -> Table:
    """The table in a text: UTF-8, UTF-16 with its mark, or else Windows-1252.

    ``header``: whether the first row names the columns; None: unless it looks like data (see
    ``dialect.looks_like_data``). ``as_texts``: columns whose cells are kept as they are written.
    """
    data, notes = dialect.as_utf8(path, data)
    data = data.rstrip(b"\r\n")
    delimiter = dialect.find_delimiter(data)
    ends = max(data.count(b"\n"), data.count(b"\r"))
    if data.count(delimiter.encode()) + ends > limits.MAX_TEXTS:
        raise fail(path, f"the file has more than {limits.MAX_TEXTS} cells; save it as NPZ")
    dialect.refuse_long_fields(path, data, delimiter)
    rows = dialect.rows(path, data, delimiter)
    first = next(rows, None)
    if first is None:
        raise fail(path, "the file has no rows, only blank lines")
    width = len(first.fields)
    if width > limits.MAX_TEXT_COLUMNS:
        raise fail(path, f"line {first.line}: {dialect.TOO_WIDE}")
    sample = [row.fields for row in islice(rows, min(_SAMPLE, 1 + _SAMPLE_CELLS // width))]
    names, header, said = dialect.head_of(first, sample, header)
    start, line = (first.end, first.last + 1) if header else (0, 1)
    if not data[start:].strip():
        raise fail(path, "no rows after the header")
    text = Written(data, start, delimiter, width)
    columns, lines = _checked(
        path, text, line, sample if header else [first.fields, *sample], missing,
        [j for j, name in enumerate(names) if name in as_texts],
    )  # fmt: skip
    return Table(
        path, dict(zip(names, columns, strict=True)), "line", lines, text.comma,
        notes=(*notes, *said), header=header,
    )  # fmt: skip


def _checked(
    path: str,
    text: Written,
    line: int,
    sample: Sequence[Sequence[str]],
    missing: Iterable[str],
    as_texts: Collection[int],
) -> tuple[list[Column], Sequence[int]]:
    """The columns [N] and the line [N] where each row starts; TableError for rows of other widths.

    ``line`` is that of the first row, if it is not blank.
    """
    import pandas as pd

    counted = _one_line_each(text, line)
    lines = counted if counted is not None else _lines(path, text, line)
    said, columns = "its quotation marks do not pair", None
    try:
        columns = read_columns(text, sample, missing, as_texts)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError, OverflowError) as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
    found = -1 if columns is None else len(getattr(columns[0], "at", columns[0]))
    if found != len(lines) and counted is not None:
        lines = _lines(path, text, line)
    if columns is not None and found == len(lines):
        return columns, lines
    if text.data.count(b'"') % 2:
        raise fail(path, f"line {lines[-1]}: a quoted field is never closed")
    raise fail(path, said)


def _one_line_each(text: Written, line: int) -> Sequence[int] | None:
    """The lines of rows that take one each, if so many delimiters as they need are outside quotes."""
    data, start = text.data, text.start
    quoted = data.find(b'"', start) >= 0
    outside = _QUOTED.sub(b"", data[start:]) if quoted else data
    begin = 0 if quoted else start
    end = b"\n" if b"\n" in outside else b"\r"
    rows = outside.count(end, begin) + 1  # there is none at the end
    if quoted and (data.count(end, start) != rows - 1 or b'"' in outside):
        return None
    whole = outside.count(text.delimiter.encode(), begin) == rows * (text.width - 1)
    return range(line, line + rows) if whole else None


def _lines(path: str, text: Written, line: int) -> Sequence[int]:
    """The line [N] where each row starts; TableError for one that has not as many fields as all."""
    source = io.BytesIO(text.data)
    source.seek(text.start)
    reader = csv.reader(
        io.TextIOWrapper(source, "utf-8", newline=""), delimiter=text.delimiter
    )  # fmt: skip
    lines, start, width = array("q"), line, text.width
    first = "the header" if text.start else "the first row"
    try:
        for row in reader:
            if len(row) == width and (width > 1 or row[0].strip()):
                lines.append(start)
            elif len(row) > 1 or (row and row[0].strip()):
                if text.data.count(b'"') % 2 and any("\n" in cell for cell in row):
                    raise fail(path, f"line {start}: a quoted field is never closed")
                raise fail(path, f"line {start} has {len(row)} fields, {first} has {width}")
            start = line + reader.line_num
    except csv.Error as error:
        raise fail(path, f"line {start}: {dialect.reason(error)}") from None
    return lines
