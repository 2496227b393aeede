"""The scalar networks' derivatives against jax.grad and finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import autodiff
from jaxdl.autodiff import ScalarWeights

W = ScalarWeights(*(jnp.float32(v) for v in (0.7, -1.3, 1.9)))


def data():
    rng = np.random.default_rng(0)
    return jnp.asarray(rng.normal(size=20)), jnp.asarray(rng.normal(size=20))


@pytest.mark.equation("L713", "L721", "L725", "L729", "L821", "L825", "L829")
@pytest.mark.parametrize("skip", [False, True])
def test_derivatives(skip, x64):
    x, y = data()
    w = ScalarWeights(*(jnp.asarray(float(v)) for v in W))
    loss = lambda w: jnp.mean((y - autodiff.scalar_nn(w, x, skip=skip)) ** 2)
    written = (autodiff.scalar_skip_gradients if skip else autodiff.scalar_nn_gradients)(w, x, y)
    np.testing.assert_allclose(jnp.stack(written), jnp.stack(jax.grad(loss)(w)), rtol=1e-12)
    for i, slope in enumerate(written):
        step = [0.0, 0.0, 0.0]
        step[i] = 1e-6
        moved = lambda sign, step=step: ScalarWeights(
            *(v + sign * s for v, s in zip(w, step, strict=True))
        )
        np.testing.assert_allclose((loss(moved(1)) - loss(moved(-1))) / 2e-6, slope, atol=1e-8)


@pytest.mark.equation("L825")
def test_the_slope_behind_a_skip_is_that_of_phi(x64):
    """D-45: h_2 (1 - h_2), with h_2 = phi(a_2) + h_1, is wrong for w_0 and w_1 and right for w_2."""
    x, y = data()
    w = ScalarWeights(*(jnp.asarray(float(v)) for v in W))
    h1 = jax.nn.sigmoid(w.w0 * x)
    h2 = jax.nn.sigmoid(w.w1 * h1) + h1
    error = 2 * (w.w2 * h2 - y)
    literal_w1 = jnp.mean(error * w.w2 * h2 * (1 - h2) * h1)
    literal_w0 = jnp.mean(error * w.w2 * (h2 * (1 - h2) * w.w1 + 1) * h1 * (1 - h1) * x)
    right = autodiff.scalar_skip_gradients(w, x, y)
    assert abs(literal_w1 / right.w1 - 1) > 0.3
    assert abs(literal_w0 / right.w0 - 1) > 0.1
    np.testing.assert_allclose(jnp.mean(error * h2), right.w2, rtol=1e-12)


def test_they_run_under_jit_and_vmap():
    x, y = (v.astype(jnp.float32) for v in data())
    many = ScalarWeights(*(jnp.stack([v, 2 * v]) for v in W))
    every = jax.jit(jax.vmap(lambda w: autodiff.scalar_nn_gradients(w, x, y)))(many)
    np.testing.assert_allclose(every.w0[0], autodiff.scalar_nn_gradients(W, x, y).w0, rtol=1e-5)
