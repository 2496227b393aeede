"""The training loop as one pure function: epochs of shuffled, padded, masked batches.

``fit`` runs it for one learner, ``cross_validate`` for a population. It is traced whole; nothing
in it talks to the host. All lengths are static, so runs over parts of the data of different
sizes share one program: their rows are padded to one length and masked. Where it starts and stops
is traced, so a run cut into stretches anywhere is the run itself.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxdl.arrays import masked_mean
from jaxdl.base import Array, Batch, Key, Learner
from jaxdl.metrics.directions import as_loss
from jaxdl.training import stopping
from jaxdl.training.batching import Lengths, Padding, Rows, epoch_order, steps_per_epoch, take
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
    with_slice,
    without_clock,
)
from jaxdl.training.stopping import Best


def masked_step(learner: Learner, state: Any, batch: Batch, mask: Array) -> tuple[Any, Any]:
    """A step on the rows of a batch that count. Raises a ValueError for a learner without masks."""
    try:
        return learner.step(state, batch, mask=mask)
    except TypeError as error:
        if "unexpected keyword argument 'mask'" not in str(error):
            raise
        raise ValueError(
            "batches differ in size here (uneven folds, or a smaller last batch), so Learner.step, "
            "and the loss behind it, must take the keyword mask [B]; or use a batch_size that "
            "divides the training rows"
        ) from error


def run_batches(learner, state, totals, data, rows, key, lo, hi, lengths, padding: Padding):
    """Steps ``lo`` to ``hi`` of an epoch, each on a batch of the shuffled rows.

    Returns the state, the totals, and the number [] of the epoch's rows up to ``hi``.
    """
    size = lengths.batch_size
    n = rows.index.shape[0]
    num_steps = int(steps_per_epoch(n, lengths))
    if lengths.shuffle and num_steps * size > size:
        order = epoch_order(key, rows.mask)
        rows = Rows(rows.index[order], rows.mask[order])
    length = num_steps * size
    fill = max(length - n, 0)
    index = jnp.pad(rows.index, (0, fill))[:length].reshape(num_steps, size)
    mask = jnp.pad(rows.mask, (0, fill))[:length].reshape(num_steps, size)
    if lengths.remainder == "drop":
        mask &= jnp.all(mask, axis=1, keepdims=True)

    def step(i, carry):
        state, totals = carry
        batch = take(data, index[i])
        if not padding.masked:
            new, info = learner.step(state, batch)
            return new, {k: t + size * info[k] for k, t in totals.items()}
        new, info = masked_step(learner, state, batch, mask[i])
        count = jnp.sum(mask[i])
        if padding.uneven:
            # Where a shorter part of the data has run out of batches, nothing but the clock moves.
            new = with_clock(select(count > 0, without_clock(new), without_clock(state)), new, 0)
        add = lambda t, v: t + jnp.where(count > 0, count * v, 0).astype(t.dtype)
        return new, {k: add(t, info[k]) for k, t in totals.items()}

    state, totals = lax.fori_loop(lo, hi, step, (state, totals))
    seen = jnp.sum(mask & (jnp.arange(num_steps) < hi)[:, None])
    return state, totals, seen


def evaluate_rows(learner, state, data, rows: Rows, lengths: Lengths) -> dict[str, Array]:
    """Mean of every metric over the rows that count, {name: []}, in slices that fit in memory."""
    n = rows.index.shape[0]
    size = min(n, lengths.eval_batch)
    slices = -(-n // size)
    fill = slices * size - n
    index = jnp.pad(rows.index, (0, fill)).reshape(slices, size)
    mask = jnp.pad(rows.mask, (0, fill)).reshape(slices, size)

    def one(part):
        number, index, mask = part
        values = learner.evaluate(with_slice(state, number), take(data, index))
        return {k: masked_mean(v, mask) for k, v in values.items()}, jnp.sum(mask)

    if slices == 1:
        return one((0, index[0], mask[0]))[0]
    means, counts = lax.map(one, (jnp.arange(slices), index, mask))
    total = jnp.maximum(jnp.sum(counts), 1)
    return {k: jnp.sum(v * counts) / total for k, v in means.items()}


def run_stretch(
    learner: Learner,
    data: Batch,
    train: Rows,
    valid: Rows | None,
    key: Key,
    run: RunState,
    start: Array,
    stop: Array,
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
    last_slot = len(lengths.evaluation_epochs) - 1
    some = lambda flag: (
        flag if besides.axis is None else lax.pmax(flag.astype(jnp.int8), besides.axis) > 0
    )

    def epoch(carry):
        e, run = carry
        lo, hi = 0, per_epoch
        if lengths.within_epochs:
            lo = jnp.maximum(start - e * per_epoch, 0)
            hi = jnp.minimum(stop - e * per_epoch, per_epoch)
        old = select(lo > 0, run.epoch_start, run.state) if lengths.within_epochs else run.state
        totals = {k: jnp.where(lo > 0, t, 0).astype(t.dtype) for k, t in run.totals.items()}
        state = with_clock(run.state, fresh, e * own + lo)
        shuffle = jax.random.fold_in(shuffle_key, e)
        state, totals, seen = run_batches(
            learner, state, totals, data, train, shuffle, lo, hi, lengths, padding
        )
        state = without_clock(state)
        if not lengths.within_epochs:
            return e + 1, close(e, run, old, state, totals, seen)
        full = (hi == per_epoch) | (e * per_epoch + hi == lengths.total_steps(per_epoch))
        midway = run._replace(state=state, epoch_start=old, totals=totals)
        done = lambda: close(e, run, old, state, totals, seen)._replace(epoch_start=old)
        return e + 1, lax.cond(full, done, lambda: midway)

    def close(e, run, old, state, totals, seen):
        """The end of an epoch: divergence, evaluation, early stopping."""
        mean = {k: t / jnp.maximum(seen, 1) for k, t in totals.items()}
        active = run.active
        finite = jnp.isfinite(mean["loss"]) & all_finite(state)
        put = lambda history, value: history.at[e].set(
            jnp.where(active, value, history[e]).astype(history.dtype)
        )
        run = run._replace(
            state=select(active & finite, state, old),
            totals=totals,
            diverged=jnp.where(active & ~finite, e, run.diverged).astype(jnp.int32),
            loss=put(run.loss, mean["loss"]),
        )
        if besides.tolerance is not None:
            flat = active & finite & (mean["grad_norm"] < besides.tolerance)
            run = run._replace(
                grad_norm=put(run.grad_norm, mean["grad_norm"]),
                stopped=jnp.where(flat, e + 1, run.stopped).astype(jnp.int32),
            )
        if valid is None and besides.record is None:
            return run
        due = ((e + 1) % lengths.evaluate_every == 0) | (e + 1 == lengths.epochs)
        # One that ends between two evaluations is measured then, its row-mates are not.
        due = active & (due | ~run.active)
        return lax.cond(some(due), lambda p: evaluated(e, due, p), lambda p: p, run)

    def evaluated(e, due, run):
        slot = jnp.minimum(e // lengths.evaluate_every, last_slot)
        now = with_clock(run.state, with_key_words(fresh, words), (e + 1) * own)

        def write(curves, values):
            later = due & (jnp.arange(last_slot + 1) >= slot)
            spread = lambda x: later.reshape(-1, *(1,) * x.ndim)
            return jax.tree.map(
                lambda c, v: jnp.where(spread(v), v.astype(c.dtype), c), curves, values
            )

        def measure(curves, rows):
            return write(curves, evaluate_rows(learner, now, data, rows, lengths))

        if besides.record is not None:
            run = run._replace(record=write(run.record, besides.record(now)))
        if valid is None:
            return run
        run = run._replace(curves=measure(run.curves, valid))
        if lengths.evaluate_train:
            run = run._replace(train_curves=measure(run.train_curves, train))
        if besides.early_stopping is None:
            return run
        best = run.best
        score = as_loss(
            run.curves[besides.early_stopping.metric][slot], besides.early_stopping.maximize
        )
        running = due & (run.diverged < 0)
        better, out_of_patience = stopping.check_patience(
            besides.early_stopping, best, score, e + 1
        )
        better &= running
        new = Best(score, e + 1, run.state if besides.early_stopping.restore_best else ())
        return run._replace(
            best=jax.tree.map(lambda n, o: jnp.where(better, n, o).astype(o.dtype), new, best),
            stopped=jnp.where(
                running & out_of_patience & (run.stopped < 0), e + 1, run.stopped
            ).astype(jnp.int32),
        )

    goes_on = lambda carry: (carry[0] * per_epoch < stop) & some(carry[1].active)
    first = jnp.asarray(start, jnp.int32) // per_epoch
    return lax.while_loop(goes_on, epoch, (first, run))[1]
