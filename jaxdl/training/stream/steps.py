"""What is compiled of a run over a stream: a step, an evaluation."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.arrays import num_rows
from jaxdl.base import Array, Batch, Key, Learner
from jaxdl.checks import is_key
from jaxdl.training import passes, run_state
from jaxdl.training.batching import Lengths, Rows


class Carry(NamedTuple):
    """state: the learner's. step: [] of all. total, count: [] of the losses since the last look.
    diverged: [] int32."""

    state: Any
    step: Array
    total: Array
    count: Array
    diverged: Array


def init(learner: Learner, key: Key):
    """The learner's first state; the key is consumed."""
    return learner.init(key)


def step(learner: Learner, carry: Carry, batch: Batch) -> Carry:
    """The Carry after a batch; no step is taken where it, or one before it, is not finite."""
    new, info = learner.step(carry.state, batch)
    finite = jnp.isfinite(info["loss"]) & run_state.all_finite(new)
    taken = finite & (carry.diverged < 0)
    return Carry(
        run_state.select(taken, new, carry.state),
        carry.step + 1,
        carry.total + jnp.where(taken, info["loss"], 0).astype(carry.total.dtype),
        carry.count + taken,
        jnp.where(finite | (carry.diverged >= 0), carry.diverged, carry.step),
    )


def evaluate(learner: Learner, state, validation: Batch):
    """The mean of each metric over validation rows [M, D], {name: []}."""
    m = num_rows(validation)
    every = Rows(jnp.arange(m, dtype=jnp.int32), jnp.ones(m, bool))
    return passes.evaluate_rows(learner, state, validation, every, Lengths(1, 1, 1))


def copy(x):
    """An array in memory of its own, which donating x leaves alone; also of keys."""
    return jax.random.clone(x) if is_key(x) else jnp.copy(x)
