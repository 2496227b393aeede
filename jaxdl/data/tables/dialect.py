"""How a text is written down: its encoding, its delimiter, its rows, and the names of its columns."""

import codecs
import csv
import io
import itertools
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from jaxdl.data.tables import date_forms
from jaxdl.data.tables import table as limits
from jaxdl.data.tables.number_formats import find_format, plain
from jaxdl.data.tables.table import MISSING, fail, shown

DELIMITERS = "\t;|,"
_HEAD = 1 << 18  # characters by which the delimiter is found
_CONTROL = re.compile(rb"[\x01-\x08\x0e-\x1f]")
_FIELD = 1 << 20
_LINE = 1 << 24  # characters of a line whose fields are counted before it is cut
_QUOTED = re.compile('"[^"]*"')
_MOST = limits.MAX_TEXT_COLUMNS
TOO_WIDE = f"more than {_MOST} columns; so many numbers are read as NPZ"
_LOOKED_AT = 100  # columns by which names are told from data
_UTF32 = (b"\xff\xfe\0\0", b"\0\0\xfe\xff")


class Row(NamedTuple):
    """A row of a text: the lines where it starts and ends, the byte behind it, and its fields."""

    line: int
    last: int
    end: int
    fields: list[str]


def as_utf8(path: str, data: bytes) -> tuple[bytes, list[str]]:
    """A text in UTF-8 without a mark in front, and what there is to say of how it was written.

    UTF-16 is told by its mark, and what is no UTF-8 is Windows-1252. Raises a TableError for what
    is no text.
    """
    if not data:
        raise fail(path, "the file is empty")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) and not data.startswith(_UTF32):
        try:
            data = data.decode("utf-16").encode()
        except UnicodeError:
            raise fail(path, "the text is broken UTF-16") from None
        if b"\0" in data:
            raise fail(
                path, f"{_at(data, data.index(0))}: not a text file (it holds a NUL character)"
            )
        return data, ["the text is UTF-16"]
    data = data.removeprefix(b"\xef\xbb\xbf")
    if b"\0" in data:
        raise fail(
            path, f"{_at(data, data.index(0))}: not a text file (it holds a NUL byte)"
            + ("; text in UTF-16 or UTF-32 must be saved as UTF-8" if _seems_wide(data) else "")
        )  # fmt: skip
    at = None if data.isascii() else _not_utf8(data)
    if at is None:
        return data, []
    try:
        if _CONTROL.search(data):
            raise ValueError
        text = data.decode("cp1252")
    except ValueError:
        raise fail(
            path, f"{_at(data, at)}: not UTF-8 (byte 0x{data[at]:02x}), nor other text"
        ) from None
    said = f"{_at(data, at)} is not UTF-8: the text is read as Latin-1 (Windows-1252)"
    return text.encode(), [said]


def _not_utf8(data: bytes) -> int | None:
    """Where a text is not UTF-8, looked for piece by piece: as a whole it may take four times its
    length."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(data), _FIELD):
        begun, _ = decoder.getstate()  # the bytes of a character that goes on in this piece
        try:
            decoder.decode(data[start : start + _FIELD], start + _FIELD >= len(data))
        except UnicodeDecodeError as error:
            return start - len(begun) + error.start
    return None


def _seems_wide(data: bytes) -> bool:
    """Whether every other byte is 0 at the start, or three of four."""
    start = data[:64]
    return data.startswith(_UTF32) or 3 * start.count(0) > len(start)


def _at(data: bytes, position: int) -> str:
    return f"line {line_of(data, position)}"


def line_of(data: bytes, position: int) -> int:
    """The line of a byte, from 1; lines end in LF, or where there is none, in CR."""
    end = b"\n" if b"\n" in data else b"\r"
    return data.count(end, 0, position) + 1


def find_delimiter(data: bytes) -> str:
    """The first of tab, ';', '|' and ',' that cuts the first rows alike, else the commonest."""
    head = data[:_HEAD].decode("utf-8", "ignore")
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


def refuse_long_fields(path: str, data: bytes, delimiter: str) -> None:
    """Raise the TableError of a field that has more than a MiB without a line's end in it.

    Such a field covers one of the half MiB from whose start on there is neither delimiter nor end.
    """
    marks, half = (delimiter.encode(), b"\n", b"\r"), _FIELD // 2
    for k in range(0, len(data) - half, half):
        if all(data.find(mark, k, k + half) < 0 for mark in marks):
            start = max(data.rfind(mark, 0, k) for mark in marks) + 1
            ends = [end for mark in marks if (end := data.find(mark, k)) >= 0]
            if min(ends, default=len(data)) - start > _FIELD:
                raise fail(path, f"{_at(data, start)}: a field has more than {_FIELD} bytes")


def rows(path: str, data: bytes, delimiter: str) -> Iterator[Row]:
    """The rows of a text that are not blank, as they are asked for; TableError for a long field."""
    end = 0

    def lines():
        nonlocal end
        for text in io.TextIOWrapper(io.BytesIO(data), "utf-8", newline=""):
            # As fields a line takes six times its length and more: it is not cut to be refused.
            if len(text) > _LINE and _QUOTED.sub("", text).count(delimiter) >= _MOST:
                raise csv.Error(TOO_WIDE)
            end += len(text) if text.isascii() else len(text.encode())
            yield text

    csv.field_size_limit(_FIELD)
    start, reader = 1, csv.reader(lines(), delimiter=delimiter)
    try:
        for fields in reader:
            if fields and (len(fields) > 1 or fields[0].strip()):
                yield Row(start, reader.line_num, end, fields)
            start = reader.line_num + 1
    except csv.Error as error:
        raise fail(path, f"line {start}: {reason(error)}") from None


def reason(error: csv.Error) -> str:
    """What is wrong with a row, in words."""
    if "field limit" in str(error):
        return f"a field has more than {_FIELD} characters"
    return str(error)


def head_of(
    first: Row, below: Sequence[Sequence[str]], header: bool | None
) -> tuple[list[str], bool, list[str]]:
    """The columns' names, whether the first row holds them, and what there is to say of both.

    ``header``: None to decide by the looks of the first row, and of the fields of some ``below``.
    """
    said, given = [], [cell.strip() for cell in first.fields if cell.strip()]
    if header is None:
        header = not looks_like_data(first.fields, below)
        if not header:
            said = [
                f"line {first.line} names no columns: each of its cells is like those below it, so "
                "it is data, and the columns are called 'column 1', 'column 2', ... (--header yes "
                "takes it for names)"
            ]
        elif _are_numbered(given, len(given)):
            said = [f"line {first.line} holds numbers that rise: they are the columns' names "
                    "(--header no takes them for data)"]  # fmt: skip
        elif len(given) == 2 and [cell.isdecimal() for cell in given].count(True) == 1:
            said = [f"line {first.line} is taken for the columns' names, though one is a number "
                    "(--header no takes it for data)"]  # fmt: skip
    if not header:
        return [f"column {j + 1}" for j in range(len(first.fields))], False, said
    names, notes = name_columns(first.fields)
    return names, True, [*said, *notes]


def looks_like_data(first: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Whether a first row names nothing, but is one like those below it.

    That is so where each of its cells is of the kind that its column is, and one at least proves
    it: a number where most cells below are numbers, a date where they are dates, a text that stands
    there again. A text above texts that all differ proves nothing, unless it alone begins with a
    small letter, or a capital one: then it is a name. Neither do whole numbers that rise in equal
    steps, or are years that rise: these are names. Of many columns the first hundred are looked at.

    >>> looks_like_data(["5.1", "setosa"], [["4.9", "setosa"], ["7.0", "virginica"]])
    True
    >>> looks_like_data(["country", "2019"], [["Chad", "1.5"], ["Mali", "1.7"]])
    False
    >>> below = [["Ann", "5"], ["Bob", "7"], ["Cid", "9"]]
    >>> looks_like_data(["name", "1"], below), looks_like_data(["Zoe", "1"], below)
    (False, True)
    """
    below = [row for row in below if list(row) != list(first)]
    given = [(j, cell.strip()) for j, cell in enumerate(first) if _is_known(cell)][:_LOOKED_AT]
    proofs = []
    for j, cell in given:
        column = [row[j].strip() for row in below if j < len(row) and _is_known(row[j])]
        how = find_format(column)
        numbers = [plain(text, how) is not None for text in [cell, *column]]
        fits = 2 * sum(numbers[1:]) > len(column) if numbers[0] else _stands_in(cell, column)
        recur = len({*column}) < len(column)
        if not fits and (any(numbers) or recur or _has_another_case(cell, column)):
            return False
        proofs += [cell] * fits
    return bool(proofs and below) and not _are_numbered(proofs, len(given))


def _is_known(cell: str) -> bool:
    return cell.strip().lower() not in MISSING


def _stands_in(cell: str, column: Sequence[str]) -> bool:
    """Whether a cell is one of a column's texts, or a date in a column of dates."""
    if cell in column:
        return True
    dates = date_forms.find_form(column) if any(map(str.isdigit, cell)) else None
    return dates is not None and not np.isnan(date_forms.parse([cell], dates.form)[0])


def _has_another_case(cell: str, column: Sequence[str]) -> bool:
    """Whether a text begins with a small letter and three or more with capital ones, or vice versa."""
    small, large = str.islower, str.isupper
    cases = [(small, large), (large, small)]
    return len(column) > 2 and any(
        mine(cell[:1]) and all(theirs(text[:1]) for text in column) for mine, theirs in cases
    )


def _are_numbered(names: Sequence[str], width: int) -> bool:
    """Whether these numbers would do as names of ``width`` columns or some: 2019, 2020, 2021."""
    if not all(name.isascii() and name.isdigit() and len(name) < 10 for name in names):
        return False
    numbers = [*map(int, names)]
    steps = {b - a for a, b in itertools.pairwise(numbers)}
    rise = all(step > 0 for step in steps)
    years = all(1800 <= number <= 2100 for number in numbers)
    return rise and ((len(steps) == 1 and len(numbers) > 2) or (years and width > 1))


def name_columns(header: Sequence[str]) -> tuple[list[str], list[str]]:
    """A name for each column, all different, and what there is to say of those that were made up.

    >>> name_columns(["a", "", "a"])[0]
    ['a', 'column 2', 'a (2)']
    """
    header = [name.strip() for name in header]
    names, notes, used, again = [], [], set(), {}
    taken = set(header)
    for j, name in enumerate(header):
        wanted = name or f"column {j + 1}"
        new, k = wanted, again.get(wanted, 2)
        while new in used or (new != name and new in taken):
            new, k = f"{wanted} ({k})", k + 1
        again[wanted] = k
        if not name:
            notes.append(f"column {j + 1} has no name; it is called {shown(new)}")
        elif new != name:
            notes.append(f"two columns are called {shown(name)}; the later is called {shown(new)}")
        names.append(new)
        used.add(new)
    if len(notes) > limits.MAX_NOTES:
        more = len(notes) - limits.MAX_NOTES
        notes = [*notes[: limits.MAX_NOTES], f"and {more} more columns are named in such ways"]
    return names, notes
