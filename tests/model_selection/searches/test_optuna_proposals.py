"""Optuna as the one that proposes: equal to its own loop, continued, told of what failed."""

import jax
import numpy as np
import pytest
from networks import softmax_learner, three_classes
from tiny_study import RUN, study

from jaxdl.model_selection import Halving, log_uniform, search, uniform
from jaxdl.model_selection.searches.optuna_proposals import from_optuna
from jaxdl.model_selection.searches.proposals import Outcome
from jaxdl.model_selection.spaces import as_space

optuna = pytest.importorskip("optuna")
SPACE = {"rate": log_uniform(0.01, 1.0), "noise": uniform(0.0, 0.5)}
HOW = {**RUN, "rounds": 2, "per_round": 4}


def searched(sampler, space=SPACE, make=softmax_learner, **how):
    data = three_classes()
    return search(make, space, data, key=jax.random.key(0), sampler=sampler, **{**HOW, **how})


def objective(h):
    return (np.log10(h["rate"]) + 1) ** 2 + h["noise"]


def by_rounds(sampler, rounds, count, maximize=False, sign=1):
    """The settings that a sampler proposes for a function that is known."""
    proposals = from_optuna(as_space(SPACE), sampler, jax.random.key(3), maximize)
    tried = []
    for turn in range(rounds):
        numbers, settings = proposals.ask(turn, len(tried), count, None)
        proposals.tell(numbers, [Outcome(sign * objective(h)) for h in settings])
        tried += settings
    return tried


def test_one_at_a_time_it_is_optunas_own_loop(key):
    made = lambda: optuna.samplers.TPESampler(seed=7, n_startup_trials=4)
    level = optuna.logging.get_verbosity()
    tried = by_rounds(made(), 12, 1)
    assert optuna.logging.get_verbosity() == level
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    plain = optuna.create_study(sampler=made())
    plain.optimize(lambda trial: objective(as_space(SPACE)(trial)), n_trials=12)
    optuna.logging.set_verbosity(level)
    assert tried == [trial.params for trial in plain.trials]
    assert tried == by_rounds(made(), 12, 1, maximize=True, sign=-1)


@pytest.mark.parametrize("name", ["tpe", "cmaes", pytest.param("gp", marks=pytest.mark.slow)])
def test_rounds_are_spread_and_find_the_best(name, key):
    pytest.importorskip({"tpe": "optuna", "cmaes": "cmaes", "gp": "torch"}[name])
    rounds, count = (4, 5) if name == "gp" else (8, 5)
    tried = by_rounds(name, rounds, count)
    assert tried == by_rounds(name, rounds, count)
    for turn in range(rounds):
        assert len({h["rate"] for h in tried[turn * count : (turn + 1) * count]}) == count
    values = [objective(h) for h in tried]
    assert min(values[-2 * count :]) < 0.15 and np.mean(values[-count:]) < np.mean(values[:count])


def test_a_study_of_optunas_goes_on_in_its_storage(tmp_path):
    storage = f"sqlite:///{tmp_path / 'trials.db'}"
    opened = lambda: optuna.create_study(
        storage=storage, study_name="s", direction="maximize", load_if_exists=True,
        sampler=optuna.samplers.TPESampler(seed=1),
    )  # fmt: skip
    before = opened()
    before.enqueue_trial({"rate": 0.3, "noise": 0.25})
    first = searched(before)
    assert first.study.hparams[0] == {"rate": 0.3, "noise": 0.25}
    more = searched(opened(), rounds=1)
    np.testing.assert_array_equal(more.numbers, [8, 9, 10, 11])
    trials = opened().trials
    assert len(trials) == 12 and all(t.state == optuna.trial.TrialState.COMPLETE for t in trials)
    told = [t.value for t in trials]
    both = np.concatenate([s.study.summary()[0][s.proposals] for s in (first, more)])
    np.testing.assert_allclose(told, both, rtol=1e-6)
    with pytest.raises(ValueError, match="would maximize, but the metric is to minimize"):
        searched(opened(), metric="nll")


@pytest.mark.slow
def test_an_interrupted_search_adopts_the_trials_that_it_left_in_the_storage(tmp_path, monkeypatch):
    from jaxdl.model_selection.searches.rounds import Rounds

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=1))
    train, calls = Rounds.train, []

    def interrupted(self, *args):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return train(self, *args)

    monkeypatch.setattr(Rounds, "train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        searched(study, checkpoint=tmp_path)
    running = optuna.trial.TrialState.RUNNING
    assert [t.state == running for t in study.trials] == [False] * 4 + [True] * 4
    got = searched(study, checkpoint=tmp_path)
    np.testing.assert_array_equal(got.numbers, np.arange(8))
    assert len(study.trials) == 8 and not any(t.state == running for t in study.trials)
    assert got.study.hparams == [trial.params for trial in study.trials]


@pytest.mark.slow
def test_what_diverged_and_what_was_dropped_is_told():
    # Rates above 0.3 turn to NaN after two steps.
    study_of = optuna.create_study(direction="minimize")
    for rate in (0.02, 0.05, 0.1, 0.9):
        study_of.enqueue_trial({"rate": rate})
    make = lambda h: softmax_learner({**h, "bad": 2.0 + 1e9 * (h["rate"] < 0.3)})
    got = searched(
        study_of, {"rate": log_uniform(0.01, 1.0)}, make, rounds=1, metric="nll",
        halving=Halving(2, first=2),
    )  # fmt: skip
    plain = study(got.study.hparams, make=make, metric="nll", halving=Halving(2, first=2))
    by_state = {
        h["rate"]: (t.state.name, t.value, t.intermediate_values)
        for h, t in zip(got.study.hparams, study_of.trials, strict=True)
    }
    pruned = {h["rate"] for h, d in zip(plain.hparams, plain.dropped, strict=True) if d >= 0}
    assert {rate for rate, (state, *_) in by_state.items() if state == "PRUNED"} == pruned
    assert 0.9 in pruned and by_state[0.9][2] == {2: np.inf}
    mean = dict(zip((h["rate"] for h in plain.hparams), plain.summary()[0], strict=True))
    for rate, (state, value, reported) in by_state.items():
        if state == "COMPLETE":
            assert value == pytest.approx(mean[rate], rel=1e-5)
        elif rate != 0.9:
            assert next(iter(reported.values())) == pytest.approx(mean[rate], rel=1e-5)


def test_without_optuna_the_message_names_the_extra(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ValueError, match=r"jaxdl\[search\]"):
        from_optuna(as_space(SPACE), "tpe", jax.random.key(0), True)


def test_what_is_no_sampler():
    with pytest.raises(ValueError, match="a name, an Optuna sampler or study, not 5"):
        from_optuna(as_space(SPACE), 5, jax.random.key(0), True)
