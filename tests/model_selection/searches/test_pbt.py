"""Population-based training: its schedule, trained by one fit, gives the winner's weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from networks import softmax_learner, three_classes
from tiny_study import assert_same, study

from jaxdl.model_selection import (
    Exploring,
    log_uniform,
    member_key,
    population_based_training,
    refit,
    scheduled,
    uniform,
)
from jaxdl.model_selection.searches.exploring import exploit, explore
from jaxdl.training import fit
from jaxdl.training.host import driver

SPACE = {"rate": log_uniform(0.003, 0.3), "noise": uniform(0.0, 0.5)}
HOW = {
    "folds": 2, "seeds": 2, "epochs": 8, "every": 2, "size": 5, "batch_size": 8,
    "keep": ("states", "predictions"), "metric": "nll",
}  # fmt: skip


def evolved(space=SPACE, make=softmax_learner, key=0, **how):
    return population_based_training(
        make, space, three_classes(48), key=jax.random.key(key), **{**HOW, **how}
    )


@pytest.fixture(scope="module")
def found():
    return evolved()


@pytest.mark.smoke
def test_the_winners_schedule_in_one_fit_gives_its_weights(found):
    """On each fold and seed: 24 rows in batches of 8 are 3 steps an epoch, 6 a stretch."""
    x, y = three_classes(48)
    copied = found.parents != np.arange(5)
    assert copied.any() and np.any(np.ptp(found.schedules["rate"], axis=1) > 0)
    moved = np.argmax(np.ptp(found.schedules["rate"], axis=1))
    for index in {found.study.best().index, int(moved)}:
        learner = scheduled(softmax_learner, found.schedule(index), every=6)
        for f, fold in enumerate(found.study.folds):
            for k, seed in enumerate(found.study.seeds):
                alone = fit(
                    learner, (x[fold.train], y[fold.train]), key=member_key(jax.random.key(0), seed, f),
                    epochs=8, batch_size=8, validation=(x[fold.valid], y[fold.valid]),
                )  # fmt: skip
                pick = lambda leaf, i=index, f=f, k=k: leaf[i, f, k]
                ours = jax.tree.map(pick, found.study.states[0])
                np.testing.assert_allclose(alone.state.params, ours.params, rtol=2e-4, atol=1e-5)
                np.testing.assert_allclose(
                    alone.history.loss, found.study.train_loss[index, f, k], rtol=2e-4
                )
                np.testing.assert_allclose(
                    alone.history.validation["nll"][1::2],
                    found.study.curves["nll"][index, f, k], rtol=2e-4,
                )  # fmt: skip


def test_lineages_are_what_the_parents_say(found):
    """The first values of a lineage are those of the member at its root."""
    roots = np.arange(5)
    for source in found.parents[::-1]:
        roots = source[roots]
    drawn = evolved(epochs=2, every=2).schedules["rate"][:, 0]
    np.testing.assert_array_equal(found.schedules["rate"][:, 0], drawn[roots])
    for turn, source in enumerate(found.parents):
        moved = source != np.arange(5)
        assert moved.sum() == 1  # a fifth of five
        assert turn < 3


@pytest.mark.slow
def test_one_stretch_is_a_study(found):
    alone = evolved(epochs=2, every=2)
    assert alone.parents.shape == (0, 5)
    plain = study(
        alone.study.hparams, three_classes(48), folds=2, seeds=2, epochs=2, batch_size=8,
        evaluate_every=2, keep=("states", "predictions"), metric="nll",
    )  # fmt: skip
    assert_same(alone.study, plain, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_what_is_resumed_ends_with_the_same_numbers(found, tmp_path, monkeypatch):
    class Stop:
        def __init__(self, at):
            self.at = at

        def start(self, rows):
            list(rows)

        def add(self, rows):
            list(rows)
            self.at -= 1
            if self.at == 0:
                raise KeyboardInterrupt

    from jaxdl.training import Checkpoint

    monkeypatch.setattr(driver, "SECONDS", 1e-9)
    where = Checkpoint(tmp_path, seconds=0)
    for at in (3, 3):  # it saves after each look but the one that it is stopped at
        with pytest.raises(KeyboardInterrupt):
            evolved(checkpoint=where, log=Stop(at))
    got = evolved(checkpoint=where)
    assert_same(got.study, found.study)
    np.testing.assert_array_equal(got.parents, found.parents)
    for name in SPACE:
        np.testing.assert_array_equal(got.schedules[name], found.schedules[name])
    with pytest.raises(ValueError, match="every was 2, is 4"):
        evolved(checkpoint=where, every=4)


@pytest.mark.slow
def test_a_member_that_diverges_goes_on_from_a_good_one():
    """Rates from 0.1 on turn to NaN from the third step on: none of them is left."""
    make = lambda h: softmax_learner({**h, "bad": jnp.where(h["rate"] >= 0.1, 2.0, 1e9)})
    space = {"rate": [0.001, 0.01, 0.05, 0.1, 0.2]}
    got = evolved(space, make, key=1, size=6, exploring=Exploring(0.5, anew=0.0))
    assert np.any(got.schedules["rate"][:, 0] < 0.1) and len(got.parents) == 3
    alive = ~got.study.diverged.any((1, 2))
    assert alive.any() and np.all(got.schedules["rate"][alive, :3] < 0.1)
    assert not got.study.diverged[got.study.best().index].any()


def test_exploit_copies_the_best_to_the_worst():
    loss = np.array([0.5, 0.1, np.inf, 0.2, 0.4, 0.3, 0.9, np.nan, 0.05, 0.6])
    for seed in range(5):
        source = exploit(loss, 0.3, np.random.default_rng(seed))
        moved = source != np.arange(10)
        np.testing.assert_array_equal(np.flatnonzero(moved), [2, 6, 7])
        assert set(source[moved]) <= {8, 1, 3}
    assert exploit(np.array([1.0, 2.0]), 0.01, np.random.default_rng(0)).tolist() == [0, 0]


def test_explore_multiplies_clips_and_takes_neighbours():
    space = {"rate": log_uniform(0.01, 1.0), "l2": [0.0, 1.0, 2.0, 4.0]}
    values = {"rate": np.array([0.1, 0.9, 0.5]), "l2": np.array([1.0, 4.0, 0.0])}
    moved = np.array([True, True, False])
    seen = {"rate": set(), "l2": set()}
    for seed in range(40):
        new = explore(space, values, moved, Exploring(anew=0.0), np.random.default_rng(seed))
        assert new["rate"][2] == 0.5 and new["l2"][2] == 0.0
        assert new["rate"][1] in (0.9 * 0.8, 1.0) and new["l2"][1] in (2.0, 4.0)
        seen["rate"].add(round(float(new["rate"][0]), 6))
        seen["l2"].add(float(new["l2"][0]))
    assert seen == {"rate": {0.08, 0.12}, "l2": {0.0, 2.0}}
    drawn = [
        explore(space, values, moved, Exploring(anew=1.0), np.random.default_rng(s))["rate"][0]
        for s in range(200)
    ]
    assert (
        0.01 <= min(drawn) < 0.02
        and 0.5 < max(drawn) <= 1
        and abs(np.log10(drawn).mean() + 1) < 0.15
    )


def test_a_schedule_is_no_setting_to_refit(found):
    with pytest.raises(ValueError, match="a schedule, not a setting"):
        refit(found.study, three_classes(48))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"space": {"rate": ["a"]}}, "static settings cannot vary"),
        ({"space": {}}, "the space of a population"),
        ({"size": 1}, "at least 2 members"),
        ({"every": 9}, "at most the 8 epochs"),
        ({"exploring": Exploring(0.7)}, "a share lies"),
        ({"exploring": 0.2}, "takes an Exploring"),
    ],
)
def test_bad_input(how, message):
    with pytest.raises(ValueError, match=message):
        evolved(**how)


def test_bad_schedules():
    with pytest.raises(ValueError, match="as many values"):
        scheduled(softmax_learner, {"rate": [0.1, 0.2], "noise": [0.1]}, 2)
    with pytest.raises(ValueError, match="every must be"):
        scheduled(softmax_learner, {"rate": [0.1]}, 0)
