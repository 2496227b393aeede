"""Summaries: every number by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import models
from jaxdl.base import Sequences
from jaxdl.models.summary import Leaf

NET = models.mlp((4, 8, 3), activation="identity")


@pytest.mark.parametrize("rows", [1, 16])
def test_flops_of_a_dense_stack_by_hand(rows):
    s = models.summary(NET, (rows, 4))
    products = [2 * rows * 4 * 8, 2 * rows * 8 * 3]
    assert [leaf.flops for leaf in s.params if leaf.path.endswith("kernel")] == products
    assert s.flops == sum(products) + rows * (8 + 3)  # one addition for each offset
    relu = models.summary(models.mlp((4, 8, 3)), (rows, 4))
    assert relu.flops == s.flops + 8 * rows  # one comparison for each hidden unit


def test_sizes_and_shapes():
    s = models.summary(NET, np.ones((5, 2, 4), np.float32))
    assert s.input_shape == (5, 2, 4) and s.output_shape == (5, 2, 3)
    assert s.size == 4 * 8 + 8 + 8 * 3 + 3 and s.bytes == 4 * s.size and s.state == ()
    assert s.params[1] == Leaf("dense_0/kernel", (4, 8), "float32", 32, 128, None)
    assert s.params[0] == Leaf("dense_0/bias", (8,), "float32", 8, 32, None)
    params, _ = NET.init(jax.random.key(0))
    assert s.size == sum(leaf.size for leaf in jax.tree.leaves(params))
    given = models.summary(NET, jax.ShapeDtypeStruct((5, 2, 4), jnp.float32), key=jax.random.key(1))
    assert given == s


def test_what_models_of_sequences_read():
    """Tokens, Sequences and pairs; no kernel's FLOPs are guessed from an axis that is not rows."""
    sizes = {"features": 4, "hidden": 6, "num_heads": 2, "num_layers": 1}
    pair = {"source": np.zeros((2, 5), int), "inputs": jax.ShapeDtypeStruct((2, 3), int)}
    s = models.summary(models.transformer(models.TransformerConfig(7, **sizes)), pair)
    assert s.input_shape == {"inputs": (2, 3), "source": (2, 5)} and s.output_shape == (2, 3, 7)
    assert "inputs [2, 3], source [2, 5] -> [2, 3, 7]" in str(s)
    classifier = models.sequence_classifier(models.RecurrentConfig(9, features=4, hidden=5), 2)
    tokens = Sequences(np.zeros((3, 6), int), np.array([6, 2, 1]))
    s = models.summary(classifier, tokens)
    assert s.input_shape == {"values": (3, 6), "lengths": (3,)} and s.output_shape == (3, 2)
    lstm = 4 * ((4 + 5) * 5 + 5)
    assert s.size == 9 * 4 + lstm + 5 * 2 + 2
    assert {leaf.flops for leaf in s.params} == {None}
    images = models.summary(models.cnn((8, 8, 1), 10, filters=(2,), hidden=()), (5, 8, 8, 1))
    assert {leaf.flops for leaf in images.params} == {None}


def test_double_precision(x64):
    s = models.summary(NET, (1, 4))
    assert s.bytes == 8 * s.size and {leaf.dtype for leaf in s.params} == {"float64"}


def test_state_and_tables():
    s = models.summary(models.mlp((4, 8, 3), norm="batch", skip=True), (1, 4))
    assert [leaf.path for leaf in s.state] == ["norm_0/mean", "norm_0/var"]
    names = ["dense_0/kernel", "dense_1/bias", "dense_1/kernel"]
    names += ["norm_0/bias", "norm_0/scale", "skip_0/kernel"]
    assert [leaf.path for leaf in s.params] == names
    text, page = str(s), s._repr_html_()
    lines = text.splitlines()
    assert len({len(line) for line in lines if set(line) == {"-"}}) == 1
    for leaf in (*s.params, *s.state):
        line = next(line for line in lines if line.startswith(leaf.path))
        assert str(list(leaf.shape)) in line and f"{leaf.bytes:,}" in line
        assert f"<td>{leaf.path}</td>" in page
    assert f"{s.size:,} parameters" in lines[-1] and "[1, 4] -> [1, 3]" in lines[-1]
    assert page.count("<tr>") == len(s.params) + len(s.state) + 2  # the header, and "state"
    assert "-&gt;" in page  # escaped


def test_nothing_is_computed():
    big = models.mlp((10_000, 100_000, 10_000))  # 8 GB
    s = models.summary(big, (64, 10_000))
    assert s.size == 2 * 10**9 + 110_000 and "2,000,110,000 parameters" in str(s)


def test_without_xlas_count():
    s = models.summary(NET, (1, 4))._replace(flops=None)
    assert "FLOPs" not in str(s) and str(s).endswith("[1, 4] -> [1, 3]")
