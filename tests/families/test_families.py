"""Response families: likelihoods, means, samples, entropies, scores. Notes: §1.3-1.5, §2.3."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats as st

from jaxdl import families
from jaxdl.divergences import quadrature
from jaxdl.families import links
from jaxdl.training.host.inputs import check_responses

RNG = np.random.default_rng(0)
ETA = RNG.normal(size=12) * 2
REAL = RNG.normal(size=12) * 3
BINARY = RNG.integers(0, 2, size=12)
COUNTS = RNG.integers(0, 9, size=12)
CLASSES = RNG.integers(0, 3, size=12)
LOGITS = RNG.normal(size=(12, 3)) * 2
PAIRS = RNG.normal(size=(12, 2))

CASES = {  # name: family, eta, y, scipy's log-density or log-mass
    "normal": (families.normal(0.7), ETA, REAL, lambda e, y: st.norm.logpdf(y, e, 0.7)),
    "normal_tied": (
        families.heteroskedastic_normal(tied=True),
        ETA,
        REAL,
        lambda e, y: st.norm.logpdf(y, e, np.exp(e)),
    ),
    "normal_untied": (
        families.heteroskedastic_normal(),
        PAIRS,
        REAL,
        lambda e, y: st.norm.logpdf(y, e[:, 0], np.exp(e[:, 1])),
    ),
    "log_normal": (
        families.log_normal(),
        PAIRS,
        np.exp(REAL),
        lambda e, y: st.lognorm.logpdf(y, np.exp(e[:, 1]), scale=np.exp(e[:, 0])),
    ),
    "laplace": (families.laplace(1.3), ETA, REAL, lambda e, y: st.laplace.logpdf(y, e, 1.3)),
    "student_t": (
        families.student_t(3.5, 0.6),
        ETA,
        REAL,
        lambda e, y: st.t.logpdf(y, 3.5, e, 0.6),
    ),
    "bernoulli_logit": (
        families.bernoulli(),
        ETA,
        BINARY,
        lambda e, y: st.bernoulli.logpmf(y, scipy.special.expit(e)),
    ),
    "bernoulli_probit": (
        families.bernoulli("probit"),
        ETA,
        BINARY,
        lambda e, y: st.norm.logcdf((2 * y - 1) * e),
    ),
    "bernoulli_cloglog": (
        families.bernoulli("cloglog"),
        ETA,
        BINARY,
        lambda e, y: np.where(y == 1, st.gumbel_l.logcdf(e), st.gumbel_l.logsf(e)),
    ),
    "categorical": (
        families.categorical(3),
        LOGITS,
        CLASSES,
        lambda e, y: st.multinomial.logpmf(np.eye(3)[y], 1, scipy.special.softmax(e, axis=-1)),
    ),
    "poisson_log": (families.poisson(), ETA, COUNTS, lambda e, y: st.poisson.logpmf(y, np.exp(e))),
    "poisson_softplus": (
        families.poisson("softplus"),
        ETA,
        COUNTS,
        lambda e, y: st.poisson.logpmf(y, np.logaddexp(0, e)),
    ),
}


@pytest.mark.equation(6, 12, 13, 18, "L418")
@pytest.mark.parametrize("name", CASES)
def test_log_prob_equals_scipy(x64, name):
    family, eta, y, oracle = CASES[name]
    log_p = jax.jit(family.log_prob)(eta, y)
    np.testing.assert_allclose(log_p, oracle(eta, y), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_float32_in_float32_out(x64, name):
    family, eta, y, oracle = CASES[name]
    eta = eta.astype(np.float32)

    @jax.jit
    def everything(eta, y):
        entropy = [] if family.entropy is None else [family.entropy(eta)]
        return family.log_prob(eta, y), family.mean(eta), family.scores(eta, y), entropy

    results = everything(eta, y)
    np.testing.assert_allclose(results[0], oracle(eta.astype(float), y), rtol=1e-4, atol=1e-5)
    assert {leaf.dtype for leaf in jax.tree.leaves(results)} == {np.dtype(np.float32)}


def extremes(name, dtype):
    """eta of +-1e4 and +-30 against responses small and large."""
    values = jnp.array([1e4, -1e4, 30.0, -30.0, 0.0], dtype)
    y = jnp.array([1e-30, 1e30] if name == "log_normal" else [0, 1])
    if name == "categorical":
        eta = jnp.stack([values, -values, jnp.zeros_like(values)], -1)
    elif name in ("normal_untied", "log_normal"):
        eta = jnp.stack([values[::-1], values], -1)
    else:
        eta = values
    return jnp.concatenate([eta, eta]), jnp.repeat(y, 5)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@pytest.mark.parametrize("name", CASES)
def test_extreme_eta_is_finite_with_finite_gradients(x64, name, dtype):
    family = CASES[name][0]
    eta, y = extremes(name, dtype)
    outputs = {"log_prob": lambda eta: family.log_prob(eta, y), "mean": family.mean}
    outputs |= {"entropy": family.entropy} if family.entropy else {}

    @jax.jit
    def values_and_gradients(eta):
        pulled = {name: jax.vjp(f, eta) for name, f in outputs.items()}
        return {name: (v, pull(jnp.ones_like(v))[0]) for name, (v, pull) in pulled.items()}

    for value, gradient in values_and_gradients(eta).values():
        assert value.dtype == gradient.dtype == dtype
        assert bool(jnp.isfinite(value).all() & jnp.isfinite(gradient).all())


@pytest.mark.parametrize(
    "name",
    ["bernoulli_logit", "bernoulli_probit", "bernoulli_cloglog", "poisson_log", "poisson_softplus"],
)
def test_gradient_leads_back_from_extremes(name):
    """At eta = +-1e4 against the wrong response the log-likelihood still slopes towards it."""
    family = CASES[name][0]
    slope = jax.jit(jax.vmap(jax.grad(family.log_prob)))
    assert slope(jnp.array([1e4]), jnp.array([0]))[0] < -0.5
    assert slope(jnp.array([-1e4]), jnp.array([1]))[0] > 0.5


@pytest.mark.equation(13)
def test_logistic_regression_where_the_naive_form_fails(x64):
    """D-95: log of the logistic is infinite at 800, y eta - softplus(eta) is not."""
    eta, y = jnp.array([800.0, -800.0, 40.0]), jnp.array([0, 1, 0])
    s = 1 / (1 + jnp.exp(-eta))
    naive = y * jnp.log(s) + (1 - y) * jnp.log(1 - s)
    assert not bool(jnp.isfinite(naive).any())
    np.testing.assert_allclose(families.bernoulli().log_prob(eta, y), [-800, -800, -40], rtol=1e-14)


@pytest.mark.equation(12)
@pytest.mark.parametrize("link", ["logit", "probit", "cloglog"])
def test_bernoulli_is_pi_to_the_y(x64, link):
    pi = links.get(link).inverse(ETA)
    np.testing.assert_allclose(
        jnp.exp(families.bernoulli(link).log_prob(ETA, BINARY)),
        pi**BINARY * (1 - pi) ** (1 - BINARY),
        rtol=1e-10,
    )


@pytest.mark.parametrize("name", ["bernoulli_cloglog", "poisson_softplus"])
def test_series_in_the_lower_tail_meets_the_formula(x64, name):
    family = CASES[name][0]
    eta = np.array([-15.0 - 1e-9, -15.0 + 1e-9, -25.0])
    y = np.ones(3, int)
    expected = CASES[name][3](eta, y)
    np.testing.assert_allclose(family.log_prob(eta, y), expected, rtol=1e-12)
    slope = jax.jit(jax.vmap(jax.grad(family.log_prob)))(eta, y)
    np.testing.assert_allclose(slope, 1, atol=1e-6)


@pytest.mark.equation(10)
def test_unit_normal_is_half_the_squared_error_and_a_constant(x64):
    nll = -families.normal().log_prob(ETA, REAL)
    np.testing.assert_allclose(nll - 0.5 * (ETA - REAL) ** 2, 0.9189385332046727, rtol=1e-13)


@pytest.mark.equation(6)
def test_scale_is_a_standard_deviation(x64):
    """D-5: the literal N(mu, variance) reading would give another density."""
    log_p = families.normal(scale=2.0).log_prob(jnp.zeros(1), jnp.array([3.0]))
    np.testing.assert_allclose(log_p, st.norm.logpdf(3.0, scale=2.0), rtol=1e-14)
    assert abs(log_p[0] - st.norm.logpdf(3.0, scale=np.sqrt(2.0))) > 0.5


def test_log_normal_mean_and_entropy_equal_scipy(x64):
    """The mean is not the median exp(mu), which is lower by exp(sigma^2 / 2)."""
    truth = st.lognorm(np.exp(PAIRS[:, 1]), scale=np.exp(PAIRS[:, 0]))
    family = families.log_normal()
    np.testing.assert_allclose(family.mean(PAIRS), truth.mean(), rtol=1e-12)
    np.testing.assert_allclose(family.entropy(PAIRS), truth.entropy(), rtol=1e-10)
    assert np.all(family.mean(PAIRS) > truth.median())


def test_a_response_of_zero_has_no_logarithm():
    responses = families.log_normal().responses
    check_responses((None, np.float32([1e-37, 3])), responses)
    for y in (np.float32([0, 3]), np.array([0.0, 3]), np.array([-1.0, 3])):
        with pytest.raises(ValueError, match=r"numbers from 1\.17549e-38"):
            check_responses((None, y), responses)


def test_heteroskedastic_keeps_the_log_sigma_term(x64):
    """E-14: the best constant log sigma is log rms(y); without the term sigma would diverge."""
    family, y = families.heteroskedastic_normal(), jnp.asarray(REAL)
    nll = lambda s: -family.log_prob(jnp.stack([0 * y, s + 0 * y], -1), y).mean()
    best = jnp.log(jnp.sqrt(jnp.mean(y**2)))
    slope = jax.jit(jax.grad(nll))
    assert abs(slope(best)) < 1e-12
    assert slope(best + 1) > 0.5  # a larger sigma costs
    assert slope(best + 1) - 1 < 0  # without the term s it would not


@pytest.mark.equation(11)
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("normal", lambda e: e),
        ("normal_tied", lambda e: e),
        ("normal_untied", lambda e: e[:, 0]),
        ("laplace", lambda e: e),
        ("student_t", lambda e: e),
        ("bernoulli_logit", scipy.special.expit),
        ("bernoulli_probit", st.norm.cdf),
        ("bernoulli_cloglog", st.gumbel_l.cdf),
        ("categorical", lambda e: scipy.special.softmax(e, axis=-1)),
        ("poisson_log", np.exp),
        ("poisson_softplus", lambda e: np.log1p(np.exp(e))),
    ],
)
def test_mean_is_the_inverse_link(x64, name, expected):
    family, eta, *_ = CASES[name]
    np.testing.assert_allclose(jax.jit(family.mean)(eta), expected(eta), rtol=1e-12)


@pytest.mark.parametrize("name", [name for name in CASES if name != "log_normal"])  # of y > 0
def test_density_sums_to_one_with_its_mean_and_entropy(x64, name):
    """Integrate exp(log_prob), y exp(log_prob) and -p log p over the support."""
    family, eta, *_ = CASES[name]
    eta = jnp.asarray(eta[3])
    if name.startswith("poisson"):
        y, w = jnp.arange(400), jnp.ones(400)
    elif name.startswith("bernoulli"):
        y, w = jnp.arange(2), jnp.ones(2)
    elif name == "categorical":
        y, w = jnp.arange(3), jnp.ones(3)
    else:
        location = family.mean(eta)
        left = quadrature.rule(-np.inf, location)
        right = quadrature.rule(location, np.inf)  # the Laplace has a kink there
        y, w = (jnp.concatenate(pair) for pair in zip(left, right, strict=True))
    log_p = jax.jit(jax.vmap(lambda y: family.log_prob(eta, y)))(y)
    p = jnp.exp(log_p)
    np.testing.assert_allclose(jnp.sum(w * p), 1, rtol=1e-10)
    mean = jax.nn.one_hot(y, 3).T @ p if name == "categorical" else jnp.sum(w * y * p)
    np.testing.assert_allclose(mean, family.mean(eta), rtol=1e-7)
    if family.entropy is not None:
        safe = jnp.where(p > 0, log_p, 0)
        np.testing.assert_allclose(-jnp.sum(w * p * safe), family.entropy(eta), rtol=1e-8)


@pytest.mark.parametrize(
    ("name", "oracle"),
    [
        ("normal", lambda e: st.norm.entropy(scale=0.7) + 0 * e),
        ("laplace", lambda e: st.laplace.entropy(scale=1.3) + 0 * e),
        ("student_t", lambda e: st.t.entropy(3.5, scale=0.6) + 0 * e),
        ("normal_tied", lambda e: st.norm.entropy(scale=np.exp(e))),
        ("bernoulli_logit", lambda e: st.bernoulli.entropy(scipy.special.expit(e))),
        ("categorical", lambda e: st.entropy(scipy.special.softmax(e, axis=-1), axis=-1)),
    ],
)
def test_entropy_equals_scipy(x64, name, oracle):
    family, eta, *_ = CASES[name]
    np.testing.assert_allclose(jax.jit(family.entropy)(eta), oracle(eta), rtol=1e-10)


@pytest.mark.parametrize(
    ("name", "eta", "cdf"),
    [
        ("normal", 0.4, lambda y: st.norm.cdf(y, 0.4, 0.7)),
        ("normal_tied", 0.4, lambda y: st.norm.cdf(y, 0.4, np.exp(0.4))),
        ("normal_untied", (0.4, -1.0), lambda y: st.norm.cdf(y, 0.4, np.exp(-1.0))),
        ("laplace", 0.4, lambda y: st.laplace.cdf(y, 0.4, 1.3)),
        ("student_t", 0.4, lambda y: st.t.cdf(y, 3.5, 0.4, 0.6)),
    ],
)
def test_samples_of_continuous_families(key, name, eta, cdf):
    eta = jnp.broadcast_to(jnp.array(eta), (2000, *np.shape(eta)))
    y = jax.jit(CASES[name][0].sample)(key, eta)
    assert y.shape == (2000,) and y.dtype == eta.dtype
    assert st.kstest(y, cdf).pvalue > 1e-3


@pytest.mark.parametrize(
    ("name", "eta", "pmf"),
    [
        ("bernoulli_logit", 0.4, lambda k: st.bernoulli.pmf(k, scipy.special.expit(0.4))),
        ("bernoulli_probit", 0.4, lambda k: st.bernoulli.pmf(k, st.norm.cdf(0.4))),
        ("bernoulli_cloglog", -0.4, lambda k: st.bernoulli.pmf(k, st.gumbel_l.cdf(-0.4))),
        ("categorical", (0.1, 1.0, -0.5), lambda k: scipy.special.softmax((0.1, 1.0, -0.5))[k]),
        ("poisson_log", 0.4, lambda k: st.poisson.pmf(k, np.exp(0.4))),
        ("poisson_softplus", 0.4, lambda k: st.poisson.pmf(k, np.logaddexp(0, 0.4))),
    ],
)
def test_samples_of_discrete_families(key, name, eta, pmf):
    eta = jnp.broadcast_to(jnp.array(eta), (2000, *np.shape(eta)))
    y = jax.jit(CASES[name][0].sample)(key, eta)
    assert y.shape == (2000,) and jnp.issubdtype(y.dtype, jnp.integer)
    k = np.arange(5 if name.startswith("poisson") else 3 if name == "categorical" else 2)
    expected = 2000 * pmf(k)
    rest = max(2000 - expected.sum(), 0)
    observed = np.bincount(np.minimum(y, len(k)), minlength=len(k) + 1)
    used = slice(None) if rest > 5 else slice(len(k))
    expected = np.append(expected, rest)[used]
    assert (
        st.chisquare(observed[used], expected * observed[used].sum() / expected.sum()).pvalue > 1e-3
    )


def test_scores():
    accuracy = families.bernoulli().scores(jnp.array([0.0, -1.0, 2.0]), jnp.array([1, 1, 1]))
    np.testing.assert_array_equal(accuracy["accuracy"], [1, 0, 1])  # pi = 0.5 rounds up (D-31)
    logits = jnp.array([[1.0, 3.0, 2.0], [1.0, 0.0, 0.0]])
    for y in (jnp.array([1, 2]), jnp.array([[0, 1, 0], [0, 0, 1]])):
        np.testing.assert_array_equal(families.categorical(3).scores(logits, y)["accuracy"], [1, 0])
    squared = families.poisson().scores(jnp.log(jnp.array([2.0])), jnp.array([5]))
    np.testing.assert_allclose(squared["squared_error"], [9], rtol=1e-6)
    pairs = families.heteroskedastic_normal().scores(jnp.array([[1.0, 9.0]]), jnp.array([3.0]))
    np.testing.assert_array_equal(pairs["squared_error"], [4])


@pytest.mark.equation(18)
def test_categorical_labels_as_indices_one_hot_and_soft(x64):
    family = families.categorical(3)
    one_hot = np.eye(3)[CLASSES]
    by_index = family.log_prob(LOGITS, CLASSES)
    np.testing.assert_allclose(family.log_prob(LOGITS, one_hot), by_index, rtol=1e-14)
    np.testing.assert_allclose(family.log_prob(LOGITS, one_hot.astype(int)), by_index, rtol=1e-14)
    soft = np.full((12, 3), 1 / 3)
    every = jnp.stack([family.log_prob(LOGITS, np.full(12, k)) for k in range(3)])
    np.testing.assert_allclose(family.log_prob(LOGITS, soft), every.mean(0), rtol=1e-12)
    # 0 log 0 counts nothing (D-95)
    certain = family.log_prob(jnp.array([2e4, 0.0, 0.0]), jnp.array([1.0, 0.0, 0.0]))
    assert certain == 0


def test_class_out_of_range_is_nan_for_that_example_alone():
    log_p = families.categorical(2).log_prob(jnp.zeros((3, 2)), jnp.array([0, 2, -1]))
    np.testing.assert_array_equal(jnp.isnan(log_p), [False, True, True])


def test_two_classes_are_bernoulli(x64):
    eta = np.stack([np.zeros(12), ETA], -1)
    np.testing.assert_allclose(
        families.categorical(2).log_prob(eta, BINARY),
        families.bernoulli().log_prob(ETA, BINARY),
        rtol=1e-12,
    )


def test_heavier_tails_make_outliers_cheaper():
    cost = lambda family: -family.log_prob(jnp.zeros(()), jnp.asarray(10.0))
    assert cost(families.student_t(2.0)) < cost(families.laplace()) < cost(families.normal())


def test_student_t_of_any_degrees_of_freedom_in_float32():
    """``log t = log N - (1 + 2 z^2 - z^4)/(4 df) + O(df^-2)``, and so is its slope in df."""
    log_p = lambda df, y: families.student_t(df).log_prob(jnp.zeros(()), y)
    df = np.float32([0.5, 3, 5.9, 6.1, 40, 1e4, 1e6, 1e8, 1e12, 3, 1e6])
    y = np.float32([2, 0, 1, -1, 8, 1.5, 0, 0, -3, 1e25, 1e25])
    value, (in_df, in_y) = jax.jit(jax.vmap(jax.value_and_grad(log_p, (0, 1))))(df, y)
    np.testing.assert_allclose(value[:9], st.t.logpdf(y, df.astype(float))[:9], rtol=1e-6)
    np.testing.assert_allclose(value[6:8], -0.9189385, rtol=1e-6)
    wide = df[9:].astype(float)
    far = st.t.logpdf(0, wide) - (wide + 1) * (25 * np.log(10) - np.log(wide) / 2)
    np.testing.assert_allclose(value[9:], far, rtol=1e-6)  # y^2 overflows
    few = st.t.logpdf(y[:5], df[:5] * np.float64(1.0001))
    few -= st.t.logpdf(y[:5], df[:5] * np.float64(0.9999))
    np.testing.assert_allclose(in_df[:5], few / (2e-4 * df[:5]), rtol=1e-4)
    z, wide = y[5:9].astype(float), df[5:9].astype(float)
    np.testing.assert_allclose(in_df[5:9], (1 + 2 * z**2 - z**4) / (4 * wide**2), rtol=2e-3)
    exact = -(df + 1.0) * y / (df + y.astype(float) ** 2)
    np.testing.assert_allclose(in_y, exact, rtol=1e-5)
    without_limit = families.student_t(np.inf, 0.7).log_prob(ETA, REAL)
    np.testing.assert_allclose(without_limit, st.norm.logpdf(REAL, ETA, 0.7), rtol=1e-5)


def test_entropy_of_student_t_of_any_degrees_of_freedom_in_float32():
    """``log(2 pi e)/2 + 1/df + O(df^-2)``."""
    entropy = lambda df: families.student_t(df, 1.0).entropy(jnp.zeros(()))
    df = np.float32([0.3, 1, 5.9, 6.1, 100, 1e4, 1e8, 1e12])
    value, slope = jax.jit(jax.vmap(jax.value_and_grad(entropy)))(df)
    np.testing.assert_allclose(value[:6], st.t.entropy(df[:6].astype(float)), rtol=1e-6)
    np.testing.assert_allclose(value[6:], 1.4189385, rtol=1e-6)
    np.testing.assert_allclose(slope[5:], -1 / df[5:].astype(float) ** 2, rtol=2e-4)
    np.testing.assert_allclose(slope[:2], [-12.1778609, -1.1449341], rtol=1e-5)


def test_student_t_of_infinite_df_is_the_normal_with_its_gradients(key):
    """Beside a finite df in one array too; the slope in df vanishes as df^-2."""
    df, y = jnp.array([jnp.inf, 3.0]), jnp.array([1.5, 2.0])
    log_p = lambda df: families.student_t(df, 0.7).log_prob(jnp.zeros(2), y)
    entropy = lambda df: families.student_t(df, 0.7).entropy(jnp.zeros(2))
    normal, t = st.norm(scale=0.7), st.t(3, scale=0.7)
    np.testing.assert_allclose(log_p(df), [normal.logpdf(1.5), t.logpdf(2)], rtol=1e-6)
    np.testing.assert_allclose(entropy(df), [normal.entropy(), t.entropy()], rtol=1e-6)
    for slope in (jax.jacobian(log_p)(df), jax.jacobian(entropy)(df)):
        assert slope[0, 0] == 0 and abs(slope[1, 1]) > 1e-3
    limit = families.student_t(jnp.inf, 0.7)
    slope = jax.grad(lambda eta: limit.log_prob(eta, jnp.array(1.5)))(0.0)
    np.testing.assert_allclose(slope, 1.5 / 0.49, rtol=1e-6)
    y = limit.sample(key, jnp.full(2000, 0.4))
    assert st.kstest(y, lambda y: st.norm.cdf(y, 0.4, 0.7)).pvalue > 1e-3


@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1e-6, 1.0, 1e6, 1e20, 1e30])
def test_heteroskedastic_normal_of_any_unit_in_float32(scale):
    """(y - mu)^2 or 1 / sigma^2 alone would overflow or vanish."""
    family, z = families.heteroskedastic_normal(), np.array([0.0, 0.3, -2.0, 40.0])
    log_sigma = np.float32(np.log(scale))
    sigma = np.exp(np.float64(log_sigma))
    y = np.float32(z * scale)
    eta = jnp.stack([jnp.zeros(4), jnp.full(4, log_sigma)], -1)
    value, pull = jax.vjp(lambda eta: family.log_prob(eta, y), eta)
    np.testing.assert_allclose(value, st.norm.logpdf(np.float64(y), 0, sigma), rtol=3e-5)
    (slope,) = pull(jnp.ones(4))
    z = np.float64(y) / sigma
    np.testing.assert_allclose(slope[:, 0] * scale, z / sigma * scale, rtol=3e-5)
    np.testing.assert_allclose(slope[:, 1], z**2 - 1, rtol=3e-5)


def test_a_square_that_would_overflow_goes_on_along_its_tangent():
    """Of u = 2 (log|r| - s), exp(u) up to c = 0.45 log(max), exp(c) (1 + u - c) beyond."""
    family = families.heteroskedastic_normal()
    r, s = np.array([1.0, -3.0, 1.0]), np.array([-15.0, -19.0, -80.0])
    eta = jnp.stack([jnp.zeros(3), jnp.asarray(s, jnp.float32)], -1)
    value, pull = jax.vjp(lambda eta: family.log_prob(eta, jnp.asarray(r, jnp.float32)), eta)
    u, c = 2 * (np.log(np.abs(r)) - s), 0.45 * np.log(np.float64(np.finfo(np.float32).max))
    square = np.where(u < c, np.exp(u), np.exp(c) * (1 + u - c))
    in_u = np.exp(np.minimum(u, c))
    np.testing.assert_allclose(value, -square / 2 - s - np.log(2 * np.pi) / 2, rtol=1e-5)
    np.testing.assert_allclose(pull(jnp.ones(3))[0], np.stack([in_u / r, in_u - 1], -1), rtol=1e-5)


def test_a_class_that_is_ruled_out_costs_nothing(x64):
    """0 times infinity: entropy, log-density of one-hot rows, with their gradients."""
    family, inf = families.categorical(3), jnp.inf
    certain, open_ = [0.0, 0, 0], np.log(2)
    cases = [
        ([0, 0, -inf], open_, -open_), ([inf, 0, 0], 0, 0), ([0, -inf, -inf], 0, 0),
        ([3e38, 0, -3e38], 0, 0), ([0, -3e38, 0], open_, -open_),
    ]  # fmt: skip
    eta = jnp.array([eta for eta, *_ in cases], jnp.float32)
    outputs = {
        "entropy": family.entropy,
        "one_hot": lambda eta: family.log_prob(eta, jnp.array([1.0, 0, 0])),
        "index": lambda eta: family.log_prob(eta, jnp.array(0)),
    }
    found = jax.jit(jax.vmap(lambda e: {k: jax.value_and_grad(f)(e) for k, f in outputs.items()}))(
        eta
    )
    np.testing.assert_allclose(found["entropy"][0], [h for _, h, _ in cases], rtol=1e-6)
    np.testing.assert_allclose(found["entropy"][1], [certain] * 5, atol=1e-7)
    half = {0: [0.5, -0.5, 0], 4: [0.5, 0, -0.5]}
    for kind in ("one_hot", "index"):
        np.testing.assert_allclose(found[kind][0], [p for *_, p in cases], rtol=1e-6)
        np.testing.assert_allclose(
            found[kind][1], [half.get(i, certain) for i in range(5)], atol=1e-7
        )
    impossible = family.log_prob(eta[0], jnp.array([0.0, 0, 1]))
    assert impossible == -inf


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog"])
def test_a_certain_label_costs_nothing(link):
    family, inf = families.bernoulli(link), jnp.inf

    @jax.jit
    @jax.vmap
    def right_and_wrong(eta):
        y = (eta > 0).astype(float)
        log_p = jax.value_and_grad(family.log_prob)
        return jax.value_and_grad(family.entropy)(eta), log_p(eta, y), log_p(eta, 1 - y)

    eta = jnp.array([inf, -inf, 3e38, -3e38])
    entropy, right, wrong = right_and_wrong(eta)
    assert not np.any(entropy) and not np.any(right)
    assert wrong[0][:2].tolist() == [-inf, -inf] and (wrong[0] < -1e38).all()
    assert not np.isnan(wrong[1]).any()


def test_tails_of_bernoulli_in_float32():
    """What rounds to certain has its digits: log(1 - exp(-exp 3)) = -1.9e-9."""
    eta, y = np.float32([3, 2, 1, -0.3, -0.4, -20]), np.ones(6)
    for link, oracle in [
        ("logit", lambda e: -np.log1p(np.exp(-e))),
        ("probit", st.norm.logcdf),
        ("cloglog", st.gumbel_l.logcdf),
    ]:
        found = families.bernoulli(link).log_prob(eta, y)
        np.testing.assert_allclose(found, oracle(eta.astype(float)), rtol=3e-6)


# Compound families


def test_independent_normals_have_a_diagonal_covariance(x64):
    """E-43: the sum over outputs, with a scale for each."""
    y = np.random.default_rng(1).normal(size=(12, 3))
    eta, scale = LOGITS, np.array([0.5, 1.0, 2.0])
    family = families.independent(families.normal(scale))
    expected = [
        st.multivariate_normal.logpdf(yn, en, np.diag(scale**2))
        for en, yn in zip(eta, y, strict=True)
    ]
    np.testing.assert_allclose(family.log_prob(eta, y), expected, rtol=1e-12)
    np.testing.assert_allclose(
        family.entropy(eta), st.multivariate_normal.entropy(np.zeros(3), np.diag(scale**2))
    )
    np.testing.assert_allclose(family.scores(eta, y)["squared_error"], ((eta - y) ** 2).mean(-1))
    np.testing.assert_array_equal(family.mean(eta), eta)


def test_independent_of_two_axes_and_of_vector_parameters():
    family = families.independent(families.categorical(3), ndims=2)
    log_p = family.log_prob(jnp.zeros((4, 5, 2, 3)), jnp.zeros((4, 5, 2), int))
    np.testing.assert_allclose(log_p, np.full(4, -10 * np.log(3)), rtol=1e-6)
    assert families.independent(families.poisson()).entropy is None
    with pytest.raises(ValueError, match="y must have at least 1 axes"):
        families.independent(families.normal()).log_prob(jnp.zeros(()), jnp.zeros(()))


def gamma_precision(df, num_points=401):
    tau, w = quadrature.rule(0.0, float("inf"), num_points)
    return tau, w * jnp.exp((df / 2 - 1) * jnp.log(tau) - df / 2 * tau)


def test_normal_over_gamma_precision_is_student_t(x64):
    """E-13, by quadrature."""
    y = jnp.array([1.7, 0.0, -25.0])
    mixture = families.marginalize(lambda tau: families.normal(tau**-0.5), *gamma_precision(3.0))
    log_p = jax.jit(mixture.log_prob)(jnp.zeros(3), y)
    np.testing.assert_allclose(jnp.exp(log_p[0]), 0.0953524, atol=5e-8)
    np.testing.assert_allclose(log_p, st.t.logpdf(y, 3), rtol=1e-10)
    np.testing.assert_allclose(log_p, families.student_t(3.0).log_prob(jnp.zeros(3), y), rtol=1e-10)


def test_marginal_by_monte_carlo_and_its_samples(key):
    tau_key, y_key = jax.random.split(key)
    tau = jax.random.gamma(tau_key, 2.5, (4000,)) / 2.5  # Gamma(df/2, rate df/2), df = 5
    mixture = families.marginalize(lambda tau: families.normal(tau**-0.5), tau)
    y = jnp.array([0.0, 1.7])
    expected = st.t.pdf(y, 5)
    np.testing.assert_allclose(jnp.exp(mixture.log_prob(jnp.zeros(2), y)), expected, rtol=0.03)
    drawn = jax.jit(mixture.sample)(y_key, jnp.full(2000, 3.0))
    assert st.kstest(drawn, st.t(5, 3.0).cdf).pvalue > 1e-3
    np.testing.assert_allclose(mixture.mean(jnp.array([3.0])), [3.0], rtol=1e-5)
    np.testing.assert_allclose(mixture.scores(jnp.ones(1), y[:1])["squared_error"], [1], rtol=1e-5)
    assert mixture.entropy is None


def test_marginal_is_stable_and_differentiable():
    mixture = families.marginalize(lambda s: families.normal(s), jnp.array([1e-3, 1.0]))
    slope = jax.jit(jax.vmap(jax.grad(mixture.log_prob)))(jnp.array([1e4, -1e4]), jnp.zeros(2))
    np.testing.assert_allclose(slope, [-1e4, 1e4], rtol=1e-5)
    assert mixture.sample(jax.random.key(1), jnp.zeros(())).shape == ()
    with pytest.raises(ValueError, match=r"must be \[S\]"):
        families.marginalize(lambda s: families.normal(s), jnp.ones(3), jnp.ones(2))


# The contract

SETTINGS = {  # a float setting, traced
    "normal": families.normal,
    "laplace": families.laplace,
    "student_t": families.student_t,
    "student_t_scale": lambda s: families.student_t(4.0, s),
    "independent": lambda s: families.independent(families.normal(s), 0),
    "marginal": lambda s: families.marginalize(lambda r: families.normal(r), jnp.stack([s, 2 * s])),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_may_be_traced(name):
    make, settings = SETTINGS[name], jnp.array([0.5, 2.0])
    eta, y = jnp.asarray(ETA[:4]), jnp.asarray(REAL[:4])
    nll = lambda s: -make(s).log_prob(eta, y).sum()
    values, slopes = jax.jit(jax.vmap(jax.value_and_grad(nll)))(settings)
    nll = jax.jit(nll)
    np.testing.assert_allclose(values, [nll(0.5), nll(2.0)], rtol=1e-5)
    differences = [(nll(s + 1e-2) - nll(s - 1e-2)) / 2e-2 for s in settings]
    np.testing.assert_allclose(slopes, differences, rtol=0.02, atol=1e-2)
    draw = lambda s: make(s).sample(jax.random.key(0), eta)
    draws = jax.jit(jax.vmap(draw))(settings)
    np.testing.assert_allclose(draws, [draw(0.5), draw(2.0)], rtol=1e-5, atol=1e-6)
    assert abs(draws[0] - draws[1]).max() > 1e-2


@pytest.mark.parametrize("name", CASES)
def test_contract_under_jit_and_vmap(name):
    family, eta, y, _ = CASES[name]
    eta, y = jnp.asarray(eta, jnp.float32), jnp.asarray(y)

    def everything(eta, y):
        entropy = family.entropy(eta) if family.entropy else 0.0
        return family.log_prob(eta, y), family.mean(eta), family.scores(eta, y), entropy

    eager, jitted = everything(eta, y), jax.jit(everything)(eta, y)
    mapped = jax.jit(jax.vmap(everything))(eta, y)  # no leading axis inside
    for a, b in [(jitted, eager), (mapped[:3], eager[:3])]:
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6), a, b)
    assert eager[0].shape == y.shape
    assert family.mean(eta).shape == (eta.shape if name == "categorical" else y.shape)
    drawn = jax.jit(family.sample)(jax.random.key(3), eta)
    assert drawn.shape == y.shape
    np.testing.assert_allclose(drawn, family.sample(jax.random.key(3), eta), rtol=1e-5)


@pytest.mark.parametrize("name", [n for n in CASES if n not in ("categorical", "normal_untied")])
def test_a_column_against_a_vector_raises(name):
    family, eta, y, _ = CASES[name]
    for method in (family.log_prob, family.scores):
        with pytest.raises(ValueError, match=r"one shape, not \(12, 1\) and \(12,\)"):
            method(eta[:, None], y)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: families.heteroskedastic_normal().log_prob(ETA, REAL),
            r"eta must be \[\.\.\., 2\]",
        ),
        (
            lambda: families.heteroskedastic_normal().log_prob(PAIRS, PAIRS),
            "eta and y must have one",
        ),
        (lambda: families.normal(np.ones((12, 1))).log_prob(ETA, REAL), r"scale \(12, 1\) must"),
        (lambda: families.normal(np.ones(5)).log_prob(ETA, REAL), r"scale \(5,\) must broadcast"),
        (lambda: families.categorical(4).log_prob(LOGITS, CLASSES), r"eta must be \[\.\.\., 4\]"),
        (lambda: families.categorical(3).log_prob(LOGITS, CLASSES[:, None]), "one-hot rows"),
        (lambda: families.categorical(3).log_prob(LOGITS, CLASSES * 1.0), "must be integers 0..2"),
        (
            lambda: families.bernoulli("log"),
            "link of bernoulli is one of logit, probit, cloglog, not 'log'",
        ),
        (lambda: families.poisson("logit"), "link of poisson is one of log, softplus, not 'logit'"),
    ],
)
def test_bad_input_raises(call, message):
    with pytest.raises(ValueError, match=message):
        call()
