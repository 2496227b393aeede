"""Divergences, entropies, Monte Carlo. Notes: §1.3, Eq. (7), (8)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.stats as st
from hypothesis import given, settings
from hypothesis import strategies as some

from jaxdl import divergences as dv
from jaxdl import families
from jaxdl.divergences import quadrature

few = settings(deadline=None, max_examples=20, derandomize=True, database=None)
P, Q = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.6, 0.3])
NORMALS = (0.0, 1.2, 0.8, 0.7)  # means and standard deviations of two Normals


def log_normal(mean, scale):
    return lambda z: families.normal(scale).log_prob(jnp.full(z.shape, mean), z)


def pair(mean_p, scale_p, mean_q, scale_q):
    return log_normal(mean_p, scale_p), log_normal(mean_q, scale_q)


# The numbers of the index


@pytest.mark.equation("L140")
def test_kl_of_normals_closed_form_against_quadrature(x64):
    closed = dv.kl_normal(*NORMALS)
    assert abs(closed - 1.08345248) < 5e-9
    by_rule = dv.kl_divergence(*pair(*NORMALS), rule=quadrature.rule())
    np.testing.assert_allclose(by_rule, closed, rtol=1e-10)
    # E-16: not symmetric
    m1, s1, m2, s2 = NORMALS
    swapped = dv.kl_normal(m2, s2, m1, s1)
    assert abs(swapped - 0.4314) < 5e-5
    np.testing.assert_allclose(
        dv.kl_divergence(*pair(m2, s2, m1, s1), rule=quadrature.rule()), swapped, rtol=1e-10
    )


@pytest.mark.equation("L148")
def test_squared_hellinger_of_normals(x64):
    closed = dv.squared_hellinger_normal(*NORMALS)
    assert abs(closed - 0.14123903) < 5e-9
    log_p, log_q = pair(*NORMALS)
    rule = quadrature.rule()
    for value in (
        dv.squared_hellinger(log_p, log_q, rule=rule),
        dv.squared_hellinger(log_q, log_p, rule=rule),
        dv.f_divergence("squared_hellinger", log_p, log_q, rule=rule),
        dv.squared_hellinger_normal(*NORMALS[2:], *NORMALS[:2]),
    ):
        np.testing.assert_allclose(value, closed, rtol=1e-10)
    direct, _ = scipy.integrate.quad(
        lambda z: np.sqrt(st.norm.pdf(z, 0, 1.2) * st.norm.pdf(z, 0.8, 0.7)), -30, 30
    )
    np.testing.assert_allclose(closed, 1 - direct, rtol=1e-8)


def test_nats_and_bits(x64):
    """D-4: "bits" needs the logarithm of base 2."""
    p, q = jnp.array([0.5, 0.5]), jnp.array([0.25, 0.75])
    assert abs(dv.kl_divergence(p, q) - 0.1438) < 5e-5
    assert abs(dv.kl_divergence(p, q, base=2) - 0.2075) < 5e-5
    bits = [
        (dv.entropy(P, base=2), st.entropy(P, base=2)),
        (dv.cross_entropy(P, Q, base=2), -(P * np.log2(Q)).sum()),
        (dv.kl_normal(*NORMALS, base=2), dv.kl_normal(*NORMALS) / np.log(2)),
        (dv.kl_bernoulli(0.5, 0.25, base=2), dv.kl_divergence(p, q, base=2)),
        (dv.kl_categorical(jnp.log(p), jnp.log(q), base=2), dv.kl_divergence(p, q, base=2)),
        (dv.kl_poisson(2.0, 3.0, base=2), dv.kl_poisson(2.0, 3.0) / np.log(2)),
        (dv.expected_kl(jnp.ones(1), p[None], q[None], base=2), dv.kl_divergence(p, q, base=2)),
    ]
    for value, expected in bits:
        np.testing.assert_allclose(value, expected, rtol=1e-12)


# Discrete


@pytest.mark.equation("L140")
def test_discrete_equals_scipy(x64):
    np.testing.assert_allclose(dv.kl_divergence(P, Q), st.entropy(P, Q), rtol=1e-13)
    np.testing.assert_allclose(dv.entropy(P), st.entropy(P), rtol=1e-13)
    batch = dv.kl_divergence(np.stack([P, Q]), np.stack([Q, P]))
    np.testing.assert_allclose(batch, [st.entropy(P, Q), st.entropy(Q, P)], rtol=1e-13)


def test_zero_probabilities():
    p, q = jnp.array([0.0, 0.5, 0.5]), jnp.array([0.5, 0.25, 0.25])
    np.testing.assert_allclose(dv.kl_divergence(p, q), np.log(2), rtol=1e-6)  # 0 log 0 = 0
    assert dv.kl_divergence(q, p) == jnp.inf
    assert dv.cross_entropy(q, p) == jnp.inf
    np.testing.assert_allclose(dv.entropy(p), np.log(2), rtol=1e-6)
    slope = jax.grad(lambda q: dv.kl_divergence(p, q))(q)
    np.testing.assert_allclose(slope - slope[0], [0, -2, -2], rtol=1e-5)  # along the simplex
    assert bool(jnp.isfinite(jax.grad(dv.squared_hellinger)(p, q)).all())
    both = jnp.array([0.0, 1.0])
    assert dv.kl_divergence(both, both) == 0 and dv.squared_hellinger(both, both) == 0


@few
@given(seed=some.integers(0, 10_000), size=some.integers(1, 6), same=some.booleans())
def test_divergence_axioms(seed, size, same):
    """Non-negative; zero at equality; Hellinger symmetric and in [0, 1]; Eq. (7) holds."""
    rng = np.random.default_rng(seed)
    p, q = rng.dirichlet(np.ones(6), size=2).astype(np.float32)
    p, q = (np.where(np.arange(6) < size, v, 0) for v in (p, q))
    p, q = p / p.sum(), q / q.sum()
    q = p if same else q
    kl, hellinger = dv.kl_divergence(p, q), dv.squared_hellinger(p, q)
    if same:
        assert kl == 0 and hellinger == 0
        assert all(abs(dv.f_divergence(name, p, q)) < 1e-6 for name in dv.GENERATORS)
    assert kl >= 0 and 0 <= hellinger <= 1
    assert hellinger == dv.squared_hellinger(q, p)
    np.testing.assert_allclose(kl, dv.cross_entropy(p, q) - dv.entropy(p), atol=2e-6)


# f-divergences


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("kl", lambda p, q: (p * np.log(p / q)).sum()),
        ("squared_hellinger", lambda p, q: 1 - np.sqrt(p * q).sum()),
        ("total_variation", lambda p, q: np.abs(p - q).sum() / 2),
        ("chi_squared", lambda p, q: ((p - q) ** 2 / q).sum()),
        (
            "jensen_shannon",
            lambda p, q: st.entropy((p + q) / 2) - (st.entropy(p) + st.entropy(q)) / 2,
        ),
    ],
)
def test_f_divergence_members(x64, name, expected):
    np.testing.assert_allclose(dv.f_divergence(name, P, Q), expected(P, Q), rtol=1e-12)
    rule = quadrature.rule()
    value = dv.f_divergence(name, *pair(0.3, 0.8, 0.0, 1.0), rule=rule)
    z = np.linspace(-12, 12, 200_001)
    p, q = st.norm.pdf(z, 0.3, 0.8), st.norm.pdf(z)
    integrand = {
        "kl": p * np.log(p / q),
        "squared_hellinger": (np.sqrt(p) - np.sqrt(q)) ** 2 / 2,
        "total_variation": np.abs(p - q) / 2,
        "chi_squared": (p - q) ** 2 / q,
        "jensen_shannon": (p * np.log(p / q) - (p + q) * np.log((1 + p / q) / 2)) / 2,
    }[name]
    # the total variation's integrand has kinks
    tolerance = 1e-3 if name == "total_variation" else 1e-10
    np.testing.assert_allclose(value, scipy.integrate.trapezoid(integrand, z), rtol=tolerance)


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("squared_hellinger", 1),
        ("total_variation", 1),
        ("jensen_shannon", np.log(2)),
        ("kl", np.inf),
    ],
)
def test_f_divergence_without_common_support(name, limit):
    p, q = jnp.array([1.0, 0.0, 0.0]), jnp.array([0.0, 1.0, 0.0])
    np.testing.assert_allclose(dv.f_divergence(name, p, q), limit, rtol=1e-6)


@pytest.mark.parametrize("name", sorted(dv.GENERATORS))
def test_f_divergence_of_far_ratios_is_finite(name):
    """The square of a ratio beyond exp(44) is more than float32 holds."""
    value = dv.f_divergence(name, jnp.array([1e-3, 0.999]), jnp.array([1e-36, 1.0]))
    assert np.isfinite(value)


def test_f_divergence_takes_ones_own():
    reverse = dv.Generator(lambda t: -jnp.log(t), 0.0)
    np.testing.assert_allclose(dv.f_divergence(reverse, P, Q), st.entropy(Q, P), rtol=1e-5)
    with pytest.raises(
        ValueError, match=r"generator is one of kl, .*, not 'kld'; did you mean 'kl'"
    ):
        dv.f_divergence("kld", P, Q)


def test_far_tails_by_quadrature(x64):
    """Where q underflows and log q does not, the divergence still sees it."""
    wide = (0.0, 30.0, 0.0, 0.5)
    rule = quadrature.rule(scale=30.0)
    value = dv.kl_divergence(*pair(*wide), rule=rule)
    np.testing.assert_allclose(value, dv.kl_normal(*wide), rtol=1e-10)
    narrow = {
        name: dv.f_divergence(name, *pair(0.0, 0.5, 0.0, 30.0), rule=quadrature.rule())
        for name in dv.GENERATORS
    }
    assert np.isfinite(list(narrow.values())).all()
    np.testing.assert_allclose(narrow["kl"], dv.kl_normal(0.0, 0.5, 0.0, 30.0), rtol=1e-6)


# Closed forms against sums


def test_kl_of_bernoulli_and_categorical(x64):
    np.testing.assert_allclose(
        dv.kl_bernoulli(jnp.array([0.3, 0.0, 1.0]), jnp.array([0.6, 0.5, 0.25])),
        [st.entropy([0.7, 0.3], [0.4, 0.6]), np.log(2), np.log(4)],
        rtol=1e-12,
    )
    np.testing.assert_allclose(
        dv.kl_categorical(jnp.log(P) + 3, jnp.log(Q) - 1), st.entropy(P, Q), rtol=1e-12
    )
    extreme = dv.kl_categorical(jnp.array([1e4, 0.0]), jnp.array([0.0, 1e4]))
    np.testing.assert_allclose(extreme, 1e4)
    ruled_out, other = jnp.array([1.0, 0.0, -jnp.inf]), jnp.array([0.0, 2.0, 3.0])
    value, slopes = jax.value_and_grad(dv.kl_categorical, (0, 1))(ruled_out, other)
    p, q = scipy.special.softmax(ruled_out), scipy.special.softmax(other)
    np.testing.assert_allclose(value, st.entropy(p, q), rtol=1e-12)
    np.testing.assert_allclose(slopes[1], q - p, rtol=1e-12)
    assert np.isfinite(slopes).all() and slopes[0][2] == 0
    assert dv.kl_categorical(other, ruled_out) == jnp.inf
    assert dv.kl_categorical(ruled_out, ruled_out) == 0


def test_kl_of_poissons(x64):
    k = np.arange(200)
    expected = st.entropy(st.poisson.pmf(k, 3.5), st.poisson.pmf(k, 2.0))
    np.testing.assert_allclose(dv.kl_poisson(3.5, 2.0), expected, rtol=1e-10)
    np.testing.assert_allclose(dv.kl_poisson(0.0, 2.0), 2.0)
    np.testing.assert_allclose(jax.grad(lambda b: dv.kl_poisson(0.0, b))(2.0), 1.0)


@pytest.mark.equation("L144")
def test_divergence_of_a_normal_with_itself_is_exactly_zero():
    assert dv.kl_normal(0.3, 1.7, 0.3, 1.7) == 0
    assert dv.squared_hellinger_normal(0.3, 1.7, 0.3, 1.7) == 0
    assert abs(dv.kl_divergence(*pair(0.3, 1.7, 0.3, 1.7), rule=quadrature.rule())) < 1e-12
    assert dv.kl_bernoulli(0.3, 0.3) == dv.kl_poisson(2.0, 2.0) == 0
    assert dv.kl_categorical(jnp.log(P), jnp.log(P)) == 0


def test_divergences_of_near_neighbours_are_positive_and_exact_in_float32():
    """Of distributions that differ by 1e-4 or less, where logarithms cancel."""
    shift = np.float32([1e-7, 3e-6, 1e-4, 1e-3])
    a = np.float32([0.05, 0.3, 0.5, 0.95])[:, None]
    b = (a * (1 - shift)).astype(np.float32)
    wide_a, wide_b = np.longdouble(a), np.longdouble(b)
    of_rates = wide_a * np.log(wide_a / wide_b) - wide_a + wide_b
    of_shares = of_rates + (1 - wide_a) * np.log((1 - wide_a) / (1 - wide_b)) + wide_a - wide_b
    of_scales = (np.square(wide_a / wide_b) - 1) / 2 - np.log(wide_a / wide_b)
    hellinger = 1 - np.sqrt(2 * wide_a * wide_b / (wide_a**2 + wide_b**2))
    stacked = lambda v: jnp.stack([v, 1 - v], axis=-1)
    for found, exact in [
        (dv.kl_poisson(a, b), of_rates),
        (dv.kl_bernoulli(a, b), of_shares),
        (dv.kl_divergence(*jnp.broadcast_arrays(stacked(a), stacked(b))), of_shares),
        (dv.kl_normal(0.0, a, 0.0, b), of_scales),
        (dv.squared_hellinger_normal(0.0, a, 0.0, b), hellinger),
    ]:
        assert (found >= 0).all()
        np.testing.assert_allclose(found, exact.astype(float), rtol=1e-3, atol=1e-14)
    logits = jnp.broadcast_to(jnp.log(a / (1 - a)), b.shape)
    nearly = jnp.stack([logits + shift, 0 * logits], -1)
    found = dv.kl_categorical(jnp.stack([logits, 0 * logits], -1), nearly)
    assert (found >= 0).all()
    for name in dv.GENERATORS:
        assert (dv.f_divergence(name, stacked(b), stacked(jnp.broadcast_to(a, b.shape))) >= 0).all()
    np.testing.assert_allclose(dv.kl_poisson(1e5, 1.001e5), 0.0499666, rtol=1e-5)


def test_scales_of_any_size():
    """Squares of 1e20 overflow, those of 1e-20 vanish."""
    for unit in (1e-25, 1e25):
        found = dv.kl_normal(unit, 2 * unit, 3 * unit, unit)
        np.testing.assert_allclose(found, 2 - 0.5 + 2 - np.log(2), rtol=1e-5)
        found = dv.squared_hellinger_normal(unit, 2 * unit, 3 * unit, unit)
        np.testing.assert_allclose(found, 1 - np.sqrt(0.8) * np.exp(-0.2), rtol=1e-5)
    found = dv.squared_hellinger_normal(0.0, 1e-9, 0.0, 1.0)
    np.testing.assert_allclose(1 - found, np.sqrt(2e-9), rtol=1e-2)
    np.testing.assert_allclose(dv.kl_normal(0.0, 1e-9, 0.0, 1.0), np.log(1e9) - 0.5, rtol=1e-6)


# Cross-entropy, maximum likelihood


@pytest.mark.equation(7)
def test_kl_is_cross_entropy_minus_entropy(x64):
    rule = quadrature.rule()
    log_p, log_q = pair(*NORMALS)
    gap = dv.cross_entropy(log_p, log_q, rule=rule) - dv.entropy(log_p, rule=rule)
    np.testing.assert_allclose(gap, dv.kl_normal(*NORMALS), rtol=1e-10)
    np.testing.assert_allclose(dv.entropy(log_p, rule=rule), st.norm.entropy(scale=1.2), rtol=1e-10)
    bernoulli = jnp.array([0.7, 0.3]), jnp.array([0.4, 0.6])
    for p, q in (bernoulli, (P, Q)):
        gap = dv.cross_entropy(p, q) - dv.entropy(p)
        np.testing.assert_allclose(gap, dv.kl_divergence(p, q), rtol=1e-10)


@pytest.mark.equation(8, "L170")
def test_entropy_has_no_effect_on_the_gradient(x64):
    """E-17: expected KL and expected negative log-likelihood have one gradient in w."""
    x, p_x = jnp.array([-1.0, 0.5, 2.0]), jnp.array([0.2, 0.5, 0.3])
    truth = jnp.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]])
    model = lambda w: jnp.exp(
        families.bernoulli().log_prob(
            jnp.outer(w * x, jnp.ones(2)), jnp.tile(jnp.arange(2), (3, 1))
        )
    )
    kl = lambda w: dv.expected_kl(p_x, truth, model(w))
    nll = lambda w: jnp.sum(p_x * dv.cross_entropy(truth, model(w)))
    kl_slope, nll_slope = jax.jit(jax.grad(kl)), jax.jit(jax.grad(nll))
    for w in (-0.7, 0.0, 1.3):
        np.testing.assert_allclose(kl_slope(w), nll_slope(w), atol=1e-14)
    expected = sum(
        px * st.entropy(p, q)
        for px, p, q in zip(p_x, np.asarray(truth), np.asarray(model(0.4)), strict=True)
    )
    np.testing.assert_allclose(kl(0.4), expected, rtol=1e-12)


@pytest.mark.equation(8, "L170")
def test_expected_kl_by_monte_carlo_and_by_quadrature(x64, key):
    p_x = jnp.array([0.2, 0.5, 0.3])
    p, q = jnp.stack([P, Q, P]), jnp.stack([Q, P, jnp.ones(3) / 3])
    exact = dv.expected_kl(p_x, p, q)
    draw = lambda key, n: jax.random.choice(key, 3, (n,), p=p_x)
    estimate = dv.monte_carlo_expectation(key, draw, lambda m: dv.kl_divergence(p[m], q[m]), 4000)
    assert abs(estimate.mean - exact) < 4 * estimate.standard_error < 0.1
    means = jnp.array([0.0, 1.0, 2.0])[:, None]
    given_x = lambda means, scale: (
        lambda y: families.normal(scale).log_prob(
            jnp.broadcast_to(means, (3, y.size)), jnp.broadcast_to(y, (3, y.size))
        )
    )
    rule = quadrature.rule()
    value = dv.expected_kl(p_x, given_x(means, 1.0), given_x(0 * means, 1.5), rule=rule)
    np.testing.assert_allclose(
        value, jnp.sum(p_x * dv.kl_normal(means[:, 0], 1.0, 0.0, 1.5)), rtol=1e-10
    )


# Monte Carlo


def normals(key, n):
    return jax.random.normal(key, (n,))


@pytest.mark.equation(9, "L180")
def test_monte_carlo_error_falls_as_one_over_the_root_of_S(key):
    """E-16: slope -1/2 in log-log; the standard error tells the true error."""
    sizes = [16, 64, 256, 1024, 4096]
    errors, reported = [], []
    for i, size in enumerate(sizes):
        keys = jax.random.split(jax.random.fold_in(key, i), 400)
        run = jax.vmap(
            lambda k, size=size: dv.monte_carlo_expectation(k, normals, jnp.square, size)
        )
        estimate = run(keys)
        errors.append(jnp.sqrt(jnp.mean((estimate.mean - 1) ** 2)))
        reported.append(jnp.sqrt(jnp.mean(estimate.standard_error**2)))
        # unbiased
        assert abs(estimate.mean.mean() - 1) < 4 * np.sqrt(2 / size / 400)
    slope = np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    assert abs(slope + 0.5) < 0.1
    np.testing.assert_allclose(reported, errors, rtol=0.2)


def test_monte_carlo_of_pytrees_and_arrays(key):
    def sampler(key, n):
        first, second = jax.random.split(key)
        return {"x": normals(first, n), "y": jax.random.normal(second, (n, 2))}

    estimate = dv.monte_carlo_expectation(key, sampler, lambda s: s["x"] + s["y"], 500)
    assert estimate.mean.shape == estimate.standard_error.shape == (2,)
    np.testing.assert_allclose(estimate.standard_error, np.sqrt(2 / 500), rtol=0.2)


def test_monte_carlo_by_hand(key):
    """Of the draws 0, 1, 2, 3: their mean, and sqrt(5 / 3) / 2 with S - 1 under the variance."""
    estimate = dv.monte_carlo_expectation(key, lambda key, n: jnp.arange(float(n)), lambda x: x, 4)
    np.testing.assert_allclose(estimate, [1.5, np.sqrt(5 / 3) / 2], rtol=1e-6)
    far = dv.monte_carlo_expectation(
        key, lambda key, n: jnp.arange(float(n)), lambda x: 1e25 * x, 4
    )
    np.testing.assert_allclose(far, [1.5e25, 1e25 * np.sqrt(5 / 3) / 2], rtol=1e-6)


def test_monte_carlo_of_one_sample_and_of_none(key):
    estimate = dv.monte_carlo_expectation(key, normals, lambda x: 0 * x + 3, 1)
    assert estimate.mean == 3 and estimate.standard_error == jnp.inf
    with pytest.raises(ValueError, match="num_samples must be a positive whole number, not 0"):
        dv.monte_carlo_expectation(jax.random.key(1), normals, jnp.square, 0)


def test_monte_carlo_kl(key):
    draw = lambda key, n: 1.2 * normals(key, n)
    first, second = jax.random.split(key)
    estimate = dv.monte_carlo_kl(first, draw, *pair(*NORMALS), 4000)
    assert abs(estimate.mean - 1.08345248) < 4 * estimate.standard_error < 0.3
    bits = dv.monte_carlo_kl(second, draw, *pair(*NORMALS), 4000, base=2)
    assert abs(bits.mean - 1.08345248 / np.log(2)) < 4 * bits.standard_error


# Quadrature


@pytest.mark.parametrize(
    ("f", "arguments", "expected"),
    [
        (lambda z: jnp.exp(-(z**2)), {}, np.sqrt(np.pi)),
        (lambda z: 1 / (1 + z**2), {}, np.pi),
        (
            lambda z: jnp.exp(-((z - 50) ** 2) / 8),
            {"center": 50.0, "scale": 2.0},
            np.sqrt(8 * np.pi),
        ),
        (lambda z: jnp.sqrt(z) * jnp.exp(-z), {"low": 0.0}, np.sqrt(np.pi) / 2),
        (lambda z: jnp.exp(z), {"high": 1.0}, np.e),
        (lambda z: jnp.exp(-z / 100), {"low": 3.0, "scale": 100.0}, 100 * np.exp(-0.03)),
        (lambda z: jnp.cos(z), {"low": -1.0, "high": 2.0, "num_points": 20}, np.sin(2) + np.sin(1)),
        (lambda z: z**2, {"low": 0, "high": 3, "num_points": 2}, 9.0),
    ],
)
def test_quadrature(x64, f, arguments, expected):
    z, w = quadrature.rule(**arguments)
    np.testing.assert_allclose(jnp.sum(w * f(z)), expected, rtol=1e-11)


def test_quadrature_with_traced_ends():
    def integral(low, high):
        z, w = quadrature.rule(low, high, 20)
        return jnp.sum(w * z**2)

    value = jax.jit(integral)(1.0, 2.0)
    np.testing.assert_allclose(value, 7 / 3, rtol=1e-5)
    np.testing.assert_allclose(jax.grad(integral)(1.0, 2.0), -1.0, rtol=1e-5)
    assert quadrature.rule(0.0, float("inf"))[0].dtype == jnp.float32


# Everything composes


@pytest.mark.parametrize(
    "f",
    [
        dv.kl_divergence,
        dv.cross_entropy,
        lambda p, q: dv.entropy(p) + 0 * q.sum(-1),
        dv.squared_hellinger,
        dv.kl_categorical,
        *(lambda p, q, name=name: dv.f_divergence(name, p, q) for name in dv.GENERATORS),
        lambda p, q: dv.kl_normal(p, q, q, p).sum(-1),
        lambda p, q: dv.squared_hellinger_normal(p, q, q, p).sum(-1),
        lambda p, q: dv.kl_bernoulli(p, q).sum(-1),
        lambda p, q: dv.kl_poisson(p, q).sum(-1),
        lambda p, q: (
            dv.expected_kl(jnp.ones(1), p[..., None, :], q[..., None, :])
            if p.ndim == 1
            else jax.vmap(lambda p, q: dv.expected_kl(jnp.ones(1), p[None], q[None]))(p, q)
        ),
        lambda p, q: (
            dv.kl_divergence(*pair(p.sum(), 1.0, q[..., 0].sum(), 1.0), rule=quadrature.rule())
            + 0 * p.sum(-1)
        ),
    ],
)
def test_transformations_compose(f):
    p, q = jnp.asarray(np.stack([P, Q])), jnp.asarray(np.stack([Q, P[::-1]]))
    single = jnp.stack([f(p[0], q[0]), f(p[1], q[1])])
    np.testing.assert_allclose(jax.jit(jax.vmap(f))(p, q), single, rtol=1e-5, atol=1e-6)
    step = 1e-2 * jnp.array([1.0, -1.0, 0.0])
    _, tangent = jax.jit(lambda q: jax.jvp(lambda q: f(p[0], q), (q,), (step,)))(q[0])
    difference = (f(p[0], q[0] + step) - f(p[0], q[0] - step)) / 2
    np.testing.assert_allclose(tangent, difference, rtol=0.1, atol=1e-4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dv.kl_divergence(P, np.ones((3, 1)) / 3), r"one shape, not \(3,\) and \(3, 1\)"),
        (lambda: dv.kl_divergence(*pair(*NORMALS)), "need rule"),
        (lambda: dv.entropy(P, rule=quadrature.rule()), "must be log-density functions"),
        (lambda: dv.expected_kl(np.ones(2), P, Q), r"p_x \(2,\) must have one value"),
    ],
)
def test_bad_input_raises(call, message):
    with pytest.raises(ValueError, match=message):
        call()
