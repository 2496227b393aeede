"""The index of the notes, jaxdl/README.md: the functions, tests and figures of each equation.

Everything is read off the code, without importing it. Docstrings say ``Notes: Eq. (26), §4.5.1`` or
``Notes: L590 (D-34)``, tests are marked ``equation(26, "L590")``, figures and notebooks call
functions by their names. What an equation says stands in ``notes_index.toml``.
"""

import ast
import dataclasses
import json
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from experiments.command import command, write_whole

PAGE, WORDS = "jaxdl/README.md", "experiments/notes_index.toml"
# Keys are "26", "L590", "§4.5.1" and "D-34"; a docstring may cite a range, as in "L901-L907".
RANGES = {
    "": r"\((\d+)\)(?:-\((\d+)\))?",
    "L": r"\bL(\d{3,})(?:-L(\d+))?",
    "§": r"§([\d.]*\d)(?:-([\d.]*\d))?",
}
TABLE = """
| notes | what it says | function | test | figure | notebook |
|---|---|---|---|---|---|"""


@dataclasses.dataclass(frozen=True)
class Config:
    """Write jaxdl/README.md, the index of the notes: functions, tests and figures by equation."""

    check: bool = False
    """Write nothing; exit with 1 where the file is not what would be written."""
    root: str = "."
    """The folder of the repository."""


class Found(NamedTuple):
    """Something in the code: the keys that it cites, or the public names that it calls."""

    name: str
    file: str
    says: frozenset[str]


def main(config: Config) -> None:
    """Write the page; or compare, and exit with 1 where it is another."""
    root = Path(config.root)
    text, target = page(root), root / PAGE
    if not config.check:
        write_whole(target, text)
    elif not target.exists() or target.read_text(encoding="utf-8") != text:
        sys.exit(f"notes_index: {PAGE} is out of date; python -m experiments.notes_index writes it")


def page(root: Path) -> str:
    """The text of the index. Raises ValueError for what only the code or only the words have."""
    data = tomllib.loads((root / WORDS).read_text(encoding="utf-8"))
    chapters, deviations = data["chapters"], data["deviations"]
    notes = list(chain(*(part["rows"] for part in chapters)))
    modules = list(parsed(root, "jaxdl"))
    exports = read_exports(modules)
    functions, rooms = read_docstrings(modules, exports, notes)
    tests, figures = list(read_tests(root)), list(read_figures(root, exports))
    notebooks = list(read_notebooks(root, exports))

    for found in (*functions, *rooms, *tests):
        unknown = found.says - {*notes, *deviations}
        none(unknown, f"{found.file} cites what {WORDS} does not have")
    idle = deviations.keys() - set(chain(*(found.says for found in functions + rooms)))
    none(idle, f"{WORDS} has what no docstring cites")
    homeless = {figure.name for figure in figures} - set(chain(*(c["figures"] for c in chapters)))
    none(homeless, f"{WORDS} has no chapter for figures")

    lines = [data["introduction"].rstrip()]
    for number, part in enumerate(chapters, 1):
        drawn = [figure for name in part["figures"] for figure in figures if figure.name == name]
        books = [notebook for notebook in notebooks if notebook.name == f"{number:02}"]
        lines.append(f"\n## {number}. {part['rows'][f'§{number}']}")
        lines += chapter(part["rows"], functions, tests, drawn, books)
    lines.append("\n" + data["about_deviations"].rstrip())
    for code in sorted(deviations, key=lambda code: (code[0], int(code[2:]))):
        by = [found for found in sorted(functions + rooms) if code in found.says]
        lines.append(f"| {code} | {deviations[code]} | {links(by)} |")
    return "\n".join([*lines, ""])


def none(names: Iterable[str], complaint: str) -> None:
    """Raise ValueError where there are any."""
    if names:
        raise ValueError(f"{complaint}: {', '.join(sorted(names))}")


def chapter(rows: dict[str, str], functions, tests, figures, notebooks) -> Iterator[str]:
    """The table of a chapter: what a function cites; and a line of what is not there yet."""
    section, inside = "", {}  # the equations of each section
    for key in rows:
        section = key if key.startswith("§") else section
        inside.setdefault(section, set()).update({key} - {section})
    table, absent = [TABLE], []
    for key, text in rows.items():
        equations = inside.get(key, set())
        citing = [f for f in functions if key in f.says and not f.says & equations]
        calls = {key, *(f.name for f in citing)}
        cells = [citing, [test for test in tests if key in test.says]]
        cells += [[show for show in part if show.says & calls] for part in (figures, notebooks)]
        name = f"({key})" if key.isdecimal() else key
        if key in inside:
            name, text = f"**{name}**", f"**{text}**"
        if citing or any(f.says & equations for f in functions):
            table.append(f"| {name} | {text} | {' | '.join(map(links, cells))} |")
        elif key not in inside:
            absent.append(name)
    yield from table if table[1:] else ()
    yield from [f"\nNot there yet: {', '.join(absent)}."] if absent else ()


def links(places: Iterable[Found]) -> str:
    """Links from the page, one a line of a table's cell."""
    relative = lambda file: f"../{file}".removeprefix("../jaxdl/")
    return "<br>".join(dict.fromkeys(f"[`{p.name}`]({relative(p.file)})" for p in places))


def parsed(root: Path, folder: str) -> Iterator[tuple[str, str, ast.Module]]:
    """``(dotted name, file, tree)`` of the Python modules below a folder."""
    for path in sorted((root / folder).rglob("*.py")):
        file = path.relative_to(root).as_posix()
        name = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        yield name, file, ast.parse(path.read_text(encoding="utf-8"), file)


def imported(tree: ast.AST) -> dict[str, str]:
    """The names that code gives to parts of the library, with their dotted paths."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom | ast.Import):
            start = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
            names |= {a.asname or a.name: start + a.name for a in node.names}
    return {name: path for name, path in names.items() if path.split(".")[0] == "jaxdl"}


def read_exports(modules) -> dict[str, list[str]]:
    """The paths at which the ``__all__`` of packages export something, by the path they import."""
    exports: dict[str, list[str]] = {}
    for package, file, tree in modules:
        if file.endswith("/__init__.py"):
            texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
            for name, path in imported(tree).items():
                if name in texts and path != f"{package}.{name}":
                    exports.setdefault(path, []).append(f"{package}.{name}")
    return exports


def public(path: str, exports: dict[str, list[str]]) -> str:
    """The shortest path at which something is exported."""
    parent, _, last = path.rpartition(".")
    paths = [f"{public(parent, exports)}.{last}" if parent else path]
    paths += [public(other, exports) for other in exports.get(path, ())]
    return min(paths, key=lambda p: (p.count("."), p))


def read_docstrings(modules, exports, notes: list[str]) -> tuple[list[Found], list[Found]]:
    """What functions and classes cite, by public name, and what modules do."""
    functions, rooms = [], []
    for module, file, tree in modules:
        for name, text in docstrings(tree, module):
            found = Found(public(name, exports), file, frozenset(cited(text, notes)))
            (rooms if name == module else functions).append(found)
    return sorted(functions, key=lambda f: f[:2]), rooms


def docstrings(node, name: str) -> Iterator[tuple[str, str]]:
    """``(dotted name, docstring)`` of a module or class and all that is defined in it."""
    yield name, ast.get_docstring(node) or ""
    for child in node.body if isinstance(node, ast.Module | ast.ClassDef) else ():
        if isinstance(child, ast.ClassDef | ast.FunctionDef):
            yield from docstrings(child, f"{name}.{child.name}")


def cited(text: str, notes: list[str]) -> Iterator[str]:
    """The keys that a docstring cites; a range has all of its kind between its ends."""
    yield from re.findall(r"\b[DE]-\d+\b", text)
    paragraphs = [" ".join(part.split()) for part in text.split("\n\n")]
    said = " ".join(re.findall(r"Notes: (.*)", "\n".join(paragraphs)))
    numbers = " ".join(re.findall(r"Eqs?\. ((?:[-, ]*\(\d+\))+)", said))
    for prefix, pattern in RANGES.items():
        of_kind = [key for key in notes if key.rstrip("0123456789.") == prefix]
        for first, last in re.findall(pattern, said if prefix else numbers):
            ends = [prefix + first, prefix + (last or first)]
            if set(ends) <= set(of_kind):
                ends = of_kind[of_kind.index(ends[0]) : of_kind.index(ends[1]) + 1]
            yield from ends


def read_tests(root: Path) -> Iterator[Found]:
    """The tests that are marked with equations."""
    for _, file, tree in parsed(root, "tests"):
        for node in ast.walk(tree):
            for mark in getattr(node, "decorator_list", ()):
                if isinstance(mark, ast.Call) and ast.unparse(mark.func).endswith("mark.equation"):
                    yield Found(node.name, file, frozenset(str(a.value) for a in mark.args))


def read_figures(root: Path, exports) -> Iterator[Found]:
    """The entries of each ``FIGURES`` table, with what they and their helpers call."""
    for _, file, tree in parsed(root, "experiments/figures"):
        names = {}
        for node in tree.body:  # assignments have targets, functions a name
            for target in getattr(node, "targets", [getattr(node, "target", node)]):
                names[getattr(target, "id", getattr(target, "name", ""))] = node
        table = names.pop("FIGURES", None)
        for key, drawer in zip(table.value.keys, table.value.values, strict=True) if table else ():
            needed = [drawer]
            for node in needed:  # grows as it goes
                parts = (names.get(getattr(part, "id", "")) for part in ast.walk(node))
                needed += {part for part in parts if part} - set(needed)
            yield Found(str(key.value), file, called(needed, imported(tree), exports))


def read_notebooks(root: Path, exports) -> Iterator[Found]:
    """The notebooks of the notes' sections, with what they call and the equations that they number."""
    for path in sorted((root / "colab").glob("0[1-9]_*.ipynb")):
        text = {"code": "", "markdown": ""}
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            text[cell["cell_type"]] += "".join(cell["source"]) + "\n"
        tree = ast.parse(re.sub(r"(?m)^( *)[%!].*", r"\1pass", text["code"]))
        tags = re.findall(r"\d+", " ".join(re.findall(r"\\tag\{([^}]*)\}", text["markdown"])))
        file = path.relative_to(root).as_posix()
        yield Found(path.name[:2], file, called([tree], imported(tree), exports).union(tags))


def called(nodes: Iterable[ast.AST], names: dict[str, str], exports) -> frozenset[str]:
    """The public names of what code calls or hands on."""
    parts = [
        part for part in chain(*map(ast.walk, nodes)) if isinstance(part, ast.Name | ast.Attribute)
    ]
    chains = [ast.unparse(part).partition(".") for part in parts]
    return frozenset(
        public(names[a] + dot + rest, exports) for a, dot, rest in chains if a in names
    )


if __name__ == "__main__":
    command("notes_index", Config, main)
