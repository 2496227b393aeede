"""Densities of flows against scipy; actnorm and composition by hand; the objective end to end."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.stats

from jaxdl import flows, model_selection, training

X = np.random.default_rng(0).normal(size=(6, 2)) * [1.0, 3.0] + [2.0, -1.0]


def line(slope):
    return {"shift": jnp.zeros(1), "log_scale": jnp.log(jnp.full(1, slope))}


def test_the_log_determinant_of_doubling_is_plus_log_two():
    """A sign lost in a composition (VincentStimper/normalizing-flows #27)."""
    both = flows.chain(flows.affine(1), flows.invert(flows.affine(1)))
    params = [line(4.0), line(2.0)]
    x, log_det = both.forward(params, jnp.array([[3.0]]))
    np.testing.assert_allclose(x, [[6.0]], rtol=1e-6)
    np.testing.assert_allclose(log_det, [np.log(2)], rtol=1e-6)
    z, back = both.inverse(params, x)
    np.testing.assert_allclose([z[0, 0], back[0]], [3.0, -np.log(2)], rtol=1e-6)


def test_a_chain_reads_from_left_to_right():
    first, then = {"shift": jnp.ones(1), "log_scale": jnp.zeros(1)}, line(2.0)
    both = flows.chain(flows.affine(1), flows.affine(1))
    assert both.forward([first, then], jnp.array([3.0]))[0].tolist() == [8.0]
    with pytest.raises(ValueError, match="at least one bijector"):
        flows.chain()


def test_repeated_maps_are_a_chain_of_them():
    data = jnp.asarray(X, jnp.float32)
    again, chained = flows.repeat(flows.actnorm(2), 2), flows.chain(*[flows.actnorm(2)] * 2)
    params = jax.tree.map(lambda a: jnp.stack([a + 0.3, a - 0.5]), flows.actnorm(2).init(None))
    listed = [jax.tree.map(lambda a, i=i: a[i], params) for i in range(2)]
    for there, then in ((again.forward, chained.forward), (again.inverse, chained.inverse)):
        for a, b in zip(there(params, data), then(listed, data), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5)
    started = again.init(jax.random.key(0), data)
    # The last map standardises the data, so that those before it find nothing to do.
    np.testing.assert_allclose(started["shift"][1], X.mean(0), rtol=1e-5)
    np.testing.assert_allclose(started["log_scale"][0], 0, atol=1e-5)


def test_data_of_another_precision_than_the_parameters(x64):
    """float32 data, while JAX's own numbers are of 64 bits."""
    again = flows.repeat(flows.actnorm(2), 2)
    started = again.init(jax.random.key(0), jnp.asarray(X, jnp.float32))
    assert started["shift"].dtype == jnp.float64
    np.testing.assert_allclose(started["shift"][1], X.mean(0), rtol=1e-5)


def test_a_base_of_any_family_against_scipy():
    """Heavy tails: 55 deviations off cost 20 nats, where a normal base asks for 1513."""
    from jaxdl import families

    base = flows.base_density(families.student_t(4.0, 2.0), jnp.array([1.0, -1.0]))
    z = np.array([[1.5, 0.0], [111.0, -1.0]])
    expected = scipy.stats.t(4, loc=[1, -1], scale=2).logpdf(z).sum(1)
    np.testing.assert_allclose(base.log_prob({}, jnp.asarray(z, jnp.float32)), expected, rtol=1e-5)
    drawn = np.asarray(base.sample(jax.random.key(0), {}, 4000))
    for i, mean in enumerate((1, -1)):
        assert (
            scipy.stats.kstest(drawn[:, i], scipy.stats.t(4, loc=mean, scale=2).cdf).pvalue > 0.01
        )
    with pytest.raises(ValueError, match="expected an array"):
        base.log_prob({}, jnp.zeros((3, 3)))
    double = flows.flow(flows.affine(2), base)
    params = double.init(jax.random.key(0))
    np.testing.assert_allclose(double.log_prob(params, jnp.asarray(z)), expected, rtol=1e-5)


def test_actnorm_starts_from_means_and_deviations():
    """Channels (0, 2) and (0, 20) of a batch of two (pclucas14/pytorch-glow #1)."""
    data = jnp.array([[0.0, 0.0], [2.0, 20.0]])
    norm = flows.actnorm(2)
    z, log_det = norm.inverse(norm.init(jax.random.key(0), data), data)
    np.testing.assert_allclose(z.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(z.var(0), 1, rtol=1e-5)
    np.testing.assert_allclose(log_det, np.full(2, -2.302585), rtol=1e-5)


def test_actnorm_of_images_counts_examples_and_positions():
    images = np.random.default_rng(1).normal(3, 2, size=(5, 2, 4, 3)).astype(np.float32)
    norm = flows.actnorm(3, event_ndims=3)
    params = norm.init(jax.random.key(0), images)
    z, log_det = norm.inverse(params, images)
    np.testing.assert_allclose(z.mean((0, 1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(z.var((0, 1, 2)), 1, rtol=1e-5)
    expected = -8 * np.log(images.std((0, 1, 2), dtype=np.float64)).sum()
    np.testing.assert_allclose(log_det, np.full(5, expected), rtol=1e-5)


def test_a_constant_channel_keeps_its_scale():
    data = jnp.stack([jnp.full(3, 1234.567), jnp.arange(3.0) * 1e-15], axis=1)
    params = flows.actnorm(2).init(jax.random.key(0), data)
    z, _ = flows.actnorm(2).inverse(params, data)
    np.testing.assert_allclose(z[:, 0], 0, atol=1e-3)
    np.testing.assert_allclose(params["log_scale"][0], 0)
    np.testing.assert_allclose(z[:, 1].var(), 1, rtol=1e-4)


def test_a_chain_starts_from_data_at_the_end_where_they_are():
    data = jnp.asarray(X, jnp.float32)
    both = flows.chain(flows.actnorm(2), flows.reverse(2), flows.actnorm(2))
    params = both.init(jax.random.key(0), data)
    np.testing.assert_allclose(params[2]["shift"], X.mean(0), rtol=1e-5)
    np.testing.assert_allclose(params[0]["log_scale"], 0, atol=1e-5)
    model = flows.density_model(flows.flow(both, flows.standard_normal(2)), data)
    started = model.init(jax.random.key(0))[0]["bijector"]
    np.testing.assert_allclose(started[2]["shift"], X.mean(0), rtol=1e-5)


def test_an_affine_flow_of_a_normal_is_scipys(x64):
    """D-87: the density needs the absolute value of the determinant."""
    scaled = flows.flow(flows.affine(2), flows.standard_normal(2))
    params = scaled.init(jax.random.key(0))
    params["bijector"] = {
        "shift": jnp.array([2.0, -1.0]),
        "log_scale": jnp.log(jnp.array([0.5, 3])),
    }
    expected = scipy.stats.multivariate_normal([2, -1], np.diag([0.25, 9.0])).logpdf(X)
    np.testing.assert_allclose(scaled.log_prob(params, X), expected, rtol=1e-12)
    draws = scaled.sample(jax.random.key(1), params, 4000)
    assert scipy.stats.kstest(draws[:, 1], "norm", (-1, 3)).pvalue > 1e-3
    assert abs(np.corrcoef(draws.T)[0, 1]) < 0.05


def test_a_flow_may_be_the_base_of_another(x64):
    inner = flows.flow(flows.affine(1), flows.standard_normal(1))
    outer = flows.flow(flows.affine(1), inner)
    params = outer.init(jax.random.key(0))
    params["bijector"], params["base"]["bijector"] = line(2.0), line(3.0)
    x = np.array([[1.5], [-7.0]])
    expected = scipy.stats.norm(0, 6).logpdf(x[:, 0])
    np.testing.assert_allclose(outer.log_prob(params, x), expected, rtol=1e-12)


def test_logit_gives_the_standard_logistic(x64):
    """The normal's density through the sigmoid is scipy's, and a margin is counted in both ways."""
    to_unit = flows.logit()
    squashed = flows.flow(to_unit, flows.standard_normal(1))
    x = np.array([[0.1], [0.5], [0.999]])
    density = lambda x: scipy.stats.norm.pdf(np.log(x / (1 - x))) / (x * (1 - x))
    params = squashed.init(jax.random.key(0))
    np.testing.assert_allclose(np.exp(squashed.log_prob(params, x)), density(x[:, 0]), rtol=1e-10)
    for ends in (flows.logit(margin=1e-5), flows.logit(margin=jnp.asarray(0.05))):
        pixels = jnp.concatenate([jnp.zeros(392), jnp.ones(392)])  # 784, as of an image
        z, log_det = ends.inverse({}, pixels)
        back, log_det_back = ends.forward({}, z)
        assert np.isfinite(z).all()
        np.testing.assert_allclose(back, pixels, atol=1e-12)
        # uvadlc_notebooks #57: without the margin in one of them 784 log(1 - 1e-5) are left.
        np.testing.assert_allclose(log_det + log_det_back, 0, atol=1e-9)


def test_wrong_events_are_refused():
    for bad in (jnp.ones(3), jnp.ones((4, 1)), jnp.ones(())):
        with pytest.raises(ValueError, match=r"expected an array \[\.\.\., 2\]"):
            flows.affine(2).forward(flows.affine(2).init(None), bad)
        with pytest.raises(ValueError, match="the last of length 2"):
            flows.actnorm(2).inverse(flows.actnorm(2).init(None), bad)
    with pytest.raises(ValueError, match=r"each of 0, \.\.\., D - 1 once"):
        flows.permutation([0, 0, 1])


@functools.cache
def scaled_learner(rate=0.05, levels=None):
    density = flows.flow(flows.affine(2), flows.standard_normal(2))
    objective = training.flow_nll(density, levels=levels)
    return training.gradient_learner(flows.density_model(density), objective, optax.adam(rate))


def test_the_objective_is_the_mean_of_scipys():
    density = flows.flow(flows.affine(2), flows.standard_normal(2))
    objective, params = training.flow_nll(density, 0.5), density.init(jax.random.key(0))
    params["bijector"]["shift"] = jnp.array([1.0, 2.0])
    nll = -scipy.stats.norm([1, 2], 1).logpdf(X).sum(1)
    loss, (state, metrics) = objective.loss(params, {}, X)
    np.testing.assert_allclose(metrics["nll"], nll.mean(), rtol=1e-5)
    assert loss > metrics["nll"] and state == {}
    values = objective.evaluate(params, {}, (X, np.zeros(6)))  # labels are not looked at
    np.testing.assert_allclose(values["nll"], nll, rtol=1e-5)
    np.testing.assert_allclose(values["bits_per_dim"], nll / (2 * np.log(2)), rtol=1e-5)
    np.testing.assert_allclose(objective.predict(params, {}, X), -nll, rtol=1e-5)
    flat = flows.flow(flows.affine(1), flows.standard_normal(1))
    with pytest.raises(ValueError, match=r"shape \[6\], but gives \[6, 2\]"):
        training.flow_nll(flat).loss(flat.init(jax.random.key(0)), {}, X[..., None])


def test_rows_that_do_not_count_may_hold_nan():
    density = flows.flow(flows.affine(2), flows.standard_normal(2))
    objective, params = training.flow_nll(density), density.init(jax.random.key(0))
    gradient = jax.value_and_grad(lambda p, x, m: objective.loss(p, {}, x, mask=m)[0])
    x = jnp.asarray(X, jnp.float32)
    few = gradient(params, x[:4], None)
    masked = gradient(params, x.at[4:].set(jnp.nan), jnp.arange(6) < 4)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), few, masked)


def test_maximum_likelihood_finds_means_and_deviations():
    result = training.fit(scaled_learner(), X.astype(np.float32), key=jax.random.key(0), epochs=600)
    found = result.state.params["bijector"]
    np.testing.assert_allclose(found["shift"], X.mean(0), atol=2e-2)
    np.testing.assert_allclose(np.exp(found["log_scale"]), X.std(0), rtol=1e-2)


def test_a_learning_rate_of_a_flow_is_chosen_by_cross_validation():
    study = model_selection.cross_validate(
        lambda h: scaled_learner.__wrapped__(h["rate"]),
        {"rate": [0.0, 0.3]},
        np.tile(X, (5, 1)).astype(np.float32),
        key=jax.random.key(0),
        folds=2,
        epochs=20,
        metric="bits_per_dim",
    )
    assert study.best().hparams["rate"] == pytest.approx(0.3)


@pytest.mark.parametrize("levels", [2, 256])
def test_whole_numbers_cost_log2_of_their_levels_in_bits(levels):
    uniform = flows.Density(
        lambda key: {}, lambda params, x: jnp.zeros(x.shape[0]), lambda key, params, num: None
    )
    objective = training.flow_nll(uniform, levels=levels)
    values = objective.evaluate({}, {}, jnp.zeros((3, 5), int), key=jax.random.key(0))
    np.testing.assert_allclose(values["bits_per_dim"], np.log2(levels), rtol=1e-6)
    np.testing.assert_allclose(values["nll"], 5 * np.log(levels), rtol=1e-6)
    with pytest.raises(ValueError, match="needs a key"):
        objective.loss({}, {}, jnp.zeros((3, 5), int))


def test_whole_numbers_train_and_are_scored_under_noise():
    counts = jax.random.randint(jax.random.key(0), (8, 2), 0, 4)
    learner = scaled_learner(levels=4)
    result = training.fit(learner, counts, key=jax.random.key(0), epochs=50)
    assert 2 < float(np.mean(learner.evaluate(result.state, counts)["bits_per_dim"])) < 4
    again = learner.evaluate(result.state, counts)["nll"]
    np.testing.assert_array_equal(again, learner.evaluate(result.state, counts)["nll"])
    np.testing.assert_allclose(
        learner.predict(result.state, counts),
        training.flow_nll(flows.flow(flows.affine(2), flows.standard_normal(2))).predict(
            result.state.params, {}, (counts + 0.5) / 4
        )
        - 2 * np.log(4),
        rtol=1e-5,
    )
