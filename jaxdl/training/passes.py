"""One pass over rows of the data: the steps of an epoch, and the mean of each metric."""

from typing import Any

import jax.numpy as jnp
from jax import lax

from jaxdl.arrays import masked_mean, safe_divide
from jaxdl.base import Array, Batch, Learner, weights
from jaxdl.training.batching import Lengths, Padding, Rows, epoch_order, steps_per_epoch, take
from jaxdl.training.run_state import select, with_clock, with_slice, without_clock


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

    Returns the state, the totals, and the number [] of the epoch's rows up to ``hi``, or the sum of
    their weights.
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
            weight = weights(batch)
            count = size if weight is None else jnp.sum(weight)
            return new, {k: t + count * info[k] for k, t in totals.items()}
        new, info = masked_step(learner, state, batch, mask[i])
        count = amount(mask[i], weights(batch))
        if padding.uneven:
            # Where a shorter part of the data has run out of batches, nothing but the clock moves.
            some = jnp.any(mask[i])
            new = with_clock(select(some, without_clock(new), without_clock(state)), new, 0)
        add = lambda t, v: t + jnp.where(count > 0, count * v, 0).astype(t.dtype)
        return new, {k: add(t, info[k]) for k, t in totals.items()}

    state, totals = lax.fori_loop(lo, hi, step, (state, totals))
    of_rows = weights(data)
    taken = mask & (jnp.arange(num_steps) < hi)[:, None]
    seen = amount(taken, None if of_rows is None else jnp.asarray(of_rows)[index])
    return state, totals, seen


def amount(mask: Array, weight: Array | None) -> Array:
    """How many of the rows count, [], or the sum of their weights."""
    return jnp.sum(mask if weight is None else jnp.where(mask, weight, 0))


def evaluate_rows(learner, state, data, rows: Rows, lengths: Lengths) -> dict[str, Array]:
    """Mean of every metric over the rows that count, {name: []}, in slices that fit in memory.

    Of data ``(x, y, weight)`` it is the weighted mean.
    """
    n = rows.index.shape[0]
    size = min(n, lengths.eval_batch)
    slices = -(-n // size)
    fill = slices * size - n
    index = jnp.pad(rows.index, (0, fill)).reshape(slices, size)
    mask = jnp.pad(rows.mask, (0, fill)).reshape(slices, size)

    def one(part):
        number, index, mask = part
        batch = take(data, index)
        values, weight = learner.evaluate(with_slice(state, number), batch), weights(batch)
        return {k: masked_mean(v, mask, weight) for k, v in values.items()}, amount(mask, weight)

    if slices == 1:
        return one((0, index[0], mask[0]))[0]
    means, counts = lax.map(one, (jnp.arange(slices), index, mask))
    return {k: safe_divide(jnp.sum(v * counts), jnp.sum(counts)) for k, v in means.items()}
