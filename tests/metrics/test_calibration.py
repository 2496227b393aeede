"""Entropies, calibration and Monte Carlo dropout against closed forms, NumPy and scikit-learn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import enable_x64
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss

from jaxdl import families, metrics, models
from jaxdl.base import stateless

few = settings(deadline=None, max_examples=25, derandomize=True)


def draw(seed, *shape, zeros=0.2):
    """Probabilities [..., K] of which a share is exactly 0."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(shape[-1], 0.5), size=shape[:-1]) * (rng.uniform(size=shape) > zeros)
    p[..., 0] += p.sum(-1) == 0
    return p / p.sum(-1, keepdims=True)


def numpy_entropy(p):
    return -np.sum(p * np.log(np.where(p > 0, p, 1)), axis=-1)


def loop_ece(p, y, num_bins):
    """Guo et al.'s (3) and (5) bin by bin, the bounds as written there."""
    confidence, right = p.max(1), p.argmax(1) == y
    ece, mce = 0.0, 0.0
    for m in range(1, num_bins + 1):
        inside = (confidence > (m - 1) / num_bins) & (confidence <= m / num_bins)
        if inside.any():
            gap = abs(right[inside].mean() - confidence[inside].mean())
            ece, mce = ece + inside.sum() / len(y) * gap, max(mce, gap)
    return ece, mce


# -- entropies


def test_entropies_by_hand():
    """Two sure members at odds, two unsure ones that agree, and one of each."""
    p = jnp.array([[[1.0, 0], [0.5, 0.5], [1, 0]], [[0, 1], [0.5, 0.5], [0.5, 0.5]]])
    log2 = np.log(2)
    mixed = -0.75 * np.log(0.75) - 0.25 * np.log(0.25)
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)
    close(metrics.predictive_entropy(p), [log2, log2, mixed])
    close(metrics.expected_entropy(p), [0, log2, log2 / 2])
    close(metrics.mutual_information(p), [log2, 0, mixed - log2 / 2])


@few
@given(st.integers(0, 10**6))
def test_mutual_information_is_the_mean_divergence_from_the_average(seed):
    with enable_x64(True):
        p = draw(seed, 4, 6, 3)
        mean = p.mean(0)
        ratio = np.where(p > 0, p / np.where(mean > 0, mean, 1), 1)
        divergence = np.sum(p * np.log(ratio), axis=-1).mean(0)
        total, own, gain = (
            metrics.predictive_entropy(p),
            metrics.expected_entropy(p),
            metrics.mutual_information(p),
        )
        np.testing.assert_allclose(total, numpy_entropy(mean), rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(own, numpy_entropy(p).mean(0), rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(gain, divergence, rtol=1e-10, atol=1e-13)
        assert (gain >= 0).all() and (gain <= np.log(3) + 1e-12).all()
        assert (total <= np.log(3) + 1e-12).all() and (own >= 0).all()


def test_mutual_information_of_equal_members_is_not_negative():
    p = jnp.asarray(np.repeat(draw(0, 1, 500, 7), 3, axis=0), jnp.float32)
    gain = metrics.mutual_information(p)
    assert (gain >= 0).all() and gain.max() < 1e-6
    assert gain.dtype == jnp.float32
    difference = metrics.predictive_entropy(p) - metrics.expected_entropy(p)
    assert (difference < 0).any()  # what the clipping is for


def test_gradients_at_zero_probabilities_are_finite():
    p = jnp.array([[[1.0, 0.0]], [[0.0, 1.0]], [[1.0, 0.0]]])
    for fn in (metrics.mutual_information, metrics.expected_entropy):
        assert np.isfinite(jax.grad(lambda p, fn=fn: jnp.sum(fn(p)))(p)).all()


# -- calibration


def test_calibration_errors_by_hand():
    """Five bins. (0.4, 0.6]: 0.6 right, 0.5 wrong; (0.6, 0.8]: 0.8 wrong; (0.8, 1]: 1 right."""
    p = jnp.array([[0.6, 0.4], [0.5, 0.5], [0.2, 0.8], [1.0, 0.0]])
    y = jnp.array([0, 1, 0, 0])
    bins = metrics.reliability(p, y, num_bins=5)
    np.testing.assert_allclose(bins.edges, [0, 0.2, 0.4, 0.6, 0.8, 1], rtol=1e-6)
    np.testing.assert_array_equal(bins.count, [0, 0, 2, 1, 1])
    np.testing.assert_allclose(bins.confidence, [0, 0, 0.55, 0.8, 1], rtol=1e-6)
    np.testing.assert_allclose(bins.accuracy, [0, 0, 0.5, 0, 1])
    ece = metrics.expected_calibration_error(p, y, num_bins=5)
    np.testing.assert_allclose(ece, (2 * 0.05 + 0.8) / 4, rtol=1e-6)
    mce = metrics.maximum_calibration_error(p, y, num_bins=5)
    np.testing.assert_allclose(mce, 0.8, rtol=1e-6)


@pytest.mark.parametrize("num_bins", [1, 3, 7, 10, 15, 100])
def test_bins_are_closed_on_the_right(num_bins):
    confidence = np.arange(1, num_bins + 1) / num_bins
    confidence = confidence[confidence >= 0.5]
    p = np.stack([confidence, 1 - confidence], 1)
    for x64 in (False, True):
        with enable_x64(x64):
            bins = metrics.reliability(p, np.zeros(len(p), int), num_bins=num_bins)
            expected = np.r_[np.zeros(num_bins - len(p)), np.ones(len(p))]
            np.testing.assert_array_equal(bins.count, expected)


@few
@given(st.integers(0, 10**6), st.sampled_from([2, 5, 15]))
def test_calibration_errors_are_the_papers(seed, num_bins):
    p = draw(seed, 40, 3)
    y = np.random.default_rng(seed).integers(0, 3, 40)
    ece, mce = loop_ece(p, y, num_bins)
    with enable_x64(True):
        ours = metrics.expected_calibration_error(p, y, num_bins=num_bins)
        np.testing.assert_allclose(ours, ece, rtol=1e-12, atol=1e-15)
        largest = metrics.maximum_calibration_error(p, y, num_bins=num_bins)
        np.testing.assert_allclose(largest, mce, rtol=1e-12, atol=1e-15)
        assert 0 <= ours <= largest <= 1


def test_who_is_right_as_often_as_claimed_has_no_error():
    """Of 10 c rows with confidence c, one in ten of c is wrong; claiming more is the error."""
    levels = (0.6, 0.7, 0.8, 0.9, 1.0)
    p = np.repeat([[c, 1 - c] for c in levels], 10, axis=0)
    y = np.concatenate([np.arange(10) >= round(10 * c) for c in levels]).astype(int)
    assert metrics.expected_calibration_error(p, y) < 1e-6
    sure = np.repeat([[1.0, 0.0]], 50, axis=0)
    ece = metrics.expected_calibration_error(sure, y)
    np.testing.assert_allclose(ece, 0.2, rtol=1e-6)  # 40 of 50 are right


def test_drawn_labels_are_calibrated_up_to_chance():
    p = draw(1, 20_000, 4)
    y = (p.cumsum(1) < np.random.default_rng(2).uniform(size=(len(p), 1))).sum(1)
    assert metrics.expected_calibration_error(p, y) < 0.02
    flipped = p[:, ::-1]
    assert metrics.expected_calibration_error(flipped, y) > 0.3


@pytest.mark.parametrize("classes", [2, 3])
def test_brier_score_is_scikit_learns(classes):
    p = draw(3, 30, classes)
    y = np.random.default_rng(3).integers(0, classes, 30)
    expected = brier_score_loss(y, p, labels=range(classes), scale_by_half=False)
    np.testing.assert_allclose(metrics.brier_score(p, y), expected, rtol=1e-6)
    worst = jnp.array([[0.0, 1.0]])
    assert metrics.brier_score(worst, jnp.array([0])) == 2


CALIBRATION = {
    "ece": metrics.expected_calibration_error,
    "mce": metrics.maximum_calibration_error,
    "brier": metrics.brier_score,
}


@pytest.mark.parametrize("name", CALIBRATION)
def test_calibration_under_transformations(name):
    """jit of vmap with masks gives what the selected rows alone give; NaN may hide behind masks."""
    fn = CALIBRATION[name]
    p = np.stack([draw(s, 12, 3) for s in (4, 5)]).astype(np.float32)
    y = np.random.default_rng(6).integers(0, 3, (2, 12))
    mask = np.random.default_rng(7).uniform(size=(2, 12)) < 0.7
    p[~mask] = np.nan
    y[~mask] = 9
    together = jax.jit(jax.vmap(lambda p, y, m: fn(p, y, mask=m)))(p, y, mask)
    alone = [fn(p[i][mask[i]], y[i][mask[i]]) for i in range(2)]
    np.testing.assert_allclose(together, alone, rtol=1e-5)
    grad = jax.grad(lambda p: fn(p, y[0], mask=mask[0]))(jnp.asarray(p[0]))
    assert np.isfinite(grad).all() and (grad[mask[0]] != 0).any() and (grad[~mask[0]] == 0).all()


# -- dropout while predicting


def linear_with_dropout(rate):
    from jaxdl import layers

    def apply(w, x, *, key, train):
        return layers.dropout(x, rate, key=key, train=train) @ w

    return stateless(lambda key: jnp.array([1.0, -2.0, 0.5]), apply)


def test_dropout_of_a_linear_model_has_its_closed_form(x64):
    """m_d / (1 - r) has mean 1 and variance r / (1 - r): eta has w'x and sum_d (w_d x_d)^2 of it."""
    rate, samples = 0.3, 20_000
    model = linear_with_dropout(rate)
    params, state = model.init(None)
    x = jnp.array([[1.0, 1.0, 2.0], [0.0, 3.0, 0.0]])
    sample = jax.jit(
        lambda key: metrics.mc_dropout(model, params, state, x, key=key, samples=samples)
    )
    eta = sample(jax.random.key(0))
    assert eta.shape == (samples, 2)
    variance = rate / (1 - rate) * np.sum(np.square(params * x), axis=1)
    deviation = np.sqrt(variance / samples)
    assert (abs(eta.mean(0) - x @ params) < 4 * deviation).all()
    np.testing.assert_allclose(eta.var(0), variance, rtol=0.05)
    assert abs(np.corrcoef(eta.T)[0, 1]) < 0.03  # rows have their own masks


def test_dropout_without_a_rate_is_certain():
    x = jax.random.normal(jax.random.key(1), (5, 3))
    family = families.categorical(4)
    gains = {}
    for rate in (0.0, 0.5):
        net = models.mlp((3, 8, 4), dropout=rate)
        params, state = net.init(jax.random.key(0))
        eta = metrics.mc_dropout(net, params, state, x, key=jax.random.key(2), samples=6)
        gains[rate] = metrics.mutual_information(family.mean(eta))
        if rate == 0:
            expected = jnp.broadcast_to(net.apply(params, state, x)[0], eta.shape)
            np.testing.assert_allclose(eta, expected, rtol=1e-5, atol=1e-6)
    assert gains[0.0].max() < 1e-6 and gains[0.5].min() > 1e-4


def test_dropout_with_traced_rates_and_gradients():
    x = jnp.ones((1, 3))

    def spread(rate):
        model = linear_with_dropout(rate)
        w, state = model.init(None)
        return jnp.var(metrics.mc_dropout(model, w, state, x, key=jax.random.key(0), samples=50))

    spreads, slopes = jax.jit(jax.vmap(jax.value_and_grad(spread)))(jnp.array([0.0, 0.2, 0.5]))
    assert spreads[0] == 0 < spreads[1] < spreads[2] and np.isfinite(slopes).all()


def test_a_model_with_batch_statistics_is_refused():
    net = models.mlp((3, 4, 2), norm="batch", dropout=0.5)
    params, state = net.init(jax.random.key(0))
    with pytest.raises(ValueError, match="without a state"):
        metrics.mc_dropout(net, params, state, jnp.ones((2, 3)), key=jax.random.key(1), samples=2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.predictive_entropy(np.ones((3, 2))), r"\[J, N, K\], got \(3, 2\)"),
        (lambda: metrics.mutual_information(np.ones((0, 3, 2))), r"got \(0, 3, 2\)"),
        (lambda: metrics.brier_score(np.ones(3), np.ones(3, int)), r"\[N\], got \(3,\) and \(3,\)"),
        (lambda: metrics.brier_score(np.eye(2), np.ones((2, 1), int)), r"and \(2, 1\)"),
        (lambda: metrics.reliability(np.eye(2), np.ones(2)), "whole numbers"),
        (lambda: metrics.reliability(np.eye(2), np.array([0, 2])), r"lie in 0\.\.1"),
        (lambda: metrics.reliability(np.eye(2), np.array([0, 1]), num_bins=0), "num_bins must be"),
        (
            lambda: metrics.brier_score(np.eye(2), np.array([0, 1]), mask=np.ones(1)),
            r"mask must be \[2\]",
        ),
        (
            lambda: metrics.mc_dropout(
                linear_with_dropout(0.5), 1, {}, 1, key=jax.random.key(0), samples=0
            ),
            "samples must be a positive",
        ),
    ],
)
def test_wrong_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()
