"""From a column to features: a plain JSON ``spec`` is fitted to rows, and applied to any rows.

Every spec has ``name``, ``as`` (the kind), and ``missing``: whether a column of its own tells where
the value is missing. Beside it stand: for a number ``format``; for a truth value ``words``; for a
date ``form``, ``parts`` and ``origin``; for a category ``values``, ``other``, whether one column is
for all others, and ``rare``, which those were; for a text ``buckets``. A category that is to become
the mean target is a ``target``: its ``values`` are coded 0..V-1, missing ones V by choice, and
``other`` tells whether there were more of them. Nothing here knows the target.
"""

import re
import zlib
from typing import Any, NamedTuple

import numpy as np

from jaxdl.data.tables import date_features, date_forms, rereading
from jaxdl.data.tables.kinds import TRUTH, Decision, as_texts
from jaxdl.data.tables.number_formats import Format
from jaxdl.data.tables.table import Texts, shown

MAX_CATEGORIES = 50
MAX_CODES = 1 << 14  # values of a category that becomes the mean target
MAX_RARE = 1000  # values without a column of their own that are remembered as such
BUCKETS = 64
_WORD = re.compile(r"\w+")

Spec = dict[str, Any]


class Odd(NamedTuple):
    """Cells [N] that a spec does not know, the first of them, what it is, and what it counts as."""

    where: np.ndarray
    example: str
    what: str
    counts_as: str | None


class Encoded(NamedTuple):
    """Features [N, width], where the value is missing [N], and what the spec did not know.

    said: in what other way than the training's the cells are written, in words, or "".
    """

    x: np.ndarray
    missing: np.ndarray
    odd: Odd | None
    said: str = ""


def rare_below(rows: int) -> int:
    """A category's value must stand in so many of the rows to have a column of its own."""
    return min(10, -(-rows // 50))


def fit(
    decision: Decision,
    column: np.ndarray | Texts,
    *,
    indicate: bool,
    most: int = MAX_CATEGORIES,
    recurring: bool = False,
) -> Spec | str:
    """The spec of a column's training rows, or why nothing can be learned from it.

    ``indicate``: whether missing values have a column of their own. At most ``most`` values of a
    category have one: the most frequent. ``recurring``: of a date, only what comes round again.
    """
    spec: Spec = {"name": decision.name, "as": decision.kind}
    if decision.kind == "number":
        spec["format"] = decision.how
    elif decision.kind == "truth":
        spec["words"] = decision.how
    elif decision.kind == "date":
        seconds = _seconds(decision.how, column)
        known = seconds[~np.isnan(seconds)]
        if not len(known):
            return "no value in the training part"
        parts = date_features.parts_that_vary(known, decision.how)
        if recurring and not (parts := date_features.parts_that_recur(known, parts)):
            return "it puts the rows in order, and the training part does not go round once"
        spec |= {"form": decision.how, "parts": parts, "origin": float(known.min())}
    elif decision.how == "target":
        spec |= {"as": "target"} | _codes(as_texts(column))
    elif decision.kind == "category":
        spec |= _values(as_texts(column), most)
        if not spec["values"]:
            alone = "no value stands in enough rows for a column of its own"
            return f"{alone}; --as {decision.name}=target learns from them together"
    else:
        spec["buckets"] = BUCKETS
    elapsed = {"parts": ["elapsed"]} if decision.kind == "date" else {}  # tells whether any varies
    encoded = encode(spec | elapsed | {"missing": False}, column)
    spec["missing"] = bool(indicate and encoded.missing.any())
    if encoded.missing.all():
        return "no value in the training part"
    known = encoded.x[~encoded.missing]
    if not spec["missing"] and (known == known[0]).all():
        return "one value only in the training part"
    return spec


def _values(column: Texts, most: int) -> Spec:
    """The values with columns of their own, in order, and whether there is one for the others."""
    counts = column.counts()
    often = counts >= rare_below(len(column.at))
    kept = np.flatnonzero(often)
    if len(column.values) - len(kept) == 1 and len(column.values) <= most and len(kept):
        kept = np.arange(len(column.values))  # to call a single rare value "other" gains nothing
    kept = kept[np.argsort(-counts[kept], kind="stable")][:most]
    values = sorted(column.values[k] for k in kept)
    rare = sorted(set(column.values) - set(values))
    return {
        "values": values, "other": bool(rare), "rare": rare if len(rare) <= MAX_RARE else None,
    }  # fmt: skip


def _codes(column: Texts) -> Spec:
    """The values that have a code, in order, and whether there are others: rarer ones."""
    kept = np.argsort(-column.counts(), kind="stable")[:MAX_CODES]
    values = sorted(column.values[k] for k in kept)
    return {"values": values, "other": len(values) < len(column.values)}


def target_columns(encoding: dict[str, Any]) -> tuple[list[int], list[int]]:
    """Which features under a table's encoding are codes of categories, and how many each has.

    They are the arguments of ``features.target_encode``.
    """
    owners = [spec for spec in encoding["columns"] for _ in names(spec)]
    coded = [j for j, spec in enumerate(owners) if spec["as"] == "target"]
    return coded, [len(owners[j]["values"]) + owners[j]["missing"] for j in coded]


def names(spec: Spec) -> list[str]:
    """The names of a spec's features."""
    name, kind = spec["name"], spec["as"]
    if kind == "target":
        return [name]
    found = [name]
    if kind == "date":
        found = date_features.feature_names(name, spec["parts"])
    elif kind == "category":
        found = [f"{name}={v}" for v in spec["values"]] + [f"{name}: other"] * spec["other"]
    elif kind == "text":
        found = [f"{name}: words {k}" for k in range(spec["buckets"])]
    return found + [f"{name} is missing"] * spec["missing"]


def encode(spec: Spec, column: np.ndarray | Texts, comma: bool = False) -> Encoded:
    """A column [N] under a spec; NaN where a number, truth value or date is missing.

    ``comma``: whether a decimal comma is likely in this table.

    A category that is missing, or has a value that the spec does not know, is 0 in all its columns
    but that for missing or other values. Of a ``target`` it has a code that is not of the spec's.
    """
    if spec["as"] in ("number", "date"):
        return _ENCODE[spec["as"]](spec, column, comma)
    return _ENCODE[spec["as"]](spec, column)


def _with_indicator(spec: Spec, x: np.ndarray, missing: np.ndarray) -> np.ndarray:
    return np.concatenate([x, missing[:, None]], 1) if spec["missing"] else x


def _spread(u: np.ndarray, column: Texts, empty: float = np.nan) -> np.ndarray:
    """Values [U, ...] of the different texts, for each cell [N, ...]; ``empty`` where missing."""
    last = np.full((1, *u.shape[1:]), empty, u.dtype)
    return np.concatenate([u, last])[column.at]


def _stray(column: Texts, unknown: np.ndarray, what: str, counts_as: str) -> Odd | None:
    """The cells whose texts are ``unknown`` [U]."""
    if not unknown.any():
        return None
    where = _spread(unknown, column, False)
    return Odd(where, column.values[int(np.argmax(unknown))], what, counts_as)


def _number(spec: Spec, column: np.ndarray | Texts, comma: bool) -> Encoded:
    most = np.finfo(np.float32).max
    if isinstance(column, np.ndarray):
        numbers, odd, said = column.astype(np.float64), None, ""
    else:
        u, said, doubt = rereading.numbers(column.values, Format(*spec["format"]), comma)
        numbers = _spread(u, column)
        odd = (
            _stray(column, np.isnan(u), "is not a number", "missing")
            or _stray(column, np.abs(u) > most, "is beyond float32", "missing")
            or _doubtful(column, doubt)
        )
    known = np.abs(numbers) <= most
    x = np.where(known, numbers, np.nan)[:, None]
    return Encoded(_with_indicator(spec, x, ~known), ~known, odd, said)


def _doubtful(column: Texts, doubt: tuple[str, str, str | None] | None) -> Odd | None:
    """The cells of a text that is a doubt, see ``rereading``."""
    if doubt is None:
        return None
    text, what, counts_as = doubt
    where = column.at == column.values.index(text)
    return Odd(where, text, what, counts_as)


def _truth(spec: Spec, column: np.ndarray | Texts) -> Encoded:
    column = as_texts(column)
    means = dict(zip(spec["words"], (0.0, 1.0), strict=True))
    if tuple(spec["words"]) in TRUTH:
        means |= {"0": 0.0, "1": 1.0}
        means |= {word: float(k) for pair in TRUTH for k, word in enumerate(pair)}
    u = np.array([means.get(value.lower(), np.nan) for value in column.values], np.float64)
    x = _spread(u, column)
    missing = np.isnan(x)
    odd = _stray(column, np.isnan(u), f"is not {' or '.join(spec['words'])}", "missing")
    return Encoded(_with_indicator(spec, x[:, None], missing), missing, odd)


def _seconds(form: str, column: np.ndarray | Texts) -> np.ndarray:
    """When the cells [N] of a date are, in seconds since 1970, NaN where there is none."""
    if isinstance(column, np.ndarray) and column.dtype.kind == "M":  # read already
        return date_forms.seconds_of(column)
    column = as_texts(column)
    return _spread(date_forms.parse(column.values, form), column)


def _date(spec: Spec, column: np.ndarray | Texts, comma: bool) -> Encoded:
    odd, said = None, ""
    if isinstance(column, np.ndarray) and column.dtype.kind == "M":
        seconds = _seconds(spec["form"], column)
    else:
        column = as_texts(column)
        u, said, doubt = rereading.dates(column.values, spec["form"], comma)
        seconds = _spread(u, column)
        odd = _stray(column, np.isnan(u), "is not a date", "missing") or _doubtful(column, doubt)
    x = date_features.features(seconds, spec["parts"], spec["origin"])
    missing = np.isnan(seconds)
    return Encoded(_with_indicator(spec, x, missing), missing, odd, said)


def _category(spec: Spec, column: np.ndarray | Texts) -> Encoded:
    column = as_texts(column)
    width = len(spec["values"]) + spec["other"]
    position = {value: k for k, value in enumerate(spec["values"])}
    otherwise = width - 1 if spec["other"] else -1
    u = np.array([position.get(value, otherwise) for value in column.values], np.int32)
    x = np.zeros((len(column.at), width), np.float32)
    at = _spread(u, column, -1)
    x[np.flatnonzero(at >= 0), at[at >= 0]] = 1
    odd = None
    if spec["rare"] is not None:  # else there were too many to know which are new
        known = position.keys() | set(spec["rare"])
        unknown = np.array([value not in known for value in column.values], bool)
        counts_as = "other values" if spec["other"] else "none of its values"
        odd = _stray(column, unknown, "is no value of the training", counts_as)
    return Encoded(_with_indicator(spec, x, column.missing), column.missing, odd)


def _target(spec: Spec, column: np.ndarray | Texts) -> Encoded:
    column = as_texts(column)
    code = {value: k for k, value in enumerate(spec["values"])}
    beyond = len(code) + spec["missing"]
    u = np.array([code.get(value, beyond) for value in column.values], np.float32)
    x = _spread(u, column, len(code))[:, None]
    odd = None
    if not spec["other"]:
        odd = _stray(column, u == beyond, "is no value of the training", "the mean of all")
    return Encoded(x, column.missing, odd)


def _text(spec: Spec, column: np.ndarray | Texts) -> Encoded:
    """``log(1 + count)`` of the words that fall into each bucket, by their CRC-32."""
    column = as_texts(column)
    u = np.zeros((len(column.values), spec["buckets"]), np.float32)
    for k, value in enumerate(column.values):
        for word in _WORD.findall(value.lower()):
            u[k, zlib.crc32(word.encode()) % spec["buckets"]] += 1
    x = np.log1p(_spread(u, column, 0))
    return Encoded(_with_indicator(spec, x, column.missing), column.missing, None)


_ENCODE = {
    "number": _number, "truth": _truth, "date": _date, "category": _category, "target": _target,
    "text": _text,
}  # fmt: skip


def what_becomes(spec: Spec, rows: int) -> str:
    """What is made of a column, in words."""
    kind = spec["as"]
    if kind == "category":
        words = f"{len(spec['values'])} columns" if len(spec["values"]) > 1 else "1 column"
        if spec["other"]:
            words += f", and one for all values in under {rare_below(rows)} rows"
            if len(spec["values"]) == MAX_CATEGORIES:
                words = f"{MAX_CATEGORIES} columns for the most frequent, and one for all others"
            if spec["rare"] is None or len(spec["values"]) + len(spec["rare"]) > MAX_CATEGORIES:
                words += f" (--as {spec['name']}=target tells them apart)"
        return words + (", and one for missing values" if spec["missing"] else "")
    if kind == "target":
        missing = ", and for missing ones" if spec["missing"] else ""
        return f"what the target is on average for each of {len(spec['values'])} values{missing}"
    if kind == "date":
        parts = ["elapsed days" if p == "elapsed" else p for p in spec["parts"]]
        words = ", ".join(parts)
    elif kind == "text":
        words = f"{spec['buckets']} columns that count its words"
    elif kind == "truth":
        words = f"1 for {shown(spec['words'][1])}, else 0"
    else:
        words = "itself"
    return words + (
        "; missing: the training mean, and a column that tells" if spec["missing"] else ""
    )
