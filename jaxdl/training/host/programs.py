"""The programs of one run: what is static of it, and what is compiled."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl import programs
from jaxdl.base import Array, Batch, Key, Learner
from jaxdl.checks import is_key
from jaxdl.training import loop, run_state
from jaxdl.training.batching import Lengths, Rows, padding_of, steps_per_epoch, take
from jaxdl.training.run_state import RunState, StopAndRecord
from jaxdl.training.stopping import EarlyStopping


class FitSpec(NamedTuple):
    """What is static of a run, a key of the compiled programs.

    early_stopping: its metric and what it keeps; the numbers are the ``Thresholds``. Or None.
    """

    learner: Learner
    lengths: Lengths
    num_train: int
    num_valid: int
    early_stopping: EarlyStopping | None
    has_tolerance: bool
    record: Callable | None

    @property
    def per_epoch(self) -> int:
        """Steps in an epoch, ceil(N / B), or floor(N / B) if the rest is dropped (Eq. (30))."""
        return int(steps_per_epoch(self.num_train, self.lengths))

    @property
    def total(self) -> int:
        """Steps of the whole run."""
        return self.lengths.total_steps(self.per_epoch)


class Thresholds(NamedTuple):
    """What a run stops by, traced: the EarlyStopping's two numbers and the tolerance."""

    patience: float | Array = 0
    min_delta: float | Array = 0.0
    tolerance: float | Array = 0.0


def split(
    early_stopping: EarlyStopping | None, tolerance: float | Array | None
) -> tuple[EarlyStopping | None, Thresholds]:
    """What a run stops by, apart: what is static of the EarlyStopping, and the numbers."""
    thresholds = Thresholds(tolerance=0.0 if tolerance is None else tolerance)
    if early_stopping is None:
        return None, thresholds
    patience, min_delta, *_ = early_stopping
    static = early_stopping._replace(patience=0, min_delta=0.0)
    return static, thresholds._replace(patience=patience, min_delta=min_delta)


def reports(learner: Learner, data: Batch, key: Key) -> tuple[list[str], list[str]]:
    """The names of what a step reports and of the metrics; nothing is run."""
    info, metrics = _shapes(_peek, learner, data, key)
    return list(info), list(metrics)


def empty(spec: FitSpec, data: Batch, key: Key) -> RunState:
    """A RunState of zeros, which the first stretch fills."""

    def zeros(x):
        if is_key(x):
            return jnp.broadcast_to(jax.random.key(0), x.shape)
        return np.zeros(x.shape, x.dtype)

    run = jax.tree.map(zeros, _shapes(_init, spec, data, key))
    return run._replace(stopped=np.int32(-1), diverged=np.int32(-1))


def advance(
    spec: FitSpec, data: Batch, key: Key, run: RunState, start, stop, thresholds: Thresholds
) -> RunState:
    """The RunState after steps ``start`` to ``stop`` of a run."""
    every = lambda count, first: Rows(
        jnp.arange(first, first + count, dtype=jnp.int32), jnp.ones(count, bool)
    )
    n, m = spec.num_train, spec.num_valid
    padding = padding_of(np.array([n]), spec.lengths)
    return loop.run_stretch(
        spec.learner, data, every(n, 0), every(m, n) if m else None, key, run, start, stop,
        spec.lengths, padding, _besides(spec, thresholds),
    )  # fmt: skip


def finish(spec: FitSpec, key: Key, run: RunState):
    """The state that a run ends with, what else is left of its RunState, and its steps."""
    ended = jnp.where(run.diverged >= 0, run.diverged, run.stopped)
    ended = jnp.where(ended >= 0, ended, spec.lengths.epochs)
    if spec.early_stopping is not None and spec.early_stopping.restore_best:
        ended = jnp.where(run.best.epoch > 0, run.best.epoch, ended)
    ended = jnp.minimum(ended * spec.per_epoch, spec.total)  # the last epoch may be cut short
    state = run_state.final_state(spec.learner, run, key, ended)
    best = run.best._replace(state=()) if spec.early_stopping else ()
    return state, run._replace(state=(), epoch_start=(), best=best), ended.astype(jnp.int32)


def call(fn: Callable, donated: tuple[str, ...], spec: FitSpec, *args):
    """``fn(spec, *args)``, compiled once for each spec and for the shapes of the arguments."""
    run = next(arg for arg in args if isinstance(arg, RunState))
    return programs.compiled(fn, donated, wide=programs.is_wide(run.state))(spec, *args)


def _besides(spec: FitSpec, thresholds: Thresholds) -> StopAndRecord:
    patience, min_delta, tolerance = thresholds
    early = spec.early_stopping
    if early is not None:
        early = early._replace(patience=patience, min_delta=min_delta)
    return StopAndRecord(early, tolerance if spec.has_tolerance else None, spec.record)


def _shapes(fn: Callable, static, *args):
    return programs.compiled(fn).eval_shape(static, *args)  # jit remembers what it traced


def _peek(learner: Learner, data: Batch, key: Key):
    state = learner.init(key)
    two = take(data, jnp.zeros((2,), jnp.int32))  # batch normalisation refuses a single row
    return learner.step(state, two)[1], learner.evaluate(state, two)


def _init(spec: FitSpec, data: Batch, key: Key) -> RunState:
    return run_state.init_run(spec.learner, data, key, spec.lengths, _besides(spec, Thresholds()))
