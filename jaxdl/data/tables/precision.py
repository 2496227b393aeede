"""Whether different values of a column are one in float32, and that is a loss."""

import decimal

import numpy as np

from jaxdl.data.tables import number_formats
from jaxdl.data.tables.kinds import label
from jaxdl.data.tables.number_formats import Format
from jaxdl.data.tables.response import exact
from jaxdl.data.tables.table import Texts

_LARGEST = float(np.finfo(np.float32).max)


def merged_pair(column: np.ndarray | Texts, how: Format) -> tuple[str, str] | None:
    """Two different values of a column that are one in float32, where that is a loss.

    It always is of whole numbers. Of many draws of a continuous quantity some coincide in any
    precision; there it is one where more than every tenth does.
    """
    if isinstance(column, np.ndarray):
        if column.dtype == np.float32 or (column.astype(np.float32) == column).all():
            return None
        values = np.unique(column[np.abs(column) <= _LARGEST])
    else:
        numbers = number_formats.parse(column.values, how)
        numbers = np.where(np.abs(numbers) <= _LARGEST, numbers, np.nan)
        values = np.unique(numbers[~np.isnan(numbers)])
        if len(values) and max(-values[0], values[-1]) >= 2.0**53:  # float64 has merged some
            large = np.flatnonzero(np.abs(numbers) >= 2.0**53)
            plain = (number_formats.plain(column.values[k], how) for k in large)
            texts = (text for text in plain if text is not None)
            small = map(decimal.Decimal, values[np.abs(values) < 2.0**53].tolist())
            values = np.array(sorted({*map(exact, texts), *small}), object)
    if len(values) < 2:
        return None
    single = values.astype(np.float32)
    same = single[1:] == single[:-1]
    if not same.any():
        return None
    i = int(np.argmax(same))
    whole = values.dtype.kind in "iuO" or np.array_equal(values, np.floor(values))
    return (label(values[i]), label(values[i + 1])) if whole or same.mean() > 0.1 else None
