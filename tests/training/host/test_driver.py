"""The driver with a job that counts: what it does, in which order, and what is left of it."""

import os
import signal

import numpy as np
import pytest

from jaxdl.training import Checkpoint
from jaxdl.training.host import checkpoints, driver
from jaxdl.training.host.driver import Host, Snapshot, drive


class Counter:
    """Counts to ``total`` in stretches of ``by``, and notes in ``seen`` what is asked of it.

    ``waits``: yield once without having moved. ``closing``: a last look at the end, without moving.
    """

    kind, unit, metrics, early_stopping = "counter", "counts", ["nll"], None

    def __init__(self, total=6, by=2, seen=None, waits=False, closing=False, **fingerprint):
        self.total, self.by, self.waits, self.closing = total, by, waits, closing
        self.fingerprint = {"by": by, **fingerprint}
        self.seen = [] if seen is None else seen
        self.position, self.logged, self.sum = 0, 0, np.float64(0)

    def stretches(self, seconds):
        self.seen.append(("seconds", seconds))
        try:
            while self.position < self.total:
                if self.waits:
                    yield False
                for _ in range(min(self.by, self.total - self.position)):
                    self.position += 1
                    self.sum = self.sum + np.sin(self.position)
                self.seen.append(("train", self.position))
                yield True
            if self.closing:
                yield True
        finally:
            self.seen.append(("close", self.position))

    def rows(self):
        start, self.logged = self.logged, self.position
        return [{"step": i} for i in range(start + 1, self.position + 1)]

    def numbers(self):
        self.seen.append(("show", self.position))
        return {"sum": self.sum, "count": self.position}

    def snapshot(self):
        self.seen.append(("snapshot", self.position))
        about = {"odd": self.position % 2}
        return Snapshot(self.position, {"sum": self.sum}, about, {"nll": float(self.sum)})

    def restore(self, snapshot):
        if snapshot.about["odd"]:
            raise ValueError("ended at an odd number")
        self.position, self.sum = snapshot.position, snapshot.arrays["sum"]


class Log:
    """Notes its rows in ``seen``; sends this process a signal at the ``at``-th look."""

    def __init__(self, seen, at=0):
        self.seen, self.at, self.steps = seen, at, []

    def start(self, rows):
        self.steps = [row["step"] for row in rows]
        self.seen.append(("start", len(self.steps)))

    def add(self, rows):
        self.steps += [row["step"] for row in rows]
        self.seen.append(("log", self.steps[-1]))
        self.at -= 1
        if self.at == 0:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture
def clock(monkeypatch):
    """The seconds that the driver reads, [1]."""
    seconds = [0.0]
    monkeypatch.setattr(driver.time, "perf_counter", lambda: seconds[0])
    return seconds


@pytest.fixture
def saves(monkeypatch, clock):
    """The positions that were saved, in turn; saving takes an hour."""
    saved, save = [], checkpoints.save

    def noted(checkpoint, position, *args):
        saved.append(position)
        clock[0] += 3600
        return save(checkpoint, position, *args)

    monkeypatch.setattr(checkpoints, "save", noted)
    return saved


def test_it_logs_shows_and_saves_behind_each_stretch(tmp_path, saves):
    job = Counter(4)
    drive(job, Host(Checkpoint(tmp_path, seconds=0), Log(job.seen), progress=True))
    assert job.seen == [
        ("start", 0), ("seconds", driver.SECONDS_WITH_BAR),
        ("train", 2), ("log", 2), ("show", 2), ("snapshot", 2),
        ("train", 4), ("log", 4), ("show", 4), ("snapshot", 4), ("close", 4),
    ]  # fmt: skip
    assert saves == checkpoints.positions(tmp_path) == [2, 4]  # the last one not again at the end


@pytest.mark.parametrize(
    ("host", "seconds"),
    [(Host(), None), (Host(log=Log([])), driver.SECONDS), (Host(progress=True), 0.5)],
    ids=["nobody", "log", "bar"],
)
def test_who_looks_says_how_often(host, seconds):
    job = Counter()
    drive(job, host)
    assert job.position == 6 and ("seconds", seconds) in job.seen
    assert [name for name, _ in job.seen if name == "show"] == ["show"] * 3 * host.progress


@pytest.mark.parametrize(
    ("how", "seconds", "positions"),
    [
        ({}, 7200, [6]),  # nothing is due before the end
        ({"waits": True}, 0, [2, 4, 6]),  # nor where nothing has moved
        ({"closing": True}, 0, [2, 4, 6, 6]),  # the last look is part of what is saved
        ({"closing": True}, 7200, [6]),
    ],
)
def test_what_is_due_is_saved_once(how, seconds, positions, tmp_path, saves):
    drive(Counter(**how), Host(Checkpoint(tmp_path, seconds=seconds, keep=9)))
    assert saves == positions
    drive(job := Counter(**{**how, "closing": False}), Host(Checkpoint(tmp_path, seconds=0)))
    assert saves == positions and job.position == 6  # it was at its end already


def test_a_save_makes_no_other_due(tmp_path, saves, clock):
    """Counting takes 10 s, and one is due every 15; an hour for each save is beside that."""

    class Slow(Log):
        def add(self, rows):
            clock[0] += 10

    drive(Counter(by=1), Host(Checkpoint(tmp_path, seconds=15), Slow([])))
    assert saves == [2, 4, 6]


@pytest.mark.parametrize(("at", "position"), [(1, 2), (3, 6)], ids=["first", "last"])
def test_a_signal_saves_and_is_obeyed_wherever_it_comes(at, position, tmp_path, saves):
    before = signal.getsignal(signal.SIGTERM)
    job = Counter()
    with pytest.raises(SystemExit) as error:
        drive(job, Host(Checkpoint(tmp_path, seconds=7200), Log(job.seen, at)))
    assert error.value.code == 143 and signal.getsignal(signal.SIGTERM) is before
    assert saves == [position]
    assert job.seen[-1] == ("close", position)  # what a job holds open is given back


def test_a_signal_where_nothing_has_moved_saves_nothing(tmp_path, saves):
    class Waiting(Counter):
        def stretches(self, seconds):
            os.kill(os.getpid(), signal.SIGTERM)
            while True:
                yield False

    with pytest.raises(SystemExit):
        drive(Waiting(), Host(Checkpoint(tmp_path)))
    assert saves == []


def test_resumed_from_the_middle_equals_uninterrupted(tmp_path):
    whole, log = Counter(7), Log([])
    drive(whole, Host(log=log))
    for at in (2, 1):
        with pytest.raises(SystemExit):
            drive(Counter(7), Host(Checkpoint(tmp_path), Log([], at)))
    assert checkpoints.positions(tmp_path) == [4, 6]
    again, rest = Counter(7), Log([])
    drive(again, Host(Checkpoint(tmp_path), rest))
    assert (again.position, again.sum) == (7, whole.sum)
    assert [name for name, _ in again.seen if name == "train"] == ["train"]  # from 6 to 7
    assert rest.steps == log.steps == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    ("job", "message"),
    [
        (Counter(8, 3, rows=5), "of another counter (by was 2, is 3; rows was None, is 5); take"),
        (Counter(4), "already has 6 counts, more than the 4 asked for"),
        (type("Other", (Counter,), {"kind": "fit"})(), "of a counter, not of a fit"),
        (type("Other", (Counter,), {"metrics": []})(), "best by was ['nll', False], is None"),
    ],
)
def test_what_is_of_another_job_is_refused_in_one_line(job, message, tmp_path):
    drive(Counter(), Host(Checkpoint(tmp_path)))
    with pytest.raises(ValueError) as error:
        drive(job, Host(Checkpoint(tmp_path)))
    told = str(error.value)
    assert told.startswith(f"{tmp_path / '0000000006'}: ") and message in told
    assert "\n" not in told and checkpoints.positions(tmp_path) == [6]
    assert job.position == 0


def test_what_a_job_refuses_is_told_with_the_place(tmp_path):
    drive(Counter(7), Host(Checkpoint(tmp_path)))
    with pytest.raises(ValueError, match=r"/0000000007: ended at an odd number$"):
        drive(Counter(9), Host(Checkpoint(tmp_path)))


def test_the_best_by_the_checkpoints_metric_is_kept(tmp_path):
    """Of the sums of sines that at 6 is the least, that at 3 the greatest."""
    for maximize, best in ((None, 6), (True, 3)):
        how = {} if maximize is None else {"metric": "nll", "maximize": maximize}
        folder = tmp_path / str(best)
        drive(Counter(7, 1), Host(Checkpoint(folder, seconds=0, keep=1, **how)))
        assert checkpoints.positions(folder) == [best, 7]


def test_an_older_checkpoint_that_says_its_job_beside_the_rest_is_read(tmp_path):
    """So studies once did; one of another job is refused all the same."""
    kept = Checkpoint(tmp_path)
    about = {"kind": "counter", "by": 2, "odd": 0}
    with checkpoints.opened(tmp_path):
        checkpoints.save(kept, 4, {"sum": np.float64(10)}, {**about, "best by": ["nll", False]})
    with pytest.raises(ValueError, match=r"of another counter \(by was 2, is 1\); take another"):
        drive(Counter(by=1), Host(kept))
    drive(job := Counter(), Host(kept))
    assert job.sum == 10 + np.sin(5) + np.sin(6)
