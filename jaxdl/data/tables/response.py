"""What is to be predicted: the task, the classes in order, and the responses of rows."""

import decimal
from typing import Any, NamedTuple

import numpy as np

from jaxdl.checks import filled_in
from jaxdl.data.tables import date_forms, number_formats
from jaxdl.data.tables.kinds import MOSTLY, as_texts, have_code, is_prose, label, names_rows
from jaxdl.data.tables.number_formats import PLAIN, Format
from jaxdl.data.tables.table import Table, Texts, listed, shown

MAX_CLASSES = 1000
FEW = 20  # at most so many different whole numbers are taken for classes

_LARGEST = float(np.finfo(np.float32).max)

_REGRESS = "task='regress' takes them for numbers"
_CLASSIFY = "task='classify' takes each different one for a class"

Target = dict[str, Any]


def exact(text: str) -> float | decimal.Decimal:
    """The number that a text writes, as it stands there."""
    try:
        return decimal.Decimal(text)
    except decimal.InvalidOperation:  # an exponent beyond all measure
        return float(text)


def numbers_of(column: np.ndarray | Texts, how: Format) -> tuple[np.ndarray, np.ndarray]:
    """The numbers [N] of a column, NaN where there is none in float32, and which are texts [N]."""
    is_text = isinstance(column, Texts)
    return _spread(column, number_formats.parse(column.values, how) if is_text else np.zeros(0))


def _spread(column: np.ndarray | Texts, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if isinstance(column, np.ndarray):
        numbers, text = column.astype(np.float64), np.zeros(len(column), bool)
    else:
        numbers = np.append(u, np.nan)[column.at]
        text = np.isnan(numbers) & ~column.missing
    return np.where(np.abs(numbers) <= _LARGEST, numbers, np.nan), text


class Read(NamedTuple):
    """What a target is read as, once: the Format of its numbers, None where most cells are none.

    numbers: [N], NaN where there is none. lost, text: where there is no target, and where a text
    stands for a number, [N].
    """

    how: Format | None
    numbers: np.ndarray
    lost: np.ndarray
    text: np.ndarray

    def take(self, rows: np.ndarray) -> "Read":
        """That of some rows [M]."""
        return Read(self.how, self.numbers[rows], self.lost[rows], self.text[rows])


def read_target(table: Table, name: str) -> Read:
    """The target as numbers, if nine tenths of its cells are some."""
    column = table.columns[name]
    how, u = PLAIN, np.zeros(0)
    if isinstance(column, Texts):
        counts = column.counts()
        how = number_formats.find_format(column.values, table.comma)
        u = number_formats.parse_most(column.values, counts, how, MOSTLY)
        if u is None or not len(u) or not _are_numbers(u, counts):
            lost = column.missing
            return Read(None, np.full(len(lost), np.nan), lost, np.zeros_like(lost))
    numbers, text = _spread(column, u)
    return Read(how, numbers, np.isnan(numbers), text)


def _are_numbers(u: np.ndarray, counts: np.ndarray) -> bool:
    share = np.average(~np.isnan(u), weights=counts)
    return share == 1 or (share >= MOSTLY and len(np.unique(u[~np.isnan(u)])) > FEW)


def not_a_number(table: Table, name: str, text: np.ndarray):
    """The TableError for the first of the rows [N] where a text stands for a number."""
    i = int(np.argmax(text))
    column = table.columns[name]
    return table.error(
        f"{table.row(i)}, column {shown(name)}: {shown(column.values[column.at[i]])} is not a number"
    )


def infer(table: Table, name: str, task: str | None, read: Read) -> Target:
    """The task, and the classes in order, from rows that all have a target, ``read`` already.

    Whole numbers are classes where there are two, or up to 20 that each recur twice on average;
    where one is written as a code, with a leading zero, all are texts.
    """
    column = table.columns[name]
    how, rows = read.how, len(table.lines)
    if how is None and task in ("regress", "count"):
        best = number_formats.find_format(column.values, table.comma)
        raise not_a_number(table, name, numbers_of(column, best)[1])
    coded = isinstance(column, Texts) and have_code(column.values)
    numeric = how is not None and not (coded and task in (None, "classify"))
    if task is None:
        _refuse_what_is_none(table, name, read if numeric else None)
    if numeric:
        values = np.unique(read.numbers)
        few = len(values) <= FEW
        if task == "classify" and len(values) > MAX_CLASSES:
            raise _no_classes(table, name, len(values))
        labels = _labels(column, how)[0] if few or task == "classify" else []
        labels = {label for label in labels if label is not None}
        recur = len(labels) <= 2 or (len(labels) <= FEW and 2 * len(labels) <= rows)
        whole = np.array_equal(values, np.floor(values))
        task = task or ("classify" if few and whole and recur else "regress")
        classes = sorted(labels, key=decimal.Decimal)
        if task != "classify" and len(classes) > 1 and np.ptp(values.astype(np.float32)) == 0:
            raise table.error(
                f"the values of the target {shown(name)}, from {classes[0]} to {classes[-1]}, are "
                "one in float32; subtract what they have in common"
            )
    else:
        task, classes = "classify", as_texts(column).values
        classes = sorted(classes) if len(classes) <= MAX_CLASSES else classes
    if len(classes) == 1:
        raise table.error(f"the target {shown(name)} has one value only, {shown(classes[0])}")
    made = {"name": name, "task": task, "format": list(how) if numeric and how else None}
    if task != "classify":
        return {**made, "classes": None, "names": None}
    if len(classes) == rows or len(classes) > MAX_CLASSES:
        raise _no_classes(table, name, len(classes), coded)
    names = classes
    if table.class_names is not None and name == table.response:
        allowed = [str(k) for k in range(len(table.class_names))]
        if not set(classes) <= set(allowed):
            raise table.error(
                f"target_names has {len(allowed)} names, but {shown(name)} holds {listed(classes)}"
            )
        names = [table.class_names[int(c)] for c in classes]
    return {**made, "classes": classes, "names": names}


def _no_classes(table: Table, name: str, values: int, coded: bool = False):
    """The TableError for a target that has too many values for classes."""
    return table.error(
        f"the target {shown(name)} has {values} different values in {len(table.lines)} rows: these "
        "are no classes; " + (_REGRESS if coded else f"predict another column, not {shown(name)}")
    )


def _refuse_what_is_none(table: Table, name: str, read: Read | None) -> None:
    """Raise the TableError of a target that nobody predicts, but for what it says of its rows."""
    column, rows = table.columns[name], len(table.lines)
    if read is not None:
        why = names_rows(name, read.numbers)
        if why:
            raise table.error(
                f"the target {shown(name)} {why}: it tells rows apart, and there is nothing to "
                f"learn; predict another column ({_REGRESS})"
            )
        if not isinstance(column, Texts):
            return
    texts = as_texts(column)
    many = f"the target {shown(name)} has {len(texts.values)} different values in {rows} rows"
    dates = date_forms.find_form(texts.values, table.comma) if len(texts.values) > 2 else None
    if dates:
        raise table.error(
            f"the target {shown(name)} holds dates, as {shown(texts.values[0])}: neither numbers "
            f"nor classes; predict another column ({_CLASSIFY})"
        )
    if read is None and rows >= FEW and 2 * len(texts.values) > rows:
        what = "a text" if is_prose(texts) else "an identifier"
        raise table.error(
            f"{many}, as {shown(texts.values[0])}: these are no classes, it is {what}; predict "
            f"another column ({_CLASSIFY})"
        )


def _labels(column: np.ndarray | Texts, how: Format | None) -> tuple[list[str | None], np.ndarray]:
    """The labels [U] of a column's different values, and the position [N] of each row's."""
    column = as_texts(column)
    if how is None:
        return list(column.values), column.at
    plain = [number_formats.plain(value, how) for value in column.values]
    # Beyond float32 a number is missing, and its digits might be without end.
    known = [p if p is not None and abs(float(p)) <= _LARGEST else None for p in plain]
    return [None if p is None else label(exact(p)) for p in known], column.at


def responses(table: Table, target: Target) -> tuple[np.ndarray, np.ndarray]:
    """y [N], and in which rows it is known, [N].

    Raises TableError for a count that is none.
    """
    column, name, task = table.columns[target["name"]], target["name"], target["task"]
    how = None if target["format"] is None else Format(*target["format"])
    if task == "classify":
        labels, at = _labels(column, how)
        position = {c: k for k, c in enumerate(target["classes"])}
        codes = np.array([*(position.get(text, -1) for text in labels), -1], np.int32)
        y = codes[at]
        return y, y >= 0
    numbers, _ = numbers_of(column, filled_in(how))
    known = ~np.isnan(numbers)
    if task == "count":
        bad = known & ((numbers < 0) | (numbers != np.floor(numbers)) | (numbers >= 2**31))
        if bad.any():
            i = int(np.argmax(bad))
            raise table.error(
                f"{table.row(i)}, column {shown(name)}: {numbers[i]:g} is not a count "
                "(a whole number from 0)"
            )
        return np.where(known, numbers, 0).astype(np.int32), known
    return numbers.astype(np.float32), known
