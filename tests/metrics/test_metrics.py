"""Metrics against scikit-learn, on any labels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import exceptions as sk_exceptions
from sklearn import metrics as sk

from jaxdl import metrics

K = 4
labels = st.lists(st.tuples(st.integers(0, K - 1), st.integers(0, K - 1)), min_size=12, max_size=12)
few = settings(deadline=None, max_examples=40, derandomize=True)


@pytest.mark.equation("L526", "L532", "L540", "L544")
@few
@given(labels, st.sampled_from([0.0, 1.0]), st.sampled_from([None, "macro", "micro", "weighted"]))
def test_equal_to_scikit_learn_on_any_labels(pairs, zero_division, average):
    true, predicted = np.array(pairs).T
    how = {"average": average, "zero_division": zero_division}
    for ours, theirs in [
        (metrics.precision, sk.precision_score),
        (metrics.recall, sk.recall_score),
        (metrics.f1_score, sk.f1_score),
    ]:
        expected = theirs(true, predicted, labels=range(K), **how)
        np.testing.assert_allclose(ours(true, predicted, num_classes=K, **how), expected, rtol=1e-5)
    for normalize in (None, "true", "pred", "all"):
        np.testing.assert_allclose(
            metrics.confusion_matrix(true, predicted, num_classes=K, normalize=normalize),
            sk.confusion_matrix(true, predicted, labels=range(K), normalize=normalize),
            rtol=1e-6,
        )
    assert metrics.accuracy(true, predicted) == pytest.approx(sk.accuracy_score(true, predicted))
    assert metrics.balanced_accuracy(true, predicted, num_classes=K) == pytest.approx(
        np.mean([np.mean(predicted[true == k] == k) for k in set(true)])
    )


def test_masks_are_sub_selections():
    rng = np.random.default_rng(0)
    true, predicted = rng.integers(0, K, (2, 12))
    mask = rng.random(12) < 0.6
    noisy = np.where(mask, predicted, 99)
    np.testing.assert_array_equal(
        metrics.confusion_matrix(true, noisy, num_classes=K, mask=mask),
        sk.confusion_matrix(true[mask], predicted[mask], labels=range(K)),
    )
    assert metrics.accuracy(true, predicted, mask=mask) == pytest.approx(
        np.mean(true[mask] == predicted[mask])
    )
    a, b = rng.normal(size=(2, 12))
    assert metrics.root_mean_squared_error(a, np.where(mask, b, np.nan), mask=mask) == (
        pytest.approx(sk.root_mean_squared_error(a[mask], b[mask]))
    )
    assert metrics.r2_score(a, b, mask=mask) == pytest.approx(sk.r2_score(a[mask], b[mask]))


@pytest.mark.equation("L520")
def test_regression_metrics(x64):
    rng = np.random.default_rng(1)
    y, f = rng.normal(size=(2, 9, 3))
    for how in ("uniform_average", "raw_values"):
        np.testing.assert_allclose(
            metrics.root_mean_squared_error(y, f, multioutput=how),
            sk.root_mean_squared_error(y, f, multioutput=how),
            rtol=1e-12,
        )
    # E-25: in the units of the response.
    np.testing.assert_allclose(
        metrics.root_mean_squared_error(1000 * y, 1000 * f),
        1000 * metrics.root_mean_squared_error(y, f),
    )
    np.testing.assert_allclose(metrics.r2_score(y[:, 0], f[:, 0]), sk.r2_score(y[:, 0], f[:, 0]))


@pytest.mark.equation("L434", "L495")
def test_log_loss(x64):
    rng = np.random.default_rng(2)
    pi = rng.dirichlet(np.ones(3), 8)
    y = rng.integers(0, 3, 8)
    np.testing.assert_allclose(
        metrics.log_loss(y, pi), sk.log_loss(y, pi, labels=range(3)), rtol=1e-12
    )
    p = rng.random(8)
    np.testing.assert_allclose(metrics.log_loss(y % 2, p), sk.log_loss(y % 2, p), rtol=1e-12)
    worst = metrics.log_loss(np.array([0, 1]), np.array([1.0, 0.0]))  # clipped to 2^-52
    np.testing.assert_allclose(worst, 52 * np.log(2), rtol=1e-12)
    loss = lambda f, t: (f - t) ** 2
    assert metrics.held_out_loss(loss, jnp.array([1.0, 3.0]), jnp.array([0.0, 1.0])) == 2.5


@pytest.mark.parametrize("n", [49, 50, 1000, 99_991])
def test_right_rows_are_counted_and_divided_once(n):
    """Exactly 1, and the float nearest to any other share: no sum of n times 1/n."""
    labels = np.arange(n) % 3
    assert metrics.accuracy(labels, labels) == 1
    one_wrong = np.where(np.arange(n) == 7, 2 - labels + (labels == 1), labels)
    assert metrics.accuracy(labels, one_wrong) == np.float32((n - 1) / n)
    mask = np.arange(n) % 2 == 0
    assert metrics.accuracy(labels, np.where(mask, labels, 9), mask=mask) == 1
    assert metrics.held_out_loss(lambda f, y: f - y, labels + 1.0, labels, mask=mask) == 1
    p = np.eye(3, dtype=np.float32)[labels]
    bins = metrics.reliability(p, labels)
    assert bins.accuracy[-1] == 1 and bins.count[-1] == n and bins.count.dtype == np.int32


def test_labels_of_any_dtype_are_labels():
    """A float between 0 and 1 is a probability, another whole one a label; the rest is refused."""
    accuracy = metrics.accuracy
    assert accuracy([0, 1, 2], [0.0, 1.0, 2.0]) == 1
    assert accuracy([0, 1, 2, 5], [0.4, 0.5, 2.0, 4.0]) == 0.75
    assert accuracy([0.0, 1.0, 3.0], [0, 1, 3]) == accuracy([False, True], [0, 1]) == 1
    assert jax.jit(accuracy)(jnp.arange(3), jnp.arange(3.0)) == 1
    assert accuracy([0, 0], [np.nan, 0.1]) == 0.5  # what diverged predicts no class
    assert accuracy([0, 0], [[np.nan, np.nan], [0.9, 0.1]]) == 0.5
    assert accuracy([1, 0], [7.5, 0.2], mask=[False, True]) == 1
    assert accuracy([1, 0], [1, 1], mask=[False, False]) == 0
    for arguments, message in [
        (([0, 1], [-1.3, 4.2]), "y_pred holds labels, probabilities of class 1 .*, not -1.3"),
        (([0.5, 1.2], [0.5, 1.0]), "y_true holds labels, not 0.5"),
        (([np.nan, 1.0], [0, 1]), "y_true holds labels, not nan"),
        (([0, 1], [[0.9], [0.2]]), r"K from 2 on, or \[N\], not \(2, 1\)"),
        ((1, 1), "scalars"),
    ]:
        with pytest.raises(ValueError, match=message):
            accuracy(*arguments)


@pytest.mark.parametrize("average", ["macro", "weighted", "micro"])
def test_means_leave_out_what_is_not_a_number(average):
    """``zero_division=nan`` as scikit-learn; where nothing counts at all, ``zero_division``."""
    how = {"average": average, "zero_division": np.nan}
    for true, predicted in [
        ([0, 0, 1], [0, 0, 0]), ([0, 0], [0, 0]), ([1, 1], [0, 0]), ([0, 3, 3], [3, 3, 0]),
    ]:  # fmt: skip
        for ours, theirs in [
            (metrics.precision, sk.precision_score),
            (metrics.recall, sk.recall_score),
            (metrics.f1_score, sk.f1_score),
        ]:
            expected = theirs(true, predicted, labels=range(K), **how)
            np.testing.assert_allclose(
                ours(true, predicted, num_classes=K, **how), expected, rtol=1e-6
            )
    nothing = {"num_classes": K, "average": average, "mask": [False, False]}
    for zero_division in (0.0, 0.25, np.nan):
        for metric in (metrics.precision, metrics.recall, metrics.f1_score):
            found = metric([0, 1], [1, 1], zero_division=zero_division, **nothing)
            np.testing.assert_equal(float(found), zero_division)


def test_determination_of_a_constant():
    """1 where predicted exactly, else 0, whatever the mean of equal values rounds to."""
    constant = np.full(50, 0.1, np.float32)
    for wrong in (0.0, 1e-7, 1.0, 1e30):
        predicted = constant + np.float32(wrong) * (np.arange(50) == 3)
        expected = 1 if wrong == 0 else 0
        assert metrics.r2_score(constant, predicted) == expected
        assert sk.r2_score(np.zeros(50), predicted - constant) == expected
    mask = np.arange(50) != 3
    assert metrics.r2_score(np.where(mask, 0.1, np.nan), constant, mask=mask) == 1
    with pytest.raises(ValueError, match=r"must be \[N\], not \(2, 2\)"):
        metrics.r2_score(np.eye(2), np.eye(2))


def test_determination_of_one_row_is_scikit_learns():
    """And of one that counts; two rows have one."""
    for f in (1.0, 2.0):
        with pytest.warns(sk_exceptions.UndefinedMetricWarning):
            expected = sk.r2_score([1.0], [f])
        np.testing.assert_equal(float(metrics.r2_score([1.0], [f])), expected)
        masked = metrics.r2_score([1.0, 5.0], [f, 5.0], mask=np.array([True, False]))
        np.testing.assert_equal(float(masked), expected)
    assert metrics.r2_score([1.0, 3.0], [1.0, 2.0]) == sk.r2_score([1.0, 3.0], [1.0, 2.0])


@pytest.mark.parametrize(("mean", "unit"), [(2000, 0.01), (0, 1e-25), (0, 1e25), (1e6, 1)])
def test_regression_metrics_in_any_unit_in_float32(mean, unit):
    rng = np.random.default_rng(3)
    y = np.float32(mean + unit * rng.normal(size=200))
    f = np.float32(y + 0.5 * unit * rng.normal(size=200))
    wide = y.astype(float) / unit, f.astype(float) / unit
    np.testing.assert_allclose(metrics.r2_score(y, f), sk.r2_score(*wide), rtol=1e-5)
    rmse = metrics.root_mean_squared_error(y, f)
    np.testing.assert_allclose(rmse / unit, sk.root_mean_squared_error(*wide), rtol=1e-5)
    assert metrics.root_mean_squared_error(y, y) == 0
    assert metrics.root_mean_squared_error(np.float32([0.0]), np.float32([np.inf])) == np.inf


def test_log_loss_of_what_are_no_probabilities(x64):
    """scikit-learn's values with its warning, its refusals (from 1.8 on); NaN where nothing is refused."""
    y = np.array([0, 1, 0])
    for pi in ([[0, 0], [0.5, 0.5], [1, 0]], [[0.2, 0.2], [0.5, 0.5], [0.9, 0.4]]):
        pi = np.array(pi, float)
        with pytest.warns(UserWarning, match="do not sum to one"):
            expected = sk.log_loss(y, pi)
        with pytest.warns(UserWarning, match="do not sum to one"):
            found = metrics.log_loss(y, pi)
        np.testing.assert_allclose(found, expected, rtol=1e-12)
        np.testing.assert_allclose(jax.jit(metrics.log_loss)(y, pi), expected, rtol=1e-12)
        assert np.isfinite(metrics.log_loss(y, pi, mask=[False, True, False]))  # and no warning
    for pi in ([[-0.1, 1.1], [0.5, 0.5], [1, 0]], [[0.5, 0.5], [0.5, 1.5], [1, 0]], [-0.2, 0.4, 1]):
        pi = np.array(pi, float)
        with pytest.raises(ValueError, match=r"probabilities lie in \[0, 1\], got"):
            metrics.log_loss(y, pi)
        assert np.isnan(jax.jit(metrics.log_loss)(y, pi))


@pytest.mark.equation("L526")
def test_one_half_rounds_up():
    """D-31: numpy and JAX round 0.5 to the even 0; the notes' classifier says 1."""
    assert jnp.round(0.5) == 0
    assert metrics.round_prediction(jnp.array([0.5, 0.49])).tolist() == [1, 0]
    assert metrics.accuracy(jnp.array([1]), jnp.array([0.5])) == 1
    assert metrics.accuracy(jnp.array([1]), jnp.array([0.5]), threshold=0.6) == 0
    assert metrics.round_prediction(jnp.array([[0.4, 0.4, 0.2]])).tolist() == [0]


def test_a_classifier_that_never_sees_fraud():
    """E-24, D-27: 99.9 % accurate and useless; 0/0 is 0 on request, not NaN."""
    true = np.zeros(1000, int)
    true[7] = 1
    never = np.zeros(1000, int)
    report = metrics.classification_report(true, never, num_classes=2, names=("fine", "fraud"))
    assert float(report.accuracy) == pytest.approx(0.999)
    assert report.scores.recall.tolist() == [1, 0]
    assert report.scores.precision[1] == 0
    with np.errstate(invalid="ignore"):
        literal = np.diag(sk.confusion_matrix(true, never))[1] / np.float64(never.sum())
    assert np.isnan(literal)
    assert "fraud      0.00      0.00      0.00         1" in str(report)
    theirs = sk.classification_report(true, never, output_dict=True, zero_division=0.0)
    np.testing.assert_allclose(report.weighted[2], theirs["weighted avg"]["f1-score"], rtol=1e-6)
    np.testing.assert_allclose(report.macro[2], theirs["macro avg"]["f1-score"], rtol=1e-6)


@pytest.mark.equation("L544")
def test_macro_f1_is_the_mean_of_the_classes():
    """D-30: not the F1 of macro precision and recall."""
    true = np.array([0] * 6 + [1] * 3 + [2] * 2)
    predicted = np.array([0, 0, 0, 0, 1, 2, 1, 1, 0, 2, 1])
    how = {"num_classes": 3, "average": "macro"}
    ours = metrics.f1_score(true, predicted, **how)
    p, r = metrics.precision(true, predicted, **how), metrics.recall(true, predicted, **how)
    assert ours == pytest.approx(sk.f1_score(true, predicted, average="macro"))
    assert abs(ours - 2 * p * r / (p + r)) > 1e-3


def test_everything_is_jittable_and_vmappable():
    true, predicted = jnp.array([0, 1, 2, 2]), jnp.array([[0, 1, 2, 1], [2, 1, 2, 2]])
    for fn in (metrics.precision, metrics.recall, metrics.f1_score, metrics.balanced_accuracy,
               metrics.confusion_matrix):  # fmt: skip
        each = [fn(true, p, num_classes=3) for p in predicted]
        both = jax.jit(jax.vmap(lambda p, fn=fn: fn(true, p, num_classes=3)))(predicted)
        np.testing.assert_allclose(both, each, rtol=1e-6)
    traced = jax.jit(lambda t, y: metrics.confusion_matrix(t, y, num_classes=2))
    assert traced(true, predicted[0]).sum() == 2  # rows with a class outside are left out
    thresholds = jax.vmap(lambda t: metrics.accuracy(true > 0, jnp.linspace(0, 1, 4), threshold=t))
    assert thresholds(jnp.array([0.1, 0.9])).tolist() == [1.0, 0.5]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.confusion_matrix([0, 3], [0, 1], num_classes=3), r"lie in 0..2, got 0 to 3"),
        (lambda: metrics.confusion_matrix([0, -1], [0, 1], num_classes=3), r"got -1 to 0"),
        (lambda: metrics.confusion_matrix([0.0], [0], num_classes=3), "whole numbers"),
        (lambda: metrics.confusion_matrix([0], [0], num_classes=3, normalize="row"), "normalize is one of .*not 'row'"),
        (lambda: metrics.accuracy(jnp.zeros(3, int), jnp.zeros((3, 1, 1), int)), "one shape"),
        (lambda: metrics.root_mean_squared_error(jnp.zeros(3), jnp.zeros((3, 1))), "one shape"),
        (lambda: metrics.root_mean_squared_error([1.0], [1.0], multioutput="sum"), "multioutput is one of .*not 'sum'"),
        (lambda: metrics.f1_score([0], [0], num_classes=1, average="mean"), "average is one of"),
        (lambda: metrics.log_loss(jnp.zeros(3, int), jnp.zeros((2, 2))), r"got \(3,\), \(2, 2\)"),
        (lambda: metrics.accuracy([0], [0], mask=[True, False]), "one entry a row"),
        (lambda: metrics.classification_report([0], [0], num_classes=1, names=("a", "b")), "2 names for 1"),
    ],
)  # fmt: skip
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
