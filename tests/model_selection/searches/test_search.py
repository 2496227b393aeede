"""Searches by rounds: they are the studies of what they propose, compiled once, and can go on."""

import jax
import numpy as np
import pytest
from networks import softmax_learner, three_classes
from test_programs import compilations
from tiny_study import RUN, assert_same, study

import jaxdl
from jaxdl.model_selection import (
    Halving,
    Turn,
    brackets,
    hyperband,
    log_uniform,
    refit,
    search,
    uniform,
)
from jaxdl.model_selection.searches.rounds import Rounds
from jaxdl.training import read_log

SPACE = {"rate": log_uniform(0.01, 1.0), "noise": uniform(0.0, 0.5)}


def searched(space=SPACE, make=softmax_learner, key=0, **how):
    how = {**RUN, "sampler": "halton", "rounds": 3, "per_round": 4, **how}
    return search(make, space, three_classes(), key=jax.random.key(key), **how)


@pytest.fixture(scope="module")
def found():
    return searched()


@pytest.mark.smoke
def test_a_search_is_the_study_of_its_proposals(found):
    plain = study(found.study.hparams)
    assert_same(found.study, plain, rtol=1e-5, atol=1e-6)
    assert len({h["rate"] for h in found.study.hparams}) == 12
    np.testing.assert_array_equal(found.rounds, np.repeat([0, 1, 2], 4))
    np.testing.assert_array_equal(found.proposals, np.arange(12))
    best = [plain.summary()[0][: t + 1].max() for t in range(12)]
    np.testing.assert_allclose(found.best_so_far(), best, rtol=1e-6)
    assert "12 proposals in 3 rounds, 12 of them different" in repr(found)
    assert refit(found.study, three_classes()).predict(three_classes()[0]).shape == (47, 3)


def test_it_compiles_once_over_all_rounds():
    counts = []
    for rounds in (1, 4):
        jaxdl.clear_programs()
        with compilations() as count:
            searched(rounds=rounds)
        counts += count
    assert counts[0] == counts[1] > 0


def conditional(trial):
    rate = trial.suggest_float("rate", 0.01, 1.0, log=True)
    if rate < 0.1:
        return {"kind": "plain", "rate": rate}
    return {"kind": "noisy", "rate": rate, "noise": trial.suggest_float("noise", 0.0, 0.5)}


def of_kind(h):
    return softmax_learner(
        {"rate": h["rate"], "noise": h["noise"] if h["kind"] == "noisy" else 0.1}
    )


@pytest.mark.slow
def test_conditional_spaces_fill_up_populations():
    """Of five points in base 2 three lie in one half, for which there is room for four."""
    got = searched(conditional, of_kind, rounds=1, per_round=5)
    kinds = [h["kind"] for h in got.study.hparams]
    assert {kinds.count("noisy"), kinds.count("plain")} == {2, 3}
    assert all(("noise" in h) == (h["kind"] == "noisy") for h in got.study.hparams)
    assert_same(got.study, study(got.study.hparams, make=of_kind), rtol=1e-5, atol=1e-6)


def test_what_comes_again_is_not_trained_again(monkeypatch):
    trained = []
    train = Rounds.train
    monkeypatch.setattr(
        Rounds, "train", lambda self, s, *a: trained.extend(s) or train(self, s, *a)
    )
    got = searched({"rate": [1, 0.1]}, sampler="random", rounds=2, per_round=6)
    assert sorted(h["rate"] for h in trained) == [0.1, 1.0]
    assert len(got.study.hparams) == 2 and len(got.proposals) == 12
    assert set(got.proposals[:6]) == {0, 1} == set(got.proposals[6:])


def test_an_interrupted_search_goes_on_and_ends_with_the_same_numbers(found, tmp_path, monkeypatch):
    train = Rounds.train

    def interrupted(self, settings, levels, checkpoint):
        if "round_0002" in str(checkpoint.folder):
            raise KeyboardInterrupt
        return train(self, settings, levels, checkpoint)

    monkeypatch.setattr(Rounds, "train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        searched(checkpoint=tmp_path)
    monkeypatch.undo()
    with compilations() as count:
        searched(checkpoint=tmp_path, rounds=2)  # all of it is there
    assert count[0] <= 2
    got = searched(checkpoint=tmp_path)
    assert got.study.hparams == found.study.hparams
    assert_same(got.study, found.study, rtol=1e-6, atol=1e-7)
    with pytest.raises(ValueError, match="round 0 was of other settings"):
        searched(checkpoint=tmp_path, key=1)
    (tmp_path / "proposals.json").write_text("[{]")
    with pytest.raises(ValueError, match="damaged"):
        searched(checkpoint=tmp_path)


def test_the_log_has_a_row_for_each_proposal(found, tmp_path):
    path = tmp_path / "log.jsonl"
    searched(log=path, rounds=2)
    rows = read_log(path)
    assert [row["step"] for row in rows] == list(range(8))
    assert [row["settings"] for row in rows] == found.study.hparams[:8]
    np.testing.assert_allclose([row["value"] for row in rows], found.study.summary()[0][:8])


@pytest.mark.slow
def test_rounds_that_halve_drop_settings_which_are_no_choice():
    got = searched(halving=Halving(2, first=2), rounds=2)
    plain = study(got.study.hparams)
    for turn in (slice(0, 4), slice(4, 8)):
        assert sorted(got.study.dropped[turn]) == [-1, 2, 2, 4]
    whole = got.study.dropped < 0
    np.testing.assert_allclose(
        got.study.scores["accuracy"][whole], plain.scores["accuracy"][whole], rtol=1e-5
    )
    best = np.fmax.accumulate(np.where(whole, plain.summary()[0], np.nan))
    np.testing.assert_allclose(got.best_so_far(), best, rtol=1e-5)


def test_brackets_are_those_of_the_paper():
    """Table 1 of Li et al. (2018): R = 81, factor 3."""
    rows = [(t.count, [tuple(rung) for rung in t.levels]) for t in brackets(81)]
    assert rows == [
        (81, [(1, 27), (3, 9), (9, 3), (27, 1)]),
        (34, [(3, 11), (9, 3), (27, 1)]),
        (15, [(9, 5), (27, 1)]),
        (8, [(27, 2)]),
        (5, []),
    ]


@pytest.mark.slow
def test_hyperband_trains_its_brackets():
    got = hyperband(
        softmax_learner, SPACE, three_classes(), key=jax.random.key(0), epochs=8, factor=2, first=2,
        folds=3, batch_size=12,
    )  # fmt: skip
    assert [t.count for t in brackets(8, 2, 2)] == [4, 3, 3]
    np.testing.assert_array_equal(got.rounds, np.repeat([0, 1, 2], [4, 3, 3]))
    parts = [sorted(got.study.dropped[part]) for part in (slice(4), slice(4, 7), slice(7, 10))]
    assert parts == [[-1, 2, 2, 4], [-1, 4, 4], [-1, -1, -1]]
    plain = study(got.study.hparams)
    first = plain.curves["accuracy"][:4, :, 0, 1].mean(1)  # after 2 epochs
    kept = np.lexsort((np.arange(4), -first))[:2]
    assert set(np.flatnonzero(got.study.dropped[:4] != 2)) == set(kept)
    whole = got.study.dropped < 0
    np.testing.assert_allclose(got.study.summary()[0][whole], plain.summary()[0][whole], rtol=1e-5)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"sampler": "tpee"}, "did you mean 'tpe'"),
        ({"space": {}}, "a space is a dict"),
        ({"space": {"rate": "ab"}}, "must be a list of values"),
        ({"space": {"rate": []}}, "no values"),
        ({"space": {"rate": [0.1], "nosie": [0.1]}}, "never reads 'nosie'"),
        ({"per_round": None}, "per_round must be"),
        ({"rounds": [Turn(2)]}, "rounds as a list"),
        ({"rounds": 0}, "rounds must be"),
        ({"strategy": "map"}, "Execution"),
    ],
)
def test_bad_input(how, message):
    with pytest.raises(ValueError, match=message):
        searched(**how)
