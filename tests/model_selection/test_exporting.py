"""Exported models predict as they did, where no code of theirs can be imported."""

import json
import os
import subprocess
import sys
import zlib

import jax
import numpy as np
import optax
import pytest
from networks import classifier, three_classes

from jaxdl import families, features, models, serving, training
from jaxdl.base import Sequences
from jaxdl.data import Dataset
from jaxdl.model_selection import cross_validate, export, refit

X, Y = three_classes(30)
CLASSES = ("red", "green", "blue")

ALONE = """
import json, sys
for name in ("jaxdl", "optax", "flax", "orbax", "networks"):
    sys.modules[name] = None  # importing it fails
import jax, numpy as np
from jax import export
file = np.load(sys.argv[1])
predict = export.deserialize(file["program"].tobytes()).call
x = np.load(sys.argv[2])
np.save(sys.argv[3], np.concatenate([predict(x[:7]), predict(x[7:])]))
print(json.loads(file["__header__"].item())["names"]["classes"])
"""


@pytest.fixture(scope="module")
def fitted():
    data = Dataset(X, Y, ("a", "b", "c", "d"), CLASSES, "t", "classify", "hue")
    grid = {"rate": [0.1, 0.2], "width": [3]}
    study = cross_validate(
        classifier, grid, data, key=jax.random.key(0), folds=2, epochs=2,
        transform=features.standardize(),
    )  # fmt: skip
    return refit(study, data, settings=2)


def test_the_file_alone_predicts_in_a_process_that_knows_nothing_of_jaxdl(fitted, tmp_path):
    path, rows, out = (str(tmp_path / name) for name in ("model.npz", "x.npy", "out.npy"))
    export(path, fitted)
    np.save(rows, X)
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    run = subprocess.run(
        [sys.executable, "-c", ALONE, path, rows, out], capture_output=True, text=True, check=True,
        env=environment, cwd=tmp_path,
    )  # fmt: skip
    assert run.stdout.strip() == str(list(CLASSES))
    np.testing.assert_allclose(np.load(out), fitted.predict(X), rtol=1e-5, atol=1e-6)


@pytest.mark.smoke
def test_served_models_predict_and_name(fitted, tmp_path):
    path = tmp_path / "model.npz"
    export(path, fitted)
    served = serving.load(path)
    for n in (1, 5, 30):
        np.testing.assert_allclose(
            served.predict(X[:n]), fitted.predict(X[:n]), rtol=1e-5, atol=1e-6
        )
    assert served.labels(X).tolist() == fitted.labels(X).tolist()
    assert served.names == fitted.names and served.responses == fitted.responses
    assert "float32[B, 4]" in repr(served)
    with pytest.raises(
        ValueError, match=r"x has the shapes \[\[30, 3\]\], the model takes \[\[B, 4\]\]"
    ):
        served.predict(X[:, :3])


def test_a_number_of_rows_and_several_platforms(fitted, tmp_path):
    export(tmp_path / "model.npz", fitted, batch=8, platforms=("cpu", "tpu", "cuda"))
    served = serving.load(tmp_path / "model.npz")
    assert served.batch == 8 and set(served.exported.platforms) == {"cpu", "tpu", "cuda"}
    np.testing.assert_allclose(served.predict(X), fitted.predict(X), rtol=1e-5, atol=1e-6)
    export(tmp_path / "model.npz", fitted, platforms=("tpu",))
    with pytest.raises(ValueError, match="exported for tpu, not for cpu"):
        serving.load(tmp_path / "model.npz")


def test_what_calls_the_machine_is_neither_written_nor_read(fitted, tmp_path):
    def calls_python(h):
        learner = classifier(h)
        peek = lambda p: jax.pure_callback(np.asarray, jax.ShapeDtypeStruct(p.shape, p.dtype), p)
        return learner._replace(predict=lambda ts, x: peek(learner.predict(ts, x)))

    other = fitted._replace(recipe=fitted.recipe._replace(make_learner=calls_python))
    with pytest.raises(ValueError, match=r"callback|exported"):
        export(tmp_path / "model.npz", other, batch=4)
    assert not list(tmp_path.iterdir())
    for text in ('"stablehlo.custom_call"(%0) <{call_target_name = "lapack_x"}>', "custom_call @f(%0)", "custom_call"):  # fmt: skip
        with pytest.raises(ValueError, match="its program calls"):
            serving.check_calls(text)
    serving.check_calls("stablehlo.custom_call @Sharding(%0) stablehlo.custom_call @shape_assertion(%1)")  # fmt: skip


def test_damaged_and_hostile_files_are_refused_in_one_line(fitted, tmp_path):
    path, bad = tmp_path / "model.npz", tmp_path / "bad.npz"
    export(path, fitted)
    with np.load(path) as file:
        arrays = dict(file)
    header = json.loads(arrays["__header__"].item())
    program = arrays["program"].copy()
    program[len(program) // 2] ^= 255
    cases = {
        "not what was written": (header, program),
        "cannot be read|damaged": ({**header, "checksum": zlib.crc32(b"abc")}, np.frombuffer(b"abc", np.uint8)),
        "its format is 2, not 1": ({**header, "format": 2}, None),
        "no exported model": ({**header, "kind": "fitted"}, None),
        "takes other arrays": ({**header, "row": [{"shape": [5], "dtype": "float32"}]}, None),
        "another number of rows": ({**header, "batch": 3}, None),
        "names are no texts": ({**header, "names": {"features": [1], "classes": None, "target": "y"}}, None),
        "has no program": (header, np.zeros((2, 2))),
    }  # fmt: skip
    for message, (told, changed) in cases.items():
        program = arrays["program"] if changed is None else changed
        np.savez(bad, __header__=np.array(json.dumps(told)), program=program)
        with pytest.raises(ValueError, match=message) as error:
            serving.load(bad)
        assert "\n" not in str(error.value) and str(error.value).startswith(str(bad))
    with pytest.raises(ValueError, match="there is no such file"):
        serving.load(tmp_path / "none.npz")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sequences", "images", "tokens"])
def test_models_of_other_inputs(kind, tmp_path):
    tokens = np.arange(24, dtype=np.int32).reshape(8, 3) % 5
    images = np.random.default_rng(0).normal(size=(8, 4, 4, 1)).astype(np.float32)
    x = {
        "sequences": Sequences(tokens, np.array([3, 2, 1, 3] * 2, np.int32)),
        "images": images,
        "tokens": Sequences(tokens, np.array([3, 2, 1, 3] * 2, np.int32)),
    }[kind]
    net = {
        "sequences": lambda: models.sequence_classifier(
            models.RecurrentConfig(5, features=2, hidden=3), 2
        ),
        "images": lambda: models.cnn((4, 4, 1), 2, filters=(2,), hidden=(3,)),
        "tokens": lambda: models.transformer_classifier(
            models.TransformerConfig(5, features=4, num_heads=2, hidden=4, num_layers=1), 2
        ),
    }[kind]()
    objective = training.negative_log_likelihood(net, families.categorical(2))
    make = lambda h: training.gradient_learner(net, objective, optax.sgd(h["rate"]))
    data = (x, np.arange(8, dtype=np.int32) % 2)
    study = cross_validate(make, {"rate": [0.1]}, data, key=jax.random.key(0), folds=2, epochs=1)
    fitted = refit(study, data)
    export(tmp_path / "model.npz", fitted)
    served = serving.load(tmp_path / "model.npz")
    for rows in (slice(0, 3), slice(0, 8)):
        part = jax.tree.map(lambda leaf, rows=rows: leaf[rows], x)
        close = {"rtol": 1e-5, "atol": 1e-6}
        np.testing.assert_allclose(served.predict(part), fitted.predict(part), **close)
