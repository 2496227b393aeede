"""What fit, fit_stream and cross_validate refuse before anything is compiled."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from conftest import enable_x64

from jaxdl import data, families, features, models, training
from jaxdl.base import Sequences
from jaxdl.model_selection import cross_validate, refit
from jaxdl.training import EarlyStopping, fit, fit_stream
from jaxdl.training.host.inputs import as_arrays, check_responses

NET = models.mlp((4, 3))
OBJECTIVE = training.negative_log_likelihood(NET, families.categorical(3))
LEARNER = training.gradient_learner(NET, OBJECTIVE, optax.sgd(0.1))
IRIS = data.load("iris")
PAIR = (IRIS.x, IRIS.y)


def holed(*rows):
    x = IRIS.x.copy()
    x[list(rows), 0] = np.nan
    return x


def test_a_dataset_is_its_pair_of_arrays():
    both = [fit(LEARNER, d, key=jax.random.key(0), epochs=2, validation=d) for d in (IRIS, PAIR)]
    assert float(both[0].history.loss[-1]) < float(both[0].history.loss[0])
    for a, b in zip(*(jax.tree.leaves(r.history) for r in both), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", [np.asarray, jnp.asarray])
@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ((holed(3, 7), IRIS.y), "part 0 of the data has 2 values that are NaN or infinite"),
        ((IRIS.x, IRIS.y[:9]), r"the parts of the data differ in length: \[150, 9\]"),
        ((IRIS.x[:0], IRIS.y[:0]), "the data have no rows"),
        ((IRIS.x, 3), "leading example axis"),
        ((), "leading example axis"),
    ],
)
def test_data(kind, parts, message):
    with pytest.raises(ValueError, match=message):
        as_arrays(jax.tree.map(kind, parts))


def test_complex_numbers_are_no_data():
    with pytest.raises(ValueError, match="part 0 of the data is complex64, not a number to learn"):
        as_arrays((IRIS.x.astype(np.complex64), IRIS.y))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            np.array([1e300, -1e39, 3e38]),
            "has 2 values that are NaN or infinite, or beyond float32",
        ),
        (np.array([2**31, -(2**31) - 1, 2**31 - 1]), "has 2 whole numbers that are beyond int32"),
        (np.array([2**32, 7], np.uint64), "has 1 whole numbers that are beyond uint32"),
    ],
)
def test_numbers_that_jax_would_change_are_no_data(values, message):
    """Without 64 bits they became infinite, or other numbers."""
    with pytest.raises(ValueError, match=message):
        as_arrays(values)
    with enable_x64(True):
        as_arrays(values)
    as_arrays(values, finite=False)


def test_words_are_no_numbers():
    with pytest.raises(ValueError, match="part 1 of the data is <U6, not a number"):
        fit(LEARNER, (IRIS.x, np.array(["setosa"] * 150)), key=jax.random.key(0), epochs=1)


def test_the_first_part_may_have_holes_that_are_mended():
    assert np.isnan(as_arrays((holed(3), IRIS.y), mended=True)[0]).sum() == 1
    with pytest.raises(ValueError, match="part 1 of the data has 1 value"):
        as_arrays((IRIS.x, holed(3)), mended=True)


def test_traced_data_are_not_read():
    @jax.jit
    def loss(x):
        return fit(LEARNER, (x, IRIS.y), key=jax.random.key(0), epochs=1).history.loss[0]

    assert jnp.isfinite(loss(IRIS.x)) and jnp.isnan(loss(holed(0)))


def run_fit(**how):
    return fit(LEARNER, PAIR, **{"key": jax.random.key(0), "epochs": 1, **how})


def run_stream(**how):
    how = {"key": jax.random.key(0), "steps": 1, **how}
    return fit_stream(how.pop("learner", LEARNER), [PAIR], **how)


def run_study(**how):
    how = {"key": jax.random.key(0), "epochs": 1, "folds": 2, **how}
    return cross_validate(lambda h: LEARNER, [{}], PAIR, **how)


BERNOULLI, POISSON = families.bernoulli().responses, families.poisson().responses


@pytest.mark.parametrize(
    ("responses", "y", "message"),
    [
        (families.categorical(3).responses, np.array([1, 3]), "labels from 0 to 2, not 1 to 3; features.from_one_based"),
        (families.categorical(3).responses, np.array([-1, 2]), "not -1 to 2"),
        (families.independent(families.categorical(3)).responses, np.array([[0, 3]]), "not 0 to 3"),
        (families.mixture(families.poisson(), 2).responses, np.array([0, -1]), "counts from 0 to inf, not -1 to 0"),
        (BERNOULLI, np.array([1, 2]), "labels from 0 to 1, not 1 to 2"),
        (BERNOULLI, jnp.array([-1.0, 1.0]), "labels from 0 to 1, not -1 to 1"),
        (training.perceptron_learner(2).responses, np.array([0, 2]), "labels from -1 to 1, not 0 to 2$"),
        (families.categorical(9).responses, Sequences(np.array([[1, 9, 0]]), np.array([2])), "not 0 to 9"),
    ],
)  # fmt: skip
def test_responses_that_have_no_probability(responses, y, message):
    with pytest.raises(ValueError, match=message):
        check_responses((np.zeros((len(y), 2)), y) if not isinstance(y, Sequences) else (y, y),
                        responses)  # fmt: skip


@pytest.mark.parametrize(
    ("responses", "y"),
    [
        (families.categorical(3).responses, np.array([0, 2])),
        (families.categorical(3).responses, np.eye(3)),
        (BERNOULLI, np.array([0.0, 0.3, 1.0])),
        (BERNOULLI, np.array([True, False])),
        (POISSON, np.array([0, 10**9])),
        (families.marginalize(families.normal, jnp.ones(2)).responses, np.array([-1e30, 1e30])),
        (None, np.array([-7])),
        (families.categorical(9).responses, Sequences(np.array([[1, 2, 77]]), np.array([2]))),
    ],
)
def test_responses_that_have_one(responses, y):
    check_responses((None, y), responses)


def test_labels_from_one_are_refused_everywhere():
    later = (IRIS.x, IRIS.y + 1)
    message = "responses of the {}data are labels from 0 to 2, not 1 to 3"
    for run in (lambda: fit(LEARNER, later, key=jax.random.key(0), epochs=1),
                lambda: refit(run_study(), later)):  # fmt: skip
        with pytest.raises(ValueError, match=message.format("")):
            run()
    for run in (run_fit, run_stream):
        with pytest.raises(ValueError, match=message.format("validation ")):
            run(validation=later)


def test_float64_and_int64_are_quiet():
    """Warnings are errors here: nothing asks JAX for a dtype that it does not have."""
    wide = (IRIS.x.astype(np.float64), IRIS.y.astype(np.int64))
    run_fit(validation=wide)
    learner = lambda h: LEARNER
    study = cross_validate(learner, [{}], wide, key=jax.random.key(0), folds=2, epochs=1,
                           transform=features.standardize(), keep="predictions")  # fmt: skip
    assert refit(study, wide).predict(wide[0]).dtype == np.float32
    fit_stream(LEARNER, [wide], key=jax.random.key(0), steps=1, validation=wide)


@pytest.mark.parametrize("run", [run_fit, run_stream, run_study])
@pytest.mark.parametrize(
    ("key", "message"),
    [
        (0, "key must be a typed key"),
        (np.zeros(2, np.uint32), "key must be a typed key"),
        (jax.random.split(jax.random.key(0)), r"single key, not of shape \(2,\)"),
    ],
)
def test_keys(run, key, message):
    with pytest.raises(ValueError, match=message):
        run(key=key)


@pytest.mark.parametrize("run", [run_fit, run_stream, run_study])
@pytest.mark.parametrize("patience", ["a", None, -1, float("nan")])
def test_patience(run, patience):
    how = {} if run is run_study else {"validation": PAIR}
    with pytest.raises(ValueError, match="patience of early stopping must be 0 or more, not"):
        run(early_stopping=EarlyStopping(patience), **how)


@pytest.mark.parametrize("kind", [float, np.float32, np.asarray, jnp.asarray])
def test_numbers_of_any_kind_are_a_patience(kind):
    how = {"validation": PAIR, "epochs": 4}
    short, long = (run_fit(early_stopping=EarlyStopping(kind(p), 9.0), **how) for p in (1, 9))
    assert (int(short.history.stopped), int(long.history.stopped)) == (2, -1)


def test_only_learners_learn():
    with pytest.raises(ValueError, match=r"only a Learner can be trained, .* not Model"):
        fit(NET, PAIR, key=jax.random.key(0), epochs=1)
    with pytest.raises(ValueError, match=r"only a Learner can be trained, .* not Model"):
        run_stream(learner=NET)


def test_validation_data_of_a_stream_are_checked():
    with pytest.raises(ValueError, match="part 0 of the validation data has 1 value"):
        run_stream(validation=(holed(0), IRIS.y))
