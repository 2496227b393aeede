"""Our parameters in linen modules: the oracle is flax's forward pass on them."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import layers, models
from jaxdl.interop.flax import from_variables, to_variables

D, H, K = 3, 4, 2
X = np.random.default_rng(0).normal(size=(5, D)).astype(np.float32)


def moved(tree):
    """No offset of zero, no scale of one, no two entries alike."""
    return jax.tree.map(
        lambda p: p + 0.3 * jnp.cos(1.0 + jnp.arange(p.size)).reshape(p.shape) ** 2, tree
    )


def same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


class Compact(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        x = nn.Dense(H, use_bias=False)(x)
        x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(x)
        return nn.Dense(K)(nn.relu(x))


@pytest.mark.smoke
def test_a_network_with_its_statistics_in_a_compact_module(key):
    net = models.mlp((D, H, K), norm="batch")
    params, state = moved(net.init(key))
    names = {"dense": "Dense", "norm": "BatchNorm"}
    variables = to_variables(params, state, names=names)
    expected = Compact().init(key, X, False)
    assert jax.tree.map(jnp.shape, variables) == jax.tree.map(jnp.shape, expected)
    eta = Compact().apply(variables, X, False)
    np.testing.assert_allclose(net.apply(params, state, X)[0], eta, rtol=1e-5, atol=1e-6)
    same(from_variables(variables, names=names), (params, state))


CELLS = {
    "simple": (layers.simple_cell, nn.SimpleCell),
    "lstm": (layers.lstm_cell, nn.LSTMCell),
    "gru": (layers.gru_cell, nn.GRUCell),
}


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("name", CELLS)
def test_cells_are_flaxs_both_ways(name, use_bias, key):
    make, theirs = CELLS[name]
    cell = make(D, H, use_bias=use_bias)
    params = moved(cell.init(key))
    h, c = (np.cos(i + np.arange(5.0 * H)).reshape(5, H).astype(np.float32) for i in (0, 1))
    carry = (c, h) if name == "lstm" else (h,)
    variables = to_variables({"cell": params})["params"]["cell"]
    shapes = theirs(H).init(key, carry if name == "lstm" else h, X)["params"]
    assert jax.tree.map(jnp.shape, variables) == jax.tree.map(jnp.shape, shapes)
    _, expected = theirs(H).apply({"params": variables}, carry if name == "lstm" else h, X)
    np.testing.assert_allclose(cell.step(params, carry, X)[1], expected, rtol=1e-5, atol=1e-6)
    back, state = from_variables({"params": {"cell": variables}})
    assert state == {}
    if use_bias:
        same(back["cell"], params)
    np.testing.assert_allclose(
        make(D, H).step(back["cell"], carry, X)[1], expected, rtol=1e-5, atol=1e-6
    )


@pytest.mark.slow
def test_attention_and_transposed_convolutions_are_flaxs_as_they_are(key, allow_key_reuse):
    params = moved(layers.multi_head_attention_init(key, H, 2, use_bias=True))
    x = jnp.asarray(np.cos(np.arange(24.0)).reshape(2, 3, H), jnp.float32)
    theirs = nn.MultiHeadDotProductAttention(2)
    expected = theirs.apply(to_variables(params), x, x)
    np.testing.assert_allclose(layers.multi_head_attention(params, x), expected, atol=1e-5)
    params = moved(layers.conv_transpose_init(key, (3, 2), H, K))
    image = jnp.cos(jnp.arange(2.0 * 3 * 3 * H)).reshape(2, 3, 3, H)
    theirs = nn.ConvTranspose(K, (3, 2), strides=(2, 2), padding="VALID")
    ours = layers.conv_transpose(params, image, stride=2, flip_kernel=True)
    np.testing.assert_allclose(ours, theirs.apply(to_variables(params), image), atol=1e-5)


def test_what_flax_has_not_is_refused(key, allow_key_reuse):
    learned = layers.gru_cell(D, H, initial="learned").init(key)
    before = layers.gru_cell(D, H, reset="before").init(key)
    with pytest.raises(ValueError, match="not at a learned one"):
        to_variables({"cell": learned})
    with pytest.raises(ValueError, match='reset="after"'):
        to_variables(before)
    with pytest.raises(ValueError, match=r"not \['cache'\]"):
        from_variables({"params": {}, "cache": {}})
    # Layers that are only called like those of a cell are left as they are.
    params = {"i": {"scale": jnp.ones(1)}, "h": {"scale": jnp.ones(1)}}
    same(from_variables({"params": params})[0], params)
