"""HTML by elements: what is not markup already is escaped, whoever named a class or a setting."""

import html
import math
import re
from collections.abc import Sequence
from typing import Any

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class Html(str):
    """Text that is markup already."""


def escaped(value: Any) -> Html:
    """A value as markup: ``Html`` as it is, any other text harmless, of a list its parts joined.

    >>> escaped("a < b"), escaped([Html("<b>"), None, 1])
    ('a &lt; b', '<b>1')
    """
    if isinstance(value, Html):
        return value
    if isinstance(value, (list, tuple)):
        return Html("".join(map(escaped, value)))
    return Html("" if value is None else html.escape(_CONTROL.sub("\ufffd", str(value))))


def tag(name: str, /, *children: Any, **attributes: Any) -> Html:
    """An element with its children, each ``escaped``.

    Of an attribute's name ``_`` becomes ``-`` and a last one goes; None and False leave it out.

    >>> tag("td", "<script>", class_="number", data_s=3, hidden=False)
    '<td class="number" data-s="3">&lt;script&gt;</td>'
    """
    said = "".join(
        f" {key.strip('_').replace('_', '-')}" + ("" if value is True else f'="{escaped(value)}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    end = "" if name == "input" else f"</{name}>"
    return Html(f"<{name}{said}>{escaped(children)}{end}")


def number(value: Any, digits: int = 4) -> str:
    """A number with so many digits; a dash for what is none.

    >>> number(0.081234), number(12345.6), number(float("nan")), number(7)
    ('0.08123', '12,346', '–', '7')
    """
    if value is None or not math.isfinite(value):
        return "–"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10000 else str(value)
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e9 else f"{value + 0:.{digits}g}"


def with_error(value: float, error: float, like: float | None = None) -> str:
    """A number to the two leading digits of its standard error, or of one ``like`` it, and that.

    >>> with_error(0.081234, 0.00413), with_error(0.5, float("nan"))
    ('0.0812 ± 0.0041', '0.5')
    """
    if not (math.isfinite(error) and error > 0 and math.isfinite(value)):
        return number(value)
    digits = 1 - math.floor(math.log10(like or error))
    if not 0 <= digits <= 8:
        return f"{number(value)} ± {number(error)}"
    return f"{value:,.{digits}f} ± {error:,.{digits}f}"


def table(
    header: Sequence[Any], rows: Sequence[Sequence[Any]], caption: Any, *, texts: int = 1
) -> Html:
    """A table in a box of its own that scrolls; its first ``texts`` columns are no numbers."""
    kind = lambda c: None if c < texts else "number"
    head = [tag("th", cell, scope="col", class_=kind(c)) for c, cell in enumerate(header)]
    line = lambda row: [
        tag("th", cell, scope="row") if c == 0 else tag("td", cell, class_=kind(c))
        for c, cell in enumerate(row)
    ]
    body = tag("tbody", [tag("tr", line(row)) for row in rows])
    return scrolling(
        tag("table", tag("caption", caption), tag("thead", tag("tr", head)), body), caption
    )


def scrolling(content: Html, label: Any) -> Html:
    """A box that scrolls sideways, by the keyboard too."""
    name = re.sub("<[^>]*>", "", label) if isinstance(label, Html) else str(label)
    return tag(
        "div", content, class_="scroll", tabindex=0, role="region", aria_label=Html(escaped(name))
    )


def behind(summary: str, content: Html) -> Html:
    """What stands behind a picture: shown when asked for."""
    return tag("details", tag("summary", summary), content)


def section(name: str, heading: str, *content: Any) -> Html:
    """A part of the page, which its heading names."""
    title = tag("h2", heading, id=f"{name}-heading")
    return tag("section", title, *content, id=name, aria_labelledby=f"{name}-heading")
