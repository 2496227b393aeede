"""Nested cross-validation and learning curves, against the same work done call by call."""

import jax
import numpy as np
import pytest
from networks import classifier, three_classes

from jaxdl.model_selection import (
    cross_validate,
    learning_curve,
    member_key,
    nested_cross_validate,
    tables,
)
from jaxdl.training import fit

HOW = {"epochs": 4, "batch_size": 8}


@pytest.mark.slow
def test_nested_equals_choosing_and_scoring_by_hand(x64):
    x, y = three_classes(45, dtype=np.float64)
    grid = {"rate": [0.001, 0.1]}
    nested = nested_cross_validate(classifier, grid, (x, y), key=jax.random.key(0), outer=2,
                                   inner=2, metric="nll", seeds=2, **HOW)  # fmt: skip
    assert nested.study.num_programs == 1
    outer, more = nested.study.folds[:2], nested.study.folds[2:]
    plain = cross_validate(classifier, grid, (x, y), key=jax.random.key(0), folds=outer,
                           metric="nll", seeds=2, **HOW)  # fmt: skip
    for o, fold in enumerate(outer):
        means = []
        inner = more[2 * o : 2 * o + 2]
        assert sorted(n for part in inner for n in part.valid) == fold.train.tolist()
        assert all(set(part.train) | set(part.valid) == set(fold.train) for part in inner)
        assert np.ptp(np.bincount(y[fold.valid])) <= 1 >= np.ptp(np.bincount(y[inner[0].valid]))
        for h in plain.hparams:
            scores = []
            for i, part in enumerate(inner):
                rows, held = part
                for seed in range(2):
                    alone = fit(
                        classifier(h), (x[rows], y[rows]), validation=(x[held], y[held]),
                        key=member_key(jax.random.key(0), seed, 2 + 2 * o + i), evaluate_every=4, **HOW,
                    )  # fmt: skip
                    scores.append(float(alone.history.validation["nll"][-1]))
            means.append(np.mean(scores))
        assert nested.choices[o].index == int(np.argmin(means))
        chosen = plain.scores["nll"][nested.choices[o].index, o]
        np.testing.assert_allclose(nested.scores[o], chosen)
    assert nested.mean == pytest.approx(nested.scores.mean())
    assert nested.non_nested == pytest.approx(plain.best().mean)
    assert nested.mean >= nested.non_nested - 1e-12  # of a loss
    first, second = nested.scores.mean(1)  # the deviation of two numbers over the root of two
    assert nested.standard_error == pytest.approx(abs(first - second) / 2, rel=1e-12)
    assert nested.standard_error > 1e-3
    lines = repr(nested).splitlines()
    assert lines[0].startswith(f"nll {nested.mean:.4f} ± {nested.standard_error:.4f} over 2 outer")
    assert len(lines) < 6 and lines[-1] == tables.caption(nested.study)


def test_a_learning_curve_trains_on_growing_parts(x64):
    x, y = three_classes(45, dtype=np.float64)
    curve = learning_curve(classifier, {"rate": 0.03}, (x, y), key=jax.random.key(0),
                           sizes=[0.2, 12, 1.0], folds=3, seeds=2, **HOW)  # fmt: skip
    assert curve.sizes.tolist() == [6, 12, 30]
    assert curve.scores["nll"].shape == curve.train_scores["nll"].shape == (3, 3, 2)
    assert curve.study.num_programs == 1
    folds = curve.study.folds
    for f in range(3):
        small, middle, large = (set(folds[m * 3 + f].train) for m in range(3))
        assert small < middle < large
    rows, held = folds[4].train, folds[4].valid
    _, key = jax.random.split(jax.random.key(0))
    alone = fit(classifier({"rate": 0.03}), (x[rows], y[rows]), key=member_key(key, 1, 4),
                validation=(x[held], y[held]), evaluate_every=4, **HOW)  # fmt: skip
    np.testing.assert_allclose(
        alone.history.validation["nll"][-1], curve.scores["nll"][1, 1, 1], rtol=1e-9
    )
    lines = repr(curve).splitlines()
    assert len(lines) == 5 and [line.split()[0] for line in lines[1:4]] == ["6", "12", "30"]
    by_fold = curve.scores["accuracy"][2].mean(1)
    assert f"{by_fold.mean():.4f} ± {by_fold.std(ddof=1) / np.sqrt(3):.4f}" in lines[3]


@pytest.mark.parametrize("sizes", [[], [0.0], [1.5], [31], [-1]])
def test_bad_sizes(sizes):
    with pytest.raises(ValueError, match="sizes must lie"):
        learning_curve(classifier, {"rate": 0.1}, three_classes(45), key=jax.random.key(0),
                       sizes=sizes, folds=3, **HOW)  # fmt: skip


def test_folds_have_their_own_names():
    with pytest.raises(TypeError, match="outer and inner"):
        nested_cross_validate(classifier, {"rate": [0.1]}, three_classes(45),
                              key=jax.random.key(0), folds=3, **HOW)  # fmt: skip
