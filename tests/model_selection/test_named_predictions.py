"""Probabilities, labels by name, and tables of pandas in and out of trained models."""

import jax
import numpy as np
import optax
import pandas as pd
import pytest
from networks import classifier, three_classes

from jaxdl import families, models, training
from jaxdl.data import Dataset
from jaxdl.data.frames import Names
from jaxdl.model_selection import cross_validate, refit

X, Y = three_classes(30)
CLASSES = ("red", "green", "blue")
TABLE = pd.DataFrame(X, columns=["a", "b", "c", "d"], index=[f"row {i}" for i in range(30)])


def trained(make, data):
    study = cross_validate(make, {"rate": [0.1]}, data, key=jax.random.key(0), folds=2, epochs=2)
    return refit(study, data)


@pytest.fixture(scope="module")
def named():
    return trained(classifier, Dataset(X, Y, tuple(TABLE.columns), CLASSES, "t", "classify", "hue"))


def test_probabilities_and_labels(named):
    p = named.predict_proba(X)
    np.testing.assert_array_equal(p, named.predict(X))
    assert named.labels(X).tolist() == [CLASSES[k] for k in np.asarray(p).argmax(1)]


def test_tables_in_any_order_give_tables(named):
    shuffled = TABLE[["d", "a", "c", "b"]].assign(more="text")
    p = named.predict_proba(shuffled)
    assert list(p.columns) == list(CLASSES) and p.index.equals(TABLE.index)
    np.testing.assert_array_equal(p.to_numpy(), named.predict(X))
    pd.testing.assert_frame_equal(named.predict(shuffled), p)
    labels = named.labels(shuffled)
    assert labels.name == "hue" and labels.index.equals(TABLE.index)
    assert labels.tolist() == named.labels(X).tolist()
    with pytest.raises(ValueError, match=r"0 columns 'extras'.*did you mean 'extra'"):
        named._replace(names=Names(("a", "b", "c", "extras"))).predict(TABLE.assign(extra=1.0))
    with pytest.raises(ValueError, match="2 columns 'a', of which the model takes one"):
        named.predict(pd.concat([TABLE, TABLE[["a"]]], axis=1))


def test_tables_that_were_trained_on_give_their_names_and_one_probability_is_two():
    net = models.mlp((4, 1))
    objective = training.negative_log_likelihood(net, families.bernoulli())
    make = lambda h: training.gradient_learner(net, objective, optax.sgd(h["rate"]))
    fitted = trained(make, (TABLE, pd.Series(Y % 2, name="odd")))
    assert fitted.names == (("a", "b", "c", "d"), None, "odd")
    one = np.asarray(fitted.predict(X))
    assert one.shape == (30,)
    np.testing.assert_allclose(fitted.predict_proba(X), np.stack([1 - one, one], 1), rtol=1e-6)
    assert fitted.labels(X).tolist() == (one >= 0.5).astype(int).tolist()
    series = fitted.predict(TABLE[["b", "a", "d", "c"]])
    assert isinstance(series, pd.Series) and series.name == "odd"
    np.testing.assert_array_equal(series, one)


def test_numbers_have_no_probabilities():
    net = models.mlp((4, 1))
    objective = training.negative_log_likelihood(net, families.normal())
    make = lambda h: training.gradient_learner(net, objective, optax.sgd(h["rate"]))
    fitted = trained(make, (X, X[:, 0]))
    with pytest.raises(ValueError, match=r"classes 0\.\.K-1 have probabilities"):
        fitted.predict_proba(X)
    with pytest.raises(ValueError, match="its responses are numbers"):
        fitted.labels(X)
