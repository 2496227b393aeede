"""The table of settings, and its numbers as data that the page sorts and filters by."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxdl.model_selection.report.markup import Html, number, scrolling, section, tag, with_error
from jaxdl.model_selection.words import plain, shown

if TYPE_CHECKING:
    from jaxdl.model_selection.study import Choice, Study

MOST_ROWS = 1000  # in the table; of more settings the best
MOST_CHOICES = 12  # of a setting, to pick one from


class Column(NamedTuple):
    """A column of the table over its R rows.

    values: to sort and filter by, plain ones. texts: as they are shown. numeric: whether they are
    numbers. varies: a setting that is not the same in all rows, which can be filtered by.
    """

    name: str
    values: list[Any]
    texts: list[str]
    numeric: bool
    varies: bool = False


def rows_of(study: "Study", choice: "Choice | None") -> list[int]:
    """The settings that the table shows, best first; the choice is one of them."""
    order = study.ranking()[:MOST_ROWS].tolist()
    if choice is not None and choice.index not in order:
        order[-1] = choice.index
    return order


def varying(study: "Study") -> list[str]:
    """The names of the settings that are not the same everywhere."""
    names = dict.fromkeys(name for h in study.hparams for name in h)
    of = lambda name: {shown(h[name]) if name in h else None for h in study.hparams}
    return [name for name in names if len(of(name)) > 1]


def columns(study: "Study", rows: list[int]) -> list[Column]:
    """The columns of the table: rank, settings that vary, parameters, scores, what went wrong."""
    found = [Column("rank", *_whole(range(1, len(rows) + 1)), True)]
    for name in varying(study):
        values = [plain(study.hparams[s].get(name)) for s in rows]
        numeric = all(v is None or type(v) in (int, float) for v in values)
        values = values if numeric else ["" if v is None else shown(v) for v in values]
        texts = ["" if v is None else shown(v) for v in values]
        found.append(Column(name, values, texts, numeric, varies=True))
    found.append(Column("parameters", *_whole(study.num_params[rows]), True))
    for metric in sorted(study.scores, key=lambda m: m != study.metric):
        mean, error = (a[rows].tolist() for a in study.summary(metric))
        some = [e for e in error if e > 0]  # NaN is not
        like = float(np.median(some)) if some else None
        texts = [with_error(m, e, like) for m, e in zip(mean, error, strict=True)]
        found.append(Column(metric.replace("_", " "), plain(mean), texts, True))
    failed, trained = study.diverged.sum((1, 2))[rows], study.epochs.mean((1, 2))[rows]
    if failed.any():
        texts = [f"{n}/{study.diverged[0].size}" for n in failed]
        found.append(Column("diverged", plain(failed), texts, True))
    if (study.epochs != study.epochs.max()).any():
        found.append(Column("epochs", plain(trained), [f"{n:.0f}" for n in trained], True))
    return found


def data(columns: list[Column]) -> dict[str, Any]:
    """The table for the page's script."""
    return {
        "columns": [{"name": c.name, "numeric": c.numeric} for c in columns],
        "rows": [list(row) for row in zip(*(c.values for c in columns), strict=True)],
    }


def table(study: "Study", choice: "Choice | None", rows: list[int], columns: list[Column]) -> Html:
    """The section with the table, the fields to filter it by, and what all settings share."""
    s = len(study.hparams)
    caption = "Settings, best first; means ± standard errors over the folds" if (
        len(study.folds) > 1) else "Settings, best first"  # fmt: skip
    chosen = None if choice is None else choice.index
    vary = varying(study)
    head = [
        tag(
            "th", tag("button", c.name, type="button", data_sort=i), scope="col",
            aria_sort="ascending" if i == 0 else "none", class_="number" if c.numeric else None,
        )
        for i, c in enumerate(columns)
    ]  # fmt: skip
    body = [
        tag("tr", [_cell(c, r, row) for c in columns], class_="chosen" if row == chosen else None)
        for r, row in enumerate(rows)
    ]
    content = tag("table", tag("caption", caption), tag("thead", tag("tr", head)),
                  tag("tbody", body), id="settings-table")  # fmt: skip
    names = dict.fromkeys(name for h in study.hparams for name in h)
    shared = {name: shown(study.hparams[0][name]) for name in names if name not in vary}
    common = ", ".join(f"{name} = {value}" for name, value in shared.items())
    return section(
        "settings",
        "Settings",
        tag("p", f"The same in all {s} settings: {common}.") if common and s > 1 else None,
        tag("p", f"The best {len(rows)} of {s} settings are shown.") if len(rows) < s else None,
        _filters(columns),
        tag("p", f"{len(rows)} settings", id="count", role="status"),
        scrolling(content, caption),
        tag("p", tag("button", "Show all", type="button", id="more"),
            tag("button", "Save as CSV", type="button", id="save"), class_="tools", hidden=True),
    )  # fmt: skip


def _cell(column: Column, r: int, row: int) -> Html:
    if column.name == "rank":
        mark = tag(
            "button", column.texts[r], type="button", aria_pressed="false", data_mark=row,
            title="Mark this setting in the pictures",
        )  # fmt: skip
        return tag("th", mark, scope="row", class_="number")
    return tag("td", column.texts[r], class_="number" if column.numeric else None)


def _filters(columns: list[Column]) -> Html:
    fields = [tag("label", "Search", tag("input", type="search", name="text", autocomplete="off"))]
    for i, c in enumerate(columns):
        if not c.varies:
            continue
        several = dict(sorted(zip(c.texts, c.values, strict=True), key=_in_order))
        if len(several) <= MOST_CHOICES:
            options = [tag("option", "any", value="any")]
            options += [tag("option", text or "none", value=f"={text}") for text in several]
            fields.append(tag("label", c.name, tag("select", options, data_equals=i)))
        elif c.numeric:
            ends = [
                tag("input", type="number", step="any", data_least=i, aria_label=f"{c.name} from"),
                "to",
                tag("input", type="number", step="any", data_most=i, aria_label=f"{c.name} to"),
            ]
            fields.append(tag("fieldset", tag("legend", c.name), ends))
    fields.append(tag("button", "Clear", type="reset"))
    return tag("form", fields, id="filters", aria_label="Filter the settings", hidden=True)


def _in_order(pair: tuple[str, Any]) -> tuple:
    text, value = pair
    return (0, value, "") if type(value) in (int, float) else (1, 0, text)


def _whole(values: Any) -> tuple[list[int], list[str]]:
    values = [int(v) for v in np.asarray(values)]
    return values, [number(v) for v in values]
