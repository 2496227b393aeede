"""Residual blocks: what they add, and what passes through dead ones."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import features, layers

fresh = functools.partial(jax.random.key, 0)  # keys are consumed
H = np.random.default_rng(0).normal(size=(5, 3))


@pytest.mark.equation(27, "L813")
@pytest.mark.parametrize("activation", ["relu", "tanh", jnp.sin])
def test_output_less_input_is_the_residual(x64, activation):
    params = layers.residual_block_init(fresh(), 3, 3)
    params["dense"]["bias"] = params["dense"]["bias"] + 0.3
    out = layers.residual_block(params, jnp.asarray(H), activation=activation)
    phi = {"relu": lambda a: np.maximum(a, 0), "tanh": np.tanh, jnp.sin: np.sin}[activation]
    inner = H @ np.asarray(params["dense"]["kernel"]) + 0.3
    np.testing.assert_allclose(out - H, phi(inner), atol=1e-14)


@pytest.mark.equation("L835")
def test_projected_skips(x64):
    """Notes: L835; U = I is the identity skip."""
    params = layers.residual_block_init(fresh(), 3, 5)
    assert params["skip"]["kernel"].shape == (3, 5)
    u, w = (np.asarray(params[name]["kernel"]) for name in ("skip", "dense"))
    np.testing.assert_allclose(u @ u.T, np.eye(3), atol=1e-12)  # its rows are orthonormal
    out = layers.residual_block(params, jnp.asarray(H))
    np.testing.assert_allclose(out, np.maximum(H @ w, 0) + H @ u, atol=1e-14)
    plain = layers.residual_block_init(fresh(), 3, 3)
    projected = layers.residual_block_init(fresh(), 3, 3, projection=True)
    np.testing.assert_array_equal(plain["dense"]["kernel"], projected["dense"]["kernel"])
    identity = {**plain, "skip": {"kernel": jnp.eye(3)}}
    np.testing.assert_allclose(
        layers.residual_block(identity, jnp.asarray(H)),
        layers.residual_block(plain, jnp.asarray(H)),
    )


@pytest.mark.equation("L829")
@pytest.mark.parametrize(
    ("activation", "offset", "shift"),
    [("relu", -50.0, 0), ("logistic", -50.0, 0), ("logistic", 50.0, 1), ("tanh", -50.0, -1)],
)
def test_the_jacobian_of_a_dead_block_is_the_skips(x64, activation, offset, shift):
    """E-37, D-90: the Jacobian is I; the value is h only where phi saturates at 0."""
    params = layers.residual_block_init(fresh(), 3, 3)
    params["dense"]["bias"] = jnp.full(3, offset)
    h = jnp.asarray(H[0])
    block = lambda params: lambda h: layers.residual_block(params, h, activation=activation)
    np.testing.assert_allclose(jax.jacobian(block(params))(h), np.eye(3), atol=1e-12)
    np.testing.assert_allclose(block(params)(h), h + shift, atol=1e-12)
    wide = layers.residual_block_init(fresh(), 3, 5)
    wide["dense"]["bias"] = jnp.full(5, offset)
    np.testing.assert_allclose(jax.jacobian(block(wide))(h), wide["skip"]["kernel"].T, atol=1e-12)


def test_a_projection_that_is_not_zero_may_still_vanish(x64):
    """D-47: the product over 20 dead blocks is 1e-20 for 0.1 I, 1.6e-14 for a rank-one U."""
    dead = {"kernel": jnp.zeros((4, 4)), "bias": jnp.full(4, -9.0)}

    def norm(u):
        params = {"dense": dead, "skip": {"kernel": u}}
        chain = lambda h: jax.lax.fori_loop(0, 20, lambda _, h: layers.residual_block(params, h), h)
        return float(jnp.linalg.norm(jax.jacfwd(chain)(jnp.ones(4)), 2))

    a, b = jnp.array([1.0, 0, 0, 0]), jnp.array([0.1875, np.sqrt(1 - 0.1875**2), 0, 0])
    np.testing.assert_allclose(norm(0.1 * jnp.eye(4)), 1e-20, rtol=1e-9)
    np.testing.assert_allclose(norm(jnp.outer(a, b)), 1.6e-14, rtol=0.1)  # (a'b)^19
    np.testing.assert_allclose(norm(jnp.eye(4)), 1, rtol=1e-12)
    np.testing.assert_allclose(
        norm(layers.orthogonal()(fresh(), (4, 4), jnp.float64)), 1, rtol=1e-9
    )


def test_the_appended_one_does_not_take_part(x64):
    """D-46: added to itself it grows 1, 2, 3, 4 over three layers."""
    rng = np.random.default_rng(1)
    weights = [np.vstack([rng.normal(size=(3, 3)), rng.normal(size=(1, 3))]) for _ in range(3)]
    literal = features.append_ones(jnp.asarray(H[0]), "last")
    ours, constants = jnp.asarray(H[0]), [float(literal[-1])]
    for w in weights:
        literal = features.append_ones(jnp.tanh(literal @ w), "last") + literal
        constants.append(float(literal[-1]))
        params = {"dense": {"kernel": jnp.asarray(w[:-1]), "bias": jnp.asarray(w[-1])}}
        ours = layers.residual_block(params, ours, activation="tanh")
    assert constants == [1, 2, 3, 4]
    assert abs(ours - literal[:-1]).max() > 1e-2
    h = H[0]
    for w in weights:  # skip first, append after
        h = np.tanh(np.append(h, 1) @ w) + h
    np.testing.assert_allclose(ours, h, rtol=1e-12)


def test_shapes_and_composition():
    with pytest.raises(ValueError, match="needs equal widths, not 3 -> 5"):
        layers.residual_block_init(fresh(), 3, 5, projection=False)
    params = layers.residual_block_init(fresh(), 3, 5)
    with pytest.raises(ValueError, match=r"equal widths, not \(5, 3\) -> \(5, 5\)"):
        layers.residual_block({"dense": params["dense"]}, jnp.asarray(H))
    narrow = layers.residual_block_init(fresh(), 3, 1)  # one output does not broadcast
    with pytest.raises(ValueError, match=r"equal widths, not \(5, 3\) -> \(5, 1\)"):
        layers.residual_block({"dense": narrow["dense"]}, jnp.asarray(H))
    assert set(layers.residual_block_init(fresh(), 2, 2, use_bias=False)["dense"]) == {"kernel"}
    half = layers.residual_block_init(fresh(), 3, 5, dtype=jnp.bfloat16)
    assert {leaf.dtype for leaf in jax.tree.leaves(half)} == {jnp.dtype(jnp.bfloat16)}
    x = jnp.asarray(H, jnp.float32)
    init = jax.vmap(lambda k: layers.residual_block_init(k, 3, 5))
    both = init(jax.random.split(fresh(), 2))
    together = jax.jit(jax.vmap(layers.residual_block, (0, None)))(both, x)
    for i in range(2):
        alone = layers.residual_block(jax.tree.map(lambda leaf, i=i: leaf[i], both), x)
        np.testing.assert_allclose(together[i], alone, rtol=1e-5)
    gradient = jax.grad(lambda p: jnp.sin(layers.residual_block(p, x)).sum())(params)
    assert all(abs(leaf).max() > 1e-3 for leaf in jax.tree.leaves(gradient))
