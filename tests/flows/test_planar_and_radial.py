"""Planar and radial flows: closed forms by hand, the edge of invertibility, densities."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate

from jaxdl import flows


def softplus_inverse(y):
    return np.log(np.expm1(y))


def test_a_planar_map_by_hand(x64):
    """w'u is kept above -1 by softplus, its start by an offset, as the docstring says."""
    w, u, b = np.array([1.0, -2.0]), np.array([0.5, 1.5]), 0.3
    z = np.array([0.7, 0.2])
    most = np.log1p(np.exp(w @ u + softplus_inverse(1.0)))
    v = u + (most - 1 - w @ u) * w / (w @ w)
    assert w @ u < -1 < w @ v  # as it is it would not be invertible
    a = w @ z + b
    params = {"w": jnp.asarray(w), "u": jnp.asarray(u), "bias": jnp.asarray(b)}
    x, log_det = flows.planar(2).forward(params, jnp.asarray(z))
    np.testing.assert_allclose(x, z + v * np.tanh(a), rtol=1e-12)
    np.testing.assert_allclose(log_det, np.log(1 + w @ v * (1 - np.tanh(a) ** 2)), rtol=1e-12)


def test_a_radial_map_by_hand(x64):
    """On a line, D = 1: the slope of x = z + beta (z - c) / (alpha + r)."""
    alpha, reach, c = 1.2, 0.4, 0.5
    params = {
        "centre": jnp.array([c]),
        "alpha": softplus_inverse(alpha),
        "reach": softplus_inverse(reach),
    }
    x = lambda z: z + (reach - alpha) * (z - c) / (alpha + abs(z - c))
    for z in (-3.0, 0.2, 0.5, 4.0):
        got, log_det = flows.radial(1).forward(params, jnp.array([z]))
        np.testing.assert_allclose(got, [x(z)], rtol=1e-12)
        h = 1e-6
        slope = (x(z + h) - x(z - h)) / (2 * h)
        np.testing.assert_allclose(np.exp(log_det), slope, rtol=1e-5)


@pytest.mark.parametrize("u", [-2.0, -50.0, 50.0])
def test_planar_stays_invertible_at_the_edge(u):
    """However far u points against w, the determinant stays positive and the inverse is found."""
    layer = flows.planar(2)
    params = {"w": jnp.array([1.0, 0.5]), "u": jnp.array([u, 0.0]), "bias": jnp.array(0.1)}
    z = jnp.asarray(np.random.default_rng(0).normal(size=(20, 2)), jnp.float32)
    x, log_det = layer.forward(params, z)
    assert np.isfinite(log_det).all()
    back, log_back = layer.inverse(params, x)
    np.testing.assert_allclose(layer.forward(params, back)[0], x, atol=1e-4)
    if u > -50:  # below, whole intervals of a map to one float
        np.testing.assert_allclose(back, z, atol=1e-3)
        np.testing.assert_allclose(log_back, -log_det, atol=1e-3)


def test_planar_with_w_zero_is_a_shift():
    params = {"w": jnp.zeros(2), "u": jnp.ones(2), "bias": jnp.array(0.5)}
    x, log_det = flows.planar(2).forward(params, jnp.array([1.0, 2.0]))
    np.testing.assert_allclose(x, np.array([1, 2]) + np.tanh(0.5), rtol=1e-6)
    np.testing.assert_allclose(log_det, 0, atol=1e-6)


@pytest.mark.parametrize("reach", [-20.0, 0.0, 20.0])
def test_radial_at_its_centre_and_far_away(reach):
    """No NaN where r = 0, no cancellation where it is large."""
    layer = flows.radial(2)
    params = {"centre": jnp.array([1.0, 1.0]), "alpha": jnp.array(0.3), "reach": jnp.array(reach)}
    z = jnp.array([[1.0, 1.0], [1.01, 1.0], [1e4, -1e4]])
    x, log_det = layer.forward(params, z)
    back, _ = layer.inverse(params, x)
    np.testing.assert_allclose(back, z, rtol=2e-5, atol=2e-5)
    gradient = jax.grad(
        lambda z: jnp.sum(layer.forward(params, z)[0] + layer.inverse(params, z)[0])
    )
    assert np.isfinite(log_det).all() and np.isfinite(gradient(z)).all()


@pytest.mark.parametrize("name", ["planar", "radial"])
def test_densities_integrate_to_one(name, x64):
    layers = [getattr(flows, name)(2) for _ in range(3)]
    density = flows.flow(flows.chain(*layers), flows.standard_normal(2))
    params = density.init(jax.random.key(0))
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda p: p + rng.normal(size=p.shape), params)
    grid = jnp.linspace(-15, 15, 601)
    x = jnp.stack(jnp.meshgrid(grid, grid), axis=-1)
    p = np.exp(jax.jit(density.log_prob)(params, x))
    mass = scipy.integrate.simpson(scipy.integrate.simpson(p, x=grid), x=grid)
    np.testing.assert_allclose(mass, 1, atol=1e-3)


def test_roots_and_their_gradients(x64):
    """x^3 + a x = b: the implicit function theorem by hand, also for second derivatives."""
    root = lambda a: flows.increasing_root(
        lambda x: x**3 + a * x - 2, jnp.zeros(2) - 5, jnp.zeros(2) + 5
    )
    x = root(1.0)
    np.testing.assert_allclose(x, 1, rtol=1e-14)
    slope = jax.jacfwd(root)
    np.testing.assert_allclose(slope(1.0), -1 / 4, rtol=1e-12)  # -x / (3 x^2 + a)
    np.testing.assert_allclose(jax.jacrev(root)(1.0), -1 / 4, rtol=1e-12)
    h = 1e-5
    second = (slope(1.0 + h) - slope(1.0 - h)) / (2 * h)
    np.testing.assert_allclose(jax.jacfwd(slope)(1.0), second, rtol=1e-6)
