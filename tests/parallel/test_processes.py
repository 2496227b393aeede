"""Several real processes: one study, one fit; what is left of it when one of them is killed."""

import multiprocessing
import os
import random
import signal
import socket
import time
from pathlib import Path

import numpy as np
import pytest
import together

from jaxdl import parallel
from jaxdl.parallel.link import TRY_AGAIN
from jaxdl.training import read_log
from jaxdl.training.host import checkpoints

TESTS = Path(__file__).parents[1]
OWN = ("compile_seconds", "run_seconds", "num_programs")  # of how it ran


@pytest.fixture(scope="module")
def begin():
    """``(kind, folder, count, **how) -> processes``, forked from one in which nothing runs."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["together"])
    begun = []

    def start(kind, folder, count, **how):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        group = [
            context.Process(target=together.main, args=(kind, folder, port, count, i), kwargs=how)
            for i in range(count)
        ]
        begun.extend(group)
        for process in group:
            process.start()
        return group

    path = os.pathsep.join(map(str, (TESTS.parent, TESTS, TESTS / "parallel")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", path)
        yield start
    for process in begun:
        process.kill()
        process.join()


def finish(group, folder, codes=None):
    """The numbers of all processes, once they have ended with these exit codes."""
    for process in group:
        process.join(600)
    said = [(folder / f"{i}.err").read_text() for i in range(len(group))]
    assert [process.exitcode for process in group] == (codes or [0] * len(group)), said
    results = []
    for i in range(len(group)):
        if (folder / f"{i}.npz").exists():
            with np.load(folder / f"{i}.npz") as result:
                results.append(dict(result))
    return results


def assert_same(one, other, but=(), rtol=0.0):
    left_out = lambda name: any(name == f"['{b}']" for b in but)
    assert one.keys() == other.keys()
    for name in one:
        if not left_out(name):
            assert one[name].dtype == other[name].dtype
            np.testing.assert_allclose(one[name], other[name], rtol, rtol, err_msg=name)


def latest(folder):
    return (checkpoints.positions(folder / "kept") or [0])[-1]


def wait_for(happened, process, seconds=600.0):
    """Wait until something has happened; False where the process has ended before."""
    begun = time.perf_counter()
    while process.is_alive() and not happened():
        assert time.perf_counter() - begun < seconds
        time.sleep(0.002)
    return process.is_alive()


@pytest.mark.smoke
def test_two_processes_train_one_study(begin, tmp_path):
    """Early stopping, divergence and moves between devices; the same numbers as in one process."""
    both = finish(begin("stopping", tmp_path, 2), tmp_path)
    assert_same(*both)  # how long it took too
    assert_same(both[0], together.leaves(together.study("stopping")), but=OWN)


def test_exchanges(begin, tmp_path):
    one, two, three = finish(begin("exchanges", tmp_path, 3), tmp_path)
    assert_same(one, two)
    assert_same(one, three)
    assert one["zero"].tolist() == [0] and one["two"].tolist() == [2, 2, 2]
    assert one["words"].shape == (2, 2) and (one["words"] != 0).any()
    assert one["x"].tolist() == [0] and one["y"].tolist() == [3, 4]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["plain", "halving", "two programs", "chunked"])
@pytest.mark.parametrize("count", [2, 3])
def test_more_studies(begin, kind, count, tmp_path):
    """Members alone in their rows agree bit for bit; chunks are of other sizes, and round so."""
    results = finish(begin(kind, tmp_path, count, join=kind == "plain"), tmp_path)
    alone = together.leaves(together.study(kind))
    for result in results:
        assert_same(result, results[0])
        assert_same(result, alone, but=OWN, rtol=2e-5 if kind == "chunked" else 0.0)


@pytest.mark.slow
def test_a_refit(begin, tmp_path):
    one, two = finish(begin("refit", tmp_path, 2), tmp_path)
    assert_same(one, two)


@pytest.mark.slow
def test_a_fit_over_all_devices(begin, tmp_path):
    """Batch normalisation sees whole batches; sums are taken in another order."""
    both = finish(begin("fit", tmp_path, 2, join=True), tmp_path)
    assert_same(*both)
    assert_same(both[0], together.leaves(together.network(12)), rtol=1e-4)


@pytest.mark.slow
def test_processes_with_other_data_are_refused(begin, tmp_path):
    finish(begin("other data", tmp_path, 2), tmp_path, [1, 1])
    for i in range(2):
        said = (tmp_path / f"{i}.err").read_text()
        assert "process 1 has another study than process 0" in said and "'data'" in said


@pytest.mark.slow
@pytest.mark.parametrize("join", [False, True])
def test_one_that_fails_ends_the_others(begin, join, tmp_path):
    finish(begin("ends early", tmp_path, 3, join=join), tmp_path, [TRY_AGAIN, 1, TRY_AGAIN])
    said = [(tmp_path / f"{i}.err").read_text() for i in range(3)]
    assert "OSError: its disk is full" in said[1]
    for i in (0, 2):
        assert f"process {i} of 3 ends: process 1 has ended before the others; " in said[i]
        assert len(said[i].splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("count", "join", "victims", "last"),
    [(2, False, [0, 1], 2), (3, False, [2, 0, 1], 2)],
)
@pytest.mark.parametrize("kind", ["plain", "halving"])
def test_killed(begin, kind, count, join, victims, last, tmp_path):
    """One is killed at a random moment; the others say so, and the next run ends the same.

    The last run may be of another number of processes.
    """
    how = {"join": join, "seconds": 0.0, "epochs": 120}
    rng = random.Random(count)
    moments = sorted(rng.uniform(0.02, 0.5) * 120 * 20 for _ in victims)
    for victim, moment in zip(victims, moments, strict=True):
        group = begin(kind, tmp_path, count, **how)
        least = max(moment, latest(tmp_path))
        assert wait_for(lambda least=least: latest(tmp_path) > least, group[victim])
        time.sleep(rng.uniform(0, 0.02))
        group[victim].kill()
        codes = [TRY_AGAIN] * count
        codes[victim] = -signal.SIGKILL
        finish(group, tmp_path, codes)
        for i in set(range(count)) - {victim}:
            (line,) = (tmp_path / f"{i}.err").read_text().splitlines()
            assert line.startswith(f"process {i} of {count} ends: process {victim} has died; ")
    results = finish(begin(kind, tmp_path, last, **how), tmp_path)
    alone = together.leaves(together.study(kind, 120))
    for result in results:
        assert_same(result, alone, but=OWN)
    rows = read_log(tmp_path / "log.csv")
    names = [tuple(row.get(c) for c in ("member", "epoch", "part", "metric")) for row in rows]
    assert len(set(names)) == len(names) > 0


@pytest.mark.slow
def test_a_fit_over_all_devices_is_killed(begin, tmp_path):
    """Twice, the first process last; then it ends with the numbers of a run without a break."""
    how = {"join": True, "epochs": 40}
    whole = tmp_path / "whole"
    whole.mkdir()
    unbroken, _ = finish(begin("fit", whole, 2, seconds=3600.0, **how), whole)
    for victim, least in ((1, 30), (0, 70)):
        group = begin("fit", tmp_path, 2, seconds=0.0, **how)
        assert wait_for(lambda least=least: latest(tmp_path) > least, group[victim])
        group[victim].kill()
        for process in group:
            process.join(600)
        assert group[victim].exitcode == -signal.SIGKILL and group[1 - victim].exitcode != 0
    both = finish(begin("fit", tmp_path, 2, seconds=0.0, **how), tmp_path)
    assert_same(*both)
    assert_same(both[0], unbroken)


@pytest.mark.slow
def test_a_signal_to_one_saves_first_and_ends_all(begin, tmp_path):
    group = begin("plain", tmp_path, 2, seconds=3600.0, epochs=10**6)
    log = tmp_path / "log.csv"
    assert wait_for(lambda: log.exists() and len(read_log(log)) > 1, group[0])
    os.kill(group[1].pid, signal.SIGTERM)
    for process in group:
        process.join(600)
    assert [process.exitcode for process in group] == [143, 143]
    assert latest(tmp_path) > 0


def test_a_process_alone_exchanges_nothing():
    tree = {"a": np.ones(2)}
    assert parallel.processes() == (0, 1, False)
    assert parallel.gather("a", tree)[0] is tree and parallel.send("a", tree) is tree
    assert parallel.agree("b", 3) == 3 and parallel.tell("c", 4) == [4]
    assert parallel.read_once(lambda: tree) is tree
    parallel.check_same("study", {"data": 1})
    parallel.stop()
