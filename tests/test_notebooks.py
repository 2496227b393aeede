"""The course's notebooks run from top to bottom at a small size, and are committed without output.

Each runs in a kernel and a directory of its own. Its settings cell is rewritten, its own ``assert``
lines hold, and a last cell hands numbers back, which are checked here by other means.
"""

import ast
import base64
import json
import os
import re
from importlib.metadata import version
from pathlib import Path

import nbformat
import numpy as np
import pytest
from scipy.signal import correlate

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "colab").glob("*.ipynb"))
SMOKE = "01_univariate_models"
FIGURES = {
    "00_start": 1,
    "01_univariate_models": 6,
    "02_vector_inputs_and_outputs": 6,
    "03_model_selection": 10,
    "04_deep_networks": 8,
    "05_training": 8,
    "06_convolutional_networks": 5,
    "07_sequence_models": 4,
    "08_transformers": 4,
    "09_generative_models": 5,
    "recipes": 0,
}
SMALL = {
    "00_start": {
        "test_share": 0.25,
        "folds": 2,
        "seeds": 1,
        "rates": [0.003, 0.01],
        "penalties": [0.001],
        "dropouts": [0.0],
        "widths": [0, 8],
        "epochs": 8,
        "batch_size": 32,
        "networks": 2,
    },
    "01_univariate_models": {"points": 60, "samples": 64, "grid_points": 40, "epochs": 5},
    "02_vector_inputs_and_outputs": {
        "points": 60,
        "max_degree": 8,
        "descent_steps": 40,
        "grid_side": 20,
        "epochs": 4,
    },
    "03_model_selection": {
        "points": 80,
        "degrees": [1.0, 5.0],
        "degree_epochs": 100,
        "folds": 3,
        "seeds": 2,
        "epochs": 4,
        "batch_size": 32,
        "rates": [0.01, 0.03],
        "dropouts": [0.0],
        "widths": [16],
        "sizes": (0.2, 1.0),
        "grid_side": 10,
    },
    "04_deep_networks": {
        "points": 60,
        "toy_steps": 300,
        "grid_side": 10,
        "layers_deep": 8,
        "width_deep": 16,
        "depths": [1.0, 2.0],
        "rate": 0.003,
        "folds": 2,
        "epochs": 2,
        "batch_size": 64,
        "hidden_units": [1.0, 6.0],
        "curve_steps": 400,
        "curve_seeds": 3,
        "dropout_samples": 10,
    },
    "05_training": {
        "batch_sizes": [1, 16],
        "draws": 200,
        "valley_steps": 60,
        "width": 16,
        "epochs": 30,
        "patience": 3,
        "batch_size": 128,
        "rates": [0.003, 0.01, 0.03],
        "decays": [0.0],
        "folds": 2,
        "study_epochs": 6,
        "cycles": 2,
        "members": 3,
    },
    "06_convolutional_networks": {
        "models_compared": ["cnn"],
        "filters": (3, 4),
        "width": 8,
        "shifts": [0.5],
        "epochs": 2,
        "batch_size": 128,
        "folds": 2,
        "members": 2,
    },
    "07_sequence_models": {
        "length": 12,
        "scales": [0.5, 2.0],
        "hidden": 8,
        "positions": 6,
        "examples": 100,
        "epochs": 2,
        "batch_size": 50,
        "rate": 0.01,
        "cells": ["simple", "lstm"],
    },
    "08_transformers": {
        "length": 4,
        "examples": 640,
        "epochs": 2,
        "features": 8,
        "heads": 2,
        "rate": 0.01,
        "reviews": 400,
        "longest": 30,
        "text_epochs": 20,
        "rates": [0.003, 0.01],
        "dropouts": [0.0],
        "labelled": 60,
        "folds": 2,
        "study_epochs": 2,
    },
    "09_generative_models": {
        "latent": 2,
        "width": 8,
        "vae_epochs": 2,
        "points": 300,
        "steps": 20,
        "noise_steps": 20,
        "latents": [1, 2],
        "penalties": [0.1, 1.0],
        "folds": 2,
        "study_epochs": 1,
    },
    "recipes": {"epochs": 2, "batch_size": 64, "folds": 2, "width": 4},
}
NUMBERS = {
    "00_start": {
        "y": "y",
        "right": "[hits for hits in right.values()]",
        "scores": "study.scores['nll']",
        "chosen": "best.index",
        "trained": "len(chosen.states)",
        "rows": "[len(split.train), len(split.test)]",
        "looks": "guard.looks",
        "verdicts": "list(verdicts)",
        "constant": "answers['the most frequent class']",
        "labels": "rest[1]",
    },
    "01_univariate_models": {"w": "w_star", "x": "sample.x", "y": "sample.y"},
    "02_vector_inputs_and_outputs": {
        "w": "newton.params['kernel']",
        "x": "labels.x",
        "y": "labels.y",
        "errors": "errors",
        "curve_x": "curve.x",
        "curve_y": "curve.y",
    },
    "03_model_selection": {
        "scores": "study.scores['accuracy']",
        "chosen": "best.index",
        "counts": "counts",
        "labels": "y",
        "looks": "guard.looks",
        "programs": "[study.num_programs, degree_study.num_programs]",
        "table": "study._repr_html_()",
    },
    "04_deep_networks": {
        **{f"kernel_{i}": f"params['dense_{i}']['kernel']" for i in range(3)},
        **{f"offset_{i}": f"params['dense_{i}']['bias']" for i in range(3)},
        "x": "x[0]",
        "jacobian": "reverse",
        "norms": "norms['ReLU, He']",
        "programs": "[study.num_programs, widths.num_programs]",
        "drawn": "drawn",
        "entropy": "maps['predictive entropy']",
    },
    "05_training": {
        "noise": "noise",
        "valley": "descend(ways['momentum'], start, valley_steps)",
        "steps": "[half.steps, resumed.steps]",
        "difference": "difference",
        "curve": "history.validation['nll']",
        "stopping": "[history.best_epoch, history.stopped]",
        "trained": "[study.epochs.sum() for study in studies.values()]",
        "regret": "list(regret.values())",
        "members": "opinions['deep ensemble']",
        "y": "y",
        "sizes": "curves['deep ensemble']",
        "error": "error",
    },
    "06_convolutional_networks": {
        "image": "x[0]",
        "kernel": "first['kernel']",
        "bias": "first['bias']",
        "maps": "layers.conv(first, x[0], padding='same')",
        "programs": "study.num_programs",
        "p": "p",
        "right": "right",
        "y": "y_test",
        "looks": "guard.looks",
    },
    "07_sequence_models": {
        "input": "params['input']['kernel']",
        "recurrent": "params['recurrent']['kernel']",
        "values": "values",
        "last": "last",
        "slope": "autodiff.bptt_scalar(w, series, labels, h0=1.0)",
        "series": "series",
        "labels": "labels",
        "norms": "[norms['tanh, r = 0.5'], norms['identity, r = 2']]",
        "weights": "list(weights.values())",
        "totals": "totals",
        "curves": "list(curves.values())",
    },
    "08_transformers": {
        "query": "q",
        "keys": "keys",
        "values": "values",
        "attention": "layers.attend(q, keys, values)",
        "asked": "asked",
        "known": "known",
        **{
            f"{name}_map": f"multi[{name!r}]['kernel']" for name in ("query", "key", "value", "out")
        },
        "output": "output",
        "turned": "list(turned.values())",
        "positions": "positions",
        "weights": "shown",
        "maps": "maps['source']",
        "lengths": "[given['source'].lengths[0], given['inputs'].lengths[0]]",
        "cached": "answers.tokens.values",
        "uncached": "uncached",
        "log_probs": "[answers.log_prob, beams.log_prob]",
        "learned": "fitted.history.validation['nll_per_step']",
        "nats": "nats",
        "said": "[samples[t].tokens.values for t in samples]",
        "programs": "study.num_programs",
        "scores": "study.scores['nll']",
    },
    "09_generative_models": {
        "train": "train",
        "test": "test",
        "errors": "[errors['autoencoder'], errors['PCA']]",
        "bounds": "[bound.mean(), likelihood.mean()]",
        "mass": "mass",
        "unseen": "unseen",
        "gan": "drawn['GAN']",
        "distance": "distances['GAN']",
        "programs": "[study.num_programs, games.num_programs]",
        "scores": "study.scores['bits_per_dim']",
        "chosen": "study.best().index",
        "refitted": "len(chosen.states)",
    },
    "recipes": {
        "programs": "[s.num_programs for s in (own_model, own_loss, own_metric, schedules, weighted)]",
        "params": "own_model.num_params",
        "top_two": "own_metric.scores['top_two']",
        "accuracy": "own_metric.scores['accuracy']",
        "focal": "focal(net, 2.0).loss(*net.init(jax.random.key(0)), (rows[0], y))[0]",
        "plain": "jax.nn.softmax(net.apply(*net.init(jax.random.key(0)), rows[0])[0])",
        "y": "y",
        "folds": "[len(valid) for _, valid in forward.folds]",
        "difference": "difference",
        "steps": "[int(resumed.steps), int(straight.steps)]",
        "kept": "kept",
        "flax": "[*flax_study.num_params, flax_study.num_programs]",
        "proposed": "found.study.hparams",
        "served": "answers",
        "apart": "apart",
        "processes": "processes.count",
    },
}


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def committed(request):
    return request.param


def test_the_start_has_ten_cells():
    notebook = nbformat.read(ROOT / "colab" / "00_start.ipynb", as_version=4)
    assert sum(cell.cell_type == "code" for cell in notebook.cells) == 10


def test_each_section_has_a_notebook_and_each_notebook_a_small_size():
    assert [path.stem for path in NOTEBOOKS] == list(SMALL) == list(FIGURES) == list(NUMBERS)


def test_notebooks_are_committed_without_traces_of_a_run(committed):
    notebook = nbformat.read(committed, as_version=4)
    nbformat.validate(notebook)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    assert notebook.metadata == {"kernelspec": kernel}
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids) and all(re.fullmatch(r"[a-z0-9-]+", i) for i in ids)
    for cell in notebook.cells:
        assert cell.metadata == {} and "attachments" not in cell
        if cell.cell_type == "code":
            assert cell.outputs == [] and cell.execution_count is None


def _cell(notebook, name):
    (cell,) = (cell for cell in notebook.cells if cell.get("id") == name)
    return cell


def _shrink(cell, values):
    """Replace the settings' values; each name must be assigned exactly once."""
    for name, value in values.items():
        cell.source, count = re.subn(
            rf"^{name} = .*$", f"{name} = {value!r}", cell.source, flags=re.MULTILINE
        )
        assert count == 1, f"{count} lines set {name!r}"


# What pip would be told, had jaxdl not been importable: nothing is installed.
INSTALL_ELSEWHERE = """\
pip_calls, _find_spec = [], importlib.util.find_spec
get_ipython().register_magic_function(pip_calls.append, "line", "pip")
importlib.util.find_spec = lambda name: None if name == "jaxdl" else _find_spec(name)
try:
    get_ipython().run_cell({source!r}).raise_error()
finally:
    importlib.util.find_spec = _find_spec
"""
HAND_BACK = """\
import json, os
import numpy
print(json.dumps({{
    "pid": os.getpid(), "pip": pip_calls, "jaxdl": jaxdl_file,
    **{{k: v if isinstance(v, str) else numpy.asarray(v).tolist() for k, v in {numbers}.items()}},
}}))
"""


def _execute(path, directory):
    """Run a notebook in a fresh kernel; returns it with its outputs, and the numbers."""
    from nbclient import NotebookClient
    from nbformat.v4 import new_code_cell

    notebook = nbformat.read(path, as_version=4)
    install = _cell(notebook, "install").source
    _shrink(_cell(notebook, "settings"), SMALL[path.stem])
    numbers = "{" + ", ".join(f"{k!r}: {v}" for k, v in NUMBERS[path.stem].items()) + "}"
    notebook.cells += [
        new_code_cell("import jaxdl; jaxdl_file = jaxdl.__file__"),
        new_code_cell(INSTALL_ELSEWHERE.format(source=install)),
        new_code_cell(HAND_BACK.format(numbers=numbers)),
    ]
    work, home = directory / "work", directory / "home"
    work.mkdir()
    home.mkdir()
    environment = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "JAX_NUM_CPU_DEVICES": "1",
        "IPYTHONDIR": str(home),
        "JUPYTER_CONFIG_DIR": str(home),
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": str(ROOT),
        # By XLA's older emitters networks of images take minutes to compile.
        "XLA_FLAGS": os.environ["XLA_FLAGS"].replace("--xla_cpu_use_fusion_emitters=false", ""),
    }
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=600,  # of a cell that hangs, on a machine that is busy
        startup_timeout=60,
        resources={"metadata": {"path": str(work)}},
    )
    client.execute(env=environment)
    assert list(work.iterdir()) == []
    return notebook, json.loads(notebook.cells[-1].outputs[0].text)


def _alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _logistic_slope(w, x, y):
    """The derivative of the mean cross-entropy, for x [N] or [N, D]."""
    w, x, y = (np.asarray(a, float) for a in (w, x, y))
    return (1 / (1 + np.exp(-np.dot(x, w))) - y) @ x / len(y)


# These take minutes where cores are shared: most of it is compilation.
MARKS = {
    SMOKE: pytest.mark.smoke,
    "04_deep_networks": pytest.mark.slow,
    "05_training": pytest.mark.slow,
    "06_convolutional_networks": pytest.mark.slow,
    "07_sequence_models": pytest.mark.slow,
    "08_transformers": pytest.mark.slow,
    "09_generative_models": pytest.mark.slow,
    "recipes": pytest.mark.slow,
}


@pytest.mark.parametrize(
    "path",
    [pytest.param(p, marks=MARKS.get(p.stem, ())) for p in NOTEBOOKS],
    ids=lambda path: path.stem,
)
def test_notebooks_run_from_top_to_bottom(path, tmp_path):
    before = {p.name: p.stat().st_mtime_ns for p in path.parent.iterdir()}
    notebook, numbers = _execute(path, tmp_path)
    assert {p.name: p.stat().st_mtime_ns for p in path.parent.iterdir()} == before
    assert not _alive(numbers["pid"])
    assert Path(numbers["jaxdl"]).parent == ROOT / "jaxdl"

    assert _cell(notebook, "install").outputs == []
    (line,) = numbers["pip"]
    assert line.startswith('install -q "jaxdl[colab] @ file://') and "-U" not in line
    assert f"jax=={version('jax')}" in line and f"jaxlib=={version('jaxlib')}" in line

    outputs = [o for cell in notebook.cells for o in cell.get("outputs", [])]
    pictures = [o.data["image/png"] for o in outputs if "image/png" in o.get("data", {})]
    assert len(pictures) == FIGURES[path.stem]
    assert all(len(base64.b64decode(picture)) > 2000 for picture in pictures)
    complaints = [o.text for o in outputs if o.get("name") == "stderr"]
    assert complaints == []

    CHECKS[path.stem](numbers)


def _check_start(numbers):
    """The choice and the figures of the test by counting."""
    y, labels = np.array(numbers["y"]), np.array(numbers["labels"])
    scores = np.array(numbers["scores"])
    assert scores.shape == (4, 2, 1) and numbers["chosen"] == scores.mean((1, 2)).argmin()
    assert numbers["trained"] == 2 and numbers["looks"] == 1
    assert numbers["rows"] == [len(labels), len(y)] and sum(numbers["rows"]) == 569
    most = np.bincount(labels).argmax()
    assert set(numbers["constant"]) == {most} and len(numbers["verdicts"]) == 2
    ours, constant, linear = np.mean(numbers["right"], axis=1)
    assert constant == np.mean(y == most) and constant + 0.2 < min(ours, linear)


def _check_recipes(numbers):
    """The focal loss by its formula; what folds and settings must be."""
    assert numbers["programs"] == [1] * 5
    assert set(numbers["params"]) == {2 * (13 + 1) * 4 + (4 + 1) * 3}
    assert (np.array(numbers["top_two"]) >= np.array(numbers["accuracy"])).all()
    p = np.array(numbers["plain"])[np.arange(178), numbers["y"]]
    np.testing.assert_allclose(numbers["focal"], np.mean(-((1 - p) ** 2) * np.log(p)), rtol=1e-5)
    assert numbers["folds"] == [59, 59]  # of three blocks of 178 rows the first is trained on alone
    assert numbers["steps"] == [2 * 3] * 2 and numbers["difference"] == numbers["kept"] == 0
    # Two dense layers, and scale and offset of the normalised; one program for three rates.
    assert numbers["flax"] == [(13 + 1) * 4 + 2 * 4 + (4 + 1) * 3] * 3 + [1]
    rates = np.array([proposed["rate"] for proposed in numbers["proposed"]])
    octaves = np.sort(np.log10(rates) + 4) / 3  # eight points that fill [0, 1) evenly
    assert len(rates) == 8 and (np.diff(octaves, prepend=0, append=1) < 0.3).all()
    np.testing.assert_allclose(np.sum(numbers["served"], axis=1), 1, rtol=1e-5)
    assert numbers["apart"] < 1e-5
    assert numbers["processes"] == 1


def _check_univariate(numbers):
    slope = _logistic_slope(numbers["w"], numbers["x"], numbers["y"])
    assert abs(slope) < 1e-4


def _check_vectors(numbers):
    slope = _logistic_slope(numbers["w"], numbers["x"], numbers["y"])
    np.testing.assert_allclose(slope, 0, atol=1e-4)
    x, y = np.array(numbers["curve_x"]), np.array(numbers["curve_y"])
    for degree, error in enumerate(numbers["errors"], 1):
        residual = y - np.polynomial.Chebyshev.fit(x, y, degree)(x)
        np.testing.assert_allclose(error, np.sqrt(np.mean(residual**2)), rtol=1e-3)


def _check_selection(numbers):
    scores = np.array(numbers["scores"])
    assert scores.shape == (2, 3, 2)  # settings, folds, seeds
    assert numbers["chosen"] == scores.mean((1, 2)).argmax()
    assert numbers["looks"] == 1 and numbers["programs"] == [1, 1]
    counts = np.array(numbers["counts"])
    assert np.array_equal(counts.sum(1), np.bincount(numbers["labels"], minlength=10))
    assert numbers["table"].count("<tr>") == 1 + 2


def _check_networks(numbers):
    """The Jacobian by differences of the same network in NumPy, entropy from its definition."""
    kernels, offsets = (
        [np.array(numbers[f"{name}_{i}"]) for i in range(3)] for name in ("kernel", "offset")
    )

    def network(h):
        for kernel, offset in zip(kernels[:-1], offsets[:-1], strict=True):
            h = np.tanh(h @ kernel + offset)
        return h @ kernels[-1] + offsets[-1]

    x, step = np.array(numbers["x"]), 1e-5
    pairs = [(network(x + step * e), network(x - step * e)) for e in np.eye(len(x))]
    differences = np.stack([(up - down) / (2 * step) for up, down in pairs], axis=1)
    np.testing.assert_allclose(numbers["jacobian"], differences, atol=1e-5)
    assert len(numbers["norms"]) == 8 and numbers["programs"] == [1, 1]
    mean = np.array(numbers["drawn"]).mean(0)
    entropy = -np.sum(mean * np.log(np.maximum(mean, 1e-30)), axis=1)
    np.testing.assert_allclose(numbers["entropy"], entropy, atol=1e-5)


def _check_training(numbers):
    assert 3.2 < numbers["noise"][0] / numbers["noise"][1] < 4.8  # a batch 16 times as large
    z, v = np.array([-4.0, 1.0]), np.zeros(2)
    for place in numbers["valley"]:
        v = 0.8 * v + np.array([1.0, 30.0]) * z
        z = z - 0.03 * v
        np.testing.assert_allclose(place, z, atol=1e-4)
    assert numbers["steps"] == [15 * 9, 30 * 9] and numbers["difference"] == 0
    curve, (best, stopped) = np.array(numbers["curve"]), numbers["stopping"]
    assert len(curve) == 30 and best == curve.argmin() + 1 and stopped in (-1, best + 3)
    full, early, halved = numbers["trained"]
    assert full == 3 * 2 * 6 and early <= full and halved < full
    assert numbers["regret"][0] == 0 <= min(numbers["regret"])
    p, y = np.array(numbers["members"]), np.array(numbers["y"])
    loss = lambda p: -np.log(p[np.arange(len(y)), y]).mean()
    ends = np.mean([loss(one) for one in p]), loss(p.mean(0))
    np.testing.assert_allclose([numbers["sizes"][0], numbers["sizes"][-1]], ends, rtol=1e-4)
    mean = p.mean(0)
    bins = np.ceil(mean.max(1) * 10)
    gaps = [np.sum((mean.argmax(1) == y)[bins == b] - mean.max(1)[bins == b]) for b in range(11)]
    np.testing.assert_allclose(numbers["error"], np.abs(gaps).sum() / len(y), atol=1e-3)


def _check_convolution(numbers):
    """The maps by SciPy, the score by counting."""
    image, kernel = np.array(numbers["image"])[..., 0], np.array(numbers["kernel"])[:, :, 0]
    for k, bias in enumerate(numbers["bias"]):
        expected = correlate(image, kernel[..., k], "same") + bias
        np.testing.assert_allclose(np.array(numbers["maps"])[..., k], expected, atol=1e-5)
    p = np.array(numbers["p"])
    np.testing.assert_allclose(p.sum(1), 1, atol=1e-5)
    assert numbers["right"] == np.sum(p.argmax(1) == numbers["y"])
    assert numbers["programs"] == 1 and numbers["looks"] == 1


def _check_sequences(numbers):
    """The states and the derivative by a NumPy loop, the latter by differences."""
    values = np.array(numbers["values"])
    for row, length in enumerate((5, 2)):
        h = np.zeros(3)
        for x in values[row, :length]:
            h = np.tanh(x @ np.array(numbers["input"]) + h @ np.array(numbers["recurrent"]))
        np.testing.assert_allclose(numbers["last"][row], h, atol=1e-5)
    series, labels = np.array(numbers["series"]), np.array(numbers["labels"])

    def loss(w1):
        h = np.ones(len(series))
        for x in series.T:
            h = np.tanh(0.8 * x + w1 * h)
        return np.mean(np.log1p(np.exp(1.3 * h)) - labels * 1.3 * h)

    difference = (loss(0.9 + 1e-5) - loss(0.9 - 1e-5)) / 2e-5
    np.testing.assert_allclose(numbers["slope"], difference, atol=1e-5)
    vanishing, exploding = np.array(numbers["norms"])
    assert vanishing[0] < 0.5**11 * vanishing[-1]
    np.testing.assert_allclose(exploding / exploding[-1], 2.0 ** np.arange(11, -1, -1), rtol=1e-3)
    assert numbers["weights"] == [28, 84, 112]
    np.testing.assert_allclose(numbers["totals"], 1, atol=1e-5)
    assert np.shape(numbers["curves"]) == (2, 2)


def _check_transformers(numbers):
    """Attention and positions by NumPy; what the masks hide; answers with and without a cache."""
    number = {name: np.array(value) for name, value in numbers.items() if name[0] != "p"}

    def attend(q, k, v):
        scores = np.exp(q @ k.T / np.sqrt(k.shape[1]))
        return scores / scores.sum(-1, keepdims=True) @ v

    expected = attend(*(number[name] for name in ("query", "keys", "values")))
    np.testing.assert_allclose(number["attention"], expected, atol=1e-5)
    asked, known, output = number["asked"], number["known"], 0
    for e in range(2):
        head = (number[f"{name}_map"][:, e] for name in ("query", "key", "value"))
        q, k, v = (x @ w for x, w in zip((asked, known, known), head, strict=True))
        output = output + attend(q, k, v) @ number["out_map"][e]
    np.testing.assert_allclose(number["output"], output, atol=1e-5)
    assert number["turned"][0] < 1e-5 < 0.1 < number["turned"][1]
    angles = np.arange(50)[:, None] / 10_000 ** (np.arange(0, 64, 2) / 64)
    positions = np.array(numbers["positions"])
    np.testing.assert_allclose(positions[:, ::2], np.sin(angles), atol=1e-5)
    np.testing.assert_allclose(positions[:, 1::2], np.cos(angles), atol=1e-5)

    plain, causal, padded, both = number["weights"]
    seen = np.tri(6) * (np.arange(6) < 4)
    for weights, mask in ((causal, np.tri(6)), (padded, np.arange(6) < 4), (both, seen)):
        expected = plain * mask / np.sum(plain * mask, axis=1, keepdims=True)
        np.testing.assert_allclose(weights, expected, atol=1e-5)
    read, _ = number["lengths"]
    assert number["maps"].shape == (1, 1, 2, 5, 4) and (number["maps"][..., read:] == 0).all()
    np.testing.assert_allclose(number["maps"].sum(-1), 1, atol=1e-5)

    same = (number["cached"] == number["uncached"]).all(1)
    assert same.mean() > 0.99
    greedy, beams = number["log_probs"].mean(1)
    assert beams >= greedy
    first, last = number["learned"]
    assert last < first and numbers["nats"] < np.log(28)  # letters, the blank and the full stop
    assert number["said"].shape == (2, 5, 31)
    assert numbers["programs"] == 1 and number["scores"].shape == (2, 2, 1)


def _check_generative(numbers):
    """Principal components by scikit-learn, an energy distance by SciPy, a mass and a choice."""
    from scipy.spatial.distance import cdist
    from sklearn.decomposition import PCA

    train, test = np.array(numbers["train"]), np.array(numbers["test"])
    pca = PCA(2).fit(train)
    least = np.mean((pca.inverse_transform(pca.transform(test)) - test) ** 2)
    assert numbers["errors"][1] == pytest.approx(least, rel=1e-3)
    assert numbers["errors"][0] > least  # it has hardly begun
    assert numbers["bounds"][0] < numbers["bounds"][1]
    assert numbers["mass"] == pytest.approx(1, abs=0.03)
    x, y = np.array(numbers["unseen"]), np.array(numbers["gan"])
    assert x.shape == y.shape == (1000, 2)
    energy = 2 * cdist(x, y).mean() - cdist(x, x).mean() - cdist(y, y).mean()
    assert numbers["distance"] == pytest.approx(energy, rel=1e-3)
    scores = np.array(numbers["scores"])
    assert scores.shape == (2, 2, 1) and numbers["chosen"] == scores.mean((1, 2)).argmin()
    assert numbers["programs"] == [2, 1] and numbers["refitted"] == 1


CHECKS = {
    "00_start": _check_start,
    "01_univariate_models": _check_univariate,
    "02_vector_inputs_and_outputs": _check_vectors,
    "03_model_selection": _check_selection,
    "04_deep_networks": _check_networks,
    "05_training": _check_training,
    "06_convolutional_networks": _check_convolution,
    "07_sequence_models": _check_sequences,
    "08_transformers": _check_transformers,
    "09_generative_models": _check_generative,
    "recipes": _check_recipes,
}


def test_settings_are_plain_assignments(committed):
    source = _cell(nbformat.read(committed, as_version=4), "settings").source
    names = []
    for statement in ast.parse(source).body:
        assert isinstance(statement, ast.Assign)
        ast.literal_eval(statement.value)
        names.append(statement.targets[0].id)
    assert set(SMALL[committed.stem]) == set(names)
