"""A search as studies gives what scikit-learn's own search gives, and trains nothing twice."""

import warnings

import numpy as np
import pytest
import sklearn
from scipy.stats import loguniform
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss, make_scorer
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    HalvingGridSearchCV,
    KFold,
    RandomizedSearchCV,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from jaxdl.interop.sklearn import (
    NetworkClassifier,
    NetworkRegressor,
    OneProgram,
    StudySearchCV,
    problems,
)

DRAW = np.random.default_rng(0)
X = DRAW.normal(size=(70, 3))
LABELS = np.array(["no", "yes", "maybe"])[
    (X[:, 0] + DRAW.normal(size=70) > 0).astype(int) + (X[:, 1] > 0)
]
NUMBERS = 100 + 20 * X[:, 0] - X[:, 1] * X[:, 2]
GROUPS = np.arange(70) % 7


@pytest.fixture
def alone(monkeypatch):
    """How many networks were trained outside of studies."""
    counted = []
    one = problems.solve_alone
    count = lambda problem: counted.append(problem) or one(problem)
    monkeypatch.setattr(problems, "solve_alone", count)
    monkeypatch.setattr("jaxdl.interop.sklearn.together.solve_alone", count)
    return counted


def both(study, plain, X, y, alone, **given):
    """A study and scikit-learn's search of the same arguments, fitted, their results compared."""
    study.fit(X, y, **given)
    trained = len(alone)
    plain.fit(X, y, **given)
    for name, values in plain.cv_results_.items():
        ours = study.cv_results_[name]
        if name.endswith("_time"):
            continue
        if name.startswith("param") or name in ("iter", "n_resources"):
            assert list(map(str, ours)) == list(map(str, values)), name
        else:
            np.testing.assert_allclose(
                np.asarray(ours, float), np.asarray(values, float), atol=1e-5, err_msg=name
            )
    assert study.cv_results_.keys() == plain.cv_results_.keys()
    assert trained == bool(plain.refit)  # the best one alone
    if plain.refit:
        assert study.best_params_ == plain.best_params_ and study.best_index_ == plain.best_index_
        np.testing.assert_allclose(study.best_score_, plain.best_score_, atol=1e-5)
    return study


def test_a_grid_of_two_widths_is_two_programs(alone):
    """Several scorers, training scores, folds of 23 and 24 rows in batches of 16."""
    net = NetworkClassifier((4,), max_iter=10, batch_size=16, learning_rate_init=0.02, random_state=0)  # fmt: skip
    grid = {"alpha": [1e-4, 10.0], "hidden_layer_sizes": [(), (4,)]}
    how = {
        "cv": 3,
        "scoring": {"accuracy": "accuracy", "loss": "neg_log_loss", "auc": "roc_auc_ovr"},
        "refit": "loss",
        "return_train_score": True,
    }
    args = (net, grid)
    study = both(StudySearchCV(*args, **how), GridSearchCV(*args, **how), X, LABELS, alone)
    assert [s.diverged.shape for s in study.studies_] == [(2, 3, 1)] * 2
    assert [s.num_programs for s in study.studies_] == [1, 1]
    assert study.predict_proba(X).shape == (70, 3) and study.classes_.tolist() == ["maybe", "no", "yes"]  # fmt: skip
    assert study.score(X, LABELS) == pytest.approx(-log_loss(LABELS, study.predict_proba(X)))


def test_random_settings_of_a_regressor_in_a_pipeline(alone):
    """The scaler is fitted to each fold anew, so every fold has features of its own."""
    net = NetworkRegressor((4,), max_iter=10, learning_rate_init=0.05, random_state=0)
    pipe = make_pipeline(StandardScaler(), net)
    drawn = {"networkregressor__alpha": loguniform(1e-3, 1e2)}
    how = {"n_iter": 3, "random_state": 1, "cv": KFold(2, shuffle=True, random_state=0)}
    study = StudySearchCV(pipe, param_distributions=drawn, **how)
    study = both(study, RandomizedSearchCV(pipe, drawn, **how), X * 50 + 7, NUMBERS, alone)
    assert study.studies_[0].diverged.shape == (3, 2, 1)


def test_early_stopping_and_groups(alone):
    """Each fold sets its own rows aside to stop by, and labels stay whole over groups."""
    net = NetworkClassifier(
        (), max_iter=30, early_stopping=True, validation_fraction=0.3, n_iter_no_change=2,
        learning_rate_init=0.1, random_state=0,
    )  # fmt: skip
    args, how = (net, {"tol": [1e-4, 0.1]}), {"cv": GroupKFold(2), "scoring": "neg_log_loss"}
    study = both(
        StudySearchCV(*args, **how), GridSearchCV(*args, **how), X, LABELS, alone, groups=GROUPS
    )
    assert (study.studies_[0].epochs < 30).all()
    assert (np.diff(study.studies_[0].epochs.mean((1, 2))) < 0).all()  # less patience with 0.1


def test_weights_of_rows_go_where_they_are_routed(alone):
    """With routing a scorer may have weights that the network has not."""
    weight = np.where(X[:, 2] > 0, 3.0, 0.5)
    with sklearn.config_context(enable_metadata_routing=True):
        net = NetworkClassifier((), max_iter=10, learning_rate_init=0.1, random_state=0)
        net = net.set_fit_request(sample_weight=True)
        scorer = make_scorer(accuracy_score).set_score_request(sample_weight=True)
        args = (net, {"alpha": [0.1, 100.0]})
        how = {"cv": GroupKFold(2), "scoring": scorer}
        given = {"sample_weight": weight, "groups": GROUPS}
        study = StudySearchCV(*args, **how)
        both(study, GridSearchCV(*args, **how), X, LABELS, alone, **given)
    plain = StudySearchCV(*args, cv=GroupKFold(2)).fit(X, LABELS, groups=GROUPS)
    assert not np.allclose(
        study.best_estimator_.predict_proba(X), plain.predict_proba(X), atol=1e-3
    )


@pytest.mark.parametrize("resource", ["n_samples", "max_iter"])
def test_halving(alone, resource):
    """Any search of scikit-learn's: every round is a study of those that are left."""

    class HalvingStudy(OneProgram, HalvingGridSearchCV):
        pass

    net = NetworkClassifier((), max_iter=8, random_state=0)
    args = (net, {"learning_rate_init": [1e-4, 1e-3, 0.02, 0.2]})
    few = {"min_resources": 35} if resource == "n_samples" else {"max_resources": 16, "min_resources": 8}  # fmt: skip
    how = {"cv": 2, "factor": 2, "resource": resource, "random_state": 0, "refit": False, **few}
    study = both(HalvingStudy(*args, **how), HalvingGridSearchCV(*args, **how), X, LABELS, alone)
    assert [len(s.hparams) for s in study.studies_] == [4, 2]


def test_networks_without_a_seed_share_one(alone):
    """So that they are compared in pairs, and still are one study."""
    net = NetworkClassifier((3,), max_iter=5)
    search = StudySearchCV(net, {"alpha": [0.1, 0.2]}, cv=2, refit=False).fit(X, LABELS)
    assert len(search.studies_) == 1 and not alone
    seeds = StudySearchCV(net, {"random_state": [0, 1]}, cv=2, refit=False).fit(X, LABELS)
    assert len(seeds.studies_) == 2 and not alone


@pytest.mark.filterwarnings("ignore:One or more of the test scores")
def test_what_cannot_train_fails_as_scikit_learn_says():
    net = NetworkClassifier((), max_iter=5, random_state=0)
    search = StudySearchCV(net, {"alpha": [-1.0, 1.0]}, cv=2)
    with pytest.warns(Warning, match="alpha must be a number from 0 on, not -1.0"):
        search.fit(X, LABELS)
    scores = search.cv_results_["mean_test_score"]
    assert np.isnan(scores[0]) and scores[1] > 0 and search.best_params_ == {"alpha": 1.0}
    with pytest.raises(ValueError, match="alpha must be a number"):
        search.set_params(error_score="raise").fit(X, LABELS)
    with pytest.raises(ValueError, match="one of the two"):
        StudySearchCV(net).fit(X, LABELS)
    assert problems.current.get() is None


def test_what_is_no_network_is_left_to_scikit_learn():
    search = StudySearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2)
    with pytest.warns(UserWarning, match="LogisticRegression has no network"):
        search.fit(X, LABELS)
    plain = GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2).fit(X, LABELS)
    assert search.best_score_ == plain.best_score_ and search.studies_ == []
    mixed = {"model": [LogisticRegression(), NetworkClassifier((), max_iter=3, random_state=0)]}
    pipe = sklearn.pipeline.Pipeline([("model", LogisticRegression())])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        search = StudySearchCV(pipe, mixed, cv=2).fit(X, LABELS)
    assert len(search.studies_) == 1 and np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_splits_that_can_be_made_once_alone():
    """A generator of splits is read once, and the search's own parameters stay as they were."""
    splits = KFold(2).split(X)
    search = StudySearchCV(NetworkClassifier((), max_iter=3, random_state=0), {"alpha": [1.0]}, cv=splits)  # fmt: skip
    assert search.fit(X, LABELS).cv is splits
    shuffled = KFold(2, shuffle=True)  # other splits at each call
    assert len(search.set_params(cv=shuffled, refit=False).fit(X, LABELS).studies_) == 1
