"""Generalised linear models against scikit-learn, scipy and a linear programme."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.optimize import linprog
from sklearn.datasets import load_diabetes, load_iris
from sklearn.linear_model import LogisticRegression, PoissonRegressor

from jaxdl import families
from jaxdl.models import glm, glm_objective, linear
from jaxdl.models.irls import location_weights

fit = jax.jit(
    glm.fit, static_argnames=("family", "method", "intercept", "num_outputs", "max_steps")
)
BERNOULLI, POISSON = families.bernoulli(), families.poisson()
RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 2))
ETA = X @ [1.0, -0.7] + 0.3
LABELS = (RNG.uniform(size=60) < 1 / (1 + np.exp(-ETA))).astype(int)
COUNTS = RNG.poisson(np.exp(ETA / 2))
REAL = ETA + RNG.normal(size=60)
CLASSES = np.digitize(ETA + RNG.logistic(size=60), [-0.7, 1.0])
XY = {  # family, y, num_outputs, method
    "normal_irls": (families.normal(0.7), REAL, None, "irls"),
    "student_t_irls": (families.student_t(3.0, 0.8), REAL, None, "irls"),
    "logit": (families.bernoulli(), LABELS, None, "newton"),
    "probit": (families.bernoulli("probit"), LABELS, None, "newton"),
    "cloglog": (families.bernoulli("cloglog"), LABELS, None, "newton"),
    "poisson": (families.poisson(), COUNTS, None, "newton"),
    "poisson_softplus": (families.poisson("softplus"), COUNTS, None, "newton"),
    "categorical": (families.categorical(3), CLASSES, 3, "newton"),
    "heteroskedastic": (families.heteroskedastic_normal(), REAL, 2, "newton"),
    "independent": (
        families.independent(families.normal(0.7)),
        np.stack([REAL, ETA**2], axis=1),
        None,
        "newton",
    ),
}


def flat(params):
    return np.concatenate([np.ravel(params["kernel"]), np.ravel(params["bias"])])


@pytest.mark.equation(11, 15, 17)
def test_predict_mean():
    x, w = np.array([[1.0, 2.0], [0.5, -1.0]]), np.array([0.4, -0.3])
    np.testing.assert_allclose(glm.predict_mean(0.5, x[:, 0], families.normal()), [0.5, 0.25])
    np.testing.assert_allclose(glm.predict_mean(w, x, families.poisson()), np.exp(x @ w), rtol=1e-6)
    matrix = np.stack([w, -w, 2 * w], axis=1)
    both = glm.predict_mean(matrix, x, families.bernoulli())
    for k in range(3):  # elementwise links: column k is the scalar model
        alone = glm.predict_mean(matrix[:, k], x, families.bernoulli())
        np.testing.assert_allclose(both[:, k], alone, rtol=1e-6)
    soft = glm.predict_mean({"kernel": matrix, "bias": np.ones(3)}, x, families.categorical(3))
    np.testing.assert_allclose(soft, np.exp(x @ matrix) / np.exp(x @ matrix).sum(1)[:, None], 1e-6)


@pytest.mark.equation(11, 15, 17)
@pytest.mark.parametrize("name", XY)
def test_every_family_reaches_a_critical_point_of_its_likelihood(x64, name):
    family, y, outputs, method = XY[name]
    result = fit(X, y, family, method=method, num_outputs=outputs, penalty=0.01)
    assert result.converged and not result.separable
    assert result.grad_norm_history[-1] < 1e-8

    def objective(params):
        nll = -family.log_prob(linear.predict(params, jnp.asarray(X)), jnp.asarray(y))
        return jnp.mean(nll) + 0.01 * jnp.sum(params["kernel"] ** 2)

    np.testing.assert_allclose(flat(jax.grad(objective)(result.params)), 0, atol=2e-8)
    np.testing.assert_allclose(result.loss + result.penalty, objective(result.params), rtol=1e-12)
    rng = np.random.default_rng(1)  # and to a minimum: no random step goes down
    for _ in range(5):
        moved = jax.tree.map(lambda w: w + 0.01 * rng.normal(size=w.shape), result.params)
        assert objective(moved) > objective(result.params)


@pytest.mark.equation(2, 11)
def test_normal_regression_is_least_squares(x64):
    result = fit(X, REAL, families.normal(2.0))
    np.testing.assert_allclose(flat(result.params), flat(linear.fit_least_squares(X, REAL)), 1e-9)
    assert result.steps <= 2
    # the mean NLL of a normal halves the squared error (D-6): lambda is 2 s^2 lambda of ridge
    penalised = fit(X, REAL, families.normal(2.0), penalty=0.1)
    np.testing.assert_allclose(flat(penalised.params), flat(linear.ridge(X, REAL, 0.8)), 1e-9)


@pytest.mark.equation(11)
@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_poisson_equals_scikit_learn(x64, alpha):
    # scikit-learn minimises the mean of (lambda - y log lambda) + alpha / 2 |w|^2
    result = fit(X, COUNTS, POISSON, penalty=alpha / 2)
    oracle = PoissonRegressor(alpha=alpha, tol=1e-10, max_iter=1000).fit(X, COUNTS)
    np.testing.assert_allclose(result.params["kernel"], oracle.coef_, rtol=1e-5)
    np.testing.assert_allclose(result.params["bias"], oracle.intercept_, rtol=1e-5)


def test_laplace_equals_the_linear_programme(x64):
    y = REAL + np.random.default_rng(3).laplace(size=60)
    result = fit(X, y, families.laplace(0.5), method="irls")
    design, n = np.c_[X, np.ones(60)], 60
    cost = np.r_[np.zeros(3), np.ones(2 * n)]
    free = [(None, None)] * 3 + [(0, None)] * (2 * n)
    rows = np.c_[design, np.eye(n), -np.eye(n)]
    oracle = linprog(cost, A_eq=rows, b_eq=y, bounds=free)
    absolute = np.sum(np.abs(y - linear.predict(result.params, X)))
    np.testing.assert_allclose(absolute, oracle.fun, rtol=1e-6)
    np.testing.assert_allclose(result.loss, absolute / 60 / 0.5 + np.log(1.0), rtol=1e-12)
    np.testing.assert_allclose(flat(result.params), oracle.x[:3], atol=1e-3)


def test_student_t_shrugs_off_outliers(x64):
    # E-11: 10 % of the responses are wildly wrong
    x = np.linspace(-1, 1, 50)[:, None]
    y = 2 * x[:, 0] + 0.1 * np.random.default_rng(4).normal(size=50)
    y[45:] -= 20
    slope = lambda family: fit(x, y, family).params["kernel"][0]
    heavy, normal = slope(families.student_t(2.0, 0.1)), slope(families.normal(0.1))
    assert abs(heavy - 2) < 0.1 < 5 < abs(normal - 2)


@pytest.mark.slow
def test_heteroskedastic_diabetes_beats_one_scale(x64):
    x, y = load_diabetes(return_X_y=True)
    result = fit(x, y, families.heteroskedastic_normal(), num_outputs=2)
    log_likelihood = -442 * result.loss
    assert result.converged and result.params["kernel"].shape == (10, 2)
    assert log_likelihood > -2385.99 + 10
    # the homoskedastic fit is the same model with no slopes in log sigma: its figure, by scipy
    one = linear.predict(linear.fit_least_squares(x, y), x)
    assert log_likelihood > np.sum(stats.norm.logpdf(y, one, np.sqrt(np.mean((y - one) ** 2))))


@pytest.mark.equation(18, 19)
def test_iris_softmax_optimum(x64):
    # sum of -log p plus |W|^2 / 2, offsets free: lambda = 1 / (2 N)
    x, y = load_iris(return_X_y=True)
    result = fit(x, y, families.categorical(3), num_outputs=3, penalty=1 / 300)
    np.testing.assert_allclose(150 * (result.loss + result.penalty), 28.886317, atol=1e-6)
    assert result.converged and result.scores["accuracy"] > 0.97


def test_newton_and_gradient_agree_and_both_report(x64):
    newton = fit(X, LABELS, BERNOULLI)
    gradient = fit(X, LABELS, BERNOULLI, method="gradient", tolerance=1e-7)
    np.testing.assert_allclose(flat(gradient.params), flat(newton.params), atol=1e-5)
    assert gradient.converged and gradient.steps > newton.steps
    assert gradient.grad_norm_history.shape == (5001,)
    np.testing.assert_allclose(newton.scores["accuracy"], gradient.scores["accuracy"])
    short = fit(X, LABELS, BERNOULLI, method="gradient", max_steps=2)
    assert not short.converged and short.steps == 2
    assert fit(X, LABELS, BERNOULLI, max_steps=0).steps == 0


def test_a_vanished_gradient_with_a_poor_fit_is_shown_as_such(x64):
    # D-9: w = log 1.5 = 0.405, derivative 0, accuracy 0.6, residuals 0.4 and 0.6
    x, y = np.ones((5, 1)), np.array([1, 1, 1, 0, 0])
    result = fit(x, y, BERNOULLI, intercept=False)
    assert result.converged and not result.separable and set(result.params) == {"kernel"}
    np.testing.assert_allclose(result.params["kernel"], np.log(1.5), rtol=1e-9)
    np.testing.assert_allclose(result.scores["accuracy"], 0.6)
    np.testing.assert_allclose(result.loss, -0.6 * np.log(0.6) - 0.4 * np.log(0.4), rtol=1e-12)


STEP = np.array([[-2.0], [-1.0], [1.0], [2.0]])


@pytest.mark.parametrize(
    ("x", "y", "family", "expected"),
    [
        (STEP, [0, 0, 1, 1], BERNOULLI, True),  # complete separation
        (STEP > 0, [0, 1, 1, 1], BERNOULLI, True),  # quasi-complete
        (STEP, [0, 1, 0, 1], BERNOULLI, False),
        (STEP > 0, [0, 1, 1, 1], families.bernoulli("cloglog"), True),
        (STEP > 0, [0, 0, 0, 0], POISSON, True),
        (STEP, [1, 0, 3, 2], POISSON, False),
    ],
)
def test_separability_is_flagged(x64, x, y, family, expected):
    result = fit(x.astype(float), np.array(y), family)
    assert bool(result.separable) is expected and result.converged
    assert np.all(np.isfinite(flat(result.params)))


def test_separability_is_flagged_in_float32():
    for x, y in ((STEP, [0, 0, 1, 1]), (STEP > 0, [0, 1, 1, 1]), (STEP, [0, 1, 0, 1])):
        result = fit(x.astype(np.float32), np.array(y), BERNOULLI)
        assert bool(result.separable) is (y != [0, 1, 0, 1])
        assert result.params["kernel"].dtype == np.float32


GROUPS = np.repeat([[0.0], [1.0]], 30, axis=0)
MIXED = np.tile([0, 2, 1], 10)


@pytest.mark.parametrize(
    ("y", "family", "outputs", "expected"),
    [
        (np.r_[MIXED, np.zeros(30, int)], POISSON, None, True),  # a group without any count
        (np.r_[MIXED, MIXED // 2], POISSON, None, False),
        (np.r_[MIXED // 2, np.ones(30, int)], BERNOULLI, None, True),  # a class fills a group
        (np.r_[MIXED, np.full(30, 2)], families.categorical(3), 3, True),
        (np.r_[MIXED, MIXED[::-1] // 2], families.categorical(3), 3, True),  # no class 2 there
        (np.r_[MIXED, MIXED], families.categorical(3), 3, False),
        (np.r_[np.full(30, 0.9), np.full(30, 0.2)], BERNOULLI, None, False),  # soft and fitted well
    ],
)
def test_separable_groups_in_float32(y, family, outputs, expected):
    result = fit(GROUPS.astype(np.float32), jnp.asarray(y), family, num_outputs=outputs)
    assert bool(result.separable) is expected and result.converged


def test_neither_units_nor_offsets_matter_in_float32():
    """Newton's method on years and on dollars finds what it finds on standard units."""
    rng = np.random.default_rng(5)
    z = rng.normal(size=(3000, 3))
    eta = z @ [0.7, -1.0, 0.5] - 0.3
    labels = (rng.uniform(size=3000) < 1 / (1 + np.exp(-eta))).astype(int)
    oracle = LogisticRegression(C=np.inf, tol=1e-10).fit(z, labels)
    scale, offset = np.array([5000, 10, 1e-3]), np.array([0, 2000, 0])
    x = (z * scale + offset).astype(np.float32)
    result = fit(x, labels, BERNOULLI)
    assert result.converged and result.steps < 10
    np.testing.assert_allclose(result.params["kernel"] * scale, oracle.coef_[0], rtol=2e-4)
    np.testing.assert_allclose(result.scores["accuracy"], oracle.score(z, labels), rtol=1e-6)
    bias = oracle.intercept_[0] - oracle.coef_[0] / scale @ offset
    np.testing.assert_allclose(result.params["bias"], bias, rtol=1e-3)
    # the penalty is of the weights as they are
    held = fit(x, labels, BERNOULLI, penalty=0.5)
    theirs = LogisticRegression(C=1 / 3000, tol=1e-10, solver="newton-cholesky").fit(
        x.astype(float), labels
    )
    np.testing.assert_allclose(held.params["kernel"], theirs.coef_[0], rtol=2e-2, atol=1e-6)


@pytest.mark.parametrize(
    ("family", "values", "link", "method"),
    [
        (BERNOULLI, (1, 1), lambda p: np.log(p / (1 - p)), "newton"),
        (POISSON, (2, 4), np.log, "newton"),
        (families.normal(1.0), (2, 4), lambda m: m, "irls"),
    ],
    ids=["bernoulli", "poisson", "normal"],
)
def test_many_sorted_rows_in_float32(family, values, link, method):
    """Of two groups whose first rows are all 0: the link of each group's mean. A product that adds
    its terms one by one loses 3 digits here."""
    n = 2**18
    group, place = np.arange(n) % 2, np.arange(n) / n
    y = np.where(group, values[1] * (place >= 0.375), values[0] * (place >= 0.75))
    y = y.astype(np.float32 if method == "irls" else int)
    params = fit(group[:, None].astype(np.float32), y, family, method=method).params
    expected = [link(y[group == k].astype(float).mean()) for k in (0, 1)]
    found = params["bias"] + params["kernel"][0] * np.arange(2)
    np.testing.assert_allclose(found, expected, atol=3e-5)


def test_the_curvature_of_several_outputs():
    """Kronecker products of each row's curvature and of its features, summed; K = 3."""
    design, half = RNG.normal(size=(7, 2)), RNG.normal(size=(7, 3, 3))
    h = half + half.transpose(0, 2, 1)
    expected = sum(np.kron(np.outer(x, x), rows) for x, rows in zip(design, h, strict=True))
    np.testing.assert_allclose(
        glm_objective.curvature(jnp.asarray(design), jnp.asarray(h)), expected, atol=1e-5
    )


def test_the_floor_of_irls_comes_down_by_a_fifth_a_step(x64):
    """To sqrt(eps) of where it began, and not before has it converged: 0.8^81 < 1.5e-8 < 0.8^80."""
    result = fit(X, REAL, families.normal(0.7), method="irls")
    assert result.converged and result.steps == 81
    assert not fit(X, REAL, families.normal(0.7), method="irls", max_steps=80).converged


def test_penalty_gives_separable_data_a_finite_fit(x64):
    y = np.array([0, 0, 1, 1])
    result = fit(STEP, y, BERNOULLI, penalty=0.125)
    oracle = LogisticRegression(C=1.0, tol=1e-10).fit(STEP, y)
    np.testing.assert_allclose(result.params["kernel"], oracle.coef_[0], rtol=1e-5)
    assert result.converged and result.separable


@pytest.mark.parametrize("method", ["newton", "irls", "gradient"])
def test_masked_rows_do_not_count(method):
    keep = np.arange(60) % 3 > 0
    y = LABELS if method != "irls" else REAL
    family = BERNOULLI if method != "irls" else families.student_t(3.0)
    dirty = np.where(keep[:, None], X, np.nan)
    masked = fit(dirty, y, family, method=method, mask=keep)
    clean = fit(X[keep], y[keep], family, method=method)
    np.testing.assert_allclose(flat(masked.params), flat(clean.params), atol=2e-3)
    np.testing.assert_allclose(masked.loss, clean.loss, rtol=1e-5)
    (name,) = clean.scores
    assert name == ("accuracy" if method != "irls" else "squared_error")
    np.testing.assert_allclose(masked.scores[name], clean.scores[name], rtol=1e-3)


def test_vmap_equals_map_equals_alone(x64):
    one = lambda lam: glm.fit(X, CLASSES, families.categorical(3), num_outputs=3, penalty=lam)
    lams = jnp.array([1e-3, 0.1])
    batch, mapped = jax.jit(jax.vmap(one))(lams), jax.jit(lambda l: jax.lax.map(one, l))(lams)
    for a, b in zip(jax.tree.leaves(batch.params), jax.tree.leaves(mapped.params), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-8)
    np.testing.assert_allclose(
        batch.params["kernel"][1], jax.jit(one)(0.1).params["kernel"], atol=1e-8
    )
    assert batch.penalty[1] < 0.1 and np.all(batch.converged)


def test_collinear_features_are_handled(x64):
    twice = np.c_[X, X[:, 0], np.zeros(60)]
    result = fit(twice, LABELS, BERNOULLI)
    plain = fit(X, LABELS, BERNOULLI)
    assert result.converged
    np.testing.assert_allclose(result.loss, plain.loss, rtol=1e-10)
    np.testing.assert_allclose(result.params["kernel"][3], 0, atol=1e-12)


@pytest.mark.parametrize("floor", [1e-3, 0.5])
def test_location_weights_by_hand(x64, floor):
    eta, y = jnp.array([1.0, -2.0, 0.1]), jnp.zeros(3)
    r = np.maximum(np.abs(eta), floor)
    weights = lambda family: jax.jit(lambda f: location_weights(family, eta, y, f)[0])(floor)
    np.testing.assert_allclose(weights(families.normal(2.0)), 0.25, rtol=1e-12)
    np.testing.assert_allclose(weights(families.laplace(2.0)), 1 / (2 * r), rtol=1e-12)
    np.testing.assert_allclose(weights(families.student_t(3.0, 2.0)), 4 / (12 + r**2), rtol=1e-12)


@pytest.mark.parametrize(
    ("family", "y", "how", "message"),
    [
        (POISSON, COUNTS - 1, {}, "counts from 0 to inf, not -1 to"),
        (BERNOULLI, 2.0 * LABELS, {}, "labels from 0 to 1, not 0 to 2; features.from_one_based"),
        (
            families.categorical(3),
            CLASSES + 1,
            {"num_outputs": 3},
            "labels from 0 to 2, not 1 to 3",
        ),
    ],
)
def test_responses_without_a_probability_are_refused(family, y, how, message):
    with pytest.raises(ValueError, match=f"the responses of the data are {message}"):
        glm.fit(X, y, family, max_steps=1, **how)
    outside = np.clip(y, family.responses.low, family.responses.high) != y
    glm.fit(X, y, family, mask=~outside, max_steps=1, **how)  # what does not count may be anything


def test_bad_arguments_raise():
    with pytest.raises(ValueError, match="method is one of newton, irls, gradient, not 'adam'"):
        glm.fit(X, REAL, families.normal(), method="adam")
    with pytest.raises(ValueError, match=r"independent\(family\)"):
        glm.fit(X, np.ones((60, 2)), families.normal())
    with pytest.raises(ValueError, match=r"one shape, not \(60, 1\) and \(60,\)"):
        glm.fit(X, REAL, families.normal(), num_outputs=1)  # [N, 1] never meets [N]
    with pytest.raises(ValueError, match="irls needs one location a response"):
        location_weights(families.categorical(3), jnp.ones((4, 3)), jnp.ones(4, int), 0.1)
