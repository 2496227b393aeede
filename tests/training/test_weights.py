"""Weights of rows: closed forms, repeated rows, scikit-learn's own; what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from networks import softmax_learner, three_classes
from sklearn.linear_model import LogisticRegression
from sklearn.utils.class_weight import compute_class_weight

from jaxdl import arrays, base, families, models, optim, training
from jaxdl.model_selection import cross_validate, refit
from jaxdl.training import fit, fit_stream

X, Y = three_classes(30)
RNG = np.random.default_rng(1)
TIMES = RNG.integers(0, 4, 30)
WEIGHT = RNG.uniform(0.1, 3.0, 30).astype(np.float32)
NET = models.mlp((4, 3))
OBJECTIVE = training.negative_log_likelihood(NET, families.categorical(3), penalty=0.01)
FULL = training.gradient_learner(NET, OBJECTIVE, optax.sgd(0.5))


def learner_of(h):
    objective = training.negative_log_likelihood(NET, families.categorical(3))
    return training.gradient_learner(NET, objective, optax.sgd(h["rate"]))


def nll_of(params, x, y):
    eta = x.astype(np.float64) @ np.float64(params["dense_0"]["kernel"])
    eta += np.float64(params["dense_0"]["bias"])
    return np.log(np.exp(eta).sum(1)) - eta[np.arange(len(y)), y]


@pytest.fixture(scope="module")
def whole():
    """Trained on all rows at once: ``of(data)``, compiled once for a number of rows."""
    key = jax.random.key(3)
    return lambda data: fit(FULL, data, key=jax.random.clone(key), epochs=20)


def assert_close(one, other, rtol):
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol)
    jax.tree.map(close, one.state.params, other.state.params)
    close(one.history.loss, other.history.loss)


def test_a_weighted_mean_by_hand():
    values = jnp.array([1.0, 3.0, jnp.nan, 7.0])
    mask = jnp.array([True, True, True, False])
    weight = jnp.array([1.0, 3.0, 0.0, 9.0])
    assert arrays.masked_mean(values, mask, weight).item() == 2.5
    assert arrays.masked_mean(values, mask, 0 * weight).item() == 0
    gradient = jax.grad(lambda v: arrays.masked_mean(v, mask, weight))(values)
    assert gradient.tolist() == [0.25, 0.75, 0, 0]


@pytest.mark.smoke
def test_whole_weights_are_repeated_rows_and_their_unit_plays_no_part(whole):
    repeated = whole((np.repeat(X, TIMES, axis=0), np.repeat(Y, TIMES)))
    weighted = whole((X, Y, TIMES.astype(np.float32)))
    assert_close(weighted, repeated, 2e-5)
    assert_close(whole((X, Y, TIMES * np.float32(8))), weighted, 0)  # a power of two is exact


@pytest.mark.parametrize("exponent", [-300, -130, -20, 120])
def test_no_unit_of_weights_is_too_large_or_too_small(whole, exponent, study):
    """2^-130 is below float32's normal numbers, 2^-300 below all; 30 times 2^120 is beyond them."""
    unit = np.float64(2.0) ** exponent
    assert_close(whole((X, Y, WEIGHT * unit)), whole((X, Y, WEIGHT)), 0)
    other = cross_validate(
        learner_of, {"rate": [0.0, 0.3]}, (X, Y, WEIGHT * unit), key=jax.random.key(0), folds=3,
        epochs=2, batch_size=8, keep=("predictions", "states"), metrics=["roc_auc", "log_loss"],
    )  # fmt: skip
    for name, scores in study.scores.items():
        np.testing.assert_array_equal(other.scores[name], scores)
    again = refit(study, (X, Y, WEIGHT * unit), index=1)
    np.testing.assert_array_equal(
        again.train_loss, refit(study, (X, Y, WEIGHT), index=1).train_loss
    )


def test_a_learner_may_make_use_of_the_unit_of_weights():
    """As one whose penalty is a share of their sum: what is not too large or small stays."""

    def step(state, batch, *, mask=None):
        return state, {"loss": jnp.sum(batch[2])}

    counting = FULL._replace(step=step)
    for unit in (2.0**-49, 1.0, 2.0**47):
        result = fit(counting, (X, Y, WEIGHT * np.float32(unit)), key=jax.random.key(0), epochs=1)
        assert result.history.loss[0] == pytest.approx(unit * WEIGHT.sum(), rel=1e-6)


def test_a_mean_of_huge_weights_and_a_stream_of_them():
    values, weight = jnp.array([10.0, 30.0]), jnp.array([1.0, 3.0])
    for unit in (1e-37, 1.0, 1e38):
        assert arrays.masked_mean(values, weight=unit * weight).item() == pytest.approx(
            25, rel=1e-6
        )
    for unit in (1e-33, 1e30):
        with pytest.raises(ValueError, match="weights of the examples of batch 1 sum to"):
            fit_stream(FULL, [(X, Y, WEIGHT * unit)], key=jax.random.key(3), steps=1)


def test_rows_of_weight_0_are_not_there_in_batches_either():
    """A row that nothing may come of would make all NaN; it takes no place in a batch."""
    odd = np.arange(30) % 3 == 1
    weight, far = np.where(odd, 0, WEIGHT), np.where(odd[:, None], np.float32(1e30), X)
    run = lambda data: fit(FULL, data, key=jax.random.key(0), epochs=3, batch_size=8)
    with_them, without = run((far, Y, weight)), run((X[~odd], Y[~odd], WEIGHT[~odd]))
    assert_close(with_them, without, 0)


def test_a_traced_weight_of_0_removes_a_row_from_statistics_and_gradients():
    net = models.mlp((4, 5, 3), norm="batch")
    objective = training.negative_log_likelihood(net, families.categorical(3))
    params, state = net.init(jax.random.key(0))

    @jax.jit
    def gradient(x, weight):
        run = lambda p: objective.loss(p, state, (x, Y[:12], weight), key=None, train=True)
        (_, (new, _)), slope = jax.value_and_grad(run, has_aux=True)(params)
        return new, slope

    weight = np.where(np.arange(12) < 8, WEIGHT[:12], 0)
    other = np.where(weight[:, None] > 0, X[:12], 50.0)
    alike = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    jax.tree.map(alike, gradient(X[:12], weight), gradient(other, weight))
    cut = lambda leaf: leaf[:8]
    loss = lambda data: objective.loss(params, state, data, train=True)[0]
    few = loss(jax.tree.map(cut, (X[:12], Y[:12], weight)))
    assert loss((X[:12], Y[:12], weight)).item() == pytest.approx(few.item(), rel=1e-5)


def test_the_optimum_is_scikit_learns():
    """``sum_n w_n nll_n + |W|^2 / (2 C)`` is minimised by ``sum_n w_n nll_n / W + |W|^2 / (2 C W)``."""
    c, total = 0.5, WEIGHT.sum()
    objective = training.negative_log_likelihood(
        NET, families.categorical(3), penalty=1 / (2 * c * total)
    )
    learner = training.solver_learner(NET, objective, optim.lbfgs)
    params = fit(learner, (X, Y, WEIGHT), key=jax.random.key(0), epochs=1).state.params["dense_0"]
    theirs = LogisticRegression(C=c, tol=1e-8, max_iter=1000).fit(X, Y, sample_weight=WEIGHT)
    np.testing.assert_allclose(params["kernel"].T, theirs.coef_, atol=2e-3)
    apart = lambda bias: np.asarray(bias) - np.mean(bias)  # the offsets' mean is free
    np.testing.assert_allclose(apart(params["bias"]), apart(theirs.intercept_), atol=2e-3)


@pytest.fixture(scope="module")
def study():
    return cross_validate(
        learner_of, {"rate": [0.0, 0.3]}, (X, Y, WEIGHT), key=jax.random.key(0), folds=3, epochs=2,
        batch_size=8, keep=("predictions", "states"), metrics=["roc_auc", "log_loss"],
    )  # fmt: skip


def test_losses_and_scores_of_a_study_are_weighted_means(study):
    """At the rate 0 all batches of an epoch together have the loss of the training part."""
    for f, (train, valid) in enumerate(study.folds):
        start = jax.tree.map(lambda leaf, f=f: leaf[0, f, 0], study.states[0]).params
        wanted = np.average(nll_of(start, X[train], Y[train]), weights=WEIGHT[train])
        np.testing.assert_allclose(study.train_loss[0, f, 0], wanted, rtol=1e-5)
        for s in (0, 1):
            params = jax.tree.map(lambda leaf, s=s, f=f: leaf[s, f, 0], study.states[0]).params
            wanted = np.average(nll_of(params, X[valid], Y[valid]), weights=WEIGHT[valid])
            assert study.scores["nll"][s, f, 0] == pytest.approx(wanted, rel=1e-5)
            assert study.scores["log_loss"][s, f, 0] == pytest.approx(wanted, rel=1e-5)


def test_a_batch_of_a_stream_is_weighted_within_itself():
    first = FULL.init(jax.random.key(3)).params
    streamed = fit_stream(
        FULL, [(X, Y, WEIGHT)], key=jax.random.key(3), steps=1, validation=(X, Y, WEIGHT)
    )
    mean = lambda params: np.average(nll_of(params, X, Y), weights=WEIGHT)
    penalty = 0.01 * np.sum(np.square(first["dense_0"]["kernel"]))
    assert streamed.history.loss[-1] == pytest.approx(mean(first) + penalty, rel=1e-5)
    after = mean(streamed.state.params)
    assert streamed.history.validation["nll"][-1] == pytest.approx(after, rel=1e-5) != mean(first)


def test_refit_leaves_rows_of_weight_0_out(study):
    odd = np.arange(30) % 3 == 1
    weight, far = np.where(odd, 0, WEIGHT), np.where(odd[:, None], np.float32(1e30), X)
    assert not refit(study, (far, Y, weight), index=1).diverged.any()


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (-WEIGHT, "weights are 0 or more"),
        (0 * WEIGHT, "sum to 0"),
        (np.full(30, 1e39), "30 values that are NaN or infinite, or beyond float32"),
        (WEIGHT[:, None], r"are the weights \[N\] of rows"),
        (np.where(WEIGHT > 1, np.nan, 1), "NaN or infinite"),
        (WEIGHT[:29], "differ in length"),
    ],
)
def test_what_is_no_weight(weight, message):
    with pytest.raises(ValueError, match=message):
        fit(FULL, (X, Y, weight), key=jax.random.key(0), epochs=1)
    with pytest.raises(ValueError, match=message):
        cross_validate(learner_of, {"rate": [0.1]}, (X, Y, weight), key=jax.random.key(0), epochs=1)


def test_learners_without_use_for_weights_refuse_them():
    data = (X, X[:, 0], WEIGHT)
    with pytest.raises(ValueError, match="takes no weights"):
        fit(training.least_squares_learner(num_features=4), data, key=jax.random.key(0), epochs=1)
    with pytest.raises(ValueError, match="takes no weights"):
        cross_validate(softmax_learner, {"rate": [0.1]}, (X, Y, WEIGHT), key=jax.random.key(0), epochs=1)  # fmt: skip
    with pytest.raises(ValueError, match=r"is \(x, y\), not 3 parts"):
        base.pair(data)


def test_a_fold_without_weight():
    weight = np.where(np.arange(30) < 10, 0, WEIGHT)
    folds = [(np.arange(10, 30), np.arange(10)), (np.arange(10), np.arange(10, 30))]
    for chosen, message in (
        (folds[:1], "fold 0 holds out no row"),
        (folds[1:], "fold 0 trains on no"),
    ):
        with pytest.raises(ValueError, match=message):
            cross_validate(learner_of, {"rate": [0.1]}, (X, Y, weight), key=jax.random.key(0),
                           folds=chosen, epochs=1)  # fmt: skip


def test_class_weights_are_scikit_learns():
    y = np.array([0, 2, 2, 1, 2, 2])
    wanted = compute_class_weight("balanced", classes=np.arange(3), y=y)
    np.testing.assert_allclose(training.class_weights(y), wanted, rtol=1e-6)
    weight = np.array([1.0, 2, 0.5, 3, 1, 1])
    mine = training.class_weights(y, weight=weight)
    of_class = np.bincount(y, weight * mine[y])
    np.testing.assert_allclose(of_class, weight.sum() / 3, rtol=1e-6)  # each counts the same
    assert training.class_weights(y, {2: 5}, num_classes=4).tolist() == [1, 1, 5, 1]
    assert training.class_weights(np.array([0, 0, 2])).tolist() == [0.75, 1.5, 1.5]
    for how, message in (("even", "'balanced' or a dict"), ({3: 1}, "no classes 0..2"), ({0: -1}, "0 or more")):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            training.class_weights(y, how)
    with pytest.raises(ValueError, match="from 0 on"):
        training.class_weights(np.array([-1, 0]))
    with pytest.raises(ValueError, match="the label 2, but there are 2"):
        training.class_weights(y, num_classes=2)
