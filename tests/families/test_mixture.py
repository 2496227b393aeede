"""Mixtures, and mixture density networks, against scipy."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.stats

from jaxdl import families, models, training

MIX = families.mixture(families.heteroskedastic_normal(), 3, (2,))
# Two predictors of (logit, mean, log scale) for three components.
ETA = np.array(
    [
        [0.3, -1.0, 0.2, -0.5, 2.0, -0.7, 1.0, 0.5, 0.0],
        [0.0, 0.0, 0.0, 2.0, 5.0, 1.0, -3.0, 1.0, -2],
    ]
)
Y = np.array([0.4, 4.0])


def by_scipy(eta, y):
    logit, mean, log_scale = eta.reshape(3, 3).T
    pi = np.exp(logit) / np.exp(logit).sum()
    return np.log((pi * scipy.stats.norm.pdf(y, mean, np.exp(log_scale))).sum())


def test_log_densities_are_scipys(x64):
    expected = [by_scipy(eta, y) for eta, y in zip(ETA, Y, strict=True)]
    np.testing.assert_allclose(MIX.log_prob(ETA, Y), expected, rtol=1e-10)
    np.testing.assert_allclose(MIX.log_prob(ETA[:, None], Y[:, None])[:, 0], expected, rtol=1e-10)
    np.testing.assert_allclose(MIX.log_prob(ETA[1], Y[1]), expected[1], rtol=1e-10)


def test_it_integrates_to_one_and_has_the_mean(x64):
    grid = np.linspace(-40, 40, 40_001)
    for eta in ETA:
        density = np.exp(MIX.log_prob(np.tile(eta, (len(grid), 1)), grid))
        np.testing.assert_allclose(np.trapezoid(density, grid), 1, rtol=1e-9)
        np.testing.assert_allclose(
            np.trapezoid(grid * density, grid), MIX.mean(jnp.asarray(eta)), rtol=1e-9
        )


def test_samples_have_the_distribution(key):
    eta = jnp.broadcast_to(jnp.asarray(ETA[1], jnp.float32), (20_000, 9))
    logit, mean, log_scale = ETA[1].reshape(3, 3).T
    pi = np.exp(logit) / np.exp(logit).sum()
    cdf = lambda y: (
        pi * scipy.stats.norm.cdf(np.asarray(y)[:, None], mean, np.exp(log_scale))
    ).sum(1)
    drawn = np.asarray(MIX.sample(key, eta))
    assert drawn.shape == (20_000,)
    assert scipy.stats.kstest(drawn, cdf).pvalue > 1e-3


def test_rows_depend_on_one_component(x64, key):
    """The values of a row share their component: a mixture of products, not a product of mixtures."""
    rows = families.mixture(families.independent(families.normal(0.5)), 2, (2,))
    eta = np.array([0.4, -1.0, 1.0, -0.2, 2.0, -2.0])
    y = np.array([-0.7, 0.8])
    pi = np.exp([0.4, -0.2]) / np.exp([0.4, -0.2]).sum()
    densities = [scipy.stats.norm.pdf(y, m, 0.5).prod() for m in ([-1, 1], [2, -2])]
    np.testing.assert_allclose(rows.log_prob(eta, y), np.log(pi @ densities), rtol=1e-10)
    np.testing.assert_allclose(rows.mean(eta), pi @ np.array([[-1, 1], [2, -2]]), rtol=1e-10)
    drawn = np.asarray(rows.sample(key, np.tile(eta, (4000, 1))))
    assert drawn.shape == (4000, 2)
    between = pi[0] * pi[1] * 3**2  # each mean moves by 3, one up and one down
    correlation = np.corrcoef(drawn.T)[0, 1]
    np.testing.assert_allclose(correlation, -between / (between + 0.25), atol=0.02)
    assert abs((drawn[:, 0] > 0.5).mean() - pi[1]) < 0.05
    scores = rows.scores(np.tile(eta, (3, 1)), np.tile(y, (3, 1)))
    expected = np.square(y - pi @ np.array([[-1, 1], [2, -2]])).mean()
    np.testing.assert_allclose(scores["squared_error"], [expected] * 3)


def test_counts_and_one_component(x64):
    zero_inflated = families.mixture(families.poisson(), 2)
    eta, y = np.array([[1.0, -5.0, 0.0, 1.5]]), np.array([2])
    pi = np.exp(1) / (np.exp(1) + 1)
    pmf = scipy.stats.poisson.pmf(2, np.exp([-5, 1.5]))
    np.testing.assert_allclose(
        zero_inflated.log_prob(eta, y), np.log([pi * pmf[0] + (1 - pi) * pmf[1]]), rtol=1e-10
    )
    one = families.mixture(families.normal(2.0), 1)
    np.testing.assert_allclose(
        one.log_prob(jnp.array([[7.0, 0.5]]), jnp.array([1.0])),
        scipy.stats.norm(0.5, 2).logpdf([1]),
    )


def test_finite_where_every_component_underflows():
    """exp of these is 0 in float32: a log of a sum of densities would be -inf with NaN gradients."""
    eta = jnp.asarray(ETA[:1], jnp.float32)
    y = jnp.array([1e3])
    value, gradient = jax.value_and_grad(lambda e: MIX.log_prob(e, y)[0])(eta)
    np.testing.assert_allclose(value, by_scipy_log(ETA[0], 1e3), rtol=1e-4)
    assert np.isfinite(gradient).all() and abs(gradient).max() > 0


def by_scipy_log(eta, y):
    logit, mean, log_scale = eta.reshape(3, 3).T
    log_pi = logit - np.logaddexp.reduce(logit)
    return np.logaddexp.reduce(log_pi + scipy.stats.norm.logpdf(y, mean, np.exp(log_scale)))


def test_shapes_are_checked():
    with pytest.raises(ValueError, match=r"eta must be \[..., 9\], 3 components"):
        MIX.log_prob(jnp.zeros((2, 8)), jnp.zeros(2))
    with pytest.raises(ValueError, match=r"y must be \(2,\)"):
        MIX.log_prob(jnp.zeros((2, 9)), jnp.zeros(3))
    rows = families.mixture(families.normal(), 2, (2,))
    with pytest.raises(ValueError, match=r"see families\.independent"):
        rows.log_prob(jnp.zeros((3, 6)), jnp.zeros((3, 2)))
    with pytest.raises(ValueError, match="num_components must be a positive whole number"):
        families.mixture(families.normal(), 0)


def test_a_mixture_density_network_finds_both_branches():
    """y = +-(1 + x): its mean 0 is where no y is; the network's density is at the branches."""
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 1, size=(400, 1)).astype(np.float32)
    sign = rng.choice([-1, 1], size=400)
    y = (sign * (1 + x[:, 0]) + 0.1 * rng.normal(size=400)).astype(np.float32)
    two = families.mixture(families.heteroskedastic_normal(), 2, (2,))

    def nll(family, outputs):
        net = models.mlp((1, 16, outputs), activation="tanh")
        objective = training.negative_log_likelihood(net, family)
        learner = training.gradient_learner(net, objective, optax.adam(0.03))
        fit = training.fit(
            learner,
            (x, y),
            key=jax.random.key(0),
            epochs=300,
            validation=(x, y),
            evaluate_every=300,
        )
        return fit.history.validation["nll"][-1]

    truth = np.log(2) + 0.5 * np.log(2 * np.pi * np.e * 0.01)
    assert abs(nll(two, 6) - truth) < 0.1
    assert nll(families.heteroskedastic_normal(), 2) > 1.5
