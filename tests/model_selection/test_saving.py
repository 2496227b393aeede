"""What save writes load gives back, bit for bit; hostile files, and code that is not trusted."""

import dataclasses
import json
import struct
import sys
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from networks import classifier, three_classes
from tiny_study import assert_same

from experiments import tabular
from jaxdl import base, features
from jaxdl.data import Dataset
from jaxdl.data import load as load_dataset
from jaxdl.model_selection import Fitted, Study, cross_validate, load, refit, save, values
from jaxdl.training import EarlyStopping, FitResult, fit

X, Y = three_classes(30)
NAMED = Dataset(X, Y, ("a", "b", "c", "d"), ("red", "green", "blue"), "clusters", "classify", "colour")  # fmt: skip
FORMAT_1 = Path(__file__).parents[1] / "data" / "saved"


@pytest.fixture(scope="module")
def study():
    return cross_validate(
        classifier, {"rate": [0.01, 0.1], "width": [3]}, NAMED, key=jax.random.key(0), folds=2,
        epochs=2, transform=features.standardize(), keep=("predictions", "states", "train_scores"),
        early_stopping=EarlyStopping(5), metrics=["macro_f1"],
    )  # fmt: skip


@pytest.fixture(scope="module")
def fitted(study):
    return refit(study, NAMED, seeds=2)


def alike(one, other):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    jax.tree.map(np.testing.assert_array_equal, one, other)


@pytest.mark.smoke
def test_trained_models_come_back(fitted, tmp_path):
    path = tmp_path / "model.npz"
    save(path, fitted, make_transform=features.standardize)
    back = load(path, make_learner=classifier)
    assert isinstance(back, Fitted) and back.hparams == fitted.hparams
    assert (back.names, back.responses, back.causes, back.row) == (
        fitted.names, fitted.responses, fitted.causes, fitted.row)  # fmt: skip
    alike(back.states, fitted.states)
    np.testing.assert_array_equal(back.train_loss, fitted.train_loss)
    np.testing.assert_array_equal(back.predict(X), fitted.predict(X))
    assert [p.name for p in tmp_path.iterdir()] == ["model.npz"]
    assert load(path, trusted="networks").recipe.make_learner is classifier


def test_code_is_imported_only_if_it_is_trusted(fitted, tmp_path, monkeypatch):
    save(tmp_path / "a.npz", fitted)
    with pytest.raises(
        ValueError, match=r"make_learner is networks:classifier, which would be imp"
    ):
        load(tmp_path / "a.npz")
    with pytest.raises(ValueError, match="trained with a transform: pass transform="):
        load(tmp_path / "a.npz", make_learner=classifier)
    given = load(tmp_path / "a.npz", make_learner=classifier, transform=features.standardize())
    np.testing.assert_array_equal(given.predict(X), fitted.predict(X))
    ran = []
    module = types.ModuleType("networks_of_somebody")
    module.make = lambda: ran.append(1)
    monkeypatch.setitem(sys.modules, "networks_of_somebody", module)
    for path in (
        "networks_of_somebody:make",
        "os:getcwd",
        "jaxdl.features:..os",
        "jaxdl.features:x.y",
    ):
        edited(tmp_path / "a.npz", tmp_path / "b.npz", recipe={"make_transform": path})
        with pytest.raises(ValueError, match="transform"):
            load(tmp_path / "b.npz", make_learner=classifier)
    edited(tmp_path / "a.npz", tmp_path / "b.npz", recipe={"make_transform": "jaxdl.features.transforms:jax.clear_caches"})  # fmt: skip
    with pytest.raises(ValueError, match="a function of another module"):
        load(tmp_path / "b.npz", make_learner=classifier)
    assert not ran


def edited(path, to, **about):
    """A file whose header says something else."""
    with np.load(path) as file:
        arrays = dict(file)
    header = json.loads(arrays["__header__"].item())
    for name, value in about.items():
        old = header["about"].get(name)
        merged = {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
        header["about"][name] = merged
    np.savez(to, **{**arrays, "__header__": np.array(json.dumps(header))})


def test_studies_come_back(study, tmp_path):
    save(tmp_path / "study.npz", study, make_transform=features.standardize)
    back = load(tmp_path / "study.npz", make_learner=classifier)
    assert isinstance(back, Study)
    assert_same(back, study)
    assert back.hparams == study.hparams and type(back.hparams[0]["width"]) is int
    assert back.best("macro_f1") == study.best("macro_f1") and back.directions == {"macro_f1": True}
    assert str(back) == str(study)
    same = lambda recipe: (recipe.lengths, recipe.batch_size, recipe.early_stopping)
    assert same(back.recipe) == same(study.recipe)
    assert jax.random.key_data(back.recipe.key).tolist() == jax.random.key_data(study.recipe.key).tolist()  # fmt: skip
    numbers = load(tmp_path / "study.npz")
    assert numbers.states is None and str(numbers) == str(study)
    with pytest.raises(ValueError, match=r"without its make_learner: load\(path, make_learner="):
        refit(numbers, NAMED)


def test_a_study_that_came_back_trains_the_same_models(study, fitted, tmp_path):
    save(tmp_path / "study.npz", study, make_transform=features.standardize)
    again = refit(load(tmp_path / "study.npz", make_learner=classifier), NAMED, seeds=2)
    alike(again.states, fitted.states)


def test_runs_come_back(tmp_path):
    learner = classifier({"rate": 0.1})
    result = fit(learner, (X, Y), key=jax.random.key(1), epochs=2, validation=(X, Y),
                 record=lambda ts: {"bias": ts.params["dense_0"]["bias"]})  # fmt: skip
    save(tmp_path / "run.npz", result)
    back = load(tmp_path / "run.npz", learner=learner)
    assert isinstance(back, FitResult) and repr(back) == repr(result)
    alike(back.history, jax.tree.map(np.asarray, result.history))
    data = lambda state: state._replace(key=jax.random.key_data(state.key))
    alike(data(back.state), data(result.state))
    alike(learner.predict(back.state, X), learner.predict(result.state, X))
    with pytest.raises(ValueError, match="it is a run of fit: pass learner="):
        load(tmp_path / "run.npz")
    with pytest.raises(ValueError, match="it holds another model"):
        load(tmp_path / "run.npz", learner=classifier({"rate": 0.1, "width": 4}))


@pytest.mark.parametrize("value", [(8, 0.5), [1, (None, "a")], float("inf"), np.float32(0.25),
                                   np.arange(6, dtype=np.int16).reshape(2, 3), jnp.array([1.0, jnp.nan])])  # fmt: skip
def test_settings_keep_their_types(value):
    back = values.decoded(json.loads(json.dumps(values.encoded(value, "x"), allow_nan=False)))
    if hasattr(value, "shape"):
        np.testing.assert_array_equal(back, value)
        assert back.dtype == value.dtype and back.shape == value.shape
    else:
        assert back == value and type(back) is type(value)


def test_what_cannot_be_saved(study, tmp_path):
    with pytest.raises(ValueError, match=r"act=.* cannot be saved: it is a"):
        save(tmp_path / "a.npz", dataclasses.replace(study, hparams=[{"act": jnp.tanh}] * 2))
    with pytest.raises(ValueError, match="a Fitted, FitResult or Study, not dict"):
        save(tmp_path / "a.npz", {})
    with pytest.raises(ValueError, match="imported by its name"):
        save(tmp_path / "a.npz", study, make_transform=lambda: features.standardize())
    assert not list(tmp_path.iterdir())


def test_files_of_the_first_format_are_read():
    """Written by the version that had it first, which said these numbers of them."""
    fitted = load(FORMAT_1 / "fitted_1.npz", make_learner=classifier)
    rows = np.array([[0, 0, 1, 0], [2, 0, 0, 1]], np.float32)
    wanted = [[0.990758, 0.006448, 0.002793], [0.002770, 0.994664, 0.002565]]
    np.testing.assert_allclose(fitted.predict(rows), wanted, atol=1e-4)
    assert fitted.labels(rows).tolist() == ["red", "green"]
    study = load(FORMAT_1 / "study_1.npz", make_learner=classifier)
    assert (study.best().metric, study.best().index, study.best().mean) == ("accuracy", 1, 1.0)
    assert study.hparams == [{"rate": 0.01, "width": 3}, {"rate": 0.1, "width": 3}] and study.states
    run = load(FORMAT_1 / "fit_1.npz", learner=classifier({"rate": 0.1}))
    assert int(run.steps) == 2 and run.history.loss.round(3).tolist() == pytest.approx([1.076, 0.731], abs=2e-3)  # fmt: skip


def test_models_of_commands_are_read_by_those():
    """Of the release before ``save``; the numbers are what it predicted."""
    with pytest.raises(ValueError, match="models of a command are read by that command"):
        load(FORMAT_1 / "command_3.npz", make_learner=classifier)
    fitted, problem = tabular.load_model(FORMAT_1 / "command_3.npz")
    wanted = [[0.2219, 0.3385, 0.4396], [0.2758, 0.4785, 0.2457], [0.1144, 0.7327, 0.1529],
              [0.1933, 0.5066, 0.3001], [0.2367, 0.4068, 0.3565]]  # fmt: skip
    given = fitted.predict(load_dataset("iris").x[::30])
    np.testing.assert_allclose(given, wanted, atol=1e-3)
    assert problem.target == "class"


def test_damaged_and_hostile_files_are_refused_in_one_line(study, fitted, tmp_path):
    whole, bad = tmp_path / "whole.npz", tmp_path / "bad.npz"
    save(whole, fitted)
    content = whole.read_bytes()
    rng = np.random.default_rng(0)
    for cut in rng.integers(0, len(content), 8):
        bad.write_bytes(content[:cut])
        refused(bad)
    for at in rng.integers(0, len(content), 12):
        bad.write_bytes(content[:at] + struct.pack("B", content[at] ^ 255) + content[at + 1 :])
        refused(bad, perhaps=True)  # a byte of a comment, say
    for about in (
        {"settings": 3}, {"settings": [{"rate": {"array": [1], "dtype": "O", "shape": [1]}}]},
        {"recipe": {"key": ["fry", ["a"]]}}, {"recipe": {"lengths": {"tuple": [1]}}}, {"row": {"shape": [-1], "dtype": "<f4"}},
        {"names": 7}, {"format": 2}, {"kind": "pickle"}, {"causes": ["", "", ""]}, {"responses": {"tuple": [1, 2, 3, 4]}},
        {"row": {"shape": [1 << 20, 1 << 20, 1 << 20], "dtype": "<f8"}},
    ):  # fmt: skip
        edited(whole, bad, **about)
        refused(bad)
    save(whole, study)
    for about in ({"seeds": [0, 1]}, {"metric": "x"}, {"metrics": {"curves": ["none"]}}, {"directions": 1}):  # fmt: skip
        edited(whole, bad, **about)
        refused(bad)
    with np.load(whole) as file:
        arrays = dict(file)
    for name, array in {"folds/sizes": np.array([[1 << 40, 2]]), "scores/nll": np.zeros((1, 1, 1)),
                        "diverged": np.zeros(3), "curve_epochs": np.array("x")}.items():  # fmt: skip
        np.savez(bad, **{**arrays, name: array})
        refused(bad)


def refused(path, perhaps=False):
    said = None
    try:
        load(path, make_learner=classifier, transform=features.standardize())
    except ValueError as error:
        said = str(error)
    assert perhaps or said is not None
    assert said is None or (said.startswith(str(path)) and "\n" not in said and len(said) < 400)


def test_the_identity_is_known_as_such():
    assert base.identity_transform() == base.identity_transform() != features.standardize()
