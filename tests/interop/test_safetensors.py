"""safetensors files against the library's own reader and writer, and hostile ones."""

import json
import os
import sys
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import models
from jaxdl.interop import safetensors

library = pytest.importorskip("safetensors.numpy")


class Pair(NamedTuple):
    left: jax.Array
    right: list


def tree():
    return {
        "net": Pair(jnp.arange(6.0).reshape(2, 3), [jnp.float32(3), jnp.array([True, False])]),
        "half": jnp.array([1.5, -2.0], jnp.bfloat16),
        "empty": jnp.zeros((0, 2)),
        "count": jnp.array(7, jnp.int32),
    }


@pytest.mark.smoke
def test_what_is_written_is_read_by_its_names(tmp_path):
    path = tmp_path / "net.safetensors"
    safetensors.save(path, tree())
    names = {"net.left", "net.right.0", "net.right.1", "half", "empty", "count"}
    stored = safetensors.read(path)
    assert set(stored) == names
    like = jax.eval_shape(tree)
    back = safetensors.load(path, like)
    assert jax.tree.structure(back) == jax.tree.structure(tree())
    for ours, first in zip(jax.tree.leaves(back), jax.tree.leaves(tree()), strict=True):
        assert ours.dtype == first.dtype and isinstance(ours, jax.Array)
        np.testing.assert_array_equal(ours, first)
    assert os.listdir(tmp_path) == ["net.safetensors"]


def test_the_librarys_own_files_are_read_and_ours_by_it(tmp_path):
    path = tmp_path / "a"
    arrays = {"0.weight": np.arange(6, dtype=np.float32).reshape(2, 3).T.copy()}
    library.save_file(arrays, path)
    np.testing.assert_array_equal(safetensors.read(path)["0.weight"], arrays["0.weight"])
    safetensors.save(path, {"0": {"weight": arrays["0.weight"].T}})  # rows that are not together
    np.testing.assert_array_equal(library.load_file(path)["0.weight"], arrays["0.weight"].T)


def test_params_of_a_model_come_back(tmp_path, key):
    net = models.mlp((3, 4, 2), norm="layer")
    params, _ = net.init(key)
    safetensors.save(tmp_path / "a", params)
    back = safetensors.load(tmp_path / "a", jax.eval_shape(net.init, key)[0])
    jax.tree.map(np.testing.assert_array_equal, back, params)


def test_what_does_not_fit_is_one_line_and_nothing_is_read(tmp_path):
    path = tmp_path / "a"
    safetensors.save(path, {"dense_0": {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)}})
    shape = lambda *s, dtype=np.float32: jax.ShapeDtypeStruct(s, dtype)
    kernel, bias = shape(2, 3), shape(3)
    for like, message in (
        ({"dense_0": {"kernel": kernel}}, "a: has 'dense_0.bias', which is not wanted"),
        ({"dense_1": {"kernel": kernel, "bias": bias}}, "has no 'dense_1.bias'; did it become 'dense_0.bias'"),
        ({"dense_0": {"kernel": shape(3, 2), "bias": bias}}, r"'dense_0.kernel' is \[2, 3\], not \[3, 2\]"),
        ({"dense_0": {"kernel": kernel, "bias": shape(1, 3)}}, r"is \[3\], not \[1, 3\]"),
        ({"dense_0": {"kernel": kernel, "bias": shape(3, dtype=np.int32)}}, "is F32, not I32$"),
        ({"dense_0": {"kernel": kernel, "bias": shape(3, dtype=jnp.bfloat16)}}, "not BF16; cast=True"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message) as caught:
            safetensors.load(path, like)
        assert "\n" not in str(caught.value)
    like = {"dense_0": {"kernel": kernel, "bias": shape(3, dtype=jnp.bfloat16)}}
    assert safetensors.load(path, like, cast=True)["dense_0"]["bias"].dtype == jnp.bfloat16
    with pytest.raises(ValueError, match="not I32"):
        like["dense_0"]["bias"] = shape(3, dtype=np.int32)
        safetensors.load(path, like, cast=True)


def test_what_cannot_be_stored_leaves_the_old_file(tmp_path):
    path = tmp_path / "a"
    safetensors.save(path, {"a": jnp.ones(2)})
    for wrong, message in (
        ({"a": jax.random.key(0)}, "'a' holds random keys"),
        ({"a": np.array(["text"])}, "'a' is <U4"),
        ({"a": {"b": jnp.ones(1)}, "a.b": jnp.ones(1)}, "the name 'a.b'"),
        ({"__metadata__": jnp.ones(1)}, "cannot be"),
        (jnp.ones(2), "needs a name"),
    ):
        with pytest.raises(ValueError, match=message):
            safetensors.save(path, wrong)
    with pytest.raises(OSError):
        safetensors.save(tmp_path / "no folder" / "a", {"a": jnp.ones(2)})
    assert list(safetensors.read(path)) == ["a"] and os.listdir(tmp_path) == ["a"]


def file_of(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def entry(dtype="F32", shape=(1,), offsets=(0, 4)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


HOSTILE = {
    "empty": b"",
    "short": b"\0" * 7,
    "endless header": (1 << 62).to_bytes(8, "little") + b"{}",
    "long header": (1 << 25).to_bytes(8, "little") + b" " * (1 << 25),
    "no object": file_of([]),
    "no JSON": file_of(b"{nothing"),
    "deep": file_of(b"[" * 100_000),
    "cut short": file_of({"x": entry(shape=(2,), offsets=(0, 8))}, b"1234"),
    "more behind": file_of({"x": entry()}, b"12345"),
    "overlap": file_of({"x": entry(), "y": entry()}, b"1234"),
    "huge shape": file_of({"x": entry(shape=(1 << 62, 4))}, b"1234"),
    "negative": file_of({"x": entry(shape=(-1,))}, b"1234"),
    "unknown dtype": file_of({"x": entry("F31")}, b"1234"),
    "dtype of no array": file_of({"x": entry("F8_E4M3", (4,))}, b"1234"),
    "pickle": b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x07builtin\x94.",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_in_one_line(tmp_path, name):
    path = tmp_path / "bad.safetensors"
    path.write_bytes(HOSTILE[name])
    with pytest.raises(ValueError, match=r"bad\.safetensors: ") as caught:
        safetensors.read(path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
    with pytest.raises(ValueError, match=r"bad\.safetensors: "):
        safetensors.load(path, {"x": jnp.ones(1)})


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, message in (("none", "no such file"), (".", "directory"), ("pipe", "not a regular")):
        with pytest.raises(ValueError, match=message):
            safetensors.read(tmp_path / name)


def test_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    with pytest.raises(ImportError, match=r"pip install 'jaxdl\[safetensors\]'"):
        safetensors.save(tmp_path / "a", {"a": jnp.ones(1)})
