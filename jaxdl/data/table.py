"""From named columns to a Dataset: which columns are numbers, which categories, what the task is.

What is inferred from one file is written down as an ``encoding`` of plain JSON values, and that is
what is applied, to this file and to any later one.
"""

import os
from typing import Any, NamedTuple

import numpy as np

from jaxdl.checks import one_of
from jaxdl.data.dataset import TASKS, Dataset
from jaxdl.data.readers import MISSING, Table, listed, read, shown

MAX_CATEGORIES = 100
MAX_CLASSES = 1000
FEW = 20  # at most so many different whole numbers are taken for classes


class Column(NamedTuple):
    """A parsed column of N cells.

    numbers: [N] float64, NaN where the cell is not a finite number of float32's range.
    missing: [N], cells without a value, or with a number that is not finite.
    text: [N], cells that are neither.
    cells: the N texts, None in an NPZ.
    """

    numbers: np.ndarray
    missing: np.ndarray
    text: np.ndarray
    cells: list[str] | None


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
        regression. Labels become 0..K-1, in numeric or alphabetic order.
      missing: None: missing and non-finite values are an error; ``"drop"`` leaves their rows out;
        ``"mean"`` leaves NaN in x and sets ``Dataset.missing``, so that a Transform fills in each
        training part's own means (a missing category is NaN in all of its columns, and their means
        are its frequencies).

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
    try:
        named = [spec["name"] for spec in encoding["columns"] if {"categories"} <= set(spec)]
        target, fills = encoding["target"]["name"], encoding["missing"] == "mean"
        whole = {"task", "numeric", "classes", "names"} <= set(encoding["target"])
    except (KeyError, TypeError):
        whole, named = False, []
    if not whole or not named or encoding["target"]["task"] not in TASKS:
        raise ValueError("not an encoding of a table: see Dataset.encoding")
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
    values = table.columns[name]
    if isinstance(values, np.ndarray):
        numbers, cells = values.astype(np.float64), None
        text = blank = np.zeros(len(values), bool)
    else:
        cells = values
        numbers = np.full(len(cells), np.nan)
        text, blank = np.zeros(len(cells), bool), np.zeros(len(cells), bool)
        for i, cell in enumerate(cells):
            if cell.lower() in MISSING:
                blank[i] = True
                continue
            try:
                numbers[i] = float(cell.replace(",", ".") if table.comma else cell)
                text[i] = "_" in cell
            except ValueError:
                text[i] = True
    finite = np.abs(numbers) <= np.finfo(np.float32).max
    missing = blank | (~finite & ~text)
    return Column(np.where(finite & ~text, numbers, np.nan), missing, text, cells)


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
            None if c.cells is None else [c.cells[i] for i in keep],
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


def _label(number: float) -> str:
    return str(int(number)) if number == int(number) else repr(float(number))


def _infer_target(table: Table, name: str, column: Column, task: str | None) -> dict[str, Any]:
    """The task, and the classes in order; ``numeric`` says how labels are compared."""
    numeric, rows = not column.text.any(), len(column.missing)
    if not numeric and task in ("regress", "count"):
        raise _not_a_number(table, name, column)
    if numeric:
        values = np.unique(column.numbers)
        few = len(values) <= 2 or (len(values) <= FEW and 2 * len(values) <= rows)
        whole = np.array_equal(values, np.floor(values))
        task = task or ("classify" if whole and few else "regress")
        classes = [_label(v) for v in values.tolist()] if task == "classify" else None
    else:
        task = "classify"
        values = classes = sorted(set(column.cells))
    if len(values) == 1:
        only = _label(values[0]) if numeric else values[0]
        raise table.error(f"the target {shown(name)} has one value only, {shown(only)}")
    if task != "classify":
        return {"name": name, "task": task, "numeric": True, "classes": None, "names": None}
    if len(classes) == rows or len(classes) > MAX_CLASSES:
        raise table.error(
            f"the target {shown(name)} has {len(classes)} different values in {rows} rows: "
            "these are no classes"
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
    parts, names = [], []
    for spec in encoding["columns"]:
        name, categories = spec["name"], spec["categories"]
        if categories is None:
            if columns[name].text.any():
                raise _not_a_number(table, name, columns[name])
            parts.append(columns[name].numbers[:, None].astype(np.float32))
            names.append(name)
        else:
            parts.append(_one_hot(table, name, columns[name], categories))
            names += [f"{name}={value}" for value in categories]
    target = encoding["target"]
    known = target["name"] in columns
    stem = os.path.splitext(os.path.basename(table.path))[0]
    return Dataset(
        x=np.concatenate(parts, axis=1),
        y=_response(table, columns[target["name"]], target) if known else None,
        feature_names=tuple(names),
        target_names=None if target["classes"] is None else tuple(target["names"]),
        name=stem,
        task=target["task"],
        target=target["name"],
        missing=encoding["missing"] == "mean",
        encoding=encoding,
    )


def _one_hot(table: Table, name: str, column: Column, categories: list[str]) -> np.ndarray:
    if column.cells is None:
        raise table.error(f"column {shown(name)} holds numbers, not {listed(categories)}")
    codes = _codes(table, name, column.cells, column.missing, categories)
    one_hot = np.eye(len(categories), dtype=np.float32)[codes]
    return np.where(column.missing[:, None], np.float32(np.nan), one_hot)


def _codes(table, name, labels, missing, known: list[str]) -> np.ndarray:
    """Position [N] of each label among the known ones; 0 where missing."""
    position = {label: k for k, label in enumerate(known)}
    codes = np.zeros(len(labels), np.int32)
    for i, label in enumerate(labels):
        if missing[i]:
            continue
        if label not in position:
            raise table.error(
                f"{table.row(i)}, column {shown(name)}: {shown(label)} is not one of "
                f"{listed(known)}"
            )
        codes[i] = position[label]
    return codes


def _response(table: Table, column: Column, target: dict) -> np.ndarray:
    name, task = target["name"], target["task"]
    if target["numeric"] and column.text.any():
        raise _not_a_number(table, name, column)
    numbers = column.numbers
    if task == "classify":
        if not target["numeric"] and column.cells is None:
            raise table.error(f"{shown(name)} holds numbers, not {listed(target['classes'])}")
        labels = [_label(v) for v in numbers.tolist()] if target["numeric"] else column.cells
        return _codes(table, name, labels, column.missing, target["classes"])
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
