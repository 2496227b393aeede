"""Attention by hand, against torch and flax, and what masks must do."""

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from jaxdl import layers
from jaxdl.interop import pytorch
from jaxdl.layers import attention as module

RNG = np.random.default_rng(0)
Q, K, V = (RNG.normal(size=shape) for shape in ((2, 4, 2, 3), (2, 5, 2, 3), (2, 5, 2, 6)))
MASK = RNG.random((2, 1, 4, 5)) < 0.6
MASK[0, 0, 2] = False  # this query sees nothing
MASKS = {
    "all": {},
    "mask": {"mask": MASK},
    "causal": {"causal": True},
    "both": {"mask": MASK, "causal": True},
    "past_by_row": {"causal": True, "past": np.array([0, 2])},
}


@pytest.mark.equation(33)
@pytest.mark.equation(34)
def test_one_query_by_hand():
    keys, values = jnp.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), jnp.array([[1.0], [2.0], [4.0]])
    alpha = scipy.special.softmax(np.array([2.0, 0.0, 2.0]) / np.sqrt(2))
    query = jnp.array([2.0, 0.0])
    np.testing.assert_allclose(layers.query_weights(query, keys), alpha, rtol=1e-6)
    expected = alpha @ [1, 2, 4]
    np.testing.assert_allclose(layers.attend(query, keys, values)[0], expected, rtol=1e-6)


def test_temperature_goes_from_the_best_value_to_the_mean():
    keys, values = jnp.array([[1.0], [3.0], [2.0]]), jnp.array([[1.0], [2.0], [6.0]])
    attend = jax.jit(lambda t: layers.attend(jnp.ones(1), keys, values, temperature=t)[0])
    for temperature, expected in ((0.0, 2.0), (1e-30, 2.0), (jnp.inf, 3.0), (1e9, 3.0)):
        np.testing.assert_allclose(attend(temperature), expected, rtol=1e-6)
    assert np.isfinite(jax.grad(attend)(0.0))
    tie = layers.query_weights(jnp.ones(1), jnp.array([[1.0], [1.0], [0.0]]), temperature=0.0)
    assert tie.tolist() == [0.5, 0.5, 0]


@pytest.mark.equation(35)
@pytest.mark.parametrize("settings", MASKS.values(), ids=MASKS)
def test_outputs_and_gradients_are_torchs(x64, settings):
    torch = pytest.importorskip("torch")
    allowed = np.ones((2, 1, 4, 5), bool)
    if settings.get("causal"):
        past = np.broadcast_to(settings.get("past", 1), 2)
        allowed = np.arange(5) <= (past[:, None, None, None] + np.arange(4)[:, None])
    allowed = torch.tensor(allowed & settings.get("mask", True))
    q, k, v = (torch.tensor(x).transpose(1, 2).requires_grad_() for x in (Q, K, V))
    scores = (q @ k.mT / 3**0.5).masked_fill(~allowed, -1e300)
    weights = torch.softmax(scores, -1).masked_fill(~allowed, 0)
    theirs = (weights @ v).transpose(1, 2)
    torch.sin(theirs).sum().backward()
    ours, seen = layers.dot_product_attention(Q, K, V, return_weights=True, **settings)
    np.testing.assert_allclose(ours, theirs.detach(), atol=1e-12)
    np.testing.assert_allclose(seen, weights.detach(), atol=1e-12)
    np.testing.assert_allclose(layers.attention_weights(Q, K, **settings), seen, atol=1e-12)
    chunked = lambda q, k, v, **s: layers.chunked_attention(
        q, k, v, query_chunk=3, key_chunk=2, **s
    )
    for attend in (layers.dot_product_attention, chunked):
        loss = lambda *qkv, attend=attend: jnp.sin(attend(*qkv, **settings)).sum()
        value, gradients = jax.jit(jax.value_and_grad(loss, (0, 1, 2)))(
            *map(jnp.asarray, (Q, K, V))
        )
        np.testing.assert_allclose(value, torch.sin(theirs).sum().item(), rtol=1e-12)
        for ours, theirs_x in zip(gradients, (q, k, v), strict=True):
            np.testing.assert_allclose(ours, theirs_x.grad.transpose(1, 2), atol=1e-12)


def test_a_query_that_sees_nothing_gives_zeros_and_no_gradient():
    q, k, v = (jnp.asarray(x, jnp.float32) for x in (Q, K, V))
    for attend in (layers.dot_product_attention, layers.chunked_attention):
        out = attend(q, k, v, mask=jnp.asarray(MASK))
        assert not out[0, 2].any() and out[0, 1].any()
        loss = lambda q, attend=attend: attend(q, k, v, mask=jnp.asarray(MASK)).sum()
        gradient = jax.grad(loss)(q)
        assert np.isfinite(gradient).all() and not gradient[0, 2].any()


def test_masks_act_before_the_softmax():
    """A masked key among equal ones: (1/2, 1/2, 0); weights set to zero later sum to 2/3 (D-73)."""
    q, k = jnp.zeros((1, 1, 1, 2)), jnp.zeros((1, 3, 1, 2))
    mask = jnp.array([True, True, False])[None, None, None]
    assert layers.attention_weights(q, k, mask=mask).ravel().tolist() == [0.5, 0.5, 0]
    literal = np.where(mask, layers.attention_weights(q, k), 0)
    np.testing.assert_allclose(literal.sum(), 2 / 3, rtol=1e-6)


@pytest.mark.equation("L1139")
def test_a_causal_mask_is_the_prefix_alone_and_padding_tokens_are_not(x64):
    """Later rows as padding tokens still get attention (D-72); masked, each prefix stands alone."""
    x = np.random.default_rng(1).normal(size=(1, 6, 1, 4)) / 2
    pad = np.ones(4)
    causal = layers.dot_product_attention(x, x, x, causal=True)
    for t in (1, 2, 3, 5):
        prefix = x[:, :t]
        alone = layers.dot_product_attention(prefix, prefix, prefix)[0, -1]
        np.testing.assert_allclose(causal[0, t - 1], alone, atol=1e-14)
        padded = np.concatenate([prefix, np.broadcast_to(pad, (1, 6 - t, 1, 4))], axis=1)
        weights = layers.attention_weights(padded, padded)[0, 0, t - 1]
        assert weights[t:].sum() > 0.02  # what the padding tokens take
        literal = layers.dot_product_attention(padded, padded, padded)[0, t - 1]
        assert abs(literal - alone).max() > 0.02


def test_cached_keys_are_seen_by_causal_queries():
    """Three cached keys, two new tokens: rows 11110 and 11111, not 10000 and 11000."""
    rows = layers.causal_mask(2, 5)[0, 0].astype(int).tolist()
    assert rows == [[1, 1, 1, 1, 0], [1, 1, 1, 1, 1]]
    by_row = layers.causal_mask(1, 3, past=jnp.array([0, 2]))[:, 0, 0].astype(int).tolist()
    assert by_row == [[1, 0, 0], [1, 1, 1]]


@pytest.mark.equation(37)
def test_self_attention_is_equivariant_until_positions_are_added(x64):
    """A position-wise map of all tokens together is not, with its weights as they are (D-78)."""
    x, order = jnp.asarray(RNG.normal(size=(6, 4))), np.array([3, 0, 5, 1, 4, 2])
    by_hand = scipy.special.softmax(np.asarray(x @ x.T) / 2, axis=-1) @ x
    np.testing.assert_allclose(layers.self_attention(x), by_hand, rtol=1e-12)
    np.testing.assert_allclose(layers.self_attention(x[order]), by_hand[order], atol=1e-14)
    placed = lambda x: layers.self_attention(x + layers.sinusoidal_positions(6, 4))
    assert abs(placed(x[order]) - placed(x)[order]).max() > 0.1
    flat = jnp.asarray(RNG.normal(size=(24, 24)))
    dense = lambda x: (x.ravel() @ flat).reshape(6, 4)
    assert abs(dense(x[order]) - dense(x)[order]).max() > 1


def test_long_vectors_get_more_than_a_tokens_own_weight():
    x = jnp.array([[1.0, 0.0], [3.0, 0.1], [0.0, 0.5]])[:, None]
    own, long = layers.attention_weights(x, x)[0, 0, :2]
    assert long > 0.7 > 0.25 > own  # D-69


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
def test_extreme_scores_are_finite(dtype):
    q = jnp.full((1, 2, 1, 4), 200.0, dtype)
    k = jnp.array([1.0, 2.0, -3.0], dtype)[None, :, None, None] * jnp.full(
        (1, 3, 1, 4), 50.0, dtype
    )
    v = jnp.arange(3.0, dtype=dtype)[None, :, None, None]
    for attend in (layers.dot_product_attention, layers.chunked_attention):
        out = attend(q, k, v)
        assert out.dtype == dtype and out.ravel().tolist() == [1, 1]
        gradient = jax.grad(lambda q, attend=attend: attend(q, k, v).sum().astype(float))(q)
        assert np.isfinite(gradient.astype(float)).all()


def test_chunked_attention_never_holds_all_weights():
    x = jax.ShapeDtypeStruct((1, 8192, 1, 16), jnp.float32)

    def memory(attend):
        loss = lambda q, k, v: attend(q, k, v, causal=True).sum()
        compiled = jax.jit(jax.grad(loss, (0, 1, 2))).lower(x, x, x).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert memory(layers.chunked_attention) < memory(layers.dot_product_attention) / 10


def test_attention_has_no_loop():
    """All queries at once, unlike a recurrence (E-51)."""
    x = jnp.ones((1, 4, 1, 2))
    assert "while" not in jax.jit(layers.dot_product_attention).lower(x, x, x).as_text()


def test_cudnn_is_chosen_where_it_applies_and_told_what_to_mask(monkeypatch):
    q = jnp.asarray(RNG.normal(size=(2, 1, 4, 8)), jnp.bfloat16)
    choose = module.choose_implementation
    assert choose("auto", q, q, q) == "plain"
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert choose("auto", q, q, q) == "cudnn"
    assert choose("auto", q, q, q, needs_weights=True) == "plain"
    wide = jnp.zeros((2, 1, 4, 136), jnp.bfloat16)
    for k, v in ((q.astype(jnp.float32),) * 2, (q, q[..., :4]), (wide, wide)):
        assert choose("auto", k, k, v) == "plain"
    assert choose("plain", q, q, q) == "plain"
    inner = jax.nn.dot_product_attention
    reference = lambda *a, implementation, **s: inner(*a, implementation="xla", **s)
    monkeypatch.setattr(jax.nn, "dot_product_attention", reference)
    mask = jnp.asarray(MASK[:, :, :, :4])
    x = jnp.swapaxes(q, 1, 2)
    for settings in ({}, {"causal": True}, {"mask": mask}, {"mask": mask, "causal": True}):
        expected = layers.dot_product_attention(x, x, x, implementation="plain", **settings)
        ours = layers.dot_product_attention(x, x, x, **settings)
        np.testing.assert_allclose(ours.astype(float), expected.astype(float), atol=0.03)


@pytest.mark.equation(36)
@pytest.mark.equation("L1045")
def test_multi_head_attention_is_torchs_with_widths_of_its_own(x64):
    torch = pytest.importorskip("torch")
    theirs = torch.nn.MultiheadAttention(
        4, 2, kdim=3, vdim=5, bias=True, batch_first=True, dtype=torch.float64
    )
    query, keys, values = (RNG.normal(size=(2, n, d)) for n, d in ((3, 4), (5, 3), (5, 5)))
    torch.nn.init.normal_(theirs.in_proj_bias)
    weights = {name: value.numpy() for name, value in theirs.state_dict().items()}
    params, _ = pytorch.from_torch(pytorch.attention(2), weights)
    shapes = jax.eval_shape(lambda: layers.multi_head_attention_init(
        jax.random.key(0), 4, 2, kv_dim=3, value_dim=5, use_bias=True
    ))  # fmt: skip
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(lambda s: s.shape, shapes)
    expected, seen = theirs(*map(torch.tensor, (query, keys, values)), average_attn_weights=False)
    ours, weights = layers.multi_head_attention(params, query, keys, values, return_weights=True)
    np.testing.assert_allclose(ours, expected.detach(), atol=1e-14)
    np.testing.assert_allclose(weights, seen.detach(), atol=1e-14)


def test_multi_head_attention_is_flaxs():
    x = jnp.asarray(RNG.normal(size=(2, 3, 4)), jnp.float32)
    mask = layers.padding_mask(jnp.array([3, 2]), 3)
    params = layers.multi_head_attention_init(jax.random.key(0), 4, 2, use_bias=True)
    theirs = flax.linen.MultiHeadDotProductAttention(num_heads=2)
    expected = theirs.apply({"params": params}, x, x, mask=mask)
    np.testing.assert_allclose(
        layers.multi_head_attention(params, x, mask=mask), expected, rtol=1e-5, atol=1e-6
    )


def test_widths_of_heads_and_offsets(key):
    params = layers.multi_head_attention_init(key, 5, 2, key_width=3, value_width=4, out_features=7)
    assert all(set(part) == {"kernel"} for part in params.values())  # no offsets by default
    shapes = [params[n]["kernel"].shape for n in ("query", "key", "value", "out")]
    assert shapes == [(5, 2, 3), (5, 2, 3), (5, 2, 4), (2, 4, 7)]
    assert layers.multi_head_attention(params, jnp.ones((2, 3, 5))).shape == (2, 3, 7)
    with pytest.raises(ValueError, match="5 features do not divide into 2 heads"):
        layers.multi_head_attention_init(jax.random.key(1), 5, 2)


def test_what_is_refused():
    x = jnp.ones((1, 2, 1, 3))
    for wrong, match in (
        ({"mask": jnp.ones((1, 1, 2, 2))}, "boolean"),
        ({"mask": jnp.ones((2, 2), bool)}, r"\[1, 1, 2, 2\]"),
        ({"implementation": "plane"}, "did you mean 'plain'"),
        ({"implementation": "chunked", "return_weights": True}, "holds no weights"),
        ({"causal": True, "past": jnp.array([0, 1])}, "one for each row"),
    ):
        with pytest.raises(ValueError, match=match):
            layers.dot_product_attention(x, x, x, **wrong)
    with pytest.raises(ValueError, match=r"not \[1, 2, 1, 3\], \[1, 2, 1, 4\]"):
        layers.dot_product_attention(x, jnp.ones((1, 2, 1, 4)), x)
    with pytest.raises(ValueError, match="2 causal queries on 1 keys"):
        layers.dot_product_attention(x, x[:, :1], x[:, :1], causal=True)
    with pytest.raises(ValueError, match="needs a key"):
        layers.dot_product_attention(x, x, x, dropout=0.5, train=True)


def test_chunks_hold_no_weights_to_drop_and_need_none_where_nothing_is_dropped(key):
    x = jnp.arange(12.0).reshape(1, 3, 1, 4) / 12
    attend = lambda **how: layers.dot_product_attention(x, x, x, train=True, **how)
    with pytest.raises(ValueError, match="chunked"):
        attend(dropout=0.5, key=key, implementation="chunked")
    np.testing.assert_allclose(attend(implementation="chunked"), attend(), rtol=1e-5)
