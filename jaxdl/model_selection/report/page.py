"""One HTML page that needs nothing else: no network, no other file."""

import base64
import hashlib
import importlib.resources
import json
import re
from collections.abc import Sequence
from typing import Any

from jaxdl.model_selection.report.markup import Html, escaped, tag

_SECTION = re.compile(r'<section id="(\w+)"[^>]*><h2[^>]*>(.*?)</h2>', re.DOTALL)


def page(title: str, subtitle: str, sections: Sequence[Html], data: Any, footer: str) -> str:
    """The page. ``data`` are plain JSON values for its script, which runs no other one.

    The policy of the page forbids every request, and every script but its own.
    """
    files = importlib.resources.files("jaxdl.model_selection.report")
    read = lambda name: files.joinpath(name).read_text(encoding="utf-8")
    script = read("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    links = [
        tag("a", Html(heading), href=f"#{name}")
        for text in sections
        for name, heading in _SECTION.findall(text)
    ]
    parts = {
        "policy": f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'",
        "title": escaped(title),
        "subtitle": escaped(subtitle),
        "links": escaped(links),
        "sections": escaped(list(sections)),
        "footer": escaped(footer),
        "style": read("page.css"),
        "script": script,
        # Nothing in it can end the element that it stands in.
        "data": json.dumps(data, allow_nan=False).replace("<", "\\u003c"),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], read("page.html"))
