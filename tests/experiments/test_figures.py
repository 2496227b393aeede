"""The figures of the notes: their claims hold, and a claim that does not fails the run."""

import json
import signal

import jax
import matplotlib.figure
import matplotlib.image
import numpy as np
import pytest

from experiments.command import command
from experiments.figures import capacity, section1, section2, section3
from experiments.figures.__main__ import NAMES, Config, drawers, main, run
from experiments.figures.claims import claim

FIGURES = {**section1.FIGURES, **section2.FIGURES, **section3.FIGURES, **capacity.FIGURES}
CHEAP = [number for number in FIGURES if number not in (9, 10, 11)]


@pytest.fixture(autouse=True)
def float64(x64):
    """As the command sets it."""


@pytest.fixture
def run_command(monkeypatch):
    """The command in this process, what it sets put back; returns the exit code."""
    import warnings

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)

    def call(*arguments):
        with pytest.raises(SystemExit) as stop:
            command("figures", Config, run, list(arguments))
        return stop.value.code or 0

    yield call
    for number, handler in before.items():
        signal.signal(number, handler)
    jax.config.update("jax_enable_x64", False)


def test_there_is_one_for_each_number():
    assert sorted(drawers()) == sorted(NAMES) == sorted(Config().only)
    assert NAMES[:15] == tuple(map(str, range(1, 16)))


@pytest.mark.parametrize("number", CHEAP)
def test_claims_hold(number):
    figure, claims = FIGURES[number](jax.random.fold_in(jax.random.key(0), number))
    assert isinstance(figure, matplotlib.figure.Figure) and figure.axes
    assert claims and all(c.measured for c in claims)
    assert [c.text for c in claims if not c.holds] == []
    json.dumps([c._asdict() for c in claims])


def test_claims_of_the_classifiers_hold_for_fewer_degrees(monkeypatch):
    monkeypatch.setattr(capacity, "DEGREES", (1, 3, 5, 13))
    monkeypatch.setattr(capacity, "SIDE", 40)
    (grows,) = capacity.figure_9(jax.random.fold_in(jax.random.key(0), 9))[1]
    assert grows.holds
    descent, interior, *_ = capacity.figure_10(jax.random.fold_in(jax.random.key(0), 10))[1]
    assert descent.holds and interior.holds and interior.measured["best"] == 5


@pytest.mark.slow
@pytest.mark.parametrize("number", [9, 10, 11])
def test_claims_of_the_classifiers_hold(number):
    data_key = jax.random.fold_in(jax.random.key(0), 9 if number == 11 else number)
    _, claims = FIGURES[number](data_key)
    assert claims and all(c.holds for c in claims)


def test_borders_are_counted_in_sides_of_the_square():
    classes = np.zeros((10, 10), int)
    classes[:, 5:] = 1
    assert capacity._border(classes) == 1
    classes[5:] = 2
    assert capacity._border(classes) == 1.5


def test_files_and_the_report(tmp_path, capsys):
    out = tmp_path / "deep" / "figures"
    claims = main(Config(only=("6", "2", "6", "vanishing"), out=str(out)))
    assert sorted(p.name for p in out.iterdir()) == [
        "claims.json",
        "figure_02.png",
        "figure_06.png",
        "figure_vanishing.png",
    ]
    assert matplotlib.image.imread(out / "figure_06.png").std() > 0.05  # something is drawn
    report = json.loads((out / "claims.json").read_text())
    assert list(report) == ["2", "6", "vanishing"] and all(report[n]["holds"] for n in report)
    assert report["6"]["claims"][0]["measured"] == {"drawn": 40}
    assert [len(claims[n]) for n in ("2", "6")] == [3, 3]
    assert "figure  6: 3 of 3 claims hold" in capsys.readouterr().out


def test_a_claim_that_fails_fails_the_run(run_command, tmp_path, monkeypatch, capsys):
    figure = FIGURES[2](jax.random.key(0))[0]
    broken = lambda key: (figure, [claim("one is two", 1 == 2, one=1)])
    broken.__doc__ = "Broken."
    monkeypatch.setitem(section1.FIGURES, 2, broken)
    assert run_command("--only", "2", "--out", str(tmp_path)) == 1
    assert capsys.readouterr().err == "figure 2: it does not hold that one is two\n"
    assert json.loads((tmp_path / "claims.json").read_text())["2"]["holds"] is False


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "20"], "only takes figures 1 to 19, vanishing, skips"),
        (["--only", "one", "deep"], "not deep, one"),
        (["--seed", "-1"], "seed must be between"),
    ],
)
def test_bad_options_are_one_line(run_command, arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_command(*arguments) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1
    assert not list(tmp_path.iterdir())
