"""Encoder and decoder layers against torch's, and the notes' text against itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import layers
from jaxdl.interop import pytorch

D, H, E = 4, 6, 2
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(2, 5, D)), RNG.normal(size=(2, 3, D))
LENGTHS = np.array([5, 3])


def params_of(theirs):
    weights = {name: value.numpy() for name, value in theirs.state_dict().items()}
    decoder = hasattr(theirs, "multihead_attn")
    layout = pytorch.decoder_layer(E) if decoder else pytorch.encoder_layer(E)
    return pytorch.from_torch(layout, weights)[0]


def torch_layer(kind, pre):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    layer = getattr(torch.nn, kind)(
        D, E, H, dropout=0.0, batch_first=True, norm_first=pre, dtype=torch.float64
    )
    for parameter in layer.parameters():  # no offset of zero, no scale of one
        torch.nn.init.normal_(parameter, std=0.5)
    return torch, layer


@pytest.mark.equation(41)
@pytest.mark.equation(42)
@pytest.mark.equation(43)
@pytest.mark.equation("L1117")
@pytest.mark.parametrize("position", ["post", "pre"])
def test_encoder_layers_are_torchs(x64, position):
    torch, theirs = torch_layer("TransformerEncoderLayer", position == "pre")
    padded = torch.arange(5) >= torch.tensor(LENGTHS)[:, None]
    expected = theirs.train()(torch.tensor(X), src_key_padding_mask=padded).detach().numpy()
    mask = layers.padding_mask(LENGTHS, 5)
    settings = {"mask": mask, "norm_position": position, "epsilon": 1e-5}
    ours, weights = layers.encoder_layer(
        params_of(theirs), jnp.asarray(X), return_weights=True, **settings
    )
    np.testing.assert_allclose(ours, expected, atol=1e-13)
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-12)
    assert not weights[1, :, :, 3:].any()
    single = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), params_of(theirs))
    ours = layers.encoder_layer(single, jnp.asarray(X, jnp.float32), **settings)
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.equation(44)
@pytest.mark.equation(45)
@pytest.mark.equation(46)
@pytest.mark.equation(47)
@pytest.mark.parametrize("position", ["post", "pre"])
def test_decoder_layers_are_torchs_and_the_notes_query_is_not(x64, position):
    torch, theirs = torch_layer("TransformerDecoderLayer", position == "pre")
    expected = theirs.train()(
        torch.tensor(Y),
        torch.tensor(X),
        tgt_mask=torch.triu(torch.ones(3, 3, dtype=bool), 1),
        memory_key_padding_mask=torch.arange(5) >= torch.tensor(LENGTHS)[:, None],
    ).detach()
    params, mask = params_of(theirs), layers.padding_mask(LENGTHS, 5)
    settings = {"source_mask": mask, "norm_position": position, "epsilon": 1e-5}
    ours = layers.decoder_layer(params, jnp.asarray(Y), jnp.asarray(X), **settings)
    np.testing.assert_allclose(ours, expected, atol=1e-13)
    if position == "post":  # (46) as printed: the query is the layer's input (D-75)
        norm = lambda i, x: layers.layer_norm(params[f"norm_{i}"], x, epsilon=1e-5)
        attend = layers.multi_head_attention
        y1 = norm(0, Y + attend(params["attention"], jnp.asarray(Y), causal=True))
        from_source = attend(params["source_attention"], jnp.asarray(Y), jnp.asarray(X), mask=mask)
        y2 = norm(1, y1 + from_source)
        literal = norm(2, y2 + layers.position_wise_ffn(params["ffn"], y2))
        assert abs(literal - ours).max() > 0.02


def test_the_skip_path_of_pre_ln_is_not_normalised(key):
    """Both parts giving 0, x = (0, 10) stays; normalised it would be (-1, 1)."""
    params = layers.encoder_layer_init(key, 2, 1, 3)
    params["attention"]["out"]["kernel"] *= 0
    params["ffn"]["dense_1"]["kernel"] *= 0
    x = jnp.array([[0.0, 10.0]])
    assert layers.encoder_layer(params, x, norm_position="pre").tolist() == [[0, 10]]
    post = layers.encoder_layer(params, x, norm_position="post")
    np.testing.assert_allclose(post, [[-1, 1]], atol=1e-5)


@pytest.mark.equation("L1117")
def test_the_network_sees_each_position_alone(key):
    params = layers.position_wise_ffn_init(key, D, H)
    x = jnp.asarray(X, jnp.float32)
    order = np.array([2, 0, 1, 4, 3])
    apply = lambda x: layers.position_wise_ffn(params, x)
    np.testing.assert_allclose(apply(x[:, order]), apply(x)[:, order], rtol=1e-6)
    assert jax.tree.map(jnp.shape, params) == {
        "dense_0": {"kernel": (D, H), "bias": (H,)},
        "dense_1": {"kernel": (H, D), "bias": (D,)},
    }


def test_widths_of_source_and_target_may_differ(key):
    params = layers.decoder_layer_init(key, D, E, H, source_features=7)
    y = layers.decoder_layer(params, jnp.ones((2, 3, D)), jnp.ones((2, 5, 7)))
    assert y.shape == (2, 3, D)  # D-76
    with pytest.raises(ValueError, match="dense expects x"):
        layers.decoder_layer(params, jnp.ones((2, 3, D)), jnp.ones((2, 5, D)))
    with pytest.raises(ValueError, match="did you mean 'post'"):
        layers.decoder_layer(params, jnp.ones((1, D)), jnp.ones((1, 7)), norm_position="posts")
