"""The programs of one run: what is static of it, and what is compiled."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl import parallel
from jaxdl.base import Batch, Key, Learner
from jaxdl.training import loop
from jaxdl.training.loop import Plan, Progress
from jaxdl.training.rows import Rows, Schedule, padding, steps_per_epoch, take
from jaxdl.training.stopping import EarlyStopping


class Run(NamedTuple):
    """What is static of a run, a key of the compiled programs."""

    learner: Learner
    schedule: Schedule
    num_train: int
    num_valid: int
    metric: str | None
    restore_best: bool
    has_tolerance: bool
    record: Callable | None

    @property
    def per_epoch(self) -> int:
        """Steps in an epoch, ceil(N / B), or floor(N / B) where the remainder is dropped (Eq. (30))."""
        return int(steps_per_epoch(self.num_train, self.schedule))

    @property
    def total(self) -> int:
        """Steps of the whole run, whose batches are [B, D] each."""
        return self.schedule.total_steps(self.per_epoch)


def reports(learner: Learner, data: Batch, key: Key) -> tuple[list[str], list[str]]:
    """The names of what a step reports and of the metrics, looked up by shape only."""
    info, metrics = _shapes(_peek, learner, data, key)
    return list(info), list(metrics)


def empty(run: Run, data: Batch, key: Key) -> Progress:
    """The Progress before the first step; its arrays, of any shape, are zeros that get filled."""

    def zeros(x):
        if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            return jnp.broadcast_to(jax.random.key(0), x.shape)
        return np.zeros(x.shape, x.dtype)

    progress = jax.tree.map(zeros, _shapes(_init, run, data, key))
    return progress._replace(stopped=np.int32(-1), diverged=np.int32(-1))


def advance(run: Run, data: Batch, key: Key, progress: Progress, start, stop, numbers):
    """The Progress after steps ``start`` [] to ``stop`` [] of a run."""
    every = lambda count, first: Rows(
        jnp.arange(first, first + count, dtype=jnp.int32), jnp.ones(count, bool)
    )
    n, m = run.num_train, run.num_valid
    pads = padding(np.array([n]), run.schedule)
    return loop.run_stretch(
        run.learner, data, every(n, 0), every(m, n) if m else None, key, progress, start, stop,
        run.schedule, pads, _plan(run, numbers),
    )  # fmt: skip


def finish(run: Run, key: Key, progress: Progress):
    """The state that a run ends with, what else is left of its Progress, and the steps [] taken."""
    ended = jnp.where(progress.diverged >= 0, progress.diverged, progress.stopped)
    ended = jnp.where(ended >= 0, ended, run.schedule.epochs)
    if run.restore_best:
        ended = jnp.where(progress.best.epoch > 0, progress.best.epoch, ended)
    ended = jnp.minimum(ended * run.per_epoch, run.total)  # the last epoch may be cut short
    state = loop.final_state(run.learner, progress, key, ended)
    best = progress.best._replace(state=()) if run.metric else ()
    return state, progress._replace(state=(), anchor=(), best=best), ended.astype(jnp.int32)


def call(fn: Callable, donated: tuple[str, ...], run: Run, *args):
    """``fn(run, *args)``, compiled once for each run and kind of arguments (leaves of any shape)."""
    return compiled(fn, donated, isinstance(jnp.zeros(()), jax.core.Tracer))(run, *args)


def compiled(fn: Callable, donated: tuple[str, ...] = (), traced: bool = False) -> Callable:
    """``fn`` under ``jit``, static in its first argument; the same program for the same shapes.

    ``donated`` arguments are given up. Inside another transformation, ``traced``, it has no
    options of its own.
    """
    return _program(fn, donated, traced, jax.default_backend())


@functools.cache
def _program(fn: Callable, donated: tuple[str, ...], traced: bool, platform: str):
    options = None if traced else parallel.compiler_options(platform)
    return jax.jit(fn, static_argnums=0, donate_argnames=donated, compiler_options=options)


def _plan(run: Run, numbers=((0, 0.0), 0.0)) -> Plan:
    (patience, min_delta), tolerance = numbers
    return Plan(
        EarlyStopping(patience, min_delta, run.metric, run.restore_best) if run.metric else None,
        tolerance if run.has_tolerance else None,
        run.record,
    )


def _shapes(fn: Callable, static, *args):
    return _program(fn, (), True, "").eval_shape(static, *args)  # jit remembers what it traced


def _peek(learner: Learner, data: Batch, key: Key):
    state = learner.init(key)
    two = take(data, jnp.zeros((2,), jnp.int32))  # batch normalisation refuses a single row
    return learner.step(state, two)[1], learner.evaluate(state, two)


def _init(run: Run, data: Batch, key: Key) -> Progress:
    return loop.init_progress(run.learner, data, key, run.schedule, _plan(run))
