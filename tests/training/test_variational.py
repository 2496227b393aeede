"""Objectives of VAEs: their loss by hand, annealing, and studies that choose among VAEs."""

import jax
import jax.numpy as jnp
import linear_gaussian as lg
import numpy as np
import optax
import pytest

from jaxdl import families, models, training
from jaxdl.model_selection import cross_validate
from jaxdl.models import vae

X = np.random.default_rng(0).normal(size=(60, 2)) @ lg.W.T + lg.B
X = (X + lg.S * np.random.default_rng(1).normal(size=X.shape)).astype(np.float32)


def network(width=2, **more):
    return models.VAE(
        models.standard_normal(width),
        models.mlp((4, 2 * width), **more),
        models.mlp((width, 4)),
        families.normal(lg.S),
    )


NET = network()
ELBO = jax.jit(vae.elbo, static_argnums=1, static_argnames="samples")


def start(net, seed=0):
    return jax.jit(vae.as_model(net).init)(jax.random.key(seed))


def of(objective, what="loss", **how):
    """The objective's loss or scores of X, compiled: ``(params, state, x, key)``."""
    call = getattr(objective, what)
    return jax.jit(lambda params, state, x, key: call(params, state, x, key=key, **how))


@pytest.mark.equation(51)
def test_the_loss_is_minus_the_mean_bound():
    """Of the rows that count; a bound that is maximised as it stands has no minimum (D-86)."""
    net = NET
    params, state = start(net)
    mask = np.arange(60) % 3 > 0
    loss = jax.jit(
        lambda key, beta, mask=None: training.negative_elbo(net, samples=2, kl_weight=beta).loss(
            params, state, X, key=key, train=True, mask=mask
        )
    )
    bound = ELBO(jax.random.key(1), net, params, state, X, samples=2)
    value, (new, metrics) = loss(jax.random.key(1), 1.0)
    np.testing.assert_allclose(value, -bound.value.mean(), rtol=1e-5)
    np.testing.assert_allclose(metrics["kl"], bound.kl.mean(), rtol=1e-5)
    assert new["step"] == 1
    value, _ = loss(jax.random.key(1), 0.3, mask)
    expected = (0.3 * bound.kl - bound.reconstruction)[mask].mean()
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    penalised = training.negative_elbo(net, penalty=0.1, samples=2)
    more, _ = of(penalised)(params, state, X, jax.random.key(1))
    weights = [layer["dense_0"]["kernel"] for layer in params.values()]
    np.testing.assert_allclose(
        more, -bound.value.mean() + 0.1 * sum(jnp.sum(w**2) for w in weights), rtol=1e-5
    )
    with pytest.raises(ValueError, match="a key is needed"):
        penalised.loss(params, state, X)


def test_the_weight_of_the_divergence_is_annealed_by_the_step():
    net = network()
    ramp = lambda step: jnp.minimum(step / 4, 1.0)
    objective = training.negative_elbo(net, kl_weight=ramp)
    learner = training.gradient_learner(vae.as_model(net), objective, optax.sgd(0.0))
    ts, step = jax.jit(learner.init)(jax.random.key(0)), jax.jit(learner.step)
    for count in range(6):
        ts, info = step(ts, X)
        beta = min(count / 4, 1.0)
        np.testing.assert_allclose(
            info["loss"], info["reconstruction_nll"] + beta * info["kl"], rtol=1e-5
        )
    assert ts.state["step"] == 6
    scores = jax.jit(learner.evaluate)(ts, X)
    np.testing.assert_allclose(  # scores are of the bound itself
        scores["negative_elbo"], scores["reconstruction_nll"] + scores["kl"], rtol=1e-5
    )


def test_scores_are_per_row_and_in_bits(x64):
    net, params = lg.vae(), lg.posterior_params(shift=0.4, log_scale=0.2)
    objective = training.negative_elbo(net, eval_samples=64, bin_width=0.25)
    scores = of(objective, "evaluate")(params, {}, lg.X, jax.random.key(0))
    assert {v.shape for v in scores.values()} == {(3,)}
    log_p = lg.exact().log_p
    np.testing.assert_allclose(scores["nll"], -log_p, atol=0.3)
    assert np.all(scores["negative_elbo"].mean() > -log_p.mean())
    expected = scores["nll"] / 4 / np.log(2) + 2  # a bin of 1/4: two bits a value
    np.testing.assert_allclose(scores["bits_per_dim"], expected, rtol=1e-12)
    np.testing.assert_allclose(
        objective.predict(params, {}, lg.X), vae.reconstruct(net, params, {}, lg.X), rtol=1e-12
    )


def test_a_vae_reaches_the_likelihood_of_factor_analysis():
    net = network()
    objective = training.negative_elbo(net, samples=4, eval_samples=32)
    learner = training.gradient_learner(vae.as_model(net), objective, optax.adam(0.03))
    result = training.fit(
        learner, X, key=jax.random.key(0), epochs=400, validation=X, evaluate_every=400
    )
    w = np.asarray(result.state.params["decoder"]["dense_0"]["kernel"], float).T
    covariance = np.cov(X.T.astype(float), bias=True)
    values, vectors = np.linalg.eigh(covariance)
    scale = np.sqrt(np.maximum(values[2:] - lg.S**2, 0))  # of probabilistic PCA
    best = vectors[:, 2:] * scale
    nll = lambda w: (
        (
            np.linalg.slogdet(w @ w.T + lg.S**2 * np.eye(4))[1]
            + np.trace(np.linalg.solve(w @ w.T + lg.S**2 * np.eye(4), covariance))
        )
        / 2
        + 2 * np.log(2 * np.pi)
    )
    assert 0 <= nll(w) - nll(best) < 0.05
    found = result.history.validation
    np.testing.assert_allclose(found["nll"][-1], nll(w), atol=0.03)
    assert nll(best) - 0.02 < found["nll"][-1] <= found["negative_elbo"][-1] + 0.02


def test_the_importance_weighted_objective(key):
    net = network()
    params, state = start(net)
    objective = training.negative_iwae(net, samples=5)
    loss, (new, _) = of(objective, train=True)(params, state, X, jax.random.key(3))
    bound = jax.jit(lambda key: vae.iwae(key, net, params, state, X, samples=5))(jax.random.key(3))
    np.testing.assert_allclose(loss, -bound.mean(), rtol=1e-5)
    assert new["step"] == 1
    scores = jax.eval_shape(of(objective, "evaluate"), params, state, X, key)
    assert set(scores) == {"negative_elbo", "reconstruction_nll", "kl", "nll", "bits_per_dim"}


def test_batch_statistics_are_those_of_the_rows_that_count():
    """Of both networks; the decoder's, over all draws."""
    net = models.VAE(
        models.standard_normal(1), models.mlp((4, 3, 2), norm="batch"),
        models.mlp((1, 3, 4), norm="batch"), families.normal(),
    )  # fmt: skip
    params, state = start(net)
    mask = np.arange(60) < 40
    poisoned = np.where(mask[:, None], X, np.nan).astype(np.float32)
    objective = training.negative_elbo(net, samples=2)
    run = jax.jit(
        lambda x, mask: jax.value_and_grad(
            lambda p: objective.loss(p, state, x, key=jax.random.key(4), train=True, mask=mask),
            has_aux=True,
        )(params)
    )
    (loss, (new, _)), gradient = run(poisoned, mask)
    (again, (same, _)), other = run(X, mask)
    assert np.isfinite(loss) and loss == again
    jax.tree.map(np.testing.assert_array_equal, (new, gradient), (same, other))
    hidden = X[:40] @ params["encoder"]["dense_0"]["kernel"]
    np.testing.assert_allclose(
        new["encoder"]["norm_0"]["mean"], 0.1 * hidden.mean(0), rtol=1e-3, atol=1e-5
    )
    assert jax.tree.structure(new) == jax.tree.structure(state)


def test_dropout_needs_no_more_than_the_one_key():
    net = network(dropout=0.0)
    dropping = models.VAE(
        net.prior, models.mlp((4, 8, 4), dropout=0.5), models.mlp((2, 8, 4), dropout=0.5),
        net.family,
    )  # fmt: skip
    params, state = start(dropping)
    objective = training.negative_elbo(dropping)
    run = of(objective, train=True)
    loss = lambda k: run(params, state, X, jax.random.key(k))[0]
    assert np.isfinite(loss(1)) and abs(loss(1) - loss(2)) > 1e-4


@pytest.mark.slow
def test_width_and_weight_are_chosen_by_cross_validation():
    """One program for each width: the settings' weights are traced."""

    def make_learner(h):
        net = network(h["width"])
        objective = training.negative_elbo(net, kl_weight=h["beta"], eval_samples=8)
        return training.gradient_learner(vae.as_model(net), objective, optax.adam(0.05))

    grid = {"width": [1, 2], "beta": [1.0, 30.0]}
    study = cross_validate(
        make_learner, grid, X, key=jax.random.key(0), folds=3, epochs=150, metric="bits_per_dim"
    )
    assert study.best().hparams == {"width": 2, "beta": 1.0}
    nll = study.scores["nll"].mean((1, 2))
    assert {tuple(h.values()) for h in study.hparams} == {(1, 1.0), (1, 30.0), (2, 1.0), (2, 30.0)}
    np.testing.assert_allclose(
        study.scores["bits_per_dim"].mean((1, 2)), nll / (4 * np.log(2)), rtol=1e-4
    )
