"""Newton's method against closed forms, scipy and a linear programme."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize as scipy_minimize
from scipy.optimize import rosen

from jaxdl.optim import newton


def rosenbrock(z):
    return jnp.sum(100.0 * (z[1:] - z[:-1] ** 2) ** 2 + (1 - z[:-1]) ** 2)


def test_one_step_solves_a_quadratic(x64):
    a, b = jnp.array([[3.0, 1.0], [1.0, 2.0]]), jnp.array([1.0, -1.0])
    result = newton(lambda z: z @ a @ z / 2 - b @ z, jnp.zeros(2), tolerance=1e-12)
    np.testing.assert_allclose(result.params, np.linalg.solve(a, b), rtol=1e-12)
    assert result.converged and result.steps == 1


def test_rosenbrock_from_a_bad_start(x64):
    start = jnp.array([-1.2, 1.0, 2.0])
    result = newton(rosenbrock, start, tolerance=1e-9)
    oracle = scipy_minimize(rosen, np.array(start), method="BFGS", options={"gtol": 1e-9}).x
    np.testing.assert_allclose(result.params, oracle, atol=1e-4)
    np.testing.assert_allclose(result.params, 1, atol=1e-9)
    assert result.converged and result.steps < 60
    losses = np.asarray(result.loss_history)
    assert np.all(np.diff(losses) <= 0)


def test_halving_rescues_an_overshooting_step(x64):
    # sqrt(1 + z^2): the undamped step z -> -z^3 diverges from |z| > 1
    result = newton(lambda z: jnp.sqrt(1 + z**2), jnp.array(3.0), tolerance=1e-10)
    assert result.converged
    np.testing.assert_allclose(result.params, 0, atol=1e-10)


def test_negative_curvature_is_left_downhill(x64):
    # a saddle at 0, minima at z_1 = +-1
    fn = lambda z: z[0] ** 2 + (z[1] ** 2 - 1) ** 2
    result = newton(fn, jnp.array([1.0, 0.1]), tolerance=1e-10)
    np.testing.assert_allclose(np.abs(result.params), [0, 1], atol=1e-8)


def test_singular_hessian_moves_only_where_there_is_a_gradient(x64):
    fn = lambda z: (z[0] + z[1] - 2) ** 2
    result = newton(fn, jnp.zeros(2), tolerance=1e-12)
    assert result.converged
    np.testing.assert_allclose(result.params, [1, 1], rtol=1e-12)  # the minimum-norm solution
    flat = newton(lambda z: jnp.abs(z[0] - 1.5), jnp.zeros(2), tolerance=1e-12)
    np.testing.assert_allclose(flat.params, [1.5, 0], atol=1e-6)


def test_converged_by_exhaustion_only_where_rounding_ends_it():
    """With no tolerance a smooth minimum exhausts float32; a kink with a slope does not."""
    smooth = jax.jit(lambda z: newton(lambda z: jnp.cosh(z - 2) + 3, z, tolerance=0.0))(0.5)
    assert smooth.converged and smooth.steps < 100
    np.testing.assert_allclose(smooth.params, 2, atol=1e-3)
    kink = jax.jit(lambda z: newton(lambda z: jnp.abs(z - 1.5) / 50, z, tolerance=1e-6))(0.0)
    assert not kink.converged
    np.testing.assert_allclose(kink.params, 1.5, atol=0.02)


def test_a_bounded_run_says_so():
    result = newton(rosenbrock, jnp.array([-1.2, 1.0]), max_steps=3, tolerance=1e-6)
    assert not result.converged and result.steps == 3
    assert result.loss_history.shape == (4,)
    nan = newton(lambda z: jnp.log(z), jnp.array(-1.0), max_steps=3)
    assert not nan.converged


def test_vmap_equals_single_runs_and_dtypes_follow():
    fn = lambda centre: newton(lambda p: jnp.cosh(p["z"] - centre), {"z": jnp.zeros(())})
    centres = jnp.array([0.0, 1.0, 4.0])
    batch = jax.jit(jax.vmap(fn))(centres)
    assert batch.params["z"].dtype == jnp.float32
    np.testing.assert_allclose(batch.params["z"], centres, atol=1e-4)
    for i, centre in enumerate(centres):
        assert batch.steps[i] == fn(centre).steps
    assert np.all(batch.converged)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_float32_stays_float32_under_x64(x64, dtype):
    result = newton(rosenbrock, jnp.array([0.5, 0.5], dtype), tolerance=1e-3)
    assert result.params.dtype == dtype and result.converged
    np.testing.assert_allclose(result.params, 1, atol=5e-3)
