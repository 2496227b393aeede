"""From named columns to a Dataset: which columns are numbers, which categories, what the task is.

What is inferred from one file is written down as an ``encoding`` of plain JSON values, and that is
what is applied, to this file and to any later one.
"""

import decimal
import os
import re
import warnings
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from jaxdl.checks import one_of
from jaxdl.data.dataset import TASKS, Dataset
from jaxdl.data.readers import (
    MAX_CELLS,
    MAX_COLUMNS,
    MISSING,
    Table,
    listed,
    read,
    shown,
)

MAX_CATEGORIES = 100
MAX_CLASSES = 1000
FEW = 20  # at most so many different whole numbers are taken for classes


class Column(NamedTuple):
    """A parsed column of N cells.

    numbers: [N] float32 or float64, NaN where the cell is not a finite number of float32's range.
    missing: [N], cells without a value, or with a number that is not finite.
    text: [N], cells that are neither.
    cells: the N texts of a CSV, the array [N] of an NPZ.
    """

    numbers: np.ndarray
    missing: np.ndarray
    text: np.ndarray
    cells: list[str] | np.ndarray


def load_table(
    path: str | os.PathLike,
    target: str | None = None,
    task: str | None = None,
    missing: str | None = None,
) -> Dataset:
    """A CSV or NPZ file as a Dataset of x [N, D] and y [N].

    CSV: UTF-8 with a header; fields are separated by commas, tabs, or semicolons (then a comma may
    be the decimal sign). A column without texts is numeric, any other is one-hot coded into
    columns called ``name=value``. NPZ: arrays ``x`` [N, ...] and ``y`` [N], by choice
    ``feature_names`` and ``target_names``. Pickles are refused.

    Args:
      path: the file; NPZ if its name ends so, else CSV.
      target: the column to be predicted; default the last of a CSV, ``"y"`` of an NPZ.
      task: ``"classify"``, ``"regress"`` or ``"count"``; default: classes if the target has texts
        or few different whole numbers (two, or up to 20 that each recur twice on average), else
        regression. Labels become 0..K-1, in numeric or alphabetic order. Whole numbers of any
        length stay apart; where one is written with a leading zero, as 007, all are texts.
      missing: None: missing and non-finite values are an error; ``"drop"`` leaves their rows out;
        ``"mean"`` leaves NaN in x and sets ``Dataset.missing``, so that a Transform fills in each
        training part's own means (a missing category is NaN in all of its columns, and their means
        are its frequencies).

    Values that differ, but are one in float32, are warned of.

    Raises:
      TableError: a ValueError of one line that names the file, and line and column if known.
    """
    one_of("task", task, (None, *TASKS))
    one_of("missing", missing, (None, "drop", "mean"))
    table = read(path, target)
    target = _find_target(table, target)
    columns = {name: _parse(table, name) for name in table.columns}
    for name, column in columns.items():
        if column.missing.all():
            raise table.error(f"column {shown(name)} has no values")
        texts = column.text.sum()
        if 0 < texts < (~column.missing).sum() / 2:
            raise _not_a_number(table, name, column)

    if missing is None:
        _refuse_missing(
            table, columns, "missing='drop' leaves their rows out, missing='mean' fills them in"
        )
    elif missing == "drop":
        keep = np.flatnonzero(~np.any([c.missing for c in columns.values()], axis=0))
        if not len(keep):
            raise table.error("no row is left: each has a missing or non-finite value")
        table, columns = _take(table, columns, keep)
    else:
        _refuse_missing(table, {target: columns[target]}, "the target cannot be filled in")

    encoding = {
        "columns": [
            {"name": name, "categories": _categories(table, name, column)}
            for name, column in columns.items()
            if name != target
        ],
        "target": _infer_target(table, target, columns[target], task),
        "missing": missing,
    }
    return _apply(table, columns, encoding)


def encode_table(path: str | os.PathLike, encoding: dict[str, Any]) -> Dataset:
    """A file as a Dataset under the ``encoding`` of an earlier one, say to predict its y.

    Columns go by name; others than the encoding's are ignored. ``y`` [N] is None if the target is
    absent or empty. Every row of x [N, D] is kept: missing values are an error, unless the
    encoding has ``"missing": "mean"``.

    Raises:
      TableError: on missing columns, texts in numeric columns, unknown categories and classes.
    """
    check_encoding(encoding)
    named = [spec["name"] for spec in encoding["columns"]]
    target, fills = encoding["target"]["name"], encoding["missing"] == "mean"
    table = read(path, target)
    absent = [name for name in named if name not in table.columns]
    if absent:
        raise table.error(f"no column {listed(absent)}; the columns are {listed(table.columns)}")
    columns = {name: _parse(table, name) for name in named}
    if not fills:
        _refuse_missing(table, columns, "the model was fitted to whole rows")
    if target in table.columns:
        column = _parse(table, target)
        if not column.missing.all():
            _refuse_missing(table, {target: column}, "leave the whole column out to predict it")
            columns[target] = column
    return _apply(table, columns, encoding)


def check_encoding(encoding: Any) -> None:
    """Raise a ValueError unless this is what ``Dataset.encoding`` of a table may be."""
    try:
        columns, target = encoding["columns"], encoding["target"]
        texts = [spec["name"] for spec in columns] + [target["name"]]
        of = [spec["categories"] for spec in columns if spec["categories"] is not None]
        classes = [target["classes"], target["names"]] if target["classes"] is not None else []
        whole = (
            0 < len(columns) <= MAX_COLUMNS
            and all(type(names) is list and 0 < len(names) <= MAX_CATEGORIES for names in of)
            and all(type(names) is list and 1 < len(names) <= MAX_CLASSES for names in classes)
            and all(type(text) is str for text in chain(texts, *of, *classes))
            and len({len(names) for names in classes}) < 2
            and all(len(set(names)) == len(names) for names in [*of, texts, *classes[:1]])
            and target["task"] in TASKS
            and (target["task"] == "classify") == bool(classes)
            and type(target["numeric"]) is bool
            and encoding["missing"] in (None, "drop", "mean")
        )
    except (KeyError, TypeError, AttributeError):
        whole = False
    if not whole:
        raise ValueError("not an encoding of a table: see Dataset.encoding")


def _find_target(table: Table, target: str | None) -> str:
    is_csv = table.unit == "line"
    target = target or (list(table.columns)[-1] if is_csv else table.response or "y")
    if target not in table.columns:
        what, names = ("column", table.columns) if is_csv else ("array", ["x"])
        raise table.error(f"no {what} {shown(target)}; the {what}s are {listed(names)}")
    if len(table.columns) < 2:
        raise table.error(f"no columns besides the target {shown(target)}")
    return target


def _parse(table: Table, name: str) -> Column:
    cells = table.columns[name]
    text = blank = np.zeros(len(cells), bool)
    if isinstance(cells, np.ndarray):
        # float32 where it holds each of the type's values, which halves what is kept.
        numbers = cells.astype(np.promote_types(cells.dtype, np.float32), copy=False)
        numbers = numbers if numbers.itemsize <= 8 else numbers.astype(np.float64)
    else:
        numbers = np.full(len(cells), np.nan)
        text, blank = text.copy(), blank.copy()
        for i, cell in enumerate(cells):
            if cell.lower() in MISSING:
                blank[i] = True
                continue
            try:
                numbers[i] = float(_with_point(table, cell))
                text[i] = "_" in cell
            except ValueError:
                text[i] = True
    finite = np.abs(numbers) <= np.finfo(np.float32).max
    missing = blank | (~finite & ~text)
    known = finite & ~text
    return Column(
        numbers if known.all() else np.where(known, numbers, np.nan), missing, text, cells
    )


def _with_point(table: Table, cell: str) -> str:
    return cell.replace(",", ".") if table.comma else cell


def _not_a_number(table: Table, name: str, column: Column):
    i = int(np.argmax(column.text))
    return table.error(
        f"{table.row(i)}, column {shown(name)}: {shown(column.cells[i])} is not a number"
    )


def _refuse_missing(table: Table, columns: dict[str, Column], advice: str) -> None:
    found = {name: c.missing for name, c in columns.items() if c.missing.any()}
    if found:
        where = ", ".join(
            f"{shown(name)} ({mask.sum()}, first on {table.row(int(np.argmax(mask)))})"
            for name, mask in list(found.items())[:5]
        )
        more = f" and {len(found) - 5} more" if len(found) > 5 else ""
        s = "s" if len(found) > 1 else ""
        raise table.error(f"missing or non-finite values in column{s} {where}{more}; {advice}")


def _take(table: Table, columns: dict[str, Column], keep: np.ndarray):
    """The rows to keep, of the parsed columns and of their line numbers."""
    lines = [table.lines[i] for i in keep]
    kept = {
        name: Column(
            c.numbers[keep],
            c.missing[keep],
            c.text[keep],
            c.cells[keep] if isinstance(c.cells, np.ndarray) else [c.cells[i] for i in keep],
        )
        for name, c in columns.items()
    }
    return table._replace(lines=lines), kept


def _categories(table: Table, name: str, column: Column) -> list[str] | None:
    if not column.text.any():
        return None
    found = sorted({c for c, m in zip(column.cells, column.missing, strict=True) if not m})
    if len(found) > MAX_CATEGORIES:
        raise table.error(
            f"column {shown(name)} has {len(found)} different texts, which is too many for a "
            f"category (at most {MAX_CATEGORIES}); leave the column out"
        )
    return found


def _label(number: int | float | decimal.Decimal) -> str:
    """A number as a label: 3 and 3.0 are one, and whole numbers are exact at any length."""
    return str(int(number)) if number == int(number) else repr(float(number))


def _exact(text: str) -> float | decimal.Decimal:
    try:
        return decimal.Decimal(text)
    except decimal.InvalidOperation:  # an exponent beyond all measure
        return float(text)


def _labelled(table: Table, column: Column, numeric: bool) -> tuple[list[str], np.ndarray]:
    """The different labels of a column, and the position [N] of each row's among them."""
    if isinstance(column.cells, np.ndarray):
        values = np.unique(column.cells)
        at = np.searchsorted(values, column.cells)
        written = [_label(v) for v in values.tolist()]
    else:
        found: dict[str, int] = {}
        at = np.array([found.setdefault(cell, len(found)) for cell in column.cells])
        written = [_label(_exact(_with_point(table, c))) for c in found] if numeric else list(found)
    labels: dict[str, int] = {}
    merged = np.array([labels.setdefault(text, len(labels)) for text in written])
    return list(labels), merged[at]


_CODE = re.compile("[+-]?0[0-9]+")  # 007 and 01 are no numbers, though they read as such


def _infer_target(table: Table, name: str, column: Column, task: str | None) -> dict[str, Any]:
    """The task, and the classes in order; ``numeric`` says how labels are compared."""
    numeric, rows = not column.text.any(), len(column.missing)
    if not numeric and task in ("regress", "count"):
        raise _not_a_number(table, name, column)
    coded = not isinstance(column.cells, np.ndarray) and any(map(_CODE.fullmatch, column.cells))
    if numeric and not (coded and task in (None, "classify")):
        values = np.unique(column.numbers)
        few = len(values) <= FEW
        labels = _labelled(table, column, True)[0] if few or task == "classify" else []
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
        task, numeric = "classify", False
        classes = sorted(set(column.cells))
    if len(classes) == 1:
        raise table.error(f"the target {shown(name)} has one value only, {shown(classes[0])}")
    if task != "classify":
        return {"name": name, "task": task, "numeric": True, "classes": None, "names": None}
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
    return {"name": name, "task": task, "numeric": numeric, "classes": classes, "names": names}


def _apply(table: Table, columns: dict[str, Column], encoding: dict) -> Dataset:
    specs, target = encoding["columns"], encoding["target"]
    names = [
        name
        for spec in specs
        for name in (
            [spec["name"]]
            if spec["categories"] is None
            else [f"{spec['name']}={value}" for value in spec["categories"]]
        )
    ]
    shape = (len(table.lines), len(names))
    if shape[0] * shape[1] > MAX_CELLS or shape[1] > MAX_COLUMNS:
        raise table.error(
            f"with a column for each category it is [{shape[0]}, {shape[1]}]: more than "
            f"{MAX_CELLS} numbers or {MAX_COLUMNS} columns"
        )
    x, start = np.zeros(shape, np.float32), 0
    for spec in specs:
        name, column, categories = spec["name"], columns[spec["name"]], spec["categories"]
        if categories is None:
            if column.text.any():
                raise _not_a_number(table, name, column)
            x[:, start] = column.numbers
            start += 1
            continue
        if isinstance(column.cells, np.ndarray):
            raise table.error(f"column {shown(name)} holds numbers, not {listed(categories)}")
        codes = _codes(table, name, column, categories, numeric=False)
        x[np.arange(shape[0]), start + codes] = 1
        x[column.missing, start : start + len(categories)] = np.nan
        start += len(categories)
    known = target["name"] in columns
    y = _response(table, columns[target["name"]], target) if known else None
    numeric = [spec["name"] for spec in specs if spec["categories"] is None]
    _warn_of_merged(
        table, columns, numeric + [target["name"]] * (known and target["task"] == "regress")
    )
    stem = os.path.splitext(os.path.basename(table.path))[0]
    return Dataset(
        x=x,
        y=y,
        feature_names=tuple(names),
        target_names=None if target["classes"] is None else tuple(target["names"]),
        name=stem,
        task=target["task"],
        target=target["name"],
        missing=encoding["missing"] == "mean",
        encoding=encoding,
    )


def _codes(table: Table, name: str, column: Column, known: list[str], numeric: bool) -> np.ndarray:
    """Position [N] of each label among the known ones; 0 where missing."""
    labels, at = _labelled(table, column, numeric)
    position = {label: k for k, label in enumerate(known)}
    codes = np.array([position.get(label, -1) for label in labels], np.int32)[at]
    codes = np.where(column.missing, 0, codes)
    if (codes < 0).any():
        i = int(np.argmax(codes < 0))
        raise table.error(
            f"{table.row(i)}, column {shown(name)}: {shown(labels[at[i]])} is not one of "
            f"{listed(known)}"
        )
    return codes


def _response(table: Table, column: Column, target: dict) -> np.ndarray:
    name, task = target["name"], target["task"]
    if target["numeric"] and column.text.any():
        raise _not_a_number(table, name, column)
    numbers = column.numbers
    if task == "classify":
        if not target["numeric"] and isinstance(column.cells, np.ndarray):
            raise table.error(f"{shown(name)} holds numbers, not {listed(target['classes'])}")
        return _codes(table, name, column, target["classes"], target["numeric"])
    if task == "count":
        bad = (numbers < 0) | (numbers != np.floor(numbers)) | (numbers >= 2**31)
        if bad.any():
            i = int(np.argmax(bad))
            raise table.error(
                f"{table.row(i)}, column {shown(name)}: {numbers[i]:g} is not a count "
                "(a whole number from 0)"
            )
        return numbers.astype(np.int32)
    return numbers.astype(np.float32)


def _warn_of_merged(table: Table, columns: dict[str, Column], names: list[str]) -> None:
    found = {name: pair for name in names if (pair := _merged(table, columns[name]))}
    if found:
        where = "; ".join(f"{shown(name)} has {a} and {b}" for name, (a, b) in [*found.items()][:3])
        more = f"; and {len(found) - 3} more columns" if len(found) > 3 else ""
        warnings.warn(
            f"{table.path}: values that differ are one in float32 ({where}{more}); subtract what "
            "they have in common, or leave the column out",
            stacklevel=4,
        )


def _merged(table: Table, column: Column) -> tuple[str, str] | None:
    """Two different values of a column that are one in float32, where that is a loss.

    It always is of whole numbers. Of many draws of a continuous quantity some coincide in any
    precision; there it is one where every tenth does.
    """
    cells, numbers = column.cells, column.numbers
    if numbers.dtype == np.float32 or column.missing.all():
        return None
    if isinstance(cells, np.ndarray):
        values = np.unique(cells[~column.missing])
    else:
        values = np.unique(numbers[~column.missing])
        if max(-values[0], values[-1]) >= 2.0**53:  # float64 has merged some already
            large = np.flatnonzero(np.abs(numbers) >= 2.0**53)
            exact = {_exact(_with_point(table, cells[i])) for i in large}
            small = map(decimal.Decimal, values[np.abs(values) < 2.0**53].tolist())
            values = np.array(sorted({*exact, *small}), object)
    single = values.astype(np.float32)
    same = single[1:] == single[:-1]
    if not same.any():
        return None
    i = int(np.argmax(same))
    whole = values.dtype.kind in "iuO" or np.array_equal(values, np.floor(values))
    return (_label(values[i]), _label(values[i + 1])) if whole or same.mean() > 0.1 else None
