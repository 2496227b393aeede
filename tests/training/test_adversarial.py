"""GANs: criteria by hand and at their optima, the two players' gradients, and a game that ends well."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.integrate
import scipy.optimize
import scipy.stats

from jaxdl import models, training
from jaxdl.base import stateless
from jaxdl.training.adversarial_criteria import CRITERIA, find_criterion, gradient_penalty


def test_conjugates_are_of_the_activations_by_hand():
    """f*(g(1.3)): softplus(v) - log 2, e^v - 1, tanh(v) / 2; and what the discriminator is told."""
    for name, expected in (
        ("jensen_shannon", 0.8479), ("hellinger", 2.6693), ("total_variation", 0.4309),
    ):  # fmt: skip
        rule = find_criterion(name)
        np.testing.assert_allclose(rule.fake(jnp.array(1.3)), expected, atol=1e-4)
        np.testing.assert_allclose(rule.generator(jnp.array(1.3)), -expected, atol=1e-4)


DIVERGENCES = {  # f(u) of D_f(P | Q) = int q f(p / q)
    "kl": lambda u: u * np.log(u),
    "reverse_kl": lambda u: -np.log(u),
    "pearson": lambda u: (u - 1) ** 2,
    "jensen_shannon": lambda u: u * np.log(u) - (u + 1) * np.log((u + 1) / 2),
    "hellinger": lambda u: (np.sqrt(u) - 1) ** 2,
    "total_variation": lambda u: abs(u - 1) / 2,
}


@pytest.mark.parametrize("name", DIVERGENCES)
def test_the_best_discriminator_attains_the_divergence(name, x64):
    """Of three points, score by score: max E_P[g(s)] - E_Q[f*(g(s))] = D_f(P | Q)."""
    p, q = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.3, 0.5])
    rule = CRITERIA[name]
    value = 0.0
    for a, b in zip(p, q, strict=True):
        loss = lambda s, a=a, b=b: float(a * rule.real(s) + b * rule.fake(s))
        value -= scipy.optimize.minimize_scalar(loss, bounds=(-20, 20), method="bounded").fun
    assert value == pytest.approx(np.sum(q * DIVERGENCES[name](p / q)), abs=1e-5)


@pytest.mark.parametrize("name", ["minimax", "non_saturating", "brier"])
def test_scoring_rules_are_proper(name, x64):
    """Where data are three times as likely as samples, the best score is log 3."""
    rule = CRITERIA[name]
    loss = lambda s: float(0.75 * rule.real(s) + 0.25 * rule.fake(s))
    best = scipy.optimize.minimize_scalar(loss, bounds=(-5, 5), method="bounded")
    assert best.x == pytest.approx(np.log(3), abs=1e-4)
    half = rule.real(jnp.zeros(())) + rule.fake(jnp.zeros(()))
    assert float(half) == pytest.approx(0.5 if name == "brier" else np.log(4))


def test_extreme_scores_stay_finite():
    for name in ("minimax", "non_saturating", "brier", "hinge", "jensen_shannon"):
        for part in CRITERIA[name]:
            value, slope = jax.vmap(jax.value_and_grad(part))(jnp.array([-1e4, 0.0, 1e4]))
            assert np.isfinite(value).all() and np.isfinite(slope).all(), name


def test_the_penalty_is_of_all_axes_and_has_a_gradient_at_zero():
    """The gradient of a sum over 1 x 4 x 4 has the norm 4, penalty 9; that of a mean 1/4."""
    x = jnp.zeros((2, 1, 4, 4))
    assert gradient_penalty(lambda x: x.sum((1, 2, 3)), x).tolist() == [9, 9]
    assert gradient_penalty(lambda x: x.sum((1, 2, 3)) / 4, x).tolist() == [0, 0]
    of_weight = jax.grad(lambda w: gradient_penalty(lambda x: w * x.sum((1, 2, 3)), x).sum())
    assert of_weight(jnp.array(0.0)).tolist() == 0


def linear(name):
    """x -> w x + b, or for the discriminator x -> w x."""
    init = lambda key: {"w": jnp.array(0.5), **({"b": jnp.array(0.0)} if name == "g" else {})}
    return stateless(init, lambda p, x, *, key, train: p["w"] * x + p.get("b", 0.0))


def test_each_player_moves_by_its_own_gradient():
    """By hand, for linear players and the Wasserstein criterion; the generator's goes through D."""
    make = lambda g, d, **how: training.adversarial_learner(
        linear("g"),
        linear("d"),
        optax.sgd(g),
        optax.sgd(d),
        latent=1,
        criterion="wasserstein",
        **how,
    )
    x = jnp.array([[1.0], [3.0]])
    start = make(0.0, 0.0).init(jax.random.key(0))
    only_d, info = make(0.0, 0.1).step(start, x)
    assert only_d.params["generator"] == start.params["generator"]
    # D' = mean fake - mean data, so w_d = 0.5 - 0.1 (mean fake - 2), and its loss is 0.5 (mean fake - 2).
    fake_less_data = float(info["discriminator_loss"]) / 0.5
    assert float(only_d.params["discriminator"]["w"]) == pytest.approx(0.5 - 0.1 * fake_less_data)
    only_g, info = make(0.1, 0.0).step(start, x)
    assert only_g.params["discriminator"] == start.params["discriminator"]
    # d/db of -mean w_d (w z + b) is -w_d, and d/dw is -w_d mean z with loss = -w_d w mean z.
    assert float(only_g.params["generator"]["b"]) == pytest.approx(0.1 * 0.5)
    mean_z = float(info["loss"]) / (-0.5 * 0.5)
    assert float(only_g.params["generator"]["w"]) == pytest.approx(
        0.5 + 0.1 * 0.5 * mean_z, rel=1e-5
    )
    twice, _ = make(0.0, 0.1, discriminator_steps=2).step(start, x)
    assert float(twice.params["discriminator"]["w"]) != float(only_d.params["discriminator"]["w"])


def test_rows_that_do_not_count_and_settings_that_are_traced():
    def learner(penalty):
        return training.adversarial_learner(
            models.mlp((1, 4, 2)), models.mlp((2, 4, 1)), optax.adam(0.01), optax.adam(0.01),
            latent=1, penalty=penalty,
        )  # fmt: skip

    x = jax.random.normal(jax.random.key(0), (4, 2))
    mask = jnp.array([True, True, True, False])

    def run(penalty, x):
        one = learner(penalty)
        return one.step(one.init(jax.random.key(1)), x, mask=mask)[0].params

    clean = run(1.0, x)
    spoilt = run(1.0, x.at[3].set(jnp.nan))
    together = jax.vmap(run, (0, None))(jnp.array([0.0, 1.0]), x)
    for a, b, c in zip(*map(jax.tree.leaves, (clean, spoilt, together)), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-6)
        np.testing.assert_allclose(c[1], a, rtol=2e-5, atol=1e-6)
    zero = run(0.0, x)
    for a, c in zip(jax.tree.leaves(zero), jax.tree.leaves(together), strict=True):
        np.testing.assert_allclose(c[0], a, rtol=2e-5, atol=1e-6)


def test_energy_scores_rank_samplers_by_their_distribution():
    """At N(0, 1) data: E|x - s| - E|s - s'| / 2 is 2 / sqrt(pi) / 2 for the right sampler."""
    x = jax.random.normal(jax.random.key(5), (400, 1))

    def score(w, b):
        one = training.adversarial_learner(
            linear("g"), linear("d"), optax.sgd(0.0), optax.sgd(0.0), latent=1
        )
        ts = one.init(jax.random.key(0))
        ts.params["generator"] = {"w": jnp.array(w), "b": jnp.array(b)}
        values = one.evaluate(ts, x)
        assert values["energy_score"].shape == values["score"].shape == (400,)
        return float(values["energy_score"].mean())

    right = score(1.0, 0.0)
    assert right == pytest.approx(1 / np.sqrt(np.pi), abs=0.06)
    assert right < min(score(0.3, 0.0), score(3.0, 0.0), score(1.0, 1.5))


def test_a_game_finds_a_normal_distribution():
    """z -> w z + b against features x and x^2, which tell N(m, s^2) from N(2, 0.5^2)."""
    data = 2 + 0.5 * jax.random.normal(jax.random.key(0), (2000, 1))

    def score(p, x, *, key, train):
        return (jnp.concatenate([x, x**2], axis=1) @ p["kernel"] + p["bias"])[:, None]

    judge = stateless(lambda key: {"kernel": jnp.zeros(2), "bias": jnp.zeros(())}, score)
    learner = training.adversarial_learner(
        linear("g"), judge, optax.adam(0.01), optax.adam(0.03, b1=0.5), latent=1,
        discriminator_steps=3,
    )  # fmt: skip
    state = training.fit(learner, data, key=jax.random.key(1), steps=2500, batch_size=250).state
    found = state.params["generator"]
    assert float(found["b"]) == pytest.approx(2, abs=0.15)
    assert abs(float(found["w"])) == pytest.approx(0.5, abs=0.15)


def test_labels_reach_both_players():
    seen = []

    def see(name, out):
        def apply(params, x, *, key, train):
            seen.append((name, tuple(sorted(x))))
            return params["w"] * jnp.ones((len(x["condition"]), out))

        return stateless(lambda key: {"w": jnp.ones(())}, apply)

    learner = training.adversarial_learner(
        see("g", 2), see("d", 1), optax.sgd(0.1), optax.sgd(0.1), latent=3
    )
    learner.step(learner.init(jax.random.key(0)), (jnp.ones((4, 2)), jnp.arange(4)))
    assert set(seen) == {("g", ("condition", "x")), ("d", ("condition", "x"))}


def test_names_that_are_refused():
    with pytest.raises(ValueError, match="did you mean 'hinge'"):
        find_criterion("hings")
