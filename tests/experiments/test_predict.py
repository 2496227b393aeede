"""A saved model predicts what the model in memory does, and a broken one says so in a line."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import warnings

import jax
import numpy as np
import pytest
import tiny_run
from sklearn.datasets import load_iris
from tiny_run import ROOT, call

from experiments import command as command_module
from experiments import partition, predict, tabular
from experiments.command import command
from jaxdl.data import load

NAMES = ["setosa", "versicolor", "virginica"]


@pytest.fixture(scope="module")
def iris_run(tmp_path_factory):
    return tiny_run.iris(tmp_path_factory)


@pytest.fixture
def iris_csv(tmp_path):
    """The features of iris, columns in another order, without the response."""
    bunch = load_iris()
    path = tmp_path / "iris.csv"
    order = [2, 0, 3, 1]
    np.savetxt(
        path, bunch.data[:, order], fmt="%.17g", delimiter=",", comments="",
        header=",".join(bunch.feature_names[i] for i in order),
    )  # fmt: skip
    return path


def rows(text):
    lines = [line.split(",") for line in text.splitlines()]
    assert lines[0] == ["class", *(f"P({n})" for n in NAMES)]
    return [line[0] for line in lines[1:]], np.array([line[1:] for line in lines[1:]], float)


def test_predictions_equal_the_refitted_model(iris_run, iris_csv, tmp_path, capsys):
    out = tmp_path / "predictions.csv"
    figures = predict.main(predict.Config(str(iris_run.folder), str(iris_csv), str(out)))
    assert figures["rows"] == 150 and "accuracy" not in figures  # there are no responses
    labels, shares = rows(out.read_text())
    expected = np.asarray(iris_run.fitted.predict(load_iris().data.astype(np.float32)))
    np.testing.assert_allclose(shares, expected, atol=6e-7)  # six digits are written
    assert labels == [NAMES[k] for k in expected.argmax(1)]
    assert np.mean(np.array(labels) == np.array(NAMES)[load_iris().target]) > 0.85
    assert capsys.readouterr().out == ""


def test_predictions_by_hand(iris_run):
    """Softmax regression on standardised features from the file's arrays, in NumPy."""
    with np.load(iris_run.folder / "model.npz") as file:
        arrays = {k: file[k] for k in file.files if k != "__header__"}
    pick = lambda end: next(v for k, v in arrays.items() if end in k)
    x = load_iris().data
    z = (x - pick("'mean'")) / pick("'scale'")
    eta = z @ pick(".params['dense_0']['kernel']") + pick(".params['dense_0']['bias']")
    expected = np.exp(eta) / np.exp(eta).sum(1, keepdims=True)
    fitted, _ = tabular.load_model(iris_run.folder / "model.npz")
    np.testing.assert_allclose(fitted.predict(x.astype(np.float32)), expected, atol=1e-5)


def test_embedded_data_are_scored_on_standard_output(iris_run, capsys):
    figures = predict.main(predict.Config(str(iris_run.folder / "model.npz"), "iris"))
    out, err = capsys.readouterr()
    labels, _ = rows(out)
    right = np.mean(np.array(labels) == np.array(NAMES)[load_iris().target])
    split = splits_of_the_run(iris_run)
    x = load_iris().data.astype(np.float32)
    seen = np.array([any(np.array_equal(row, other) for other in x[split.train]) for row in x])
    unseen = np.mean((np.array(labels) == np.array(NAMES)[load_iris().target])[~seen])
    assert figures == {
        "rows": 150, "accuracy": pytest.approx(right), "in_training": seen.sum(),
        "unseen_accuracy": pytest.approx(unseen),
    }  # fmt: skip
    assert seen.sum() == len(split.train) == 112  # rows that are alike stay together
    said = f"{seen.sum()} of the 150 rows were in the model's training: what it says of"
    assert err.startswith(said) and f"rows 150, accuracy {right:.4g}, in_training" in err


def splits_of_the_run(iris_run):
    key = jax.random.split(jax.random.key(0), 4)[0]
    return partition.divide(load("iris"), 0.25, key).split


def test_rows_are_known_by_their_features(tmp_path, iris_run):
    path = iris_run.folder / "model.npz"
    x = load_iris().data.astype(np.float32)[splits_of_the_run(iris_run).train]
    assert tabular.in_training(path, x).all()
    assert not tabular.in_training(path, x + np.float32(1e-3)).any()
    # Not-a-numbers are alike, whatever their bits, and so are both zeros.
    odd = np.array([[0xFFC00001, 0x80000000]], np.uint32).view(np.float32)
    tabular.save_model(tmp_path / "m.npz", iris_run.fitted, tabular.load_model(path)[1], odd)
    np.testing.assert_array_equal(
        tabular.in_training(tmp_path / "m.npz", np.float32([[np.nan, 0.0], [0.0, np.nan]])),
        [True, False],
    )


def edited(path, change):
    """The model's file with its JSON header changed."""
    with np.load(path) as file:
        arrays = {k: file[k] for k in file.files}
    header = json.loads(str(arrays.pop("__header__")))
    change(header)
    out = io.BytesIO()
    np.savez(out, __header__=np.array(json.dumps(header)), **arrays)
    return out.getvalue()


def change(*keys, value):
    def apply(header):
        for key in keys[:-1]:
            header = header[key]
        if value is None:
            del header[keys[-1]]
        else:
            header[keys[-1]] = value

    return apply


PROBLEM = ("about", "problem")
NO_FILE = "not a saved jaxdl model, or a damaged one"
DAMAGE = {  # what is written in the place of the model, and what is said of it
    "empty": (lambda path: b"", NO_FILE),
    "text": (lambda path: b"a,b\n1,2\n", NO_FILE),
    "cut short": (lambda path: path.read_bytes()[:-200], NO_FILE),
    "cut in half": (lambda path: path.read_bytes()[: path.stat().st_size // 2], NO_FILE),
}
CHANGES = {  # what is changed in its header, and what is said of it
    "no problem": (change(*PROBLEM, value=None), "'problem'"),
    "no settings": (change("hparams", value=[]), "arrays that do not match"),
    "wrong settings": (change("hparams", 0, "weight_decay", value="x"), "a setting is no number"),
    "no rate": (change("hparams", 0, "learning_rate", value=None), "its settings are others"),
    "all drop out": (change("hparams", 0, "dropout", value=1.0), "a setting makes no sense"),
    "a logarithm of classes": (
        change("hparams", 0, "log_target", value=1.0),
        "its settings are others",
    ),
    "logarithms of classes": (change(*PROBLEM, "log", value=[0.0, 1.0]), "its logarithm makes no"),
    "no offset": (change(*PROBLEM, "offset", value=None), "'offset'"),
    "other widths": (change("hparams", 0, "hidden", value="7"), "arrays that do not match"),
    "huge widths": (
        change("hparams", 0, "hidden", value="99999-99999"),
        "arrays that do not match",
    ),
    "fewer classes": (
        change(*PROBLEM, "target_names", value=["a"]),
        r"float32\[3\], not float32\[1\]",
    ),
    "wrong task": (change(*PROBLEM, "task", value="dream"), "its task makes no sense"),
    "no scale": (change(*PROBLEM, "scale", value=0.0), "its scale makes no sense"),
    "names are numbers": (change(*PROBLEM, "feature_names", value=[1]), "its names are no texts"),
    "3000 layers": (
        change("hparams", 0, "hidden", value="-".join(["9"] * 3000)),
        "hidden layers are widths such as",
    ),
    "many settings": (change("hparams", value=[{}] * 99), "its settings are others"),
    "60000 categories": (
        change(
            *PROBLEM,
            "encoding",
            "columns",
            0,
            value={
                "name": "a",
                "as": "category",
                "values": [*map(str, range(60000))],
                "other": False,
                "rare": [],
                "missing": False,
            },
        ),
        "not an encoding of a table",
    ),
    "another encoding": (
        change(*PROBLEM, "encoding", "columns", 0, "missing", value=True),
        "its encoding is of other features",
    ),
    "no number format": (
        change(*PROBLEM, "encoding", "columns", 0, "format", value=[".", "x", "", ""]),
        "not an encoding of a table",
    ),
    "names are a number": (change(*PROBLEM, "feature_names", value=3), "its names are no lists"),
}
DAMAGE |= {
    name: (lambda path, how=how: edited(path, how), message)
    for name, (how, message) in CHANGES.items()
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_models_are_refused_in_one_line(damage, iris_run, tmp_path):
    path, (content, message) = tmp_path / "model.npz", DAMAGE[damage]
    path.write_bytes(content(iris_run.folder / "model.npz"))
    with pytest.raises(ValueError, match=message) as error:
        predict.main(predict.Config(str(tmp_path), "iris"))
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "no column 'sepal length"),
        ("", "the file is empty"),
        (",".join(load_iris().feature_names) + "\n1,2,3,x\n", "'x' is not a number"),
        (",".join(load_iris().feature_names) + "\n1,2,3,\n", "missing or non-finite"),
    ],
)
def test_wrong_tables_are_refused(text, message, iris_run, tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        predict.main(predict.Config(str(iris_run.folder), str(path), str(tmp_path / "out.csv")))
    assert [p.name for p in tmp_path.iterdir()] == ["table.csv"]


@pytest.mark.parametrize(
    ("file", "message"),
    [("wine", "wine: not the columns of iris"), ("nothing.csv", "nothing.csv: no such file")],
)
def test_other_data_are_refused(file, message, iris_run):
    with pytest.raises(ValueError, match=message):
        predict.main(predict.Config(str(iris_run.folder), file))


def test_what_the_training_had_not_is_said_or_refused(iris_run, iris_csv, tmp_path, capsys):
    lines = iris_csv.read_text().splitlines()
    more = [f"{line};{'extra' if i == 0 else i}".replace(",", ";") for i, line in enumerate(lines)]
    path, out = tmp_path / "more.csv", tmp_path / "out.csv"
    path.write_text("\n".join(more))
    predict.main(predict.Config(str(iris_run.folder), str(iris_csv), str(out)))
    expected = out.read_text()
    predict.main(predict.Config(str(iris_run.folder), str(path), str(out)))
    assert out.read_text() == expected  # the other dialect and the further column change nothing
    said = "columns that the training had not are not used: 'extra'"
    assert said in capsys.readouterr().err.splitlines()
    with pytest.raises(ValueError, match=said):
        predict.main(predict.Config(str(iris_run.folder), str(path), str(out), strict=True))


def test_rows_without_a_response_have_no_score(iris_run, tmp_path):
    x, y = load_iris(return_X_y=True)
    lines = [f"{a},{b},{c},{d},{NAMES[k]}" for (a, b, c, d), k in zip(x[:60], y, strict=False)]
    lines[3], lines[4] = lines[3].rsplit(",", 1)[0] + ",", lines[4].rsplit(",", 1)[0] + ",rose"
    path = tmp_path / "some.csv"
    path.write_text("\n".join([",".join([*load_iris().feature_names, "class"]), *lines]))
    figures = predict.main(predict.Config(str(iris_run.folder), str(path), str(tmp_path / "o.csv")))
    labels, _ = rows((tmp_path / "o.csv").read_text())
    right = [label == NAMES[k] for label, k in zip(labels, y, strict=False)]
    assert figures["accuracy"] == pytest.approx((sum(right) - right[3] - right[4]) / 58)


def test_command_line(iris_run, tmp_path):
    with call(iris_run.folder, "iris", "--out", tmp_path / "p.csv", module="predict") as process:
        assert process.communicate()[0] == ""
    assert process.returncode == 0
    assert len(rows((tmp_path / "p.csv").read_text())[0]) == 150
    closed = ["sh", "-c", 'exec "$0" -m experiments.predict "$@" >&-', sys.executable]
    done = subprocess.run(
        [*closed, iris_run.folder, "iris"], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == "predict: standard output: Bad file descriptor\n"


def test_a_folder_without_a_model(tmp_path):
    with pytest.raises(ValueError, match=f"{tmp_path}/model.npz: there is no such file"):
        predict.main(predict.Config(str(tmp_path), "iris"))


@pytest.fixture
def as_it_was(monkeypatch):
    """What a command changes of its process."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only some systems have /dev/full")
def test_a_full_disk_is_one_line(iris_run, capsys, monkeypatch, as_it_was):
    """Whatever Python does with what is left for standard output."""
    full = open("/dev/full", "w")
    with monkeypatch.context() as patch:
        patch.setattr("sys.stdout", full)
        patch.setattr(command_module, "_write_no_more", lambda: None)
        for arguments in ([], ["--out", "/dev/full"]):
            with pytest.raises(SystemExit) as stop:
                command(
                    "predict", predict.Config, predict.main,
                    [str(iris_run.folder), "iris", *arguments],
                )  # fmt: skip
            assert stop.value.code == 2
    with contextlib.suppress(OSError):
        full.close()
    where = "predict: standard output: No space left on device"
    assert capsys.readouterr().err.splitlines() == [where, "predict: No space left on device"]
