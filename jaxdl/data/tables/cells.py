"""From the rows of a text to columns: pandas cuts them into cells, and reads plain numbers.

Numbers that Python's ``float`` would read the same way are numbers at once; all else stays text.
"""

import io
import re
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxdl.checks import filled_in
from jaxdl.data.tables import number_formats
from jaxdl.data.tables.kinds import have_code
from jaxdl.data.tables.table import Column, merged

_CHUNK = 3 << 19  # cells that pandas holds at once
_EXACT = 2.0**53
_DAYS = (1800_01_01, 2100_00_00)  # whole numbers that may be dates


class Written(NamedTuple):
    """The rows of a text in UTF-8 from a byte on, and how their W fields are set apart."""

    data: bytes
    start: int
    delimiter: str
    width: int

    @property
    def comma(self) -> bool:
        """Whether a decimal comma is likely."""
        return self.delimiter == ";"


def read_columns(
    text: Written,
    sample: Sequence[Sequence[str]],
    missing: Iterable[str],
    as_texts: Collection[int],
) -> list[Column] | None:
    """The W columns; None where pandas finds rows of other widths.

    A column whose cells in the ``sample`` of rows are plain numbers or missing is read as numbers
    [N], NaN where one is missing. It stays text where that would lose anything: digits beyond
    float64, infinities, codes that begin with a zero, days such as 20240131, a comma for a point.
    Those of ``as_texts`` are texts in any case. Raises what pandas does.
    """
    words = frozenset(word.lower() for word in missing)
    guess = [
        j not in as_texts and _are_plain([row[j] for row in sample if j < len(row)], text, words)
        for j in range(text.width)
    ]
    columns = _read(text, range(text.width), np.flatnonzero(guess), words)
    if columns is None:
        return None
    sentinels = [number for word in words if (number := _number(word)) is not None]
    # A point that the sample shows, and that is not taken for a comma there, is none elsewhere.
    points = {j for row in sample for j, cell in enumerate(row) if "." in cell}
    coded = _CODES[text.delimiter].search(text.data, text.start) is not None
    again, perhaps = [], []
    for j in np.flatnonzero(guess):
        column = columns[j]
        if column is None or _loses(column, sentinels, text.comma and j not in points):
            again.append(j)
        elif coded and (column == np.floor(column)).any():
            perhaps.append(j)
    if again or perhaps:
        texts = _read(text, [*again, *perhaps], [], words)
        if texts is None:
            return None
        found = dict(zip([*again, *perhaps], texts, strict=True))
        for j, column in found.items():
            if j in again or have_code(filled_in(column).values):
                columns[j] = column
    return columns


def _read(
    text: Written, which: Sequence[int], numbers: Collection[int], words: frozenset[str]
) -> list[Column | None] | None:
    """Some columns; None for one of ``numbers`` that holds others, for all if rows are too long."""
    import pandas as pd

    numbers, which = set(map(int, numbers)), [*map(int, which)]
    # From 3.1 on pandas rounds decimals rightly unasked, and warns of being asked to.
    newest = tuple(map(int, pd.__version__.split(".")[:2])) >= (3, 1)
    exactly: dict[str, Any] = {} if newest else {"float_precision": "round_trip"}
    source = io.BytesIO(text.data)
    source.seek(text.start)
    spellings = {f(w) for w in words if _number(w) is None for f in (str, str.upper, str.title)}
    chunks = pd.read_csv(
        source, sep=text.delimiter, header=None, index_col=False, engine="c", encoding="utf-8",
        usecols=None if len(which) == text.width else which,
        dtype={j: object for j in which if j not in numbers},
        na_values=sorted(spellings), keep_default_na=False, **exactly,
        low_memory=False, chunksize=max(1, _CHUNK // text.width),
    )  # fmt: skip
    parts, count = {j: [] for j in which}, 0
    for chunk in chunks:
        if chunk.shape[1] != len(which):
            return None
        # By blocks: a Series for each of thousands of columns would take longer than the parsing.
        dtypes = dict(zip(chunk.columns, chunk.dtypes, strict=True))
        parsed = [j for j in dtypes if j in numbers and dtypes[j].kind in "iuf"]
        for j, column in zip(parsed, chunk[parsed].to_numpy(np.float64).T, strict=True):
            parts[j].append(column)
        texts = [j for j in dtypes if j not in numbers]
        for j, column in zip(texts, chunk[texts].to_numpy(object).T, strict=True):
            codes, different = pd.factorize(column)
            parts[j].append((codes.astype(np.int32), different))
        count += 1
    joined = lambda j, part: np.concatenate(part) if j in numbers else merged(*_joined(part), words)
    whole = {j: len(parts[j]) == count for j in which}
    return [joined(j, parts.pop(j)) if whole[j] else None for j in which]  # none is there twice


def _joined(parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[list[str], np.ndarray]:
    """The different texts of some parts of a column, and which of them each cell holds, [N]."""
    import pandas as pd

    if len(parts) == 1:
        return list(parts[0][1]), parts[0][0]
    again, texts = pd.factorize(np.concatenate([texts for _, texts in parts]))
    ends = np.cumsum([len(texts) for _, texts in parts])[:-1]
    of_parts = np.split(again.astype(np.int32), ends)
    at = [np.append(new, -1)[codes] for new, (codes, _) in zip(of_parts, parts, strict=True)]
    return list(texts), np.concatenate(at)


def _codes(delimiter: str) -> re.Pattern:
    """What finds a cell of digits that begin with a zero, and perhaps more than those."""
    edge = rf'[{re.escape(delimiter)}\s"]'
    begin = rf"(?<={edge}0)|(?<={edge}[+-]0)|(?<=\A0)"  # behind the 0, which is quickly found
    return re.compile(rf"0(?:{begin})\d+(?:{edge}|\Z)".encode())


_CODES = {delimiter: _codes(delimiter) for delimiter in "\t;|,"}


def _number(cell: str) -> float | None:
    """The number that a cell plainly is, NaN not counted."""
    try:
        number = float(cell)
    except ValueError:
        return None
    return None if np.isnan(number) else number


def _are_plain(cells: Sequence[str], text: Written, words: frozenset[str]) -> bool:
    """Whether all cells are plain numbers or missing; in doubt about a decimal comma, no."""
    known = []
    for cell in cells:
        if _number(cell) is not None:
            known.append(cell)
        elif cell.strip().lower() not in words:
            return False
    return number_formats.ambiguous(known, number_formats.PLAIN, text.comma) is None


def _loses(column: np.ndarray, sentinels: Sequence[float], in_doubt: bool) -> bool:
    """Whether numbers [N] are not all that was written, or may not be numbers.

    ``in_doubt``: points may set thousands apart.
    """
    known = column[~np.isnan(column)]
    if not len(known):
        return False
    low, high = known.min(), known.max()
    if max(-low, high) >= _EXACT or any((known == sentinel).any() for sentinel in sentinels):
        return True
    days = _DAYS[0] < low and high < _DAYS[1]
    if not days and not in_doubt:
        return False
    whole = bool((known == np.floor(known)).all())
    return whole if days else not whole
