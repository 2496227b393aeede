"""PyTorch's weights in our layouts: the oracle is PyTorch's own forward pass."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import layers, models
from jaxdl.base import Sequences
from jaxdl.interop import pytorch
from jaxdl.interop.pytorch import from_torch, to_torch

RNG = np.random.default_rng(0)
D, E, H = 4, 2, 6


def draw(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def module(kind, *args, **settings):
    """A module of PyTorch's with no parameter at its start, and its arrays."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    made = getattr(torch.nn, kind)(*args, **settings)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return made.eval(), {name: value.numpy() for name, value in made.state_dict().items()}


def answer(made, *inputs, **settings):
    import torch

    with torch.no_grad():
        return made(*(torch.tensor(np.asarray(x)) for x in inputs), **settings)


def channels_first(x):
    return np.moveaxis(x, -1, 1)


IMAGES, SIGNALS = draw(2, 5, 6, 4), draw(2, 5, 4)
CASES = {
    "linear": (("Linear", 4, 3), pytorch.linear, layers.dense, draw(2, 4), {}),
    "no_offset": (("Linear", 4, 3, False), pytorch.linear, layers.dense, draw(2, 4), {}),
    "conv1d": (("Conv1d", 4, 6, 3), pytorch.conv, layers.conv, SIGNALS, {}),
    "conv2d": (("Conv2d", 4, 6, (3, 2)), pytorch.conv, layers.conv, IMAGES, {}),
    "conv3d": (("Conv3d", 4, 3, (2, 1, 3)), pytorch.conv, layers.conv, draw(2, 3, 2, 4, 4), {}),
    "groups": (("Conv2d", 4, 6, 2, 1, 0, 1, 2), pytorch.conv, layers.conv, IMAGES, {"groups": 2}),
    "conv_transpose1d": (("ConvTranspose1d", 4, 3, 2, 2), pytorch.conv_transpose,
                         layers.conv_transpose, SIGNALS, {"stride": 2}),
    "conv_transpose2d": (("ConvTranspose2d", 4, 3, (3, 2), 2), pytorch.conv_transpose,
                         layers.conv_transpose, IMAGES, {"stride": 2}),
    "layer_norm": (("LayerNorm", 4), pytorch.layer_norm, layers.layer_norm, draw(2, 4),
                   {"epsilon": 1e-5}),
    "group_norm": (("GroupNorm", 2, 4), pytorch.layer_norm, layers.group_norm, IMAGES, {"groups": 2}),
}  # fmt: skip


SLOW = ("conv1d", "conv3d", "conv_transpose1d", "no_offset")  # their code is that of others


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in CASES]
)
def test_layers_are_pytorchs_and_go_back(name):
    made, layout, apply, x, settings = CASES[name]
    theirs, weights = module(*made)
    spatial = x.ndim > 2
    expected = answer(theirs, channels_first(x) if spatial else x).numpy()
    params, state = from_torch(layout(), weights)
    ours = apply(params, jnp.asarray(x), **settings)
    np.testing.assert_allclose(channels_first(ours) if spatial else ours, expected, atol=1e-5)
    assert state == {}
    back = to_torch(layout(), params)
    assert back.keys() == weights.keys()
    for key, value in weights.items():
        np.testing.assert_array_equal(back[key], value)
        assert back[key].flags.writeable and back[key].flags.c_contiguous


def test_embeddings_are_pytorchs():
    theirs, weights = module("Embedding", 5, 3)
    params, _ = from_torch(pytorch.embedding(), weights)
    tokens = np.array([[4, 0, 2]])
    np.testing.assert_array_equal(layers.embedding(params, tokens), answer(theirs, tokens))
    np.testing.assert_array_equal(
        to_torch(pytorch.embedding(), params)["weight"], weights["weight"]
    )


def test_batch_normalisation_has_its_statistics_in_the_state():
    theirs, weights = module("BatchNorm1d", 4)
    x = draw(7, 4)
    for _ in range(2):  # statistics away from their start, and two that differ
        theirs.train()
        answer(theirs, 2 * x + 1)
    weights = {name: value.numpy() for name, value in theirs.eval().state_dict().items()}
    params, state = from_torch(pytorch.batch_norm(), weights)
    y, _ = layers.batch_norm(params, state, jnp.asarray(x))
    np.testing.assert_allclose(y, answer(theirs, x), atol=1e-5)
    back = to_torch(pytorch.batch_norm(), params, state)
    assert back.keys() | {"num_batches_tracked"} == weights.keys()
    theirs.load_state_dict({k: theirs.weight.new_tensor(v) for k, v in back.items()}, strict=False)
    np.testing.assert_allclose(y, answer(theirs, x), atol=1e-5)


CELLS = {"RNN": layers.simple_cell, "LSTM": layers.lstm_cell, "GRU": layers.gru_cell}


@pytest.mark.parametrize("bias", [True, pytest.param(False, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "kind", ["GRU", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("RNN", "LSTM"))]
)
def test_cells_are_pytorchs_both_ways(kind, bias):
    """Their two offsets are one of ours; what is written back gives the same steps there."""
    theirs, weights = module(f"{kind}Cell", D, H, bias)
    params, _ = from_torch(pytorch.cell(), weights)
    shapes = jax.eval_shape(CELLS[kind](D, H, use_bias=bias).init, jax.random.key(0))
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(lambda s: s.shape, shapes)
    x, h, c = draw(3, D), draw(3, H), draw(3, H)
    ours = CELLS[kind](D, H).step(params, (c, h) if kind == "LSTM" else (h,), x)[1]
    torch = pytest.importorskip("torch")
    start = tuple(map(torch.tensor, (h, c))) if kind == "LSTM" else torch.tensor(h)
    step = lambda: theirs(torch.tensor(x), start)
    first = lambda out: (out[0] if kind == "LSTM" else out).detach()
    np.testing.assert_allclose(ours, first(step()), atol=1e-5)
    back = to_torch(pytorch.cell(), params)
    assert back.keys() == weights.keys()
    theirs.load_state_dict({name: torch.from_numpy(value) for name, value in back.items()})
    np.testing.assert_allclose(ours, first(step()), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "both"), [("LSTM", True), ("GRU", False)])
def test_stacks_of_recurrent_layers_are_pytorchs(kind, both):
    theirs, weights = module(kind, D, H, num_layers=2, batch_first=True, bidirectional=both)
    params, _ = from_torch(pytorch.recurrent(), weights)
    make = lambda d: (CELLS[kind](d, H), CELLS[kind](d, H)) if both else CELLS[kind](d, H)
    stack = [make(d) for d in (D, 2 * H if both else H)]
    x = draw(3, 5, D)
    _, y = layers.stacked(stack, params, Sequences(jnp.asarray(x), jnp.full(3, 5)))
    np.testing.assert_allclose(y, answer(theirs, x)[0], atol=1e-5)
    back = to_torch(pytorch.recurrent(), params, prefix="rnn")
    assert back.keys() == {f"rnn.{name}" for name in weights}
    again, _ = from_torch(pytorch.recurrent(), back, "rnn")
    jax.tree.map(np.testing.assert_array_equal, again, params)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        *(
            pytest.param(s, marks=pytest.mark.slow)
            for s in ({"kdim": 3, "vdim": 5}, {"bias": False})
        ),
    ],
)
def test_attention_is_pytorchs(settings):
    theirs, weights = module("MultiheadAttention", D, E, batch_first=True, **settings)
    q, k, v = (
        draw(2, 3, D),
        draw(2, 5, settings.get("kdim", D)),
        draw(2, 5, settings.get("vdim", D)),
    )
    params, _ = from_torch(pytorch.attention(E), weights)
    ours = layers.multi_head_attention(params, q, k, v)
    np.testing.assert_allclose(ours, answer(theirs, q, k, v)[0], atol=1e-5)
    back = to_torch(pytorch.attention(E), params)
    assert back.keys() == weights.keys()
    for name, value in weights.items():
        np.testing.assert_array_equal(back[name], value)


@pytest.mark.slow
def test_stacks_of_transformer_layers_are_pytorchs():
    settings = {"dropout": 0.0, "batch_first": True, "norm_first": True}
    encoder, _ = module("TransformerEncoderLayer", D, E, H, **settings)
    decoder, _ = module("TransformerDecoderLayer", D, E, H, **settings)
    torch = pytest.importorskip("torch")
    norm = lambda: torch.nn.LayerNorm(D)
    encoder, _ = module("TransformerEncoder", encoder, 2, norm(), enable_nested_tensor=False)
    decoder, _ = module("TransformerDecoder", decoder, 2, norm())
    x, y = draw(2, 5, D), draw(2, 3, D)
    for theirs, layout, inputs, layer in (
        (encoder, pytorch.encoder(E), (x,), layers.encoder_layer),
        (decoder, pytorch.decoder(E), (y, x), layers.decoder_layer),
    ):
        weights = {name: value.numpy() for name, value in theirs.state_dict().items()}
        params, _ = from_torch(layout, weights)
        causal = {} if layer is layers.encoder_layer else {"causal": False}
        out = jnp.asarray(inputs[0])
        for i in range(2):
            one = params[f"layer_{i}"]
            out = layer(one, out, *inputs[1:], norm_position="pre", epsilon=1e-5, **causal)
        out = layers.layer_norm(params["norm"], out, epsilon=1e-5)
        np.testing.assert_allclose(out, answer(theirs, *inputs), atol=1e-5)
        back = to_torch(layout, params)
        assert back.keys() == weights.keys()
        for name, value in weights.items():
            np.testing.assert_array_equal(back[name], value)


def test_a_whole_network_with_its_state():
    torch = pytest.importorskip("torch")
    net = models.mlp((3, 4, 2), norm="batch")
    params, state = net.init(jax.random.key(0))
    move = lambda leaf: leaf + jnp.asarray(draw(*leaf.shape)) ** 2
    params, state = jax.tree.map(move, (params, state))
    layout = pytorch.parts({
        "dense_0": ("0", pytorch.linear()), "norm_0": ("1", pytorch.batch_norm()),
        "dense_1": ("3", pytorch.linear()),
    })  # fmt: skip
    theirs = torch.nn.Sequential(
        torch.nn.Linear(3, 4, bias=False), torch.nn.BatchNorm1d(4), torch.nn.ReLU(),
        torch.nn.Linear(4, 2),
    )  # fmt: skip
    weights = to_torch(layout, params, state, prefix="net")
    bare = {k.removeprefix("net."): torch.from_numpy(v) for k, v in weights.items()}
    theirs.load_state_dict(bare)
    x = draw(5, 3)
    np.testing.assert_allclose(
        net.apply(params, state, x)[0], answer(theirs.eval(), x), rtol=1e-5, atol=1e-5
    )
    back = from_torch(layout, weights, "net")
    jax.tree.map(np.testing.assert_array_equal, back, (params, state))


@pytest.mark.smoke
def test_what_does_not_fit_is_said_in_one_line():
    w, b = draw(3, 4), draw(3)
    for weights, message in (
        ({"bias": b}, "no 'weight'; there are bias"),
        ({"weigth": w}, "did you mean 'weigth'"),
        ({"weight": w, "bias": b, "scale": b}, r"no place for 'scale'; it knows bias, weight"),
        ({"weight": w, "bias": b[:2]}, r"'bias' is \[3\] in this layout, not \[2\]"),
        ({"weight": draw(3, 4, 2)}, r"'weight' is \[\*, \*\] in this layout, not \[3, 4, 2\]"),
    ):
        with pytest.raises(ValueError, match=message):
            from_torch(pytorch.linear(), weights)
    lstm = {"weight_ih": draw(20, 3), "weight_hh": draw(20, 5), "bias_ih": draw(20)}
    with pytest.raises(ValueError, match="no 'bias_hh'"):
        from_torch(pytorch.cell(), lstm)
    with pytest.raises(ValueError, match="G of 1, 3 or 4"):
        from_torch(pytorch.cell(), {"weight_hh": draw(10, 5)})
    with pytest.raises(ValueError, match=r"no place for 'l\.weight_hr_l0'"):
        names = {"l.weight_ih_l0": draw(20, 3), "l.weight_hh_l0": draw(20, 5), "l.weight_hr_l0": b}
        from_torch(pytorch.recurrent(), names, "l")
    with pytest.raises(ValueError, match="no 'in_proj_weight'"):
        from_torch(pytorch.attention(2), {"out_proj.weight": w})
    with pytest.raises(ValueError, match="no multiple of 3"):
        from_torch(pytorch.attention(3), {"in_proj_weight": draw(12, 4)})
    with pytest.raises(ValueError, match=r"no 'norm1\.weight'"):
        part = to_torch(pytorch.attention(2), heads(2, 2), prefix="self_attn")
        from_torch(pytorch.encoder_layer(2), part)


def heads(key_width, num_heads, **settings):
    return layers.multi_head_attention_init(
        jax.random.key(0), D, num_heads, key_width=key_width, **settings
    )


def test_what_pytorch_has_not_is_not_written():
    learned = layers.gru_cell(2, 3, initial="learned").init(jax.random.key(0))
    before = layers.gru_cell(2, 3, reset="before").init(jax.random.key(0))
    some = heads(2, 2)
    some["out"]["bias"] = jnp.zeros(D)
    for layout, params, message in (
        (pytorch.cell(), learned, "has .'input', 'recurrent'. of ours, not .'initial'"),
        (pytorch.cell(), before, 'reset="after"'),
        (pytorch.attention(2), heads(3, 2), "heads of 4 features have the widths 4 / 2"),
        (pytorch.attention(2), heads(1, 4), "have the widths"),
        (pytorch.attention(2), some, "in all of its maps, or in none"),
        (pytorch.linear(), {"kernel": jnp.ones((2, 2, 2))}, "3 axes, not one of"),
        (pytorch.parts({"a": ("0", pytorch.linear())}), {"b": 1}, r"\['a'\] of ours, not \['b'\]"),
    ):
        with pytest.raises(ValueError, match=message):
            to_torch(layout, params)
