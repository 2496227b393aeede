"""Ensembles against scikit-learn's votes, identities and hand-worked examples."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_iris
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from jaxdl import families, links
from jaxdl.model_selection import (
    ambiguity_decomposition,
    average,
    average_parameters,
    bootstrap,
    diversity,
    hard_vote,
    out_of_bag,
    soft_vote,
    zero_pad,
)


def test_votes_are_scikit_learns():
    rng = np.random.default_rng(0)
    x, y = load_iris(return_X_y=True)
    x = x + rng.normal(size=x.shape)  # so that members disagree
    members = [
        ("a", DecisionTreeClassifier(max_depth=2, random_state=0)),
        ("b", GaussianNB()),
        ("c", LogisticRegression(max_iter=500)),
    ]
    fitted = VotingClassifier(members, voting="hard").fit(x, y)
    p = np.stack([m.predict_proba(x) for m in fitted.estimators_])
    labels = p.argmax(2)
    assert (labels != labels[0]).any()
    np.testing.assert_array_equal(hard_vote(labels, num_classes=3).labels, fitted.predict(x))
    np.testing.assert_array_equal(hard_vote(p, num_classes=3).labels, fitted.predict(x))
    fitted.voting, fitted.weights = "soft", [1, 2, 1]
    vote = soft_vote(p, jnp.array([1.0, 2.0, 1.0]))
    np.testing.assert_array_equal(vote.labels, fitted.predict(x))
    np.testing.assert_allclose(vote.shares, fitted.predict_proba(x), rtol=1e-5)


def test_a_confident_minority_wins_the_soft_vote_only():
    """Two members lean to class 0 (0.6, 0.6), one is sure of class 1 (0.99)."""
    p = jnp.array([[[0.6, 0.4]], [[0.6, 0.4]], [[0.01, 0.99]]])
    hard, soft = hard_vote(p, num_classes=2), soft_vote(p)
    assert hard.labels.tolist() == [0] and soft.labels.tolist() == [1]
    np.testing.assert_allclose(hard.shares, [[2 / 3, 1 / 3]], rtol=1e-6)
    np.testing.assert_allclose(soft.shares, [[1.21 / 3, 1.79 / 3]], rtol=1e-6)


def test_ties_go_to_the_lowest_class():
    """D-36."""
    assert hard_vote(jnp.array([[2], [1]]), num_classes=3).labels.tolist() == [1]
    p = jnp.array([[[0.0, 0.5, 0.5]], [[0.0, 0.5, 0.5]]])
    assert soft_vote(p).labels.tolist() == [1]


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(1, 6), st.integers(1, 8), st.integers(0, 2**31))
def test_the_average_gains_exactly_the_ambiguity(members, rows, seed):
    rng = np.random.default_rng(seed)
    f, y, a = rng.normal(size=(members, rows)), rng.normal(size=rows), rng.random(members) + 0.1
    for weights in (None, jnp.asarray(a)):
        result = ambiguity_decomposition(f, y, weights)
        np.testing.assert_allclose(
            result.ensemble, result.members - result.ambiguity, rtol=1e-4, atol=1e-5
        )
        assert result.ambiguity >= 0
        np.testing.assert_allclose(diversity(f, weights), result.ambiguity, rtol=1e-6)
    np.testing.assert_allclose(
        ambiguity_decomposition(f, y).ambiguity, f.var(0).mean(), rtol=1e-4, atol=1e-6
    )


def test_averages():
    rng = np.random.default_rng(0)
    f = rng.normal(size=(3, 4)).astype(np.float32)
    np.testing.assert_allclose(average(f), f.mean(0), rtol=1e-6)
    weighted = average(f, jnp.array([1.0, 1.0, 2.0]))
    np.testing.assert_allclose(weighted, (f[0] + f[1] + 2 * f[2]) / 4, rtol=1e-5)
    np.testing.assert_allclose(jax.jit(average)(f), f.mean(0), rtol=1e-6)
    assert abs(jax.grad(lambda f: average(f)[0])(f)[:, 0] - 1 / 3).max() < 1e-6


def test_parameters_average_for_the_identity_link_alone(x64):
    """D-35: for logistic models the averaged parameters predict something else."""
    rng = np.random.default_rng(0)
    w, x = jnp.asarray(rng.normal(size=(4, 3, 1)) * 3), jnp.asarray(rng.normal(size=(9, 3)))
    params = {"kernel": w, "bias": jnp.arange(4.0)[:, None]}
    mean = average_parameters(params, "identity")
    each = jnp.einsum("nd,jdk->jnk", x, w) + params["bias"][:, None]
    np.testing.assert_allclose(x @ mean["kernel"] + mean["bias"], average(each), atol=1e-12)
    of_means = links.logistic(x @ mean["kernel"] + mean["bias"])
    assert abs(of_means - average(links.logistic(each))).max() > 0.05
    with pytest.raises(ValueError, match="logit link"):
        average_parameters(params, "logit")
    with pytest.raises(ValueError, match="not one linear model"):
        average_parameters({"dense_0": params, "dense_1": params}, "identity")


def test_polynomials_of_two_degrees_share_a_basis_by_zeros(x64):
    short, long = jnp.array([1.0, 2.0]), jnp.array([0.0, 1.0, 3.0])
    stacked = zero_pad([short, long])
    assert stacked.tolist() == [[1, 2, 0], [0, 1, 3]]
    x = jnp.linspace(-1, 1, 5)
    basis = x[:, None] ** jnp.arange(3)
    average_of_two = (np.polyval([2, 1], x) + np.polyval([3, 1, 0], x)) / 2
    np.testing.assert_allclose(basis @ average_parameters(stacked, "identity"), average_of_two)


def test_bootstrap_leaves_out_about_a_third(key):
    rows, unseen = bootstrap(key, 500, 40)
    assert rows.shape == unseen.shape == (40, 500) and rows.min() >= 0 and rows.max() < 500
    assert abs(float(unseen.mean()) - np.exp(-1)) < 0.01
    for j in (0, 39):
        np.testing.assert_array_equal(np.flatnonzero(~unseen[j]), np.unique(rows[j]))
    assert (rows[0] != rows[1]).any()


def test_out_of_bag_predictions_by_hand():
    f = jnp.array([[1.0, 2.0, 3.0], [5.0, 6.0, 7.0]])
    unseen = jnp.array([[True, False, False], [True, True, False]])
    np.testing.assert_allclose(out_of_bag(f, unseen), [3, 6, np.nan])
    probabilities = out_of_bag(jnp.stack([f, f], axis=-1), unseen)
    np.testing.assert_allclose(probabilities[:2], [[3, 3], [6, 6]])


def test_bagging_lowers_the_error_of_trees_out_of_bag(key):
    """A step function with noise: J bootstrap means per bin against one."""
    rng = np.random.default_rng(0)
    x = np.linspace(0, 1, 200)
    y = np.sin(8 * x) + rng.normal(size=200)
    rows, unseen = bootstrap(key, 200, 30)
    members = [
        DecisionTreeRegressor(random_state=0).fit(x[i, None], y[i]) for i in np.asarray(rows)
    ]
    f = np.stack([m.predict(x[:, None]) for m in members])
    bagged = np.nanmean((np.asarray(out_of_bag(f, unseen)) - y) ** 2)
    alone = np.mean([np.mean((f[j] - y)[unseen[j]] ** 2) for j in range(30)])
    assert bagged < 0.8 * alone


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: hard_vote(jnp.zeros((2, 3)), num_classes=2), "labels"),
        (lambda: hard_vote(jnp.zeros((2, 3, 4)), num_classes=3), "probabilities"),
        (lambda: soft_vote(jnp.zeros((2, 3))), r"\[J, N, K\]"),
        (lambda: ambiguity_decomposition(jnp.zeros((2, 3)), jnp.zeros((3, 1))), r"\[J"),
        (lambda: average(jnp.zeros((0, 3))), "at least one member"),
        (lambda: average(jnp.zeros((2, 3)), jnp.ones(3)), "one a member"),
        (lambda: bootstrap(jax.random.key(0), 0, 2), "rows and members"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_ensembles_of_families_average_their_means():
    eta = jnp.array([[0.0, 2.0], [4.0, -2.0]])
    family = families.bernoulli()
    np.testing.assert_allclose(average(family.mean(eta)), links.logistic(eta).mean(0), rtol=1e-6)
