"""Networks in the notes' form, offsets inside the matrices; linear networks as one map."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import models

X = np.random.default_rng(0).normal(size=(6, 3))
positions = pytest.mark.parametrize("position", ["first", "last"])


def network(sizes, **settings):
    net = models.mlp(sizes, **settings)
    params, _ = net.init(jax.random.key(0))
    return net, jax.tree.map(lambda leaf: leaf + 0.2, params)


@positions
@pytest.mark.equation(21, 22, "L691")
def test_the_augmented_network_is_the_one_with_explicit_offsets(x64, position):
    """D-39: one row of every matrix belongs to the appended 1."""
    net, params = network((3, 5, 4, 2), activation=("tanh", "relu"))
    weights = models.to_augmented(params, position)
    assert [w.shape for w in weights] == [(4, 5), (6, 4), (5, 2)]
    apply = lambda w, x: models.augmented_apply(
        w, x, activation=("tanh", "relu"), position=position
    )
    eta, _ = net.apply(params, {}, jnp.asarray(X))
    np.testing.assert_allclose(jax.jit(apply)(weights, X), eta, rtol=1e-12)
    np.testing.assert_allclose(jax.vmap(apply, (None, 0))(weights, X), eta, rtol=1e-12)
    back = models.from_augmented(weights, position)
    jax.tree.map(np.testing.assert_array_equal, back, params)
    # gradients have the same two forms
    ours = jax.grad(lambda p: jnp.sin(net.apply(p, {}, jnp.asarray(X))[0]).sum())(params)
    theirs = jax.grad(lambda w: jnp.sin(apply(w, X)).sum())(weights)
    for a, b in zip(models.to_augmented(ours, position), theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.equation("L691")
def test_the_position_of_the_one_matters(x64):
    """D-39: §2.1 puts it first and L691 last; read the other way round the network is another."""
    _, params = network((3, 3, 1), activation="tanh")
    weights = models.to_augmented(params, "first")
    right, wrong = (models.augmented_apply(weights, X, position=p) for p in ("first", "last"))
    assert abs(right - wrong).max() > 1e-2


@positions
@pytest.mark.equation(27)
def test_skips_come_before_the_appended_one(x64, position):
    """D-46: with h_{l-1} and its 1 added as they are, the constant grows to 4 over three layers."""
    net, params = network((3, 3, 3, 3, 2), activation="tanh", skip=True)
    weights = models.to_augmented(params, position)
    eta, _ = net.apply(params, {}, jnp.asarray(X))
    ours = models.augmented_apply(weights, X, activation="tanh", position=position, skip=True)
    np.testing.assert_allclose(ours, eta, rtol=1e-12)
    ones = np.ones((6, 1))
    parts = (lambda h: [ones, h]) if position == "first" else (lambda h: [h, ones])
    h = np.concatenate(parts(X), 1)
    for w in weights[:-1]:
        h = np.concatenate(parts(np.tanh(h @ w)), 1) + h
    constant = h[:, 0 if position == "first" else -1]
    assert (constant == 4).all() and abs(h @ weights[-1] - eta).max() > 1e-2


def test_without_offsets_and_their_fresh_row(x64):
    """D-48: the row of the 1 starts at zero and is no part of the fan-in."""
    net, params = network((3, 4, 2), use_bias=False)
    weights = models.to_augmented(params)
    assert not any(w[-1].any() for w in weights)
    eta, _ = net.apply(params, {}, jnp.asarray(X))
    np.testing.assert_allclose(models.augmented_apply(weights, X), eta, rtol=1e-12)
    fresh, _ = models.mlp((3, 4, 2)).init(jax.random.key(0))
    assert not any(w[0].any() for w in models.to_augmented(fresh, "first"))


@pytest.mark.equation("L631", "L635")
def test_linear_layers_collapse(x64):
    """E-30: two linear layers are one, of rank 2 at most for a width of 2."""
    net, params = network((5, 2, 6, 5), activation="identity")
    collapsed = models.collapse_linear(params)
    x = jnp.asarray(np.random.default_rng(1).normal(size=(6, 5)))
    linear, _ = models.mlp((5, 5)).apply({"dense_0": collapsed}, {}, x)
    np.testing.assert_allclose(net.apply(params, {}, x)[0], linear, rtol=1e-11)
    assert np.linalg.matrix_rank(collapsed["kernel"]) == 2
    full = models.collapse_linear(network((5, 5), activation="identity")[1])
    assert np.linalg.matrix_rank(full["kernel"]) == 5
    _, bare = network((5, 2, 5), activation="identity", use_bias=False)
    found = jax.jit(models.collapse_linear)(bare)
    product = bare["dense_0"]["kernel"] @ bare["dense_1"]["kernel"]
    np.testing.assert_allclose(found["kernel"], product)
    assert not found["bias"].any()


@pytest.mark.equation("L635", "L645")
def test_the_inverse_link_stays(x64):
    """D-37: g^-1(w'U'x) is not w'U'x; and no linear map is the network once phi is not linear."""
    net, params = network((3, 4, 1), activation="identity")
    eta, _ = net.apply(params, {}, jnp.asarray(X))
    collapsed = models.collapse_linear(params)
    linear = X @ collapsed["kernel"] + collapsed["bias"]
    g_inverse = jax.nn.sigmoid
    np.testing.assert_allclose(g_inverse(eta), g_inverse(linear), rtol=1e-12)
    assert abs(g_inverse(eta) - linear).max() > 0.1
    bent, _ = models.mlp((3, 4, 1), activation="tanh").apply(params, {}, jnp.asarray(X))
    design = np.hstack([X, np.ones((6, 1))])
    closest = design @ np.linalg.lstsq(design, np.asarray(bent), rcond=None)[0]
    assert abs(bent - closest).max() > 1e-2


def test_many_layers_in_order(x64):
    net, params = network((2,) + (3,) * 11 + (1,), activation="identity", use_bias=False)
    eta, _ = net.apply(params, {}, jnp.asarray(X[:, :2]))
    weights = models.to_augmented(params)  # dense_10 comes after dense_9, not after dense_1
    ours = models.augmented_apply(weights, X[:, :2], activation="identity")
    np.testing.assert_allclose(ours, eta, rtol=1e-10)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_dtypes(x64, dtype):
    params = jax.tree.map(lambda leaf: leaf.astype(dtype), network((3, 4, 2))[1])
    weights = models.to_augmented(params)
    assert {w.dtype for w in weights} == {jnp.dtype(dtype)}
    assert models.augmented_apply(weights, X.astype(dtype)).dtype == dtype
    assert models.collapse_linear(params)["bias"].dtype == dtype


W = [jnp.ones((4, 5)), jnp.ones((6, 2))]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: models.to_augmented(network((3, 2))[1], "middle"),
            "position is one of first, last",
        ),
        (lambda: models.from_augmented(W, "middle"), "position is one of first, last"),
        (lambda: models.from_augmented([W[0], W[0]]), "weights are"),
        (lambda: models.from_augmented([jnp.ones(3), W[0]]), "weights are"),
        (lambda: models.from_augmented([]), "weights are"),
        (lambda: models.augmented_apply(W, X[:, :2]), r"x must be \[..., 3\]"),
        (lambda: models.augmented_apply(W, X, activation=("relu",) * 2), "2 activations for 1"),
        (lambda: models.augmented_apply(W, X, skip=True), "equal widths"),
        (lambda: models.to_augmented(network((3, 4, 2), norm="layer")[1]), "only dense layers"),
        (lambda: models.collapse_linear(network((3, 4, 2), skip=True)[1]), "only dense layers"),
        (lambda: models.collapse_linear({}), "only dense layers"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
