"""Links and inverse links. Notes: §1.4, §1.5, Eq. (11), (18)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from jaxdl.families import links

ORACLES = {  # g^-1 of scipy
    "identity": lambda z: z,
    "logit": scipy.stats.logistic.cdf,
    "probit": scipy.stats.norm.cdf,
    "cloglog": lambda z: scipy.stats.gumbel_l.cdf(z),
    "log": np.exp,
    "softplus": lambda z: np.logaddexp(0, z),
}
ELEMENTWISE = list(ORACLES)
FUNCTIONS = [
    links.identity,
    links.logistic,
    links.logistic_derivative,
    links.normal_cdf,
    links.log_normal_cdf,
    links.cloglog_inverse,
    links.exponential,
    links.softplus,
    links.softmax,
    links.logit,
    links.probit,
    links.cloglog,
    links.log,
    links.softplus_inverse,
    links.centred_log,
]


@pytest.mark.equation(11)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_inverse_link_equals_scipy(x64, name):
    z = np.linspace(-30, 30, 121)
    np.testing.assert_allclose(links.get(name).inverse(z), ORACLES[name](z), rtol=1e-12)


@pytest.mark.equation(11)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_link_undoes_its_inverse(x64, name):
    z = jnp.linspace(-4, 2, 25)
    link = links.get(name)
    np.testing.assert_allclose(link.link(link.inverse(z)), z, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_mean_stays_in_its_open_range(x64, name, dtype):
    """E-15, and beyond: what rounding puts on the edge of the range is kept inside."""
    z = jnp.array([-1e4, -30, 0, 30, 1e4], dtype)
    mu = links.get(name).inverse(z)
    low, high = links.get(name).range
    assert mu.dtype == dtype
    assert bool(jnp.all(jnp.isfinite(mu) & (mu > low) & (mu < high)))
    gradient = jax.jit(jax.vmap(jax.grad(links.get(name).inverse)))(z)
    assert gradient.dtype == dtype
    assert bool(jnp.all(jnp.isfinite(gradient) & (gradient >= 0)))


@pytest.mark.equation("L229")
def test_logistic_equals_scipy_without_overflow(x64):
    z = np.array([-1e4, -700.0, -1.0, 0.0, 2.0, 1e4])
    np.testing.assert_allclose(
        links.logistic(z), scipy.stats.logistic.cdf(z), rtol=1e-14, atol=1e-300
    )


@pytest.mark.equation("L385")
def test_logistic_derivative(x64):
    z = jnp.linspace(-20, 20, 81)
    expected = jax.vmap(jax.grad(links.logistic))(z)
    np.testing.assert_allclose(links.logistic_derivative(z), expected, atol=1e-12)
    s = scipy.special.expit(np.asarray(z))
    np.testing.assert_allclose(links.logistic_derivative(z), s * (1 - s), atol=1e-12)
    assert links.logistic_derivative(0.0) == 0.25
    assert jnp.argmax(links.logistic_derivative(z)) == 40


@pytest.mark.parametrize(("dtype", "rtol"), [(jnp.float64, 1e-12), (jnp.float32, 3e-6)])
def test_log_normal_cdf_and_its_derivatives(x64, dtype, rtol):
    z = np.array([-1e4, -500, -37.5, -20.5, -19.5, -10.1, -9.9, -5, -1, -0.01, 0.01, 1, 5])
    got = links.log_normal_cdf(z.astype(dtype))
    assert got.dtype == dtype
    np.testing.assert_allclose(got, scipy.special.log_ndtr(z), rtol=rtol)
    # the hazard phi/Phi through the scaled complementary error function
    hazard = np.sqrt(2 / np.pi) / scipy.special.erfcx(-z / np.sqrt(2))
    slope = jax.jit(jax.grad(links.log_normal_cdf))
    np.testing.assert_allclose(jax.vmap(slope)(z.astype(dtype)), hazard, rtol=20 * rtol)
    if dtype == jnp.float64:
        moderate = np.abs(z) < 30
        curvature = jax.jit(jax.vmap(jax.grad(slope)))(z)
        expected = -hazard * (hazard + z)
        np.testing.assert_allclose(curvature[moderate], expected[moderate], rtol=1e-9)
        np.testing.assert_allclose(curvature[z < -100], -1, rtol=1e-4)


def test_exponential_goes_on_along_its_tangent(x64):
    for dtype, limit in [(np.float32, 0.45 * np.log(np.finfo(np.float32).max)), (np.float64, 319)]:
        near = dtype(limit - 1)
        np.testing.assert_allclose(links.exponential(near), np.exp(near), rtol=1e-5)
        far = jnp.array([1e3, 1e4], dtype)
        assert bool(jnp.all(jnp.diff(links.exponential(far)) > 0))
        slopes = jax.jit(jax.vmap(jax.grad(links.exponential)))(far)
        assert slopes[0] == slopes[1] > 1e17
        assert bool(jnp.isfinite(jnp.square(slopes)).all())


@pytest.mark.equation(18)
def test_softmax(x64):
    z = np.random.default_rng(0).normal(size=(5, 4)) * 10
    pi = links.softmax(z)
    np.testing.assert_allclose(pi, scipy.special.softmax(z, axis=-1), rtol=1e-12)
    np.testing.assert_allclose(pi.sum(-1), 1, rtol=1e-14)
    np.testing.assert_allclose(links.softmax(z + 123.0), pi, rtol=1e-12)
    np.testing.assert_allclose(
        links.softmax(jnp.log(jnp.array([1.0, 2.0, 5.0]))), [1 / 8, 1 / 4, 5 / 8]
    )
    # K - 1 degrees of freedom (D-23): the Jacobian's rank
    assert np.linalg.matrix_rank(jax.jacobian(links.softmax)(z[0])) == 3


@pytest.mark.equation(18)
def test_softmax_of_extremes():
    z = jnp.array([1e4, -1e4, 1e4])
    np.testing.assert_array_equal(links.softmax(z), [0.5, 0, 0.5])
    assert bool(jnp.isfinite(jax.jacobian(links.softmax)(z)).all())


def test_centred_log_is_the_softmax_link(x64):
    z = jnp.array([0.3, -1.0, 0.7])
    np.testing.assert_allclose(links.centred_log(links.softmax(z + 7)), z, atol=1e-14)


def test_softmax_of_two_classes_is_logistic(x64):
    z = jnp.linspace(-5, 5, 11)
    two = links.softmax(jnp.stack([jnp.zeros_like(z), z], -1))[:, 1]
    np.testing.assert_allclose(two, links.logistic(z), rtol=1e-13)


@pytest.mark.parametrize("f", FUNCTIONS, ids=lambda f: f.__name__)
def test_transformations_compose(f):
    z = jnp.array([[0.2, 0.3], [0.5, 0.9]])
    expected = f(z)
    np.testing.assert_allclose(jax.jit(f)(z), expected, rtol=1e-6)
    np.testing.assert_allclose(jax.vmap(f)(z), expected, rtol=1e-6)
    tangent = jax.jvp(f, (z,), (jnp.array([[1.0, 0.0], [0.0, 1.0]]),))[1]
    step = 1e-2 * jnp.array([[1.0, 0.0], [0.0, 1.0]])
    np.testing.assert_allclose(tangent, (f(z + step) - f(z - step)) / 2e-2, rtol=0.05, atol=1e-3)


def test_unknown_link_says_what_there_is():
    with pytest.raises(ValueError, match=r"link is one of identity, logit, probit, .*not 'logg'"):
        links.get("logg")
