"""report.html of the main job: the study's page, with what the test part tells."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.partition import Partition
from experiments.scores import MAXIMIZED, Scored, better_by
from experiments.verdict import FEW, OURS
from jaxdl.data import Dataset, Rows
from jaxdl.data.tables.table import Texts
from jaxdl.model_selection import Choice, Study, report


def write(
    path: Path,
    study: Study,
    choice: Choice,
    dataset: Dataset,
    partition: Partition,
    *,
    seconds: Mapping[str, float],
    notes: Sequence[str],
    warnings: Sequence[str],
    tested: report.Tested | None = None,
) -> None:
    """Write the page; without ``tested`` it says that the test part was not looked at."""
    s, f, k = study.diverged.shape
    split = partition.split
    about = (
        f"{dataset.name}: {len(dataset.y):,} rows, {dataset.x.shape[1]} features; "
        f"{s} settings x {f} folds x {k} seeds on {len(split.train):,} rows, "
        f"{len(split.test):,} set aside"
    )
    unfinished = () if tested else ("this run has not come to its test part (yet)",)
    report.write(
        study,
        path,
        None if tested else dataset.y[split.train],
        classes=dataset.target_names,
        choice=choice,
        tested=tested,
        title=f"Which model for {dataset.target}?",
        about=about,
        warnings=(*unfinished, *warnings),
        notes=(*dataset.notes, *partition.notes, *notes),
        seconds=seconds,
    )


def tested(
    tests: dict[str, Scored],
    verdict: str,
    dataset: Dataset,
    partition: Partition,
    rows: Rows | Dataset,
    y: np.ndarray,
    outputs: np.ndarray,
) -> report.Tested:
    """What the test part tells, of the choice's outputs [n, ...] for its responses y [n]."""
    ours, test = tests[OURS], partition.split.test
    metric = next(iter(ours.scores))
    models = [
        report.Compared(
            "the choice" if name == OURS else name, t.scores[metric], *t.interval(),
            ahead=None if name == OURS else better_by(ours, t),
        )
        for name, t in tests.items()
    ]  # fmt: skip
    pieces = "" if partition.by == "chance" else f" by {ours.units} {FEW[partition.by][1]}"
    names, columns = described(rows, test)
    predicted = report.predicted(
        y,
        outputs,
        said="rows that were set aside, predicted by the choice after training on all others",
        labels=dataset.task == "classify",
        rows=names,
        classes=dataset.target_names,
        columns=columns,
    )
    how = f"on the {len(test):,} held-out rows, with 95 % intervals{pieces}"
    return report.Tested(verdict, metric, metric in MAXIMIZED, how, models, predicted)


def described(rows: Rows | Dataset, chosen: np.ndarray) -> tuple[list[str], dict[str, Any]]:
    """Where some rows [n] of a data set stand, and what stands in their columns as read."""
    if isinstance(rows, Dataset):
        x = rows.x.reshape(len(rows.x), -1)[chosen]
        return [str(n) for n in chosen], dict(zip(rows.feature_names, x.T, strict=False))
    table = rows.table
    cells = lambda c: c.take(chosen).cells() if isinstance(c, Texts) else c[chosen]
    return (
        [table.row(n) for n in chosen],
        {name: cells(table.columns[name]) for name in rows.used},
    )
