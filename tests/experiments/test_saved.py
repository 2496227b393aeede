"""Saved networks come back bit for bit; other files are refused in one line."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import saved

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
