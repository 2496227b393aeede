"""Sharding rules: the parts that they name, and training on 8 devices as on one."""

import json
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import PartitionSpec

from jaxdl import models, parallel


@pytest.mark.smoke
def test_every_matrix_of_a_transformer_is_divided():
    """All that has two axes or more; what is added to whole features is on every device."""
    config = models.TransformerConfig(8, features=4, num_heads=2, attention_bias=True, tied=False,
                                      positions="learned", max_length=4)  # fmt: skip
    params = jax.eval_shape(models.transformer(config).init, jax.random.key(0))[0]
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        name = "/".join(str(entry.key) for entry in path)
        spec = parallel.transformer_spec(name)
        assert len(spec) in (0, leaf.ndim), name
        whole = leaf.ndim == 1 and not name.endswith("dense_0/bias")
        assert (spec == PartitionSpec()) == whole, name
        named = [axis for axis in spec if axis is not None]
        assert len(set(named)) == len(named), name


def test_a_name_counts_whole_and_at_its_end():
    assert parallel.transformer_spec("about/kernel") == PartitionSpec()
    assert parallel.transformer_spec("out/kernel/scale") == PartitionSpec()
    assert parallel.transformer_spec("output/bias") == PartitionSpec()
    stacked = parallel.transformer_spec("0/mu/decoder/layers/attention/value/kernel")
    assert stacked == PartitionSpec(None, "parameters", "tensor", None)


def test_sizes_that_do_not_divide():
    mesh = parallel.grid({"parameters": 1, "tensor": 2}, jax.devices()[:2])
    tree = {"tokens": {"embedding": jnp.zeros((5, 4))}}
    with pytest.raises(ValueError, match=r"tokens/embedding \[5, 4\] .* 2 parts over 'tensor'"):
        parallel.shardings(tree, mesh, parallel.transformer_spec)
    with pytest.raises(ValueError, match="3 x 1"):
        parallel.grid({"data": 3, "tensor": 1}, jax.devices()[:2])


@pytest.mark.slow
def test_training_on_eight_devices_is_training_on_one():
    """Three steps of Adam; every parameter moves by far more than it differs."""
    script = Path(__file__).with_name("eight_devices.py")
    ended = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=900, check=False
    )
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    assert told["gap"] < 1e-4 and told["moved"] > 0.01
    assert told["losses"][0] == pytest.approx(told["losses"][1], rel=1e-5)
    assert told["query"] == [4, 1, 4] and told["out"] == [1, 4, 4]
    assert told["first"] == [4, 8] and told["second"] == [8, 4]
    assert told["tokens"] == [6, 4] and told["output"] == [4, 6] and told["norm"] == [8]
    assert told["divided"] < 1e-6
