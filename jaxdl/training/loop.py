"""The training loop as one pure function: epochs of shuffled, padded, masked batches.

``fit`` runs it for one learner, ``cross_validate`` for a population. It is traced whole; nothing
in it talks to the host. All lengths are static, so runs over parts of the data of different
sizes share one program: their rows are padded to one length and masked. Where it starts and stops
is traced, so a run cut into stretches anywhere is the run itself.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxdl.arrays import safe_divide
from jaxdl.base import Array, Batch, Key, Learner
from jaxdl.checks import filled_in
from jaxdl.metrics.directions import as_loss
from jaxdl.training import stopping
from jaxdl.training.batching import Lengths, Padding, Rows, steps_per_epoch
from jaxdl.training.passes import evaluate_rows, run_batches
from jaxdl.training.run_state import (
    NOTHING,
    RunState,
    StopAndRecord,
    all_finite,
    init_run,
    key_words,
    select,
    with_clock,
    with_key_words,
    without_clock,
)
from jaxdl.training.stopping import Best, EarlyStopping

Step = Array | np.integer | int


def run_stretch(
    learner: Learner,
    data: Batch,
    train: Rows,
    valid: Rows | None,
    key: Key,
    run: RunState,
    start: Step,
    stop: Step,
    lengths: Lengths,
    padding: Padding,
    besides: StopAndRecord = NOTHING,
) -> RunState:
    """Batches ``start`` to ``stop`` (traced, []) of a run. Pure; the key is consumed.

    Where a run's loss or state stops being finite it stays at the end of its last finite epoch
    and is flagged; others under the same ``vmap`` are not touched.

    Args:
      learner: what learns.
      data: pytree of arrays [N, ...].
      train, valid: the rows to learn from and to evaluate on (None: on none).
      key: the run's own key; its initial state, order of rows and steps derive from it.
      run: from ``init_run`` or an earlier stretch; ignored where ``start`` is 0, but for
        ``stopped``: a run that is stopped from the first does nothing.
      start, stop: batches, counted from 0 over all epochs, S of them each; whole epochs unless
        ``lengths.within_epochs``. S is that of the longest run of a population.
      lengths: static.
      padding: static, from ``padding_of``, one for all runs of a population.
      besides: what else to do.
    """
    init_key, shuffle_key = jax.random.split(key)
    fresh = learner.init(init_key)  # of which only the clock is used
    words = key_words(fresh)
    run = lax.cond(
        jnp.asarray(start) > 0,
        lambda: run,
        lambda: init_run(learner, data, init_key, lengths, besides)._replace(stopped=run.stopped),
    )
    per_epoch = int(steps_per_epoch(train.mask.shape[0], lengths))
    own = steps_per_epoch(jnp.sum(train.mask), lengths) if padding.uneven else per_epoch
    course = Course(
        learner, data, train, valid, lengths, padding, besides, fresh, words, shuffle_key, per_epoch,
        own,
    )  # fmt: skip

    def epoch(carry):
        e, run = carry
        return e + 1, _train_epoch(course, e, run, start, stop)

    goes_on = lambda carry: (carry[0] * per_epoch < stop) & _some(course, carry[1].active)
    first = jnp.asarray(start, jnp.int32) // per_epoch
    return lax.while_loop(goes_on, epoch, (first, run))[1]


class Course(NamedTuple):
    """What the parts of an epoch share: arguments of ``run_stretch``, and what follows from them.

    fresh: a state whose clock is at 0. words: those of its key, to be taken into a branch.
    shuffle_key: the orders of rows derive from it. per_epoch: the batches S that an epoch counts;
    own: those of this run.
    """

    learner: Learner
    data: Batch
    train: Rows
    valid: Rows | None
    lengths: Lengths
    padding: Padding
    besides: StopAndRecord
    fresh: Any
    words: Array | None
    shuffle_key: Key
    per_epoch: int
    own: int | Array


def _train_epoch(course: Course, e: Array, run: RunState, start: Step, stop: Step) -> RunState:
    """Epoch ``e`` of a run, or the part of it that lies in the stretch."""
    lengths, per_epoch = course.lengths, course.per_epoch
    lo, hi, old = 0, per_epoch, run.state
    if lengths.within_epochs:
        lo = jnp.maximum(start - e * per_epoch, 0)
        hi = jnp.minimum(stop - e * per_epoch, per_epoch)
        old = select(lo > 0, run.epoch_start, run.state)
    totals = {k: jnp.where(lo > 0, t, 0).astype(t.dtype) for k, t in run.totals.items()}
    state = with_clock(run.state, course.fresh, e * course.own + lo)
    state, totals, seen = run_batches(
        course.learner, state, totals, course.data, course.train,
        jax.random.fold_in(course.shuffle_key, e), lo, hi, lengths, course.padding,
    )  # fmt: skip
    run = run._replace(state=without_clock(state), totals=totals)
    if not lengths.within_epochs:
        return _close_epoch(course, e, run, old, seen)
    full = (hi == per_epoch) | (e * per_epoch + hi == lengths.total_steps(per_epoch))
    run = run._replace(epoch_start=old)
    return lax.cond(full, lambda: _close_epoch(course, e, run, old, seen), lambda: run)


def _close_epoch(course: Course, e: Array, run: RunState, old: Any, seen: Array) -> RunState:
    """Its losses, and whether the run diverged, then stays as it was, is flat, or to be evaluated.

    ``old`` is the state before the epoch; ``seen`` [] the rows that it trained on, or their weight.
    """
    besides, lengths = course.besides, course.lengths
    mean = {k: safe_divide(t, seen) for k, t in run.totals.items()}
    active = run.active
    finite = jnp.isfinite(mean["loss"]) & all_finite(run.state)
    put = lambda history, value: history.at[e].set(
        jnp.where(active, value, history[e]).astype(history.dtype)
    )
    run = run._replace(
        state=select(active & finite, run.state, old),
        diverged=jnp.where(active & ~finite, e, run.diverged).astype(jnp.int32),
        loss=put(run.loss, mean["loss"]),
    )
    if besides.tolerance is not None:
        flat = active & finite & (mean["grad_norm"] < besides.tolerance)
        run = run._replace(
            grad_norm=put(run.grad_norm, mean["grad_norm"]),
            stopped=jnp.where(flat, e + 1, run.stopped).astype(jnp.int32),
        )
    if course.valid is None and besides.record is None:
        return run
    due = ((e + 1) % lengths.evaluate_every == 0) | (e + 1 == lengths.epochs)
    # One that ends between two evaluations is measured then, its row-mates are not.
    due = active & (due | ~run.active)
    return lax.cond(_some(course, due), lambda r: _evaluate(course, e, due, r), lambda r: r, run)


def _evaluate(course: Course, e: Array, due: Array, run: RunState) -> RunState:
    """The run with its scores after epoch ``e``, and what is recorded, where they are ``due`` []."""
    lengths, besides = course.lengths, course.besides
    last = len(lengths.evaluation_epochs) - 1
    slot = jnp.minimum(e // lengths.evaluate_every, last)
    state = with_clock(run.state, with_key_words(course.fresh, course.words), (e + 1) * course.own)

    def write(curves, values):
        later = due & (jnp.arange(last + 1) >= slot)  # flat from here on, unless more follows
        spread = lambda x: later.reshape(-1, *(1,) * x.ndim)
        return jax.tree.map(lambda c, v: jnp.where(spread(v), v.astype(c.dtype), c), curves, values)

    def measure(curves, rows):
        return write(curves, evaluate_rows(course.learner, state, course.data, rows, lengths))

    if besides.record is not None:
        run = run._replace(record=write(run.record, besides.record(state)))
    if course.valid is None:
        return run
    run = run._replace(curves=measure(run.curves, course.valid))
    if lengths.evaluate_train:
        run = run._replace(train_curves=measure(run.train_curves, course.train))
    early = besides.early_stopping
    if early is None:
        return run
    score = run.curves[filled_in(early.metric)][slot]
    return _keep_best(early, e, due & (run.diverged < 0), score, run)


def _keep_best(early: EarlyStopping, e: Array, due: Array, score: Array, run: RunState) -> RunState:
    """The run with its best state so far, stopped where its patience has run out."""
    score = as_loss(score, early.maximize)
    better, out_of_patience = stopping.check_patience(early, run.best, score, e + 1)
    better &= due
    new = Best(score, e + 1, run.state if early.restore_best else ())
    ends = due & out_of_patience & (run.stopped < 0)
    return run._replace(
        best=jax.tree.map(lambda n, o: jnp.where(better, n, o).astype(o.dtype), new, run.best),
        stopped=jnp.where(ends, e + 1, run.stopped).astype(jnp.int32),
    )


def _some(course: Course, flag: Array) -> Array:
    """Whether the flag [] holds for any of the runs that share one clock."""
    axis = course.besides.axis
    return flag if axis is None else lax.pmax(flag.astype(jnp.int8), axis) > 0
