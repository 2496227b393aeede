"""Rematerialisation: the same gradient for less memory."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.autodiff import peak_memory, stack_layers

DEPTH, WIDTH, ROWS = 24, 8, 256


def layer(w, h):
    for _ in range(4):  # much inside a layer, little between layers
        h = jnp.tanh(h @ w)
    return h


def loss(remat):
    return lambda w, x: jnp.sum(stack_layers(layer, w, x, remat=remat) ** 2)


def arrays():
    rng = np.random.default_rng(0)
    w = jnp.asarray(0.4 * rng.normal(size=(DEPTH, WIDTH, WIDTH)))
    return w, jnp.asarray(rng.normal(size=(ROWS, WIDTH)))


def test_the_stack_is_a_loop_and_its_gradient_the_same(x64):
    w, x = arrays()
    h = x
    for i in range(DEPTH):
        h = layer(w[i], h)
    np.testing.assert_allclose(stack_layers(layer, w, x), h, rtol=1e-10, atol=1e-12)
    kept, recomputed = (jax.jit(jax.grad(loss(remat)))(w, x) for remat in (False, True))
    np.testing.assert_allclose(kept, recomputed, rtol=1e-10, atol=1e-13)


def test_less_is_kept():
    """Of about eight arrays a layer one is left."""
    w, x = (a.astype(jnp.float32) for a in arrays())
    kept, recomputed = (peak_memory(jax.grad(loss(remat)), w, x) for remat in (False, True))
    one = x.size * 4
    assert kept > 3 * DEPTH * one
    assert recomputed < kept / 2
    policy = jax.checkpoint_policies.everything_saveable
    fn = lambda w, x: jnp.sum(stack_layers(layer, w, x, remat=True, policy=policy) ** 2)
    assert peak_memory(jax.grad(fn), w, x) > 0.8 * kept
