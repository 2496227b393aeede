"""Pooling against windows in NumPy and torch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import layers

SETTINGS = {
    "side by side": {"size": 2},
    "odd sides": {"size": (3, 2)},
    "overlapping": {"size": 3, "stride": 2},
    "padded": {"size": 3, "stride": 2, "padding": 1},
    "apart": {"size": (1, 2), "stride": 3},
    "signal": {"size": (3,), "stride": 2, "padding": 1},
}
settings = pytest.mark.parametrize("keywords", SETTINGS.values(), ids=SETTINGS)


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def images(keywords):
    rank = len(keywords["size"]) if isinstance(keywords["size"], tuple) else 2
    return draw(2, *(7, 6)[:rank], 3), rank


def by_windows(x, size, reduce, stride=None, padding=0, filler=np.nan):
    """The definition, one window after the other; ``filler`` is what padding holds."""
    rank = x.ndim - 2
    each = lambda v: v if isinstance(v, tuple) else (v,) * rank
    sizes, strides = each(size), each(size if stride is None else stride)
    x = np.pad(x, [(0, 0), *[(padding, padding)] * rank, (0, 0)], constant_values=filler)
    counts = [(n - f) // s + 1 for n, f, s in zip(x.shape[1:-1], sizes, strides, strict=True)]
    y = np.zeros((len(x), *counts, x.shape[-1]))
    for place in np.ndindex(*counts):
        window = tuple(
            slice(p * s, p * s + f) for p, s, f in zip(place, strides, sizes, strict=True)
        )
        cells = x[(slice(None), *window)]
        y[(slice(None), *place)] = reduce(cells, axis=tuple(range(1, rank + 1)))
    return y


@pytest.mark.equation("L919")
@settings
def test_the_definition(x64, keywords):
    x, _ = images(keywords)
    np.testing.assert_array_equal(
        layers.max_pool(x, **keywords), by_windows(x, reduce=np.nanmax, **keywords)
    )
    means = by_windows(x, reduce=np.nanmean, **keywords)
    np.testing.assert_allclose(layers.avg_pool(x, **keywords), means, atol=1e-12)
    counted = by_windows(x, reduce=np.mean, filler=0, **keywords)
    ours = layers.avg_pool(x, count_padding=True, **keywords)
    np.testing.assert_allclose(ours, counted, atol=1e-12)


@settings
@pytest.mark.parametrize("kind", ["max", "avg"])
def test_outputs_and_gradients_are_torchs(x64, keywords, kind):
    torch = pytest.importorskip("torch")
    x, rank = images(keywords)
    theirs = torch.tensor(np.moveaxis(x, -1, 1)).requires_grad_()
    function = getattr(torch.nn.functional, f"{kind}_pool{rank}d")
    more = {"count_include_pad": False} if kind == "avg" else {}
    y = function(
        theirs, keywords["size"], keywords.get("stride"), keywords.get("padding", 0), **more
    )
    y.sin().sum().backward()

    def loss(x):
        ours = getattr(layers, f"{kind}_pool")(x, **keywords)
        return jnp.sum(jnp.sin(ours)), ours

    gradient, ours = jax.jit(jax.grad(loss, has_aux=True))(x)
    np.testing.assert_allclose(ours, np.moveaxis(y.detach().numpy(), 1, -1), atol=1e-10)
    np.testing.assert_allclose(gradient, np.moveaxis(theirs.grad.numpy(), 1, -1), atol=1e-10)


def test_padded_cells_are_not_counted_unless_asked_for():
    """Flax issue 2401: [1, 2] with windows of 2 at stride 1 and one padded cell behind."""
    x = jnp.array([1.0, 2.0])[:, None]
    same = {"stride": 1, "padding": "same"}
    assert layers.avg_pool(x, (2,), **same)[:, 0].tolist() == [1.5, 2.0]
    assert layers.avg_pool(x, (2,), count_padding=True, **same)[:, 0].tolist() == [1.5, 1.0]
    constant = jnp.full((5, 5, 1), 7.0)
    np.testing.assert_allclose(layers.avg_pool(constant, 3, **same), 7.0, rtol=1e-6)


def test_padding_is_never_the_largest():
    x = jnp.full((3, 3, 1), -5.0)
    np.testing.assert_array_equal(layers.max_pool(x, 3, stride=1, padding=1), x)
    whole = jnp.full((4, 4, 1), -5, jnp.int8)
    assert layers.max_pool(whole, 2, padding=1).tolist() == jnp.full((3, 3, 1), -5).tolist()


@pytest.mark.equation("L919")
def test_sizes_are_rounded_down_and_the_depth_stays():
    """D-61: (7 - 2) / 2 + 1 is 3.5."""
    assert layers.max_pool(jnp.zeros((7, 7, 5)), 2).shape == (3, 3, 5)
    assert layers.pool_output_size(7, 2) == 3 and layers.pool_output_size(8, 3, stride=2) == 3
    assert layers.pool_output_size(7, 3, stride=2, strict=True) == 3
    with pytest.raises(ValueError, match="leaves 1 of 7 cells"):
        layers.pool_output_size(7, 2, strict=True)
    pool = lambda x: layers.max_pool(x, 3, stride=2, padding=1)
    expected = layers.pool_output_size(6, 3, stride=2, padding=1)
    assert jax.eval_shape(pool, jnp.zeros((6, 6, 1))).shape == (expected, expected, 1)


def test_equal_largest_entries_share_the_gradient():
    for keywords in ({"size": 2}, {"size": 2, "stride": 1}):
        gradient = jax.grad(lambda x, k=keywords: layers.max_pool(x, **k).sum())(
            jnp.ones((2, 2, 1))
        )
        np.testing.assert_allclose(gradient, 0.25, rtol=1e-6)


def test_global_pools_reduce_all_places_of_any_leading_axes(x64):
    x = draw(2, 3, 4, 5, 6)
    np.testing.assert_allclose(layers.global_avg_pool(x), x.mean((2, 3)), atol=1e-12)
    np.testing.assert_array_equal(layers.global_max_pool(x), x.max((2, 3)))
    np.testing.assert_allclose(layers.global_avg_pool(x, axes=1), x.mean(3), atol=1e-12)
    for pool in (layers.global_avg_pool, layers.global_max_pool):
        np.testing.assert_allclose(pool(jnp.roll(x, (1, 2), (2, 3))), pool(x), atol=1e-12)
        with pytest.raises(ValueError, match="pooling over 2 axes expects x"):
            pool(x[0, 0, 0])


def test_leading_axes_vmap_and_half_precision():
    x = jnp.asarray(draw(3, 2, 6, 6, 4), jnp.float32)
    for pool in (layers.max_pool, layers.avg_pool):
        whole = pool(x, 3, stride=2)
        np.testing.assert_array_equal(jax.vmap(lambda x, p=pool: p(x, 3, stride=2))(x), whole)
        np.testing.assert_array_equal(pool(x[0, 0], 3, stride=2), whole[0, 0])
    many = jnp.full((64, 64, 1), 1.1, jnp.bfloat16)  # a sum in bfloat16 stops growing at 256
    assert layers.avg_pool(many, 64).dtype == jnp.bfloat16
    np.testing.assert_allclose(layers.avg_pool(many, 64).astype(float), 1.1, rtol=0.01)
    assert layers.avg_pool(jnp.array([1, 2])[:, None], (2,)).item() == 1.5


@pytest.mark.parametrize("keywords", SETTINGS.values(), ids=SETTINGS)
def test_no_windowed_reduction_of_xlas(keywords):
    x, _ = images(keywords)
    for pool in (layers.max_pool, layers.avg_pool):
        loss = lambda x, pool=pool: jnp.sum(pool(x, **keywords) ** 2)
        text = str(jax.make_jaxpr(jax.grad(loss))(x))
        assert "reduce_window" not in text and "select_and" not in text


def test_what_does_not_fit_is_refused():
    x = jnp.zeros((4, 4, 1))
    with pytest.raises(ValueError, match="window over 5 cells does not fit into 4"):
        layers.max_pool(x, 5)
    with pytest.raises(ValueError, match=r"padding \(2, 2\) would fill windows of 2 cells"):
        layers.avg_pool(x, 2, padding=2)
    with pytest.raises(ValueError, match="pooling over 2 axes expects x"):
        layers.max_pool(jnp.zeros((4, 1)), 2)
    with pytest.raises(ValueError, match="size must be a positive whole number, not 0"):
        layers.max_pool(x, 0)
