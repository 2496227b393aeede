"""What scikit-learn's own checks do not look at: right numbers, and what is carried along."""

import pickle

import joblib
import numpy as np
import pytest
from scipy import sparse, stats
from scipy.optimize import minimize
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor, Ridge
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from jaxdl.interop.sklearn import NetworkClassifier, NetworkRegressor, rows

LINEAR = {"hidden_layer_sizes": (), "learning_rate_init": 0.05, "random_state": 0}


@pytest.fixture(scope="module")
def labelled():
    """40 rows, 3 features, 3 names of classes that a plane does not part."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(40, 3))
    y = (x[:, 0] + draw.normal(size=40) > 0).astype(int) + (x[:, 1] > 0.5)
    return x, np.array(["red", "green", "blue"])[y]


@pytest.fixture(scope="module")
def fitted(labelled):
    return NetworkClassifier(**LINEAR, alpha=1.0, max_iter=600).fit(*labelled)


def test_a_linear_network_is_softmax_regression(labelled, fitted):
    """alpha is that of sum_n nll + alpha/2 |W|^2, which scikit-learn has as C = 1/alpha."""
    x, y = labelled
    oracle = LogisticRegression(C=1.0, tol=1e-10, max_iter=1000).fit(x, y)
    np.testing.assert_allclose(fitted.predict_proba(x), oracle.predict_proba(x), atol=1e-3)
    assert fitted.classes_.tolist() == ["blue", "green", "red"]
    assert np.array_equal(fitted.predict(x), oracle.predict(x))
    logits = fitted.decision_function(x)
    odds = np.log(oracle.predict_proba(x))
    np.testing.assert_allclose(
        logits - logits[:, :1], odds - odds[:, :1], atol=5e-3
    )  # softmax knows differences alone


def test_weights_of_rows_and_classes_are_those_of_softmax_regression(labelled):
    x, y = labelled
    weight = np.arange(40) % 4  # also 0
    net = NetworkClassifier(**LINEAR, alpha=2.0, max_iter=600, class_weight={"red": 3.0})
    oracle = LogisticRegression(C=0.5, tol=1e-10, max_iter=1000, class_weight={"red": 3.0})
    proba = [m.fit(x, y, sample_weight=weight).predict_proba(x) for m in (net, oracle)]
    np.testing.assert_allclose(*proba, atol=1e-3)


def test_balanced_classes_weigh_the_same_by_hand():
    known = rows.Rows(np.zeros((4, 1)), np.array([0, 0, 0, 1]), np.array([1.0, 1.0, 2.0, 2.0]))
    weight = rows.weight_classes(known, np.array(["a", "b"]), "balanced").weight
    # W = 6, W_a = 4, W_b = 2: factors 6/(2*4) and 6/(2*2)
    assert weight.tolist() == [0.75, 0.75, 1.5, 3.0]


def test_rows_of_one_kind_are_merged_by_hand():
    x = np.array([[2.0], [1.0], [2.0], [2.0]])
    known = rows.Rows(x, np.array([0, 1, 0, 1]), np.array([1.0, 5.0, 2.0, 4.0]))
    merged = rows.merged(known)
    assert merged.x[:, 0].tolist() == [1, 2, 2] and merged.y.tolist() == [1, 0, 1]
    assert merged.weight.tolist() == [5, 3, 4]


@pytest.fixture(scope="module")
def numbers():
    draw = np.random.default_rng(1)
    x = draw.normal(size=(60, 2))
    return x, 5000 + 100 * (2 * x[:, 0] - x[:, 1] + 0.3 * draw.normal(size=60))


def test_a_linear_network_is_ridge_regression(numbers):
    """Targets far from 0 keep their digits; alpha is of standardised ones."""
    x, y = numbers
    spread = y.std()
    net = NetworkRegressor(**LINEAR, alpha=6.0, max_iter=500).fit(x, y)
    oracle = Ridge(alpha=6.0, tol=1e-10).fit(x, (y - y.mean()) / spread)
    expected = y.mean() + spread * oracle.predict(x)
    np.testing.assert_allclose(net.predict(x), expected, atol=1e-3 * spread)


def test_several_responses_are_learned_as_each_alone(numbers):
    x, y = numbers
    both = np.stack([y, -3 * y + x[:, 0]], axis=1)
    net = NetworkRegressor(**LINEAR, alpha=0.0, max_iter=500).fit(x, both)
    expected = LinearRegression().fit(x, both).predict(x)
    assert net.predict(x).shape == (60, 2)
    np.testing.assert_allclose(net.predict(x), expected, atol=0.2)


def test_counts_are_poisson_regression(numbers):
    x, _ = numbers
    y = np.random.default_rng(2).poisson(np.exp(2 + 0.5 * x[:, 0]))
    net = NetworkRegressor(**LINEAR, family="poisson", alpha=0.0, max_iter=800).fit(x, y)
    oracle = PoissonRegressor(alpha=0, tol=1e-8, max_iter=1000).fit(x, y)
    np.testing.assert_allclose(net.predict(x), oracle.predict(x), rtol=2e-3)
    with pytest.raises(ValueError, match=r"\(family='poisson'\) are 0 or more, not -1"):
        net.fit(x, np.full(60, -1))


@pytest.mark.parametrize(
    ("family", "loss"),
    [
        ("laplace", np.abs),
        ("student_t", lambda z: -stats.t(3).logpdf(z)),
    ],
)
def test_robust_families_minimise_their_likelihood(numbers, family, loss):
    x, y = numbers
    y = y.copy()
    y[:6] += 1e4  # outliers
    net = NetworkRegressor(**LINEAR, family=family, df=3.0, alpha=0.0, max_iter=1500).fit(x, y)
    z = (y - y.mean()) / y.std()
    design = np.column_stack([np.ones(60), x])
    objective = lambda w: loss(z - design @ w).mean()
    best = minimize(objective, np.zeros(3), method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12, "maxiter": 9999})  # fmt: skip
    reached = loss(z - (net.predict(x) - y.mean()) / y.std()).mean()
    assert best.fun - 1e-6 < reached < best.fun + 2e-3


def test_a_learned_deviation_is_in_the_unit_of_the_response():
    """Two groups with means 10, 20 and deviations 1, 3: maximum likelihood finds those of the rows."""
    draw = np.random.default_rng(3)
    x = np.repeat([[1.0, 0.0], [0.0, 1.0]], 100, axis=0)
    y = np.concatenate([10 + draw.normal(size=100), 20 + 3 * draw.normal(size=100)])
    net = NetworkRegressor(**LINEAR, family="heteroskedastic", alpha=0.0, max_iter=800).fit(x, y)
    mean, deviation = net.predict([[1, 0], [0, 1]], return_std=True)
    np.testing.assert_allclose(mean, [y[:100].mean(), y[100:].mean()], rtol=1e-2)
    np.testing.assert_allclose(deviation, [y[:100].std(), y[100:].std()], rtol=2e-2)
    with pytest.raises(ValueError, match="heteroskedastic"):
        NetworkRegressor(**LINEAR, max_iter=1).fit(x, y).predict(x, return_std=True)
    net.set_params(warm_start=True, hidden_layer_sizes=(3,))
    with pytest.raises(ValueError, match=r"widths \(2, 1\), not \(2, 3, 1\)"):
        net.fit(x, y)


def test_an_indicator_matrix_is_a_logistic_regression_each(labelled):
    x, y = labelled
    many = np.stack([y == "red", y != "blue"], axis=1).astype(int)
    net = NetworkClassifier(**LINEAR, alpha=1.0, max_iter=600).fit(x, many)
    each = [LogisticRegression(C=1.0, tol=1e-10).fit(x, column) for column in many.T]
    expected = np.stack([m.predict_proba(x)[:, 1] for m in each], axis=1)
    np.testing.assert_allclose(net.predict_proba(x), expected, atol=1e-3)
    with pytest.raises(ValueError, match="MultiOutputClassifier"):
        net.fit(x, np.stack([y, y[::-1]], axis=1))
    names = np.stack([y, y[::-1]], axis=1)
    assert MultiOutputClassifier(clone(net)).fit(x, names).predict(x).shape == (40, 2)


def test_what_is_fitted_travels(tmp_path, labelled, fitted):
    x, _ = labelled
    expected = fitted.predict_proba(x)
    assert np.array_equal(pickle.loads(pickle.dumps(fitted)).predict_proba(x), expected)
    joblib.dump(fitted, tmp_path / "net")
    assert np.array_equal(joblib.load(tmp_path / "net").predict_proba(x), expected)
    assert not hasattr(clone(fitted), "state_")


def test_predictions_do_not_depend_on_the_rows_beside(labelled, fitted):
    x = np.tile(labelled[0], (8, 1))  # more than a block
    assert np.array_equal(fitted.predict_proba(x[::-1])[::-1], fitted.predict_proba(x))
    assert np.array_equal(fitted.predict_proba(x[39:40]), fitted.predict_proba(x)[39:40])
    assert np.array_equal(fitted.predict_proba(sparse.csr_array(x)), fitted.predict_proba(x))


def test_in_a_pipeline_over_a_frame(labelled):
    pandas = pytest.importorskip("pandas")
    x, y = labelled
    frame = pandas.DataFrame(x * 1000, columns=["a", "b", "c"])
    pipe = make_pipeline(StandardScaler(), NetworkClassifier(**LINEAR, max_iter=50))
    pipe.set_output(transform="pandas").fit(frame, y)
    assert pipe[-1].feature_names_in_.tolist() == ["a", "b", "c"]
    plain = make_pipeline(StandardScaler(), NetworkClassifier(**LINEAR, max_iter=50))
    assert np.array_equal(plain.fit(frame.to_numpy(), y).predict(x), pipe.predict(frame / 1000))


def test_epochs_one_by_one_are_those_of_one_fit(numbers):
    """In full batches there is no order: three epochs of partial_fit are fit's three."""
    x, y = numbers
    net = NetworkRegressor((4,), max_iter=3, random_state=0)
    parts = clone(net)
    for _ in range(3):
        parts.partial_fit(x, y)
    np.testing.assert_allclose(parts.predict(x), net.fit(x, y).predict(x), rtol=1e-6)
    assert parts.n_iter_ == 3 and len(parts.loss_curve_) == 3
    np.testing.assert_allclose(parts.loss_curve_, net.loss_curve_, rtol=1e-5)
    again = clone(net).set_params(max_iter=1, warm_start=True).fit(x, y)
    for _ in range(2):
        again.fit(x, y)
    np.testing.assert_allclose(again.predict(x), net.predict(x), rtol=1e-6)


def test_weights_below_0_are_refused(labelled, numbers):
    for net, (x, y) in ((NetworkClassifier(), labelled), (NetworkRegressor(), numbers)):
        weight = np.ones(len(y))
        weight[3] = -1
        with pytest.raises(ValueError, match="Negative values"):
            net.fit(x, y, sample_weight=weight)


def test_partial_fit_refuses_what_it_cannot_know(labelled):
    x, y = labelled
    net = NetworkClassifier(**LINEAR, max_iter=1)
    with pytest.raises(ValueError, match="classes must be given"):
        net.partial_fit(x, y)
    net.partial_fit(x[:5], y[:5], classes=["red", "green", "blue"])
    with pytest.raises(ValueError, match="violet"):
        net.partial_fit(x[:5], np.array(["violet"] * 5))
    with pytest.raises(ValueError, match="the classes were"):
        net.partial_fit(x, y, classes=["red", "green"])
    with pytest.raises(ValueError, match="early_stopping"):
        clone(net).set_params(early_stopping=True).partial_fit(x, y, classes=["red"])
    with pytest.raises(ValueError, match="how many of each"):
        clone(net).set_params(class_weight="balanced").partial_fit(x, y, classes=["red"])


def test_early_stopping_keeps_the_best_weights(labelled):
    x, y = labelled
    net = NetworkClassifier(
        (16,), learning_rate_init=0.05, early_stopping=True, validation_fraction=0.4,
        n_iter_no_change=5, max_iter=300, tol=0.0, random_state=0,
    ).fit(x, y)  # fmt: skip
    curve = np.array(net.validation_curve_)
    assert net.n_iter_ == len(curve) < 300 and net.best_epoch_ == curve.argmin() + 1
    assert net.n_iter_ == net.best_epoch_ + 5
    shorter = clone(net).set_params(max_iter=net.best_epoch_).fit(x, y)
    np.testing.assert_allclose(shorter.predict_proba(x), net.predict_proba(x), atol=1e-5)


def test_a_run_that_diverges_is_said(numbers):
    x, y = numbers
    net = NetworkRegressor((), solver="sgd", learning_rate_init=1e6, max_iter=200, random_state=0)
    with pytest.warns(ConvergenceWarning, match="not finite in epoch"):
        net.fit(x, y)
    assert np.isfinite(net.predict(x)).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"solver": "adan"}, "did you mean 'adam'"),
        ({"alpha": -1.0}, "alpha must be a number from 0 on, not -1.0"),
        ({"max_iter": 0}, "max_iter must be a positive whole number"),
        ({"batch_size": "all"}, "batch_size must be a positive whole number"),
        ({"hidden_layer_sizes": (8, 0)}, "hidden_layer_sizes"),
        ({"class_weight": "balance"}, "class_weight is a dict, 'balanced' or None"),
        ({"activation": "rely"}, "relu"),
    ],
)
def test_bad_settings_are_refused_in_a_line(labelled, settings, message):
    with pytest.raises(ValueError, match=message):
        NetworkClassifier(**settings).fit(*labelled)


def test_own_networks_and_optimizers(labelled):
    import optax

    from jaxdl import models

    x, y = labelled
    net = NetworkClassifier(
        network=lambda inputs, outputs: models.mlp((inputs, outputs)),
        solver=lambda rate: optax.adam(rate),
        learning_rate_init=0.05, max_iter=30, random_state=0,
    )  # fmt: skip
    plain = NetworkClassifier(**LINEAR, max_iter=30)
    expected = plain.fit(x, y).predict_proba(x)
    np.testing.assert_allclose(net.fit(x, y).predict_proba(x), expected, rtol=1e-5)
