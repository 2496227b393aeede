"""Any table under an encoding that was learned from another one, or from some of its rows."""

import os
from typing import Any

import numpy as np

from jaxdl.data.dataset import Dataset
from jaxdl.data.tables import encoders, response
from jaxdl.data.tables import table as limits
from jaxdl.data.tables.encoding import check_encoding
from jaxdl.data.tables.kinds import as_texts
from jaxdl.data.tables.missing import refuse
from jaxdl.data.tables.number_formats import PLAIN, Format
from jaxdl.data.tables.reading import Source, read
from jaxdl.data.tables.rereading import target_here
from jaxdl.data.tables.table import Table, listed, nearest, shown


def encode_table(source: Source, encoding: dict[str, Any], *, strict: bool = False) -> Dataset:
    """A table as a Dataset under the ``encoding`` of an earlier one, say to predict its y.

    Columns go by name. Every row of x [N, D] is kept. ``y`` [N] is None if the target is absent or
    empty; where it is unknown in some rows only, it is NaN, of classes and counts -1. What the
    encoding does not know (values, words for numbers, missing values where the training had none,
    further columns) is said in ``Dataset.notes``, a line each, or refused if ``strict``; there it
    is also said where a column is written in another way and read as that.

    Raises:
      TableError: on columns that are not there, and missing values under an encoding of whole rows.
    """
    check_encoding(encoding)
    target, specs = encoding["target"], encoding["columns"]
    plain = [s["name"] for s in specs if s["as"] == "number" and Format(*s["format"]) == PLAIN]
    as_texts = {s["name"] for s in specs}.difference(plain)
    if target["format"] is None or Format(*target["format"]) != PLAIN:
        as_texts.add(target["name"])
    table = read(
        source, target["name"], encoding["missing_words"],
        header=encoding.get("header", True), as_texts=as_texts,
    )  # fmt: skip
    named = [spec["name"] for spec in encoding["columns"]]
    absent = [name for name in named if name not in table.columns]
    if absent:
        near = nearest(absent[0], table.columns)
        raise table.error(
            f"no column {listed(absent)}{near}; the columns are {listed(table.columns)}"
        )
    dataset, notes = under(table, encoding)
    known = {*named, encoding["target"]["name"], *encoding["left_out"]}
    extra = [name for name in table.columns if name not in known]
    if extra:
        notes.append(f"columns that the training had not are not used: {listed(extra)}")
    if strict and notes:
        raise table.error(notes[0])
    return dataset._replace(notes=(*table.notes, *dataset.notes, *notes))


def under(table: Table, encoding: dict[str, Any]) -> tuple[Dataset, list[str]]:
    """A table under an encoding, and what the encoding did not know, a line each.

    The Dataset's notes tell what is written in another way.
    """
    specs, target, fills = encoding["columns"], encoding["target"], encoding["missing"]
    names = [name for spec in specs for name in encoders.names(spec)]
    shape = (len(table.lines), len(names))
    check_size(table, shape[1])
    x, start, notes, said = np.empty(shape, np.float32), 0, [], []
    fillable = fills in ("fill", "mean")
    for spec in specs:
        name = spec["name"]
        found = encoders.encode(spec, table.columns[name], table.comma)
        odd, missing, where = found.odd, found.missing, np.zeros(shape[0], bool)
        said += [f"column {shown(name)}: {found.said}"] if found.said else []
        if odd is not None:
            where = odd.where
            at = f"{table.row(int(np.argmax(where)))}, column {shown(name)}: {shown(odd.example)}"
            if odd.counts_as == "missing" and not fillable:
                raise table.error(f"{at} {odd.what}")
            number = int(where.sum())
            they = "it counts" if number == 1 else f"{number} such cells count"
            notes.append(f"{at} {odd.what}; {they} as {odd.counts_as}")
        fresh = missing & ~where
        if fresh.any() and not fillable:
            refuse(table, {name: fresh}, "the model was fitted to whole rows")
        if fresh.any() and fills == "fill" and not spec["missing"]:
            what = {"category": "none of its values", "text": "no words",
                    "target": "the mean of all"}.get(spec["as"])  # fmt: skip
            notes.append(
                f"column {shown(name)} has no value in {int(fresh.sum())} rows, where the training "
                f"had values throughout; they count as {what or 'the training mean'}"
            )
        block = x[:, start : start + found.x.shape[1]]
        block[:] = found.x
        if fills == "mean":
            block[missing] = np.nan
        start += found.x.shape[1]
    y = None
    if target["name"] in table.columns:
        y, known = response.responses(table, target_here(table, target))
        if not known.any():
            y = None
            if not as_texts(table.columns[target["name"]]).missing.all():
                notes.append(f"no row has a {shown(target['name'])} that the model knows: no score")
        elif not known.all():
            lost, i = int((~known).sum()), int(np.argmin(known))
            notes.append(
                f"{lost} of {len(y)} rows have no {shown(target['name'])} that the model knows, the "
                f"first is {table.row(i)}: no score for those"
            )
            y = np.where(known, y, np.nan if target["task"] == "regress" else -1).astype(y.dtype)
    stem = os.path.basename(table.path).split(".")[0]
    dataset = Dataset(
        x=x,
        y=y,
        feature_names=tuple(names),
        target_names=None if target["classes"] is None else tuple(target["names"]),
        name=stem,
        task=target["task"],
        target=target["name"],
        missing=fillable,
        encoding=encoding,
        notes=tuple(said),
    )
    return dataset, notes


def check_size(table: Table, width: int) -> None:
    """Raise a TableError where the rows with that many features are beyond the limits."""
    rows = len(table.lines)
    if rows * width > limits.MAX_CELLS or width > limits.MAX_COLUMNS:
        raise table.error(
            f"with a column for each category it is [{rows}, {width}] or larger: more than "
            f"{limits.MAX_CELLS} numbers or {limits.MAX_COLUMNS} columns"
        )
