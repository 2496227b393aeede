"""What a run carries between stretches, what it does besides, and what is left at its end."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.arrays import unconsumed
from jaxdl.base import Array, Batch, Key, Learner, TrainState, evaluation_key
from jaxdl.training import stopping
from jaxdl.training.batching import Lengths, take
from jaxdl.training.stopping import Best, EarlyStopping


class RunState(NamedTuple):
    """What a run carries from one stretch to the next; arrays only.

    state: the learner's state, without the clock (step and key) of a plain TrainState.
    epoch_start: that state at the start of the running epoch; () where stretches are whole epochs.
    totals: sums over the running epoch, {name: []}: of the loss, of the gradient's norm.
    diverged: [] int32, the first epoch with a non-finite loss or state, -1 if none.
    stopped: [] int32, the number of epochs after which the run was stopped early, -1 if not.
    loss: [epochs], mean training loss of each epoch, NaN where not trained.
    grad_norm: [epochs], mean norm of the gradient, or () where no tolerance asks for it.
    curves: {metric: [V]} on the validation rows; after the end of a run they stay flat.
    train_curves: likewise on the training rows, or {}.
    best: a Best, or () without early stopping.
    record: what was recorded at each evaluation, leaves [V, ...], or ().
    """

    state: Any
    epoch_start: Any
    totals: dict[str, Array]
    diverged: Array
    stopped: Array
    loss: Array
    grad_norm: Any
    curves: dict[str, Array]
    train_curves: dict[str, Array]
    best: Any
    record: Any

    @property
    def active(self) -> Array:
        """[] bool: whether the run goes on."""
        return (self.diverged < 0) & (self.stopped < 0)


class StopAndRecord(NamedTuple):
    """What a run does besides stepping.

    early_stopping: an EarlyStopping that was checked, or None.
    tolerance: stop once an epoch's mean gradient norm is below it; None: never.
    record: ``(state) -> pytree`` to keep at each evaluation, or None.
    axis: the ``vmap`` axis of runs that share one clock, or None: all of them go on until the
        last has finished, and every one that has finished stays as it is.
    """

    early_stopping: EarlyStopping | None = None
    tolerance: Any = None
    record: Callable | None = None
    axis: str | None = None


NOTHING = StopAndRecord()


def all_finite(tree) -> Array:
    """[] bool: whether every floating-point entry in the tree is finite."""
    leaves = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.inexact)]
    # One reduction for each dtype, not for each leaf: it is compiled in a fraction of the time.
    alike = {x.dtype: [y.ravel() for y in leaves if y.dtype == x.dtype] for x in leaves}
    return jnp.all(jnp.array([jnp.all(jnp.isfinite(jnp.concatenate(v))) for v in alike.values()]))


def select(keep: Array, new, old):
    """``new`` where ``keep`` [] holds, else ``old``, leaf by leaf."""
    return jax.tree.map(lambda n, o: jnp.where(keep, unconsumed(n), unconsumed(o)), new, old)


def num_params(state: Any) -> int:
    """How many numbers a learner's state has as parameters: all of a state of its own kind."""
    params = state.params if isinstance(state, TrainState) else state
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def without_clock(state: Any) -> Any:
    """The state without the clock (step and key) of a TrainState, which follows from the epoch.

    Under ``vmap`` over settings the clock then stays unbatched, and with it every random draw.
    """
    return state._replace(step=None, key=None) if isinstance(state, TrainState) else state


def with_clock(state: Any, fresh: Any, steps: int | Array) -> Any:
    """A TrainState with the key of a fresh one and its clock after so many steps."""
    if isinstance(state, TrainState):
        return state._replace(step=fresh.step + steps, key=fresh.key)
    return state


def key_words(state: Any) -> Array | None:
    """The words of a TrainState's key, to be taken into a branch.

    ``vmap`` may turn a branch into a selection, which would use a typed key twice.
    """
    return jax.random.key_data(state.key) if isinstance(state, TrainState) else None


def with_key_words(state: Any, words: Array | None) -> Any:
    """A TrainState with the key whose words ``key_words`` gave."""
    if words is None:
        return state
    impl = jax.random.key_impl(state.key)
    return state._replace(key=jax.random.wrap_key_data(words, impl=impl))


def with_slice(state: Any, number: int | Array) -> Any:
    """The state to evaluate slice ``number`` of the rows with, whose draws are its own.

    It is so for a TrainState; a state of another kind is left as it is. The draws depend on the
    run's key and on the rows alone, so a score is the same under any strategy,
    and all settings of a fold and seed are scored by the same draws.
    """
    if not isinstance(state, TrainState):
        return state
    return state._replace(key=jax.random.fold_in(evaluation_key(state.key), number))


def init_run(
    learner: Learner, data: Batch, key: Key, lengths: Lengths, besides: StopAndRecord = NOTHING
) -> RunState:
    """The RunState before the first epoch, each leaf of the shape that the run will carry."""
    state = learner.init(jax.random.clone(key))
    one = take(data, jnp.zeros((2,), jnp.int32))  # batch normalisation refuses a single row
    metrics = jax.eval_shape(learner.evaluate, state, one)
    for name, values in metrics.items():
        if values.shape != (2,):
            raise ValueError(
                f"evaluate must give one value of {name!r} per example, [B], but gives "
                f"{list(values.shape)} for 2"
            )
    of_scores = lambda values: jnp.result_type(values.dtype, float)  # of bools and counts too
    count = len(lengths.evaluation_epochs)
    curves = {name: jnp.full((count,), jnp.nan, of_scores(v)) for name, v in metrics.items()}
    info = jax.eval_shape(learner.step, state, one)[1]
    names = ("loss",) if besides.tolerance is None else ("loss", "grad_norm")
    history = lambda name: jnp.full((lengths.epochs,), jnp.nan, info[name].dtype)
    carried = without_clock(state)
    best = ()
    if besides.early_stopping is not None:
        dtype = of_scores(metrics[besides.early_stopping.metric])
        best = stopping.before(dtype, carried if besides.early_stopping.restore_best else ())
    record = ()
    if besides.record is not None:
        kept = jax.eval_shape(besides.record, state)
        record = jax.tree.map(lambda x: jnp.zeros((count, *x.shape), x.dtype), kept)
    return RunState(
        state=carried,
        epoch_start=carried if lengths.within_epochs else (),
        totals={name: jnp.zeros((), info[name].dtype) for name in names},
        diverged=jnp.full((), -1, jnp.int32),
        stopped=jnp.full((), -1, jnp.int32),
        loss=history("loss"),
        grad_norm=() if besides.tolerance is None else history("grad_norm"),
        curves=curves,
        train_curves=dict(curves) if lengths.evaluate_train else {},
        best=best,
        record=record,
    )


def final_state(learner: Learner, run: RunState, key: Key, steps: int | Array):
    """The learner's whole state, with its clock, after a run of ``steps`` steps.

    With early stopping it is the best state where that was kept and there was one.
    """
    init_key, _ = jax.random.split(jax.random.clone(key))
    return with_clock(kept_state(run), learner.init(init_key), steps)


def kept_state(run: RunState) -> Any:
    """The state that a run ends with, without its clock: the best one where that was kept."""
    if not keeps_best(run):
        return run.state
    best = run.best
    return select(best.epoch > 0, best.state, run.state)


def keeps_best(run: RunState) -> bool:
    """Whether a run keeps its best state, which the structure of its RunState tells."""
    best = run.best
    return isinstance(best, Best) and not (isinstance(best.state, tuple) and best.state == ())
