"""The training loop as one pure function: epochs of shuffled, padded, masked batches.

``fit`` runs it for one learner, ``cross_validate`` for a population. It is traced whole; nothing
in it talks to the host. All lengths are static, so runs over parts of the data of different
sizes share one program: their rows are padded to one length and masked. Where it starts and stops
is traced, so a run cut into stretches anywhere is the run itself.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxdl.arrays import masked_mean, unconsumed
from jaxdl.base import Array, Batch, Key, Learner, TrainState, evaluation_key
from jaxdl.metrics.directions import as_loss
from jaxdl.training import stopping
from jaxdl.training.batching import Lengths, Padding, Rows, epoch_order, steps_per_epoch, take
from jaxdl.training.stopping import Best, EarlyStopping


class RunState(NamedTuple):
    """What a run carries from one stretch to the next; arrays only.

    state: the learner's state, without the clock (step and key) of a plain TrainState.
    epoch_start: that state at the start of the running epoch; () where stretches are whole epochs.
    totals: sums over the running epoch, {name: []}: of the loss, of the gradient's norm.
    diverged: [] int32, the first epoch with a non-finite loss or state, -1 if none.
    stopped: [] int32, the number of epochs after which the run was stopped early, -1 if not.
    loss: [epochs], mean training loss of each epoch, NaN where not trained.
    grad_norm: [epochs], mean norm of the gradient, or () where no tolerance asks for it.
    curves: {metric: [V]} on the validation rows; after the end of a run they stay flat.
    train_curves: the same on the training rows, or {}.
    best: a Best, or () without early stopping.
    record: what was recorded at each evaluation, leaves [V, ...], or ().
    """

    state: Any
    epoch_start: Any
    totals: dict[str, Array]
    diverged: Array
    stopped: Array
    loss: Array
    grad_norm: Any
    curves: dict[str, Array]
    train_curves: dict[str, Array]
    best: Any
    record: Any

    @property
    def active(self) -> Array:
        """[] bool: whether the run goes on."""
        return (self.diverged < 0) & (self.stopped < 0)


class StopAndRecord(NamedTuple):
    """What a run does besides stepping.

    early_stopping: an EarlyStopping that was checked, or None.
    tolerance: stop once an epoch's mean gradient norm [] is below it; None: never.
    record: ``(state) -> pytree`` to keep at each evaluation, or None.
    axis: the ``vmap`` axis of runs that share one clock, or None: all of them go on until the
        last has finished, and every one that has finished stays as it is.
    """

    early_stopping: EarlyStopping | None = None
    tolerance: Any = None
    record: Callable | None = None
    axis: str | None = None


NOTHING = StopAndRecord()


def all_finite(tree) -> Array:
    """[] bool: whether every floating-point entry of arrays of any shape in the tree is finite."""
    leaves = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.inexact)]
    # One reduction for each dtype, not for each leaf: it is compiled in a fraction of the time.
    alike = {x.dtype: [y.ravel() for y in leaves if y.dtype == x.dtype] for x in leaves}
    return jnp.all(jnp.array([jnp.all(jnp.isfinite(jnp.concatenate(v))) for v in alike.values()]))


def select(keep: Array, new, old):
    """``new`` where ``keep`` [] holds, else ``old``, leaf by leaf."""
    return jax.tree.map(lambda n, o: jnp.where(keep, unconsumed(n), unconsumed(o)), new, old)


def without_clock(state: Any) -> Any:
    """Leave the clock, [] each, of a TrainState out of what is carried: it follows from the epoch.

    Under ``vmap`` over settings the clock then stays unbatched, and with it every random draw.
    """
    return state._replace(step=None, key=None) if isinstance(state, TrainState) else state


def with_clock(state, fresh, steps):
    if isinstance(state, TrainState):
        return state._replace(step=fresh.step + steps, key=fresh.key)
    return state


def key_words(state: Any) -> Array | None:
    """The words of a TrainState's key, to be taken into a branch.

    ``vmap`` may turn a branch into a selection, which would use a typed key twice.
    """
    return jax.random.key_data(state.key) if isinstance(state, TrainState) else None


def with_key_words(state: Any, words: Array | None) -> Any:
    """A TrainState with the key of those words."""
    if words is None:
        return state
    impl = jax.random.key_impl(state.key)
    return state._replace(key=jax.random.wrap_key_data(words, impl=impl))


def with_slice(state: Any, number: int | Array) -> Any:
    """The state to evaluate slice ``number`` of the rows with, whose draws are its own.

    They depend on the run's key and on the rows alone, so a score is the same under any strategy,
    and all settings of a fold and seed are scored by the same draws.
    """
    if not isinstance(state, TrainState):
        return state
    return state._replace(key=jax.random.fold_in(evaluation_key(state.key), number))


def init_run(
    learner: Learner, data: Batch, key: Key, lengths: Lengths, besides: StopAndRecord = NOTHING
) -> RunState:
    """The RunState before the first epoch, each leaf of the shape that the run will carry."""
    state = learner.init(jax.random.clone(key))
    one = take(data, jnp.zeros((2,), jnp.int32))  # batch normalisation refuses a single row
    metrics = jax.eval_shape(learner.evaluate, state, one)
    count = len(lengths.evaluation_epochs)
    curves = {name: jnp.full((count,), jnp.nan, v.dtype) for name, v in metrics.items()}
    info = jax.eval_shape(learner.step, state, one)[1]
    names = ("loss",) if besides.tolerance is None else ("loss", "grad_norm")
    history = lambda name: jnp.full((lengths.epochs,), jnp.nan, info[name].dtype)
    carried = without_clock(state)
    best = ()
    if besides.early_stopping is not None:
        dtype = metrics[besides.early_stopping.metric].dtype
        best = stopping.before(dtype, carried if besides.early_stopping.restore_best else ())
    record = ()
    if besides.record is not None:
        kept = jax.eval_shape(besides.record, state)
        record = jax.tree.map(lambda x: jnp.zeros((count, *x.shape), x.dtype), kept)
    return RunState(
        state=carried,
        epoch_start=carried if lengths.within_epochs else (),
        totals={name: jnp.zeros((), info[name].dtype) for name in names},
        diverged=jnp.full((), -1, jnp.int32),
        stopped=jnp.full((), -1, jnp.int32),
        loss=history("loss"),
        grad_norm=() if besides.tolerance is None else history("grad_norm"),
        curves=curves,
        train_curves=dict(curves) if lengths.evaluate_train else {},
        best=best,
        record=record,
    )


def masked_step(learner: Learner, state: Any, batch: Batch, mask: Array) -> tuple[Any, Any]:
    """A step on the rows of a batch that count. Raises a ValueError where it takes no mask."""
    try:
        return learner.step(state, batch, mask=mask)
    except TypeError as error:
        if "unexpected keyword argument 'mask'" not in str(error):
            raise
        raise ValueError(
            "batches differ in size here (uneven folds, or a smaller last batch), so Learner.step "
            "must take the keyword mask [B]; or use a batch_size that divides the training rows"
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


def final_state(learner: Learner, run: RunState, key: Key, steps: int | Array):
    """The learner's whole state after a run of ``steps`` [] steps, its clock wound up again.

    With early stopping it is the best state where that was kept and there was one.
    """
    init_key, _ = jax.random.split(jax.random.clone(key))
    return with_clock(kept_state(run), learner.init(init_key), steps)


def kept_state(run: RunState) -> Any:
    """The state that a run ends with, in its shape, no clock: the best one, where it was kept."""
    if not keeps_best(run):
        return run.state
    best = run.best
    return select(best.epoch > 0, best.state, run.state)


def keeps_best(run: RunState) -> bool:
    """Whether a run keeps its best state; static, of a RunState."""
    best = run.best
    return isinstance(best, Best) and not (isinstance(best.state, tuple) and best.state == ())
