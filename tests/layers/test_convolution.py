"""Convolutions against loops in NumPy, SciPy and torch, by each lowering."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal

from jaxdl import layers
from jaxdl.layers import lowering as lowered

FORMS = ("native", "slices", "sums")
forms = pytest.mark.parametrize("form", FORMS)

# Keywords of conv, and the sizes (spatial, filter, d_in, d_out).
SETTINGS = {
    "plain": ({}, ((5, 6), (3, 3), 2, 4)),
    "same": ({"padding": "same"}, ((5, 6), (2, 3), 1, 3)),
    "strided": ({"stride": (2, 3), "padding": 1}, ((6, 7), (3, 2), 2, 3)),
    "sides": ({"padding": ((0, 2), (1, 0)), "stride": 2}, ((5, 4), (3, 3), 2, 2)),
    "dilated": ({"dilation": (2, 1), "padding": 2}, ((6, 5), (3, 3), 9, 2)),
    "grouped": ({"groups": 2, "padding": 1}, ((4, 4), (3, 3), 4, 6)),
    "depthwise": ({"groups": 3, "stride": 2}, ((5, 5), (2, 2), 3, 6)),
    "signal": ({"stride": 2, "dilation": 2, "padding": "same"}, ((9,), (3,), 2, 3)),
}
settings = pytest.mark.parametrize("name", SETTINGS)


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def example(name, dtype=np.float64):
    keywords, (spatial, sizes, d_in, d_out) = SETTINGS[name]
    groups = keywords.get("groups", 1)
    params = {"kernel": draw(*sizes, d_in // groups, d_out, seed=1), "bias": draw(d_out, seed=2)}
    to = lambda a: jnp.asarray(a, dtype)
    return keywords, {k: to(v) for k, v in params.items()}, to(draw(2, *spatial, d_in))


def pairs(padding, spatial, reach, strides):
    if padding == "same":
        total = [
            max((-(-n // s) - 1) * s + f - n, 0)
            for n, f, s in zip(spatial, reach, strides, strict=True)
        ]
        return [(t // 2, t - t // 2) for t in total]
    return [(padding, padding)] * len(spatial) if isinstance(padding, int) else padding


def by_loops(params, x, stride=1, padding=0, dilation=1, groups=1):
    """The definition, one output after the other."""
    kernel, bias = np.asarray(params["kernel"]), np.asarray(params["bias"])
    rank = kernel.ndim - 2
    each = lambda v: v if isinstance(v, tuple) else (v,) * rank
    strides, dilations = each(stride), each(dilation)
    reach = [d * (f - 1) + 1 for d, f in zip(dilations, kernel.shape, strict=False)]
    around = pairs(padding, x.shape[1:-1], reach, strides)
    x = np.pad(np.asarray(x), [(0, 0), *around, (0, 0)])
    sizes = [(n - r) // s + 1 for n, r, s in zip(x.shape[1:-1], reach, strides, strict=True)]
    d_in, d_out = kernel.shape[-2:]
    y = np.zeros((len(x), *sizes, d_out)) + bias
    for place in np.ndindex(*sizes):
        for cell in np.ndindex(*kernel.shape[:-2]):
            at = tuple(
                s * p + d * c for s, p, d, c in zip(strides, place, dilations, cell, strict=True)
            )
            for k in range(d_out):
                first = k // (d_out // groups) * d_in
                seen = x[(slice(None), *at, slice(first, first + d_in))]
                y[(slice(None), *place, k)] += seen @ kernel[(*cell, slice(None), k)]
    return y


@pytest.mark.equation("L913")
@forms
@settings
def test_the_definition_in_float64_by_each_lowering(x64, name, form):
    keywords, params, x = example(name)
    y = layers.conv(params, x, lowering=form, **keywords)
    np.testing.assert_allclose(y, by_loops(params, x, **keywords), atol=1e-10)


def torch_conv(name, params, x, keywords):
    """torch's outputs and its gradients of sum sin(y), in our layout."""
    torch = pytest.importorskip("torch")
    rank = x.ndim - 2
    leaf = lambda a, order: torch.tensor(np.asarray(a).transpose(order)).requires_grad_()
    channels_first = (0, rank + 1, *range(1, rank + 1))
    theirs = leaf(x, channels_first)
    kernel = leaf(params["kernel"], (rank + 1, rank, *range(rank)))
    bias = leaf(params["bias"], (0,))
    each = lambda v: v if isinstance(v, tuple) else (v,) * rank
    strides, dilations = each(keywords.get("stride", 1)), each(keywords.get("dilation", 1))
    reach = [d * (f - 1) + 1 for d, f in zip(dilations, params["kernel"].shape, strict=False)]
    around = pairs(keywords.get("padding", 0), x.shape[1:-1], reach, strides)
    padded = torch.nn.functional.pad(theirs, [p for pair in around[::-1] for p in pair])
    function = getattr(torch.nn.functional, f"conv{rank}d")
    y = function(padded, kernel, bias, strides, 0, dilations, keywords.get("groups", 1))
    y.sin().sum().backward()
    back = (0, *range(2, rank + 2), 1)
    gradients = {
        "kernel": kernel.grad.numpy().transpose(*range(2, rank + 2), 1, 0),
        "bias": bias.grad.numpy(),
    }
    return y.detach().numpy().transpose(back), gradients, theirs.grad.numpy().transpose(back)


@settings
@pytest.mark.parametrize(("dtype", "atol"), [(np.float64, 1e-10), (np.float32, 1e-5)])
def test_outputs_and_gradients_are_torchs(x64, name, dtype, atol):
    keywords, params, x = example(name, dtype)
    expected, of_params, of_x = torch_conv(name, params, x, keywords)

    def loss(params, x):
        y = layers.conv(params, x, lowering="slices", **keywords)
        return jnp.sum(jnp.sin(y)), y

    gradients, y = jax.jit(jax.grad(loss, argnums=(0, 1), has_aux=True))(params, x)
    assert y.dtype == dtype
    np.testing.assert_allclose(y, expected, rtol=atol, atol=atol)
    for ours, theirs in zip(
        jax.tree.leaves(gradients), jax.tree.leaves((of_params, of_x)), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=10 * atol, atol=10 * atol)


@settings
def test_gradients_of_all_lowerings_agree_under_scan_and_over_members(x64, name):
    keywords, params, x = example(name)
    members = jax.tree.map(lambda a: jnp.stack([a, -0.5 * a]), params)

    def gradients(form):
        def step(total, x):
            loss = lambda p: jnp.sum(jnp.sin(layers.conv(p, x, lowering=form, **keywords)))
            return jax.tree.map(jnp.add, total, jax.grad(loss)(total)), None

        one = lambda params: jax.lax.scan(step, params, jnp.stack([x, 2 * x]))[0]
        return jax.jit(jax.vmap(one))(members)

    native = gradients("native")
    for form in ("slices", "sums"):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, atol=1e-10), gradients(form), native
        )


def test_it_is_scipys_correlation_and_flipped_its_convolution(x64):
    image, kernel = draw(6, 7), draw(3, 2)
    params = {"kernel": jnp.asarray(kernel)[..., None, None]}
    x = jnp.asarray(image)[..., None]
    for mode in ("valid", "same"):
        odd = (
            {"padding": ((1, 1), (1, 0))} if mode == "same" else {}
        )  # SciPy's odd cell is in front
        ours = layers.conv(params, x, **odd)[..., 0]
        np.testing.assert_allclose(ours, scipy.signal.correlate(image, kernel, mode), atol=1e-12)
    ours = layers.conv(params, x, flip_kernel=True)[..., 0]
    np.testing.assert_allclose(ours, scipy.signal.convolve2d(image, kernel, "valid"), atol=1e-12)


def test_the_word_convolution_by_hand():
    """[1, 3, 5] with (1, -1): differences x_n - x_(n+1), and of the reversed filter their negatives."""
    params = {"kernel": jnp.array([1.0, -1.0]).reshape(2, 1, 1)}
    x = jnp.array([1.0, 3.0, 5.0])[:, None]
    assert layers.conv(params, x)[:, 0].tolist() == [-2, -2]
    assert layers.conv(params, x, flip_kernel=True)[:, 0].tolist() == [2, 2]
    assert np.convolve([1, 3, 5], [1, -1], "valid").tolist() == [2, 2]


@forms
def test_groups_of_one_hot_features_are_not_all_zero(form):
    """PyTorch issue 19912: outputs of the second group alone see the fourth feature."""
    params = {"kernel": jnp.ones((1, 1, 2, 16))}
    x = jnp.zeros((1, 1, 1, 4)).at[..., 3].set(1)
    y = layers.conv(params, x, groups=2, lowering=form)
    assert y[0, 0, 0].tolist() == [0] * 8 + [1] * 8


@forms
def test_groups_are_convolutions_side_by_side(x64, form):
    keywords, params, x = example("grouped")
    parts = [
        layers.conv({"kernel": k, "bias": b}, a, padding=1, lowering="native")
        for k, b, a in zip(
            jnp.split(params["kernel"], 2, -1), jnp.split(params["bias"], 2),
            jnp.split(x, 2, -1), strict=True,
        )
    ]  # fmt: skip
    y = layers.conv(params, x, lowering=form, **keywords)
    np.testing.assert_allclose(y, jnp.concatenate(parts, -1), atol=1e-12)


def test_translations_commute_with_convolution_but_for_the_border(x64):
    params, x = {"kernel": jnp.asarray(draw(3, 3, 2, 3))}, jnp.asarray(draw(8, 8, 2))
    moved = layers.conv(params, jnp.roll(x, (1, 2), (0, 1)))
    np.testing.assert_allclose(moved[1:, 2:], layers.conv(params, x)[:-1, :-2], atol=1e-12)
    circular = lambda x: layers.conv(params, jnp.pad(x, ((1, 1), (1, 1), (0, 0)), mode="wrap"))
    pooled = [layers.global_avg_pool(jax.nn.relu(circular(jnp.roll(x, n, 0)))) for n in (0, 3)]
    np.testing.assert_allclose(*pooled, atol=1e-12)  # invariant only behind global pooling
    assert abs(circular(jnp.roll(x, 3, 0)) - circular(x)).max() > 0.1


@pytest.mark.parametrize("shape", [(5, 5, 2), (3, 5, 5, 2), (2, 3, 5, 5, 2), (0, 5, 5, 2)])
def test_any_leading_axes(shape):
    params = layers.conv_init(jax.random.key(0), 3, 2, 4)
    x = jnp.asarray(draw(*shape), jnp.float32)
    y = layers.conv(params, x)
    assert y.shape == (*shape[:-3], 3, 3, 4)
    one_by_one = [layers.conv(params, one) for one in x.reshape(-1, 5, 5, 2)]
    for a, b in zip(y.reshape(-1, 3, 3, 4), one_by_one, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_half_precision_stays_half_and_near():
    params, x = layers.conv_init(jax.random.key(0), 3, 4, 5), jnp.asarray(draw(2, 6, 6, 4))
    half = lambda a: a.astype(jnp.bfloat16)
    y = layers.conv(jax.tree.map(half, params), half(x))
    assert y.dtype == jnp.bfloat16
    exact = layers.conv(params, x)
    np.testing.assert_allclose(y.astype(jnp.float32), exact, atol=0.05)
    pixels = jnp.arange(25, dtype=jnp.uint8).reshape(5, 5, 1)
    ones = {"kernel": jnp.ones((2, 2, 1, 1))}
    assert layers.conv(ones, pixels)[3, 3, 0] == 18 + 19 + 23 + 24


# The transpose.


@pytest.mark.parametrize("size", [5, 6])
def test_two_sizes_map_to_one_so_the_caller_says_which(size):
    """PyTorch issue 5057."""
    params = {"kernel": jnp.asarray(draw(3, 1, 1), jnp.float32)}
    x = jnp.asarray(draw(size, 1), jnp.float32)
    y = layers.conv(params, x, stride=2)
    assert len(y) == 2 == layers.conv_output_size(size, 3, stride=2)
    back = layers.conv_transpose(params, y, stride=2, output_padding=size - 5)
    assert len(back) == size


TRANSPOSED = {
    "plain": ({}, (5, 6), (3, 2), 0),
    "strided": ({"stride": (2, 3), "padding": 1}, (6, 8), (3, 3), (1, 1)),
    "dilated": ({"stride": 2, "dilation": 2, "padding": ((1, 0), (2, 1))}, (8, 9), (3, 2), (0, 1)),
    "cropped": ({"padding": 2}, (4, 5), (2, 2), 0),  # more than the filter reaches
    "signal": ({"stride": 3, "padding": 1}, (9,), (4,), (1,)),
}


@forms
@pytest.mark.parametrize("name", TRANSPOSED)
def test_inner_products_of_a_convolution_and_its_transpose_agree(x64, name, form):
    keywords, spatial, sizes, more = TRANSPOSED[name]
    x, kernel = jnp.asarray(draw(2, *spatial, 3)), jnp.asarray(draw(*sizes, 3, 4, seed=1))
    forward = layers.conv({"kernel": kernel}, x, lowering="native", **keywords)
    y = jnp.asarray(draw(*forward.shape, seed=2))
    turned = {"kernel": kernel.swapaxes(-1, -2)}
    back = layers.conv_transpose(turned, y, output_padding=more, lowering=form, **keywords)
    assert back.shape == x.shape
    np.testing.assert_allclose(jnp.vdot(forward, y), jnp.vdot(x, back), rtol=1e-12)


@pytest.mark.parametrize("rank", [1, 2])
def test_the_transpose_is_torchs(x64, rank):
    torch = pytest.importorskip("torch")
    x, kernel, bias = (
        draw(2, *(4, 5)[:rank], 3),
        draw(*(3, 2)[:rank], 3, 4, seed=1),
        draw(4, seed=2),
    )
    function = getattr(torch.nn.functional, f"conv_transpose{rank}d")
    channels_first = (0, rank + 1, *range(1, rank + 1))
    theirs = function(
        torch.tensor(x.transpose(channels_first)),
        torch.tensor(kernel.transpose(rank, rank + 1, *range(rank))),
        torch.tensor(bias), stride=2, padding=1, output_padding=1, dilation=2,
    )  # fmt: skip
    params = {"kernel": jnp.asarray(kernel), "bias": jnp.asarray(bias)}
    ours = layers.conv_transpose(params, x, stride=2, padding=1, output_padding=1, dilation=2)
    back = (0, *range(2, rank + 2), 1)
    np.testing.assert_allclose(ours, theirs.numpy().transpose(back), atol=1e-10)


def test_the_flipped_transpose_is_flaxs(x64):
    flax = pytest.importorskip("flax.linen")
    params = layers.conv_transpose_init(jax.random.key(0), (3, 2), 2, 4)
    params["bias"] = params["bias"] + 0.3
    x = jnp.asarray(draw(2, 4, 5, 2))
    layer = flax.ConvTranspose(4, (3, 2), strides=(2, 2), padding="VALID", param_dtype=jnp.float64)
    ours = layers.conv_transpose(params, x, stride=2, flip_kernel=True)
    np.testing.assert_allclose(ours, layer.apply({"params": params}, x), atol=1e-12)


# Sizes and parameters.


@pytest.mark.equation("L913")
@pytest.mark.parametrize(
    ("size", "filter_size", "stride", "padding", "right", "literal"),
    [(8, 3, 2, 0, 3, 3.5), (224, 7, 2, 3, 112, 112.5), (7, 3, 2, 0, 3, 3.0), (5, 3, 1, 1, 5, 5.0)],
)
def test_output_sizes_are_rounded_down(size, filter_size, stride, padding, right, literal):
    """D-61: the literal formula is no whole number where windows leave cells over."""
    assert (size - filter_size + 2 * padding) / stride + 1 == literal
    settings = {"stride": stride, "padding": padding}
    assert layers.conv_output_size(size, filter_size, **settings) == right
    if literal == right:
        assert layers.conv_output_size(size, filter_size, strict=True, **settings) == right
    else:
        with pytest.raises(ValueError, match=f"leaves 1 of {size} cells .* unseen"):
            layers.conv_output_size(size, filter_size, strict=True, **settings)


def test_output_sizes_are_those_of_outputs_and_of_torch():
    torch = pytest.importorskip("torch")
    ones = {"kernel": jnp.ones((3, 1, 1))}
    for size, stride, padding, dilation in itertools.product((6, 7), (1, 2, 3), (0, 1), (1, 2)):
        keywords = {"stride": stride, "padding": padding, "dilation": dilation}
        expected = torch.nn.functional.conv1d(
            torch.ones(1, 1, size), torch.ones(1, 1, 3), None, stride, padding, dilation
        ).shape[-1]
        assert layers.conv_output_size(size, 3, **keywords) == expected
        y = jax.eval_shape(lambda x, k=keywords: layers.conv(ones, x, **k), jnp.ones((size, 1)))
        assert y.shape == (expected, 1)
    assert layers.conv_output_size(7, 4, stride=2, padding="same") == 4
    assert layers.conv_output_size(7, 4, padding=(2, 0)) == 6


@pytest.mark.equation("§6")
@pytest.mark.parametrize(("groups", "use_bias"), [(1, True), (1, False), (2, True)])
def test_numbers_of_parameters_are_torchs_and_ours(groups, use_bias):
    torch = pytest.importorskip("torch")
    theirs = sum(
        p.numel() for p in torch.nn.Conv2d(4, 6, 5, groups=groups, bias=use_bias).parameters()
    )
    settings = {"groups": groups, "use_bias": use_bias}
    assert layers.conv_num_parameters(5, 4, 6, **settings) == theirs
    params = layers.conv_init(jax.random.key(0), 5, 4, 6, **settings)
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == theirs
    assert layers.conv_num_parameters(5, 3, 16) == 1216


def test_initial_kernels_count_the_filters_cells_as_inputs(key):
    params = layers.conv_init(key, (5, 4), 20, 300)
    assert params["kernel"].shape == (5, 4, 20, 300) and not params["bias"].any()
    np.testing.assert_allclose(params["kernel"].var() * 5 * 4 * 20, 1, rtol=0.02)


# How it is computed.


def loss_of(form):
    def loss(params, x):
        return jnp.sum(layers.conv(params, x, padding="same", stride=2, lowering=form) ** 2)

    return jax.grad(loss, argnums=(0, 1))


@pytest.mark.parametrize(
    ("form", "convolves"), [("slices", False), ("sums", False), ("native", True)]
)
def test_xlas_convolution_is_in_the_native_program_only(form, convolves):
    params, x = layers.conv_init(jax.random.key(0), 3, 2, 4), jnp.ones((2, 5, 5, 2))
    text = str(jax.make_jaxpr(loss_of(form))(params, x))
    assert ("conv_general_dilated" in text) == convolves


def test_what_is_chosen_and_why():
    assert layers.conv_lowering().name == "slices"  # the tests' default device is a CPU
    assert str(layers.conv_lowering(x=jnp.ones(1))).startswith("slices: XLA's convolution is slow")
    assert str(layers.conv_lowering("native")) == "native: asked for"
    with pytest.raises(ValueError, match="did you mean 'slices'"):
        layers.conv_lowering("slice")


def test_an_accelerator_convolves_natively(monkeypatch):
    monkeypatch.setattr(lowered.jax, "default_backend", lambda: "gpu")
    assert layers.conv_lowering().name == "native"
    assert layers.conv_lowering(x=jnp.ones(1)).name == "slices"  # this array lies on a CPU


@pytest.mark.parametrize("limit", [1, 3000, 10**4])
def test_results_do_not_depend_on_how_many_patches_fit(x64, monkeypatch, limit):
    keywords, params, x = example("strided")
    x = jnp.concatenate([x, 2 * x, -x])
    value = lambda p, x: jnp.sum(jnp.sin(layers.conv(p, x, lowering="slices", **keywords)))
    whole = jax.value_and_grad(value, argnums=(0, 1))(params, x)
    monkeypatch.setattr(lowered, "PATCH_BYTES", limit)
    parts = jax.value_and_grad(value, argnums=(0, 1))(params, x)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-12), parts, whole)


@pytest.mark.parametrize("d_in", [3, 64])
def test_memory_stays_bounded_for_large_images(d_in):
    """32 images of 224 x 224: all patches at once would be 3.7 GB of 64 features."""
    params = {"kernel": jax.ShapeDtypeStruct((3, 3, d_in, 64), jnp.float32)}
    x = jax.ShapeDtypeStruct((32, 224, 224, d_in), jnp.float32)
    run = lambda p, x: layers.conv(p, x, padding="same", lowering="slices")
    loss = lambda p, x: jnp.sum(run(p, x) ** 2)
    for function in (run, jax.grad(loss, argnums=(0, 1))):
        memory = jax.jit(function).lower(params, x).compile().memory_analysis()
        assert memory.temp_size_in_bytes + memory.output_size_in_bytes < 2 * 10**9


# What is refused.


def test_what_does_not_fit_is_refused():
    params = layers.conv_init(jax.random.key(0), 3, 2, 4)
    x = jnp.ones((1, 5, 5, 2))
    for bad in (jnp.ones((1, 5, 5, 3)), jnp.ones((5, 2))):
        with pytest.raises(ValueError, match=r"expects x \[..., H, W, 2\]"):
            layers.conv(params, bad)
    with pytest.raises(ValueError, match="window over 9 cells does not fit into 5"):
        layers.conv(params, x, dilation=4)
    with pytest.raises(ValueError, match="did you mean 'same'"):
        layers.conv(params, x, padding="sam")
    for padding in (-1, (1, 2), ((1, 1),), ((1, -1), (0, 0)), 0.5, None):
        with pytest.raises(ValueError, match="padding"):
            layers.conv(params, x, padding=padding)
    with pytest.raises(ValueError, match="stride must be a positive whole number, not 0"):
        layers.conv(params, x, stride=0)
    with pytest.raises(ValueError, match="stride has 3 entries for 2 spatial axes"):
        layers.conv(params, x, stride=(1, 1, 1))
    with pytest.raises(ValueError, match="3 groups do not divide 4 features and 6 filters"):
        layers.conv_init(jax.random.key(1), 3, 4, 6, groups=3)
    with pytest.raises(ValueError, match="filter_size must be a positive whole number, not 0"):
        layers.conv_init(jax.random.key(2), 0, 4, 6)
    with pytest.raises(ValueError, match="output_padding lies below the stride"):
        layers.conv_transpose(params, x, stride=2, output_padding=2)
    with pytest.raises(ValueError, match="has no padding"):
        layers.conv_transpose(params, x, padding="same")
    with pytest.raises(ValueError, match="cuts off all"):
        layers.conv_transpose(params, x, padding=4)
