"""What fit, fit_stream and cross_validate refuse before anything is compiled."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from conftest import enable_x64

from jaxdl import data, families, models, training
from jaxdl.model_selection import cross_validate
from jaxdl.training import EarlyStopping, fit, fit_stream
from jaxdl.training.host.inputs import as_arrays

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
    return cross_validate(lambda h: LEARNER, {"rate": [0.1]}, PAIR, **how)


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
