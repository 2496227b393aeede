"""Real responses and their logarithms: densities in the unit of y, means, what is offered."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from experiments import responses, tabular
from jaxdl import models, training
from jaxdl.data import Dataset

RNG = np.random.default_rng(0)
Y = np.exp(3 + RNG.normal(size=20))


def problem(y=Y):
    x = np.zeros((len(y), 2), np.float32)
    return tabular.describe(Dataset(x, y, ("a", "b"), None, "t", "regress"), y)


@pytest.mark.parametrize("how", [float, lambda v: jnp.asarray(v, float)])
def test_densities_are_those_of_scipy_in_the_unit_of_y(x64, how):
    """The network's outputs are standardised; the densities are not."""
    told, (m, s) = problem(), (0.3, -0.7)
    eta = jnp.broadcast_to(jnp.array([m, s]), (20, 2))
    plain = stats.norm(told.offset + m * told.scale, told.scale * np.exp(s))
    of_log = stats.lognorm(told.log[1] * np.exp(s), scale=np.exp(told.log[0] + m * told.log[1]))
    for log_target, truth in ((0.0, plain), (1.0, of_log)):
        family = responses.standardised(told, how(log_target))
        np.testing.assert_allclose(family.log_prob(eta, Y), truth.logpdf(Y), rtol=1e-10)
        np.testing.assert_allclose(family.mean(eta), truth.mean(), rtol=1e-12)
        np.testing.assert_allclose(
            family.scores(eta, Y)["squared_error"], (Y - truth.mean()) ** 2, rtol=1e-9
        )
        drawn = family.sample(jax.random.key(0), jnp.broadcast_to(eta[0], (20_000, 2)))
        assert abs(drawn.mean() - truth.mean()) < 5 * drawn.std() / np.sqrt(20_000)


@pytest.mark.parametrize("log_target", [0.0, 1.0])
@pytest.mark.parametrize("unit", [1e-12, 1.0, 1e12])
def test_nothing_overflows_in_single_precision(log_target, unit):
    y = (Y * unit).astype(np.float32)
    family = responses.standardised(problem(y), jnp.float32(log_target))
    eta = jnp.stack(jnp.meshgrid(jnp.array([-30.0, 0, 3, 30]), jnp.array([-5.0, 0, 2])), -1)
    eta = eta.reshape(-1, 2)
    for one in (y.min(), y.max()):
        value, gradient = jax.vmap(jax.value_and_grad(family.log_prob), (0, None))(eta, one)
        assert np.isfinite(value).all() and np.isfinite(gradient).all()
    mean, pull = jax.vjp(family.mean, eta)
    assert np.isfinite(mean).all() and np.isfinite(pull(jnp.ones_like(mean))[0]).all()


def test_the_other_response_has_no_gradient_of_its_own():
    """Responses of 0 and below are none of the logarithm's business where it is not asked for."""
    y = np.array([-2.0, 0.0, 5.0], np.float32)
    told = problem(y)
    assert told.log is None
    family = responses.standardised(told, jnp.float32(0))
    gradient = jax.grad(lambda eta: family.log_prob(eta, y).sum())(jnp.zeros((3, 2)))
    z = (y - y.mean()) / y.std()
    np.testing.assert_allclose(gradient, np.stack([z, z**2 - 1], -1), atol=1e-5)


def test_the_spread_is_learned():
    """A network without features that matter ends with the residuals' standard deviation."""
    y = (100 + 7 * RNG.normal(size=400)).astype(np.float32)
    told, x = problem(y), np.zeros((400, 2), np.float32)
    make = tabular.make_learner(told, steps=300)
    result = training.fit(
        make({"hidden": "none", "learning_rate": 0.03, "weight_decay": 0.0}), (x, y),
        key=jax.random.key(0), epochs=300, batch_size=400,
    )  # fmt: skip
    params = result.state.params
    assert responses.PACE * params["log_spread"]["bias"] == pytest.approx(0, abs=0.02)
    x[:200, 0], x[200:, 0] = -1, 1
    y = y + 50 * x[:, 0]
    told = problem(y)
    result = training.fit(
        tabular.make_learner(told, steps=300)(
            {"hidden": "none", "learning_rate": 0.03, "weight_decay": 0.0}
        ),
        (x, y), key=jax.random.key(0), epochs=300, batch_size=400,
    )  # fmt: skip
    spread = told.scale * np.exp(responses.PACE * result.state.params["log_spread"]["bias"])
    assert spread == pytest.approx(np.sqrt(y[:200].var() / 2 + y[200:].var() / 2), rel=0.03)


def test_a_spread_is_no_weight():
    """A penalty on the parameters' squares leaves it alone."""
    from jaxdl import losses

    net = responses.with_spread(models.mlp((2, 1)))
    params, _ = net.init(jax.random.key(0))
    params["log_spread"]["bias"] = jnp.asarray(1e6)
    assert losses.l2(params) == pytest.approx(np.sum(params["mean"]["dense_0"]["kernel"] ** 2))


def test_a_logarithm_is_offered_where_the_target_is_skewed():
    values, (note,) = responses.log_targets("regress", Y, "auto")
    assert values == (0.0, 1.0)
    assert f"(skewness {stats.skew(Y):.2g}, of its logarithm {stats.skew(np.log(Y)):.2g})" in note


@pytest.mark.parametrize(
    ("task", "y"),
    [
        ("regress", np.append(Y, 0.0)),  # no logarithm
        ("regress", np.arange(1.0, 30)),  # not skewed
        ("regress", np.append(Y, 1e-30)),  # its logarithm is more skewed
        ("count", np.round(Y)),
        ("regress", np.full(9, 3.0)),  # all the same
    ],
)
def test_no_logarithm_is_offered(task, y):
    assert responses.log_targets(task, y, "auto") == ((), [])


def test_a_logarithm_that_is_asked_for_or_not():
    assert responses.log_targets("regress", np.arange(1.0, 30), "yes")[0] == (1.0,)
    assert responses.log_targets("regress", Y, "no") == ((), [])
    with pytest.raises(ValueError, match="a target above 0; this target goes down to -1"):
        responses.log_targets("regress", np.append(Y, -1.0), "yes")
