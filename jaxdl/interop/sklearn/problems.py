"""A training run as a value: solved one at a time, or many together by a study."""

import contextvars
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

from jaxdl import programs
from jaxdl.base import Array, Key, TrainState
from jaxdl.interop.sklearn import networks
from jaxdl.interop.sklearn.networks import Design
from jaxdl.model_selection import member_key
from jaxdl.training.batching import Rows
from jaxdl.training.run_state import RunState


class Problem(NamedTuple):
    """All that decides what a network learns.

    settings: the floats, as pairs. seed: of its key. data: a batch; valid: one to stop by, or
    None. state: to go on from, or None.
    """

    design: Design
    settings: tuple[tuple[str, float], ...]
    seed: int
    data: Any
    valid: Any = None
    state: Any = None


class Outcome(NamedTuple):
    """What a run gave, in NumPy.

    state: a TrainState with the words of its key. loss: [epochs], NaN where not trained.
    validation: [epochs] or None. epochs: how many. best_epoch: 0 without early stopping.
    diverged: the first epoch that was not finite, -1 if none.
    """

    state: TrainState
    loss: np.ndarray | Array
    validation: np.ndarray | Array | None
    epochs: int
    best_epoch: int
    diverged: int


class Solver(Protocol):
    """Who solves fresh problems instead of ``solve_alone``; ``seed`` is for those without one."""

    seed: int

    def __call__(self, problem: Problem) -> Outcome:
        """The outcome of a problem, or an exception where there is none yet."""
        ...


current: contextvars.ContextVar[Solver | None] = contextvars.ContextVar("solver", default=None)


def solve(problem: Problem) -> Outcome:
    """The outcome of a problem, by whom it is to be solved here."""
    solver = current.get()
    if solver is None or problem.state is not None:
        return solve_alone(problem)
    return solver(problem)


def random_state(given: Any) -> Any:
    """A ``random_state``; where there is none and a search is on, one for all that it trains."""
    solver = current.get()
    return solver.seed if given is None and solver is not None else given


def solve_alone(problem: Problem) -> Outcome:
    """The outcome of a problem as one program; another of the same kind compiles nothing.

    Few rows are padded, so that runs over nearly as many are of one kind.
    """
    design, settings, seed, data, valid, state = problem
    state = None if state is None else from_numpy(state)
    data, rows, held = laid_out(data, valid)
    train = programs.compiled(networks.train)
    ended, run = train(design, dict(settings), key_of(seed), data, rows, held, state)
    return outcome(design, ended, run)


def outcome(design: Design, ended: TrainState, run: RunState) -> Outcome:
    """The Outcome of a run by its last state and its RunState."""
    run = jax.tree.map(np.asarray, run)
    ends = [int(end) for end in (run.diverged, run.stopped) if end >= 0]
    return Outcome(
        to_numpy(ended),
        run.loss,
        run.curves["nll"] if design.early_stopping else None,
        min([design.epochs, *ends]),
        int(run.best.epoch) if design.early_stopping else 0,
        int(run.diverged),
    )


def laid_out(data: Any, valid: Any) -> tuple[Any, Rows, Rows | None]:
    """One batch of training and validation rows, padded, and where either are."""
    parts = [part for part in (data, valid) if part is not None]
    counts = [len(part[0]) for part in parts]
    sizes = [_padded(count) for count in counts]
    fill = lambda part, count, size: jax.tree.map(
        lambda leaf: np.pad(leaf, ((0, size - count), *[(0, 0)] * (leaf.ndim - 1))), part
    )
    parts = [fill(*each) for each in zip(parts, counts, sizes, strict=True)]
    starts = [0, sizes[0]]
    rows = [
        Rows(np.arange(start, start + size, dtype=np.int32), np.arange(size) < count)
        for start, count, size in zip(starts, counts, sizes, strict=False)
    ]
    whole = jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)
    return whole, rows[0], rows[1] if valid is not None else None


def _padded(count: int) -> int:
    """The next power of two of a small number of rows, from 32 on; others as they are."""
    return max(32, 1 << (count - 1).bit_length()) if count <= 1024 else count


def key_of(seed: int) -> Key:
    """The key of a run by its seed, as of the first fold of a study."""
    return member_key(jax.random.key(seed), 0, 0)


def to_numpy(state: TrainState) -> TrainState:
    """A TrainState that can be pickled."""
    return jax.tree.map(np.asarray, state._replace(key=jax.random.key_data(state.key)))


def from_numpy(state: TrainState) -> TrainState:
    """The TrainState of ``to_numpy``."""
    return state._replace(key=jax.random.wrap_key_data(state.key))
