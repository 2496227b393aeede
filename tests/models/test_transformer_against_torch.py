"""Whole transformers with masks against torch's stacks, and against the notes' padding tokens."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import models
from jaxdl.base import Sequences
from jaxdl.interop import pytorch

D, E, H, V, S, T = 4, 2, 6, 7, 5, 4
SOURCE_LENGTHS = np.array([5, 3, 1])
RNG = np.random.default_rng(0)
SOURCE = RNG.integers(0, V, (3, S))
INPUTS = RNG.integers(0, V, (3, T))
BATCH = {"source": Sequences(SOURCE, SOURCE_LENGTHS), "inputs": INPUTS}


def config(position="post"):
    return models.TransformerConfig(
        V, features=D, num_heads=E, hidden=H, num_layers=2, norm_position=position,
        attention_bias=True, epsilon=1e-5,
    )  # fmt: skip


def params_of(theirs, layout):
    weights = {name: value.numpy() for name, value in theirs.state_dict().items()}
    return pytorch.from_torch(layout, weights)[0]


def positions(length):
    """sin and cos of t / 10000^(2 i / D), written out."""
    return np.array([[np.sin(t), np.cos(t), np.sin(t / 100), np.cos(t / 100)]
                     for t in range(length)])  # fmt: skip


@pytest.mark.equation(39)
@pytest.mark.equation(40)
@pytest.mark.equation("L1129")
@pytest.mark.equation("L1139")
@pytest.mark.parametrize("position", ["post", "pre"])
def test_stacks_with_masks_are_torchs(x64, position):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    pre = position == "pre"
    options = {"dropout": 0.0, "batch_first": True, "norm_first": pre, "dtype": torch.float64}
    last = lambda: torch.nn.LayerNorm(D, dtype=torch.float64) if pre else None
    encoder = torch.nn.TransformerEncoder(
        torch.nn.TransformerEncoderLayer(D, E, H, **options), 2, last(), enable_nested_tensor=False
    )
    decoder = torch.nn.TransformerDecoder(
        torch.nn.TransformerDecoderLayer(D, E, H, **options), 2, last()
    )
    tables = torch.randn(2, V, D, dtype=torch.float64)
    for parameter in (*encoder.parameters(), *decoder.parameters()):
        torch.nn.init.normal_(parameter, std=0.5)
    embed = lambda table, tokens: table[tokens] * D**0.5 + torch.tensor(positions(tokens.shape[1]))
    unseen = torch.arange(S) >= torch.tensor(SOURCE_LENGTHS)[:, None]
    memory = encoder(embed(tables[0], torch.tensor(SOURCE)), src_key_padding_mask=unseen)
    out = decoder(
        embed(tables[1], torch.tensor(INPUTS)), memory,
        tgt_mask=torch.triu(torch.ones(T, T, dtype=bool), 1), memory_key_padding_mask=unseen,
    )  # fmt: skip
    expected = (out @ tables[1].T).detach().numpy()
    params = {
        "source_embedding": {"tokens": {"embedding": jnp.asarray(tables[0].numpy())}},
        "embedding": {"tokens": {"embedding": jnp.asarray(tables[1].numpy())}},
        "encoder": params_of(encoder, pytorch.encoder(E)),
        "decoder": params_of(decoder, pytorch.decoder(E)),
    }  # fmt: skip
    apply = models.transformer(config(position)).apply
    np.testing.assert_allclose(apply(params, {}, BATCH)[0], expected, rtol=1e-11, atol=1e-12)
    single = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), params)
    np.testing.assert_allclose(apply(single, {}, BATCH)[0], expected, rtol=1e-5, atol=2e-5)


@pytest.mark.equation("L1139")
def test_padding_tokens_in_place_of_the_future_get_attention(x64):
    """D-72: T passes that a causal mask does in one, with other numbers for all but the last row."""
    model = models.transformer(config())
    params, _ = model.init(jax.random.key(0))
    # At their start the offsets of layers are 0 and tell nothing apart.
    params = jax.tree.map(lambda leaf: leaf + jax.random.normal(jax.random.key(1), leaf.shape) / 3,
                          params)  # fmt: skip
    right = model.apply(params, {}, BATCH)[0]
    literal = models.padded_prefixes(config(), params, BATCH, pad_id=0)
    assert (abs(literal - right).max((0, 2))[:-1] > 0.1).all()
    for t in range(T):  # the mask is what the prefix alone gives
        prefix = {**BATCH, "inputs": INPUTS[:, : t + 1]}
        np.testing.assert_allclose(
            model.apply(params, {}, prefix)[0][:, t], right[:, t], rtol=1e-12, atol=1e-12
        )
    # Without layers of padding behind it, the last row of one layer is the same in both.
    one = config()._replace(num_layers=1, encoder_layers=1)
    params, _ = models.transformer(one).init(jax.random.key(2))
    right = models.transformer(one).apply(params, {}, BATCH)[0]
    literal = models.padded_prefixes(one, params, BATCH, pad_id=0)
    np.testing.assert_allclose(literal[:, -1], right[:, -1], rtol=1e-12, atol=1e-12)
    assert (abs(literal - right).max((0, 2))[:-1] > 1e-3).all()
