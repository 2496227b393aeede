"""The training loop as one pure function: epochs of shuffled, padded, masked batches.

``fit`` runs it for one learner, ``cross_validate`` for a population. It is traced whole; nothing
in it talks to the host. All lengths are static, so runs over parts of the data of different
sizes share one program: their rows are padded to one length and masked.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxdl.base import Array, Batch, Key, Learner, TrainState
from jaxdl.training.objectives import masked_mean


class Rows(NamedTuple):
    """Rows of the data, padded to a static length.

    index: [n] int32, the padding points at row 0.
    mask: [n] bool, the rows that count; they come first.
    """

    index: Array
    mask: Array


class Progress(NamedTuple):
    """What a run carries from one stretch of epochs to the next; arrays only.

    state: the learner's state, without the clock (step and key) of a plain TrainState.
    diverged: [] int32, the first epoch with a non-finite loss or state, -1 if none.
    loss: [epochs], mean training loss of each epoch, NaN where not trained.
    curves: {metric: [num_evaluations]} on the validation rows.
    train_curves: the same on the training rows, or {}.
    """

    state: Any
    diverged: Array
    loss: Array
    curves: dict[str, Array]
    train_curves: dict[str, Array]


class Schedule(NamedTuple):
    """Static lengths of a run: batch_size rows a step, epochs, evaluations every so many epochs.

    remainder: ``"keep"`` trains on the last, smaller batch of an epoch (its mean is over its own
    rows), ``"drop"`` leaves it out. ``shuffle`` is without replacement, anew each epoch.
    """

    batch_size: int
    epochs: int
    evaluate_every: int
    remainder: str = "keep"
    shuffle: bool = True
    evaluate_train: bool = False
    eval_batch: int = 4096

    @property
    def evaluation_epochs(self) -> np.ndarray:
        """The epochs after which metrics are taken, [num_evaluations]; the last is always one."""
        every = np.arange(self.evaluate_every, self.epochs + 1, self.evaluate_every)
        return every if every.size and every[-1] == self.epochs else np.append(every, self.epochs)


class Padding(NamedTuple):
    """What a population's runs make necessary, static.

    masked: some batch of some run has rows that do not count, so steps take a mask.
    uneven: some run has fewer batches in an epoch than others, so some steps do nothing.
    """

    masked: bool
    uneven: bool


def padding(counts: np.ndarray, schedule: Schedule) -> Padding:
    """The Padding of runs over ``counts`` [F] rows each."""
    whole = schedule.remainder == "drop" or np.max(counts) % schedule.batch_size == 0
    uneven = len(set(steps_per_epoch(np.asarray(counts), schedule).tolist())) > 1
    return Padding(masked=bool(np.ptp(counts)) or not whole, uneven=uneven)


def pad_rows(indices: list[np.ndarray]) -> Rows:
    """Stack index arrays of different lengths as Rows [k, n_max]. Raises where one is empty."""
    longest = max(len(i) for i in indices)
    if not all(len(i) for i in indices):
        raise ValueError("a part of the data has no rows")
    index = np.zeros((len(indices), longest), np.int32)
    mask = np.zeros((len(indices), longest), bool)
    for row, i in enumerate(indices):
        index[row, : len(i)] = i
        mask[row, : len(i)] = True
    return Rows(index, mask)


def take(data: Batch, index: Array) -> Batch:
    """The rows ``index`` [B] of every leaf [N, ...] of the data."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf)[index], data)


def steps_per_epoch(count, schedule: Schedule):
    """Steps that an epoch over ``count`` [] rows takes: ceil(count / B), or floor if dropping."""
    up = schedule.batch_size - 1 if schedule.remainder == "keep" else 0
    return (count + up) // schedule.batch_size


def epoch_order(key: Key, mask: Array) -> Array:
    """A random order [n] of the rows that count, the padding last.

    The draw for a row does not depend on how far the rows are padded, so a run over fewer rows
    sees the same order within any population. The key is consumed.
    """
    draw = jax.random.bits(key, mask.shape, jnp.uint32) >> 1
    return jnp.argsort(jnp.where(mask, draw, jnp.uint32(0xFFFFFFFF)), stable=True)


def all_finite(tree) -> Array:
    """[] bool: whether every floating-point entry of arrays of any shape in the tree is finite."""
    leaves = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.inexact)]
    # One reduction for each dtype, not for each leaf: it is compiled in a fraction of the time.
    alike = {x.dtype: [y.ravel() for y in leaves if y.dtype == x.dtype] for x in leaves}
    return jnp.all(jnp.array([jnp.all(jnp.isfinite(jnp.concatenate(v))) for v in alike.values()]))


def select(keep: Array, new, old):
    """``new`` where ``keep`` [] holds, else ``old``, leaf by leaf."""
    is_key = lambda x: jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
    plain = lambda x: jax.random.clone(x) if is_key(x) else x
    return jax.tree.map(lambda n, o: jnp.where(keep, plain(n), plain(o)), new, old)


def strip_clock(state: Any) -> Any:
    """Leave the clock, [] each, of a TrainState out of what is carried: it follows from the epoch.

    Under ``vmap`` over settings the clock then stays unbatched, and with it every random draw.
    """
    return state._replace(step=None, key=None) if isinstance(state, TrainState) else state


def _wind(state, fresh, steps):
    if isinstance(state, TrainState):
        return state._replace(step=fresh.step + steps, key=fresh.key)
    return state


def init_progress(learner: Learner, data: Batch, key: Key, schedule: Schedule) -> Progress:
    """The Progress before the first epoch, each leaf of the shape that the run will carry."""
    state = learner.init(jax.random.clone(key))
    one = take(data, jnp.zeros((1,), jnp.int32))
    metrics = jax.eval_shape(learner.evaluate, state, one)
    count = len(schedule.evaluation_epochs)
    curves = {name: jnp.full((count,), jnp.nan, v.dtype) for name, v in metrics.items()}
    loss_dtype = jax.eval_shape(learner.step, state, one)[1]["loss"].dtype
    return Progress(
        state=strip_clock(state),
        diverged=jnp.full((), -1, jnp.int32),
        loss=jnp.full((schedule.epochs,), jnp.nan, loss_dtype),
        curves=curves,
        train_curves=dict(curves) if schedule.evaluate_train else {},
    )


def run_epoch(learner, state, data, rows, key, schedule: Schedule, pads: Padding):
    """One epoch: a step for each batch of the shuffled rows. Returns the state and mean loss []."""
    size = schedule.batch_size
    n = rows.index.shape[0]
    num_steps = int(steps_per_epoch(n, schedule))
    if schedule.shuffle and num_steps * size > size:
        order = epoch_order(key, rows.mask)
        rows = Rows(rows.index[order], rows.mask[order])
    length = num_steps * size
    fill = max(length - n, 0)
    index = jnp.pad(rows.index, (0, fill))[:length].reshape(num_steps, size)
    mask = jnp.pad(rows.mask, (0, fill))[:length].reshape(num_steps, size)
    if schedule.remainder == "drop":
        mask &= jnp.all(mask, axis=1, keepdims=True)

    def step(carry, batch):
        state, total = carry
        index, mask = batch
        if not pads.masked:
            new, info = learner.step(state, take(data, index))
            return (new, total + size * info["loss"]), None
        new, info = learner.step(state, take(data, index), mask=mask)
        count = jnp.sum(mask)
        if pads.uneven:
            # Where a shorter part of the data has run out of batches, nothing but the clock moves.
            new = _wind(select(count > 0, strip_clock(new), strip_clock(state)), new, 0)
        loss = jnp.where(count > 0, count * info["loss"], 0).astype(total.dtype)
        return (new, total + loss), None

    dtype = jax.eval_shape(learner.step, state, take(data, index[0]))[1]["loss"].dtype
    (state, total), _ = lax.scan(step, (state, jnp.zeros((), dtype)), (index, mask))
    return state, total / jnp.maximum(jnp.sum(mask), 1)


def evaluate_rows(learner, state, data, rows: Rows, schedule: Schedule) -> dict[str, Array]:
    """Mean of every metric over the rows that count, {name: []}, in slices that fit in memory."""
    n = rows.index.shape[0]
    size = min(n, schedule.eval_batch)
    slices = -(-n // size)
    fill = slices * size - n
    index = jnp.pad(rows.index, (0, fill)).reshape(slices, size)
    mask = jnp.pad(rows.mask, (0, fill)).reshape(slices, size)

    def one(rows):
        index, mask = rows
        values = learner.evaluate(state, take(data, index))
        return {k: masked_mean(v, mask) for k, v in values.items()}, jnp.sum(mask)

    if slices == 1:
        return one((index[0], mask[0]))[0]
    means, counts = lax.map(one, (index, mask))
    total = jnp.maximum(jnp.sum(counts), 1)
    return {k: jnp.sum(v * counts) / total for k, v in means.items()}


def run_epochs(
    learner: Learner,
    data: Batch,
    train: Rows,
    valid: Rows | None,
    key: Key,
    progress: Progress,
    start: Array,
    stop: Array,
    schedule: Schedule,
    pads: Padding,
) -> Progress:
    """Epochs ``start`` to ``stop`` (traced, []) of a run. Pure; the key is consumed.

    Where a run's loss or state stops being finite it stays at the end of its last finite epoch
    and is flagged; others under the same ``vmap`` are not touched.

    Args:
      learner: what learns.
      data: pytree of arrays [N, ...].
      train, valid: the rows to learn from and to evaluate on (None: on none).
      key: the run's own key; its initial state, order of rows and steps derive from it.
      progress: from ``init_progress`` or an earlier stretch; ignored where ``start`` is 0.
      start, stop: epochs, counted from 0.
      schedule: static lengths.
      pads: static, from ``padding``, one for all runs of a population.
    """
    init_key, shuffle_key = jax.random.split(key)
    fresh = learner.init(init_key)
    resumed = jnp.asarray(start) > 0
    progress = progress._replace(
        state=lax.cond(
            resumed, lambda old, _: old, lambda _, new: new, progress.state, strip_clock(fresh)
        ),
        diverged=jnp.where(resumed, progress.diverged, -1),
    )
    steps = (
        steps_per_epoch(jnp.sum(train.mask), schedule)
        if pads.uneven
        else (int(steps_per_epoch(train.mask.shape[0], schedule)))
    )
    last_slot = len(schedule.evaluation_epochs) - 1

    def record(curves, state, rows, slot):
        values = evaluate_rows(learner, state, data, rows, schedule)
        return {k: curves[k].at[slot].set(v.astype(curves[k].dtype)) for k, v in values.items()}

    def epoch(e, progress):
        old = progress.state
        state = _wind(old, fresh, e * steps)
        shuffle = jax.random.fold_in(shuffle_key, e)
        state, loss = run_epoch(learner, state, data, train, shuffle, schedule, pads)
        state = strip_clock(state)
        healthy = progress.diverged < 0
        finite = jnp.isfinite(loss) & all_finite(state)
        progress = progress._replace(
            state=select(healthy & finite, state, old),
            diverged=jnp.where(healthy & ~finite, e, progress.diverged).astype(jnp.int32),
            loss=progress.loss.at[e].set(jnp.where(healthy, loss, jnp.nan)),
        )
        if valid is None:
            return progress
        slot = jnp.minimum(e // schedule.evaluate_every, last_slot)
        due = ((e + 1) % schedule.evaluate_every == 0) | (e + 1 == schedule.epochs)

        def evaluated(progress):
            now = _wind(progress.state, fresh, (e + 1) * steps)
            return progress._replace(
                curves=record(progress.curves, now, valid, slot),
                train_curves=record(progress.train_curves, now, train, slot)
                if schedule.evaluate_train
                else {},
            )

        return lax.cond(due, evaluated, lambda p: p, progress)

    return lax.fori_loop(start, stop, epoch, progress)


def final_state(learner: Learner, progress: Progress, key: Key, steps: int):
    """The learner's whole state after a run of ``steps`` [] steps, its clock wound up again."""
    init_key, _ = jax.random.split(jax.random.clone(key))
    return _wind(progress.state, learner.init(init_key), steps)
