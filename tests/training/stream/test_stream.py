"""fit_stream: what a plain loop of steps over the batches gives."""

import itertools
import json
import os
import signal
import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from networks import softmax_learner, three_classes

from jaxdl.training import Checkpoint, EarlyStopping, fit, fit_stream
from jaxdl.training.host import checkpoints
from jaxdl.training.stream.job import StreamJob

X, Y = three_classes(80)
VALID = (X[60:], Y[60:])
LEARNER = softmax_learner({"rate": 0.3})


def batches(count=20, start=0):
    """Batch i has five rows that depend on i alone."""
    for i in range(start, count):
        rows = (5 * i + np.arange(5)) % 60
        yield X[rows], Y[rows]


def loop(learner, stream):
    """The states and losses of a plain loop."""
    state, step = learner.init(jax.random.key(0)), jax.jit(learner.step)
    for batch in stream:
        state, info = step(state, batch)
        yield state, float(info["loss"])


def stream(feed=None, steps=20, learner=LEARNER, **how):
    feed = batches() if feed is None else feed
    return fit_stream(learner, feed, key=jax.random.key(0), steps=steps, **how)


def assert_same(one, other):
    plain = lambda x: (
        jax.random.key_data(x) if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key) else x
    )
    leaves = lambda tree: [np.asarray(plain(np.asarray(x) if isinstance(x, (int, bool)) else x))
                           for x in jax.tree.leaves(tree)]  # fmt: skip
    for a, b in zip(leaves(one), leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)


def test_equals_a_plain_loop():
    result = stream(evaluate_every=8, validation=VALID)
    states, losses = zip(*loop(LEARNER, batches()), strict=True)
    np.testing.assert_allclose(result.state.params, states[-1].params, rtol=1e-5)
    assert result.history.steps.tolist() == [8, 16, 20]
    means = [np.mean(losses[a:b]) for a, b in ((0, 8), (8, 16), (16, 20))]
    np.testing.assert_allclose(result.history.loss, means, rtol=1e-6)
    assert set(result.history.validation) == {"nll", "accuracy"}
    for metric, curve in result.history.validation.items():
        direct = [np.mean(LEARNER.evaluate(states[i - 1], VALID)[metric]) for i in (8, 16, 20)]
        np.testing.assert_allclose(curve, direct, rtol=1e-5)
    assert result.history.diverged == -1 and not result.history.stopped


@pytest.mark.parametrize(
    "feed",
    [list(batches()), itertools.chain(batches()), lambda start: batches(20, start)],
    ids=["list", "iterator", "function"],
)
def test_every_form_of_a_stream(feed):
    assert_same(stream(feed), stream())


def test_patience_counts_evaluations():
    stopping = EarlyStopping(2, 0.0, "nll")
    feed = list(batches(200))
    result = stream(feed, 200, learner=softmax_learner({"rate": 3.0}), validation=VALID,
                    evaluate_every=3, early_stopping=stopping)  # fmt: skip
    learner = softmax_learner({"rate": 3.0})
    best, best_step, kept = np.inf, 0, None
    for i, (state, _) in enumerate(loop(learner, feed), 1):
        if i % 3 == 0:
            score = float(np.mean(learner.evaluate(state, VALID)["nll"]))
            if score < best:
                best, best_step, kept = score, i, state
            elif i - best_step >= 2 * 3:
                break
    assert i < 200 and result.history.stopped
    assert (result.history.best_step, result.history.steps[-1]) == (best_step, i)
    np.testing.assert_allclose(result.state.params, kept.params, rtol=1e-6)


def test_scores_that_are_no_numbers_keep_the_last_state():
    learner = LEARNER._replace(
        evaluate=lambda state, batch: {"nll": jnp.full(len(batch[1]), jnp.nan)}
    )
    result = stream(learner=learner, validation=VALID, evaluate_every=4,
                    early_stopping=EarlyStopping(50))  # fmt: skip
    assert result.history.best_step == 0
    np.testing.assert_array_equal(result.state.params, stream().state.params)


def test_divergence_is_flagged_and_ends_the_run():
    learner = softmax_learner({"rate": 0.3, "bad": 7})
    result = stream(learner=learner, evaluate_every=5)
    assert result.history.diverged == 7 and result.history.steps.tolist() == [5, 10]
    states = [state for state, _ in loop(learner, batches(7))]
    np.testing.assert_allclose(result.state.params, states[-1].params, rtol=1e-5)


def test_fewer_batches_than_steps():
    result = stream(batches(7), evaluate_every=5)
    assert result.history.steps.tolist() == [5, 7] and int(result.state.step) == 7
    with pytest.raises(ValueError, match="there is no batch to train on"):
        stream([])


def failing(count, start=0):
    yield from batches(count, start)
    raise RuntimeError("the disk is gone")


def test_what_the_iterator_raises_is_raised():
    with pytest.raises(RuntimeError, match="the disk is gone"):
        stream(failing(3))


class Places:
    """An iterator that tells and takes its place, as Grain's do, in one of two types."""

    def __init__(self, as_bytes, count):
        self.i, self.as_bytes, self.count = 0, as_bytes, count

    def __iter__(self):
        return self

    def __next__(self):
        if self.i == self.count:
            raise RuntimeError("the disk is gone")
        self.i += 1
        return next(batches(99, self.i - 1))

    def get_state(self):
        state = {"i": self.i}
        return json.dumps(state).encode() if self.as_bytes else state

    def set_state(self, state):
        self.i = (json.loads(state) if self.as_bytes else state)["i"]


FEEDS = {
    "function": lambda count: lambda start: failing(count, start),
    "iterator": lambda count: failing(count),
    "place": lambda count: Places(False, count),
    "bytes": lambda count: Places(True, count),
}


@pytest.mark.parametrize("feed", FEEDS.values(), ids=FEEDS)
@pytest.mark.parametrize("seconds", [0, 3600])
def test_goes_on_exactly(feed, seconds, tmp_path):
    """After a failure, from the last checkpoint or, without one, from the beginning."""
    how = {"validation": VALID, "evaluate_every": 4, "early_stopping": EarlyStopping(50)}
    kept = Checkpoint(tmp_path, seconds=seconds)
    for count in (6, 13):
        with pytest.raises(RuntimeError, match="the disk is gone"):
            stream(feed(count), checkpoint=kept, **how)
    assert_same(stream(feed(99), checkpoint=kept, **how), stream(**how))


def test_more_steps_extend_exactly(tmp_path):
    stream(list(batches()), 8, evaluate_every=4, checkpoint=tmp_path)
    longer = stream(list(batches()), 20, evaluate_every=4, checkpoint=tmp_path)
    assert_same(longer, stream(evaluate_every=4))
    with pytest.raises(ValueError, match="already has 20 steps, more than the 10"):
        stream(list(batches()), 10, evaluate_every=4, checkpoint=tmp_path)


def test_another_run_is_refused(tmp_path):
    stream(steps=6, evaluate_every=4, checkpoint=tmp_path)
    again = lambda **how: stream(**{"steps": 6, "evaluate_every": 4, **how}, checkpoint=tmp_path)
    with pytest.raises(ValueError, match="evaluate_every was 4, is 3"):
        again(evaluate_every=3)
    with pytest.raises(ValueError, match="ended between two evaluations"):
        again(steps=20)
    with pytest.raises(ValueError, match="other validation"):
        again(validation=VALID)
    with pytest.raises(ValueError, match="key was"):
        fit_stream(LEARNER, batches(), key=jax.random.key(1), steps=6, evaluate_every=4,
                   checkpoint=tmp_path)  # fmt: skip
    with pytest.raises(ValueError, match="not of a fit"):
        fit(LEARNER, (X, Y), key=jax.random.key(0), epochs=1, checkpoint=tmp_path)


@pytest.mark.parametrize(
    "how", [{"steps": 0}, {"steps": 2.0}, {"evaluate_every": 0}, {"ahead": -1}]
)
def test_numbers_that_make_no_sense(how):
    with pytest.raises(ValueError, match=f"{next(iter(how))} must be a positive whole number"):
        stream(**how)


def test_grain(tmp_path):
    pytest.importorskip("grain")
    import grain.python as grain

    def feed():
        rows = [(X[i], Y[i]) for i in range(60)]
        return grain.MapDataset.source(rows).shuffle(seed=1).repeat().batch(5).to_iter_dataset()

    stream(feed(), 7, evaluate_every=7, checkpoint=tmp_path)
    longer = stream(feed(), 21, evaluate_every=7, checkpoint=tmp_path)
    assert_same(longer, stream(feed(), 21, evaluate_every=7))


# -- sources that wait


def waiting(count, called=None, start=0):
    """Batches from ``start`` to ``count``; then the source waits for ever."""
    yield from batches(count, start)
    if called is not None:
        called.set()
    threading.Event().wait()


class Looked:
    """A log that notes that there was a look."""

    def __init__(self):
        self.event = threading.Event()

    def start(self, rows):
        pass

    def add(self, rows):
        self.event.set()


def kill_soon(number, looked):
    """A signal to this process in a moment, behind a look if it is to be, and when it was sent."""
    sent = []

    def work():
        looked.event.wait(60)
        time.sleep(0.3)
        sent.append(time.perf_counter())
        os.kill(os.getpid(), number)

    threading.Thread(target=work).start()
    return sent


def test_no_more_is_waited_for_than_is_trained_on():
    """Nor asked for: the source would wait behind its twentieth batch."""
    called = threading.Event()
    began = time.perf_counter()
    assert_same(stream(waiting(20, called), ahead=5), stream())
    assert time.perf_counter() - began < 5 and not called.is_set()


@pytest.mark.usefixtures("heeds_interrupts")
@pytest.mark.parametrize(
    ("number", "kept"),
    [(signal.SIGTERM, True), (signal.SIGINT, True), (signal.SIGINT, False)],
    ids=["term", "int", "int without checkpoints"],
)
def test_a_signal_is_obeyed_while_the_source_waits(number, kept, tmp_path):
    """It waits behind seven batches, and where it is called for more, before the first."""
    how = {"validation": VALID, "evaluate_every": 7}
    folder = Checkpoint(tmp_path, seconds=3600) if kept else None
    forever = lambda start: waiting(0)
    for feed, looks in ((forever, False), (waiting(7), True), (forever, False)):
        log = Looked()
        if not looks:
            log.event.set()
        sent = kill_soon(number, log)
        with pytest.raises((SystemExit, KeyboardInterrupt)) as caught:
            stream(feed, checkpoint=folder, log=log, **how)
        assert (
            time.perf_counter() - sent[0] < 5
        )  # it takes a tenth of a second where nothing else runs
        assert caught.type is (SystemExit if number == signal.SIGTERM else KeyboardInterrupt)
    if kept:
        assert checkpoints.positions(tmp_path) == [7]  # nothing was there to save before
        assert_same(
            stream(lambda start: batches(20, start), checkpoint=folder, **how), stream(**how)
        )


@pytest.mark.usefixtures("heeds_interrupts")
@pytest.mark.parametrize("where", ["_look", "snapshot"])
def test_a_signal_in_the_last_look_or_save_is_obeyed_behind_it(where, tmp_path, monkeypatch):
    """The feed has fewer batches than steps, so that both come behind the loop."""
    method = getattr(StreamJob, where)

    def interrupted(self, *args):
        os.kill(os.getpid(), signal.SIGINT)
        return method(self, *args)

    monkeypatch.setattr(StreamJob, where, interrupted)
    with pytest.raises(KeyboardInterrupt):
        stream(batches(7), evaluate_every=8, checkpoint=tmp_path)
    monkeypatch.undo()
    assert checkpoints.positions(tmp_path) == [7]
    again = stream(list(batches(7)), evaluate_every=8, checkpoint=tmp_path)
    assert_same(again, stream(batches(7), evaluate_every=8))


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ((X[:0], Y[:0]), "the examples of batch 3 have no rows"),
        ((X[:4], np.array(list("abcd"))), "part 1 of the examples of batch 3 is <U1, not a number"),
        (["some", "words"], "examples of batch 3 must be a pytree of arrays"),
        ((X[:4], Y[:3]), r"the parts of the examples of batch 3 differ in length: \[4, 3\]"),
        ((), "examples of batch 3 must be a pytree of arrays"),
        (
            (X[:4], Y[:4] + 1),
            "responses of the examples of batch 3 are labels from 0 to 2, not 1 to 3; "
            "features.from_one_based",
        ),
    ],
)
def test_what_is_no_batch_is_refused(batch, message):
    with pytest.raises(ValueError, match=message):
        stream([*batches(2), batch, *batches(9)])
