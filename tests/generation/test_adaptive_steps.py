"""Dormand-Prince with error control against scipy's, step by step, and closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from jaxdl import generation
from jaxdl.generation import Tolerance, adaptive_steps


def oscillator(mu):
    """Van der Pol's: x'' = mu (1 - x^2) x' - x; for mu = 0 it turns on a circle."""

    def field(x, t):
        place, speed = x[:, 0], x[:, 1]
        return jnp.stack([speed, mu * (1 - place**2) * speed - place], axis=1)

    return field


@jax.jit
def solved(x, mu, start, end, relative, absolute):
    """One program for all tests: every number is traced."""
    tolerance = Tolerance(relative, absolute)
    return generation.integrate_adaptively(
        oscillator(mu), x, start=start, end=end, tolerance=tolerance
    )


X = [[2.0, 0.0]]


def test_the_tableau_meets_the_conditions_of_its_orders():
    """Rows sum to the nodes; weights integrate t^q exactly up to q = 4, their error up to q = 3."""
    np.testing.assert_allclose(adaptive_steps._A.sum(1), adaptive_steps._C, atol=1e-15)
    weights, nodes = adaptive_steps._A[-1], adaptive_steps._C
    for q in range(5):
        assert weights @ nodes**q == pytest.approx(1 / (q + 1), abs=1e-14)
    for q in range(4):
        assert adaptive_steps._E @ nodes**q == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize(("mu", "rtol"), [(5.0, 1e-3), (5.0, 1e-6), (0.0, 1e-8)])
def test_steps_are_those_of_scipy(x64, mu, rtol):
    """As many steps, as many in vain, and the same numbers: 2 calls and 6 for each step tried."""
    theirs = scipy.integrate.solve_ivp(
        lambda t, x: [x[1], mu * (1 - x[0] ** 2) * x[1] - x[0]], (1.0, 9.0), X[0], rtol=rtol, atol=1e-6
    )  # fmt: skip
    ours = solved(jnp.array(X), mu, 1.0, 9.0, rtol, 1e-6)
    assert bool(ours.converged)
    assert int(ours.steps) == len(theirs.t) - 1
    assert 2 + 6 * int(ours.steps + ours.rejected) == theirs.nfev
    assert int(ours.rejected) > 0 or mu == 0
    np.testing.assert_allclose(ours.x[0], theirs.y[:, -1], rtol=1e-6, atol=1e-8)


def test_it_is_of_fifth_order_and_keeps_the_tolerance(x64):
    """Errors on the circle, after one and a half turns, fall as the fifth power of the steps."""
    exact = 2 * np.array([np.cos(3 * np.pi), -np.sin(3 * np.pi)])
    tolerances = 10.0 ** np.arange(-5, -11, -1)
    found = [solved(jnp.array(X), 0.0, 0.0, 3 * np.pi, tol, tol) for tol in tolerances]
    errors = np.array([np.abs(f.x[0] - exact).max() for f in found])
    assert (errors < 100 * tolerances).all()
    slope = np.polyfit(np.log([int(f.steps) for f in found]), np.log(errors), 1)[0]
    assert -5.5 < slope < -4.5


def test_in_float32_and_back():
    there = solved(jnp.array(X), 0.0, 0.0, 3.0, 1e-5, 1e-6)
    np.testing.assert_allclose(there.x[0], [2 * np.cos(3), -2 * np.sin(3)], atol=2e-4)
    back = solved(there.x, 0.0, 3.0, 0.0, 1e-5, 1e-6)
    np.testing.assert_allclose(back.x, X, atol=4e-4)
    nowhere = solved(there.x, 0.0, 2.0, 2.0, 1e-5, 1e-6)
    assert int(nowhere.steps) == 0 and bool(nowhere.converged)
    np.testing.assert_array_equal(nowhere.x, there.x)


def test_what_is_not_reached_is_nan_and_said(x64):
    """Too small a tolerance, a solution that blows up on the way, and a start that is NaN."""
    for x, mu, tol in ((X, 0.0, 1e-30), ([[3.0, 1.0]], -5.0, 1e-6), ([[np.nan, 0.0]], 0.0, 1e-6)):
        found = solved(jnp.array(x), mu, 0.0, 3.0, tol, tol)
        assert not bool(found.converged) and np.isnan(found.x).all()
        assert int(found.steps + found.rejected) <= 1000
    with pytest.raises(ValueError, match="max_steps must be a positive whole number"):
        generation.integrate_adaptively(oscillator(0.0), jnp.array(X), tolerance=Tolerance(max_steps=0))  # fmt: skip


def test_members_of_a_map_have_their_own_steps(x64):
    """Also beside one that is NaN; and rows of one call are all as exact as was asked."""
    mu = jnp.array([0.0, 5.0, 0.0])
    x = jnp.array([X, X, [[np.nan, 0.0]]])
    each = jax.vmap(solved, in_axes=(0, 0, None, None, None, None))
    together = each(x, mu, 0.0, 6.0, 1e-6, 1e-6)
    assert together.converged.tolist() == [True, True, False]
    for member in range(2):
        alone = solved(x[member], mu[member], 0.0, 6.0, 1e-6, 1e-6)
        np.testing.assert_allclose(together.x[member], alone.x, rtol=1e-9, atol=1e-9)
        assert int(together.steps[member]) == int(alone.steps)


def test_trees_gradients_forwards_and_integrate():
    """x' = -a x, and y' = x beside it: x = e^-a, y = (1 - e^-a) / a at t = 1."""

    def end(a):
        field = lambda both, t: {"x": -a * both["x"], "y": both["x"].sum(1)}
        begun = {"x": jnp.ones((2, 1)), "y": jnp.zeros(2)}
        return generation.integrate(field, begun, tolerance=Tolerance(1e-6, 1e-6))

    value, slope = jax.jit(lambda a: jax.jvp(end, (a,), (1.0,)))(0.5)
    e = np.exp(-0.5)
    np.testing.assert_allclose(value["x"], [[e], [e]], atol=1e-5)
    np.testing.assert_allclose(value["y"], [(1 - e) / 0.5] * 2, atol=1e-5)
    np.testing.assert_allclose(slope["x"], [[-e], [-e]], atol=1e-4)


def test_log_densities_of_a_continuous_flow(x64):
    """From N(0, I) to N(M, C^2) by the best velocity of straight lines, to 1e-6 and not 5e-4."""
    m, c = np.array([1.0, -2.0]), np.array([2.0, 0.5])

    def best(x, t):
        variance = (1 - t) ** 2 + (t * c) ** 2
        return m + (t * c**2 - (1 - t)) / variance * (x - t * m)

    x = jnp.asarray(m + c * np.array([[0.0, 0.0], [1.0, -1.0], [2.0, 0.5]]))
    density = jax.jit(
        lambda x, relative: generation.continuous_flow_log_prob(
            best, x, tolerance=Tolerance(relative, 1e-9)
        )
    )
    expected = scipy.stats.norm.logpdf(x, m, c).sum(1)
    np.testing.assert_allclose(density(x, 1e-8), expected, atol=1e-6)
    assert np.isnan(density(x.at[0, 0].set(np.nan), 1e-8)).all()
