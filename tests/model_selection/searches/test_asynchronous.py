"""Asynchronous halving against one that looks its scores up in a study of everything."""

import jax
import numpy as np
import pytest
from networks import softmax_learner, three_classes
from tiny_study import study

from jaxdl.model_selection import asynchronous_halving, log_uniform, uniform
from jaxdl.model_selection.searches.asynchronous_job import next_jobs
from jaxdl.training import Checkpoint
from jaxdl.training.host import checkpoints, driver

SPACE = {"rate": log_uniform(0.001, 3.0), "noise": uniform(0.0, 0.5)}
HOW = {"folds": 3, "epochs": 8, "batch_size": 12, "factor": 2, "first": 2, "metric": "nll"}


def searched(space=SPACE, **how):
    how = {**HOW, "total": 9, "width": 3, **how}
    return asynchronous_halving(
        softmax_learner, space, three_classes(), key=jax.random.key(0), **how
    )


def looked_up(curves, width, factor):
    """The rung that each setting comes to, one job after the other taken from lists."""
    count, rungs = curves.shape
    done = [[] for _ in range(rungs)]  # (loss, setting) in each rung
    promoted = [set() for _ in range(rungs)]
    level, begun = [-1] * count, 0
    while True:
        jobs = []
        for _ in range(width):
            job = None
            for k in reversed(range(rungs - 1)):
                best = sorted(done[k])[: len(done[k]) // factor]
                for loss, s in best:
                    if s not in promoted[k] and job is None and np.isfinite(loss):
                        job = (s, k + 1)
                        promoted[k].add(s)
                if job:
                    break
            if job is None and begun < count:
                job, begun = (begun, 0), begun + 1
            if job:
                jobs.append(job)
        if not jobs:
            return level
        for s, k in jobs:
            done[k].append((curves[s, k], s))
            level[s] = k


@pytest.mark.slow
def test_it_promotes_as_one_that_looks_its_scores_up():
    got = searched()
    plain = study(got.study.hparams, evaluate_every=2, metric="nll")
    curves = plain.curves["nll"].mean((2, 1))[:, [0, 1, 3]]  # after 2, 4 and 8 epochs
    level = np.array(looked_up(curves, 3, 2))
    np.testing.assert_array_equal(got.study.dropped, np.array([2, 4, -1])[level])
    np.testing.assert_array_equal(got.study.epochs[:, 0, 0], np.array([2, 4, 8])[level])
    at = np.take_along_axis(curves, level[:, None], 1)[:, 0]
    np.testing.assert_allclose(got.study.summary()[0], at, rtol=1e-5)
    whole = level == 2
    assert 0 < whole.sum() < 9 and got.study.best().index in np.flatnonzero(whole)
    np.testing.assert_allclose(got.study.train_loss[whole], plain.train_loss[whole], rtol=1e-5)
    assert got.rounds[0] == 0 and np.all(np.diff(got.rounds) >= 0) and got.rounds[-1] > 2


@pytest.mark.slow
def test_what_is_resumed_ends_with_the_same_numbers(tmp_path, monkeypatch):
    """Stopped in the middle of rungs and at their ends; of other numbers of places it is refused."""
    alone, save, times = searched(keep="predictions"), checkpoints.save, []

    def saved_once_more(*args):
        save(*args)
        times.append(args[1])
        if len(times) in (2, 5, 11):
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoints, "save", saved_once_more)
    monkeypatch.setattr(driver, "SECONDS", 1e-9)
    where = Checkpoint(tmp_path, seconds=0)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            searched(keep="predictions", checkpoint=where)
    got = searched(keep="predictions", checkpoint=where)
    assert np.all(np.diff(times) > 0) and len(times) > 15
    for name in ("train_loss", "epochs", "dropped", "predictions"):
        np.testing.assert_array_equal(getattr(got.study, name), getattr(alone.study, name))
    np.testing.assert_array_equal(got.rounds, alone.rounds)
    with pytest.raises(ValueError, match="width was 3, is 2"):
        searched(checkpoint=where, width=2)


def test_jobs_by_hand():
    reached = np.array([1, 1, 0, 0, 0, 0, -1, -1])
    loss = np.full((8, 3), np.nan)
    loss[:6, 0] = [0.1, 0.2, 0.3, np.nan, 0.5, 0.6]
    loss[:2, 1] = [0.4, 0.3]
    assert next_jobs(reached, loss, 3, 2) == [(1, 2), (2, 1), (6, 0)]
    assert next_jobs(reached, loss, 1, 2) == [(1, 2)]
    assert next_jobs(reached, loss, 5, 3) == [(6, 0), (7, 0)]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"sampler": "tpe"}, "sampler is one of"),
        ({"total": 3}, "take 4 or more"),
        ({"factor": 1}, "factor of halving"),
        ({"first": 9}, "first rung is after"),
        ({"space": {"rate": [0.1], "noise": [1, 2, 3, 4, 5, 6]}}, "traced settings alone"),
        ({"rounds": 2}, "unexpected keyword"),
    ],
)
def test_bad_input(how, message):
    with pytest.raises((ValueError, TypeError), match=message):
        searched(**how)
