"""Transformers: causality, cached decoding, counts of parameters, layers in either form."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import families, models, training
from jaxdl.base import Sequences

V = 5
SOURCE = Sequences(jnp.array([[1, 2, 3, 4], [4, 3, 0, 0]]), jnp.array([4, 2]))
INPUTS = jnp.array([[1, 2, 3, 4, 1], [4, 3, 2, 1, 0]])
SMALL = models.TransformerConfig(V, features=4, num_heads=2, hidden=6, num_layers=2)
VARIANTS = {
    "post": SMALL,
    "rotary": SMALL._replace(positions="rotary", norm_position="pre", scan_layers=True),
    "learned": SMALL._replace(positions="learned", max_length=6, tied=False, source_features=6),
}
variants = pytest.mark.parametrize("config", VARIANTS.values(), ids=VARIANTS)


@pytest.mark.equation("L1097")
@pytest.mark.equation("L1129")
def test_the_base_model_has_the_papers_size():
    d, h, v = 512, 2048, 37_000
    attention, network, norm = 4 * d * d, 2 * d * h + h + d, 2 * d
    encoder, decoder = attention + network + 2 * norm, 2 * attention + network + 3 * norm
    total = v * d + 6 * encoder + 6 * decoder
    model = models.transformer(models.vaswani_base())
    params, _ = jax.eval_shape(model.init, jax.random.key(0))
    counted = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))
    assert counted == total == 63_045_632


@pytest.mark.equation(40)
@pytest.mark.equation("L1139")
def test_later_inputs_change_no_earlier_logits(x64):
    model = models.transformer(SMALL)
    params, state = model.init(jax.random.key(0))
    apply = lambda y: model.apply(params, state, {"source": SOURCE, "inputs": y})[0]
    eta, changed = apply(INPUTS), apply(INPUTS.at[:, 3].set(2))
    np.testing.assert_array_equal(changed[:, :3], eta[:, :3])
    assert abs(changed[:, 3:] - eta[:, 3:]).max() > 1e-2


@pytest.mark.equation(39)
def test_the_loss_of_all_targets_at_once_is_that_of_each_prefix(x64):
    model = models.transformer(SMALL)
    params, state = model.init(jax.random.key(0))
    y = Sequences(jnp.array([[2, 3, 4, 1], [3, 2, 0, 0]]), jnp.array([4, 2]))
    batch = {"source": SOURCE, "inputs": Sequences(INPUTS[:, :4], y.lengths)}, y
    objective = training.sequence_nll(model, families.categorical(V))
    together = objective.evaluate(params, state, batch)["nll"]
    for n in range(2):
        total = 0.0
        source = SOURCE.values[n : n + 1, : SOURCE.lengths[n]]
        for t in range(int(y.lengths[n])):
            x = {"source": source, "inputs": INPUTS[n : n + 1, : t + 1]}
            total -= jax.nn.log_softmax(model.apply(params, state, x)[0][0, -1])[y.values[n, t]]
        np.testing.assert_allclose(together[n], total, rtol=1e-11)


@variants
def test_cached_decoding_is_the_whole_model_for_rows_at_different_places(x64, config):
    model, decoder = models.transformer(config), models.transformer_decoder(config)
    params, state = model.init(jax.random.key(0))
    eta = model.apply(params, state, {"source": SOURCE, "inputs": INPUTS})[0]
    carry = decoder.start(params, state, SOURCE, rows=2, max_length=5)
    assert {leaf.shape[0] for leaf in jax.tree.leaves(carry)} == {2}
    step = jax.jit(decoder.step)
    carry, first = step(params, state, carry, INPUTS[:, :2], jnp.array([2, 1]))
    follow = jnp.stack([INPUTS[0, 2:4], INPUTS[1, 1:3]])
    after, both = step(params, state, carry, follow)
    np.testing.assert_allclose(first[0], eta[0, :2], atol=1e-12)
    np.testing.assert_allclose(first[1, 0], eta[1, 0], atol=1e-12)
    np.testing.assert_allclose(both[0], eta[0, 2:4], atol=1e-12)
    np.testing.assert_allclose(both[1], eta[1, 1:3], atol=1e-12)
    assert after["read"].tolist() == [4, 3]
    for t in range(2):  # two tokens are two steps of one
        carry, one = step(params, state, carry, follow[:, t : t + 1])
        np.testing.assert_allclose(one[:, 0], both[:, t], atol=1e-12)
    _, late = step(params, state, after, INPUTS[:, :2])
    assert np.isnan(late[0, 1]).all() and np.isfinite(late[1]).all()  # row 0 is full


@variants
def test_a_language_models_cache_is_the_whole_model(config):
    model, decoder = models.language_model(config), models.language_model_decoder(config)
    params, state = model.init(jax.random.key(1))
    eta = model.apply(params, state, INPUTS)[0]
    carry = decoder.start(params, state, None, rows=2, max_length=6)
    step = jax.jit(decoder.step)
    for t in range(5):
        carry, logits = step(params, state, carry, INPUTS[:, t : t + 1])
        np.testing.assert_allclose(logits[:, 0], eta[:, t], rtol=1e-5, atol=1e-5)
    changed = model.apply(params, state, INPUTS.at[:, 3].set(2))[0]
    np.testing.assert_array_equal(changed[:, :3], eta[:, :3])


def test_layers_scanned_rematerialised_or_unrolled_are_one_model(x64):
    losses = []
    config = SMALL._replace(dropout=0.2, norm_position="pre")
    with jax.debug_key_reuse(False):
        for changes in ({}, {"scan_layers": True}, {"remat": True}):
            model = models.language_model(config._replace(**changes))
            params, _ = model.init(jax.random.key(0))
            loss = lambda p, model=model: jnp.sin(
                model.apply(p, {}, INPUTS, key=jax.random.key(1), train=True)[0]
            ).sum()
            value, gradient = jax.jit(jax.value_and_grad(loss))(params)
            losses.append((value, gradient["embedding"]["tokens"]["embedding"]))
    for value, gradient in losses[1:]:
        np.testing.assert_allclose(value, losses[0][0], rtol=1e-12)
        np.testing.assert_allclose(gradient, losses[0][1], rtol=1e-10, atol=1e-12)


def test_chunked_attention_gives_the_same_model(x64):
    plain = models.language_model(SMALL)
    params, state = plain.init(jax.random.key(0))
    chunked = models.language_model(SMALL._replace(implementation="chunked"))
    expected = plain.apply(params, state, INPUTS)[0]
    np.testing.assert_allclose(chunked.apply(params, state, INPUTS)[0], expected, atol=1e-12)


def test_attention_maps_are_weights():
    params, _ = models.transformer(SMALL).init(jax.random.key(0))
    maps = models.attention_maps(SMALL, params, {"source": SOURCE, "inputs": INPUTS})
    shapes = {name: weights.shape for name, weights in maps.items()}
    assert shapes == {
        "encoder": (2, 2, 2, 4, 4), "decoder": (2, 2, 2, 5, 5), "source": (2, 2, 2, 5, 4),
    }  # fmt: skip
    for weights in maps.values():
        np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-5)
    assert not maps["source"][:, 1, :, :, 2:].any() and not maps["decoder"][..., 0, 1:].any()


def test_what_is_refused():
    for changes, match in (
        ({"positions": "learnt"}, "did you mean 'learned'"),
        ({"positions": "learned"}, "need max_length"),
        ({"shared": True, "source_tokens": 7}, "one vocabulary"),
        ({"norm_position": "inside"}, "norm_position is one of"),
    ):
        with pytest.raises(ValueError, match=match):
            models.transformer(SMALL._replace(**changes))
    learned = SMALL._replace(positions="learned", max_length=4)
    model = models.language_model(learned)
    params, state = model.init(jax.random.key(0))
    with pytest.raises(ValueError, match="has learned 4"):
        model.apply(params, state, INPUTS)
    decoder = models.language_model_decoder(learned)
    with pytest.raises(ValueError, match="5 tokens are to be read"):
        decoder.start(params, state, None, rows=2, max_length=5)
    with pytest.raises(ValueError, match="has no source"):
        decoder.start(params, state, SOURCE, rows=2, max_length=4)
    with pytest.raises(ValueError, match=r"reads tokens \[N, T\]"):
        model.apply(params, state, INPUTS[0])
