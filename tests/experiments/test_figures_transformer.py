"""Figures 16 and 17: their claims, and that what is drawn comes from the model."""

import json

import jax
import jax.numpy as jnp
import matplotlib.figure
import numpy as np
import pytest

from experiments.figures import section8
from experiments.figures.__main__ import NAMES, Config, check
from jaxdl import models


@pytest.fixture(autouse=True)
def float64(x64):
    """As the command sets it."""


@pytest.mark.parametrize("name", section8.FIGURES)
def test_claims_hold(name):
    key = jax.random.fold_in(jax.random.key(0), NAMES.index(str(name)) + 1)
    figure, claims = section8.FIGURES[name](key)
    assert isinstance(figure, matplotlib.figure.Figure) and figure.axes
    assert claims and all(c.measured for c in claims)
    assert [c.text for c in claims if not c.holds] == []
    json.dumps([c._asdict() for c in claims])
    check(Config(only=(str(name),)))


def test_boxes_follow_the_config():
    """Another model is another picture: widths, heads, offsets, layers, own embeddings."""
    config = models.TransformerConfig(
        7, features=6, num_heads=2, hidden=5, num_layers=3, encoder_layers=1, source_tokens=9,
        key_width=4, tied=False, use_bias=False, attention_bias=True,
    )  # fmt: skip
    encoder, decoder = section8.columns(config)
    assert (encoder.number, decoder.number) == (1, 3)
    assert encoder.below[0].shapes == ("[9, 6]",) and decoder.below[0].shapes == ("[7, 6]",)
    assert [b.title for b in decoder.stack[::2]] == [
        "Causal self-attention", "Attention to the source", "Position-wise network",
    ]  # fmt: skip
    assert encoder.stack[0].shapes == (
        "key, query, value [6, 2, 4], bias [2, 4]", "out [2, 4, 6], bias [6]",
    )  # fmt: skip
    assert encoder.stack[2].shapes == ("dense_0 [6, 5]", "dense_1 [5, 6]")
    assert decoder.above[0].shapes == ("[6, 7]",)
    params, _ = models.transformer(config).init(jax.random.key(0))
    size = sum(leaf.size for leaf in jax.tree.leaves(params))
    assert section8.number_of_parameters(encoder, decoder) == size


@pytest.mark.equation("L1129")
def test_a_box_left_out_is_another_model():
    """The claim that the boxes are the model can fail: without one of its layers it does."""
    config = section8.TINY
    model = models.transformer(config)
    params, state = model.init(jax.random.key(0))
    source, inputs = jnp.array([[3, 4, 5]]), jnp.array([[1, 6]])
    p = jax.nn.softmax(model.apply(params, state, {"source": source, "inputs": inputs})[0])
    np.testing.assert_allclose(p, section8.box_by_box(config, params, source, inputs), atol=1e-10)
    fewer = config._replace(encoder_layers=1)
    assert np.abs(p - section8.box_by_box(fewer, params, source, inputs)).max() > 1e-3
