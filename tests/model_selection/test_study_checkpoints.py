"""Studies that are interrupted go on from their checkpoint and end with the same numbers."""

import os
import signal

import jax
import numpy as np
import pytest
from networks import three_classes
from tiny_study import assert_same, softmax_learner, study

from jaxdl import features
from jaxdl.base import Transform
from jaxdl.model_selection import Halving
from jaxdl.model_selection.population.run import Population
from jaxdl.training import Checkpoint, EarlyStopping, read_log
from jaxdl.training.host import checkpoints, driver

GRID = [{"rate": r, "bad": 9.0 if r == 1.0 else 1e9} for r in (0.01, 0.1, 0.5, 1.0)]
WITH = {
    "plain": {},
    "early stopping": {"early_stopping": EarlyStopping(2, 0.02)},
    "halving": {"halving": Halving(2, first=2), "epochs": 8},
    # Stopped behind the first rung, they have come to better epochs than it saw.
    "two programs": {
        "halving": Halving(2, first=2),
        "kinds": True,
        "early_stopping": EarlyStopping(9),
    },
    "compaction": {"early_stopping": EarlyStopping(1, 0.02), "compact": "always"},
    "one after the other": {"strategy": "map", "early_stopping": EarlyStopping(2, 0.02)},
}


@pytest.fixture(autouse=True)
def looks_after_every_epoch(monkeypatch):
    monkeypatch.setattr(driver, "SECONDS", 1e-9)


class Signals:
    """A log that sends this process a signal at the ``at``-th look."""

    def __init__(self, at, number=signal.SIGTERM):
        self.at, self.number, self.rows = at, number, []

    def start(self, rows):
        self.rows = list(rows)

    def add(self, rows):
        self.rows += list(rows)
        self.at -= 1
        if self.at == 0:
            os.kill(os.getpid(), self.number)


def halved(h):
    """The learner of the settings, with half of the momentum: a number in its step."""
    learner = softmax_learner(h)
    half = lambda ts: ts._replace(opt_state=0.5 * ts.opt_state)
    return learner._replace(step=lambda ts, batch, **how: learner.step(half(ts), batch, **how))


def run(kinds=False, change=None, **how):
    how = {"folds": 2, "seeds": 2, "keep": ("predictions", "states"), "strategy": "vmap", **how}
    grid = [{**h, "kind": "ab"[s % 2]} for s, h in enumerate(GRID)] if kinds else GRID
    learner = halved if change else softmax_learner
    make = lambda h: learner({k: v for k, v in h.items() if k != "kind"})
    return study(grid, make=make, **how)


def place(row):
    return row["member"], row["epoch"], row["part"], row["metric"]


@pytest.fixture(scope="module", params=WITH)
def case(request, tmp_path_factory):
    """A way to train, and its study and log that nothing interrupts."""
    from conftest import enable_x64

    how, log = WITH[request.param], Signals(0)
    folder = tmp_path_factory.mktemp("whole")
    with enable_x64(True), pytest.MonkeyPatch.context() as patch:
        patch.setattr(driver, "SECONDS", 1e-9)
        return how, run(checkpoint=folder, log=log, **how), log.rows


def test_interrupted_again_and_again(case, tmp_path, x64):
    """SIGTERM at the second, the next, ... look: each leaves a checkpoint to go on from."""
    how, whole, rows = case
    places = []
    for at in (2, 1, 2):
        with pytest.raises(SystemExit) as error:
            run(checkpoint=tmp_path, log=Signals(at), **how)
        assert error.value.code == 143
        places.append(checkpoints.positions(tmp_path)[-1])
    assert places == sorted(set(places))  # each went on from the one before
    log = Signals(0)
    assert_same(run(checkpoint=tmp_path, log=log, **how), whole)  # bit for bit
    np.testing.assert_equal(sorted(log.rows, key=place), sorted(rows, key=place))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(24))
def test_any_study_that_dies_anywhere_goes_on(seed, tmp_path, monkeypatch):
    """Features by lot, together; it dies at looks and within saves, by signals and without."""
    rng = np.random.default_rng(seed)
    lot = lambda *choices: choices[rng.integers(len(choices))]
    stopping = EarlyStopping(int(rng.integers(1, 6)), lot(0.0, 0.02), restore_best=lot(True, False))
    how = {
        "early_stopping": lot(None, stopping, lambda h: stopping._replace(min_delta=0.01 * h["rate"])),
        "halving": lot(None, Halving(2), Halving(2, first=2), Halving(3, first=lot(1, 2))),
        "compact": lot("auto", "always", "never"),
        "strategy": lot("vmap", "map", "auto", "chunked"),
        "kinds": lot(True, False), "remainder": lot("keep", "drop"),
        "keep": [name for name in ("states", "predictions", "train_scores") if lot(True, False)],
        "seeds": lot(1, 2, [3, 1]), "folds": lot(2, 3), "batch_size": lot(5, 12, None),
        "epochs": lot(5, 8), "evaluate_every": lot(1, 2),
        "transform": lot(None, features.standardize()),
        "metric": lot("nll", "accuracy", None), "devices": lot(1, 2),
    }  # fmt: skip
    if how["halving"] is not None and how["halving"].first != 2:
        how["evaluate_every"] = 1
    if how["batch_size"] is None:
        how["remainder"] = "keep"
    whole = run(checkpoint=tmp_path / "whole", log=(log := Signals(0)), **how)
    kept = Checkpoint(tmp_path / "kept", seconds=lot(0, 3600), keep=lot(1, 2))
    steps = ("_describe", "_flush", "_move", "_prune", "_checksum")
    for _ in range(6):
        die, at = lot("signal", *steps), int(rng.integers(1, 4))
        try:
            with monkeypatch.context() as patch:
                if die != "signal":
                    patch.setattr(checkpoints, die, dies(getattr(checkpoints, die), at, lot(0, 1)))
                run(checkpoint=kept, log=Signals(at if die == "signal" else 0), **how)
        except (Killed, SystemExit):
            continue
    again = Signals(0)
    assert_same(run(checkpoint=kept, log=again, **how), whole)
    np.testing.assert_equal(sorted(again.rows, key=place), sorted(log.rows, key=place))


class Killed(BaseException):
    """Raised in the place of a kill: nothing tidies up behind it but what always would."""


def dies(function, at, behind):
    """The function, which at its ``at``-th call is never left, or never begun."""

    def call(*args, **how):
        nonlocal at
        at -= 1
        if at or behind:
            result = function(*args, **how)
        if not at:
            raise Killed
        return result

    return call


def test_a_finished_study_is_not_trained_again(tmp_path, x64, monkeypatch):
    whole = run(checkpoint=tmp_path)
    monkeypatch.setattr(Population, "advance", lambda *a: pytest.fail("trained again"))
    again = run(checkpoint=tmp_path)
    assert_same(again, whole)
    assert again.num_programs == 0


@pytest.mark.usefixtures("heeds_interrupts")
def test_interrupt_from_the_keyboard(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(checkpoint=tmp_path, log=Signals(2, signal.SIGINT))
    assert checkpoints.positions(tmp_path)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_folder_keeps_the_last_ones(tmp_path):
    run(checkpoint=Checkpoint(tmp_path, seconds=0, keep=3))
    known = checkpoints.positions(tmp_path)
    assert len(known) == 3 and known[-1] == 8 * 4 * 2 * 2  # member-epochs


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"key": 1}, "folds; key was"),  # which shuffles the folds
        ({"seeds": [0, 5]}, "seeds"),
        ({"folds": 3}, "folds"),
        ({"epochs": 9}, "lengths"),
        ({"batch_size": 5}, "lengths"),
        ({"halving": Halving(2)}, "halving"),
        ({"early_stopping": EarlyStopping(3)}, "early stopping"),
        ({"data": three_classes(seed=1)}, "data"),
        ({"kinds": True}, "settings"),
        ({"change": "learner"}, "program"),
        ({"transform": Transform(lambda x, mask=None: 2.0, lambda p, x: p * x)}, "program"),
        ({"early_stopping": lambda h: EarlyStopping(h["rate"])}, "early stopping"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_a_checkpoint_of_another_study_is_refused(short, change, names):
    folder, before = short
    with pytest.raises(ValueError, match=rf"of another study \(.*{names}.*another folder"):
        run(checkpoint=folder, **{"folds": 2, **change})
    assert checkpoints.positions(folder) == before


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    folder = tmp_path_factory.mktemp("short")
    run(checkpoint=folder)
    return folder, checkpoints.positions(folder)


def test_a_checkpoint_of_a_single_run_is_refused(tmp_path):
    from jaxdl import training

    learner = softmax_learner({"rate": 0.1})
    training.fit(learner, three_classes(), key=jax.random.key(0), epochs=1, checkpoint=tmp_path)
    with pytest.raises(ValueError, match="of a fit, not of a study"):
        run(checkpoint=tmp_path)


def test_a_learner_of_another_shape_is_refused(short):
    def make(h):
        learner = softmax_learner({k: v for k, v in h.items() if k != "kind"})
        wider = lambda key: learner.init(key)._replace(state={"more": jax.numpy.zeros(3)})
        return learner._replace(init=wider)

    folder, _ = short
    with pytest.raises(ValueError, match=r"of another study .other program"):
        study(GRID, make=make, folds=2, seeds=2, keep=("predictions", "states"), strategy="vmap",
              checkpoint=folder)  # fmt: skip


def test_logs_of_a_study_in_long_format(tmp_path):
    result = run(log=tmp_path / "log.csv")
    rows = read_log(tmp_path / "log.csv")
    at = {(r["setting"], r["fold"], r["seed"], r["epoch"], r["part"], r["metric"]): r["value"]
          for r in rows}  # fmt: skip
    assert len(at) == len(rows)  # no row twice
    for (s, f, k, e, part, metric), value in at.items():
        if part == "validation":
            slot = int(np.flatnonzero(result.curve_epochs == e)[0])
            assert value == result.curves[metric][s, f, k, slot]
        else:
            np.testing.assert_equal(value, float(result.train_loss[s, f, k, e - 1]))
    trained = {(s, f, k): e for s, f, k, e, *_ in sorted(at)}
    for place, epoch in trained.items():
        assert epoch == result.epochs[place]
    assert {r["settings"]["rate"] for r in rows} == {np.float32(h["rate"]).item() for h in GRID}
