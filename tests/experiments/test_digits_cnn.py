"""digits_cnn from end to end at a tiny size, on its own digits and on IDX files."""

import csv
import json
import struct

import numpy as np
import pytest

from experiments import digits_cnn
from experiments.digits_cnn import Config, candidates, draw, load, main, show
from jaxdl.data import load as load_dataset

TINY = {
    "epochs": 3, "filters": (4, 4), "folds": 2, "folded_members": 1, "members": 1,
    "learning_rate": 0.01, "models": ("cnn",), "progress": False,
}  # fmt: skip


def write_idx(path, array):
    array = np.asarray(array, np.uint8)
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    path.write_bytes(header + array.tobytes())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Our digits as MNIST's four files."""
    path = tmp_path_factory.mktemp("idx")
    digits = load_dataset("digits")
    images = (digits.x.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    for part, rows in (("train", slice(0, 600)), ("t10k", slice(600, 700))):
        write_idx(path / f"{part}-images-idx3-ubyte", images[rows])
        write_idx(path / f"{part}-labels-idx1-ubyte", digits.y[rows])
    return path


@pytest.fixture(scope="module")
def run(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "digits"
    return main(Config(**TINY, data=str(folder), rows=500, out=str(out))), out


@pytest.mark.slow
def test_it_learns_and_writes(run):
    figures, out = run
    names = {p.name for p in out.iterdir()}
    assert {"report.json", "table.csv", "model.npz", "networks.png", "filters.png"} < names
    assert json.loads((out / "report.json").read_text()) == figures
    assert figures["test_accuracy"] > 0.5 and figures["test_rows"] == 100
    rows = list(csv.DictReader((out / "table.csv").read_text().splitlines()))
    assert [row["name"] for row in rows] == ["CNN", "CNN + shifts", "CNNs"]
    least = min(rows, key=lambda row: float(row["nll"]))
    assert figures["chosen"] == least["name"]


@pytest.mark.slow
def test_the_saved_model_reads_images_again(run, folder, capsys):
    figures, out = run
    file = str(folder / "t10k-images-idx3-ubyte")
    assert main(Config(out=str(out), predict=file)) == {"rows": 100}
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    labels = load_dataset("digits").y[600:700]
    right = np.mean([int(row["class"]) == y for row, y in zip(rows, labels, strict=True)])
    assert right == pytest.approx(figures["test_accuracy"])
    assert sum(float(v) for k, v in rows[0].items() if k != "class") == pytest.approx(1, abs=1e-4)
    with pytest.raises(ValueError, match=r"images of \[8, 8, 1\] are expected"):
        np.save(out / "large.npy", np.zeros((2, 9, 9)))
        main(Config(out=str(out), predict=str(out / "large.npy")))


def test_the_split_is_the_one_of_deep_digits():
    from sklearn.model_selection import train_test_split

    (x, y), (x_test, y_test), name, greatest = load(Config())
    digits = load_dataset("digits")
    expected = train_test_split(digits.x, digits.y, random_state=0)
    assert (len(x), len(x_test), name, greatest) == (1347, 450, "digits", 16)
    np.testing.assert_allclose(x_test.reshape(450, 64) * 16, expected[1])
    np.testing.assert_array_equal(y, expected[2])
    np.testing.assert_array_equal(y_test, expected[3])


def test_averages_by_hand():
    """Two classes; the rows of the CNNs are right about the first image, the others about none."""
    y = np.array([0, 1])
    p = np.full((len(digits_cnn.ROWS), 2, 2, 2), 0.5)
    p[:, :, :, 0], p[:, :, :, 1] = 0.4, 0.6
    p[2, :, 0] = [0.9, 0.1]
    p[3, 0, 0] = [0.7, 0.3]
    table = {row["name"]: row for row in candidates(list(digits_cnn.ROWS), p, y)}
    assert table["MLP"]["wrong"] == 1 and table["CNN"]["wrong"] == 0
    np.testing.assert_allclose(table["CNN"]["nll"], -np.log([0.9, 0.6]).mean(), rtol=1e-6)
    both = (0.9 + 0.9 + 0.7 + 0.4) / 4
    np.testing.assert_allclose(table["CNNs"]["nll"], -np.log([both, 0.6]).mean(), rtol=1e-6)
    assert "CNN + shifts" in show(list(table.values()))
    (axes,) = draw(list(table.values())).axes
    assert len(axes.patches) == len(digits_cnn.ROWS) + len(digits_cnn.ENSEMBLES)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"filters": ()}, "filters are positive"),
        ({"models": ("svm",)}, "models are some of mlp, cnn, residual"),
        ({"learning_rate": -1.0}, "learning_rate must be positive"),
        ({"download": "mnist"}, "download needs a folder"),
        ({"seed": -1}, "seed must be between"),
    ],
)
def test_settings_that_make_no_sense(bad, message):
    with pytest.raises(ValueError, match=message):
        main(Config(**bad))
