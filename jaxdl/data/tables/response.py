"""What is to be predicted: the task, the classes in order, and the responses of rows."""

import decimal
from typing import Any

import numpy as np

from jaxdl.data.tables import number_formats
from jaxdl.data.tables.kinds import MOSTLY, as_texts, is_code, label
from jaxdl.data.tables.number_formats import PLAIN, Format
from jaxdl.data.tables.table import Table, Texts, listed, shown

MAX_CLASSES = 1000
FEW = 20  # at most so many different whole numbers are taken for classes

_LARGEST = float(np.finfo(np.float32).max)

Target = dict[str, Any]


def exact(text: str) -> float | decimal.Decimal:
    """The number that a text writes, as it stands there."""
    try:
        return decimal.Decimal(text)
    except decimal.InvalidOperation:  # an exponent beyond all measure
        return float(text)


def numbers_of(column: np.ndarray | Texts, how: Format) -> tuple[np.ndarray, np.ndarray]:
    """The numbers [N] of a column, NaN where there is none in float32, and which are texts [N]."""
    if isinstance(column, np.ndarray):
        numbers, text = column.astype(np.float64), np.zeros(len(column), bool)
    else:
        u = np.append(number_formats.parse(column.values, how), np.nan)
        numbers = u[column.at]
        text = np.isnan(numbers) & ~column.missing
    return np.where(np.abs(numbers) <= _LARGEST, numbers, np.nan), text


def find_format(table: Table, name: str) -> Format | None:
    """How the target's numbers are written; None where most of its cells are none."""
    column = table.columns[name]
    if isinstance(column, np.ndarray):
        return PLAIN
    if not column.values:
        return None
    how = number_formats.find_format(column.values, table.comma)
    u = number_formats.parse(column.values, how)
    share = np.average(~np.isnan(u), weights=column.counts())
    many = len(np.unique(u[~np.isnan(u)])) > FEW
    return how if share == 1 or (share >= MOSTLY and many) else None


def not_a_number(table: Table, name: str, text: np.ndarray):
    """The TableError for the first of the rows [N] where a text stands for a number."""
    i = int(np.argmax(text))
    column = table.columns[name]
    return table.error(
        f"{table.row(i)}, column {shown(name)}: {shown(column.values[column.at[i]])} is not a number"
    )


def infer(table: Table, name: str, task: str | None) -> Target:
    """The task, and the classes in order, from rows that all have a target.

    Whole numbers are classes where there are two, or up to 20 that each recur twice on average;
    where one is written as a code, with a leading zero, all are texts.
    """
    column = table.columns[name]
    how, rows = find_format(table, name), len(table.lines)
    if how is None and task in ("regress", "count"):
        best = number_formats.find_format(column.values, table.comma)
        raise not_a_number(table, name, numbers_of(column, best)[1])
    coded = isinstance(column, Texts) and any(map(is_code, column.values))
    numeric = how is not None and not (coded and task in (None, "classify"))
    if numeric:
        values = np.unique(numbers_of(column, how)[0])
        few = len(values) <= FEW
        labels = set(_labels(column, how)[0]) if few or task == "classify" else set()
        labels.discard(None)
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
        task, classes = "classify", sorted(as_texts(column).values)
    if len(classes) == 1:
        raise table.error(f"the target {shown(name)} has one value only, {shown(classes[0])}")
    made = {"name": name, "task": task, "format": list(how) if numeric else None}
    if task != "classify":
        return {**made, "classes": None, "names": None}
    if len(classes) == rows or len(classes) > MAX_CLASSES:
        raise table.error(
            f"the target {shown(name)} has {len(classes)} different values in {rows} rows: "
            "these are no classes" + ("; task='regress' takes them for numbers" if coded else "")
        )
    names = classes
    if table.class_names is not None and name == table.response:
        allowed = [str(k) for k in range(len(table.class_names))]
        if not set(classes) <= set(allowed):
            raise table.error(
                f"target_names has {len(allowed)} names, but {shown(name)} holds {listed(classes)}"
            )
        names = [table.class_names[int(c)] for c in classes]
    return {**made, "classes": classes, "names": names}


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
    numbers, _ = numbers_of(column, how)
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
