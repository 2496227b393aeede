"""ABC and rank tests against conjugate normal posteriors, which are known."""

import conjugate
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jaxdl import inference

N, MEAN = (
    5,
    0.8,
)  # theta ~ N(0, 1), x_i ~ N(theta, 1): the posterior is N(N x / (N + 1), 1 / (N + 1))
prior = lambda key: jax.random.normal(key)
simulate = lambda key, theta: (
    theta + jax.random.normal(key) / np.sqrt(N)
)  # the mean of N, sufficient


def test_what_is_kept_is_nearly_the_posterior():
    found = inference.abc_rejection(
        jax.random.key(0), prior, simulate, MEAN, draws=40_000, share=0.02
    )
    kept = np.asarray(found.parameters[found.accepted])
    assert len(kept) == 800 and float(found.threshold) < 0.05
    mean, variance = N * MEAN / (N + 1), 1 / (N + 1)
    assert kept.mean() == pytest.approx(mean, abs=4 * np.sqrt(variance / 800))
    assert kept.var() == pytest.approx(variance, rel=4 * np.sqrt(2 / 800))
    assert scipy.stats.kstest(kept, scipy.stats.norm(mean, np.sqrt(variance)).cdf).pvalue > 1e-3


def test_two_parameters_and_their_covariance():
    """``x = A theta + S e``: mean and covariance of what is kept within four standard errors, and
    those of the ball |x_n - x| <= epsilon, which adds at most epsilon^2 / 4 to the noise's."""
    x = jnp.array([0.6, -0.4])
    found = inference.abc_rejection(
        jax.random.key(1), lambda key: jax.random.normal(key, (2,)), conjugate.simulate, x,
        draws=60_000, share=0.01,
    )  # fmt: skip
    kept, n = np.asarray(found.parameters[found.accepted], float), 600
    assert kept.shape == (n, 2) and float(found.threshold) < 0.25
    error = np.sqrt(np.diag(conjugate.C) / n)
    assert np.all(abs(kept.mean(0) - conjugate.M @ np.asarray(x)) < 4 * error)
    scale = np.sqrt(np.outer(np.diag(conjugate.C), np.diag(conjugate.C)))
    bound = 4 * scale * np.sqrt(2 / n) + float(found.threshold) ** 2 / 4
    assert np.all(abs(np.cov(kept.T) - conjugate.C) < bound)


def test_what_is_kept_by_hand():
    """Of everything the prior itself is left; a threshold keeps what is at most as far."""
    uniform = lambda key: {"a": jax.random.uniform(key)}
    same = lambda key, theta: theta["a"]
    run = lambda **how: inference.abc_rejection(
        jax.random.key(0), uniform, same, 0.5, draws=500, at_once=64, **how
    )
    assert int(run().accepted.sum()) == 5  # a hundredth, unless another share is asked for
    everything = run(share=1.0)
    assert bool(everything.accepted.all())
    assert scipy.stats.kstest(np.asarray(everything.parameters["a"]), "uniform").pvalue > 1e-3
    near = run(threshold=0.1)
    distances = abs(np.asarray(near.parameters["a"]) - 0.5)
    np.testing.assert_allclose(near.distances, distances, rtol=1e-6)
    np.testing.assert_array_equal(near.accepted, near.distances <= 0.1)
    assert (np.diff(near.distances) >= 0).all() and 60 < int(near.accepted.sum()) < 140
    assert not run(threshold=-1.0).accepted.any()


def test_what_is_infinitely_far_is_never_accepted():
    """Nor what is no number; whatever the threshold."""
    apart = lambda simulated, observed: jnp.where(simulated > 0, jnp.nan, -simulated)
    found = inference.abc_rejection(
        jax.random.key(0), lambda key: jax.random.normal(key), lambda key, theta: theta, 0.0,
        draws=50, distance=apart, threshold=jnp.inf,
    )  # fmt: skip
    assert 0 < int(found.accepted.sum()) < 50
    assert np.isfinite(found.distances[found.accepted]).all()


def test_the_threshold_is_the_largest_distance_kept():
    """Distances 1, ..., 10 of which three are kept: 3 (elfi #321); ties beyond a share are not."""
    found = inference.abc_rejection(
        jax.random.key(0), lambda key: jax.random.key_data(key)[1], lambda key, theta: theta, 0,
        draws=10, share=0.3, distance=lambda a, b: a / 1.0,
    )  # fmt: skip
    third = np.sort(np.asarray(found.parameters))[2]
    assert float(found.threshold) == np.float32(third) and int(found.accepted.sum()) == 3
    assert (found.distances[:3] <= found.threshold).all()
    tied = inference.abc_rejection(
        jax.random.key(0), prior, lambda key, theta: 0.0 * theta, 0.0, draws=10, share=0.3
    )
    assert int(tied.accepted.sum()) == 3 and float(tied.threshold) == 0


def test_distances_that_are_no_numbers_are_never_kept():
    broken = lambda key, theta: jnp.where(theta > 0, theta, jnp.nan)
    found = inference.abc_rejection(jax.random.key(0), prior, broken, 0.0, draws=200, share=1.0)
    np.testing.assert_array_equal(found.accepted, found.parameters > 0)
    assert 60 < int(found.accepted.sum()) < 140


def exact(key, x, scale=1.0, shift=0.0):
    draws = jax.random.normal(key, (99, 1)) * scale / np.sqrt(N + 1)
    return N * x / (N + 1) + shift + draws


def ranks_of(posterior):
    return inference.simulation_based_calibration(
        jax.random.key(0), lambda key: prior(key)[None], simulate, posterior, draws=400
    )


def test_ranks_are_of_each_parameter():
    """Draws (0, 10), (1, 11), (2, 12) against (1.5, 9): ranks 2 and 0 (sbi #794)."""
    found = inference.simulation_based_calibration(
        jax.random.key(0),
        lambda key: jnp.array([1.5, 9.0]) + 0 * jax.random.normal(key),
        lambda key, theta: theta + 0 * jax.random.normal(key),
        lambda key, x: jnp.array([[0.0, 10.0], [1.0, 11.0], [2.0, 12.0]])
        + 0 * jax.random.normal(key),
        draws=2, bins=1,
    )  # fmt: skip
    assert found.ranks.tolist() == [[2, 0], [2, 0]]


def test_ranks_are_uniform_for_the_right_posterior_only():
    right = ranks_of(exact)
    assert right.ranks.shape == (400, 1) and right.ranks.min() >= 0 and right.ranks.max() <= 99
    assert float(right.p_values[0]) > 1e-3
    counts = np.histogram(np.asarray(right.ranks[:, 0]), np.arange(11) * 10 - 0.5)[0]
    assert float(right.p_values[0]) == pytest.approx(scipy.stats.chisquare(counts).pvalue, rel=1e-3)
    narrow = ranks_of(lambda key, x: exact(key, x, scale=0.5))
    shifted = ranks_of(lambda key, x: exact(key, x, shift=0.3))
    assert float(narrow.p_values[0]) < 1e-6 and float(shifted.p_values[0]) < 1e-6
    ends = lambda test: float(np.mean((test.ranks < 10) | (test.ranks >= 90)))
    assert ends(narrow) > 0.35 > 0.25 > ends(right)
    assert float(np.mean(shifted.ranks)) < 40  # samples are too large, so truth ranks low


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: inference.abc_rejection(jax.random.key(0), prior, simulate, 0.0, share=0.0),
         r"share lies in \(0, 1\], not 0.0"),
        (lambda: inference.abc_rejection(jax.random.key(0), prior, simulate, 0.0, draws=0),
         "draws must be a positive whole number"),
        (lambda: inference.abc_rejection(jax.random.key(0), prior, simulate, 0.0,
                                         distance=lambda a, b: jnp.ones(2)),
         r"a distance is one number, not \[2\]"),
        (lambda: ranks_of(lambda key, x: jnp.zeros((3, 1))), "10 bins for 4 ranks"),
        (lambda: ranks_of(lambda key, x: jnp.zeros((30, 2))), r"not \[1\] and \[30, 2\]"),
    ],
)  # fmt: skip
def test_what_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
