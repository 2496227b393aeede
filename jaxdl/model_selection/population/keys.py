"""The keys of a study: one for each member, and those of what comes before and after."""

import jax
import numpy as np

from jaxdl.base import Array, Key

LAST_SEED = 2**31 - 2


def member_key(key: Key, seed: int | Array | np.ndarray, fold: int | Array | np.ndarray) -> Key:
    """The key of a study's members: ``fold_in(fold_in(key, seed), fold)``.

    It does not depend on the setting, so all settings start from the same draws, see the same
    batches and are compared in pairs; nor on the strategy or on what else is in the grid.
    """
    return jax.random.fold_in(jax.random.fold_in(key, seed), fold)


def folds_key(key: Key) -> Key:
    """The key that shuffles a study's folds; no seed has its number."""
    return jax.random.fold_in(key, 2**32 - 1)


def refit_key(key: Key) -> Key:
    """The key of what is trained after a study; no seed has its number."""
    return jax.random.fold_in(key, LAST_SEED + 1)


def search_key(key: Key) -> Key:
    """The key of a search's proposals; no seed has its number."""
    return jax.random.fold_in(key, 2**32 - 2)
