"""What members have done: in a store by number, [M, ...], and in rows by slot, [R, s, ...].

``slots`` [R, s] names the member of each place, -1 where there is none. Leaves may be typed keys.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl import parallel
from jaxdl.checks import is_key
from jaxdl.training.run_state import RunState


class Store(NamedTuple):
    """run: a RunState with leaves [M, ...]. held: predictions [M, n, ...] of held-out rows, or ().

    Of rows, leaves are [R, s, ...].
    """

    run: RunState
    held: Any


def empty(size: int, run: RunState, held: Any) -> Store:
    """A store of that many members that have done nothing, from the shapes of one."""

    def zeros(leaf):
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jnp.broadcast_to(jax.random.key(0), (size, *leaf.shape))
        return np.zeros((size, *leaf.shape), leaf.dtype)

    run, held = jax.tree.map(zeros, (run, held))
    none = np.full(size, -1, np.int32)
    return Store(run._replace(stopped=none, diverged=none.copy()), held)


def lay_out(store: Store, slots: np.ndarray) -> Store:
    """The members in their places; in an empty one lies some member too, as one that has finished."""
    which = np.maximum(slots, 0)
    lay = lambda leaf: _take(leaf, which.ravel()).reshape(*which.shape, *leaf.shape[1:])
    run, held = jax.tree.map(lay, store)
    stopped = np.where(slots >= 0, run.stopped, 0).astype(np.int32)
    return Store(run._replace(stopped=stopped), held)


def copied(store: Store, source: np.ndarray) -> Store:
    """The store in which each member is what that of ``source`` [M] was."""
    return jax.tree.map(lambda leaf: _take(leaf, source), store)


def peek(store: Store, rows: Store | None, slots: np.ndarray, pick: Callable) -> np.ndarray:
    """``pick(run)`` of all members [M, ...], of those in rows as it is now."""
    stored = np.array(pick(store.run))
    if rows is not None:
        here = slots.ravel() >= 0
        now = np.asarray(pick(rows.run))
        stored[slots.ravel()[here]] = now.reshape(-1, *now.shape[2:])[here]
    return stored


def gather(store: Store, rows: Store | None, slots: np.ndarray) -> Store:
    """The store with what the rows of all processes hold now; ``slots`` are those of this one's."""
    mine = None if rows is None else (rows, slots)
    for part in parallel.gather("members", mine, (store, slots)):
        store = store if part is None else put_back(store, *part)
    return store


def gather_histories(store: Store, rows: Store | None, slots: np.ndarray) -> Store:
    """``gather`` for what decisions and logs go by alone, not for what members have learned."""
    run = store.run
    heard = gather(_histories(store), rows and _histories(rows), slots).run
    best = heard.best._replace(state=run.best.state) if run.best else run.best
    return store._replace(
        run=heard._replace(
            state=run.state, epoch_start=run.epoch_start, totals=run.totals, best=best
        )
    )


def _histories(store: Store) -> Store:
    run = store.run
    best = run.best._replace(state=()) if run.best else run.best
    return Store(run._replace(state=(), epoch_start=(), totals={}, best=best), ())


def put_back(store: Store, rows: Store, slots: np.ndarray) -> Store:
    """The store with what the rows hold now."""
    here = np.flatnonzero(slots.ravel() >= 0)
    ids = slots.ravel()[here]

    def put(stored, now):
        now = _take(now.reshape(-1, *now.shape[2:]), here)
        if is_key(stored):
            return stored.at[ids].set(now)
        stored = np.array(stored)
        stored[ids] = now
        return stored

    return jax.tree.map(put, store, rows)


def _take(leaf, index):
    if is_key(leaf):
        return jax.random.clone(leaf)[index]
    return np.asarray(leaf)[index]
