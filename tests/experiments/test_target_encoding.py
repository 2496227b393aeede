"""The main job with a category as mean targets and numbers by quartiles, and its saved model."""

import json

import numpy as np
import pytest
from test_predict import change, edited
from tiny_run import tiny

from experiments import baselines, model_selection, predict, tabular

CLASSES = ["hi", "lo", "mid"]
EFFECT = np.random.default_rng(1).normal(size=40)  # of towns, in no order


def rows(n, seed):
    rng = np.random.default_rng(seed)
    town, far = rng.integers(0, 40, n), np.exp(3 * rng.normal(size=n))
    score = EFFECT[town] + 0.1 * rng.normal(size=n)
    classes = np.where(score > 0.5, "hi", np.where(score < -0.5, "lo", "mid"))
    return [f"T{t},{f:.4g},{c}" for t, f, c in zip(town, far, classes, strict=True)]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("towns")
    (folder / "towns.csv").write_text("\n".join(["town,far,kind", *rows(400, 0)]))
    config = tiny(
        folder / "out", data=str(folder / "towns.csv"), as_=("town=target",), numbers="robust",
        learning_rates=(0.1,), baselines=("LogisticRegression",),
    )  # fmt: skip
    return folder, model_selection.main(config)


def test_towns_are_told_apart_by_their_targets(run):
    """They have 10 rows each, and the code of a town says nothing; the commonest class has 0.4."""
    folder, figures = run
    assert figures["test_accuracy"] > 0.75 and figures["LogisticRegression_accuracy"] > 0.75
    written = json.loads((folder / "out" / "report.json").read_text())
    town, far = written["columns"]
    assert "what the target is on average for each of 40 values" in town["becomes"]
    assert "interquartile ranges from the median" in far["said"]
    assert written["config"]["numbers"] == "robust"


def test_the_saved_model_encodes_and_scales_as_in_training(run, tmp_path):
    """Softmax regression on two mean targets and a clipped number, in NumPy."""
    folder, _ = run
    fitted, problem = tabular.load_model(folder / "out" / "model.npz")
    assert problem.numbers == "robust" and tabular.num_inputs(problem) == 3
    (folder / "new.csv").write_text("far,town\n" + "1.5,T3\n1e9,nowhere\n")
    new = tabular.rows_to_predict(str(folder / "new.csv"), problem)
    params = json.loads(json.dumps(problem.encoding))["columns"][0]["values"]
    with np.load(folder / "out" / "model.npz") as file:
        arrays = {k: file[k] for k in file.files if k != "__header__"}
    pick = lambda end: next(v for k, v in arrays.items() if end in k)
    value, median, span = pick("'value'"), pick("'median'"), pick("'range'")
    codes = [params.index("T3"), 40]  # the last is of towns that were not there
    x = np.concatenate([[[1.5], [1e9]], value[0, codes]], axis=1)
    z = (x - median) / (64.0 * span)
    z = z / np.sqrt(1 + (z / 3) ** 2)
    eta = z @ pick("kernel") + pick("bias")
    wanted = np.exp(eta) / np.exp(eta).sum(1, keepdims=True)
    np.testing.assert_allclose(fitted.predict(new.x), wanted, atol=1e-5)
    assert new.notes == (
        "line 3, column 'town': 'nowhere' is no value of the training; it counts as the mean of all",
    )
    with pytest.raises(ValueError, match="'nowhere' is no value of the training"):
        tabular.rows_to_predict(str(folder / "new.csv"), problem, strict=True)


TOWN = ("about", "problem", "encoding", "columns", 0)
CHANGES = {
    "another scaling": (change("about", "problem", "numbers", value="best"), "its encoding makes"),
    "a scaling less": (change("about", "problem", "numbers", value="standard"), "do not match"),
    "values twice": (change(*TOWN, "values", value=["a", "a"]), "not an encoding of a table"),
    "no values": (change(*TOWN, "values", value=[]), "not an encoding of a table"),
    "very many": (change(*TOWN, "values", value=[*map(str, range(20000))]), "not an encoding"),
    "fewer": (
        change(*TOWN, "values", value=["a", "b"]),
        r"float32\[1, 41, 2\], not float32\[1, 3, 2\]",
    ),
    "a kind": (change(*TOWN, "as", value="category"), "not an encoding of a table"),
    "others": (change(*TOWN, "other", value=1), "not an encoding of a table"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_files_that_were_changed_are_refused_in_one_line(name, run, tmp_path):
    how, message = CHANGES[name]
    (tmp_path / "model.npz").write_bytes(edited(run[0] / "out" / "model.npz", how))
    with pytest.raises(ValueError, match=message) as error:
        predict.main(predict.Config(str(tmp_path), str(run[0] / "towns.csv")))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("task", ["regress", "count", "classify"])
def test_baselines_have_mean_targets_too(task):
    """By their codes alone towns cannot be told apart on a line."""
    rng = np.random.default_rng(0)
    town = rng.integers(0, 40, 800)
    x = np.stack([rng.normal(size=800), town], axis=1)
    y = EFFECT[town] + 0.1 * rng.normal(size=800)
    if task != "regress":
        y = (y > 0).astype(int) if task == "classify" else rng.poisson(np.exp(y))
    name = {"regress": "RidgeCV", "count": "PoissonRegressor", "classify": "LogisticRegression"}
    fit = lambda coded: baselines._fit(name[task], task, x[:600], y[:600], False, coded, 0)
    score = lambda model: model.score(x[600:], y[600:])
    assert score(fit([1])) > score(fit([])) + 0.2
