"""Run logs in long format: a row for each number, from one run or a whole population."""

import contextlib
import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from jaxdl import files

COLUMNS = ("member", "setting", "fold", "seed", "settings", "epoch", "step", "part", "metric", "value")  # fmt: skip


class RunLog:
    """A log file of rows with the keys ``COLUMNS``: CSV or JSONL, by the name's ending.

    ``start(rows)`` writes the file anew (a run that is resumed knows its whole history), ``add``
    appends. Values that are not finite are written as ``nan`` in CSV and null in JSONL. Raises a
    ValueError for other endings and an OSError where the file cannot be written.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        if self.path.suffix not in (".csv", ".jsonl"):
            raise ValueError(f"a log is a .csv or a .jsonl file, not {str(path)!r}")

    def start(self, rows: Iterable[dict[str, Any]]) -> None:
        """Write the file anew, with these rows."""
        partial = self.path.with_name(self.path.name + ".partial")
        with self._in_one_line():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(partial, "w", newline="", encoding="utf-8") as file:
                if self.path.suffix == ".csv":
                    csv.writer(file).writerow(COLUMNS)
                self._write(file, rows)
            partial.replace(self.path)

    def add(self, rows: Iterable[dict[str, Any]]) -> None:
        """Append rows."""
        with self._in_one_line(), open(self.path, "a", newline="", encoding="utf-8") as file:
            self._write(file, rows)

    @contextlib.contextmanager
    def _in_one_line(self):
        try:
            yield
        except OSError as error:
            why = error.strerror or error
            raise OSError(f"{self.path}: cannot write a log here ({why})") from None

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
    """A log in ``folder`` of scalars for TensorBoard; needs the extra ``tensorboard``.

    A member's metric is the tag ``part/metric/member`` over epochs (over steps where there are
    none); a run that is resumed writes what it has not written. Raises a ValueError where
    ``tensorboardX`` is not installed.
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
        """Write rows, unless the folder has those of an earlier part of the run."""
        if not self._seen:
            self.add(rows)

    def add(self, rows: Iterable[dict[str, Any]]) -> None:
        """Write rows."""
        for row in rows:
            tag = "/".join(
                str(row[k]) for k in ("part", "metric", "member") if row.get(k, "") != ""
            )
            self._writer.add_scalar(tag, row["value"], row.get("epoch", row.get("step")))
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

    A row has the columns that are filled: epoch, step, part, metric and value, and, in the log
    of a study, member, setting, fold, seed and settings. Raises a ValueError in one line for a
    file that is missing or no log.
    """
    path = Path(path)
    if path.suffix not in (".csv", ".jsonl"):
        raise ValueError(f"a log is a .csv or a .jsonl file, not {str(path)!r}")
    try:
        content = files.read_bytes(path)
        whole = content[: content.rfind(b"\n") + 1]  # before it is decoded: a cut splits letters
        lines = whole.decode("utf-8").replace("\r\n", "\n").split("\n")[:-1]
        return _from_json(lines) if path.suffix == ".jsonl" else _from_csv(lines)
    except (OSError, ValueError, csv.Error) as error:
        raise ValueError(f"{path}: not a log ({error})") from None


def _from_json(lines: list[str]) -> list[dict[str, Any]]:
    rows = [files.parse_json(line, finite=False) for line in lines]
    for i, row in enumerate(rows, 1):
        if not isinstance(row, dict) or not {"part", "metric", "value"} <= row.keys() <= set(
            COLUMNS
        ):
            raise ValueError(f"line {i} has not the fields of {', '.join(COLUMNS)}")
        if not isinstance(row["value"], (int, float, type(None))):
            raise ValueError(f"line {i} has the value {row['value']!r}")
        row["value"] = float("nan") if row["value"] is None else float(row["value"])
    return rows


def _from_csv(lines: list[str]) -> list[dict[str, Any]]:
    if not lines or lines[0] != ",".join(COLUMNS):
        raise ValueError(f"its first line is not {','.join(COLUMNS)}")

    def read(column, cell):
        if column == "settings":
            return files.parse_json(cell, finite=False)
        if column == "value":
            return float(cell)
        return cell if column in ("part", "metric") else int(cell)

    rows = []
    for i, cells in enumerate(csv.reader(lines[1:]), 2):
        if len(cells) != len(COLUMNS):
            raise ValueError(f"line {i} has {len(cells)} cells, not {len(COLUMNS)}")
        # What a run has not, as one model has no folds, is an empty cell and in no row.
        rows.append({c: read(c, v) for c, v in zip(COLUMNS, cells, strict=True) if v != ""})
    return rows
