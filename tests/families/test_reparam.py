"""Draws as functions of noise: their distributions by scipy, and the gradients through them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from jaxdl.families import reparam

N = 20_000


class Kumaraswamy(scipy.stats.rv_continuous):
    """scipy has none; its moments are ``q B(1 + n/p, q)``."""

    def _pdf(self, x, p, q):
        return p * q * x ** (p - 1) * (1 - x**p) ** (q - 1)

    def _cdf(self, x, p, q):
        return 1 - (1 - x**p) ** q

    def _stats(self, p, q):
        m1, m2 = (q * scipy.special.beta(1 + n / p, q) for n in (1, 2))
        return m1, m2 - m1**2, None, None


KUMARASWAMY = Kumaraswamy(a=0, b=1, name="kumaraswamy")
CASES = {  # the distribution, its parameters, and scipy's
    "normal": (reparam.location_scale("normal"), (0.5, 2.0), scipy.stats.norm(0.5, 2)),
    "laplace": (reparam.location_scale("laplace"), (0.5, 2.0), scipy.stats.laplace(0.5, 2)),
    "logistic_by_scale": (reparam.location_scale("logistic"), (-1.0, 0.5),
                          scipy.stats.logistic(-1, 0.5)),
    "gumbel_by_scale": (reparam.location_scale("gumbel"), (-1.0, 0.5),
                        scipy.stats.gumbel_r(-1, 0.5)),
    "exponential": (reparam.exponential(), (2.5,), scipy.stats.expon(scale=1 / 2.5)),
    "logistic": (reparam.logistic(), (-1.0, 0.5), scipy.stats.logistic(-1, 0.5)),
    "gumbel": (reparam.gumbel(), (-1.0, 0.5), scipy.stats.gumbel_r(-1, 0.5)),
    "kumaraswamy": (reparam.kumaraswamy(), (2.0, 3.0), KUMARASWAMY(2.0, 3.0)),
}  # fmt: skip
cases = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
by_quantile = pytest.mark.parametrize("name", ["exponential", "logistic", "gumbel", "kumaraswamy"])


@cases
def test_draws_have_the_distribution(case, key):
    r, psi, law = case
    z = np.asarray(reparam.draw(key, r, *psi, samples=N), float)
    assert z.shape == (N,)
    assert scipy.stats.kstest(z, law.cdf).pvalue > 1e-3
    assert abs(z.mean() - law.mean()) < 5 * law.std() / np.sqrt(N)
    np.testing.assert_allclose(z.var(), law.var(), rtol=0.1)


@cases
def test_densities_and_medians(x64, case):
    r, psi, law = case
    z = law.ppf(np.linspace(0.001, 0.999, 21))
    np.testing.assert_allclose(r.log_prob(jnp.asarray(z), *psi), law.logpdf(z), rtol=1e-9)
    np.testing.assert_allclose(r.transform(r.centre, *psi), law.median(), rtol=1e-7)


@by_quantile
def test_quantiles_invert_the_distribution_function(x64, name):
    """F itself, read literally, maps the line to (0, 1): no draw of z (D-85)."""
    r, psi, law = CASES[name]
    u = np.linspace(0.01, 0.99, 15)
    z = r.transform(jnp.asarray(u), *psi)
    np.testing.assert_allclose(z, law.ppf(u), rtol=1e-9)
    np.testing.assert_allclose(law.cdf(z), u, rtol=1e-9)
    literal = law.cdf(u)  # of uniform noise
    assert abs(literal.mean() - law.mean()) > 0.05 and literal.max() <= 1


@by_quantile
def test_gradients_of_draws_are_implicit_derivatives(x64, name):
    """``dz/dpsi = -(dF/dpsi) / F'(z)`` at fixed u, with F of scipy by finite differences."""
    r, psi, law = CASES[name]
    u = jnp.linspace(0.05, 0.95, 7)
    z = np.asarray(r.transform(u, *psi))
    make = {
        "exponential": lambda rate: scipy.stats.expon(scale=1 / rate),
        "logistic": scipy.stats.logistic,
        "gumbel": scipy.stats.gumbel_r,
        "kumaraswamy": KUMARASWAMY,
    }[name]
    for i in range(len(psi)):
        up, down = (tuple(p + d * (j == i) for j, p in enumerate(psi)) for d in (1e-5, -1e-5))
        slope = (make(*up).cdf(z) - make(*down).cdf(z)) / 2e-5
        one = jnp.asarray(psi[i])
        with_one = lambda p, i=i: r.transform(u, *psi[:i], p, *psi[i + 1 :])
        _, gradient = jax.jvp(with_one, (one,), (jnp.ones(()),))
        np.testing.assert_allclose(gradient, -slope / law.pdf(z), rtol=1e-6, atol=1e-9)


MEANS = {  # of z or z^2, whose derivatives by psi are known
    "normal": (jnp.square, lambda m, s: (2 * m, 2 * s)),
    "exponential": (lambda z: z, lambda rate: (-(rate**-2),)),
    "logistic": (jnp.square, lambda m, s: (2 * m, 2 * s * np.pi**2 / 3)),
    "gumbel": (lambda z: z, lambda m, s: (1.0, np.euler_gamma)),
    "kumaraswamy": (
        lambda z: z,
        lambda a, b: (
            -scipy.special.beta(1 + 1 / a, b) * b / a**2
            * (scipy.special.digamma(1 + 1 / a) - scipy.special.digamma(1 + 1 / a + b)),
            scipy.special.beta(1 + 1 / a, b)
            * (1 + b * (scipy.special.digamma(b) - scipy.special.digamma(1 + 1 / a + b))),
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MEANS)
def test_pathwise_gradients_of_expectations(x64, name):
    r, psi, _ = CASES[name]
    f, derivatives = MEANS[name]
    noise = r.noise(jax.random.key(1), (N,), float)
    each = jax.vmap(jax.grad(lambda psi, e: f(r.transform(e, *psi))), in_axes=(None, 0))
    for gradient, expected in zip(each(psi, noise), derivatives(*psi), strict=True):
        error = gradient.std() / np.sqrt(N)
        assert abs(gradient.mean() - expected) <= 4 * error + 1e-12


def test_the_gradient_through_a_draw_varies_less_than_the_score_functions(x64):
    """Of E[z^2] = mu^2 + sigma^2 by mu: both 2 mu, with variances 4 sigma^2 and many times that."""
    mu, sigma = 0.5, 1.0
    z = mu + sigma * jax.random.normal(jax.random.key(2), (100_000,))
    path, score = 2 * z, z**2 * (z - mu) / sigma**2
    for estimate in (path, score):
        assert abs(estimate.mean() - 2 * mu) < 4 * estimate.std() / np.sqrt(len(z))
    # E[z^4 (z - mu)^2] - (2 mu)^2 = mu^4 + 18 mu^2 + 15 - 4 mu^2 for sigma = 1
    np.testing.assert_allclose(path.var(), 4.0, rtol=0.02)
    np.testing.assert_allclose(score.var(), mu**4 + 14 * mu**2 + 15, rtol=0.1)


def test_kumaraswamy_stays_inside_in_float32():
    """a = b = 0.2, u = 0.99 rounds to 1, where the density has no logarithm (pytorch #95548)."""
    r = reparam.kumaraswamy()
    z = r.transform(jnp.float32(0.99), jnp.float32(0.2), jnp.float32(0.2))
    assert z < 1 and jnp.isfinite(r.log_prob(z, 0.2, 0.2))
    extreme = jnp.array([1e-3, 0.2, 1.0, 50.0])
    a, b = (g.ravel() for g in jnp.meshgrid(extreme, extreme))
    u = jnp.array([2.0**-24, 0.01, 0.5, 0.99, 1 - 2.0**-24])[:, None]
    value = lambda psi: r.log_prob(r.transform(u, *psi), *psi)
    z = r.transform(u, a, b)
    assert ((z > 0) & (z < 1)).all() and np.isfinite(value((a, b))).all()
    gradient = jax.grad(lambda psi: jnp.sum(r.transform(u, *psi)))((a, b))
    assert all(np.isfinite(g).all() for g in gradient)


def test_kumaraswamy_in_float64_at_the_same_point(x64):
    r = reparam.kumaraswamy()
    z = r.transform(jnp.asarray(0.99), 0.2, 0.2)
    np.testing.assert_allclose(1 - z, 5e-10, rtol=1e-3)
    np.testing.assert_allclose(r.log_prob(z, 0.2, 0.2), 15.20, atol=0.01)


def test_uniform_noise_leaves_its_ends_out(key):
    u = np.asarray(reparam.open_uniform(key, (100_000,)))
    assert u.dtype == np.float32 and u.min() > 0 and u.max() < 1
    assert scipy.stats.kstest(u, "uniform").pvalue > 1e-3
    steps = u.astype(float) * 2**24
    np.testing.assert_array_equal(steps % 2, 1)  # the middles of 2^23 cells


def test_draws_broadcast_and_names_are_checked(key):
    z = reparam.draw(key, reparam.gumbel(), jnp.zeros(3), jnp.ones((2, 1)))
    assert z.shape == (2, 3) and len(np.unique(z)) == 6
    with pytest.raises(ValueError, match="standard is one of normal, laplace, logistic, gumbel"):
        reparam.location_scale("cauchy")
