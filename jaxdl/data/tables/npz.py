"""From an NPZ file to a table: x [N, ...], a response, and by choice their names."""

import math

from jaxdl import files
from jaxdl.data.tables import table as limits
from jaxdl.data.tables.table import Column, Table, TableError, fail, listed, shown, texts_of
from jaxdl.files import Arrays


def read_npz(path: str, response: str) -> Table:
    """The arrays ``x`` [N, ...] and ``response`` [N] of an NPZ file as a Table; TableError for others."""
    try:
        with files.opened_npz(path) as arrays:
            return _npz_table(path, response, arrays)
    except ValueError as error:
        if isinstance(error, TableError):
            raise
        raise fail(path, f"not a whole NPZ file ({error})") from None


def _npz_table(path: str, response: str, arrays: Arrays) -> Table:
    described = arrays.described
    if "x" not in described:
        raise fail(path, f"no array 'x'; the arrays are {listed(described) or 'none'}")
    (rows, *rest), dtype = described["x"].shape or (0,), described["x"].dtype
    width = math.prod(rest)
    if dtype.kind not in "biuf":
        raise fail(path, f"x must hold numbers, not {dtype}")
    if not rows * width:
        raise fail(path, f"x must be [N, D] with rows, but has shape {described['x'].shape}")
    if rows * width > limits.MAX_CELLS or width > limits.MAX_COLUMNS:
        raise fail(
            path,
            f"x is [{rows}, {width}]: more than {limits.MAX_CELLS} numbers or {limits.MAX_COLUMNS} columns",
        )
    features = _names(path, arrays, "feature_names", width)
    features = features or tuple(f"x{j}" for j in range(width))
    if len(features) != width or len(set(features)) < len(features):
        raise fail(path, f"feature_names must be {width} different names, one for each column")
    if response in described and response in features:
        raise fail(path, f"a feature and the response are both called {shown(response)}")
    if response in described:
        shape, dtype = described[response]
        if shape not in ((rows,), (rows, 1)):
            raise fail(path, f"{shown(response)} has shape {shape}, but x has {rows} rows")
        if dtype.kind not in "biufU":
            raise fail(path, f"{shown(response)} must hold numbers or texts, not {dtype}")
        if dtype.kind == "U" and rows > limits.MAX_TEXTS:
            raise fail(path, f"{shown(response)} has more than {limits.MAX_TEXTS} texts")
    x = arrays.read("x").reshape(rows, width)
    columns: dict[str, Column] = dict(zip(features, x.T, strict=True))
    lines = range(1, rows + 1)
    if response not in described:
        return Table(path, columns, "row", lines)
    y = arrays.read(response).reshape(rows)
    columns[response] = texts_of(map(str, y)) if y.dtype.kind in "bU" else y
    class_names = _names(path, arrays, "target_names", limits.MAX_COLUMNS)
    return Table(path, columns, "row", lines, response=response, class_names=class_names)


def _names(path: str, arrays: Arrays, name: str, most: int) -> tuple[str, ...] | None:
    if name not in arrays.described:
        return None
    shape, dtype = arrays.described[name]
    if len(shape) != 1 or dtype.kind != "U":
        raise fail(path, f"{name} must be a list of texts, not {dtype} {shape}")
    if shape[0] > most:
        raise fail(path, f"{name} must be {most} different names at most, not {shape[0]}")
    return tuple(str(v) for v in arrays.read(name))
