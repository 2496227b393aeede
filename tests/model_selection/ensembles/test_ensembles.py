"""Ensembles against scikit-learn's votes, identities and hand-worked examples."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import enable_x64
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_iris
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from jaxdl import families
from jaxdl.families import links
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


@pytest.mark.equation("L607", "L613")
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
    # of two members that differ, each has one vote: the lowest class wins in both libraries
    two = VotingClassifier(members[:2], voting="hard").fit(x, y)
    assert (labels[0] > labels[1]).any() and (labels[0] < labels[1]).any()
    voted = hard_vote(labels[:2], num_classes=3).labels
    np.testing.assert_array_equal(voted, two.predict(x))
    np.testing.assert_array_equal(voted, labels[:2].min(0))


@pytest.mark.equation("L607", "L613")
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
    # a label that is no class is no vote
    assert hard_vote(jnp.array([[7], [-1], [2]]), num_classes=3).labels.tolist() == [2]


decompose = jax.jit(ambiguity_decomposition)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.sampled_from([(1, 3), (2, 1), (5, 8)]), st.integers(0, 2**31), st.floats(0.01, 1e3))
def test_the_average_gains_exactly_the_ambiguity(shape, seed, scale):
    rng = np.random.default_rng(seed)
    f, y, a = rng.normal(size=shape) * scale, rng.normal(size=shape[1]), rng.random(shape[0]) + 0.1
    with enable_x64(True):
        for weights in (None, jnp.asarray(a)):
            result = decompose(f, y, weights)
            np.testing.assert_allclose(
                result.ensemble, result.members - result.ambiguity, rtol=1e-9, atol=1e-12
            )
            assert result.ambiguity >= 0
        by_numpy = np.average((f - y) ** 2, axis=0, weights=a).mean()
        np.testing.assert_allclose(result.members, by_numpy, rtol=1e-12)
        equal = decompose(f, y, None)
        np.testing.assert_allclose(equal.ambiguity, f.var(0).mean(), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(equal.ensemble, ((f.mean(0) - y) ** 2).mean(), rtol=1e-12)


def test_diversity_is_the_variance_over_members():
    f = jnp.array([[[1.0, 5.0]], [[3.0, 5.0]]])
    assert diversity(f) == 0.5  # variances 1 and 0
    np.testing.assert_allclose(diversity(f, jnp.array([1.0, 3.0])), 0.375)  # 0.75 and 0


@pytest.mark.equation("L601")
def test_averages():
    rng = np.random.default_rng(0)
    f = rng.normal(size=(3, 4)).astype(np.float32)
    np.testing.assert_allclose(average(f), f.mean(0), rtol=1e-6)
    weighted = average(f, jnp.array([1.0, 1.0, 2.0]))
    np.testing.assert_allclose(weighted, (f[0] + f[1] + 2 * f[2]) / 4, rtol=1e-5)
    np.testing.assert_allclose(jax.jit(average)(f), f.mean(0), rtol=1e-6)
    assert abs(jax.grad(lambda f: average(f)[0])(f)[:, 0] - 1 / 3).max() < 1e-6


@pytest.mark.equation("L601")
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
    networks = ({"dense_0": params, "dense_1": params}, [w, w], (w,), {"kernel": params})
    for network in networks:
        with pytest.raises(ValueError, match="not one linear model"):
            average_parameters(network, "identity")
    for members in (w[:0], jnp.ones(()), {"kernel": w, "bias": jnp.zeros((3, 1))}, {}):
        with pytest.raises(ValueError, match="at least one member"):
            average_parameters(members, "identity")


def test_polynomials_of_two_degrees_share_a_basis_by_zeros(x64):
    short, long = jnp.array([1.0, 2.0]), jnp.array([0.0, 1.0, 3.0])
    stacked = zero_pad([short, long])
    assert stacked.tolist() == [[1, 2, 0], [0, 1, 3]]
    x = jnp.linspace(-1, 1, 5)
    basis = x[:, None] ** jnp.arange(3)
    average_of_two = (np.polyval([2, 1], x) + np.polyval([3, 1, 0], x)) / 2
    np.testing.assert_allclose(basis @ average_parameters(stacked, "identity"), average_of_two)


def test_bootstrap_leaves_out_about_a_third(key):
    rows, unseen = jax.jit(lambda key: bootstrap(key, 500, 40))(key)
    assert rows.shape == unseen.shape == (40, 500)
    np.testing.assert_array_equal(np.unique(rows), np.arange(500))  # the first and the last too
    assert abs(float(unseen.mean()) - np.exp(-1)) < 0.01
    for j in (0, 39):
        np.testing.assert_array_equal(np.flatnonzero(~unseen[j]), np.unique(rows[j]))
    assert (rows[0] != rows[1]).any()
    one, none = bootstrap(jax.random.key(1), 1, 1)
    assert one.tolist() == [[0]] and none.tolist() == [[False]]
    for n, members in ((0, 3), (3, 0)):
        with pytest.raises(ValueError, match="bagging needs rows and members"):
            bootstrap(jax.random.key(1), n, members)


def test_out_of_bag_predictions_by_hand():
    f = jnp.array([[1.0, 2.0, 3.0], [5.0, 6.0, 7.0]])
    unseen = jnp.array([[True, False, False], [True, True, False]])
    np.testing.assert_allclose(out_of_bag(f, unseen), [3, 6, np.nan])
    probabilities = out_of_bag(jnp.stack([f, f], axis=-1), unseen)
    np.testing.assert_allclose(probabilities[:2], [[3, 3], [6, 6]])
    slope = jax.grad(lambda f: out_of_bag(f, unseen)[:2].sum())(f)
    assert slope.tolist() == [[0.5, 0, 0], [0.5, 1, 0]]


def test_bagging_lowers_the_error_of_trees_out_of_bag(key):
    """A step function with noise: J bootstrap means per bin against one."""
    rng = np.random.default_rng(0)
    x = np.linspace(0, 1, 200)
    y = np.sin(8 * x) + rng.normal(size=200)
    rows, unseen = jax.jit(lambda key: bootstrap(key, 200, 30))(key)
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
        (lambda: hard_vote(jnp.zeros((2, 3)), num_classes=2), r"got \(2, 3\) of float32"),
        (lambda: hard_vote(jnp.zeros((2, 3, 4)), num_classes=3), r"got \(2, 3, 4\) of float32"),
        (lambda: soft_vote(jnp.zeros((2, 3))), r"\[J, N, K\], got \(2, 3\)"),
        (
            lambda: ambiguity_decomposition(jnp.zeros((2, 3)), jnp.zeros((3, 1))),
            r"\[J, \*\(3, 1\)\]",
        ),
        (lambda: average(jnp.zeros((0, 3))), "at least one member"),
        (lambda: average(jnp.zeros((2, 3)), jnp.ones(3)), "one a member"),
        (lambda: bootstrap(jax.random.key(0), 0, 2), "rows and members"),
        (lambda: out_of_bag(jnp.zeros(3), jnp.ones((3, 3), bool)), "agree in J and N"),
        (lambda: out_of_bag(jnp.zeros((2, 3)), jnp.ones((2, 1), bool)), "agree in J and N"),
        (lambda: zero_pad([]), "one vector a member"),
        (lambda: zero_pad([jnp.ones(3), jnp.ones((2, 3))]), "one vector a member"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


P = np.random.default_rng(0).dirichlet(np.ones(3), size=(2, 4, 5))  # twice 4 members, 5 rows
TRANSFORMED = {
    "average": average,
    "hard_vote": lambda p: hard_vote(p, num_classes=3),
    "soft_vote": soft_vote,
    "out_of_bag": lambda p: out_of_bag(p, jnp.arange(20).reshape(4, 5) % 3 > 0),
    "diversity": diversity,
    "ambiguity_decomposition": lambda p: ambiguity_decomposition(p, jnp.ones((5, 3), p.dtype)),
    "average_parameters": lambda p: average_parameters(p, "identity"),
    "zero_pad": lambda p: zero_pad([p[0, 0], p[0, 1, :2]]),
}


@pytest.mark.parametrize("fn", TRANSFORMED.values(), ids=TRANSFORMED)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_composition_and_precision(x64, fn, dtype):
    p = jnp.asarray(P, dtype)
    together, each = jax.jit(jax.vmap(fn))(p), [fn(member) for member in p]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *each)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), together, stacked)
    floats = [leaf for leaf in jax.tree.leaves(together) if leaf.dtype != jnp.int32]
    assert {leaf.dtype for leaf in floats} == {jnp.dtype(dtype)}


def test_bootstraps_of_several_keys():
    keys = jax.random.split(jax.random.key(0), 3)
    draw = lambda key: bootstrap(key, 6, 2)
    rows, unseen = jax.jit(jax.vmap(draw))(keys)
    assert rows.shape == unseen.shape == (3, 2, 6) and (rows[0] != rows[1]).any()
    with jax.debug_key_reuse(False):
        np.testing.assert_array_equal(rows[1], jax.jit(draw)(keys[1])[0])


def test_ensembles_of_families_average_their_means():
    eta = jnp.array([[0.0, 2.0], [4.0, -2.0]])
    family = families.bernoulli()
    np.testing.assert_allclose(average(family.mean(eta)), links.logistic(eta).mean(0), rtol=1e-6)
