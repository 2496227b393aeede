"""The U-Net against torch, by counting its parameters, and by what its skips carry."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import generation, models
from jaxdl.models import diffusion

IMAGE, T, K = (4, 6, 2), 6, 3


def network(**settings):
    how = {"groups": 2, "time_features": T, "lowering": "native"}  # which compiles soonest
    return models.unet(IMAGE, filters=(4, 8), **how, **settings)


@pytest.fixture(scope="module")
def labelled():
    """A network with labels, and params away from their start."""
    net = network(num_classes=K)
    rng = np.random.default_rng(0)
    params, _ = jax.jit(net.init)(jax.random.key(0))
    params = jax.tree.map(lambda p: p + 0.1 * rng.normal(size=p.shape).astype(p.dtype), params)
    return net, jax.jit(lambda p, x: net.apply(p, {}, x)[0]), params


def images(n, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, *IMAGE)).astype(np.float32)
    return {
        "x": jnp.asarray(x),
        "time": jnp.asarray(rng.uniform(size=n), jnp.float32),
        "label": jnp.arange(n) % (K + 1),
    }


def in_torch(torch, params, inputs):
    """The same network in torch, channels first; returns [N, H, W, D]."""
    F = torch.nn.functional
    p = jax.tree.map(lambda leaf: torch.tensor(np.array(leaf)), params)
    dense = lambda layer, x: x @ layer["kernel"] + layer["bias"]

    def conv(layer, x, stride=1):
        kernel = layer["kernel"].permute(3, 2, 0, 1)
        if stride == 2:  # sides are even: one cell behind, none before
            return F.conv2d(F.pad(x, (0, 1, 0, 1)), kernel, layer["bias"], stride=2)
        return F.conv2d(x, kernel, layer["bias"], padding=kernel.shape[-1] // 2)

    norm = lambda s, x: F.silu(F.group_norm(x, 2, s["scale"], s["bias"]))

    def block(name, h):
        layer = p[name]
        a = (
            conv(layer["conv_0"], norm(layer["norm_0"], h))
            + dense(layer["time"], u)[:, :, None, None]
        )
        a = conv(layer["conv_1"], norm(layer["norm_1"], a))
        return a + (conv(layer["skip"], h) if "skip" in layer else h)

    position = 1000 * np.asarray(inputs["time"], np.float64)[:, None]
    angle = position / 10_000 ** (np.arange(0, T, 2) / T)
    waves = np.stack([np.sin(angle), np.cos(angle)], axis=-1).reshape(-1, T)
    rows = p["label"]["embedding"][torch.tensor(np.array(inputs["label"]))]
    u = torch.cat([torch.tensor(waves, dtype=torch.float32), rows], dim=1)
    u = F.silu(dense(p["time_1"], F.silu(dense(p["time_0"], u))))
    h = conv(p["stem"], torch.tensor(np.array(inputs["x"])).permute(0, 3, 1, 2))
    first = block("down_0", h)
    second = block("down_1", conv(p["shrink_0"], first, 2))
    h = block("up_1", torch.cat([block("middle", second), second], dim=1))
    h = conv(p["grow_0"], F.interpolate(h, scale_factor=2, mode="nearest"))
    h = block("up_0", torch.cat([h, first], dim=1))
    return conv(p["head"], norm(p["norm"], h)).permute(0, 2, 3, 1)


def test_as_in_torch(labelled):
    torch = pytest.importorskip("torch")
    _, apply, params = labelled
    inputs = images(4)
    np.testing.assert_allclose(apply(params, inputs), in_torch(torch, params, inputs), atol=2e-4)


def test_parameters_by_hand():
    """Convolutions of 3 x 3 cells, with offsets; norms have two numbers a feature."""
    conv = lambda i, o: 9 * i * o + o
    norms = lambda i, o: 2 * i + 2 * o
    block = lambda i, o: norms(i, o) + conv(i, o) + conv(o, o) + T * o + o + (i * o + o) * (i != o)
    time = 2 * T * T + T + T * T + T + (K + 1) * T
    expected = (
        conv(2, 4) + block(4, 4) + conv(4, 4) + block(4, 8)  # stem, down
        + block(8, 8) + block(16, 8) + conv(8, 4) + block(8, 4)  # middle, up
        + 2 * 4 + conv(4, 2) + time
    )  # fmt: skip
    shapes = jax.eval_shape(network(num_classes=K).init, jax.random.key(0))[0]
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == expected == 5850


def test_all_of_an_image_goes_through_the_skips_and_little_below_them():
    """The rank of the Jacobian [16, 16] of 4 x 4 pixels: at the bottom are 4 numbers.

    Groups of 4 features keep what comes from below and the skip apart, in the norms too.
    """
    net = models.unet((4, 4, 1), filters=(4, 4, 4), groups=2, time_features=2, lowering="native")
    params, _ = net.init(jax.random.key(1))

    @jax.jit
    def jacobian(below, beside):
        """With what comes from below, and what the skips bring, times a number above the bottom."""
        own = dict(params)
        rows = jnp.repeat(jnp.stack([below, beside]), 4)
        for name in ("up_0", "up_1"):
            own[name] = {
                **params[name],
                "norm_0": jax.tree.map(lambda leaf: leaf * rows, params[name]["norm_0"]),
                "skip": {
                    **params[name]["skip"],
                    "kernel": params[name]["skip"]["kernel"] * rows[:, None],
                },
            }
        at = lambda x: net.apply(own, {}, {"x": x, "time": jnp.array(0.3)})[0]
        return jax.jacobian(at)(jax.random.normal(jax.random.key(2), (4, 4, 1))).reshape(16, 16)

    def rank(below, beside):
        values = np.linalg.svd(np.asarray(jacobian(below, beside), np.float64), compute_uv=False)
        return int(np.sum(values > 1e-4 * values[0]))

    assert rank(1.0, 1.0) == rank(0.0, 1.0) == 16
    assert 1 <= rank(1.0, 0.0) <= 4


def test_time_label_and_guidance(labelled):
    """What a denoiser does with classes: (1 + w) f(x, label) - w f(x, none)."""
    net, apply, params = labelled
    inputs = images(4)
    moved = lambda **changes: abs(apply(params, {**inputs, **changes}) - apply(params, inputs))
    assert moved(time=inputs["time"] + 0.1).max() > 1e-3
    assert moved(label=jnp.array([0, 1, 2, 0]))[3].max() > 1e-3  # from none to 0
    assert moved(label=jnp.array([0, 1, 2, 0]))[:3].max() == 0
    schedule, w = diffusion.linear_schedule(10), 2.0
    compiled = net._replace(apply=lambda params, state, x: (apply(params, x), state))
    denoise = generation.denoiser(
        compiled, schedule, params, {}, target="v", label=inputs["label"], num_classes=K, guidance=w
    )
    t = jnp.array([1, 4, 7, 10])
    said = [apply(params, {**inputs, "time": t / 10, "label": c}) for c in (inputs["label"], jnp.full(4, K))]  # fmt: skip
    v = (1 + w) * said[0] - w * said[1]
    expected = diffusion.predicted_x0(schedule, inputs["x"], t, v, "v")
    np.testing.assert_allclose(denoise(inputs["x"], t), expected, atol=1e-4)


def test_what_does_not_fit():
    with pytest.raises(ValueError, match=r"\(6, 4\) must be multiples of 4"):
        models.unet((6, 4, 1), filters=(4, 4, 4))
    with pytest.raises(ValueError, match=r"3 groups must divide all of the filters \(3, 4\)"):
        models.unet((4, 4, 1), filters=(3, 4), groups=3)
    with pytest.raises(ValueError, match="at least one level"):
        models.unet((4, 4, 1), filters=())
    net = network()
    params = jax.eval_shape(net.init, jax.random.key(0))[0]
    for shape in ((1, 5, 6, 2), (1, 4, 6, 1)):
        with pytest.raises(ValueError, match=r"expects x \[..., 4, 6, 2\]"):
            jax.eval_shape(lambda p, x: net.apply(p, {}, {"x": x, "time": jnp.ones(1)}), params, jnp.ones(shape))  # fmt: skip
    dropping = network(dropout=0.5)
    with pytest.raises(ValueError, match="key"):
        jax.eval_shape(
            lambda p, x: dropping.apply(p, {}, x, train=True), params, {"x": jnp.ones((1, *IMAGE)), "time": jnp.ones(1)}
        )  # fmt: skip
