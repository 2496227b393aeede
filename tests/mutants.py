"""Would the tests see a one-line mistake? ``python tests/mutants.py [--count 300] [MODULE ...]``.

Draws places in the source at random, changes one thing at each (an operator, a comparison, a
number, a sign, a truth value, a reduction), and runs the tests that should see it on a copy. Each
is printed with its end as it comes; exit code 1 if more than ``--allow`` of them were not seen.

Which tests run a line is known from a run of them all, with pytest-cov installed:
``pytest --cov=jaxdl --cov-context=test --cov-report=`` writes ``.coverage``, and ``--covered
.coverage`` takes the tests from there. Without it they are guessed from the names they use.
"""

import argparse
import ast
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
SWAPPED = {
    "+": "-", "-": "+", "*": "/", "/": "*", "//": "*", "**": "*", "%": "*",
    "<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==",
    "and": "or", "or": "and", "mean": "sum", "sum": "mean", "max": "min", "min": "max",
    "maximum": "minimum", "minimum": "maximum", "argmax": "argmin", "argmin": "argmax",
    "log": "log1p", "log1p": "log", "exp": "expm1", "expm1": "exp", "sqrt": "square",
    "square": "abs", "std": "var", "var": "std", "any": "all", "all": "any", "floor": "ceil",
    "ceil": "floor", "cumsum": "cumprod", "zeros": "ones", "ones": "zeros",
}  # fmt: skip
OPERATORS = re.compile(r"<<|>>|\*\*|//|[<>=!]=|[-+*/%<>]|\band\b|\bor\b")


class Mutant(NamedTuple):
    """A module with the text from ``begin`` to ``end`` replaced."""

    module: Path
    begin: int
    end: int
    new: str

    def source(self) -> str:
        text = self.module.read_text()
        return text[: self.begin] + self.new + text[self.end :]

    def statement(self) -> range:
        """The lines of the statement; of one with a body, those of its head."""
        text = self.module.read_text()
        line, least = text.count("\n", 0, self.begin) + 1, range(0)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.stmt):
                body = getattr(node, "body", None)
                lines = range(node.lineno, body[0].lineno if body else node.end_lineno + 1)
                if line in lines and (not least or len(lines) < len(least)):
                    least = lines
        return least or range(line, line + 1)

    def __str__(self) -> str:
        text = self.module.read_text()
        line = text.count("\n", 0, self.begin)
        return (
            f"{self.module.relative_to(ROOT)}:{line + 1}: {text[self.begin : self.end]!r} -> "
            f"{self.new!r} in: {text.splitlines()[line].strip()}"
        )


def mutants(module: Path) -> Iterator[Mutant]:
    """Every mistake that can be made in a module; messages, types and docstrings are no places."""
    text = module.read_text()
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    lines = text.splitlines()

    def at(line: int, column: int) -> int:  # the parser counts bytes
        return starts[line - 1] + len(lines[line - 1].encode()[:column].decode())

    span = lambda n: (at(n.lineno, n.col_offset), at(n.end_lineno, n.end_col_offset))
    tree = ast.parse(text)
    silent = {id(n) for part in _without_effect(tree) for n in ast.walk(part)}
    for node in ast.walk(tree):
        if id(node) in silent or not hasattr(node, "lineno"):
            continue
        begin, end = span(node)
        between = None
        match node:
            case ast.BinOp():
                between = span(node.left)[1], span(node.right)[0]
            case ast.Compare(ops=[_]):
                between = span(node.left)[1], span(node.comparators[0])[0]
            case ast.BoolOp():
                between = span(node.values[0])[1], span(node.values[1])[0]
            case ast.UnaryOp(op=ast.USub()) if not isinstance(node.operand, ast.Constant):
                yield Mutant(module, begin, begin + 1, "+")
            case ast.UnaryOp(op=ast.Not()):
                yield Mutant(module, begin, begin + 4, "")
            case ast.Constant(value=bool(value)):
                yield Mutant(module, begin, end, str(not value))
            case ast.Constant(value=int(value)):
                yield Mutant(module, begin, end, str(value + 1))
            case ast.Constant(value=float(value)) if value:
                yield Mutant(module, begin, end, repr(1.5 * value))
            case ast.Attribute(attr=name) if name in SWAPPED:
                yield Mutant(module, end - len(name), end, SWAPPED[name])
        if between:
            found = OPERATORS.search(text, *between)
            if found and found[0] in SWAPPED:
                yield Mutant(module, *found.span(), SWAPPED[found[0]])


def _without_effect(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.walk(tree):
        match node:
            case ast.Raise() | ast.JoinedStr() | ast.Import() | ast.ImportFrom():
                yield node
            case ast.AnnAssign():
                yield node.annotation
            case ast.FunctionDef():
                annotations = [a.annotation for a in ast.walk(node.args) if isinstance(a, ast.arg)]
                yield from (a for a in (*annotations, node.returns) if a is not None)


def witnesses(module: Path, at_most: int) -> list[str]:
    """Test files that should see a mistake in the module, the likeliest first.

    One with its name, then those that use its public names or those of modules that import it,
    of the folder that mirrors its own first.
    """
    path = ".".join(module.relative_to(ROOT).with_suffix("").parts)
    package = path.rpartition(".")[0]
    imports = re.compile(
        rf"{re.escape(path)}\b|from {re.escape(package)} import [^\n]*\b{module.stem}\b"
    )
    users = [p for p in (ROOT / "jaxdl").rglob("*.py") if imports.search(p.read_text())]
    own, others = _names([module]), _names(users)
    home = ROOT / "tests" / module.relative_to(ROOT / "jaxdl").parent
    found = []
    for test in sorted((ROOT / "tests").rglob("test_*.py")):
        if "experiments" in test.parts or "notebook" in test.name:
            continue
        text, near = test.read_text(), test.stem.startswith(f"test_{module.stem}")
        hits, through = len(own.findall(text)), len(others.findall(text))
        if near or hits or through:
            away = len(Path(os.path.relpath(test.parent, home)).parts)
            order = (not near or away, away, not hits, -hits, -through)
            found.append((*order, test.relative_to(ROOT).as_posix()))
    return [test for *_, test in sorted(found)[:at_most]]


class Covered:
    """Which tests ran which lines of the source, from coverage's data."""

    def __init__(self, file: str):
        from coverage import CoverageData

        data = CoverageData(file)
        data.read()
        self.lines, self.sizes = {}, {}
        for path in data.measured_files():
            tests = {
                line: {c.rpartition("|")[0] for c in contexts} - {""}
                for line, contexts in data.contexts_by_lineno(path).items()
            }
            self.lines["jaxdl" + path.rpartition("jaxdl")[2]] = tests
            for ran in tests.values():
                for test in ran:
                    self.sizes[test] = self.sizes.get(test, 0) + 1

    def witnesses(self, mutant: Mutant, at_most: int) -> list[str]:
        """The tests that ran the statement, those that ran the least besides first."""
        lines = self.lines.get(mutant.module.relative_to(ROOT).as_posix(), {})
        ran = set().union(*(lines.get(line, ()) for line in mutant.statement()))
        return sorted(ran, key=lambda test: (self.sizes[test], test))[:at_most]


def _names(modules: list[Path]) -> re.Pattern:
    """What names the modules, or a public name of theirs."""
    public = {
        name
        for module in modules
        for name in re.findall(r"^(?:def|class) ([A-Za-z]\w{3,})", module.read_text(), re.M)
    }
    stems = {module.stem for module in modules} - {"__init__"}
    words = sorted(map(re.escape, public | stems)) or ["$^"]
    return re.compile(r"\b(?:" + "|".join(words) + r")\b")


def fate(mutant: Mutant, tests: list[str], seconds: float, cache: str) -> str:
    """What a copy with the mistake comes to: ``survived``, ``no verdict``, or the test that saw it.

    The limit is on seconds of the processor, so that a busy machine kills no mutant.
    """
    if not tests:
        return "survived"
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        skip = shutil.ignore_patterns(".git", "__pycache__", "runs", "*.egg-info", ".*cache")
        shutil.copytree(ROOT, copy, ignore=skip)
        (copy / mutant.module.relative_to(ROOT)).write_text(mutant.source())
        # Programs that the mistake leaves as they are come from the cache.
        environment = {
            **os.environ,
            "PYTHONPATH": str(copy),
            "PYTHONDONTWRITEBYTECODE": "1",
            "JAX_COMPILATION_CACHE_DIR": cache,
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        }
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-n", "0", "-p", "no:cacheprovider"]
        limit = ["sh", "-c", f'ulimit -t {seconds:.0f} && exec "$@"', "limit"]
        done = subprocess.run(
            [*limit, *command, *tests], cwd=copy, env=environment, capture_output=True, text=True
        )
    if done.returncode == 0:
        return "survived"
    seen = re.search(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.M)
    return seen[1] if seen else f"no verdict ({done.returncode})"


def main() -> int:
    """Draw, try, tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="*", help="default: all of jaxdl")
    parser.add_argument("--count", type=int, default=300, help="how many mistakes")
    parser.add_argument("--seed", type=int, default=0, help="which ones")
    parser.add_argument(
        "--seconds", type=float, default=300, help="of the processor for the tests of one"
    )
    parser.add_argument("--files", type=int, default=6, help="test files for one, at most")
    parser.add_argument("--covered", help="coverage's data with a context for each test")
    parser.add_argument("--tests", type=int, default=40, help="covering tests for one, at most")
    parser.add_argument("--allow", type=float, default=0.05, help="share that may survive")
    options = parser.parse_args()
    modules = [Path(m).resolve() for m in options.modules] or sorted((ROOT / "jaxdl").rglob("*.py"))
    pool = [m for path in modules if path.name != "__init__.py" for m in mutants(path)]
    chosen = random.Random(options.seed).sample(pool, min(options.count, len(pool)))
    print(f"{len(chosen)} of {len(pool)} mistakes in {len(modules)} modules", flush=True)
    covered = Covered(options.covered) if options.covered else None
    alive = unknown = 0
    with tempfile.TemporaryDirectory() as cache:
        for i, mutant in enumerate(chosen, 1):
            tests = covered.witnesses(mutant, options.tests) if covered else []
            tests = tests or witnesses(mutant.module, options.files)
            end = fate(mutant, tests, options.seconds, cache)
            alive += end == "survived"
            unknown += end.startswith("no verdict")
            print(f"{i} ({alive} alive, {unknown} unknown) {end}: {mutant}", flush=True)
    print(f"{alive} of {len(chosen)} survived, {unknown} without a verdict")
    return int(alive + unknown > options.allow * len(chosen))


if __name__ == "__main__":
    sys.exit(main())
