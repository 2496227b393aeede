"""The command ``jaxdl``: a screen of help, names that are found, and processes that are told who they are."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from experiments import __main__ as console

ROOT = Path(__file__).resolve().parents[2]
MODULES = {module for module, *_ in console.COMMANDS.values()} | {
    f"benchmarks.{name.replace('-', '_')}" for name in console.BENCHMARKS
}


def run(*arguments, code="from experiments.__main__ import main; main()"):
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True
    )


def test_help_fits_a_screen_and_names_everything():
    lines = console.usage().splitlines()
    assert len(lines) <= 24 and max(map(len, lines)) <= 80
    text = console.usage()
    assert all(name in text for name in (*console.COMMANDS, *console.BENCHMARKS))


def test_every_command_of_the_experiments_has_a_name_and_no_other():
    calls = re.compile(r"^    command\(\s*\"([\w.]+)\"", re.MULTILINE)
    files = [*ROOT.glob("experiments/*.py"), *ROOT.glob("experiments/*/*.py")]
    called = {name for file in files for name in calls.findall(file.read_text(encoding="utf-8"))}
    assert called - {"notes_index"} == MODULES  # the index is of the repository, not of a wheel
    assert all(importlib.util.find_spec(f"experiments.{name}") for name in MODULES)


def test_help_and_wrong_names_need_no_jax():
    code = (
        "import sys; from experiments.__main__ import main\n"
        "try: main()\n"
        "finally: assert not {'jax', 'numpy', 'tyro', 'sklearn'} & set(sys.modules)"
    )
    out = run("--help", code=code)
    assert (out.returncode, out.stderr) == (0, "") and out.stdout.startswith("usage: jaxdl COMMAND")
    out = run("stduy", "x.csv", code=code)
    wrong = "jaxdl: there is no command 'stduy'; the nearest is 'study'; see jaxdl --help\n"
    assert (out.returncode, out.stdout, out.stderr) == (2, "", wrong)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["benchmark"], "benchmark wants a name: .*tables"),
        (["benchmark", "--only"], "benchmark wants a name"),
        (["benchmark", "tabels"], "no benchmark 'tabels'; the nearest is 'tables'"),
        (["toy_sequence"], "the nearest is 'toy-sequences'"),
        (["--versoin"], "no command '--versoin'"),
    ],
)
def test_wrong_names_are_told_the_nearest(arguments, message):
    with pytest.raises(ValueError, match=message):
        console.found(arguments)


def test_the_table_of_a_study_may_stand_first():
    data = ["--data", "a.csv", "--target", "y"]
    assert console.found(["study", "a.csv", "--target", "y"])[2] == data
    assert console.found(["study", *data])[2] == data
    assert console.found(["predict", "run", "a.csv"])[2] == ["run", "a.csv"]


@pytest.mark.smoke
def test_a_command_speaks_by_the_name_that_was_typed():
    out = run("predict")
    assert (out.returncode, out.stdout) == (2, "")
    assert re.fullmatch("jaxdl predict: .*; see --help\n", out.stderr)
    out = run("predict", "--help")
    assert out.returncode == 0 and "usage: jaxdl predict" in out.stdout
    out = run(
        "predict",
        "--help",
        code="import runpy; runpy.run_module('experiments.predict', run_name='__main__')",
    )
    assert "usage: python -m experiments.predict" in out.stdout
