"""What every Model keeps to; a new model is a new row of the table."""

import functools
import inspect
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import models
from jaxdl.arrays import spread_mask
from jaxdl.base import Model, stateless

D, K = 3, 2
IMAGE = 6, 4, D


class Row(NamedTuple):
    model: Model
    names: tuple[str, ...]  # of the parameters' leaves, in the order of the tree
    stochastic: bool = False  # draws something while training
    batch_wise: bool = False  # while training, rows meet and the state moves
    shape: tuple[int, ...] = (D,)  # of one example
    out: tuple[int, ...] = (K,)  # of its eta

    @property
    def x(self):
        return np.random.default_rng(0).normal(size=(7, *self.shape)).astype(np.float32)


def leaves(*layers, bias=True):
    kinds = ("bias", "kernel") if bias else ("kernel",)
    return tuple(f"dense_{i}.{kind}" for i in range(*layers) for kind in kinds)


def told(model):
    """``conditioned`` takes a dict; here the last feature is its condition."""

    def given(x):
        return {"x": x[..., :-1], "condition": x[..., -1:]}

    def plain(params, state, x, *, key=None, train=False):
        return model.apply(params, state, given(x), key=key, train=train)

    def with_rows(params, state, x, *, key=None, train=False, mask=None, observe=False):
        how = {"key": key, "train": train, "mask": mask, "observe": observe}
        return model.apply(params, state, given(x), **how)

    return model._replace(apply=with_rows if model.sees_mask else plain)


NORMED = (*leaves(2), "norm_0.bias", "norm_0.scale")
BATCH_NORMED = NORMED[1:]  # no offset before batch normalisation
BLOCK = tuple(
    f"{kind}_{i}.{leaf}"
    for kind, of in (("conv", ("kernel",)), ("norm", ("bias", "scale")))
    for i in range(2)
    for leaf in of
)

UNET_BLOCK = tuple(
    f"{part}.{leaf}"
    for part, of in (
        ("conv_0", ("bias", "kernel")), ("conv_1", ("bias", "kernel")),
        ("norm_0", ("bias", "scale")), ("norm_1", ("bias", "scale")),
        ("time", ("bias", "kernel")),
    )
    for leaf in of
)  # fmt: skip
UNET_SKIP = (*UNET_BLOCK[:-2], "skip.bias", "skip.kernel", *UNET_BLOCK[-2:])
UNET_PARTS = {
    "down_0": UNET_BLOCK, "down_1": UNET_BLOCK, "grow_0": ("bias", "kernel"),
    "head": ("bias", "kernel"), "middle": UNET_BLOCK, "norm": ("bias", "scale"),
    "shrink_0": ("bias", "kernel"), "stem": ("bias", "kernel"), "time_0": ("bias", "kernel"),
    "time_1": ("bias", "kernel"), "up_0": UNET_SKIP, "up_1": UNET_SKIP,
}  # fmt: skip


def at_one_time(net, pixels):
    """A model of noisy images as one of x: at the time 0.3, and summed up over the pixels."""

    def apply(params, x, *, key, train):
        times = jnp.full(x.shape[:-3], 0.3)
        image = net.apply(params, {}, {"x": x, "time": times}, key=key, train=train)[0]
        return jnp.sum(image * pixels.astype(x.dtype), axis=(-3, -2))

    return stateless(lambda key: net.init(key)[0], apply)


MODELS = {
    "linear": Row(models.mlp((D, K)), leaves(1)),
    "linear_no_bias": Row(models.mlp((D, K), use_bias=False), leaves(1, bias=False)),
    "relu": Row(models.mlp((D, 8, K)), leaves(2)),
    "tanh_deep": Row(models.mlp((D, 4, 5, K), activation="tanh"), leaves(3)),
    "mixed": Row(models.mlp((D, 6, 6, K), activation=("gelu", "leaky_relu")), leaves(3)),
    "dropout": Row(models.mlp((D, 8, K), activation="silu", dropout=0.4), leaves(2), True),
    "layer_norm": Row(models.mlp((D, 8, K), norm="layer"), NORMED),
    "layer_norm_post": Row(models.mlp((D, 8, K), norm="layer", norm_position="post"), NORMED),
    "batch_norm": Row(models.mlp((D, 8, K), norm="batch"), BATCH_NORMED, batch_wise=True),
    "batch_norm_post": Row(
        models.mlp((D, 8, K), norm="batch", norm_position="post"), NORMED, batch_wise=True
    ),
    "skip": Row(models.mlp((D, D, 5, K), skip=True), (*leaves(3), "skip_1.kernel")),
    "masked": Row(models.masked_mlp((D, 8, 8, K), width=5.0, depth=2.0), leaves(3)),
    "masked_dropout": Row(
        models.masked_mlp((D, 8, K), width=jnp.array([6]), activation="tanh", dropout=0.3),
        leaves(2),
        stochastic=True,
    ),
    "cnn": Row(
        models.cnn(IMAGE, K, filters=(4, 5), hidden=(6,), activation="tanh"),
        (
            "conv_0.bias",
            "conv_0.kernel",
            "conv_1.bias",
            "conv_1.kernel",
            *(f"head.{name}" for name in leaves(2)),
        ),
        shape=IMAGE,
    ),
    "cnn_batch_norm": Row(
        models.cnn(IMAGE, K, filters=(4,), hidden=(6,), norm="batch", dropout=0.3),
        (
            "conv_0.kernel",
            *(f"head.{name}" for name in BATCH_NORMED),
            "norm_0.bias",
            "norm_0.scale",
        ),
        stochastic=True,
        batch_wise=True,
        shape=IMAGE,
    ),
    "residual_cnn": Row(
        models.residual_cnn(IMAGE, K, filters=(3, 4), activation="gelu"),
        (
            "dense.bias",
            "dense.kernel",
            *(f"stage_0_block_0.{name}" for name in BLOCK),
            *(f"stage_1_block_0.{name}" for name in (*BLOCK, "skip.kernel")),
            "stem.conv.kernel",
            "stem.norm.bias",
            "stem.norm.scale",
        ),
        batch_wise=True,
        shape=IMAGE,
    ),
    "unet": Row(
        at_one_time(
            models.unet(
                (4, 2, K), filters=(2, 2), groups=1, time_features=4, dropout=0.3, lowering="native"
            ),
            jnp.cos(jnp.arange(4.0 * 2 * K)).reshape(4, 2, K),
        ),
        tuple(f"{part}.{leaf}" for part, leaves in UNET_PARTS.items() for leaf in leaves),
        stochastic=True,
        shape=(4, 2, K),
    ),
    "autoencoder": Row(
        models.autoencoder(models.mlp((D, 2), use_bias=False), models.mlp((2, 4, K))),
        (*(f"decoder.{name}" for name in leaves(2)), "encoder.dense_0.kernel"),
    ),
    "denoising_autoencoder": Row(
        models.autoencoder(
            models.mlp((D, 4, 2), norm="batch"),
            models.mlp((2, K)),
            corrupt=models.normal_noise(0.3),
        ),
        (*(f"decoder.{name}" for name in leaves(1)), *(f"encoder.{name}" for name in BATCH_NORMED)),
        stochastic=True,
        batch_wise=True,
    ),
    "conditioned": Row(told(models.conditioned(models.mlp((D, 8, K)))), leaves(2)),
    "conditioned_batch_norm": Row(
        told(models.conditioned(models.mlp((D, 8, K), norm="batch"))), BATCH_NORMED, batch_wise=True
    ),
    "reshaped": Row(models.reshaped(models.mlp((D, 8, 4)), (2, 2)), leaves(2), out=(2, 2)),
    "reshaped_batch_norm": Row(
        models.reshaped(models.mlp((D, 8, 4), norm="batch"), (2, 2)),
        BATCH_NORMED,
        batch_wise=True,
        out=(2, 2),
    ),
    "transposed_cnn": Row(
        models.transposed_cnn(D, (4, 4, 2), filters=(3, 4), activation="tanh"),
        (
            *(f"conv_{l}.{kind}" for l in range(2) for kind in ("bias", "kernel")),
            *(f"head.{name}" for name in leaves(1)),
        ),
        out=(4, 4, 2),
    ),
    "transposed_cnn_batch_norm": Row(
        models.transposed_cnn(D, (4, 4, 2), filters=(3, 4), hidden=(5,), norm="batch"),
        (
            "conv_0.kernel",
            "conv_1.bias",
            "conv_1.kernel",
            "head.dense_0.kernel",
            "head.dense_1.kernel",
            "head.norm_0.bias",
            "head.norm_0.scale",
            *(f"norm_{l}.{kind}" for l in range(2) for kind in ("bias", "scale")),
        ),
        batch_wise=True,
        out=(4, 4, 2),
    ),
    "everything": Row(
        models.mlp((D, 8, K), activation="gelu", norm="batch", skip=True, dropout=0.3),
        (*BATCH_NORMED, "skip_0.kernel"),
        stochastic=True,
        batch_wise=True,
    ),
}
rows = pytest.mark.parametrize("row", MODELS.values(), ids=MODELS)


def leaf_names(params):
    paths, _ = zip(*jax.tree_util.tree_leaves_with_path(params), strict=True)
    return tuple(".".join(step.key for step in path) for path in paths)


@functools.cache
def initialised(row):
    return jax.jit(row.model.init)(jax.random.key(0))


def training_key(row):
    return jax.random.key(5) if row.stochastic else None


def assert_equal(a, b, **tolerance):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **tolerance), a, b)


@rows
def test_init_and_apply_take_each_others_trees(row):
    params, state = initialised(row)
    assert leaf_names(params) == row.names
    for batch in (row.x, row.x[0], row.x[:, None]):
        eta, after = jax.eval_shape(row.model.apply, params, state, batch)
        assert eta.shape == (*batch.shape[: batch.ndim - row.x.ndim + 1], *row.out)
        assert jax.tree.structure(after) == jax.tree.structure(state)
    shapes = jax.eval_shape(row.model.init, jax.random.key(0))
    assert jax.tree.map(jnp.shape, (params, state)) == jax.tree.map(lambda s: s.shape, shapes)


@rows
def test_names_of_the_arguments(row):
    assert list(inspect.signature(row.model.init).parameters) == ["key"]
    arguments = inspect.signature(row.model.apply).parameters
    more = ["mask", "observe"] if row.batch_wise else []
    assert list(arguments) == ["params", "state", "x", "key", "train", *more]
    for name, default in (("key", None), ("train", False)):
        assert arguments[name].kind is inspect.Parameter.KEYWORD_ONLY
        assert arguments[name].default is default


@rows
@pytest.mark.parametrize("train", [False, True])
def test_jit_equals_eager(row, train):
    params, state = initialised(row)
    run = lambda p, s, x, key: row.model.apply(p, s, x, key=key, train=train)
    key = training_key(row) if train else None
    with jax.debug_key_reuse(False):  # one mask, twice
        assert_equal(
            jax.jit(run)(params, state, row.x, key),
            run(params, state, row.x, key),
            rtol=2e-5,
            atol=1e-6,
        )


@rows
def test_vmap_over_inits_equals_a_loop(row):
    keys = jax.random.split(jax.random.key(1), 3)
    with jax.debug_key_reuse(False):
        params, state = jax.jit(jax.vmap(row.model.init))(keys)
        together, _ = jax.jit(jax.vmap(lambda p, s: row.model.apply(p, s, row.x)))(params, state)
        one = jax.jit(lambda key: row.model.apply(*row.model.init(key), row.x)[0])
        for key, eta in zip(keys, together, strict=True):
            alone = one(key)
            np.testing.assert_allclose(eta, alone, rtol=2e-5, atol=1e-6)
    assert abs(together[0] - together[1]).max() > 1e-3  # each member its own draw


@rows
def test_evaluation_is_deterministic_and_leaves_the_state(row):
    params, state = initialised(row)
    eta, after = row.model.apply(params, state, row.x)
    again, _ = row.model.apply(params, after, row.x, key=jax.random.key(9))  # a key changes nothing
    np.testing.assert_array_equal(eta, again)
    assert_equal(after, state)
    one_by_one = jax.lax.map(lambda x: row.model.apply(params, state, x)[0], row.x)
    np.testing.assert_allclose(eta, one_by_one, rtol=2e-5, atol=1e-6)  # rows do not meet


@rows
def test_training_without_a_key_raises_iff_stochastic(row):
    params, state = initialised(row)
    evaluated, _ = row.model.apply(params, state, row.x)
    if row.stochastic:
        with pytest.raises(ValueError, match="key"):
            row.model.apply(params, state, row.x, train=True)
        trained, _ = row.model.apply(params, state, row.x, key=jax.random.key(5), train=True)
        other, _ = row.model.apply(params, state, row.x, key=jax.random.key(6), train=True)
        assert abs(trained - evaluated).max() > 1e-3 and abs(trained - other).max() > 1e-3
    elif not row.batch_wise:
        np.testing.assert_array_equal(
            row.model.apply(params, state, row.x, train=True)[0], evaluated
        )


@rows
def test_training_moves_the_state_iff_batch_wise(row):
    params, state = initialised(row)
    train = lambda x: row.model.apply(params, state, x, key=training_key(row), train=True)
    assert bool(jax.tree.leaves(state)) == row.batch_wise
    _, after = train(row.x)
    assert jax.tree.map(jnp.shape, after) == jax.tree.map(jnp.shape, state)
    for old, new in zip(jax.tree.leaves(state), jax.tree.leaves(after), strict=True):
        assert abs(old - new).max() > 1e-3
    mask = np.arange(7) < 4
    if row.batch_wise:
        _, few = row.model.apply(
            params, state, np.where(spread_mask(mask, row.x), row.x, np.nan), key=training_key(row), train=True,
            mask=mask,
        )  # fmt: skip
        assert_equal(few, train(row.x[:4])[1], rtol=1e-5, atol=1e-6)


@rows
def test_every_parameter_has_a_gradient(row):
    params, state = initialised(row)

    def loss(params):
        eta, _ = row.model.apply(params, state, row.x, key=training_key(row), train=True)
        return jnp.sum(jnp.sin(eta) * jnp.arange(1.0, eta.size + 1).reshape(eta.shape))

    gradient = jax.jit(jax.grad(loss))(params)
    for name, leaf in zip(row.names, jax.tree.leaves(gradient), strict=True):
        assert bool(jnp.isfinite(leaf).all()) and float(abs(leaf).max()) > 1e-4, name


@rows
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_dtype_follows_the_inputs(x64, row, dtype):
    params, state = jax.tree.map(lambda leaf: leaf.astype(dtype), initialised(row))
    x = jnp.asarray(row.x, dtype)
    for settings in ({}, {"key": training_key(row), "train": True}):
        apply = lambda p, settings=settings: row.model.apply(p, state, x, **settings)[0]
        assert jax.eval_shape(apply, params).dtype == dtype
    gradient = jax.eval_shape(jax.grad(lambda p: row.model.apply(p, state, x)[0].sum()), params)
    assert {leaf.dtype for leaf in jax.tree.leaves(gradient)} == {jnp.dtype(dtype)}
