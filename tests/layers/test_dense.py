"""The dense layer against hand-worked numbers and flax."""

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl.layers import dense, dense_init


def test_by_hand():
    params = {"kernel": jnp.array([[1.0, 0.0], [2.0, -1.0]]), "bias": jnp.array([0.5, 1.0])}
    assert dense(params, jnp.array([3.0, 4.0])).tolist() == [11.5, -3.0]


@pytest.mark.equation(17)
@pytest.mark.parametrize("shape", [(3,), (5, 3), (2, 5, 3), (0, 3)])
def test_outputs_and_gradients_are_flaxs(x64, shape):
    rng = np.random.default_rng(0)
    layer = flax.linen.Dense(4, param_dtype=jnp.float64)
    x = jnp.asarray(rng.normal(size=shape))
    params = dense_init(jax.random.key(0), 3, 4)
    params["bias"] = params["bias"] + 0.3
    np.testing.assert_allclose(dense(params, x), layer.apply({"params": params}, x), rtol=1e-13)
    ours = jax.grad(lambda p: jnp.sum(jnp.sin(dense(p, x))))(params)
    theirs = jax.grad(lambda p: jnp.sum(jnp.sin(layer.apply({"params": p}, x))))(params)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14), ours, theirs
    )


def test_each_column_is_a_model_of_its_own(x64):
    rng = np.random.default_rng(0)
    params = dense_init(jax.random.key(0), 3, 4)
    x = jnp.asarray(rng.normal(size=(5, 3)))
    for k in range(4):
        np.testing.assert_allclose(dense(params, x)[:, k], x @ params["kernel"][:, k], rtol=1e-12)


def test_initial_kernels_keep_the_variance(key):
    params = dense_init(key, 400, 300)
    assert params["kernel"].shape == (400, 300) and params["kernel"].dtype == jnp.float32
    np.testing.assert_allclose(params["kernel"].var() * 400, 1, rtol=0.02)  # LeCun: 1 / fan_in
    assert not params["bias"].any() and params["bias"].shape == (300,)
    assert set(dense_init(jax.random.key(1), 2, 2, use_bias=False)) == {"kernel"}
    half = dense_init(jax.random.key(1), 2, 2, dtype=jnp.bfloat16)
    assert {leaf.dtype for leaf in jax.tree.leaves(half)} == {jnp.dtype(jnp.bfloat16)}


def test_bad_shapes():
    with pytest.raises(ValueError, match="at least 1, got 0 -> 3"):
        dense_init(jax.random.key(0), 0, 3)
    params = dense_init(jax.random.key(0), 3, 4)
    for x in (jnp.ones(2), jnp.ones((3, 5)), jnp.array(1.0)):
        with pytest.raises(ValueError, match=r"expects x \[..., 3\]"):
            dense(params, x)
