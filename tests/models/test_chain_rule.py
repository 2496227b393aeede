"""The four factors of L217 against hand-written derivatives and automatic differentiation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdl import families
from jaxdl.models.chain_rule import chain_rule_factors

X = np.array([[1.0, 0.5], [-0.3, 2.0], [0.8, -1.0]])
W = np.array([0.6, -0.4])
TRUTH = np.array([[0.7, 0.3], [0.2, 0.8], [0.5, 0.5]])  # P(y = 0, 1 | x_n)


def divergence(w, x, support, truth, family):
    def kl(x, p):
        return jnp.sum(p * (jnp.log(p) - family.log_prob(jnp.full(p.shape, x @ w), support)))

    return jnp.mean(jax.vmap(kl)(x, truth))


@pytest.mark.equation("L217")
@pytest.mark.parametrize("link", ["logit", "probit", "cloglog"])
def test_bernoulli_factors_and_their_product(x64, link):
    family, support = families.bernoulli(link), jnp.array([0, 1])
    factors = chain_rule_factors(W, X, support, TRUTH, family)
    pi = np.asarray(family.mean(jnp.asarray(X @ W)))
    p = np.stack([1 - pi, pi], axis=1)
    np.testing.assert_allclose(factors.dkl_dp, -TRUTH / p, rtol=1e-10)
    np.testing.assert_allclose(factors.dp_dmean, [[-1, 1]] * 3, rtol=1e-9)
    slope = jax.vmap(jax.grad(family.mean))(jnp.asarray(X @ W))
    np.testing.assert_allclose(factors.dmean_df, slope, rtol=1e-10)
    np.testing.assert_array_equal(factors.df_dw, X)
    expected = jax.grad(divergence)(W, X, support, TRUTH, family)
    np.testing.assert_allclose(factors.gradient(), expected, rtol=1e-10)


@pytest.mark.equation("L217")
def test_factors_averaged_apart_are_wrong(x64):
    # D-10, one x = 1 with w = log 3, so pi = 3/4, and P(y = 1) = 1/4:
    # inside the expectation over y: (-(3/4)/(1/4) (-1) - (1/4)/(3/4)) pi (1 - pi) = (3 - 1/3) 3/16;
    # apart: -(3 + 1/3) times E_y dp/dpi = (1/4 - 3/4), times 3/16
    factors = chain_rule_factors(
        np.log(3.0), np.ones(1), jnp.array([0, 1]), np.array([[0.75, 0.25]]), families.bernoulli()
    )
    np.testing.assert_allclose(factors.gradient(), 0.5, rtol=1e-12)  # = pi - P(y = 1)
    first = jnp.sum(factors.dkl_dp)  # E_y[-1 / p]
    second = jnp.sum(np.array([0.75, 0.25]) * factors.dp_dmean)  # E_y[dp / dpi]
    literal = first * second * factors.dmean_df[0] * factors.df_dw[0]
    np.testing.assert_allclose(literal, 0.3125, rtol=1e-12)


@pytest.mark.equation("L217")
@pytest.mark.parametrize(
    ("family", "y"),
    [
        (families.poisson(), [2, 0, 5]),
        (families.normal(0.7), [0.3, -1.0, 2.0]),
        (families.student_t(3.0), [0.3, -1.0, 2.0]),
        (families.bernoulli(), [1, 0, 1]),
    ],
)
def test_the_data_alone_give_the_gradient_of_the_likelihood(x64, family, y):
    y = jnp.array(y)

    @jax.jit
    def ours(w):
        return chain_rule_factors(w, X, y[:, None], jnp.ones((3, 1)), family).gradient()

    nll = lambda w: -jnp.mean(family.log_prob(jnp.asarray(X) @ w, y))
    np.testing.assert_allclose(ours(W), jax.grad(nll)(W), rtol=1e-10)


def test_poisson_density_slope(x64):
    # dp/dlambda = p (y / lambda - 1)
    y = jnp.arange(6)
    factors = chain_rule_factors(
        0.5, np.array([1.2]), y, jnp.full((1, 6), 1 / 6), families.poisson()
    )
    rate = np.exp(0.6)
    p = np.exp(families.poisson().log_prob(jnp.full(6, 0.6), y))
    np.testing.assert_allclose(factors.dp_dmean[0], p * (y / rate - 1), rtol=1e-10)


def test_shapes_are_checked():
    with pytest.raises(ValueError, match="one row of probabilities an example"):
        chain_rule_factors(W, X, jnp.array([0, 1]), TRUTH[:2], families.bernoulli())
