"""Convolutional networks against torch, and what their parts promise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import layers, models

IMAGE = (9, 8, 2)


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def initialised(model, seed=0):
    """Parameters with offsets and scales away from where they start, so that each one counts."""
    params, state = model.init(jax.random.key(seed))
    return jax.tree.map(lambda a: a + 0.1 * draw(*a.shape, seed=a.size), params), state


@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_outputs_and_gradients_are_torchs(x64, activation):
    torch = pytest.importorskip("torch")
    model = models.cnn(IMAGE, 3, filters=(4, 5), hidden=(6,), activation=activation)
    params, state = initialised(model)
    x = draw(2, *IMAGE)
    leaf = lambda a: torch.tensor(np.asarray(a), requires_grad=True)
    theirs = jax.tree.map(leaf, params)
    phi = torch.relu if activation == "relu" else torch.nn.functional.gelu
    h = torch.tensor(x.transpose(0, 3, 1, 2))
    for l in range(2):
        layer = theirs[f"conv_{l}"]
        kernel = layer["kernel"].permute(3, 2, 0, 1)
        h = torch.nn.functional.conv2d(h, kernel, layer["bias"], padding=1)
        h = torch.nn.functional.max_pool2d(phi(h), 2)
    h = h.permute(0, 2, 3, 1).flatten(1)
    dense = theirs["head"]
    h = phi(h @ dense["dense_0"]["kernel"] + dense["dense_0"]["bias"])
    eta = h @ dense["dense_1"]["kernel"] + dense["dense_1"]["bias"]
    eta.sin().sum().backward()
    np.testing.assert_allclose(model.apply(params, state, x)[0], eta.detach(), atol=1e-10)
    gradient = jax.grad(lambda p: jnp.sum(jnp.sin(model.apply(p, state, x)[0])))(params)
    for ours, its in zip(jax.tree.leaves(gradient), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(ours, its.grad, atol=1e-10)


def test_a_residual_block_is_torchs(x64):
    torch = pytest.importorskip("torch")
    model = models.residual_cnn(IMAGE, 3, filters=(4, 5))
    params, state = initialised(model)
    x = draw(3, *IMAGE)
    f = torch.nn.functional
    to = lambda a: torch.tensor(np.asarray(a))

    def conv(layer, h, stride=1):
        k = to(layer["kernel"]).permute(3, 2, 0, 1)
        total = [max((-(-n // stride) - 1) * stride + k.shape[-1] - n, 0) for n in h.shape[-2:]]
        (top, left) = (t // 2 for t in total)
        return f.conv2d(f.pad(h, (left, total[1] - left, top, total[0] - top)), k, stride=stride)

    def norm(layer, h):
        return f.batch_norm(h, None, None, to(layer["scale"]), to(layer["bias"]), training=True)

    h = torch.relu(
        norm(params["stem"]["norm"], conv(params["stem"]["conv"], to(x).permute(0, 3, 1, 2)))
    )
    for s in range(2):
        block = params[f"stage_{s}_block_0"]
        a = torch.relu(norm(block["norm_0"], conv(block["conv_0"], h, 1 + s)))
        a = norm(block["norm_1"], conv(block["conv_1"], a))
        h = torch.relu(a + (conv(block["skip"], h, 2) if s else h))
    eta = h.mean((2, 3)) @ to(params["dense"]["kernel"]) + to(params["dense"]["bias"])
    ours, after = model.apply(params, state, x, train=True)
    np.testing.assert_allclose(ours, eta, atol=1e-9)
    assert jax.tree.structure(after) == jax.tree.structure(state)


@pytest.mark.parametrize("blocks", [1, 3])
def test_a_block_without_weights_is_the_identity(blocks):
    """Behind the stem, the skips alone are left: rectified values pass unchanged."""
    model = models.residual_cnn((4, 4, 1), 2, filters=(3,), blocks=blocks)
    params, state = model.init(jax.random.key(0))
    for b in range(blocks):
        block = params[f"stage_0_block_{b}"]
        block["norm_1"] = jax.tree.map(jnp.zeros_like, block["norm_1"])
    x = jnp.asarray(draw(2, 4, 4, 1), jnp.float32)
    a = layers.conv(params["stem"]["conv"], x, padding="same")
    a, _ = layers.batch_norm(params["stem"]["norm"], state["stem"]["norm"], a)
    expected = layers.dense(params["dense"], layers.relu(a).mean((1, 2)))
    np.testing.assert_allclose(model.apply(params, state, x)[0], expected, atol=1e-5)


@pytest.mark.parametrize("form", ["native", "sums"])
@pytest.mark.parametrize("build", [models.cnn, models.residual_cnn])
def test_lowerings_agree(x64, build, form):
    params, state = initialised(build(IMAGE, 3, filters=(4, 5)))
    x = draw(2, *IMAGE)

    def gradient(form):
        model = build(IMAGE, 3, filters=(4, 5), lowering=form)
        loss = lambda p: jnp.sum(jnp.sin(model.apply(p, state, x, train=True)[0]))
        return jax.jit(jax.grad(loss))(params)

    close = lambda a, b: np.testing.assert_allclose(a, b, atol=1e-9)
    jax.tree.map(close, gradient(form), gradient("slices"))


@pytest.mark.parametrize(
    "build", [pytest.param(models.cnn, marks=pytest.mark.slow), models.residual_cnn]
)
def test_padded_rows_change_neither_statistics_nor_gradients(x64, build):
    norm = {"norm": "batch"} if build is models.cnn else {}
    model = build(IMAGE, 3, filters=(3, 4), **norm)
    params, state = initialised(model)
    x = draw(5, *IMAGE)
    mask = jnp.array([True, True, False, True, False])
    held = jnp.where(mask[:, None, None, None], x, jnp.nan)

    def loss(params, x, mask):
        eta, after = model.apply(params, state, x, train=True, mask=mask)
        rows = jnp.ones(len(x), bool) if mask is None else mask
        return jnp.sum(jnp.where(rows[:, None], jnp.sin(eta), 0)), after

    run = jax.value_and_grad(loss, has_aux=True)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-10),
        run(params, held, mask), run(params, x[np.asarray(mask)], None),
    )  # fmt: skip


def test_sizes_of_parameters():
    model = models.cnn((28, 28, 1), 10, filters=(32, 64), hidden=(128,))
    params, _ = jax.eval_shape(model.init, jax.random.key(0))
    count = sum(leaf.size for leaf in jax.tree.leaves(params))
    by_hand = layers.conv_num_parameters(3, 1, 32) + layers.conv_num_parameters(3, 32, 64)
    assert count == by_hand + (7 * 7 * 64 + 1) * 128 + (128 + 1) * 10
    lenet = models.cnn(
        (32, 32, 1), 10, filters=(6, 16), filter_size=5, hidden=(120, 84), padding="valid"
    )
    params, _ = jax.eval_shape(lenet.init, jax.random.key(0))
    assert params["head"]["dense_0"]["kernel"].shape == (5 * 5 * 16, 120)


def test_a_dropout_rate_may_be_traced():
    def eta(rate):
        model = models.cnn((4, 4, 1), 2, filters=(3,), hidden=(8,), dropout=rate)
        params, state = model.init(jax.random.key(0))
        x = jnp.ones((2, 4, 4, 1))
        return model.apply(params, state, x, key=jax.random.key(1), train=True)[0]

    with jax.debug_key_reuse(False):
        some = jax.vmap(eta)(jnp.array([0.0, 0.5]))
    np.testing.assert_allclose(some[0], eta(0.0), atol=1e-6)
    assert abs(some[0] - some[1]).max() > 1e-3


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"image_shape is \(H, W, D\), not \(8, 8\)"):
        models.cnn((8, 8), 10)
    with pytest.raises(ValueError, match="does not fit into 1 cells"):
        models.cnn((2, 2, 1), 10)
    with pytest.raises(ValueError, match="at least one stage"):
        models.residual_cnn((8, 8, 1), 10, filters=())
    for build in (models.cnn, models.residual_cnn):
        model = build((8, 8, 1), 10, filters=(2,))
        params, state = model.init(jax.random.key(0))
        with pytest.raises(ValueError, match=r"expects x \[..., 8, 8, 1\], got \(2, 64\)"):
            model.apply(params, state, jnp.ones((2, 64)))
