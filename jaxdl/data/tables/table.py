"""A table as it stands in a file: named columns of texts or numbers, and where each row begins."""

import difflib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

MAX_CSV_BYTES = 1 << 28  # decompressed
MAX_TEXTS = 1 << 23  # cells of a text file
MAX_CELLS = 1 << 25  # numbers of x
MAX_COLUMNS = 1 << 14  # of x
MAX_TEXT_COLUMNS = 1 << 13  # of a text file
MAX_NOTES = 8  # of one kind
MISSING = ("", "na", "n/a", "#n/a", "<na>", "nan", "nat", "null", "none", "?", "-")


class TableError(ValueError):
    """A file that cannot be used, in one line that names it."""


class Texts(NamedTuple):
    """A column of N cells as the U different texts in it, each kept once.

    values: U texts, without blanks around them, in the order in which they first stand.
    at: which of them each cell holds, [N] int32; -1 where it is missing.
    """

    values: list[str]
    at: np.ndarray

    @property
    def missing(self) -> np.ndarray:
        """Where there is no value, [N]."""
        return self.at < 0

    def counts(self) -> np.ndarray:
        """How often each value stands in the column, [U]."""
        return np.bincount(self.at[self.at >= 0], minlength=len(self.values))

    def take(self, rows: np.ndarray) -> "Texts":
        """The column of some rows [M], without the values that are not in them."""
        at = self.at[rows]
        kept = np.flatnonzero(np.bincount(at[at >= 0], minlength=len(self.values)))
        new = np.full(len(self.values) + 1, -1, np.int32)  # the last is for -1
        new[kept] = np.arange(len(kept))
        return Texts([self.values[k] for k in kept], new[at])

    def cells(self) -> list[str]:
        """The N texts, ``""`` where one is missing."""
        known = [*self.values, ""]
        return [known[k] for k in self.at]


def texts_of(cells: Iterable[str], missing: Iterable[str] = MISSING) -> Texts:
    """Cells as Texts; those in ``missing``, in any case, have no value.

    >>> texts_of(["b", " a", "NA", "b "])
    Texts(values=['b', 'a'], at=array([ 0,  1, -1,  0], dtype=int32))
    """
    found: dict[str, int] = {}
    at = np.array([found.setdefault(cell, len(found)) for cell in cells], np.int32)
    return merged(list(found), at, missing)


def merged(written: list[str], at: np.ndarray, missing: Iterable[str] = MISSING) -> Texts:
    """Texts from different cells and the position [N] of each row's: blanks around them go."""
    words = frozenset(word.lower() for word in missing)
    longest = max(map(len, words), default=0)
    cells = [*map(str.strip, written)]
    if cells == written and words.isdisjoint(map(str.lower, cells)):
        return Texts(cells, at)
    known = np.array([len(v) > longest or v.lower() not in words for v in cells], bool)
    if cells == written:  # they differ still
        new = np.where(known, np.cumsum(known) - 1, -1)
        values = [v for v, k in zip(cells, known, strict=True) if k]
    else:
        values = {}
        new = [
            values.setdefault(v, len(values)) if k else -1
            for v, k in zip(cells, known, strict=True)
        ]
    return Texts(list(values), np.append(new, -1).astype(np.int32)[at])


Column = Any  # an array of numbers [N], or Texts; which, its Decision tells


class Table(NamedTuple):
    """What was read: columns by name.

    path: for messages.
    columns: {name: [N]}, an array of numbers or Texts.
    unit: what the rows are counted in: ``"line"`` of a text file, ``"row"`` of others.
    lines: where each row starts, [N], counted from 1.
    comma: whether a decimal comma is likely.
    response: the column that an NPZ holds as its response; None for others.
    class_names: names of the classes 0..K-1 that an NPZ brings along.
    notes: what a reader should know of how it was read, a line each.
    header: whether the columns' names stood in it.
    """

    path: str
    columns: dict[str, Column]
    unit: str
    lines: Sequence[int]
    comma: bool = False
    response: str | None = None
    class_names: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()
    header: bool = True

    def row(self, i: int) -> str:
        """Where row i is, in words."""
        return f"{self.unit} {self.lines[i]}"

    def error(self, problem: str) -> TableError:
        """The TableError for a problem with this table."""
        return fail(self.path, problem)

    def take(self, rows: np.ndarray) -> "Table":
        """The table of some rows [M]."""
        return self._replace(
            columns={
                name: c.take(rows) if isinstance(c, Texts) else c[rows]
                for name, c in self.columns.items()
            },
            lines=np.asarray(self.lines)[rows],
        )


def fail(path: str, problem: str) -> TableError:
    """``path: problem`` as a TableError of one printable line."""
    return TableError(printable(f"{path}: {problem}"))


def printable(text: str) -> str:
    """A text on one line, with what a terminal would act on written out."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def shown(value: str) -> str:
    """A text from a file, quoted and cut to a length that fits in a message."""
    return repr(value if len(value) <= 40 else value[:37] + "...")


def listed(names: Iterable[str], limit: int = 8) -> str:
    """Names for a message: quoted, the first few."""
    names = list(names)
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(shown(str(name)) for name in names[:limit]) + more


def nearest(name: str, names: Iterable[str]) -> str:
    """``" (is it 'Type'?)"`` for the name that is most like this one, or nothing."""
    lower = {other.lower(): other for other in names}
    near = difflib.get_close_matches(name.lower(), lower, 1)
    return f" (is it {shown(lower[near[0]])}?)" if near else ""
