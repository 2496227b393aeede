"""The probability-flow equation of normal distributions, which carries them by a linear map."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.stats

from jaxdl import generation
from jaxdl.base import stateless
from jaxdl.generation import Tolerance
from jaxdl.models import diffusion

M, C = np.array([1.0, -0.5]), np.array([[1.5, 0.6], [0.6, 0.5]])
STEPS = 1000
X = np.array([[1.0, -0.5], [2.5, 0.3], [-1.0, -1.5]])


def schedule():
    return diffusion.linear_schedule(STEPS)


def network(target):
    """The best network for each target, at any time: E[x_0 | x] of data N(M, C) and what it means."""
    inverse = lambda a, s: jnp.linalg.inv(a * a * C + s * s * jnp.eye(2))

    def apply(params, inputs, *, key, train):
        x = inputs["x"]
        a, s = diffusion.scales(schedule(), STEPS * inputs["time"])
        gain = jax.vmap(lambda a, s: a * C @ inverse(a, s))(a, s)
        x0 = M + jnp.einsum("nij,nj->ni", gain, x - a[:, None] * M)
        epsilon = (x - a[:, None] * x0) / s[:, None]
        v = a[:, None] * epsilon - s[:, None] * x0
        return {"epsilon": epsilon, "x0": x0, "v": v}[target]

    return stateless(lambda key: {}, apply)


def denoise(target="x0"):
    return generation.denoiser(network(target), schedule(), {}, {}, target=target)


def model_moments(last=1.0):
    """Mean and covariance at ``last`` of what is N(0, I), and not quite N(a M, a^2 C + s^2 I), at T.

    All covariances have C's eigenvectors, and the map takes each of them to the next.
    """
    bar = np.cumprod(1 - np.linspace(1e-4, 0.02, STEPS))
    bar_of = lambda t: np.exp(np.interp(t, np.arange(STEPS + 1), np.log([1, *bar])))
    root = lambda b: scipy.linalg.sqrtm(b * C + (1 - b) * np.eye(2)).real
    start, end = bar_of(STEPS), bar_of(last)
    gain = root(end) @ np.linalg.inv(root(start))
    return np.sqrt(end) * M - gain @ M * np.sqrt(start), gain @ gain.T


@pytest.mark.parametrize("target", diffusion.TARGETS)
def test_log_densities_are_exact_for_every_target(x64, target):
    tolerance = Tolerance(1e-8, 1e-8)
    found = jax.jit(
        lambda x: generation.probability_flow_log_prob(
            denoise(target), schedule(), x, tolerance=tolerance
        )
    )(jnp.asarray(X))
    expected = scipy.stats.multivariate_normal.logpdf(X, *model_moments())
    np.testing.assert_allclose(found, expected, atol=2e-6)
    # N(0, I) in the place of the diffusion's own end, and the noise of the first step, change little.
    np.testing.assert_allclose(found, scipy.stats.multivariate_normal.logpdf(X, M, C), atol=0.01)


def test_less_noise_than_the_first_step_and_more(x64):
    """``last`` is real: the density is that of x with the noise of this time."""
    density = jax.jit(
        lambda last: generation.probability_flow_log_prob(
            denoise(), schedule(), jnp.asarray(X), last=last, tolerance=Tolerance(1e-8, 1e-8)
        )
    )
    for last in (0.01, 250.5):
        expected = scipy.stats.multivariate_normal.logpdf(X, *model_moments(last))
        np.testing.assert_allclose(density(last), expected, atol=2e-6)
    for last in (0.0, 1000, -1):
        with pytest.raises(ValueError, match="above 0 and below T = 1000"):
            generation.probability_flow_log_prob(denoise(), schedule(), jnp.asarray(X), last=last)


def test_samples_have_the_moments_of_the_density():
    n = 20_000
    draw = lambda key: generation.probability_flow_sample(
        key, denoise("epsilon"), schedule(), (n, 2)
    )
    x = np.asarray(jax.jit(draw)(jax.random.key(0)), np.float64)
    mean, covariance = model_moments()
    np.testing.assert_allclose(x.mean(0), mean, atol=4 * np.sqrt(1.5 / n))
    np.testing.assert_allclose(np.cov(x.T), covariance, atol=4 * 1.5 * np.sqrt(2 / n))
    again = lambda x: generation.probability_flow_log_prob(denoise("epsilon"), schedule(), x)
    entropy = scipy.stats.multivariate_normal(mean, covariance).entropy()
    few = jnp.asarray(x[:2000], jnp.float32)
    assert float(-jax.jit(again)(few).mean()) == pytest.approx(entropy, abs=4 / np.sqrt(2000))


def test_hutchinsons_estimate_is_unbiased():
    n = 4000
    x = jnp.tile(jnp.asarray(X[1:2], jnp.float32), (n, 1))
    guess = jax.jit(
        lambda key: generation.probability_flow_log_prob(denoise(), schedule(), x, key=key)
    )(jax.random.key(0))
    error = float(guess.std()) / np.sqrt(n)
    exact = scipy.stats.multivariate_normal.logpdf(X[1], *model_moments())
    assert 0 < error < 0.02
    assert float(guess.mean()) == pytest.approx(exact, abs=4 * error + 2e-3)  # 50 steps of Heun


def test_it_is_the_probability_flow_of_the_variance_preserving_process(x64):
    """dx/dt = -b(t)/2 (x + score), b(t) = -log(1 - beta_k) within step k, by the chain rule."""
    own = schedule()
    t, h = 300.4, 1e-3
    a, s = diffusion.scales(own, jnp.array(t))
    turns = (diffusion.angle(own, jnp.array(t + h)) - diffusion.angle(own, jnp.array(t - h))) / (
        2 * h
    )
    velocity = generation.probability_flow(denoise("v"), own)(jnp.asarray(X), jnp.arctan2(s, a))
    score = -np.linalg.solve(a * a * C + s * s * np.eye(2), (X - a * M).T).T
    rate = -np.log1p(-np.linspace(1e-4, 0.02, STEPS)[300])  # of step 301, from 300 to 301
    np.testing.assert_allclose(velocity * turns, -rate / 2 * (X + score), rtol=1e-5)


@pytest.mark.parametrize("make", [diffusion.linear_schedule, diffusion.cosine_schedule])
def test_times_between_the_steps(make):
    """Whole times are the chain's; log abar is linear between; angles and times are inverses."""
    own = make(50)
    whole = jnp.arange(51)
    for exact, real in zip(diffusion.scales(own, whole), diffusion.scales(own, 1.0 * whole), strict=True):  # fmt: skip
        np.testing.assert_array_equal(exact, real)
    t = jnp.array([0.0, 0.25, 1.0, 7.5, 31.75, 49.5])
    logs = np.concatenate([[0], np.asarray(own.log_alpha_bar, np.float64)])
    expected = np.interp(t, np.arange(51), logs)
    signal, noise = diffusion.scales(own, t)
    np.testing.assert_allclose(signal, np.exp(expected / 2), rtol=1e-5)
    np.testing.assert_allclose(noise, np.sqrt(-np.expm1(expected)), rtol=1e-5)
    phi = diffusion.angle(own, t)
    assert (np.diff(phi) > 0).all() and phi[0] == 0 and phi[-1] < np.pi / 2
    np.testing.assert_allclose(diffusion.time_of_angle(own, phi), t, rtol=1e-4, atol=1e-4)
