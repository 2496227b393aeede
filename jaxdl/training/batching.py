"""Which rows a run sees, in what order and how many at a time; all lengths are static."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.base import Array, Batch, Key
from jaxdl.checks import one_of, positive_int


class Rows(NamedTuple):
    """Rows of the data, padded to a static length.

    index: [n] int32, the padding points at row 0.
    mask: [n] bool, the rows that count; they come first.
    """

    index: Array | np.ndarray
    mask: Array | np.ndarray


class Lengths(NamedTuple):
    """Static lengths of a run: batch_size rows a step, epochs, evaluations every so many epochs.

    remainder: ``"keep"`` trains on the last, smaller batch of an epoch (its mean is over its own
    rows), ``"drop"`` leaves it out. ``shuffle`` is without replacement, anew each epoch.
    ``steps`` cuts the last epoch short. ``within_epochs``: stretches may end within an epoch.
    """

    batch_size: int
    epochs: int
    evaluate_every: int
    remainder: str = "keep"
    shuffle: bool = True
    evaluate_train: bool = False
    eval_batch: int = 4096
    steps: int | None = None
    within_epochs: bool = False

    def total_steps(self, per_epoch: int) -> int:
        """The steps of the whole run, where an epoch has ``per_epoch``."""
        return self.epochs * per_epoch if self.steps is None else self.steps

    @property
    def evaluation_epochs(self) -> np.ndarray:
        """The epochs after which metrics are taken, [num_evaluations]; the last is always one."""
        every = np.arange(self.evaluate_every, self.epochs + 1, self.evaluate_every)
        return every if every.size and every[-1] == self.epochs else np.append(every, self.epochs)


def lengths_of(
    counts: Sequence[int] | np.ndarray,
    epochs: int,
    batch_size: int | None,
    evaluate_every: int,
    remainder: str,
) -> Lengths:
    """The Lengths of runs over so many rows each, [F]; a batch has all of them at most.

    Raises a ValueError for numbers that make no sense, or that leave no step.
    """
    fewest, most = int(min(counts)), int(max(counts))
    positive_int("epochs", epochs)
    positive_int("evaluate_every", evaluate_every)
    one_of("remainder", remainder, ("keep", "drop"))
    size = most if batch_size is None else positive_int("batch_size", batch_size)
    if remainder == "drop" and batch_size is not None and size > fewest:
        raise ValueError(
            f"batch_size={batch_size} is more than the {fewest} training rows: with "
            "remainder='drop' there would be no step"
        )
    return Lengths(min(size, most), int(epochs), int(evaluate_every), remainder)


class Padding(NamedTuple):
    """What a population's runs make necessary, static.

    masked: some batch of some run has rows that do not count, so steps take a mask.
    uneven: some run has fewer batches in an epoch than others, so some steps do nothing.
    """

    masked: bool
    uneven: bool


def padding_of(counts: np.ndarray, lengths: Lengths) -> Padding:
    """The Padding of runs over ``counts`` [F] rows each."""
    whole = lengths.remainder == "drop" or np.max(counts) % lengths.batch_size == 0
    uneven = len(set(steps_per_epoch(np.asarray(counts), lengths).tolist())) > 1
    return Padding(masked=bool(np.ptp(counts)) or not whole, uneven=uneven)


def pad_rows(indices: list[np.ndarray]) -> Rows:
    """Index arrays of different lengths as Rows [k, n]. Raises a ValueError where one is empty."""
    longest = max(len(i) for i in indices)
    if not all(len(i) for i in indices):
        raise ValueError("a part of the data has no rows")
    index = np.zeros((len(indices), longest), np.int32)
    mask = np.zeros((len(indices), longest), bool)
    for row, i in enumerate(indices):
        index[row, : len(i)] = i
        mask[row, : len(i)] = True
    return Rows(index, mask)


def take(data: Batch, index: Array | np.ndarray) -> Batch:
    """The rows ``index`` [B] of every leaf [N, ...] of the data."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf)[index], data)


def steps_per_epoch(count, lengths: Lengths):
    """Steps that an epoch over ``count`` rows takes: ceil(count / B), or floor if dropping."""
    up = lengths.batch_size - 1 if lengths.remainder == "keep" else 0
    return (count + up) // lengths.batch_size


def epoch_order(key: Key, mask: Array) -> Array:
    """A random order [n] of the rows that count, the padding last.

    The draw for a row does not depend on how far the rows are padded, so a run over fewer rows
    sees the same order within any population. The key is consumed.
    """
    draw = jax.random.bits(key, mask.shape, jnp.uint32) >> 1
    return stable_argsort(jnp.where(mask, draw, jnp.uint32(0xFFFFFFFF)))


def stable_argsort(words: Array) -> Array:
    """``argsort(words, stable=True)`` of uint32 [n], by radix where each place has 16 bits.

    On CPUs XLA sorts one array several times faster than two that move together.
    """
    n = words.shape[0]
    if n > 1 << 16:
        return jnp.argsort(words, stable=True)
    place = jnp.arange(n, dtype=jnp.uint32)
    low = jnp.sort((words << 16) | place, stable=False) & 0xFFFF
    high = jnp.sort((words[low] & jnp.uint32(0xFFFF0000)) | place, stable=False) & 0xFFFF
    return low[high].astype(jnp.int32)
