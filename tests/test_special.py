"""Functions that keep their digits, in float32 against float64 and long double."""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special
import scipy.stats as st

from jaxdl import special


def test_poisson_masses_of_large_counts():
    """Loader (2000): no difference of log-gammas, which in float32 is off by 25 at 1e7."""
    y = np.float32([0, 1, 2, 3, 9, 11, 1e4, 1e5, 1e7, 1e7, 1e8, 3, 4e7])
    rate = np.float32([3, 1, 4, 2.5, 9, 13, 1e4, 1.01e5, 1e7, 1.0003e7, 1e8, 900, 1e-3])
    value, slope = jax.jit(jax.vmap(jax.value_and_grad(special.poisson_log_mass, 1)))(y, rate)
    np.testing.assert_allclose(
        value, st.poisson.logpmf(y, rate.astype(float)), rtol=1e-6, atol=1e-6
    )
    np.testing.assert_allclose(slope, (y.astype(float) - rate) / rate, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(value[8:11:2], [-8.97799, -10.12928], rtol=1e-6)


def test_poisson_masses_at_the_edges():
    """A rate that underflows is known by its logarithm; a count need not be whole."""
    log_rate = jnp.array([-200.0, -200.0, -jnp.inf, -jnp.inf])
    y = jnp.array([2.0, 50.0, 0.0, 4.0])
    value = special.poisson_log_mass(y, jnp.exp(log_rate), log_rate)
    expected = [-400 - np.log(2), -1e4 - scipy.special.gammaln(51), 0, -np.inf]
    np.testing.assert_allclose(value, expected, rtol=1e-6, atol=1e-6)
    in_y = jax.grad(special.poisson_log_mass)(0.0, 2.0)
    np.testing.assert_allclose(in_y, np.log(2) - scipy.special.digamma(1), rtol=1e-5)


A = np.float32([1e5, 1e5, 1, 1, 3, 3, 0.7, 1e-30, 1e30, 0, 0, 0.25])
B = np.float32([1.001e5, 1e5, 1.5, 0.5, 1e-30, 1e30, 0.6999999, 1e-20, 1e20, 2, 0, 0.2500001])


def exact_term(a, b):
    a, b = np.longdouble(a), np.longdouble(b)
    ratio = np.where(a > 0, a, 1) / np.where(b > 0, b, 1)
    return a * np.log(np.where(a > 0, ratio, 1)) - a + b


def test_terms_of_a_divergence_are_exact_and_never_negative():
    value, (in_a, in_b) = jax.jit(jax.vmap(jax.value_and_grad(special.divergence_term, (0, 1))))(
        A, B
    )
    np.testing.assert_allclose(value, exact_term(A, B).astype(float), rtol=2e-5)
    assert (value >= 0).all() and value[1] == value[10] == 0
    np.testing.assert_allclose(value[0], 0.0499666, rtol=1e-5)
    a, b = A[:9].astype(float), B[:9].astype(float)
    np.testing.assert_allclose(in_b[:9], 1 - a / b, rtol=1e-5)
    np.testing.assert_allclose(in_a[:9], np.log(a / b), rtol=2e-6)
    assert np.isfinite(in_a).all() and np.isfinite(in_b).all()
    assert special.divergence_term(jnp.array(2.0), jnp.array(0.0)) == np.inf
    assert np.isnan(special.divergence_term(jnp.array([np.nan, 1]), jnp.array([1, np.nan]))).all()


def test_terms_of_logarithms_are_those_of_their_exponentials():
    log_a = np.float32([-1, -1, -1, -80, -np.inf, -np.inf, -3e38, -0.1])
    log_b = np.float32([-1, -1.0001, -9, -85, -2, -np.inf, -3e38, -3e38])
    value, slopes = jax.jit(jax.vmap(jax.value_and_grad(special.log_divergence_term, (0, 1))))(
        log_a, log_b
    )
    a, b = np.exp(log_a.astype(float)), np.exp(log_b.astype(float))
    np.testing.assert_allclose(value[:5], exact_term(a, b)[:5].astype(float), rtol=1e-4)
    np.testing.assert_allclose(value[5:], [0, 0, np.exp(-0.1) * 3e38], rtol=1e-5)
    np.testing.assert_allclose(slopes[1][:5], (b - a)[:5], rtol=2e-4)
    assert np.isfinite(slopes).all()
    assert special.log_divergence_term(jnp.array(-1.0), jnp.array(-np.inf)) == np.inf


def test_the_logarithm_over_its_argument():
    x = np.float32([0, 1e-30, -1e-4, 3e-3, -0.49, 0.49, 0.51, -0.51, 7, 1e20])
    value, slope = jax.jit(jax.vmap(jax.value_and_grad(special.log1p_ratio)))(x)
    wide = np.longdouble(x[1:])
    np.testing.assert_allclose(value[3:], (np.log1p(wide) / wide - 1)[2:], rtol=2e-6)
    np.testing.assert_allclose(value[:3], [0, -5e-31, 0.5e-4 + 1e-8 / 3], rtol=1e-6)
    np.testing.assert_allclose(slope[:3], [-0.5, -0.5, -0.5 - 2e-4 / 3], rtol=1e-6)


def test_a_step_of_one_half_in_log_gamma():
    x = np.float32([0.1, 1, 2.9, 3.1, 9, 1e3, 1e6, 1e12])
    value, slope = jax.jit(jax.vmap(jax.value_and_grad(special.log_gamma_step)))(x)
    wide = x[:5].astype(float)
    few = scipy.special.gammaln(wide + 0.5) - scipy.special.gammaln(wide) - np.log(wide) / 2
    np.testing.assert_allclose(value[:5], few, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(value[5:], -1 / (8 * x[5:].astype(float)), rtol=1e-6)
    few = scipy.special.digamma(wide + 0.5) - scipy.special.digamma(wide) - 0.5 / wide
    np.testing.assert_allclose(slope[:5], few, rtol=1e-4)
    np.testing.assert_allclose(slope[5:], 1 / (8 * x[5:].astype(float) ** 2), rtol=1e-6)


def test_in_double_precision(x64):
    x = np.array([9.9, 10.1, 400.0])
    few = scipy.special.gammaln(x + 0.5) - scipy.special.gammaln(x) - np.log(x) / 2
    np.testing.assert_allclose(special.log_gamma_step(x), few, rtol=1e-11, atol=1e-12)
    y, rate = np.array([9.0, 10.0, 1e9]), np.array([8.0, 11.0, 1.0001e9])
    exact = [-2.08685360496294626, -2.12545984509180985, -16.2802381434258785]  # to 40 digits
    np.testing.assert_allclose(special.poisson_log_mass(y, rate), exact, rtol=1e-12)
    z = np.array([-0.4999, 0.4999, 1e-5])
    wide = np.longdouble(z)
    np.testing.assert_allclose(special.log1p_ratio(z), np.log1p(wide) / wide - 1, rtol=3e-14)


def test_log_softmax_of_the_likeliest_class():
    """-4.1e-8, not the 0 that log(1 + exp(-17)) rounds to, and a slope that is not 0 either."""
    z = np.float32([[17, 0, -1], [2, 2, 2], [0, 90, 0], [-3, -2, -1]])
    wide = scipy.special.log_softmax(z.astype(float), axis=1)
    np.testing.assert_allclose(special.log_softmax(z), wide, rtol=2e-6)
    one = lambda z: special.log_softmax(z)[0]
    slope = jax.jit(jax.grad(one))(z[0])
    p = np.exp(wide[0])
    np.testing.assert_allclose(slope, [p[1] + p[2], -p[1], -p[2]], rtol=1e-6)
    # among equal logits too the curvature is that of the softmax
    curvature = jax.jit(jax.hessian(one))(z[1])
    np.testing.assert_allclose(curvature, 1 / 9 - np.eye(3) / 3, atol=1e-6)


def test_log_softmax_of_infinite_logits():
    z = np.float32([[0, -np.inf, 0], [np.inf, 0, 5], [3e38, -3e38, 0], [0, -3e38, 0]])
    half = -np.log(2)
    expected = [
        [half, -np.inf, half],
        [0, -np.inf, -np.inf],
        [0, -np.inf, -3e38],
        [half, -3e38, half],
    ]
    np.testing.assert_allclose(special.log_softmax(z), expected, rtol=1e-6)
    assert np.isnan(special.log_softmax(jnp.full(2, -jnp.inf))).all()
    assert np.isnan(special.log_softmax(jnp.array([1.0, jnp.nan]))).all()


def test_nothing_times_an_infinite_logarithm_is_nothing():
    weight, log_p = jnp.array([0.0, 0.0, 0.5]), jnp.array([-jnp.inf, -2.0, -3.0])
    value, pull = jax.vjp(special.times_log, weight, log_p)
    assert value.tolist() == [0, 0, -1.5]
    slopes = pull(jnp.ones(3))
    assert slopes[0].tolist() == [0, -2, -3] and slopes[1].tolist() == [0, 0, 0.5]
