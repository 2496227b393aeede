"""What a member of a population does: it learns, is stopped, predicts. Pure functions."""

import contextlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.base import Array, Batch, Key, Learner, features
from jaxdl.model_selection.grid import Signature
from jaxdl.model_selection.population import transforms
from jaxdl.model_selection.population.keys import member_key
from jaxdl.model_selection.population.plan import Work, work_of
from jaxdl.model_selection.population.settings import Explained, Setting, built
from jaxdl.model_selection.study import Recipe
from jaxdl.training import loop, run_state, stopping
from jaxdl.training.batching import Padding, Rows, padding_of, take
from jaxdl.training.host import fingerprint
from jaxdl.training.run_state import RunState, StopAndRecord

SETTINGS = "settings"  # the vmap axis of a row


class Group(NamedTuple):
    """Folds and seeds, int32 [G] each: what the settings of a block have in common."""

    fold: Array | np.ndarray
    seed: Array | np.ndarray


class Shared(NamedTuple):
    """What every member reads.

    data: pytree of arrays [N, ...]. train, valid: Rows [F, n] of all folds (valid may be None).
    settings: {name: [S, ...]}. transforms: fitted to each training part, [F, ...]; None before.
    key: the study's. start, stop: the stretch of batches to run, [].
    """

    data: Batch
    train: Rows
    valid: Rows | None
    settings: dict[str, Array]
    transforms: Any
    key: Key
    start: Array | np.integer
    stop: Array | np.integer


class Program(NamedTuple):
    """What the members of one static signature have in common; all of it is static.

    recipe: how they are trained. signature: their settings. padding: of their rows.
    predicts: whether they predict the rows that were held out.
    seen: the names of settings that something has read, noted while functions are traced.
    """

    recipe: Recipe
    signature: Signature
    padding: Padding
    predicts: bool
    seen: set[str]


def of_signature(
    recipe: Recipe,
    signature: Signature,
    data: Batch,
    train: Rows,
    valid: Rows | None,
    predicts: bool,
) -> tuple[Program, Shared]:
    """The Program of a signature's members, and what they read; transforms are not fitted yet."""
    padding = padding_of(np.asarray(train.mask).sum(axis=1), recipe.lengths)
    shared = Shared(
        data=transforms.numbered(data, recipe.transform, recipe.groups),
        train=train,
        valid=valid,
        settings={k: jnp.asarray(v) for k, v in signature.traced.items()},
        transforms=None,
        key=recipe.key,
        start=np.int32(0),
        stop=np.int32(0),
    )
    return Program(recipe, signature, padding, predicts, set()), shared


class Probe(NamedTuple):
    """What one member is like; nothing was run.

    start, held: shapes of its RunState and of its predictions, () where it makes none.
    work: what its steps do.
    """

    start: RunState
    held: Any
    work: Work


def train_row(program: Program, shared: Shared, row: tuple[Group, Array], run: RunState):
    """Train the settings of a row, all of one group, and predict; ``run`` and results are [s, ...].

    row: the Group, [] each, and which settings, [s].
    """
    group, which = row
    of_fold = lambda tree: jax.tree.map(lambda leaf: jnp.asarray(leaf)[group.fold], tree)
    rows, held, fitted = map(of_fold, (shared.train, shared.valid, shared.transforms))
    data = transforms.of_training_part(shared.data, program.recipe.transform, rows)
    fold = 0 if program.recipe.same_draws else group.fold
    own_key = member_key(shared.key, group.seed, fold)

    def member(which, run):
        setting = {k: v[which] for k, v in shared.settings.items()}
        learner = learner_of(program, setting, fitted)
        run = loop.run_stretch(
            learner, data, rows, held, own_key, run, shared.start, shared.stop,
            program.recipe.lengths, program.padding, _besides(program, setting, learner, data),
        )  # fmt: skip
        if not program.predicts:
            return run, ()
        state = run_state.final_state(learner, run, own_key, 0)
        return run, learner.predict(state, take(features(shared.data), held.index))

    return jax.vmap(member, axis_name=SETTINGS)(which, run)


def learner_of(program: Program, setting: dict[str, Array], fitted: Any) -> Learner:
    """The learner of traced settings, on features as the fitted transform gives them."""
    learner = built(program.recipe.make_learner, _whole(program, setting))
    return transforms.with_transform(learner, program.recipe.transform, fitted)


def probe(program: Program, shared: Shared) -> Probe:
    """What a member is like, that of the first setting. Nothing is run, but all is traced."""
    size = min(program.recipe.lengths.batch_size, shared.train.mask.shape[1])
    two, batch = (_rows_like(shared.data, count) for count in (2, size))
    first, key = _first(shared), jax.eval_shape(jax.random.key, 0)
    fit = lambda batch, mask: transforms.fit(program.recipe.transform, batch, mask)

    def begin(setting, fitted, key, data, batch):
        """A run before its first step, and what that gives."""
        learner = learner_of(program, setting, fitted)
        init_key, step_key = jax.random.split(key)
        besides = _besides(program, setting, learner, data)
        start = run_state.init_run(learner, data, init_key, program.recipe.lengths, besides)
        return start, learner.step(learner.init(step_key), batch)[1]

    def predict(setting, fitted, key, data):
        learner = learner_of(program, setting, fitted)
        rows = shared.train if shared.valid is None else shared.valid
        held = take(features(data), jnp.asarray(rows.index)[0])
        return learner.predict(learner.init(key), held)

    data = jax.eval_shape(lambda data: jax.tree.map(jnp.asarray, data), shared.data)
    with Explained(program.signature.traced):
        fitted = jax.eval_shape(fit, two, np.ones(2, bool))
        start, _ = jax.eval_shape(begin, first, fitted, key, data, two)
        work = work_of(begin, first, fitted, key, data, batch)
        held = jax.eval_shape(predict, first, fitted, key, data) if program.predicts else ()
    if {
        *program.signature.static,
        *shared.settings,
    } - program.seen:  # perhaps predict alone reads them
        with contextlib.suppress(Exception):
            jax.eval_shape(predict, first, fitted, key, data)
    if program.predicts and not hasattr(held, "shape"):
        raise ValueError(f"predict must give one array, not {type(held).__name__}")
    return Probe(start, held, work)


def checksum(program: Program, shared: Shared) -> int:
    """A checksum of what a member does: transform, start, a step, scores and predictions."""

    def run(setting, key, batch, rows):
        fitted = transforms.fit(program.recipe.transform, batch, rows)
        learner = learner_of(program, setting, fitted)
        state, info = learner.step(learner.init(key), batch)
        predicted = learner.predict(state, features(batch)) if program.predicts else ()
        return info, state, learner.evaluate(state, batch), predicted

    two = take(shared.data, np.zeros(2, np.int32))
    return fingerprint.of_program(run, _first(shared), jax.random.key(0), two, np.ones(2, bool))


def _whole(program: Program, setting: dict[str, Array]) -> Setting:
    return Setting({**program.signature.static, **setting}, program.seen)


def _besides(
    program: Program, setting: dict[str, Array], learner: Learner, data: Batch
) -> StopAndRecord:
    """What a member does besides stepping: it may stop early, by numbers of its setting."""
    early = program.recipe.early_stopping
    if early is not None:
        state = jax.eval_shape(learner.init, jax.random.key(0))
        metrics = jax.eval_shape(learner.evaluate, state, _rows_like(data, 2))
        early = early(_whole(program, setting)) if callable(early) else early
        early = stopping.check(early, list(metrics), True)
    return StopAndRecord(early_stopping=early, axis=SETTINGS)


def _first(shared: Shared) -> dict[str, Array]:
    return {name: values[0] for name, values in shared.settings.items()}


def _rows_like(data: Batch, count: int) -> Batch:
    """The shapes of so many rows of the data."""
    return jax.eval_shape(lambda data: take(data, np.zeros(count, np.int32)), data)
