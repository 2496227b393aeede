"""Snapshots, the gain of each size, and cross entropies: against runs of their own and by hand."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from networks import softmax_learner, three_classes

from jaxdl.model_selection import (
    cross_entropy_decomposition,
    ensemble_size_curve,
    snapshot_ensemble,
)
from jaxdl.training import fit

RNG = np.random.default_rng(0)
squared = lambda y, f: jnp.mean((y - f) ** 2)


def test_snapshots_are_where_shorter_runs_end():
    data, learner = three_classes(20), softmax_learner({"rate": 0.3})
    run = {"key": jax.random.key(3), "batch_size": 8}
    found = snapshot_ensemble(learner, data, cycles=3, epochs_per_cycle=2, **run)
    for cycle, params in enumerate(found.states.params, 1):
        alone = fit(learner, data, epochs=2 * cycle, **run).state.params
        np.testing.assert_allclose(params, alone, rtol=1e-6)
    assert "3 snapshots of one run" in repr(found)
    for name in ("cycles", "epochs_per_cycle"):
        numbers = {"cycles": 3, "epochs_per_cycle": 2, name: 0}
        with pytest.raises(ValueError, match=f"{name} must be a positive whole number, not 0"):
            snapshot_ensemble(learner, data, **numbers, **run)


def test_the_curve_of_sizes_is_over_neighbours_on_a_circle():
    """Five members in order: of each size the five arcs, every member in as many of them."""
    f, y = RNG.normal(size=(5, 7, 2)), RNG.normal(size=(7, 2))
    exact = [
        np.mean([np.mean((y - f[[(i + k) % 5 for k in range(m)]].mean(0)) ** 2) for i in range(5)])
        for m in range(1, 6)
    ]
    np.testing.assert_allclose(ensemble_size_curve(f, y, squared), exact, rtol=1e-5)


def test_the_curve_of_drawn_circles_is_over_all_sets(key):
    """Sizes 1, J - 1 and J are exact; those between are near the mean over all sets of members."""
    f, y = RNG.normal(size=(4, 6)), RNG.normal(size=6)
    exact = [
        np.mean([np.mean((y - f[list(s)].mean(0)) ** 2) for s in itertools.combinations(range(4), m)])
        for m in range(1, 5)
    ]  # fmt: skip
    found = np.asarray(ensemble_size_curve(f, y, squared, key=key, orders=400))
    np.testing.assert_allclose(found[[0, 2, 3]], np.array(exact)[[0, 2, 3]], rtol=1e-5)
    np.testing.assert_allclose(found[1], exact[1], rtol=0.05)
    in_order = ensemble_size_curve(f, y, squared)[1]
    assert abs(in_order - exact[1]) > 2 * abs(found[1] - exact[1])  # one circle is not all sets


@pytest.mark.parametrize(
    ("f", "score", "message"),
    [
        (np.ones((2, 3)), squared, r"\[J, N, ...\] for y \[N, ...\], got \(2, 3\) and \(4,\)"),
        (np.ones((0, 4)), squared, r"got \(0, 4\)"),
        (np.ones(4), squared, r"got \(4,\)"),
        (np.ones((2, 4)), lambda y, f: y, r"score must give one number, not an array \(4,\)"),
    ],
)
def test_curves_that_make_no_sense(f, score, message):
    with pytest.raises(ValueError, match=message):
        ensemble_size_curve(f, np.ones(4), score)


P = RNG.dirichlet([1, 1, 1], size=(4, 6))
Y = np.array([0, 1, 2, 2, 0, 1])


@pytest.mark.parametrize("weights", [None, np.array([1.0, 2, 3, 4])])
@pytest.mark.parametrize("pool", ["linear", "logarithmic"])
def test_cross_entropy_is_the_mean_less_the_ambiguity(x64, pool, weights):
    a = np.full(4, 0.25) if weights is None else weights / weights.sum()
    rows = np.arange(6)
    each = a @ -np.log(P)[:, rows, Y].mean(1)
    if pool == "linear":
        pooled = np.einsum("j,jnk->nk", a, P)
        gain = np.log(pooled[rows, Y]) - a @ np.log(P[:, rows, Y])
    else:
        pooled = np.prod(P ** a[:, None, None], axis=0)
        pooled /= pooled.sum(1, keepdims=True)
        gain = sum(a_j * (pooled * np.log(pooled / p)).sum(1) for a_j, p in zip(a, P, strict=True))
    found = cross_entropy_decomposition(P, Y, weights, pool=pool)
    nll = -np.log(pooled[rows, Y]).mean()
    np.testing.assert_allclose(found, [nll, each, gain.mean()], rtol=1e-10)
    np.testing.assert_allclose(found[0], found[1] - found[2], rtol=1e-10)


def test_cross_entropies_at_the_edges():
    """A probability of 0 counts as the smallest normal number; a class that there is not is NaN."""
    certain = np.array([[[1.0, 0.0]], [[0.5, 0.5]]], np.float32)
    found = cross_entropy_decomposition(certain, np.array([1]))
    tiny = -np.log(np.finfo(np.float32).tiny)
    np.testing.assert_allclose(found[:2], [np.log(4), (tiny + np.log(2)) / 2], rtol=1e-6)
    for label in (-1, 2):
        assert np.isnan(cross_entropy_decomposition(certain, np.array([label]))[0])
    for p, y in ((certain[0], [1]), (certain, [1, 0]), (certain, [1.0])):
        with pytest.raises(ValueError, match=r"\[J, N, K\] and y labels \[N\]"):
            cross_entropy_decomposition(p, np.array(y))
    with pytest.raises(ValueError, match="pool is one of linear, logarithmic, not 'mean'"):
        cross_entropy_decomposition(certain, np.array([1]), pool="mean")
