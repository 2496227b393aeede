"""What in a table speaks against dividing its rows at random: units with several rows, and time.

Each finding is a line that names the option which would divide otherwise. Whether that is the
question asked, only its reader knows.
"""

import re

import numpy as np

from experiments.partition import Partition, task_of, times_of
from jaxdl.data import Dataset, Rows
from jaxdl.data.tables.table import Texts, shown

LEAST_ROWS = LEAST_UNITS = 20
MOST_ROWS = 20_000  # to look for that
CHANCE = 3.3  # standard errors: once in two thousand
UNIT = re.compile(
    r"(.*[_ .-])?(id|uuid|guid|subject|subj|patient|person|pid|participant|respondent|user|customer"
    r"|client|member|student|pupil|child|mother|animal|household|family|device)([_ .-]?(id|no|nr))?"
)
MOST_OF_A_UNIT = 20  # rows on average, else the values are kinds of things


def found(loaded: Rows | Dataset, partition: Partition) -> list[str]:
    """A line on units whose rows are on both sides of a random split, and one on time."""
    if isinstance(loaded, Dataset) or partition.by != "chance":
        return []
    return [*_units(loaded, partition), *_times(loaded)]


def of_size(dataset: Dataset, partition: Partition) -> list[str]:
    """Lines on more features than rows, and on classes that no row to choose by has."""
    rows, lines = len(partition.split.train), []
    if dataset.x.shape[1] > rows:
        lines.append(
            f"there are {dataset.x.shape[1]} features for {rows} rows to choose by: many models fit "
            "those perfectly, so go by the held-out scores alone"
        )
    if dataset.task == "classify":
        counts = np.bincount(dataset.y[partition.split.train], minlength=len(dataset.target_names))
        absent = [shown(dataset.target_names[k]) for k in np.flatnonzero(counts == 0)]
        if absent:
            lines.append(f"no row to choose by is of class {', '.join(absent[:5])}")
    return lines


def _units(rows: Rows, partition: Partition) -> list[str]:
    """On columns that name units with several rows each: they are called so; or they are texts whose
    rows have answers that are more alike than chance makes them."""
    lines, answers = [], centred(rows.y, task_of(rows))
    train, test = partition.split.train, partition.split.test
    for name, decision in rows.decisions.items():
        called = UNIT.fullmatch(name.strip().lower()) is not None
        column = rows.table.columns[name]
        if decision.kind == "date" or not (called or isinstance(column, Texts)):
            continue
        labels = _labels(column)
        known = labels >= 0
        number, count = int(known.sum()), len(np.unique(labels[known]))
        if count < 2 or 2 * count > number:
            continue
        several = LEAST_UNITS <= count and number <= MOST_OF_A_UNIT * count
        if called or (several and alike(labels[known], answers[known])):
            both = int(np.isin(labels[test], labels[train][known[train]]).sum())
            lines.append(
                f"{both} of {len(test)} test rows share their {shown(name)} with rows to choose by; "
                f"if new rows will be of others, --groups {shown(name)} keeps them apart"
            )
    return lines


def _labels(column: np.ndarray | Texts) -> np.ndarray:
    """A column's values as numbers [N] from 0, -1 where there is none."""
    if isinstance(column, Texts):
        return column.at
    return np.where(np.isfinite(column), np.unique(column, return_inverse=True)[1], -1)


def _times(rows: Rows) -> list[str]:
    """On the dates, and the years, in whose order answers that follow each other are alike.

    Of many rows some show that as well.
    """
    lines = []
    some = np.random.default_rng(0).permutation(len(rows.y))[:MOST_ROWS]
    answers = centred(rows.y[some], task_of(rows))
    for name, decision in rows.decisions.items():
        date = decision.kind == "date" and decision.how != "time"
        year = decision.kind == "number" and name.strip().lower() == "year"
        if not (date or year):
            continue
        column = rows.table._replace(columns={name: rows.table.columns[name]})
        times = times_of(column.take(some), name)
        known = np.isfinite(times)
        r, n = serial_correlation(answers[known], times[known]), int(known.sum())
        if n >= LEAST_ROWS and r > max(0.1, CHANCE / np.sqrt(n)):
            lines.append(
                f"in the order of {shown(name)} each answer is like the one before (correlation "
                f"{r:.2f}; by chance under {CHANCE / np.sqrt(n):.2f}); if later rows are to be "
                f"predicted, --time {shown(name)} tests that"
            )
    return lines


def centred(y: np.ndarray, task: str) -> np.ndarray:
    """Responses as [N, C] around zero: of classes a column each, of numbers their ranks."""
    if task == "classify":
        h = np.eye(int(y.max()) + 1)[y]
    else:
        _, of, count = np.unique(y, return_inverse=True, return_counts=True)
        h = (np.cumsum(count) - (count - 1) / 2)[of][:, None]  # of equal ones the mean rank
    return h - h.mean(0)


def serial_correlation(answers: np.ndarray, times: np.ndarray) -> float:
    """How alike answers [N, C] are that follow each other in time: 1 at most, about 0 by chance.

    ``sum_i <h_i, h_{i+1}> / sum_i <h_i, h_i>``, of ranks Spearman's rank correlation of a row with
    the next. In random order its mean is -1 / N and its standard error at most 1 / sqrt(N). Rows of
    one time come in random order. Source: Wald and Wolfowitz (1943).
    """
    chance = np.random.default_rng(0).random(len(times))
    h = answers[np.lexsort((chance, times))]
    return float(np.sum(h[1:] * h[:-1]) / max(np.sum(h * h), 1e-300))


def alike(labels: np.ndarray, answers: np.ndarray) -> bool:
    """Whether answers [N, C] of one label [N] are more alike than chance makes them, and notably.

    By the analysis of variance of ranks or of class indicators: the F test at 1 in 1000, and a tenth
    of the variance explained, corrected for the number of labels.
    """
    from scipy.special import fdtrc

    _, of = np.unique(labels, return_inverse=True)
    n, m = len(of), of.max() + 1
    if not 1 < m < n:
        return False
    sums = np.stack([np.bincount(of, h) for h in answers.T], axis=1)
    between = np.sum(sums**2 / np.bincount(of)[:, None])
    total = np.sum(answers**2) - len(answers) * np.sum(answers.mean(0) ** 2)
    within = max(total - between, 1e-9 * total)
    f = (between / (m - 1)) / (within / (n - m))
    explained = 1 - (within / (n - m)) / (total / (n - 1))
    return bool(fdtrc(m - 1, n - m, f) < 1e-3 and explained > 0.1)
