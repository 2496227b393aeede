"""Couplings and splines: by hand, by quadrature, and against numerical derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.interpolate

from jaxdl import flows

WIDTHS, HEIGHTS, SLOPES = np.array([0.8, 1.2]), np.array([1.5, 0.5]), np.array([1.0, 0.7, 1.0])


def moved(params, scale=0.5, seed=0):
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda p: p + jnp.asarray(scale * rng.normal(size=p.shape), p.dtype), params
    )


def test_outside_of_the_spline_is_the_identity():
    """Knots (-1, -0.2, 1), (-1, 0.5, 1), slopes (1, 0.7, 1) at y = -1.5, where the quadratic's
    discriminant is -8.54 (pyro-ppl/pyro #3139)."""
    inverse = lambda x: flows.rational_quadratic_inverse(WIDTHS, HEIGHTS, SLOPES, x, 1.0)
    x, log_det = inverse(jnp.array(-1.5))
    assert x == -1.5 and log_det == 0
    x = jnp.array([-1e30, -1.5, -1.0, 1.0, 7.0])
    z, log_det = inverse(x)
    np.testing.assert_array_equal(z, x)
    np.testing.assert_array_equal(log_det, 0)
    slope = jax.grad(
        lambda w: jnp.sum(flows.rational_quadratic_inverse(w, HEIGHTS, SLOPES, x, 1.0)[0])
    )
    assert np.isfinite(slope(jnp.asarray(WIDTHS, jnp.float32))).all()


def test_the_spline_goes_through_its_knots_with_its_slopes(x64):
    forward = lambda z: flows.rational_quadratic(WIDTHS, HEIGHTS, SLOPES, z, 1.0)
    z = jnp.array([-1 + 1e-12, -0.2, 1 - 1e-12])
    x, log_slope = forward(z)
    np.testing.assert_allclose(x, [-1, 0.5, 1], atol=1e-9)
    np.testing.assert_allclose(np.exp(log_slope), [1, 0.7, 1], atol=1e-6)
    # Within a bin a rational function of degree two, from its formula in xi = 1/2.
    s, d0, d1 = 1.5 / 0.8, 1.0, 0.7
    by_hand = -1 + 1.5 * (s / 4 + d0 / 4) / (s + (d1 + d0 - 2 * s) / 4)
    np.testing.assert_allclose(forward(jnp.array(-0.6))[0], by_hand, rtol=1e-12)
    z = np.linspace(-2, 2, 2001)
    x, log_slope = forward(jnp.asarray(z))
    assert (np.diff(x) > 0).all()
    numeric = scipy.interpolate.CubicSpline(z, x)(z, 1)
    np.testing.assert_allclose(np.exp(log_slope[5:-5]), numeric[5:-5], atol=2e-2)
    back, log_back = flows.rational_quadratic_inverse(WIDTHS, HEIGHTS, SLOPES, x, 1.0)
    np.testing.assert_allclose(back, z, atol=1e-12)
    np.testing.assert_allclose(log_back, -log_slope, atol=1e-10)


@pytest.mark.parametrize("tau", [flows.spline_map(5, bound=3.0), flows.affine_map(3.0)])
@pytest.mark.parametrize("scale", [1.0, 30.0, 1e4])
def test_no_network_can_break_a_spline_or_an_affine_map(scale, tau):
    """Outputs far beyond any range: finite, inside the bound, increasing."""
    rng = np.random.default_rng(0)
    theta = jnp.asarray(scale * rng.normal(size=(50, tau.num_parameters)), jnp.float32)
    z = jnp.linspace(-3.5, 3.5, 50)
    x, log_slope = tau.forward(theta, z)
    back, _ = tau.inverse(theta, x)
    assert all(np.isfinite(v).all() for v in (x, log_slope, back))
    gradient = jax.grad(lambda t: jnp.sum(tau.forward(t, z)[1] + tau.inverse(t, z)[1]))(theta)
    assert np.isfinite(gradient).all()
    assert abs(log_slope).max() <= 3 or tau.num_parameters > 2


def test_settings_of_splines_are_checked():
    with pytest.raises(ValueError, match=r"min_width must lie between 0 and 1 / bins = 0\.1"):
        flows.spline_map(10, min_width=0.2)
    with pytest.raises(ValueError, match="min_slope must lie between 0 and 1"):
        flows.spline_map(10, min_slope=1.0)
    with pytest.raises(ValueError, match="bins must be a positive whole number"):
        flows.spline_map(0)


def test_an_affine_coupling_by_hand():
    """One kept variable, no hidden layer: s and t are lines."""
    couple = flows.affine_coupling(2, ())
    params = {"dense_0": {"kernel": jnp.array([[3.0, 0.4]]), "bias": jnp.array([1.0, 0.0])}}
    x, log_det = couple.forward(params, jnp.array([2.0, 5.0]))
    s = 3 * np.tanh(0.8 / 3)
    np.testing.assert_allclose(x, [2, np.exp(s) * 5 + 7], rtol=1e-6)
    np.testing.assert_allclose(log_det, s, rtol=1e-6)


def test_the_kept_variables_stay_and_alone_say_how_the_others_change():
    mask = np.array([True, False, True, False])
    couple = flows.spline_coupling(4, 6, mask=mask, activation="tanh")
    params = moved(couple.init(jax.random.key(0)))
    z = jnp.array([0.3, -0.4, 0.7, 0.1])
    jacobian = jax.jacfwd(lambda z: couple.forward(params, z)[0])(z)
    np.testing.assert_array_equal(couple.forward(params, z)[0][mask], z[mask])
    np.testing.assert_array_equal(jacobian[mask], np.eye(4)[mask])
    changed = jacobian[~mask]
    assert (changed[:, mask] != 0).all()
    np.testing.assert_array_equal(changed[:, ~mask] != 0, np.eye(2, dtype=bool))


@pytest.mark.parametrize("name", ["affine_coupling", "spline_coupling"])
def test_densities_integrate_to_one(name, x64):
    layer = getattr(flows, name)(2, 5, activation="tanh")
    density = flows.flow(flows.chain(layer, flows.reverse(2), layer), flows.standard_normal(2))
    params = moved(density.init(jax.random.key(0)))
    grid = jnp.linspace(-16, 16, 801)
    x = jnp.stack(jnp.meshgrid(grid, grid), axis=-1)
    p = np.exp(jax.jit(density.log_prob)(params, x))
    mass = scipy.integrate.simpson(scipy.integrate.simpson(p, x=grid), x=grid)
    np.testing.assert_allclose(mass, 1, atol=1e-3)


def test_the_context_changes_the_map_for_its_own_example():
    z = jnp.ones((2, 3))
    build = lambda context: flows.affine_coupling(3, 5, activation="tanh", context=context)
    context = jnp.array([[0.0], [2.0]])
    params = moved(build(context).init(jax.random.key(0)))
    x, _ = build(context).forward(params, z)
    assert abs(x[0, 1] - x[1, 1]) > 1e-3
    for i in range(2):
        one, _ = build(context[i]).forward(params, z[i])
        np.testing.assert_allclose(one, x[i], rtol=1e-5)
    np.testing.assert_allclose(build(context).inverse(params, x)[0], z, atol=1e-5)
    draws, _ = build(context).forward(params, jnp.ones((4, 2, 3)))  # four draws for each context
    np.testing.assert_allclose(draws[3], x, rtol=1e-5)
    with pytest.raises(ValueError, match="other examples"):
        build(jnp.ones((3, 1))).forward(params, z)


def test_float_settings_may_be_traced():
    z = jnp.array([0.3, 0.8])
    params = moved(flows.affine_coupling(2, 4).init(jax.random.key(0)), 2.0)
    scale = lambda m: flows.affine_coupling(2, 4, max_log_scale=m).forward(params, z)[1]
    bounds = jnp.array([0.1, 1.0])
    together = jax.vmap(scale)(bounds)
    np.testing.assert_allclose(together, [scale(0.1), scale(1.0)], rtol=1e-5)
    assert abs(together[0]) <= 0.1
    params = moved(flows.spline_coupling(2, 4).init(jax.random.key(0)), 2.0)
    spline = lambda b: flows.spline_coupling(2, 4, bound=b).forward(params, z)[0]
    np.testing.assert_allclose(jax.vmap(spline)(bounds)[0], z)  # 0.3 and 0.8 lie outside of 0.1


def test_masks_that_make_no_sense_are_refused():
    for mask in ([True, True], [False, False]):
        with pytest.raises(ValueError, match="keeps some variables and not all"):
            flows.affine_coupling(2, 4, mask=mask)
    with pytest.raises(ValueError, match="keeps some variables and not all"):
        flows.affine_coupling(1)
    with pytest.raises(ValueError, match=r"the mask must be \[3\]"):
        flows.affine_coupling(3, mask=[True, False])
    with pytest.raises(ValueError, match="the last of length 3"):
        couple = flows.affine_coupling(3, 4)
        couple.forward(couple.init(jax.random.key(0)), jnp.ones(2))
