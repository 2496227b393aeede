"""Run logs in long format: a row for each number, from one run or a whole population."""

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

COLUMNS = ("member", "setting", "fold", "seed", "settings", "epoch", "step", "part", "metric", "value")  # fmt: skip


class RunLog:
    """A CSV or JSONL file of rows ``COLUMNS``, by the name's ending; anything else is refused.

    ``start(rows)`` writes the file anew (a run that is resumed knows its whole history), ``add``
    appends. Values that are not finite are written as ``nan`` in CSV and null in JSONL. Raises a
    ValueError for other endings and an OSError where the file cannot be written. No arrays.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        if self.path.suffix not in (".csv", ".jsonl"):
            raise ValueError(f"a log is a .csv or a .jsonl file, not {str(path)!r}")

    def start(self, rows: Iterable[dict[str, Any]]) -> None:
        """Write the file anew; rows are dicts with keys of ``COLUMNS``; values [] each."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            partial = self.path.with_name(self.path.name + ".partial")
            with open(partial, "w", newline="", encoding="utf-8") as file:
                if self.path.suffix == ".csv":
                    csv.writer(file).writerow(COLUMNS)
                self._write(file, rows)
            partial.replace(self.path)
        except OSError as error:
            raise OSError(f"{self.path}: cannot write a log here ({error.strerror})") from None

    def add(self, rows: Iterable[dict[str, Any]]) -> None:
        """Append rows, dicts with keys of ``COLUMNS``; values [] each."""
        with open(self.path, "a", newline="", encoding="utf-8") as file:
            self._write(file, rows)

    def _write(self, file, rows) -> None:
        if self.path.suffix == ".csv":
            # Settings are JSON within a cell, so that runs of different settings share columns.
            cell = lambda v: json.dumps(v) if isinstance(v, dict) else v
            csv.writer(file).writerows([cell(row.get(c, "")) for c in COLUMNS] for row in rows)
            return
        null = lambda v: None if isinstance(v, float) and not np.isfinite(v) else v
        for row in rows:
            file.write(json.dumps({k: null(v) for k, v in row.items()}) + "\n")


class TensorBoardLog:
    """The same rows as scalars for TensorBoard, in ``folder``; needs the extra ``tensorboard``.

    A member's metric is the tag ``part/metric/member``; a run that is resumed writes what it has
    not written. Raises a ValueError where ``tensorboardX`` is not installed. No arrays.
    """

    def __init__(self, folder: str | Path):
        try:
            from tensorboardX import SummaryWriter
        except ImportError:
            raise ValueError(
                "TensorBoard logs need tensorboardX: pip install 'jaxdl[tensorboard]'"
            ) from None
        self._writer = SummaryWriter(str(folder))
        self._seen = len(list(Path(folder).glob("events.*"))) > 1

    def start(self, rows: Iterable[dict[str, Any]]) -> None:
        """Write rows, unless the folder has those of an earlier part of the run; values [] each."""
        if not self._seen:
            self.add(rows)

    def add(self, rows: Iterable[dict[str, Any]]) -> None:
        """Write rows, dicts with keys of ``COLUMNS``; values [] each."""
        for row in rows:
            tag = "/".join(
                str(row[k]) for k in ("part", "metric", "member") if row.get(k, "") != ""
            )
            self._writer.add_scalar(tag, row["value"], row["epoch"])
        self._writer.flush()


def as_log(value: Any) -> Any:
    """A RunLog of a path; what has ``start`` and ``add`` is returned as it is, as is None."""
    if value is None or (hasattr(value, "start") and hasattr(value, "add")):
        return value
    if isinstance(value, (str, Path)):
        return RunLog(value)
    raise ValueError(
        f"log takes a .csv or .jsonl path, or what has start() and add(), not {value!r}"
    )


def read_log(path: str | Path) -> list[dict[str, Any]]:
    """The rows of a RunLog's file, numbers as numbers; a last line cut short is left out.

    Raises a ValueError in one line for a file that is missing or no log. No arrays.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a log ({error})") from None
    lines = text.split("\n")[:-1]
    if path.suffix == ".jsonl":
        try:
            return [json.loads(line) for line in lines]
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}: not a log ({error})") from None
    if not lines or tuple(next(csv.reader([lines[0]]))) != COLUMNS:
        raise ValueError(f"{path}: not a log (its first line is not {','.join(COLUMNS)})")

    def number(column, cell):
        if column == "settings" and cell:
            return json.loads(cell)
        if column == "value":
            return float(cell)
        return int(cell) if cell.lstrip("-").isdigit() else cell

    rows = csv.reader(lines[1:])
    return [{c: number(c, v) for c, v in zip(COLUMNS, row, strict=True)} for row in rows]
