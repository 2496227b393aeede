"""The encoding of a table is plain JSON values of known shape, whoever wrote them."""

from typing import Any

from jaxdl.data.dataset import TASKS
from jaxdl.data.tables import date_features, date_forms, response
from jaxdl.data.tables.encoders import BUCKETS, MAX_CATEGORIES, MAX_CODES, MAX_RARE
from jaxdl.data.tables.missing import FILLS
from jaxdl.data.tables.table import MAX_COLUMNS

_KEYS = {
    "number": {"format"},
    "truth": {"words"},
    "date": {"form", "parts", "origin"},
    "category": {"values", "other", "rare"},
    "target": {"values", "other"},
    "text": {"buckets"},
}


def check_encoding(encoding: Any) -> None:
    """Raise a ValueError unless this is what ``Dataset.encoding`` of a table may be."""
    try:
        whole = _is_whole(encoding)
    except (KeyError, TypeError, AttributeError):
        whole = False
    if not whole:
        raise ValueError("not an encoding of a table: see Dataset.encoding")


def _is_whole(encoding: Any) -> bool:
    specs, target = encoding["columns"], encoding["target"]
    classes = [target["classes"], target["names"]] if target["classes"] is not None else []
    names = [spec["name"] for spec in specs] + [target["name"]]
    return (
        type(specs) is list
        and 0 < len(specs) <= MAX_COLUMNS
        and _are_texts(names)
        and len(set(names)) == len(names)
        and all(map(_is_spec, specs))
        and all(_are_texts(c) and 1 < len(c) <= response.MAX_CLASSES for c in classes)
        and all(len(set(c)) == len(c) for c in classes[:1])
        and len({len(c) for c in classes}) < 2
        and target["task"] in TASKS
        and (target["task"] == "classify") == bool(classes)
        and (target["format"] is None or _is_format(target["format"]))
        and encoding["missing"] in FILLS
        and type(encoding.get("header", True)) is bool
        and all(_are_texts(encoding[key]) for key in ("left_out", "missing_words"))
    )


def _is_spec(spec: Any) -> bool:
    kind = spec["as"]
    if set(spec) != {"name", "as", "missing"} | _KEYS[kind] or type(spec["missing"]) is not bool:
        return False
    if kind == "number":
        return _is_format(spec["format"])
    if kind == "truth":
        return _are_texts(spec["words"]) and len(spec["words"]) == 2
    if kind == "text":
        return type(spec["buckets"]) is int and 0 < spec["buckets"] <= 64 * BUCKETS
    if kind == "date":
        parts = spec["parts"]
        whole = spec["form"] in date_forms.FORMS and type(parts) is list and len(parts) > 0
        ordered = [part for part in date_features.PARTS if part in parts] == parts
        return whole and ordered and type(spec["origin"]) is float and abs(spec["origin"]) < 1e12
    values, rare = spec["values"], spec.get("rare")
    return (
        _are_texts(values)
        and 0 < len(values) <= (MAX_CODES if kind == "target" else MAX_CATEGORIES)
        and len(set(values)) == len(values)
        and type(spec["other"]) is bool
        and (rare is None or (_are_texts(rare) and len(rare) <= MAX_RARE))
    )


def _is_format(how: Any) -> bool:
    """Whether this is what ``number_formats.Format`` holds."""
    return (
        _are_texts(how)
        and len(how) == 4
        and how[0] in (".", ",")
        and how[1] in ("", ",", ".", " ", "'")
        and all(len(unit) <= 12 for unit in how[2:])
    )


def _are_texts(values: Any) -> bool:
    return type(values) is list and all(type(v) is str for v in values)
