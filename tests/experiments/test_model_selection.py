"""The main job from end to end at a tiny size, and its manners."""

import csv
import html
import json
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
import tiny_run
from scipy import stats
from sklearn.datasets import load_iris
from sklearn.metrics import balanced_accuracy_score, f1_score
from tiny_run import ROOT, call, tiny

from experiments import model_selection, tabular
from experiments.command import command, write_whole, written_whole


@pytest.fixture(scope="module")
def iris_run(tmp_path_factory):
    return tiny_run.iris(tmp_path_factory)


def read(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def report(folder):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    return json.loads((folder / "report.json").read_text(), parse_constant=refuse)


@pytest.mark.smoke
def test_iris_is_learned(iris_run):
    figures = iris_run.figures
    assert figures["test_accuracy"] > 0.85
    assert figures["validation_nll"] < 0.5
    assert figures["LogisticRegression_accuracy"] > 0.85
    assert figures["test_nll"] < 0.5 < np.log(3)
    right = round(figures["test_accuracy"] * 38)
    interval = stats.binomtest(right, 38).proportion_ci(method="wilson")
    np.testing.assert_allclose(
        [figures["test_low"], figures["test_high"]], [interval.low, interval.high], atol=1e-6
    )


def test_everything_is_written(iris_run):
    assert sorted(p.name for p in iris_run.folder.iterdir()) == [
        "confusion_matrix.png",
        "curves.csv",
        "learning_curves.png",
        "model.npz",
        "report.html",
        "report.json",
        "results.csv",
        "validation_curve_learning_rate.png",
    ]
    for picture in iris_run.folder.glob("*.png"):
        assert picture.read_bytes().startswith(b"\x89PNG"), picture


def test_choice_follows_from_the_results(iris_run):
    rows = read(iris_run.folder / "results.csv")
    assert len(rows) == 2 * 2 * 1 * 2 * 2  # settings, folds, seeds, parts, metrics
    valid = [r for r in rows if r["part"] == "validation" and r["metric"] == "nll"]
    mean = {s: np.mean([float(r["value"]) for r in valid if r["setting"] == s]) for s in ("0", "1")}
    written = report(iris_run.folder)
    best = written["choice"]["mean"]
    assert best["metric"] == "nll" and best["mean"] == pytest.approx(min(mean.values()), abs=1e-6)
    assert best["index"] == int(min(mean, key=mean.get))
    assert written["trained"] == [best["hparams"]]
    for s, setting in enumerate(written["settings"]):
        assert setting["nll"]["mean"] == pytest.approx(mean[str(s)], abs=1e-6)


def test_curves_end_at_the_results(iris_run):
    last = {
        (r["setting"], r["fold"], r["part"], r["metric"]): r["value"]
        for r in read(iris_run.folder / "curves.csv")
        if r["epoch"] == "20" and r["metric"] != "loss"
    }
    rows = read(iris_run.folder / "results.csv")
    assert len(last) == len(rows)
    for r in rows:
        assert last[r["setting"], r["fold"], r["part"], r["metric"]] == r["value"]


def test_report_holds_together(iris_run):
    written = report(iris_run.folder)
    counts = np.array(written["confusion_matrix"])
    ours = written["test"]["this study"]
    assert counts.sum() == written["data"]["test_rows"] == 38
    assert ours["accuracy"] == np.trace(counts) / 38 == iris_run.figures["test_accuracy"]
    assert np.ptp(counts.sum(1)) <= 2  # stratified
    assert written["data"]["train_rows"] == 112
    assert written["data"]["classes"] == ["setosa", "versicolor", "virginica"]
    assert written["study"]["programs"] == 1 and written["complete"] is True
    assert written["config"]["learning_rates"] == [0.01, 0.3]
    assert 0 < written["seconds"]["run"] < written["seconds"]["total"]


def test_the_page_says_what_the_test_part_tells(iris_run):
    page = (iris_run.folder / "report.html").read_text(encoding="utf-8")
    written = report(iris_run.folder)
    assert f'<p class="headline">{html.escape(written["verdict"])}</p>' in page
    cells = re.findall(r'<span class="heat[^>]*>([^<]*)', page)
    counts = np.array([int(c.replace("·", "0")) for c in cells]).reshape(3, 3)
    np.testing.assert_array_equal(counts, written["confusion_matrix"])
    for rival in written["paired"].values():
        assert f'<td class="number">{rival["better_by"]:.3g}</td>' in page
    assert "not come to its test part" not in page
    assert "rows that were set aside" in page


def test_the_test_part_is_looked_at_once(iris_run):
    assert len(iris_run.looks) == 1


@pytest.fixture
def table(tmp_path):
    """A regression file whose response is far from 0 and wide, with a category and holes."""
    rng = np.random.default_rng(0)
    x, kind = rng.normal(size=(160, 2)), rng.integers(0, 2, 160)
    y = 5000 + 300 * x[:, 0] - 200 * kind + 20 * rng.normal(size=160)
    cells = [
        [f"{a:.6f}", f"{b:.6f}", "rs"[k], f"{v:.3f}"]
        for (a, b), k, v in zip(x, kind, y, strict=True)
    ]
    for row in cells[::20]:
        row[1] = ""
    cells = [[str(i + 1), *row] for i, row in enumerate(cells)]
    path = tmp_path / "table.csv"
    path.write_text("\n".join(map(",".join, [["", "a", "b", "kind", "y"], *cells])) + "\n")
    return path


def test_regression_in_the_units_of_the_response(table, tmp_path, capsys):
    config = tiny(
        tmp_path / "out", data=str(table), epochs=60, ensemble=2, networks=2,
        baselines=("HistGradientBoosting", "RidgeCV"),
    )  # fmt: skip
    figures = model_selection.main(config)
    said = capsys.readouterr().out
    assert "left out: counts the rows" in said and "column 1 has no name" in said
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    rows = re.findall(r'<th scope="row">line (\d+)</th><td class="number">([^<]*)', page)
    lines = table.read_text().splitlines()
    assert len(rows) == 20 and "Residuals" in page and "Confusion" not in page
    for line, response in rows:  # counted from 1, the header too
        said = float(lines[int(line) - 1].split(",")[-1])
        assert float(response.replace(",", "")) == pytest.approx(said, rel=1e-3)
    columns = {c["name"]: c for c in report(tmp_path / "out")["columns"]}
    assert [c["as"] for c in columns.values()] == ["identifier", "number", "number", "category"]
    assert columns["b"]["missing"] == 8 and "a column that tells" in columns["b"]["becomes"]
    assert figures["test_r2"] > 0.95
    assert figures["RidgeCV_rmse"] == pytest.approx(20, rel=0.4)
    assert figures["test_rmse"] < 2 * figures["RidgeCV_rmse"]
    assert figures["test_low"] < figures["test_rmse"] < figures["test_high"]
    # The study's errors are in the unit of y as well: no squared ones anywhere.
    assert figures["validation_rmse"] == pytest.approx(figures["test_rmse"], rel=0.5)
    assert figures["test_mean_absolute_error"] < figures["test_rmse"]
    assert figures["HistGradientBoosting_rmse"] > figures["test_rmse"]
    assert figures["the mean_rmse"] == pytest.approx(320, rel=0.2)
    assert {r["metric"] for r in read(tmp_path / "out" / "results.csv")} == {"rmse", "nll"}
    assert not (tmp_path / "out" / "confusion_matrix.png").exists()
    # Two settings of two networks each; that of a setting differ by their initialisation alone.
    trained = report(tmp_path / "out")["trained"]
    assert [trained.count(h) for h in trained] == [2, 2, 2, 2]
    fitted, problem = tabular.load_model(tmp_path / "out" / "model.npz")
    assert problem.offset == pytest.approx(4900, rel=0.02) and 250 < problem.scale < 400
    x, y = tabular.rows_to_predict(str(table), problem)[:2]
    assert np.sqrt(np.mean((fitted.predict(x) - y) ** 2)) < 2 * figures["test_rmse"]


def test_counts(tmp_path):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(200, 2))
    y = rng.poisson(np.exp(2 + 0.5 * x[:, 0]))
    np.savez(tmp_path / "counts.npz", x=x, y=y)
    config = tiny(
        tmp_path / "out", data=str(tmp_path / "counts.npz"), task="count",
        baselines=("PoissonRegressor",),
    )  # fmt: skip
    figures = model_selection.main(config)
    assert list(report(tmp_path / "out")["test"])[2:] == ["PoissonRegressor"]
    assert report(tmp_path / "out")["study"]["metric"] == "nll"
    truth = -stats.poisson.logpmf(y, np.exp(2 + 0.5 * x[:, 0])).mean()
    assert figures["test_nll"] == pytest.approx(truth, rel=0.15)
    assert figures["test_nll"] < figures["PoissonRegressor_nll"] + 0.1
    assert 0.5 < figures["test_deviance_explained"] < 1


@pytest.mark.slow
def test_extended_grids_go_on_where_the_choice_is(tmp_path, capsys):
    """Rates far too low: each time ten times as large, and no setting is trained twice."""
    config = tiny(
        tmp_path / "out", data="iris", learning_rates=(1e-6, 1e-5, 1e-4), extend=True, epochs=10
    )
    model_selection.main(config)
    written = report(tmp_path / "out")
    rates = [h["hparams"]["learning_rate"] for h in written["settings"]]
    np.testing.assert_allclose(rates, [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1], rtol=1e-6)
    out = capsys.readouterr().out
    assert out.count("is the largest that was tried: ") == 3
    assert "learning_rate=0.0001 is the largest that was tried: 0.001 is tried too" in out
    assert len(written["study"]["notes"]) == 4
    assert "warning: learning_rate=0.1 is the largest that was tried; --extend goes on" in out
    # The same settings given at once.
    again = tiny(tmp_path / "again", data="iris", learning_rates=tuple(rates), epochs=10)
    model_selection.main(again)
    for one, other in zip(written["settings"], report(tmp_path / "again")["settings"], strict=True):
        assert one["nll"] == pytest.approx(other["nll"], rel=1e-5)


@pytest.fixture(scope="module")
def rare_run(tmp_path_factory):
    """Five in a hundred are positive, and hard to tell: accuracy is of no use here."""
    folder = tmp_path_factory.mktemp("rare")
    rng = np.random.default_rng(2)
    y = np.where(np.arange(400) % 20 == 0, "yes", "no")
    x = rng.normal(size=(400, 2)) + 1.5 * (y == "yes")[:, None]
    rows = [f"{a:.5f},{b:.5f},{label}" for (a, b), label in zip(x, y, strict=True)]
    (folder / "rare.csv").write_text("\n".join(["a,b,ill", *rows]) + "\n")
    looks = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("builtins.print", lambda *a, **_: looks.append(" ".join(map(str, a))))
        config = tiny(folder / "out", data=str(folder / "rare.csv"), epochs=40,
                      metric="balanced_accuracy", class_weight="balanced", baselines=("none",))  # fmt: skip
        figures = model_selection.main(config)
    return folder / "out", figures, looks


def test_a_rare_class_is_judged_by_more_than_accuracy(rare_run):
    folder, figures, lines = rare_run
    assert figures["the class frequencies_accuracy"] == 0.95
    assert figures["the class frequencies_balanced_accuracy"] == 0.5
    assert figures["test_balanced_accuracy"] > 0.7 > figures["test_average_precision"]
    assert figures["test_roc_auc"] > 0.8
    assert figures["validation_balanced_accuracy"] > 0.6
    said = "\n".join(lines)
    assert "95.0% of the rows are 'no', so accuracy says little" in said
    assert "(average_precision is of 'yes')" in said
    assert "verdict: worth using: balanced_accuracy" in said
    assert report(folder)["verdict"].startswith("worth using: balanced_accuracy")
    stages = [line.split("] ")[1] for line in lines if line.startswith("[")]
    assert stages == [
        "study of 2 settings", "tables and pictures of the study",
        "the choice is trained on all folds together", "test",
    ]  # fmt: skip


def test_a_metric_of_whole_folds_is_that_of_scikit_learn(rare_run):
    """Recomputed from the confusion matrix that the report holds."""
    counts = np.array(report(rare_run[0])["confusion_matrix"])
    truth = np.repeat([0, 0, 1, 1], counts.ravel())
    given = np.repeat([0, 1, 0, 1], counts.ravel())
    ours = report(rare_run[0])["test"]["this study"]
    assert ours["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(truth, given))
    assert ours["macro_f1"] == pytest.approx(f1_score(truth, given, average="macro"))


def test_groups_from_the_split_to_the_verdict(tmp_path, capsys):
    """Answers are of persons; a column of their own tells them apart, if they are known."""
    rng = np.random.default_rng(3)
    who = np.repeat(np.arange(40), 5)
    ill = who % 2
    mark = rng.normal(size=40)[who]  # by which a person is known again
    rows = [
        f"{w},{m:.4f},{rng.normal():.4f},{'ny'[k]}" for w, m, k in zip(who, mark, ill, strict=True)
    ]
    (tmp_path / "t.csv").write_text("\n".join(["person,mark,b,ill", *rows]) + "\n")
    options = {"data": str(tmp_path / "t.csv"), "epochs": 3}
    model_selection.main(tiny(tmp_path / "out", groups="person", folds=None, **options))
    said = capsys.readouterr().out
    written = report(tmp_path / "out")
    assert "rows of one 'person' stay together: 40 groups" in said
    assert "left out: it tells which rows belong together; --as person=number" in said
    assert "with 95 % intervals by 10 whole groups" in said
    assert "the test part has 10 whole groups only: accuracy may" in written["warnings"][-1]
    assert written["split"]["by"] == "groups" and written["split"]["column"] == "person"
    assert written["data"]["test_rows"] == 50 and written["study"]["folds"] == 5
    low, high = written["test"]["this study"]["interval_95"]
    by = written["paired"]["the class frequencies"]["better_by"]
    accuracies = [test["accuracy"] for test in written["test"].values()]
    assert by == pytest.approx(accuracies[0] - accuracies[1])
    assert high - low > 0.3  # of 10 persons; of 50 rows on their own it would be 0.27 at most
    model_selection.main(tiny(tmp_path / "out", **options))
    assert "warning: 50 of 50 test rows share their 'person'" in capsys.readouterr().out
    assert report(tmp_path / "out")["warnings"][0].endswith("--groups 'person' keeps them apart")


def test_time_from_the_split_to_the_verdict(tmp_path, capsys):
    rng = np.random.default_rng(4)
    days = np.datetime64("2023-01-30") + np.arange(120)
    x = rng.normal(size=120)
    y = np.cumsum(rng.normal(size=120)) + 3 * x
    rows = [f"{d},{a:.4f},{v:.4f}" for d, a, v in zip(days, x, y, strict=True)]
    (tmp_path / "t.csv").write_text("\n".join(["day,a,y", *rows]) + "\n")
    config = tiny(
        tmp_path / "out", data=str(tmp_path / "t.csv"), time="day", folds=3,
        baselines=("RidgeCV",), baseline_seconds=0,
    )  # fmt: skip
    model_selection.main(config)
    said, written = capsys.readouterr().out, report(tmp_path / "out")
    assert "the latest 30 rows by 'day' are held out, and the folds go forward" in said
    assert "by 5 blocks of time" in said
    assert written["split"]["by"] == "time" and written["study"]["folds"] == 3
    becomes = {c["name"]: c["becomes"] for c in written["columns"]}
    assert becomes["day"] == "weekday"
    assert written["complete"] is True
    assert written["verdict"].endswith("; RidgeCV could not be compared")
    assert any(line.startswith("left out: RidgeCV;") for line in written["warnings"])


def test_a_run_that_is_stopped_keeps_its_study(tmp_path, monkeypatch):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("jaxdl.model_selection.refit", stopped)
    with pytest.raises(KeyboardInterrupt):
        model_selection.main(tiny(tmp_path / "out", data="iris"))
    names = {p.name for p in (tmp_path / "out").iterdir()}
    assert {"results.csv", "curves.csv", "learning_curves.png", "report.json"} <= names
    assert "model.npz" not in names
    assert "not come to its test part" in (tmp_path / "out" / "report.html").read_text()
    written = report(tmp_path / "out")
    assert written["complete"] is False and "test" not in written
    assert written["choice"]["mean"]["metric"] == "nll"


def config(**options):
    return model_selection.Config(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": ("64-",)}, "hidden layers are widths such as 64"),
        ({"hidden": ()}, "hidden needs at least one"),
        ({"learning_rates": (float("nan"),)}, "learning_rates must be positive"),
        ({"weight_decays": (-1.0,)}, "weight_decays must be 0 or more"),
        ({"dropouts": (1.0,)}, r"dropouts must be in \[0, 1\)"),
        ({"networks": 0}, "networks must be at least 1"),
        ({"networks": 100, "ensemble": 3}, "300 networks together, of which at most 256"),
        ({"baselines": ()}, "baselines needs at least one"),
        ({"baselines": ("MLPClassifer",)}, "did you mean 'MLPClassifier'"),
        (
            {"baselines": ("RidgeCV",)},
            "baselines is one of LogisticRegression, MLPClassifier, Hist",
        ),
        ({"baselines": ("none", "MLPClassifier")}, "baselines is one of .* not 'none'"),
        ({"log_target": "yes"}, "log_target=yes is for regression .* this is to classify"),
        ({"test_fraction": 1.0}, "test_fraction must lie between"),
        ({"folds": 1}, "folds must be at least 2"),
        ({"groups": "a", "time": "b"}, "by groups or by time, not both"),
        ({"groups": "a"}, "iris has no column for groups; a file may"),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"seed": -1}, "seed must be between"),
        ({"metric": "f1"}, "metric is one of accuracy, balanced_accuracy, macro_f1, nll here"),
        ({"metric": "roc_auc"}, "metric is one of .* not 'roc_auc'"),
        ({"data": "diabetes", "class_weight": "balanced"}, "class_weight is for classes"),
        ({"baseline_seconds": float("nan")}, "baseline_seconds must be 0 or more"),
        ({"ensemble": 40}, "an ensemble of 40 needs as many settings"),
        ({"data": "nothing.csv"}, "nothing.csv: no such file, and none of the data sets digits"),
        ({"target": "petal"}, "the target of iris is 'class'"),
        ({"task": "regress"}, "the task of iris is classify"),
    ],
)
def test_wrong_settings_stop_before_the_study(options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        model_selection.main(config(**{"data": "iris", "out": str(tmp_path / "out"), **options}))
    assert not list(tmp_path.iterdir())


def test_hostile_file_gives_one_line(tmp_path):
    (tmp_path / "ragged.csv").write_text("a,b\n1,2\n3\n")
    with call("--data", "ragged.csv", "--out", "out", cwd=tmp_path) as process:
        stdout, stderr = process.communicate()
    assert process.returncode == 2
    assert stderr == "model_selection: ragged.csv: line 3 has 1 fields, the header has 2\n"
    assert stdout == ""
    assert [p.name for p in tmp_path.iterdir()] == ["ragged.csv"]


def test_help_needs_no_jax():
    code = (
        "import sys; sys.argv = ['x', '--help']\n"
        "from experiments.model_selection import *\n"
        "try: command('model_selection', Config, run)\n"
        "finally: assert not {'jax', 'sklearn', 'matplotlib'} & set(sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert out.returncode == 0, out.stderr
    assert "--learning-rates" in out.stdout


def test_interrupt_leaves_nothing(tmp_path):
    with call("--epochs", "1000", "--no-progress", cwd=tmp_path) as process:
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=120)
    assert first.startswith("digits: 1797 rows")
    assert process.returncode == 130
    assert stderr == "model_selection: interrupted\n"
    assert not list(tmp_path.iterdir())


@pytest.fixture
def in_process(monkeypatch):
    """Call ``command`` here and undo what it changes; returns the exit code."""
    import warnings

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)

    def run(main, *arguments, config=model_selection.Config):
        with pytest.raises(SystemExit) as stop:
            command("model_selection", config, main, list(arguments))
        return stop.value.code or 0

    yield run
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--foo"], "Unrecognized options: --foo; see --help"),
        (["--task", "guess"], "invalid choice 'guess' for argument '--task'"),
        (["--folds", "many"], "'many'"),
        (["--folds", "1"], "folds must be at least 2, not 1"),
    ],
)
def test_wrong_options_give_one_line(arguments, message, in_process, capsys):
    assert in_process(model_selection.check, *arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and message in err
    assert err.startswith("model_selection: ") and err.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ValueError("two\nlines \x1b[31m"), 2, "two lines \\x1b[31m"),
        (OSError(28, "No space left on device", "a/b"), 2, "a/b: No space left on device"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_errors_become_one_line(error, code, line, in_process, capsys):
    def fail(_):
        raise error

    assert in_process(fail) == code
    assert capsys.readouterr().err == f"model_selection: {line}\n"


def test_our_own_mistakes_keep_their_traceback():
    with pytest.raises(ZeroDivisionError):
        command("model_selection", model_selection.Config, lambda _: 1 / 0, [])


def test_folder_is_replaced_file_by_file(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "mine").write_text("stays")
    (folder / "a").write_text("old")
    with written_whole(folder) as scratch:
        (scratch / "a").write_text("new")
        (scratch / "b").write_text("more")
        assert (folder / "a").read_text() == "old"
    assert {p.name: p.read_text() for p in folder.iterdir()} == {
        "a": "new", "b": "more", "mine": "stays",
    }  # fmt: skip


def test_a_folder_in_the_way_of_a_file_replaces_nothing(tmp_path):
    """Not even the files that come before it."""
    folder = tmp_path / "out"
    (folder / "b").mkdir(parents=True)
    (folder / "a").write_text("old")
    with pytest.raises(OSError, match=r"is a folder in the way: .*out/b"):
        with written_whole(folder) as scratch:
            for name in "abc":
                (scratch / name).write_text("new")
    assert sorted(p.name for p in folder.iterdir()) == ["a", "b"]
    assert (folder / "a").read_text() == "old" and not list((folder / "b").iterdir())


def test_failure_leaves_the_folder_as_it_was(tmp_path):
    folder = tmp_path / "new" / "out"
    with pytest.raises(KeyboardInterrupt), written_whole(folder) as scratch:
        (scratch / "a").write_text("half")
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    below = tmp_path / "file" / "out"
    for folder, why in ((tmp_path / "file", "is not a folder"), (below, "cannot be written")):
        with pytest.raises(OSError, match=why):
            with written_whole(folder):
                pytest.fail("the block must not run")
    with pytest.raises(OSError, match="is a folder"):
        write_whole(tmp_path, "text")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_response_constants_by_hand():
    y = np.array([1.0, 3.0, 5.0, 7.0])
    iris = tabular.load_dataset("iris")
    real = tabular.describe(iris._replace(task="regress", target_names=None), y)
    assert (real.offset, real.scale) == (4.0, np.sqrt(5.0))
    logs = np.log([1.0, 3.0, 5.0, 7.0])  # their mean is that of log 105 / 4
    assert real.log == pytest.approx([np.log(105) / 4, np.std(logs)])
    assert tabular.describe(iris._replace(task="regress", target_names=None), y - 1).log is None
    counts = tabular.describe(iris._replace(task="count", target_names=None), y)
    assert (counts.offset, counts.scale) == (pytest.approx(np.log(16.5 / 4)), 1.0)
    classes = tabular.describe(iris, load_iris().target)
    assert (classes.offset, classes.scale) == (0.0, 1.0)


@pytest.fixture(scope="module")
def skewed_run(tmp_path_factory):
    """A target whose logarithm is linear in x, with noise: 0.5 around it."""
    folder = tmp_path_factory.mktemp("skewed")
    rng = np.random.default_rng(3)
    x = rng.normal(size=(400, 2))
    y = np.exp(7 + x[:, 0] + 0.5 * rng.normal(size=400))
    np.savez(folder / "skewed.npz", x=x, y=y)
    config = tiny(
        folder / "out", data=str(folder / "skewed.npz"), epochs=60, learning_rates=(0.03, 0.1),
        networks=2,
    )  # fmt: skip
    lines = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("builtins.print", lambda *a, **_: lines.append(" ".join(map(str, a))))
        model_selection.main(config)
    return folder, x, "\n".join(lines)


def test_a_skewed_target_is_modelled_by_its_logarithm(skewed_run):
    folder, x, said = skewed_run
    written = report(folder / "out")
    assert "the target is positive and skewed (skewness" in said
    assert any("skewness" in note for note in written["study"]["notes"])
    assert written["choice"]["mean"]["hparams"]["log_target"] == 1.0
    # The densities of both are of y: the right one has the entropy of a log-normal, 7 + ..., the
    # other that of a normal distribution of some thousands' spread at the least.
    nll = {h["hparams"]["log_target"]: h["nll"]["mean"] for h in written["settings"]}
    truth = 7 + x[:, 0].mean() + stats.norm(scale=0.5).entropy()
    assert nll[1.0] == pytest.approx(truth, abs=0.15)
    assert nll[0.0] > truth + 0.3


def test_a_saved_logarithm_gives_the_mean(skewed_run):
    """exp(mu + 1/8), which is above the median exp(mu), in the unit of y."""
    folder, x, _ = skewed_run
    fitted, problem = tabular.load_model(folder / "out" / "model.npz")
    assert problem.log == pytest.approx([7, np.sqrt(1.25)], rel=0.1)
    out = np.asarray(fitted.predict(x.astype(np.float32)))
    ratio = np.exp(7 + x[:, 0] + 0.125) / out
    middle = np.abs(x).max(1) < 1
    np.testing.assert_allclose(ratio[middle], 1, atol=0.15)
    assert abs(np.log(ratio[middle]).mean()) < 0.06  # half of what the median would be off


def test_what_columns_are_said_to_be(tmp_path):
    (tmp_path / "c.json").write_text('{"a": "text", "b": "date"}')
    options = config(columns=str(tmp_path / "c.json"), as_=("b=number", "x=y=truth"), ignore=("c",))
    assert model_selection.kinds(options) == {
        "a": "text", "b": "number", "x=y": "truth", "c": "ignored",
    }  # fmt: skip
    for text in ("[]", '{"a": 1}', "{"):
        (tmp_path / "c.json").write_text(text)
        with pytest.raises(ValueError, match=r"c\.json: "):
            model_selection.kinds(options)
    with pytest.raises(ValueError, match="--as takes column=kind, such as zip=category, not 'zip'"):
        model_selection.kinds(config(as_=("zip",)))
    with pytest.raises(ValueError, match="the columns of iris are numbers"):
        tabular.load_dataset("iris", kinds={"a": "text"})


def test_a_command_line_says_what_columns_are():
    from experiments.command import parse

    options = parse(
        "model_selection", model_selection.Config, ["--as", "a=text", "b=date", "--ignore", "c"]
    )
    assert (options.as_, options.ignore) == (("a=text", "b=date"), ("c",))
