"""Cross-validation of a whole grid of settings as one XLA program for each static signature."""

import inspect
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.base import Array, Batch, Key, Learner, TrainState, Transform, identity_transform
from jaxdl.model_selection import grid as grids
from jaxdl.model_selection import population, splits
from jaxdl.model_selection.progress import Reporter
from jaxdl.model_selection.study import Recipe, Study
from jaxdl.training import loop
from jaxdl.training.loop import Rows, Schedule


class Group(NamedTuple):
    """One fold and one seed, each an int32 []: what the settings of a block share."""

    fold: Array
    seed: Array


class Shared(NamedTuple):
    """What every member reads: the data [N, ...], Rows [F, n] of all folds, the study's key,
    the fitted transforms of all folds, and the stretch of epochs to run."""

    data: Batch
    train: Rows
    valid: Rows | None
    key: Key
    transforms: Any
    start: Array
    stop: Array


def member_key(key: Key, seed: int | Array, fold: int | Array) -> Key:
    """The key of a study's members: ``fold_in(fold_in(key, seed), fold)``, a typed key [].

    It does not depend on the setting, so all settings start from the same draws, see the same
    batches and are compared in pairs; nor on the strategy or on what else is in the grid.
    """
    return jax.random.fold_in(jax.random.fold_in(key, seed), fold)


def with_transform(learner: Learner, transform: Transform, params: Any) -> Learner:
    """A learner on transformed features: x [B, ...] becomes ``transform.apply(params, x)``.

    The features are a batch's first part, or all of it where it is no tuple.
    """

    def change(batch):
        if isinstance(batch, tuple):
            return (transform.apply(params, batch[0]), *batch[1:])
        return transform.apply(params, batch)

    return Learner(
        init=learner.init,
        step=lambda ts, batch, **mask: learner.step(ts, change(batch), **mask),
        predict=lambda ts, x: learner.predict(ts, transform.apply(params, x)),
        evaluate=lambda ts, batch: learner.evaluate(ts, change(batch)),
    )


def cross_validate(
    make_learner: Callable[[dict[str, Any]], Learner],
    grid: Mapping[str, Sequence] | Iterable[Mapping[str, Any]],
    data: Any,
    *,
    key: Key,
    folds: int | Any = 5,
    seeds: int | Sequence[int] = 1,
    epochs: int,
    batch_size: int | None = None,
    transform: Transform | None = None,
    metric: str | None = None,
    stratify: bool | None = None,
    strategy: str = "auto",
    chunk: int | None = None,
    devices: Sequence | None = None,
    remainder: str = "keep",
    evaluate_every: int | None = None,
    train_scores: bool = False,
    predictions: bool = False,
    states: bool = False,
    progress: bool = False,
) -> Study:
    """Train and score every setting on every fold with every seed; K-fold CV, Notes: §3.1.1.

    Settings that are floats or arrays are traced: all of them, with all folds and seeds, train in
    one compiled program. Any other type (a width, a name) is static: one program for each
    combination of those.

    Args:
      make_learner: an ordinary function of a dict with one setting, ``(h) -> Learner``. It is
        called under ``vmap``: a float in ``h`` is an array of shape [], on whose value Python
        must not branch.
      grid: a dict of lists (their product), a list of dicts, or ``random_search(...)``.
      data: ``(x [N, ...], y [N, ...])``, a Dataset, or any pytree of arrays [N, ...].
      key: a typed key, consumed; see ``member_key``.
      folds: a number (stratified where the response is a class label), a scikit-learn splitter, or
        an iterable of ``(train, valid)`` index arrays.
      seeds: a number, or the seeds themselves; each is another initialisation, order of rows and
        stream of dropout masks.
      epochs: passes over a fold's training part.
      batch_size: rows a step; default all of them.
      transform: fitted to each fold's training part inside the program, applied to all of it.
      metric: what ``Study.best`` goes by; default accuracy, else squared error, else the first.
      stratify: whether a number of folds is stratified; default: where y are class labels.
      strategy, chunk, devices: see ``population.plan``. They never change a result.
      remainder: ``"keep"`` or ``"drop"`` the last, smaller batch of an epoch.
      evaluate_every: epochs between two points of the learning curves; default, about ten points.
      train_scores: score the training part as well.
      predictions: keep the out-of-fold predictions.
      states: keep the trained states, [S, F, K, ...] in a list by signature.
      progress: show a bar; it looks at the program between stretches of epochs only.

    Returns:
      A Study.

    Raises:
      ValueError: for data, folds, settings or numbers that make no sense, before anything runs;
        and for a ``make_learner`` that branches on a traced setting.
    """
    population.check_strategy(strategy)
    settings = grids.expand(grid)
    data, labels = check_data(data, transform, stratify)
    n = jax.tree.leaves(data)[0].shape[0]
    parts = splits.as_folds(folds, n, labels)
    seeds = list(range(seeds)) if isinstance(seeds, (int, np.integer)) else list(seeds)
    if not seeds or len(set(seeds)) != len(seeds):
        raise ValueError(f"seeds must be a positive number or different numbers, not {seeds}")
    train = loop.pad_rows([part.train for part in parts])
    valid = loop.pad_rows([part.valid for part in parts])
    schedule = make_schedule(
        train, epochs, batch_size, remainder, evaluate_every, evaluate_train=train_scores
    )
    recipe = Recipe(make_learner, transform or identity_transform(), schedule, batch_size, key)
    groups = [(fold, seed) for fold in range(len(parts)) for seed in seeds]
    folds_of = np.array([fold for fold, _ in groups], np.int32)
    seeds_of = np.array([seed for _, seed in groups], np.int32)

    signatures = grids.signatures(settings)
    reporter = Reporter(epochs * len(settings) * len(groups), enabled=progress)
    results = []
    with reporter:
        for signature in signatures:
            results.append(
                run_signature(
                    recipe,
                    signature,
                    data,
                    train,
                    valid,
                    Group(folds_of, seeds_of),
                    strategy=strategy,
                    chunk=chunk,
                    devices=devices,
                    predictions=predictions,
                    states=states,
                    reporter=reporter,
                )
            )
    return Study.collect(
        settings, signatures, results, parts, seeds, recipe, num_rows=n, metric=metric
    )


def check_data(data: Any, transform: Transform | None, stratify: bool | None):
    """The data as a pytree of arrays [N, ...], and the labels to stratify by or None.

    Raises a ValueError where lengths differ, nothing is there, or (without a transform that could
    mend it) a value is not finite.
    """
    task = getattr(data, "task", None)
    if hasattr(data, "x") and hasattr(data, "y"):
        data = (data.x, data.y)
    if isinstance(data, list):
        data = tuple(data)
    data = jax.tree.map(np.asarray, data)
    leaves = jax.tree.leaves(data)
    if not leaves or any(leaf.ndim == 0 for leaf in leaves):
        raise ValueError("data must be a pytree of arrays with a leading example axis, as (x, y)")
    lengths = [leaf.shape[0] for leaf in leaves]
    if len(set(lengths)) > 1:
        raise ValueError(f"the parts of the data differ in length: {lengths}")
    if lengths[0] < 2:
        raise ValueError(f"the data have {lengths[0]} rows; at least 2 are needed")
    for position, leaf in enumerate(leaves):
        if leaf.dtype.kind not in "fiub":
            raise ValueError(f"part {position} of the data is {leaf.dtype}, not a number")
        mended = transform is not None and position == 0
        if leaf.dtype.kind == "f" and not mended and not np.isfinite(leaf).all():
            raise ValueError(
                f"part {position} of the data has {np.sum(~np.isfinite(leaf))} values that are "
                "NaN or infinite; drop those rows, or pass a transform such as impute_mean()"
            )
    y = data[1] if isinstance(data, tuple) and len(data) > 1 else None
    is_label = y is not None and y.ndim == 1 and y.dtype.kind in "iub" and task in (None, "classify")
    if stratify and not is_label:
        raise ValueError("stratify=True needs data (x, y) with whole numbers y [N] as classes")
    return data, y if is_label and stratify is not False else None


def make_schedule(
    train: Rows,
    epochs: int,
    batch_size: int | None,
    remainder: str = "keep",
    evaluate_every: int | None = None,
    evaluate_train: bool = False,
) -> Schedule:
    """The static lengths of runs over Rows [F, n], checked. Raises a ValueError for bad ones."""
    counts = np.sum(train.mask, axis=1)
    for name, value in {"epochs": epochs, "batch_size": batch_size or 1}.items():
        if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{name} must be a positive whole number, not {value!r}")
    if remainder not in ("keep", "drop"):
        raise ValueError(f"remainder is 'keep' or 'drop', not {remainder!r}")
    if batch_size is not None and remainder == "drop" and batch_size > counts.min():
        raise ValueError(
            f"batch_size={batch_size} is more than the {counts.min()} training rows of a fold: "
            "with remainder='drop' there would be no step"
        )
    size = min(int(batch_size or counts.max()), int(counts.max()))
    every = max(1, int(evaluate_every or round(epochs / 10)))
    return Schedule(size, int(epochs), min(every, int(epochs)), remainder, True, evaluate_train)


def is_padded(train: Rows, schedule: Schedule) -> bool:
    """Whether a batch of any of the runs over Rows [F, n] has rows that do not count."""
    same = bool(np.all(train.mask))
    whole = schedule.remainder == "drop" or train.mask.shape[1] % schedule.batch_size == 0
    return not (same and whole)


def run_signature(
    recipe: Recipe,
    signature: grids.Signature,
    data: Batch,
    train: Rows,
    valid: Rows | None,
    groups: Group,
    *,
    strategy: str,
    chunk: int | None,
    devices: Sequence | None,
    predictions: bool,
    states: bool,
    reporter: Reporter,
) -> "SignatureResult":
    """Train all members of one static signature: settings [S] in each of the groups [G]."""
    traces = 0
    schedule = recipe.schedule
    padded = is_padded(train, schedule)

    def learner_of(traced, shared, fold):
        learner = recipe.make_learner({**signature.static, **traced})
        check_learner(learner, padded)
        fitted = jax.tree.map(lambda leaf: leaf[fold], shared.transforms)
        return with_transform(learner, recipe.transform, fitted)

    def block(shared: Shared, group: Group, traced, progress):
        nonlocal traces
        traces += 1
        rows = Rows(shared.train.index[group.fold], shared.train.mask[group.fold])
        held = None
        if shared.valid is not None:
            held = Rows(shared.valid.index[group.fold], shared.valid.mask[group.fold])
        own_key = member_key(shared.key, group.seed, group.fold)

        def member(traced, progress):
            learner = learner_of(traced, shared, group.fold)
            progress = loop.run_epochs(
                learner, shared.data, rows, held, own_key, progress,
                shared.start, shared.stop, schedule, padded,
            )  # fmt: skip
            if not predictions:
                return progress, ()
            state = loop.final_state(learner, progress, own_key, 0)
            x = shared.data[0] if isinstance(shared.data, tuple) else shared.data
            return progress, learner.predict(state, loop.take(x, held.index))

        return jax.vmap(member)(traced, progress)

    def prepare(shared: Shared) -> Shared:
        x = shared.data[0] if isinstance(shared.data, tuple) else shared.data
        fit = lambda rows: recipe.transform.fit(loop.take(x, rows.index), rows.mask)
        return shared._replace(transforms=jax.lax.map(fit, shared.train))

    shared = Shared(data, train, valid, recipe.key, (), np.int32(0), np.int32(schedule.epochs))
    try:
        return _compile_and_run(
            block, prepare, recipe, signature, shared, groups, padded, strategy, chunk, devices,
            states, reporter, lambda: traces,
        )  # fmt: skip
    except jax.errors.ConcretizationTypeError as error:
        raise ValueError(
            "make_learner, or what it builds, used the value of a traced setting in Python "
            f"(one of {sorted(signature.traced)}): {str(error).splitlines()[0]} Use jnp.where, or "
            "make the setting static by giving it as a string, a tuple or a whole number."
        ) from error


class SignatureResult(NamedTuple):
    """What the members of one signature gave; leading axes [S, G] everywhere.

    progress: a Progress. predictions: [S, G, n, ...] or (). state: the trained states or ().
    num_params: of one member. plan: how they ran.
    """

    progress: Any
    predictions: Any
    state: Any
    num_params: int
    plan: population.Plan
    num_programs: int
    num_traces: int
    compile_seconds: float
    run_seconds: float
    bytes: int


def _compile_and_run(
    block, prepare, recipe, signature, shared, groups, padded, strategy, chunk, devices,
    states, reporter, traces,
) -> SignatureResult:  # fmt: skip
    schedule = recipe.schedule
    num_settings, num_groups = len(signature.members), len(groups.fold)
    first = {name: values[0] for name, values in signature.traced.items()}

    def alone(traced):
        learner = recipe.make_learner({**signature.static, **traced})
        check_learner(learner, padded)
        params = jax.eval_shape(lambda x: recipe.transform.fit(x), _features(shared.data))
        zeros = jax.tree.map(lambda p: jnp.zeros(p.shape, p.dtype), params)
        learner = with_transform(learner, recipe.transform, zeros)
        return loop.init_progress(learner, shared.data, recipe.key, schedule)

    one = jax.eval_shape(alone, first)
    member_bytes = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(one.state))

    def one_step(traced):
        learner = recipe.make_learner({**signature.static, **traced})
        x = loop.take(shared.data, np.zeros(1, np.int32))
        params = recipe.transform.fit(_features(x))
        learner = with_transform(learner, recipe.transform, params)
        return learner.step(learner.init(recipe.key), x)

    looping = strategy == "auto" and population.loops_or_convolves(one_step, first)
    chosen = population.plan(
        num_settings * num_groups,
        strategy,
        chunk=chunk,
        devices=devices,
        member_bytes=member_bytes,
        looping=looping,
    )
    blocks, row_plan = arrange(num_settings, num_groups, chosen)
    rows = np.repeat(np.arange(num_groups), len(blocks))
    row_groups = Group(*(part[rows] for part in groups))
    row_settings = {
        name: np.concatenate([values[blocks]] * num_groups)
        for name, values in signature.traced.items()
    }
    empty = lambda leaf: _zeros((len(rows), blocks.shape[1], *leaf.shape), leaf.dtype)
    # A signature without traced settings still has its one member on the settings axis.
    row_settings = row_settings or {"_": np.zeros((len(rows), blocks.shape[1]), np.float32)}
    members = population.pad((row_groups, row_settings), row_plan)
    progress = population.pad(jax.tree.map(empty, one), row_plan)
    compiled = population.compile(
        lambda shared, member, progress: block(
            shared, member[0], {k: v for k, v in member[1].items() if k != "_"} or member[1],
            progress,
        ),
        row_plan,
        shared,
        members,
        progress,
        prepare=prepare,
        auto=strategy == "auto",
        donate=True,
    )  # fmt: skip
    seconds = 0.0
    for start, stop in reporter.stretches(schedule.epochs, num_settings * num_groups):
        began = time.perf_counter()
        stretch = shared._replace(start=np.int32(start), stop=np.int32(stop))
        progress, predicted = jax.block_until_ready(
            compiled.call(stretch, members, progress)
        )
        seconds += time.perf_counter() - began
        reporter.update(progress)

    def gather(leaf):
        """Rows of blocks [R, s, ...] to [S, G, ...], without what was padded."""
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return leaf
        leaf = np.asarray(leaf)[: len(rows)]
        leaf = leaf.reshape(num_groups, blocks.size, *leaf.shape[2:])
        return np.swapaxes(leaf[:, :num_settings], 0, 1)

    progress = progress._replace(state=progress.state if states else ())
    params = one.state.params if isinstance(one.state, TrainState) else one.state
    plan = compiled.plan._replace(chunk=compiled.plan.chunk * blocks.shape[1])
    if chosen.strategy in ("map", "sequential", "vmap"):
        plan = chosen
    return SignatureResult(
        progress=jax.tree.map(gather, progress._replace(state=())),
        predictions=jax.tree.map(gather, predicted),
        state=jax.tree.map(gather, progress.state),
        num_params=sum(leaf.size for leaf in jax.tree.leaves(params)),
        plan=plan,
        num_programs=compiled.num_programs,
        num_traces=traces(),
        compile_seconds=compiled.compile_seconds,
        run_seconds=seconds,
        bytes=compiled.bytes,
    )


def arrange(num_settings: int, num_groups: int, plan: population.Plan):
    """Cut the settings into blocks that share a group's batches, so that all devices have work.

    Returns the settings of each block, [blocks, s] (the last is filled up by repeating), and the
    plan for the rows: groups x blocks.
    """
    cores = len(plan.devices)
    size = max(1, min(num_settings, plan.chunk))
    fewest = max(-(-num_settings // size), min(num_settings, -(-cores // num_groups)))
    even = [b for b in range(fewest, fewest + cores) if b * num_groups % cores == 0]
    count = even[0] if even and even[0] <= num_settings else fewest
    size = -(-num_settings // count)
    count = -(-num_settings // size)
    blocks = np.minimum(np.arange(count * size), num_settings - 1).reshape(count, size)
    return blocks, plan._replace(
        chunk=max(1, plan.chunk // size), devices=plan.devices[: count * num_groups]
    )


def _features(data):
    return data[0] if isinstance(data, tuple) else data


def _zeros(shape, dtype):
    if jnp.issubdtype(dtype, jax.dtypes.prng_key):
        return jnp.broadcast_to(jax.random.key(0), shape)
    return np.zeros(shape, dtype)


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
