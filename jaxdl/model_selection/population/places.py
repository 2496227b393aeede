"""Where members lie: in a store by number, [M, ...], and in rows by slot, [R, s, ...].

``slots`` [R, s] names the member of each place, -1 where there is none. Leaves may be typed keys.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.checks import is_key


def empty(size: int, shapes: Any) -> Any:
    """A store of that many members, of zeros, from the shapes of one."""

    def zeros(leaf):
        if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jnp.broadcast_to(jax.random.key(0), (size, *leaf.shape))
        return np.zeros((size, *leaf.shape), leaf.dtype)

    return jax.tree.map(zeros, shapes)


def lay_out(store: Any, slots: np.ndarray) -> Any:
    """The members in their places; in an empty one lies some member too."""
    which = np.maximum(slots, 0)
    lay = lambda leaf: _take(leaf, which.ravel()).reshape(*which.shape, *leaf.shape[1:])
    return jax.tree.map(lay, store)


def put_back(store: Any, rows: Any, slots: np.ndarray) -> Any:
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
