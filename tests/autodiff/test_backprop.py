"""Backpropagation by hand against jax.grad, finite differences and wrong orders."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import autodiff, families, layers
from jaxdl.models import mlp, to_augmented

LOSSES = {
    "identity": lambda eta, y: 0.5 * jnp.sum((eta - y) ** 2, -1),
    "logistic": lambda eta, y: jnp.sum(jax.nn.softplus(eta) - y * eta, -1),
    "softmax": lambda eta, y: -families.categorical(3).log_prob(eta, jnp.argmax(y, -1)),
}


def problem(sizes=(4, 6, 5, 3), n=7, seed=0, **how):
    rng = np.random.default_rng(seed)
    params, _ = mlp(sizes, **how).init(jax.random.key(seed))
    params = jax.tree.map(lambda p: p + 0.3 * rng.normal(size=p.shape), params)
    x = jnp.asarray(rng.normal(size=(n, sizes[0])))
    return params, x, rng


def responses(link, rng, n, k=3):
    labels = rng.integers(0, k, n)
    return {
        "identity": lambda: jnp.asarray(rng.normal(size=(n, k))),
        "logistic": lambda: jnp.asarray(rng.integers(0, 2, (n, k)).astype(float)),
        "softmax": lambda: jnp.eye(k)[labels],
    }[link]()


def assert_close(a, b, rtol=1e-10, atol=1e-13):
    jax.tree.map(lambda u, v: np.testing.assert_allclose(u, v, rtol=rtol, atol=atol), a, b)


@pytest.mark.equation(26)
@pytest.mark.parametrize("link", LOSSES)
@pytest.mark.parametrize("activation", ["logistic", "tanh", "relu", "leaky_relu", "gelu", jnp.sin])
def test_all_gradients_equal_jax(link, activation, x64):
    params, x, rng = problem()
    y = responses(link, rng, len(x))
    net = mlp((4, 6, 5, 3), activation=activation)
    loss = lambda w: jnp.mean(LOSSES[link](net.apply(w, {}, x)[0], y))
    found = autodiff.backprop(params, x, y, link=link, activation=activation)
    assert_close(found.gradients, jax.grad(loss)(params))
    np.testing.assert_allclose(found.cache.eta, net.apply(params, {}, x)[0], rtol=1e-12)


@pytest.mark.equation(26, 27)
@pytest.mark.parametrize("sizes", [(4, 4, 4, 3), (4, 6, 6, 3)])
def test_with_skips_and_mixed_activations(sizes, x64):
    params, x, rng = problem(sizes, skip=True)
    y = responses("softmax", rng, len(x))
    activation = ("tanh", "relu")
    net = mlp(sizes, activation=activation, skip=True)
    loss = lambda w: jnp.mean(LOSSES["softmax"](net.apply(w, {}, x)[0], y))
    found = autodiff.backprop(params, x, y, link="softmax", activation=activation, skip=True)
    assert set(found.gradients) == set(params)
    assert_close(found.gradients, jax.grad(loss)(params))
    labels = jnp.argmax(y, -1)
    by_label = autodiff.backprop(
        params, x, labels, link="softmax", activation=activation, skip=True
    )
    assert_close(by_label.gradients, found.gradients)


@pytest.mark.equation(26)
def test_finite_differences_agree(x64):
    params, x, rng = problem()
    y = responses("logistic", rng, len(x))
    loss = jax.jit(
        lambda w: jnp.mean(
            LOSSES["logistic"](mlp((4, 6, 5, 3), activation="tanh").apply(w, {}, x)[0], y)
        )
    )
    found = autodiff.backprop(params, x, y, link="logistic", activation="tanh").gradients
    for name, leaf in itertools.product(params, ("kernel", "bias")):
        step = jnp.zeros_like(params[name][leaf]).at[0].set(1e-6)
        moved = lambda sign, name=name, leaf=leaf, step=step: {
            **params, name: {**params[name], leaf: params[name][leaf] + sign * step}
        }  # fmt: skip
        slope = (loss(moved(1)) - loss(moved(-1))) / 2e-6
        np.testing.assert_allclose(slope, jnp.sum(found[name][leaf][0]), rtol=1e-6, atol=1e-9)


@pytest.mark.equation(26, "L785", "L789", "L793", "L797")
def test_deltas_are_gradients_by_pre_activation(x64):
    params, x, rng = problem()
    y = responses("identity", rng, len(x))
    found = autodiff.backprop(params, x, y, activation="tanh")

    def loss(shifts):
        h = x
        for l in range(3):
            a = layers.dense(params[f"dense_{l}"], h) + shifts[l]
            h = jnp.tanh(a) if l < 2 else a
        return jnp.mean(LOSSES["identity"](h, y))

    zeros = [jnp.zeros_like(d) for d in found.deltas]
    assert_close(list(found.deltas), jax.grad(loss)(zeros))


@pytest.mark.equation("L781")
@pytest.mark.parametrize("link", LOSSES)
def test_the_output_delta_of_canonical_links(link, x64):
    rng = np.random.default_rng(1)
    eta, y = jnp.asarray(rng.normal(size=(5, 3))), responses(link, rng, 5)
    expected = jax.grad(lambda eta: jnp.mean(LOSSES[link](eta, y)))(eta)
    assert_close(autodiff.output_delta(eta, y, link=link), expected)


@pytest.mark.equation("L775", "L781")
def test_the_squared_loss_needs_its_half_and_its_sign(x64):
    """D-40: the notes' minus sum of squares has -2 times the delta, without the half +2 times."""
    rng = np.random.default_rng(1)
    eta, y = jnp.asarray(rng.normal(size=(5, 3))), jnp.asarray(rng.normal(size=(5, 3)))
    delta = autodiff.output_delta(eta, y)
    square = lambda eta: jnp.sum((eta - y) ** 2) / 5
    np.testing.assert_allclose(jax.grad(square)(eta) / delta, 2.0, rtol=1e-12)
    np.testing.assert_allclose(jax.grad(lambda e: -square(e))(eta) / delta, -2.0, rtol=1e-12)
    np.testing.assert_allclose(jax.grad(lambda e: square(e) / 2)(eta), delta, rtol=1e-12)


@pytest.mark.equation(26)
def test_only_the_fold_from_the_left_is_the_gradient(x64):
    """D-42: with as many rows as units no other order raises, and all are wrong."""
    n = 5
    params, x, rng = problem((n, n, n, n), n=n, use_bias=False)
    y = responses("identity", rng, n, n)
    found = autodiff.backprop(params, x, y, activation="tanh")
    a1, a2 = found.cache.pre
    w1, w2 = (params[f"dense_{l}"]["kernel"] for l in (1, 2))
    slope = layers.derivative("tanh")
    d = found.deltas[-1]
    gradient = lambda delta: x.T @ delta
    right = found.gradients["dense_0"]["kernel"]
    fold = ((d @ w2.T) * slope(a2)) @ w1.T * slope(a1)
    np.testing.assert_allclose(gradient(fold), right, rtol=1e-12)
    wrong = {
        "products first": d @ (w2.T * slope(a2)) @ (w1.T * slope(a1)),
        "matrix product binds tighter": (d @ w2.T) * (slope(a2) @ w1.T) * slope(a1),
        "ascending": ((d @ w1.T) * slope(a1)) @ w2.T * slope(a2),
    }
    for name, delta in wrong.items():
        error = jnp.linalg.norm(gradient(delta) - right) / jnp.linalg.norm(right)
        assert error > 0.3, name


@pytest.mark.equation(26)
def test_the_row_of_offsets_is_left_out_on_the_way_back(x64):
    """D-43: an augmented W has a row more than phi' has columns."""
    params, x, rng = problem()
    y = responses("identity", rng, len(x))
    found = autodiff.backprop(params, x, y, activation="tanh")
    augmented = to_augmented(params, position="first")
    one = jnp.ones((len(x), 1))
    h1, h2 = found.cache.hidden[1:]
    slope = layers.derivative("tanh")
    delta3 = found.deltas[-1]
    with pytest.raises(TypeError, match="incompatible shapes"):
        (delta3 @ augmented[2].T) * slope(found.cache.pre[1])
    delta2 = (delta3 @ augmented[2][1:].T) * slope(found.cache.pre[1])
    delta1 = (delta2 @ augmented[1][1:].T) * slope(found.cache.pre[0])
    for l, (h, delta) in enumerate([(x, delta1), (h1, delta2), (h2, delta3)]):
        gradient = jnp.hstack([one, h]).T @ delta
        layer = found.gradients[f"dense_{l}"]
        np.testing.assert_allclose(gradient[0], layer["bias"], rtol=1e-9, atol=1e-13)
        np.testing.assert_allclose(gradient[1:], layer["kernel"], rtol=1e-9, atol=1e-13)


def test_it_composes_with_jit_and_vmap(x64):
    params, x, rng = problem()
    y = responses("softmax", rng, len(x))
    run = lambda x, y: autodiff.backprop(params, x, y, link="softmax", activation="tanh").gradients
    assert_close(jax.jit(run)(x, y), run(x, y))
    every = jax.vmap(run)(x[:, None], y[:, None])
    assert_close(jax.tree.map(lambda g: g.mean(0), every), run(x, y))


def test_work_is_linear_in_depth():
    """E-32: each further layer adds as many products as the one before it."""

    def products(depth):
        sizes = (4, *[4] * depth, 4)
        params, _ = mlp(sizes).init(jax.random.key(0))
        x = jnp.ones((2, 4))
        jaxpr = jax.make_jaxpr(lambda w: autodiff.backprop(w, x, x).gradients)(params)
        return str(jaxpr).count("dot_general")

    counts = [products(d) for d in (1, 2, 3, 4)]
    assert np.diff(counts).tolist() == [3, 3, 3]  # forwards, backwards, and the gradient


def test_bad_input():
    params, x, _ = problem()
    with pytest.raises(
        ValueError, match="link is one of identity, logistic, softmax, not 'probit'"
    ):
        autodiff.output_delta(x, x, link="probit")
    with pytest.raises(ValueError, match="y must be like eta"):
        autodiff.output_delta(x, x[:, :1])
    with pytest.raises(ValueError, match="1 activations for 2"):
        autodiff.backprop(params, x, jnp.zeros((7, 3)), activation=["relu"])
