"""From a pandas DataFrame, or a file of columns (Parquet, Feather), to a table."""

import io
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from jaxdl.data.tables import table as limits
from jaxdl.data.tables.dialect import name_columns
from jaxdl.data.tables.table import Table, Texts, fail, merged, shown

if TYPE_CHECKING:
    import pandas as pd

_PARQUET, _FEATHER = b"PAR1", b"ARROW1"


def is_columnar(data: bytes) -> bool:
    """Whether these are the bytes of a Parquet or a Feather file."""
    return data.startswith((_PARQUET, _FEATHER))


def read_columnar(path: str, data: bytes, missing: Iterable[str]) -> Table:
    """The table in the bytes of a Parquet or Feather file."""
    try:
        import pyarrow as pa
        from pyarrow import feather, parquet
    except ImportError:
        raise fail(path, "needs the package pyarrow: pip install 'jaxdl[parquet]'") from None
    try:
        if data.startswith(_PARQUET):
            about = parquet.read_metadata(io.BytesIO(data))
            _check_size(path, about.num_rows, about.num_columns)
            frame = parquet.read_table(io.BytesIO(data)).to_pandas()
        else:
            frame = feather.read_table(io.BytesIO(data)).to_pandas()
    except (pa.ArrowException, OSError, ValueError) as error:
        said = str(error).strip().splitlines()
        raise fail(path, f"not a whole file ({said[0][:200] if said else 'broken'})") from None
    return read_frame(path, frame, missing)


def _check_size(path: str, rows: int, columns: int) -> None:
    if columns > limits.MAX_COLUMNS or rows * columns > limits.MAX_TEXTS:
        raise fail(
            path, f"the table is [{rows}, {columns}]: more than {limits.MAX_TEXTS} cells or "
            f"{limits.MAX_COLUMNS} columns"
        )  # fmt: skip


def read_frame(path: str, frame: "pd.DataFrame", missing: Iterable[str]) -> Table:
    """A DataFrame's columns; its index is left out.

    Numbers stay numbers, durations become seconds, all else is text.
    """
    import pandas as pd

    if not isinstance(frame, pd.DataFrame):
        raise ValueError(f"a table is a file or a DataFrame, not {type(frame).__name__}")
    _check_size(path, *frame.shape)
    names, said = name_columns([str(name) for name in frame.columns])
    if not names:
        raise fail(path, "no columns")
    if not len(frame):
        raise fail(path, "no rows")
    notes = list(said)
    notes += [
        f"the index {shown(str(name))} is left out; reset_index() makes a column of it"
        for name in frame.index.names
        if name is not None
    ]
    durations = frame.select_dtypes("timedelta").columns
    notes += [f"column {shown(str(name))} holds durations: their seconds" for name in durations]
    columns = {name: _column(frame.iloc[:, j], missing) for j, name in enumerate(names)}
    return Table(path, columns, "row", range(1, len(frame) + 1), notes=tuple(notes))


def _column(series: "pd.Series", missing: Iterable[str]) -> np.ndarray | Texts:
    import pandas as pd

    kind = pd.api.types
    if kind.is_timedelta64_dtype(series.dtype):
        return series.dt.total_seconds().to_numpy()
    if kind.is_numeric_dtype(series.dtype) and not kind.is_bool_dtype(series.dtype):
        if kind.is_complex_dtype(series.dtype):
            raise ValueError(f"column {series.name!r} holds complex numbers")
        if series.dtype == np.float16:
            return series.to_numpy(np.float32)
        plain = isinstance(series.dtype, np.dtype)
        return series.to_numpy() if plain else series.to_numpy(np.float64, na_value=np.nan)
    try:
        codes, values = pd.factorize(series)  # -1 where missing
    except TypeError:  # lists and the like have no hash
        codes, values = pd.factorize(series.map(_text, na_action="ignore"))
    return merged([_text(v) for v in values], codes.astype(np.int32), missing)


def _text(value: object) -> str:
    """A value as text; whole numbers have no point, and dates are ISO."""
    if isinstance(value, float) and value == int(value):
        return str(int(value))
    return str(value)
