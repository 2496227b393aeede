"""The members of one static signature: settings x folds x seeds, trained as one program."""

import inspect
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.base import Array, Batch, Key, Learner, TrainState, Transform
from jaxdl.model_selection import population
from jaxdl.model_selection.grid import Signature
from jaxdl.model_selection.population import Plan
from jaxdl.model_selection.progress import Reporter
from jaxdl.model_selection.study import Recipe
from jaxdl.training import loop
from jaxdl.training.loop import Progress
from jaxdl.training.rows import Rows, padding, steps_per_epoch, take


SETTINGS = "settings"  # the vmap axis of a block


class Group(NamedTuple):
    """Folds and seeds, int32 [G] each: what the settings of a block have in common."""

    fold: Array
    seed: Array


class Shared(NamedTuple):
    """What every member reads.

    data: pytree of arrays [N, ...]. train, valid: Rows [F, n] of all folds (valid may be None).
    settings: {name: [S, ...]}. transforms: fitted to each training part, [F, ...]. key: the
    study's. start, stop: the stretch of batches to run, [].
    """

    data: Batch
    train: Rows
    valid: Rows | None
    settings: dict[str, Array]
    transforms: Any
    key: Key
    start: Array
    stop: Array


class Result(NamedTuple):
    """What the members of one signature gave, with leading axes [S, G].

    progress: a Progress without states. predictions: [S, G, n, ...] of the held-out rows, or ().
    states: trained states, or (). num_params: of one member. The rest: how they ran.
    """

    progress: Progress
    predictions: Any
    states: Any
    num_params: int
    plan: Plan
    num_programs: int
    num_traces: int
    compile_seconds: float
    run_seconds: float


def member_key(key: Key, seed: int | Array, fold: int | Array) -> Key:
    """The key of a study's members: ``fold_in(fold_in(key, seed), fold)``, a typed key [].

    It does not depend on the setting, so all settings start from the same draws, see the same
    batches and are compared in pairs; nor on the strategy or on what else is in the grid.
    """
    return jax.random.fold_in(jax.random.fold_in(key, seed), fold)


def features(data: Batch) -> Array:
    """The features [N, ...] of the data: a batch's first part, or all of it (any shape) if it is no tuple."""
    return data[0] if isinstance(data, tuple) else data


def with_transform(learner: Learner, transform: Transform, params: Any) -> Learner:
    """A learner on transformed features: x [B, D] becomes ``transform.apply(params, x)``."""

    def change(batch):
        x = transform.apply(params, features(batch))
        return (x, *batch[1:]) if isinstance(batch, tuple) else x

    return Learner(
        init=learner.init,
        step=lambda ts, batch, **mask: learner.step(ts, change(batch), **mask),
        predict=lambda ts, x: learner.predict(ts, transform.apply(params, x)),
        evaluate=lambda ts, batch: learner.evaluate(ts, change(batch)),
    )


def check_learner(learner: Any, padded: bool) -> None:
    """Raise a ValueError where ``make_learner`` did not return a Learner that can do the work.

    ``padded``: whether batches [B] of the study carry a mask [B].
    """
    if not isinstance(learner, Learner):
        raise ValueError(f"make_learner must return a Learner, not {type(learner).__name__}")
    if padded and "mask" not in inspect.signature(learner.step).parameters:
        raise ValueError(
            "this study has batches of different sizes (uneven folds, or a last batch that is "
            "smaller), so Learner.step must take the keyword mask [B]; or use a batch_size that "
            "divides every fold's training part"
        )


def arrange(num_settings: int, num_groups: int, plan: Plan) -> tuple[np.ndarray, Plan]:
    """Cut the settings into blocks that share a group's batches, so that all devices have work.

    Returns the settings of each block, [blocks, s] (the last is filled up by repeating), and the
    plan for the rows of the population: groups x blocks.
    """
    cores = len(plan.devices)
    size = max(1, min(num_settings, plan.chunk))
    fewest = max(-(-num_settings // size), min(num_settings, -(-cores // num_groups)))
    even = [b for b in range(fewest, fewest + cores) if b * num_groups % cores == 0]
    count = even[0] if even and even[0] <= num_settings else fewest
    size = -(-num_settings // count)
    count = -(-num_settings // size)
    blocks = np.minimum(np.arange(count * size), num_settings - 1).reshape(count, size)
    rows_at_once = max(1, plan.chunk // size)
    return blocks, plan._replace(chunk=rows_at_once, devices=plan.devices[: count * num_groups])


def run_members(
    recipe: Recipe,
    signature: Signature,
    data: Batch,
    train: Rows,
    valid: Rows | None,
    groups: Group,
    *,
    strategy: str = "auto",
    chunk: int | None = None,
    devices: Sequence | None = None,
    predictions: bool = False,
    states: bool = False,
    reporter: Reporter,
) -> Result:
    """Train every setting [S] of a signature in every group [G]; see ``cross_validate``."""
    schedule, transform = recipe.schedule, recipe.transform
    pads = padding(train.mask.sum(axis=1), schedule)
    per_epoch = int(steps_per_epoch(train.mask.shape[1], schedule))
    plan = loop.Plan(axis=SETTINGS)
    traces = 0

    def build(setting, fitted) -> Learner:
        learner = recipe.make_learner({**signature.static, **setting})
        check_learner(learner, pads.masked)
        return with_transform(learner, transform, fitted)

    def prepare(shared: Shared) -> Shared:
        def fit(rows):
            return transform.fit(take(features(shared.data), rows.index), rows.mask)

        return shared._replace(transforms=jax.lax.map(fit, shared.train))

    def block(shared: Shared, row: tuple[Group, Array], progress: Progress):
        nonlocal traces
        traces += 1
        group, which = row
        of_fold = lambda tree: jax.tree.map(lambda leaf: jnp.asarray(leaf)[group.fold], tree)
        rows, held, fitted = map(of_fold, (shared.train, shared.valid, shared.transforms))
        own_key = member_key(shared.key, group.seed, group.fold)

        def member(which, progress):
            learner = build({k: v[which] for k, v in shared.settings.items()}, fitted)
            progress = loop.run_stretch(
                learner, shared.data, rows, held, own_key, progress,
                shared.start, shared.stop, schedule, pads, plan,
            )  # fmt: skip
            if not predictions:
                return progress, ()
            state = loop.final_state(learner, progress, own_key, 0)
            return progress, learner.predict(state, take(features(shared.data), held.index))

        return jax.vmap(member, axis_name=SETTINGS)(which, progress)

    one = take(data, np.zeros(1, np.int32))

    def peek(setting, fitted, key):
        """One member before and after its first step, for shapes and for the kind of work."""
        learner = build(setting, fitted)
        init_key, step_key = jax.random.split(key)
        start = loop.init_progress(learner, data, init_key, schedule)
        return start, learner.step(learner.init(step_key), one)[1]

    settings = {k: jnp.asarray(v) for k, v in signature.traced.items()}
    first = {k: v[0] for k, v in settings.items()}
    any_key = jax.random.key(0)
    try:
        fitted = jax.eval_shape(transform.fit, features(one), np.ones(1, bool))
        start, _ = jax.eval_shape(peek, first, fitted, any_key)
        chosen = population.plan(
            len(signature.members) * len(groups.fold),
            strategy,
            chunk=chunk,
            devices=devices,
            member_bytes=sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(start.state)),
            work=population.work_of(peek, first, fitted, any_key),
        )
        blocks, row_plan = arrange(len(signature.members), len(groups.fold), chosen)
        each_row = np.repeat(np.arange(len(groups.fold)), len(blocks))
        rows = (
            Group(*(np.asarray(part)[each_row] for part in groups)),
            np.tile(blocks.astype(np.int32), (len(groups.fold), 1)),
        )
        total, row_plan = population.balance(len(each_row), row_plan)
        rows = population.pad(rows, total)
        empty = lambda x: _zeros((*rows[1].shape, *x.shape), x.dtype)
        progress = jax.tree.map(empty, start)
        shared = Shared(
            data, train, valid, settings, (), recipe.key, np.int32(0), np.int32(0)
        )
        program = population.compile(
            block,
            row_plan,
            shared,
            rows,
            progress,
            prepare=prepare,
            auto=strategy == "auto",
            donate=True,
        )
    except jax.errors.ConcretizationTypeError as error:
        raise ValueError(
            "make_learner, or what it builds, used the value of a traced setting in Python "
            f"(one of {', '.join(sorted(settings))}). Use jnp.where, or make the setting static: "
            f"a string, a tuple or a whole number. JAX says: {str(error).splitlines()[0]}"
        ) from error

    seconds, predicted = 0.0, ()
    for begin, end in reporter.stretches(
        schedule.epochs, len(signature.members) * len(groups.fold)
    ):
        began = time.perf_counter()
        stretch = shared._replace(
            key=jax.random.clone(recipe.key), start=np.int32(begin * per_epoch), stop=np.int32(end * per_epoch)
        )
        progress, predicted = jax.block_until_ready(program.call(stretch, rows, progress))
        seconds += time.perf_counter() - began
        reporter.update(progress)

    def by_setting(leaf):
        """Rows of blocks [R, s, ...] as [S, G, ...], without what was filled up."""
        leaf = leaf[: len(each_row)]
        leaf = leaf.reshape(len(groups.fold), blocks.size, *leaf.shape[2:])
        return leaf[:, : len(signature.members)].swapaxes(0, 1)

    params = start.state.params if isinstance(start.state, TrainState) else start.state
    return Result(
        progress=jax.tree.map(lambda x: by_setting(np.asarray(x)), progress._replace(state=())),
        predictions=jax.tree.map(lambda x: by_setting(np.asarray(x)), predicted),
        states=jax.tree.map(by_setting, progress.state) if states else (),
        num_params=sum(leaf.size for leaf in jax.tree.leaves(params)),
        plan=program.plan._replace(chunk=program.plan.chunk * blocks.shape[1]),
        num_programs=program.num_programs,
        num_traces=traces,
        compile_seconds=program.compile_seconds,
        run_seconds=seconds,
    )


def _zeros(shape, dtype):
    if jnp.issubdtype(dtype, jax.dtypes.prng_key):
        return jnp.broadcast_to(jax.random.key(0), shape)
    return np.zeros(shape, dtype)
