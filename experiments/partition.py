"""How the rows of a table are divided: a part to test on, folds to choose by, units to resample.

At random where rows are of one kind; whole groups where rows belong together; forward in time where
later rows are to be told from earlier ones. Rows that are copies of each other stay together.
"""

from typing import Any, NamedTuple

import jax
import numpy as np

from jaxdl.base import Key
from jaxdl.data import Dataset, Rows
from jaxdl.data.tables import date_forms, response
from jaxdl.data.tables.table import Table, Texts, shown
from jaxdl.model_selection import splits
from jaxdl.model_selection.forward import forward_k_fold, forward_split
from jaxdl.model_selection.grouping import group_split, stratified_group_k_fold
from jaxdl.model_selection.splits import Fold, Split

FOLDS = 5
TINY, REPEATS = 50, 5  # under so many rows the folds are drawn so often
BLOCKS = 10  # of time, to resample
RECURRING = 0.1  # the share of rows like others from which they may recur by nature


class Partition(NamedTuple):
    """What goes where.

    split: rows to choose by and to test on. by: ``"chance"``, ``"groups"`` or ``"time"``.
    column: of the groups or times. groups: labels [N] of rows that stay together, or None.
    times: [N], or None. duplicates: how many rows are like others, see ``_duplicates``.
    notes: what was decided, and warnings: what speaks against it; a line each.
    """

    split: Split
    by: str
    column: str | None
    groups: np.ndarray | None
    times: np.ndarray | None
    duplicates: dict[str, Any]
    notes: tuple[str, ...]
    warnings: tuple[str, ...] = ()

    def groups_to_choose_by(self) -> np.ndarray | None:
        """Labels [n] of the rows to choose by that stay together; None where each is on its own."""
        return None if self.groups is None else self.groups[self.split.train]

    def units(self) -> np.ndarray | None:
        """Labels [n] of the test rows that are one piece of evidence; None where each row is.

        Groups; of times, ten blocks, or as many as each has times where those are fewer: the
        longer they are, the less one tells of the next. Source: Schmeiser (1982), batch means.
        """
        test = self.split.test
        if self.by == "time":
            at = np.unique(self.times[test], return_inverse=True)[1]
            number = at.max() + 1
            return at * min(BLOCKS, round(np.sqrt(number))) // number
        several = self.by == "groups" or self.duplicates["share"] > RECURRING
        return self.groups[test] if self.groups is not None and several else None


def divide(loaded: Rows | Dataset, test_fraction: float, key: Key) -> Partition:
    """The Partition of the rows of a table, or of an embedded data set.

    Raises a ValueError where there are too few groups or times.
    """
    y, classify = loaded.y, task_of(loaded) == "classify"
    roles = {} if isinstance(loaded, Dataset) else loaded.roles
    column, by = next(iter(roles.items()), (None, "chance"))
    columns = features(loaded)  # where there is none, encoding says so
    alike = identical(columns) if columns else np.arange(len(y))
    duplicates = _duplicates(alike, y)
    labels, times, notes = None, None, []
    stratify = y if classify else None
    sizes = (1 - test_fraction, 0.0, test_fraction)
    if by == "time":
        times = times_of(loaded.table, column)
        split, said = _latest(loaded.table, column, times, test_fraction)
        notes += said
    elif by == "groups":
        labels, said = groups_of(loaded.table, column)
        notes.append(said)
        split = group_split(labels, sizes, key=key, stratify=stratify)
    elif duplicates["together"]:
        labels = alike
        split = group_split(labels, sizes, key=key, stratify=stratify)
    else:
        split = splits.train_validation_test(
            len(y), sizes, key=key, stratify=y if classify else False
        )
    both = lambda labels: int(np.isin(labels[split.test], labels[split.train]).sum())
    duplicates |= {"across": both(alike), "across_same_answer": both(identical([alike, y]))}
    notes += _told(duplicates, by, len(split.test))
    return Partition(split, by, column, labels, times, duplicates, tuple(notes))


def make_folds(
    partition: Partition, y: np.ndarray, task: str, folds: int | None, key: Key
) -> tuple[list[Fold], list[str]]:
    """Folds of the rows to choose by, which have responses y [n]; and what is to be said of them.

    ``folds`` is their number; by default 5, as far as there are rows, groups or times for it, and
    of fewer than 50 rows drawn five times over. Raises a ValueError where there are too few.
    """
    classify = task == "classify"
    train, labels = partition.split.train, y if classify else None
    rows = len(train) + len(partition.split.test)
    if partition.by == "time":
        times = partition.times[train]
        most, what = len(np.unique(times)) - 1, "later times"
        deal = lambda k, _: forward_k_fold(times, k)
    elif partition.groups is not None:
        groups = partition.groups_to_choose_by()
        most, what = len(np.unique(groups)), "groups"
        deal = lambda k, key: stratified_group_k_fold(labels, groups, k, key=key)
    else:
        most, what = len(y), "rows"
        deal = lambda k, key: splits.as_folds(k, len(y), labels, key=key)
        if folds is None and classify:
            most, what = max(2, np.bincount(y).max()), "rows of the largest class"
    if most < (folds or 2):
        of = f" of {shown(partition.column)}" if partition.column else ""
        raise ValueError(
            f"{folds or 2} folds need as many {what}{of} among the rows to choose by: too few, {most}"
        )
    k = folds or min(FOLDS, most)
    repeats = REPEATS if folds is None and rows < TINY and partition.by != "time" else 1
    keys = [key] if repeats == 1 else jax.random.split(key, repeats)
    dealt = [fold for one in keys for fold in deal(k, one)]
    if repeats > 1:
        said = [f"{rows} rows are few: {k} folds, drawn {repeats} times anew"]
    else:
        said = [] if folds or k == FOLDS else [f"{k} folds, since there are {most} {what}"]
    if classify and (partition.by == "time" or partition.groups is not None):
        present = len(np.unique(y))
        for part, use in (("train", "train on"), ("valid", "validate on")):
            lacking = sum(len(np.unique(y[getattr(fold, part)])) < present for fold in dealt)
            if lacking:
                said.append(f"{lacking} of {len(dealt)} folds lack a class to {use}")
    return dealt, said


def task_of(loaded: Rows | Dataset) -> str:
    """``"classify"``, ``"regress"`` or ``"count"``."""
    return loaded.task if isinstance(loaded, Dataset) else loaded.target["task"]


def features(loaded: Rows | Dataset) -> list[np.ndarray]:
    """The columns [N] that are learned from, each as numbers that are equal where its cells are."""
    if isinstance(loaded, Dataset):
        return list(loaded.x.reshape(len(loaded.x), -1).T)
    columns = (loaded.table.columns[name] for name in loaded.used)
    return [column.at if isinstance(column, Texts) else column for column in columns]


def identical(columns: list[np.ndarray]) -> np.ndarray:
    """For each of N rows the first that has the same in all columns [N].

    >>> identical([np.array([1, 2, 1, 1]), np.array([5, 6, 5, 7])]).tolist()
    [0, 1, 0, 3]
    """
    first = np.zeros(len(columns[0]), np.int64)
    rows = np.arange(len(first))  # those that were like another so far
    for column in columns:
        value = np.unique(column[rows], return_inverse=True)[1]
        pair = first[rows] * (len(rows) + 1) + value
        _, at, of, count = np.unique(
            pair, return_index=True, return_inverse=True, return_counts=True
        )
        first[rows] = rows[at][of]
        rows = rows[count[of] > 1]
        if not len(rows):
            break
    return first


def _duplicates(alike: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    """How many rows have the features of another one, its answer too, and whether they stay together.

    They do where they are few, so that it changes little; and where they look like copies: always
    with one answer, and not so often that they must recur, as combinations of few values do.
    """
    answered = identical([alike, y])
    recurring = lambda labels: int((np.bincount(labels)[labels] > 1).sum())
    rows, same = recurring(alike), recurring(answered)
    different = len(np.unique(alike))
    copies = len(np.unique(answered)) == different >= max(4, RECURRING * len(y))
    share = rows / len(y)
    together = rows > 0 and (share <= RECURRING or copies)
    return {"rows": rows, "same_answer": same, "share": share, "together": together}


def _told(duplicates: dict[str, Any], by: str, tested: int) -> list[str]:
    rows, across = duplicates["rows"], duplicates["across"]
    if not rows:
        return []
    said = f"{rows} rows have the features of another row, {duplicates['same_answer']} its answer too: "
    if by == "chance" and duplicates["together"]:
        return [said + "like rows stay together in the split and the folds"]
    why = "they recur too often to be copies, so " if by == "chance" else ""
    return [
        said + f"{why}{across} of {tested} test rows have the features of a row to choose by, "
        f"{duplicates['across_same_answer']} its answer too"
    ]


def groups_of(table: Table, name: str) -> tuple[np.ndarray, str]:
    """Labels [N] of a column's values; a row without one is a group of its own. And what is said."""
    column = table.columns[name]
    if isinstance(column, Texts):
        labels, lost = column.at.astype(np.int64), column.missing
    else:
        labels = np.unique(column, return_inverse=True)[1].astype(np.int64)
        lost = ~np.isfinite(column)
    labels[lost] = len(labels) + np.arange(lost.sum())
    count = len(np.unique(labels))
    if count < 3:
        raise table.error(
            f"too few groups of {shown(name)}, {count}: one is needed to test on, two to choose by"
        )
    alone = f"; {lost.sum()} rows without one are each on their own" if lost.any() else ""
    return labels, f"rows of one {shown(name)} stay together: {count} groups{alone}"


def times_of(table: Table, name: str) -> np.ndarray:
    """When the rows [N] were, as numbers; NaN where that is not known.

    Raises TableError where a column holds neither numbers nor dates.
    """
    column = table.columns[name]
    if isinstance(column, np.ndarray) and column.dtype.kind == "M":
        return date_forms.seconds_of(column)
    read = response.read_target(table, name)
    if read.how is not None:
        return read.numbers
    found = date_forms.find_form(column.values, table.comma)
    if found is None or found.form == "time":
        raise table.error(
            f"column {shown(name)} holds neither dates nor numbers to put rows in order"
        )
    return np.append(date_forms.parse(column.values, found.form), np.nan)[column.at]


def _latest(
    table: Table, name: str, times: np.ndarray, test_fraction: float
) -> tuple[Split, list[str]]:
    """The Split whose test part is the latest rows, without those that have no time."""
    known = np.flatnonzero(np.isfinite(times))
    different = len(np.unique(times[known]))
    if different < 4:
        raise table.error(
            f"too few different times of {shown(name)}, {different}: one is needed to test on, three "
            "to choose by"
        )
    split = Split(*(known[part] for part in forward_split(times[known], test_fraction)))
    said = [
        f"the latest {len(split.test)} rows by {shown(name)} are held out, and the folds go forward"
    ]
    if len(known) < len(times):
        said.append(f"{len(times) - len(known)} rows have no {shown(name)}: left out")
    return split, said
