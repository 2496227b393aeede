"""What speaks against a random split is found, and not where there is nothing."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from test_partition import divided, patients, series

from experiments import suspicions, tabular


def said(frame):
    return suspicions.found(*divided(frame))


def test_a_unit_with_several_rows_is_named():
    (line,) = said(patients())
    assert line.startswith("60 of 60 test rows share their 'patient_id' with rows to choose by")
    assert line.endswith("--groups 'patient_id' keeps them apart")
    numbers = patients(effect=0.0)
    numbers["patient_id"] = np.repeat(np.arange(40) * 7 + 1000, 6)  # left out as an identifier
    assert len(said(numbers)) == 1


def test_texts_whose_rows_have_like_answers_are_named_whatever_they_are_called():
    (line,) = said(patients().rename(columns={"patient_id": "shop"}))
    assert "share their 'shop'" in line
    assert said(patients(effect=0.0).rename(columns={"patient_id": "shop"})) == []
    # Kinds of things with many rows each are what is learned from.
    assert said(patients(30, 30).rename(columns={"patient_id": "shop"})) == []
    # An identifier of its own for each row groups nothing.
    assert said(patients(240, 1)) == []


def test_answers_that_follow_each_other_in_time_are_told_of():
    (line,) = said(series())
    assert line.startswith("in the order of 'day' each answer is like the one before")
    assert "--time 'day'" in line
    frame = series()
    frame["y"] = np.where(frame["y"] > frame["y"].median(), "up", "down")
    assert len(said(frame)) == 1
    years = series().rename(columns={"day": "year"})
    years["year"] = 1900 + pd.to_datetime(years["year"]).rank()
    assert len(said(years)) == 1


@pytest.mark.parametrize("kind", ["numbers", "classes", "ties"])
def test_shuffled_answers_raise_no_alarm(kind):
    """About one table in a thousand may."""
    alarms = 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        frame = series(120, seed)
        frame["y"] = rng.exponential(size=120)
        if kind == "classes":
            frame["y"] = np.array(["a", "b", "c"])[rng.choice(3, 120, p=[0.7, 0.2, 0.1])]
        if kind == "ties":  # many rows a day, and answers that are often zero
            frame["day"] = frame["day"].sort_values().to_numpy()[np.arange(120) // 20]
            frame["y"] = frame["y"] * (rng.random(120) < 0.4)
        frame.insert(0, "shop", [f"s{k}" for k in rng.integers(0, 30, 120)])
        alarms += len(said(frame))
    assert alarms <= 2


def test_equal_answers_have_the_mean_of_their_ranks():
    y = np.array([2.0, -1.0, 2.0, 7.0, 2.0, -1.0])
    ranks = stats.rankdata(y)[:, None]
    np.testing.assert_allclose(suspicions.centred(y, "regress"), ranks - 3.5)


def test_serial_correlation_is_that_of_ranks():
    rng = np.random.default_rng(0)
    y = np.cumsum(rng.normal(size=500))
    order = rng.permutation(500)
    h = suspicions.centred(y[order], "regress")
    found = suspicions.serial_correlation(h, order)
    assert found == pytest.approx(stats.spearmanr(y[1:], y[:-1])[0], abs=0.01)
    # The file's own order says nothing where rows are of one time.
    tied = suspicions.serial_correlation(suspicions.centred(y, "regress"), np.zeros(500))
    assert abs(tied) < 0.15


def test_classes_that_alternate_by_hand():
    h = suspicions.centred(np.array([0, 1, 0, 1]), "classify")  # +-1/2 in each of two columns
    assert suspicions.serial_correlation(h, np.arange(4)) == pytest.approx(-3 / 4)
    assert suspicions.serial_correlation(h, np.array([0, 2, 1, 3])) == pytest.approx(1 / 4)


def test_likeness_is_that_of_the_analysis_of_variance():
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat(np.arange(30), 5))
    for effect, expected in ((0.0, False), (1.5, True)):
        y = effect * rng.normal(size=30)[labels] + rng.normal(size=150)
        ranks = stats.rankdata(y)
        p = stats.f_oneway(*(ranks[labels == k] for k in range(30))).pvalue
        assert suspicions.alike(labels, suspicions.centred(y, "regress")) == (p < 1e-3) == expected
    assert not suspicions.alike(np.arange(150), suspicions.centred(y, "regress"))
    # Sure, but of no size: a hundredth of the variance in many rows.
    labels = np.repeat(np.arange(1000), 20)
    y = 0.15 * rng.normal(size=1000)[labels] + rng.normal(size=20000)
    assert not suspicions.alike(labels, suspicions.centred(y, "regress"))


def test_more_features_than_rows():
    rng = np.random.default_rng(0)
    wide = pd.DataFrame(rng.normal(size=(60, 50))).assign(y=np.arange(60) % 2)
    rows, found = divided(wide)
    lines = suspicions.of_size(tabular.encoded(rows, found.split.train), found)
    assert lines == [
        "there are 50 features for 45 rows to choose by: many models fit those perfectly, so go by "
        "the held-out scores alone"
    ]
    rows, found = divided(wide.drop(columns=range(5)))
    assert suspicions.of_size(tabular.encoded(rows, found.split.train), found) == []


def test_a_class_that_comes_too_late():
    frame = series(80).assign(y="old")
    frame.loc[frame["day"] >= "2021-05-15", "y"] = "new"
    rows, found = divided(frame, time="day")
    lines = suspicions.of_size(tabular.encoded(rows, found.split.train), found)
    assert lines == ["no row to choose by is of class 'new'"]
