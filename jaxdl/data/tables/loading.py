"""From a table to a Dataset: every column is decided on, encoded, and accounted for.

What is found in one table is written down as an ``encoding`` of plain JSON values, and that is
what is applied, to this table and to any later one.
"""

import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxdl.checks import one_of
from jaxdl.data.dataset import TASKS, Dataset
from jaxdl.data.tables import encoders, remarks, response
from jaxdl.data.tables import table as limits
from jaxdl.data.tables.applying import check_size, under
from jaxdl.data.tables.copies import copy_of, suspicion
from jaxdl.data.tables.kinds import CHOICES, USED, Decision, decide
from jaxdl.data.tables.missing import FILLS, settle
from jaxdl.data.tables.number_formats import Format
from jaxdl.data.tables.precision import merged_pair
from jaxdl.data.tables.reading import Source, read
from jaxdl.data.tables.table import MISSING, Table, listed, nearest, shown

FitsTo = Callable[[np.ndarray, str], np.ndarray]
_LARGEST = float(np.finfo(np.float32).max)
ROLES = {"groups": "it tells which rows belong together", "time": "it puts the rows in order"}


class Rows(NamedTuple):
    """The rows of a table that are kept, before anything is learned from them.

    table: as read. y [N], target: the responses, and what is known of them as in an encoding.
    decisions: what each other column is. used: those that something is learned from.
    given, roles: as for ``read_rows``. missing, missing_words: as for ``load_table``.
    notes: what is to be said of the rows, a line each.
    """

    table: Table
    y: np.ndarray
    target: dict[str, Any]
    decisions: dict[str, Decision]
    used: dict[str, Decision]
    given: dict[str, str]
    roles: dict[str, str]
    missing: str
    missing_words: tuple[str, ...]
    notes: tuple[str, ...]


def load_table(
    source: Source,
    target: str | None = None,
    task: str | None = None,
    missing: str = "fill",
    *,
    kinds: Mapping[str, str] | None = None,
    missing_words: Iterable[str] = MISSING,
    header: bool | None = None,
    fitted_to: FitsTo | None = None,
) -> Dataset:
    """A table as a Dataset of x [N, D] and y [N]; what became of each column is in its ``columns``.

    Numbers stay; truth values are 1 and 0; dates become elapsed days and what varies of year,
    month, weekday and hour; categories are one-hot coded into columns called ``name=value``, rare
    values together. Left out are identifiers, constants, empty columns, prose, and copies of the
    target (see ``copies``).

    Args:
      source: a file, or a DataFrame. Text in UTF-8, UTF-16 or Latin-1, cut by
        commas, semicolons, tabs or bars, plain or compressed; Parquet and Feather (which need
        pyarrow); or NPZ with arrays ``x`` [N, ...] and ``y`` [N], by choice ``feature_names`` and
        ``target_names``. Pickles are refused.
      target: the column to be predicted; default the last, ``"y"`` of an NPZ.
      task: ``"classify"``, ``"regress"`` or ``"count"``; default: classes if the target has texts
        or few different whole numbers (two, or up to 20 that each recur twice on average), else
        regression. Labels become 0..K-1, in numeric or alphabetic order. Whole numbers of any
        length stay apart; where one is written with a leading zero, as 007, all are texts.
      missing: ``"fill"``: where features are missing x is NaN, ``Dataset.missing`` is set, so that
        a Transform fills in each training part's own means, and a column of its own tells where;
        rows without a target are left out. ``"error"``: missing and non-finite values are refused;
        ``"drop"`` leaves their rows out; ``"mean"`` fills as above without telling where (a missing
        category is NaN in all of its columns, and their means are its frequencies).
      kinds: what columns are, ``{name: kind}``, one of ``number``, ``truth``, ``date``,
        ``category``, ``text`` (its words are counted), ``target`` (a category of many values as
        one column of codes, for ``features.target_encode``; see ``target_columns``), ``ignored``.
      missing_words: texts that stand for no value, in any case.
      header: whether the first row of a text names the columns. By default it does, unless each of
        its cells is like those below it; then columns are called ``column 1``, ``column 2``, ...
      fitted_to: ``(y, task) -> rows``: those that categories, and whatever else is learned from
        values, are taken from; default, all.

    Values that differ, but are one in float32, are warned of.

    Raises:
      TableError: a ValueError of one line that names the file, and line and column if known.
    """
    rows = read_rows(
        source, target, task, missing, kinds=kinds, missing_words=missing_words, header=header
    )
    fitted = None if fitted_to is None else np.asarray(fitted_to(rows.y, rows.target["task"]))
    return encode_rows(rows, fitted)


def read_rows(
    source: Source,
    target: str | None = None,
    task: str | None = None,
    missing: str = "fill",
    *,
    kinds: Mapping[str, str] | None = None,
    missing_words: Iterable[str] = MISSING,
    header: bool | None = None,
    roles: Mapping[str, str] | None = None,
) -> Rows:
    """The first half of ``load_table``: what there is to be split, before ``encode_rows``.

    ``roles``: columns that are there for how rows are split, ``{name: "groups"}`` or
    ``{name: "time"}``. Unless ``kinds`` names them too, the former is no feature; of the latter, a
    date's month, weekday and hour are, as far as the training rows went once round: what only
    grows would be beyond its range in all later rows.
    """
    one_of("task", task, (None, *TASKS))
    one_of("missing", missing, FILLS)
    given, roles, missing_words = dict(kinds or {}), dict(roles or {}), tuple(missing_words)
    as_texts = [name for name, kind in given.items() if kind not in ("number", "ignored")]
    table = read(source, target, missing_words, header=header, as_texts=as_texts)
    target = _find_target(table, target)
    for name, role in roles.items():
        one_of(f"the role of {shown(name)}", role, ROLES)
        _check_name(table, target, name, f"{role} needs a column beside it")
    for name, kind in given.items():
        one_of(f"the kind of {shown(name)}", kind, CHOICES)
        _check_name(table, target, name, "its task is what can be set")
    decisions = {n: decide(table, n, given.get(n)) for n in table.columns if n != target}
    aside = {n for n, role in roles.items() if n not in given and not _recurs(decisions[n], role)}
    used = {n: d for n, d in decisions.items() if _is_used(d, given) and n not in aside}
    read_as = response.read_target(table, target)
    kept, notes = settle(table, used, target, read_as, missing)
    table = _parsed_once(table, used)
    if kept is not None:
        table, read_as = table.take(kept), read_as.take(kept)
    about = response.infer(table, target, task, read_as)
    if about["format"] is not None and _is_exact(read_as.numbers):
        table.columns[target] = read_as.numbers
    y, _ = response.responses(table, about)
    notes = (*table.notes, *notes)
    return Rows(table, y, about, decisions, used, given, roles, missing, missing_words, notes)


def encode_rows(kept: Rows, fitted_to: np.ndarray | None = None) -> Dataset:
    """The second half of ``load_table``: the Dataset of all rows, learned from those [n] given."""
    table, y, about, decisions, used, given, roles, missing, missing_words, notes = kept
    notes = list(notes)
    rows = np.arange(len(y)) if fitted_to is None else fitted_to
    part = table if fitted_to is None else table.take(rows)

    most = _most_categories(len(y), used)
    specs, columns, width = [], [], 0
    for name, decision in decisions.items():
        column = part.columns[name]
        if name not in used:
            spec = _why_left_out(decision, roles.get(name))
        else:
            recurring = name in roles and name not in given
            indicate = missing == "fill"
            spec = encoders.fit(decision, column, indicate=indicate, most=most, recurring=recurring)
            copy = None if name in given else copy_of(column, decision, y[rows], about["task"])
            if copy:
                decision, spec = decision._replace(kind="copy", said=copy), "gives the target away"
                notes.append(f"LEFT OUT: column {shown(name)} {copy}, so it gives it away")
            odd = None
            if name not in given and not isinstance(spec, str):
                odd = suspicion(column, decision, y[rows], about["task"])
            if odd:
                notes.append(
                    f"WARNING: column {shown(name)} {odd}: leave it out (--ignore) unless it is known "
                    "before the target is"
                )
        if isinstance(spec, str):
            becomes = f"left out: {spec}"
        else:
            specs.append(spec)
            width += len(encoders.names(spec))
            check_size(table, width)
            if spec["as"] == "number":
                x = encoders.encode(spec, column).x[:, 0]
                said = [decision.said, remarks.names(x) or remarks.tail(x)]
                decision = decision._replace(said="; ".join(filter(None, said)))
            becomes = encoders.what_becomes(spec, len(rows))
            if decision.missing and not spec["missing"]:
                becomes += "; missing: the training mean"
        columns.append(_line(decision, becomes))
    if not specs:
        raise table.error(
            "no column is left to learn from: "
            + "; ".join(f"{shown(c['name'])} is {c['becomes']}" for c in columns[:5])
        )
    fitted = {spec["name"] for spec in specs}
    encoding = {
        "columns": specs,
        "target": about,
        "missing": missing,
        "left_out": [c["name"] for c in columns if c["name"] not in fitted],
        "missing_words": sorted(missing_words),
        "header": table.header,
    }
    dataset, _ = under(table, encoding)
    _warn_of_merged(table, encoding)
    return dataset._replace(columns=tuple(columns), notes=tuple(notes))


def _find_target(table: Table, target: str | None) -> str:
    is_npz = table.unit == "row" and table.path.lower().endswith(".npz")
    target = target or ((table.response or "y") if is_npz else list(table.columns)[-1])
    if target not in table.columns:
        what, names = ("array", ["x"]) if is_npz else ("column", list(table.columns))
        near = nearest(target, names)
        raise table.error(f"no {what} {shown(target)}{near}; the {what}s are {listed(names)}")
    if len(table.columns) < 2:
        raise table.error(f"no columns besides the target {shown(target)}")
    return target


def _check_name(table: Table, target: str, name: str, advice: str) -> None:
    """Raise the TableError for a name that is no column, or the target."""
    if name not in table.columns:
        near = nearest(name, table.columns)
        raise table.error(f"no column {shown(name)}{near}; the columns are {listed(table.columns)}")
    if name == target:
        raise table.error(f"{shown(name)} is the target; {advice}")


def _parsed_once(table: Table, used: Mapping[str, Decision]) -> Table:
    """The table with columns of numbers and dates as such, where float64 holds them exactly."""
    columns = dict(table.columns)
    for name, decision in used.items():
        if decision.u is None:
            continue
        values = np.append(decision.u, np.nan)[columns[name].at]
        if decision.kind == "date":
            known = ~np.isnan(values)
            times = np.full(len(values), "NaT", "datetime64[us]")
            times[known] = np.round(values[known] * 1e6).astype(np.int64).astype("datetime64[us]")
            columns[name] = times
        elif _is_exact(values):
            columns[name] = np.where(np.abs(values) <= _LARGEST, values, np.nan)
    return table._replace(columns=columns)


def _is_exact(numbers: np.ndarray) -> bool:
    """Whether none of these numbers [N] that float32 holds may have lost a digit in float64."""
    size = np.abs(numbers)
    return not ((2.0**53 <= size) & (size <= _LARGEST)).any()


def _is_used(decision: Decision, given: Mapping[str, str]) -> bool:
    kind = decision.kind
    return kind in USED and (kind != "text" or given.get(decision.name) == "text")


def _recurs(decision: Decision, role: str) -> bool:
    return role == "time" and decision.kind == "date" and decision.how != "time"


def _why_left_out(decision: Decision, role: str | None) -> str:
    if role:
        kind = decision.kind if decision.kind in USED else "category"
        return f"{ROLES[role]}; --as {decision.name}={kind} makes it a feature too"
    if decision.kind == "text":
        return f"--as {decision.name}=text counts its words"
    return decision.said or {
        "empty": "it has no values", "constant": "it has one value", "ignored": "as asked for",
    }[decision.kind]  # fmt: skip


def _line(decision: Decision, becomes: str) -> dict[str, Any]:
    """What is reported of a column."""
    return {
        "name": decision.name,
        "as": decision.kind,
        "values": decision.values,
        "missing": decision.missing,
        "becomes": becomes,
        "said": decision.said,
    }


def _most_categories(rows: int, used: Mapping[str, Decision]) -> int:
    """So many values of each category may have a column that x stays within its limit."""
    categories = sum(d.kind == "category" and not d.how for d in used.values()) or 1
    return max(2, min(encoders.MAX_CATEGORIES, limits.MAX_CELLS // rows // 2 // categories))


def _warn_of_merged(table: Table, encoding: dict[str, Any]) -> None:
    numbers = [(s["name"], s["format"]) for s in encoding["columns"] if s["as"] == "number"]
    target = encoding["target"]
    if target["task"] == "regress":
        numbers.append((target["name"], target["format"]))
    found = {
        name: pair
        for name, how in numbers
        if (pair := merged_pair(table.columns[name], Format(*how)))
    }
    if found:
        where = "; ".join(f"{shown(name)} has {a} and {b}" for name, (a, b) in [*found.items()][:3])
        more = f"; and {len(found) - 3} more columns" if len(found) > 3 else ""
        warnings.warn(
            f"{table.path}: values that differ are one in float32 ({where}{more}); subtract what "
            "they have in common, or leave the column out",
            stacklevel=3,
        )
