"""A run that was interrupted, however, ends as one that never was, bit for bit."""

import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import jax
import numpy as np
import pytest
import resumable
from networks import softmax_learner, three_classes

from jaxdl.training import Checkpoint, EarlyStopping, fit, read_log
from jaxdl.training.host import checkpoints, driver, stretches
from jaxdl.training.host.interrupts import Interrupts

TESTS = Path(__file__).parents[2]
LEARNER = softmax_learner({"rate": 0.3})


def assert_same(one, other):
    one, other = (x if isinstance(x, dict) else resumable.leaves(x) for x in (one, other))
    assert one.keys() == other.keys()
    for name in one:
        assert one[name].dtype == other[name].dtype
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


# -- real processes


@pytest.fixture(scope="module")
def begin():
    """``(kind, folder, epochs, seconds) -> process``, as if it were called from a shell.

    All are forked from one that has imported what they need, and in which nothing runs.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["resumable"])
    processes = []

    def start(*arguments):
        processes.append(context.Process(target=resumable.main, args=arguments))
        processes[-1].start()
        return processes[-1]

    path = os.pathsep.join(map(str, (TESTS.parent, TESTS, TESTS / "training/host")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", path)
        yield start
    for process in processes:
        process.kill()
        process.join()


def latest(folder):
    return (checkpoints.positions(folder / "kept") or [0])[-1]


def waited_for(happened, process, seconds=120.0):
    """Wait until something has happened; False where the process has come to its end before."""
    begun = time.perf_counter()
    while process.is_alive() and not happened():
        assert time.perf_counter() - begun < seconds
        time.sleep(0.002)
    return process.is_alive()


def killed_and_finished(begin, kind, folder, epochs, kills, rng):
    """What it ends with after SIGKILLs at random moments; some before anything is compiled."""
    for i in range(kills):
        process, before = begin(kind, folder, epochs), latest(folder)
        if i % 4 == 3:
            time.sleep(rng.uniform(0, 3))
        elif waited_for(lambda before=before: latest(folder) > before, process):
            time.sleep(rng.uniform(0, 0.2))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL, f"the run was over after {i} kills"
    assert latest(folder) > 0 and not (folder / "result.npz").exists()
    process = begin(kind, folder, epochs)
    process.join(300)
    assert process.exitcode == 0
    with np.load(folder / "result.npz") as result:
        return dict(result)


def check_log(folder):
    rows = read_log(folder / "log.csv")
    names = [tuple(row.get(c) for c in ("member", "epoch", "part", "metric")) for row in rows]
    assert len(set(names)) == len(names) > 0


@pytest.mark.parametrize(("kind", "epochs", "kills"), [("fit", 6_000, 2), ("study", 6_000, 1)])
def test_killed(begin, kind, epochs, kills, tmp_path):
    result = killed_and_finished(begin, kind, tmp_path, epochs, kills, random.Random(0))
    alone = {"fit": resumable.train, "study": resumable.study}[kind](epochs)
    assert_same(result, alone)
    check_log(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["fit", "study"])
@pytest.mark.parametrize("seed", [1, 2])
def test_killed_many_times(begin, kind, seed, tmp_path):
    kills = {"fit": 12, "study": 8}[kind]
    epochs = {"fit": 150_000, "study": 100_000}[kind]
    result = killed_and_finished(begin, kind, tmp_path, epochs, kills, random.Random(seed))
    assert_same(result, {"fit": resumable.train, "study": resumable.study}[kind](epochs))
    check_log(tmp_path)


@pytest.mark.parametrize(
    ("kind", "number", "status"),
    [("fit", signal.SIGTERM, 143), ("fit", signal.SIGINT, 130), ("study", signal.SIGTERM, 143)],
)
def test_signals_save_first(begin, kind, number, status, tmp_path):
    """Nothing would be saved for an hour but for the signal."""
    log = tmp_path / "log.csv"
    process = begin(kind, tmp_path, 10**6, 3600.0)
    assert waited_for(lambda: log.exists() and len(read_log(log)) > 1, process)
    os.kill(process.pid, number)
    process.join(60)
    assert process.exitcode == status
    assert latest(tmp_path) > 0 and not (tmp_path / "result.npz").exists()


# -- within one process


class Stop(Exception):
    """Raised in the place of a kill."""


def run(folder=None, epochs=9, **how):
    x, y = three_classes(40)
    how = {"batch_size": 8, "validation": (x[30:], y[30:]), **how}
    how["checkpoint"] = folder and Checkpoint(folder, seconds=0, keep=3)
    if "steps" not in how:
        how["epochs"] = epochs
    return fit(LEARNER, (x[:30], y[:30]), key=jax.random.key(3), **how)


@pytest.fixture
def one_step_at_a_time(monkeypatch):
    """Checkpoints after every step, within epochs too."""
    monkeypatch.setattr(driver, "SECONDS", 1e-9)


def record(state):
    return state.params


@pytest.mark.usefixtures("one_step_at_a_time")
@pytest.mark.parametrize("how", [{"early_stopping": EarlyStopping(3)}, {"record": record}])
def test_stopped_at_every_step(how, tmp_path, monkeypatch):
    """Each process that would be gets one step further; epochs have four."""
    save, count = checkpoints.save, 0

    def save_and_stop(*args, **kwargs):
        save(*args, **kwargs)
        raise Stop

    monkeypatch.setattr(checkpoints, "save", save_and_stop)
    while True:
        try:
            result = run(tmp_path, 4, **how)
            break
        except Stop:
            count += 1
    assert count == 16
    assert_same(result, run(None, 4, **how))


@pytest.mark.parametrize(
    ("first", "then", "how"),
    [
        (3, 9, {"evaluate_every": 3, "early_stopping": EarlyStopping(3)}),
        (4, 9, {"evaluate_every": 3, "record": record}),
        (2, 9, {"evaluate_every": 5}),
        (9, 30, {"early_stopping": EarlyStopping(2, 0.02)}),  # it stops before the 9th
        (1, 2, {"validation": None}),
    ],
)
def test_more_epochs_extend_exactly(first, then, how, tmp_path):
    run(tmp_path, first, **how)
    log = tmp_path / "log.csv"
    longer, alone = run(tmp_path, then, log=str(log), **how), run(None, then, **how)
    assert_same(longer, alone)
    epochs = [r["epoch"] for r in read_log(log) if r["part"] == "train"]
    ended = int(alone.history.stopped)
    assert epochs == list(range(1, (ended if ended > 0 else then) + 1))
    again = run(tmp_path, then, **how)
    assert_same(again, alone)


def test_more_steps_extend_exactly(tmp_path):
    """The first run ends within an epoch of four steps."""
    run(tmp_path, steps=6)
    assert_same(run(tmp_path, steps=11), run(None, steps=11))
    assert_same(run(tmp_path, epochs=9), run(None, epochs=9))


@pytest.mark.parametrize("how", [{"early_stopping": EarlyStopping(3)}, {"tolerance": 1e-9}])
def test_what_would_not_extend_exactly_is_refused(how, tmp_path):
    """The shorter run looked at epoch 4, where the longer one does not."""
    if "tolerance" in how:
        how = {**how, "steps": 6}
    elif how:
        how = {**how, "evaluate_every": 3}
    learner = LEARNER._replace(
        step=lambda *a, **kw: (
            lambda s, i: (s, {**i, "grad_norm": i["loss"]})
        )(*LEARNER.step(*a, **kw))
    )  # fmt: skip
    x, y = three_classes(40)
    go = lambda **more: fit(learner, (x, y), key=jax.random.key(3), batch_size=10,
                            validation=(x, y), checkpoint=tmp_path, **{**how, **more})  # fmt: skip
    go(**({} if "steps" in how else {"epochs": 4}))
    kept = checkpoints.positions(tmp_path)
    with pytest.raises(ValueError, match="other than a run of"):
        go(**({"steps": 12} if "steps" in how else {"epochs": 8}))
    assert checkpoints.positions(tmp_path) == kept


@pytest.mark.usefixtures("one_step_at_a_time")
def test_a_signal_in_the_last_checkpoint_is_obeyed(tmp_path, monkeypatch):
    save = checkpoints.save

    def save_and_signal(checkpoint, position, *args, **kwargs):
        save(checkpoint, position, *args, **kwargs)
        if position == 8:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(checkpoints, "save", save_and_signal)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as caught:
        run(tmp_path, 2)
    assert caught.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is before
    assert_same(run(tmp_path, 2), run(None, 2))


def test_saving_is_no_training(monkeypatch):
    """Stretches of 1 s at 0.01 s a step, whatever is done in between; the first is compiled."""
    clock = 0.0

    def advance(begin, end):
        nonlocal clock
        clock += 0.01 * (end - begin) + (5 if begin == 0 else 0)
        return begin

    monkeypatch.setattr(stretches.time, "perf_counter", lambda: clock)
    lengths = []
    for begin, end, result in stretches.stretches(advance, 0, 700, 1.0):
        assert result == begin
        lengths.append(end - begin)
        clock += 60  # a checkpoint
    assert lengths == [1, 1, 8, 64, 100, 100, 100, 100, 100, 100, 26]
    assert [s[:2] for s in stretches.stretches(advance, 3, 9, None)] == [(3, 9)]


def test_a_signal_is_obeyed_though_the_run_fails():
    warned = pytest.warns(UserWarning, match="interrupted, and OSError: the disk is full")
    with warned, pytest.raises(SystemExit), Interrupts():
        signal.raise_signal(signal.SIGTERM)
        raise OSError("the disk is full")
    with pytest.raises(SystemExit), Interrupts():
        signal.raise_signal(signal.SIGTERM)
    with pytest.raises(OSError, match="full"), Interrupts():
        raise OSError("the disk is full")


@pytest.mark.usefixtures("heeds_interrupts")
def test_the_second_signal_is_obeyed_at_once():
    with pytest.raises(KeyboardInterrupt):
        with Interrupts() as interrupts:
            signal.raise_signal(signal.SIGINT)
            assert interrupts.caught == signal.SIGINT
            signal.raise_signal(signal.SIGINT)


def test_what_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interrupts() as interrupts:
            signal.raise_signal(signal.SIGINT)
            assert interrupts.caught is None
            interrupts.obey()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
