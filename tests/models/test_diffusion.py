"""Diffusion against normal distributions, whose every step has a closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdl import generation, models, training
from jaxdl.base import stateless
from jaxdl.models import diffusion

M, C2 = 1.0, 4.0  # of the data's mean and variance
PAPER = diffusion.linear_schedule(1000)


def exact(schedule):
    """beta, abar, abar of the step before, in float64."""
    beta = np.asarray(schedule.beta, np.float64)
    bar = np.cumprod(1 - beta)
    return beta, bar, np.concatenate([[1], bar[:-1]])


def optimal(schedule):
    """E[x_0 | x_t] of data N(M, C2)."""

    def denoise(x, t):
        a, s = (v[:, None] for v in diffusion.scales(schedule, t))
        return M + a * C2 / (a * a * C2 + s * s) * (x - a * M)

    return denoise


def test_schedules_are_those_of_the_papers():
    beta, bar, _ = exact(PAPER)
    np.testing.assert_allclose(beta, np.linspace(1e-4, 0.02, 1000), rtol=1e-6)
    np.testing.assert_allclose(np.exp(PAPER.log_alpha_bar), bar, rtol=2e-5)
    np.testing.assert_allclose(bar[-1], 4.036e-5, rtol=1e-3)
    f = np.cos((np.arange(1001) / 1000 + 0.008) / 1.008 * np.pi / 2) ** 2
    cosine = diffusion.cosine_schedule(1000)
    np.testing.assert_allclose(cosine.beta, np.minimum(1 - f[1:] / f[:-1], 0.999), rtol=2e-6)
    np.testing.assert_allclose(np.exp(cosine.log_alpha_bar)[:-1], (f[1:] / f[0])[:-1], rtol=2e-5)
    # The square is of the whole cosine: unsquared it would be 0.703.
    np.testing.assert_allclose(np.exp(diffusion.cosine_schedule(4).log_alpha_bar[1]), 0.4938, atol=5e-5)  # fmt: skip


def test_one_jump_is_all_steps():
    """The mean and variance of x_t by the recursion x_t = sqrt(1 - beta) x + sqrt(beta) z."""
    beta, _, _ = exact(PAPER)
    mean, variance = 1.0, 0.0
    for t in range(1000):
        mean, variance = np.sqrt(1 - beta[t]) * mean, (1 - beta[t]) * variance + beta[t]
        if t in (0, 1, 99, 999):
            signal, noise = diffusion.scales(PAPER, jnp.array(t + 1))
            np.testing.assert_allclose([signal, noise**2], [mean, variance], rtol=2e-5)
    x = diffusion.diffuse(PAPER, jnp.full((1, 2), 3.0), jnp.array([100]), jnp.full((1, 2), -1.0))
    signal, noise = diffusion.scales(PAPER, 100)
    np.testing.assert_allclose(x, np.full((1, 2), 3 * signal - noise), rtol=1e-6)


def test_the_posterior_is_bayes():
    """A normal prior of x_{t-1} given x_0, and the likelihood of x_t given x_{t-1}."""
    beta, _, before = exact(PAPER)
    for t in (2, 10, 1000):
        b, x_t, x0 = beta[t - 1], 0.7, -1.3
        precision = 1 / (1 - before[t - 1]) + (1 - b) / b
        mean = (np.sqrt(before[t - 1]) * x0 / (1 - before[t - 1]) + np.sqrt(1 - b) * x_t / b) / precision  # fmt: skip
        ours = diffusion.posterior(PAPER, jnp.array([x_t]), jnp.array([x0]), jnp.array([t]))
        np.testing.assert_allclose(np.ravel(ours), [mean, 1 / precision], rtol=2e-4)
    first = diffusion.posterior(PAPER, jnp.array([5.0]), jnp.array([2.0]), jnp.array([1]))
    np.testing.assert_allclose(np.ravel(first), [2, 0], atol=1e-6)


@pytest.mark.parametrize("target", diffusion.TARGETS)
def test_targets_mean_the_same_x0(target, key):
    x0, noise = jax.random.normal(key, (2, 3, 4))
    t = jnp.array([1, 300, 700])
    x_t = diffusion.diffuse(PAPER, x0, t, noise)
    wanted = diffusion.regression_target(PAPER, x0, t, noise, target)
    found = diffusion.predicted_x0(PAPER, x_t, t, wanted, target)
    np.testing.assert_allclose(found, x0, rtol=1e-4, atol=1e-4)
    if target == "v":  # it is dx_t / dphi of x_t = cos(phi) x_0 + sin(phi) epsilon
        signal, sigma = (s[:, None] for s in diffusion.scales(PAPER, t))
        np.testing.assert_allclose(wanted, signal * noise - sigma * x0, rtol=1e-6)
    with pytest.raises(ValueError, match="target"):
        diffusion.predicted_x0(PAPER, x_t, t, wanted, "eps")


def test_the_prior_term_is_small_and_never_negative():
    """2.018e-5 nats at x_0 = 1: with another variance of q(x_T | x_0) it is not."""
    ours = training.prior_nats(PAPER, jnp.array([[1.0], [0.0], [-1.0]]))
    np.testing.assert_allclose(ours[jnp.array([0, 2])], 2.018e-5, rtol=1e-3)
    assert float(ours[1]) >= 0


def test_the_bound_of_the_best_network_has_its_closed_form():
    """E|x_0 - x0_hat|^2 = c^2 s^2 / (a^2 c^2 + s^2) in each step; the bound is above the entropy."""
    schedule = diffusion.linear_schedule(50)
    beta, bar, before = exact(schedule)
    error = C2 * (1 - bar) / (bar * C2 + 1 - bar)
    weight = 0.5 * before[1:] * beta[1:] / ((1 - before[1:]) * (1 - bar[1:]))
    expected = np.sum(weight * error[1:]) + 0.5 * (error[0] / beta[0] + np.log(2 * np.pi * beta[0]))
    expected += 0.5 * (bar[-1] * (C2 + M**2 - 1) - np.log1p(-bar[-1]))
    assert expected > 0.5 * np.log(2 * np.pi * np.e * C2)
    x0 = M + np.sqrt(C2) * jax.random.normal(jax.random.key(0), (4000, 1))
    bound = training.variational_bound(optimal(schedule), schedule, x0, jax.random.key(1))
    error = float(bound.std()) / np.sqrt(4000)
    assert float(bound.mean()) == pytest.approx(expected, abs=4 * error) and error < 0.1

    def apply(params, inputs, *, key, train):
        t = jnp.round(50 * inputs["time"]).astype(int)
        return optimal(schedule)(inputs["x"], t)

    objective = training.denoising(stateless(lambda key: {}, apply), schedule, target="x0")
    # Two dimensions that know nothing of each other: their sum has twice the nats, a dimension as many.
    pairs = x0.reshape(2000, 2)
    bits = objective.evaluate({}, {}, pairs, key=jax.random.key(2))["bound_bits_per_dim"]
    error = float(bits.std()) / np.sqrt(2000)
    assert float(bits.mean()) == pytest.approx(expected / np.log(2), abs=4 * error)


def network(said):
    """A network whose output is ``said(inputs)`` [N] in every dimension."""
    spread = lambda inputs: jnp.broadcast_to(said(inputs)[:, None], inputs["x"].shape)
    return stateless(lambda key: {}, lambda params, x, *, key, train: spread(x))


def test_the_loss_is_a_mean_over_rows_that_count():
    zero = training.denoising(network(lambda x: 0 * x["time"]), PAPER)
    x = jnp.array([[1.0, 2.0], [3.0, 4.0], [jnp.nan, 0.0]])
    mask = jnp.array([True, True, False])
    loss, (_, metrics) = zero.loss({}, {}, x, key=jax.random.key(0), mask=mask)
    same = zero.loss({}, {}, x.at[2].set(0), key=jax.random.key(0), mask=mask)[0]
    assert float(loss) == float(same) == float(metrics["mse"])
    noise = zero.evaluate({}, {}, jnp.zeros((5000, 2)), key=jax.random.key(1))["mse"]
    np.testing.assert_allclose(
        noise.mean(), 1, atol=0.05
    )  # of epsilon, a mean over both dimensions
    with pytest.raises(ValueError, match="needs a key"):
        zero.loss({}, {}, x)


def test_times_are_all_steps_and_labels_are_dropped_while_training():
    seen = training.denoising(
        network(lambda x: x["time"]), diffusion.linear_schedule(4), target="x0"
    )
    mse = seen.evaluate({}, {}, jnp.zeros((400, 1)), key=jax.random.key(0))["mse"]
    assert set(np.sqrt(mse).round(4).tolist()) == {0.25, 0.5, 0.75, 1.0}
    label = network(lambda x: x["label"].astype(float))
    for rate, train, squares in ((1.0, True, 49), (0.0, True, 4), (1.0, False, 4)):
        objective = training.denoising(label, PAPER, target="x0", num_classes=7, drop_label=rate)
        batch = (jnp.zeros((5, 1)), jnp.full(5, 2))
        loss = objective.loss({}, {}, batch, key=jax.random.key(0), train=train)[0]
        assert float(loss) == squares


def test_guidance_is_w_and_not_one_plus_w():
    said = network(lambda x: jnp.where(x["label"] == 3, 1.0, 2.0))  # 3 is no label
    for w, expected in ((3.0, 5.0), (0.0, 2.0), (-1.0, 1.0)):
        denoise = generation.denoiser(
            said, PAPER, {}, {}, target="x0", label=jnp.array([0, 1]), num_classes=3, guidance=w
        )
        assert denoise(jnp.zeros((2, 1)), jnp.array([5, 5])).tolist() == [[expected]] * 2
    with pytest.raises(ValueError, match="num_classes"):
        generation.denoiser(said, PAPER, {}, {}, label=jnp.array([0]))


def moments(schedule, pairs, eta):
    """Mean and variance of x_0 by the linear recursion of the sampler's steps (t, s), in float64."""
    _, bar, _ = exact(schedule)
    bar = np.concatenate([[1], bar])
    mean, variance = 0.0, 1.0
    for t, s in pairs:
        a, n = np.sqrt(bar[t]), 1 - bar[t]
        gain = a * C2 / (a * a * C2 + n)  # x0_hat = M + gain (x - a M)
        sigma2 = eta**2 * (1 - bar[s]) / n * (1 - bar[t] / bar[s])
        kept = np.sqrt(1 - bar[s] - sigma2)
        of_x = np.sqrt(bar[s]) * gain + kept * (1 - a * gain) / np.sqrt(n)
        of_m = (np.sqrt(bar[s]) - kept * a / np.sqrt(n)) * (1 - gain * a) * M
        mean, variance = of_x * mean + of_m, of_x**2 * variance + sigma2
    return mean, variance


@pytest.mark.parametrize("sampler", ["ddpm", "ddim", "ddim with noise"])
def test_samples_have_the_moments_of_the_chain_and_nearly_of_the_data(sampler):
    schedule, n = diffusion.linear_schedule(100), 20_000
    steps = 100 if sampler == "ddpm" else 20
    visited = generation.ddim_steps(100, steps)
    pairs = list(zip(visited, [*visited[1:], 0], strict=True))
    mean, variance = moments(schedule, pairs, 0 if sampler == "ddim" else 1)
    if sampler == "ddpm":
        x = generation.ddpm_sample(jax.random.key(0), optimal(schedule), schedule, (n, 1))
    else:
        eta = 0.0 if sampler == "ddim" else 1.0
        x = generation.ddim_sample(
            jax.random.key(0), optimal(schedule), schedule, (n, 1), steps=20, eta=eta
        )
    assert float(x.mean()) == pytest.approx(mean, abs=4 * np.sqrt(variance / n))
    assert float(x.var()) == pytest.approx(variance, rel=4 * np.sqrt(2 / n))
    if sampler != "ddim with noise":  # noise for 20 long steps is too little: the variance is 2.97
        assert mean == pytest.approx(M, abs=0.05) and variance == pytest.approx(C2, rel=0.15)


def test_the_path_of_ddim_from_a_given_start():
    """x_s = sqrt(abar_s) x0_hat + sqrt(1 - abar_s) (x_t - sqrt(abar_t) x0_hat) / sqrt(1 - abar_t)."""
    schedule = diffusion.linear_schedule(100)
    how = {"steps": 3, "start": jnp.array([[2.0], [-1.0]])}
    asked = []
    denoise = lambda x, t: (asked.append(t.shape), optimal(schedule)(x, t))[1]
    path = generation.ddim_path(jax.random.key(0), denoise, schedule, (2, 1), **how)
    assert set(asked) == {(2,)}  # each sample has its own t
    x = np.array([[2.0], [-1.0]])
    bar = np.concatenate([[1], exact(schedule)[1]])
    by_hand = [x]
    for t, s in ((100, 50), (50, 1), (1, 0)):
        a, n = np.sqrt(bar[t]), 1 - bar[t]
        x0 = M + a * C2 / (a * a * C2 + n) * (x - a * M)
        x = np.sqrt(bar[s]) * x0 + np.sqrt(1 - bar[s]) * (x - a * x0) / np.sqrt(n)
        by_hand.append(x)
    np.testing.assert_allclose(path, by_hand, rtol=1e-4, atol=1e-5)
    last = generation.ddim_sample(jax.random.key(1), optimal(schedule), schedule, (2, 1), **how)
    np.testing.assert_allclose(last, by_hand[-1], rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match=r"x_T must be \[3, 1\]"):
        generation.ddim_sample(jax.random.key(1), optimal(schedule), schedule, (3, 1), **how)


def test_steps_of_ddim():
    """From 1000 in ten steps the one before is 889 (of 999: 888), not 900; one step ends at T."""
    assert generation.ddim_steps(1000, 10).tolist()[:3] == [1000, 889, 778]
    assert generation.ddim_steps(5, 5).tolist() == [5, 4, 3, 2, 1]
    assert generation.ddim_steps(7, 1).tolist() == [7]
    with pytest.raises(ValueError, match="6 steps do not fit into 5"):
        generation.ddim_steps(5, 6)


def test_a_network_learns_the_score_of_a_normal_distribution():
    """epsilon_hat = sqrt(1 - abar) (x - a M) / (a^2 C2 + 1 - abar) is the best answer."""
    schedule = diffusion.linear_schedule(20)
    model = models.time_mlp(1, (32,), time_features=8)
    learner = training.gradient_learner(
        model, training.denoising(model, schedule), optax.adam(optax.linear_schedule(0.02, 0, 1500))
    )
    x = M + np.sqrt(C2) * jax.random.normal(jax.random.key(0), (2048, 1))
    state = training.fit(learner, x, key=jax.random.key(1), steps=1500, batch_size=256).state
    t = jnp.array([2, 10, 20] * 3)
    a, s = (v[:, None] for v in diffusion.scales(schedule, t))
    spread = jnp.sqrt(a * a * C2 + s * s)
    noisy = a * M + spread * jnp.repeat(jnp.array([-1.0, 0.0, 1.0]), 3)[:, None]
    best = s * (noisy - a * M) / (a * a * C2 + s * s)
    found, _ = model.apply(state.params, {}, {"x": noisy, "time": t / 20})
    np.testing.assert_allclose(found, best, atol=0.12)


def test_a_network_reads_time_and_label(key):
    model = models.time_mlp(2, (8,), num_classes=3)
    params, _ = model.init(key)
    x = {"x": jnp.ones((2, 2)), "time": jnp.array([0.1, 0.1]), "label": jnp.array([0, 3])}
    apply = lambda **changes: model.apply(params, {}, {**x, **changes})[0]
    assert abs(apply() - apply(time=jnp.array([0.9, 0.1])))[0].max() > 1e-3
    assert abs(apply()[0] - apply()[1]).max() > 1e-3
    with pytest.raises(ValueError, match=r"expects x \[..., 2\], got \[2, 3\]"):
        apply(x=jnp.ones((2, 3)))
