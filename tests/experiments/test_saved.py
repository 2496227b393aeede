"""Saved networks come back bit for bit; other files are refused in one line."""

import copy
import functools
import json
import tempfile
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import image_networks, language_model, saved, tabular, text_networks
from experiments.generative import run
from experiments.generative.settings import Settings
from jaxdl.data import load_table

PARAMS = {"a": {"kernel": jnp.arange(6.0).reshape(2, 3)}, "b": jnp.array([1, 2], jnp.int32)}


def test_there_and_back(tmp_path):
    saved.save(tmp_path / "net.npz", PARAMS, {"width": 3, "letters": "äb"})
    about, arrays = saved.read(tmp_path / "net.npz")
    assert about == {"width": 3, "letters": "äb"}
    assert sorted(arrays) == ["a/kernel", "b"]
    like = jax.eval_shape(lambda: PARAMS)
    back = saved.restored(arrays, like, "net.npz")
    jax.tree.map(np.testing.assert_array_equal, back, PARAMS)
    assert back["b"].dtype == jnp.int32


def test_other_files(tmp_path):
    path = tmp_path / "net.npz"
    with pytest.raises(OSError, match="no saved model"):
        saved.read(path)
    for content in (b"", b"text", b"PK\x03\x04broken"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="not a saved network"):
            saved.read(path)
    np.savez(path, weights=np.zeros(3))
    with pytest.raises(ValueError, match="not a saved network"):
        saved.read(path)
    np.savez(path, __about__=np.array("[1]"))
    with pytest.raises(ValueError, match="does not say what it is"):
        saved.read(path)
    np.savez(path, __about__=np.array([None], object))  # pickled: never loaded
    with pytest.raises(ValueError, match="not a saved network"):
        saved.read(path)


@pytest.mark.parametrize(
    ("like", "message"),
    [
        ({"a": PARAMS["a"]}, r"another network \(\['b'\]\)"),
        ({**PARAMS, "b": jnp.zeros(3, jnp.int32)}, r"b is \[2\], not \[3\]"),
        ({**PARAMS, "b": jnp.zeros(2)}, "holds another network"),
    ],
)
def test_another_network(like, message):
    arrays = {name: np.asarray(leaf) for name, leaf in saved.named(PARAMS).items()}
    with pytest.raises(ValueError, match=message):
        saved.restored(arrays, like, "net.npz")


def told_of_a_table(responses=("p", "p", "q")):
    """What is saved with a model of a table: a number, a category and a response."""
    with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
        file.write(
            "a,b,y\n" + "".join(f"{i * 0.37},{'uv'[i % 2]},{responses[i % 3]}\n" for i in range(24))
        )
        file.flush()
        dataset = load_table(file.name)
    problem = tabular.describe(dataset, dataset.y)._replace(name="t")
    return json.loads(json.dumps(problem._asdict()))


TOLD = {  # what a file of each kind says, and the function that reads it
    "tabular": (tabular.load_model, {
        "hparams": [{"hidden": "3-2", "learning_rate": 0.1, "weight_decay": 0.0, "dropout": 0.0}],
        "about": {"problem": told_of_a_table()},
    }),
    "logarithms": (tabular.load_model, {
        "hparams": [{
            "hidden": "3", "learning_rate": 0.1, "weight_decay": 0.0, "log_target": 1.0,
        }],
        "about": {"problem": told_of_a_table("1.5 2 7".split())},
    }),
    "images": (image_networks.load_model, {
        "hparams": [{"model": "mlp", "rate": 0.1, "dropout": 0.0, "decay": 0.0, "shift": 0.0}],
        "about": {"images": {
            "name": "t", "shape": [4, 4, 1], "greatest": 16.0, "classes": ["p", "q"],
            "sizes": {"hidden": [3], "filters": [2, 2], "dense": 3},
        }},
    }),
    "texts": (text_networks.load_model, {
        "hparams": [{"model": "gru", "width": 4, "rate": 0.1, "dropout": 0.0}],
        "about": {"texts": {
            "name": "t", "target": "y", "classes": ["p", "q"], "length": 5,
            "vocabulary": {"special": ["<pad>", "<bos>", "<eos>", "<unk>"], "words": ["a", "b"]},
        }},
    }),
    "generative": (run.load, {
        "experiment": "generate", "levels": None, "center": [0.0, 0.0], "scale": [1.0, 1.0],
        "settings": Settings("maf", 2, width=4, depth=1)._asdict(),
    }),
    "language model": (language_model.load, {
        "vocabulary": {"special": ["<pad>", "<bos>", "<eos>", "<unk>"], "words": ["a", "b"]},
        "width": 8, "layers": 1, "heads": 2, "length": 4,
    }),
}  # fmt: skip
ODD = [None, True, -1, 0, 3000, 10**12, 0.5, 1e308, "", "x", "-".join("9" * 3000), [], [[]], {}, {"a": 1},
       [10**9], ["a"] * 2, list(map(str, range(60_000)))]  # fmt: skip


def places(tree, before=()):
    """Where each value of a JSON tree is, the tree itself left out."""
    for key, child in tree.items() if isinstance(tree, dict) else enumerate(tree):
        yield (*before, key)
        if isinstance(child, (dict, list)):
            yield from places(child, (*before, key))


@pytest.mark.parametrize("kind", TOLD)
def test_descriptions_that_make_no_sense(kind, tmp_path):
    """Any value in the place of any other, a field more or less: one line, and soon."""
    load, told = TOLD[kind]
    path, longest, arrays = tmp_path / "model.npz", 0.0, {"kernel": np.zeros(3)}
    if "hparams" in told:
        arrays["array[1][0].params['dense_0']['kernel']"] = np.zeros(3)

    def refused(value):
        nonlocal longest
        text = np.array(json.dumps(value))
        np.savez(path, **{"__header__" if "hparams" in told else "__about__": text}, **arrays)
        began = time.process_time()
        with pytest.raises(ValueError) as caught:
            load(path)
        longest = max(longest, time.process_time() - began)
        said = str(caught.value)
        assert said.startswith(f"{path}: ") and "\n" not in said and len(said) < 600, said
        return said

    assert "holds another" in refused(told)  # all but the arrays makes sense
    rng = np.random.default_rng(0)
    everywhere = list(places(told))
    for at in rng.permutation(len(everywhere))[:60]:
        place = everywhere[at]
        for i in (None, *rng.choice(len(ODD), 4, replace=False)):
            changed = copy.deepcopy(told)
            parent = functools.reduce(lambda tree, key: tree[key], place[:-1], changed)
            if i is None:
                del parent[place[-1]]
            else:
                parent[place[-1]] = ODD[i]
            refused(changed)
    assert longest < 2
