"""The index of the notes: up to date, whole, without dead links; and a small one written by hand."""

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.figures.__main__ import NAMES
from experiments.notes_index import PAGE, WORDS, Config, main, page

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / PAGE).read_text(encoding="utf-8")
ROWS = [line.strip("| ").split(" | ") for line in TEXT.splitlines() if re.match(r"\| [(L]\d", line)]


def test_the_page_is_what_the_script_writes():
    assert TEXT == page(ROOT), "python -m experiments.notes_index writes it anew"


def test_links_lead_to_files():
    targets = set(re.findall(r"\]\(([^)]*)\)", TEXT))
    assert len(targets) > 50
    assert [target for target in targets if not (ROOT / "jaxdl" / target).is_file()] == []


def test_every_figure_and_notebook_is_there():
    shown = set(re.findall(r"\[`([^`]*)`\]\(\.\./(?:experiments|colab)/", TEXT))
    books = {path.name[:2] for path in (ROOT / "colab").glob("0[1-9]_*.ipynb")}
    assert shown == {*NAMES, *books}


def test_names_can_be_imported():
    names = set(re.findall(r"\[`(jaxdl[\w.]*)`\]", TEXT))
    assert len(names) > 150
    for name in names:
        module, _, last = name.rpartition(".")
        try:
            found = getattr(importlib.import_module(module), last)
        except ModuleNotFoundError:  # a method, or what a class defines
            module, _, owner = module.rpartition(".")
            found = getattr(getattr(importlib.import_module(module), owner), last)
        assert found.__doc__, name


def test_sections_1_to_9_are_whole():
    """Each equation and each display has functions and tests."""
    built = TEXT[: TEXT.index("\n## Deviations")]
    assert "Not there yet" not in built
    rows = {first: cells for first, _, *cells in ROWS if f"| {first} |" in built}
    assert {f"({n})" for n in range(1, 52)} <= set(rows) and len(rows) == 139
    assert [key for key, (functions, tests, *_) in rows.items() if not (functions and tests)] == []


SMALL = {
    WORDS: """
introduction = "# Index\\n"
about_deviations = "## Deviations\\n"
[[chapters]]
figures = ["1", "valley"]
[chapters.rows]
"§1" = "Lines"
"§1.1" = "Through the origin"
1 = "a line"
L112 = "its loss"
2 = "the least loss"
3 = "its slope"
"§1.2" = "Elsewhere"
L130 = "an offset"
[[chapters]]
figures = []
[chapters.rows]
"§2" = "Curves"
4 = "a curve"
L40 = "its bend"
[deviations]
D-10 = "later"
D-2 = "earlier"
E-1 = "asked for"
""",
    "jaxdl/__init__.py": "",
    "jaxdl/losses.py": '''"""Losses (E-1). Notes: §1.2."""


class Loss:
    """A loss (D-2)."""

    def slope(self):
        """Downhill. Source: Someone (2001), Eq. (9). Notes: L112, Eqs. (2), (3),
        §1.1 (D-10).

        As in (4).
        """
''',
    "jaxdl/models/__init__.py": """
from jaxdl.models.lines import helper, line
from jaxdl.models.curves import *

__all__ = ["line"]
""",
    "jaxdl/models/lines.py": '''
def line(x):
    """A line. Notes: Eqs. (1)-(3), §1.1; McCulloch (1943)."""


def helper(x):
    """Notes: §1.1-1.2."""
''',
    "tests/models/test_lines.py": """
import pytest


@pytest.mark.equation(1, "L112")
@pytest.mark.slow
def test_a_line():
    pass


def test_nothing():
    pass
""",
    "experiments/figures/section1.py": """
from jaxdl import losses
from jaxdl.models import lines

CURVE = losses.Loss.slope


def drawn(x):
    return CURVE(x)


def figure_1(key):
    return lines.line(key)


def valley(key):
    return drawn(key)


FIGURES: dict = {1: figure_1, "valley": valley}
""",
    "colab/01_lines.ipynb": json.dumps(
        {
            "cells": [
                {"cell_type": "markdown", "source": ["$$\\ell", " \\tag{3, 12}$$"]},
                {"cell_type": "code", "source": ["if True:\n    %pip install jaxdl\n"]},
                {
                    "cell_type": "code",
                    "source": ["from jaxdl.models.lines import helper as h\nh(1)"],
                },
            ]
        }
    ),
}
LINE = "[`jaxdl.models.line`](models/lines.py)"
HELPER = "[`jaxdl.models.lines.helper`](models/lines.py)"
SLOPE = "[`jaxdl.losses.Loss.slope`](losses.py)"
TEST = "[`test_a_line`](../tests/models/test_lines.py)"
FIGURE = "[`1`](../experiments/figures/section1.py)"
VALLEY = "[`valley`](../experiments/figures/section1.py)"
BOOK = "[`01`](../colab/01_lines.ipynb)"
EXPECTED = f"""# Index

## 1. Lines

| notes | what it says | function | test | figure | notebook |
|---|---|---|---|---|---|
| **§1.1** | **Through the origin** | {HELPER} |  |  | {BOOK} |
| (1) | a line | {LINE} | {TEST} | {FIGURE} |  |
| L112 | its loss | {SLOPE} | {TEST} | {VALLEY} |  |
| (2) | the least loss | {SLOPE}<br>{LINE} |  | {FIGURE}<br>{VALLEY} |  |
| (3) | its slope | {SLOPE}<br>{LINE} |  | {FIGURE}<br>{VALLEY} | {BOOK} |
| **§1.2** | **Elsewhere** | {HELPER} |  |  | {BOOK} |

Not there yet: L130.

## 2. Curves

Not there yet: (4), L40.

## Deviations
| D-2 | earlier | [`jaxdl.losses.Loss`](losses.py) |
| D-10 | later | {SLOPE} |
| E-1 | asked for | [`jaxdl.losses`](losses.py) |
"""


@pytest.fixture
def small(tmp_path):
    for name, text in SMALL.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_a_small_index_by_hand(small):
    main(Config(root=str(small)))
    assert (small / PAGE).read_text(encoding="utf-8") == EXPECTED
    assert page(small) == EXPECTED


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("jaxdl/losses.py", "(D-2)", "(D-3)", "jaxdl/losses.py cites what .* does not have: D-3"),
        ("jaxdl/losses.py", "L112", "L999", "jaxdl/losses.py cites what .* does not have: L999"),
        ("jaxdl/losses.py", "§1.1", "§3.1", "jaxdl/losses.py cites what .* does not have: §3.1"),
        ("jaxdl/models/lines.py", "(3)", "(5)", r"lines.py cites what .* does not have: 5"),
        ("jaxdl/losses.py", " (E-1)", "", "has what no docstring cites: E-1"),
        ("tests/models/test_lines.py", "(1,", "(7,", "test_lines.py cites what .*: 7"),
        ("experiments/figures/section1.py", '"valley"', '"hill"', "no chapter for figures: hill"),
    ],
)
def test_what_only_one_side_knows_is_an_error(small, file, old, new, message):
    text = (small / file).read_text(encoding="utf-8")
    (small / file).write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        page(small)


def test_the_command(small):
    def run(*arguments):
        command = [sys.executable, "-m", "experiments.notes_index", "--root", str(small)]
        done = subprocess.run([*command, *arguments], cwd=ROOT, capture_output=True, text=True)
        return done.returncode, done.stderr.splitlines()

    out_of_date = f"notes_index: {PAGE} is out of date; python -m experiments.notes_index writes it"
    assert run("--check") == (1, [out_of_date]) and not (small / PAGE).exists()
    assert run() == (0, []) and run("--check") == (0, [])
    (small / PAGE).write_text("older\n", encoding="utf-8")
    assert run("--check") == (1, [out_of_date])
    (small / "jaxdl/losses.py").write_text('"""D-7, E-1."""', encoding="utf-8")
    message = f"notes_index: jaxdl/losses.py cites what {WORDS} does not have: D-7"
    assert run() == (2, [message]) and (small / PAGE).read_text() == "older\n"
