"""Cross-validation of a whole grid of settings as one XLA program for each static signature."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl import programs
from jaxdl.arrays import num_rows, spread
from jaxdl.base import (
    Batch,
    Key,
    Learner,
    Responses,
    Sequences,
    Transform,
    features,
    fit_to,
    identity_transform,
)
from jaxdl.checks import is_whole, nearest, one_of, positive_int, typed_key
from jaxdl.metrics import directions
from jaxdl.model_selection import grid as grids
from jaxdl.model_selection import splits
from jaxdl.model_selection.population.assemble import assemble, study_metric
from jaxdl.model_selection.population.halving import Halving, rungs
from jaxdl.model_selection.population.job import StudyJob, study_fingerprint
from jaxdl.model_selection.population.members import LAST_SEED, Group, folds_key, responses_of
from jaxdl.model_selection.population.plan import check_strategy
from jaxdl.model_selection.population.run import COMPACT, Population
from jaxdl.model_selection.splits import Fold
from jaxdl.model_selection.study import Recipe, Study
from jaxdl.training.batching import Lengths, Rows, pad_rows, take
from jaxdl.training.host import checkpoints, inputs, runlog
from jaxdl.training.host.checkpoints import Checkpoint
from jaxdl.training.host.driver import Host, drive
from jaxdl.training.stopping import EarlyStopping


def cross_validate(
    make_learner: Callable[[dict[str, Any]], Learner],
    grid: Mapping[str, Sequence] | Iterable[Mapping[str, Any]],
    data: Any,
    *,
    key: Key,
    folds: int | Any = 5,
    groups: Any = None,
    seeds: int | Sequence[int] = 1,
    epochs: int,
    batch_size: int | None = None,
    transform: Transform | None = None,
    metric: str | None = None,
    maximize: bool | None = None,
    stratify: bool | None = None,
    strategy: str = "auto",
    chunk: int | None = None,
    devices: Sequence | None = None,
    remainder: str = "keep",
    evaluate_every: int | None = None,
    train_scores: bool = False,
    predictions: bool = False,
    states: bool = False,
    early_stopping: EarlyStopping | Callable[[dict[str, Any]], EarlyStopping] | None = None,
    halving: Halving | None = None,
    compact: str = "auto",
    checkpoint: str | Path | Checkpoint | None = None,
    log: Any = None,
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
      grid: a dict of lists (their product), a list of dicts, or ``random_search(...)``. A name
        that no learner reads is refused.
      data: ``(x [N, ...], y [N, ...])``, a Dataset, or any pytree of arrays [N, ...].
      key: a typed key, consumed; see ``member_key``.
      folds: a number; the rows are then shuffled by ``key``, and stratified where the responses
        are labels. Or a scikit-learn splitter, or ``(train, valid)`` index arrays, as they are:
        ``k_fold(n, 5)`` gives parts of neighbours, for rows in the order of time.
      groups: labels [N] of rows that stay together in a number of folds, or for the splitter.
      seeds: a number, or the seeds themselves, 0 to 2^31 - 2; each is another initialisation,
        order of rows and stream of dropout masks.
      epochs: passes over a fold's training part.
      batch_size: rows a step; default all of them.
      transform: fitted to each fold's training part, applied to all of the data. One that
        sees targets is cross-fitted: what was fitted to other rows changes those of that part.
      metric: what ``Study.best`` and ``halving`` go by; default accuracy, else squared error, else
        the first whose direction is known.
      maximize: whether more of the metric is better. None where its name says so (``accuracy``,
        ``nll``, see ``metrics.directions``); for any other it must be said.
      stratify: whether a number of folds is stratified by y; default: where the learner's
        ``responses`` are labels, as of an objective with a family of labels, or the Dataset's
        task is to classify. Of whole numbers y [N] it must be said where neither is known.
      strategy, chunk, devices: see ``population.choose_plan``. They never change a result.
      remainder: ``"keep"`` or ``"drop"`` the last, smaller batch of an epoch.
      evaluate_every: epochs between two points of the learning curves; default, about ten points.
      train_scores: score the training part as well.
      predictions: keep the out-of-fold predictions.
      states: keep the trained states, [S, F, K, ...] in a list by signature.
      early_stopping: an ``EarlyStopping`` for each member by its held-out part, or a function of
        a setting that gives one (its numbers may be the setting's). The same part then decides
        when to stop and how good that is, so scores are a little too good: keep a test part.
      halving: a ``Halving``; settings that it drops keep the scores that they had.
      compact: whether members that go on are brought together between stretches, see ``Population``.
      checkpoint: a folder, or a ``Checkpoint``: the same call again goes on from the last whole
        one; that of another study is refused, of other data, settings, transform or learner, as
        far as their traces differ. SIGTERM and Ctrl-C save first, then exit with 143 or raise.
      log: a ``.csv`` or ``.jsonl`` file, or what has ``start`` and ``add``.
      progress: show a bar; it looks at the program between stretches of epochs only.

    Returns:
      A Study.

    Raises:
      ValueError: for data, folds, settings or numbers that make no sense, before anything runs;
        and for a ``make_learner`` that branches on a traced setting, or a checkpoint that is
        damaged or of another study.
      OSError: where a checkpoint or a log cannot be written.
    """
    check_strategy(strategy)
    one_of("compact", compact, COMPACT)
    typed_key(key)
    inputs.check_transform(transform)
    settings = grids.expand(grid)
    signatures = grids.signatures(settings)
    task, data = getattr(data, "task", None), check_data(data, transform)
    n = num_rows(data)
    parts = make_folds(
        folds, data, task, responses_of(make_learner, signatures[0]), stratify, groups,
        folds_key(key),
    )  # fmt: skip
    seeds = check_seeds(seeds)
    train = pad_rows([part.train for part in parts])
    valid = pad_rows([part.valid for part in parts])
    lengths = make_lengths(
        train, epochs, batch_size, remainder, evaluate_every, evaluate_train=train_scores
    )
    levels = rungs(halving, len(settings), epochs) if halving is not None else []
    if levels:
        first = levels[0].epochs
        if evaluate_every is not None and first % lengths.evaluate_every:
            raise ValueError(f"evaluate_every={evaluate_every} must divide the first rung, {first}")
        every = lengths.evaluate_every if evaluate_every is not None else first
        lengths = lengths._replace(evaluate_every=every)
    recipe = Recipe(
        make_learner, transform or identity_transform(), lengths, batch_size, key, early_stopping
    )
    groups = Group(
        fold=np.repeat(np.arange(len(parts), dtype=np.int32), len(seeds)),
        seed=np.tile(np.asarray(seeds, np.int32), len(parts)),
    )
    checkpoint, log = checkpoints.as_checkpoint(checkpoint), runlog.as_log(log)
    # What is to be resumed exactly is compacted at epochs that do not depend on the clock.
    milestones = None
    if checkpoint is not None:
        eighths = range(1, epochs, max(1, epochs // 8))
        milestones = sorted({*eighths, *(rung.epochs for rung in levels)})
    populations = [
        Population(
            recipe,
            signature,
            data,
            train,
            valid,
            groups,
            strategy=strategy,
            chunk=chunk,
            devices=devices,
            predictions=predictions,
            compact=compact,
            milestones=milestones,
        )
        for signature in signatures
    ]
    check_reading(settings, populations)
    for population in populations:
        inputs.check_responses(data, population.responses)
    metric = study_metric(list(populations[0].store[0].curves), metric)
    maximize = directions.resolve(metric, maximize)
    fingerprint = {}
    if checkpoint is not None:
        fingerprint = study_fingerprint(
            settings, data, parts, seeds, populations, metric, maximize, levels
        )
    job = StudyJob(
        populations,
        metric,
        maximize,
        rungs=levels,
        milestones=milestones or (),
        compacts=compact == "always" or early_stopping is not None,
        fingerprint=fingerprint,
    )
    drive(job, Host(checkpoint, log, progress))
    results = [population.result(states) for population in populations]
    unfit = np.zeros(len(parts), bool)
    if any((result.run.diverged >= 0).any() for result in results):
        unfit = unfit_folds(recipe.transform, data, train)
    return assemble(
        settings,
        signatures,
        results,
        parts,
        seeds,
        recipe,
        num_rows=n,
        unfit=unfit,
        metric=metric,
        maximize=maximize,
    )


def check_data(data: Any, transform: Transform | None) -> Any:
    """The data as a pytree of NumPy arrays with leading axis [N].

    Raises a ValueError where lengths differ, nothing is there, or (without a transform that could
    mend it) a value is not finite.
    """
    data = jax.tree.map(
        np.asarray,
        inputs.as_arrays(
            data,
            mended=transform is not None,
            advice="drop those rows, or pass a transform such as impute_mean()",
        ),
    )
    rows = num_rows(data)
    if rows < 2:
        raise ValueError(f"the data have {rows} rows; at least 2 are needed")
    return data


def make_folds(
    folds: int | Any,
    data: Any,
    task: str | None,
    responses: Responses | None,
    stratify: bool | None,
    groups: Any,
    key: Key,
) -> list[Fold]:
    """The folds of data [N, ...], shuffled by the key and stratified by labels for a number of them.

    What y is, the ``responses`` of the learner tell, or the ``task`` of a Dataset. Raises a
    ValueError where neither does and y are whole numbers, which may be labels, prices or counts.
    """
    y = data[1] if type(data) is tuple and len(data) > 1 else None
    y = y if isinstance(y, np.ndarray) and y.ndim == 1 else None
    whole = y is not None and y.dtype.kind in "iub"
    if stratify and not whole:
        raise ValueError("stratify=True needs data (x, y) with whole numbers y [N] as classes")
    if is_whole(folds) and groups is None:
        if stratify is None and whole and responses is None and task is None:
            raise ValueError(
                "y holds whole numbers, and the learner does not say (Learner.responses) whether "
                "they are labels: pass stratify=True, or stratify=False for prices and counts"
            )
        labels = task == "classify" if responses is None else responses.kind == "labels"
        y = y if whole and (labels if stratify is None else stratify) else None
    return splits.as_folds(folds, num_rows(data), y, groups=groups, key=key)


def check_seeds(seeds: int | Sequence[int]) -> list[int]:
    """The seeds, of a number or of themselves. Raises a ValueError for what is neither."""
    listed = (
        list(range(seeds)) if is_whole(seeds) else list(seeds if np.iterable(seeds) else [seeds])
    )
    fit = all(is_whole(seed) and 0 <= seed <= LAST_SEED for seed in listed)
    if not listed or not fit or len(set(listed)) != len(listed):
        raise ValueError(
            f"seeds must be a positive number or different whole numbers from 0 to {LAST_SEED}, "
            f"not {listed}"
        )
    return [int(seed) for seed in listed]


def check_reading(settings: list[dict[str, Any]], populations: Sequence[Population]) -> None:
    """Raise a ValueError for names of the settings that nothing has read, in no population."""
    read = set().union(*(population.seen for population in populations))
    unread = [name for name in dict.fromkeys(k for h in settings for k in h) if name not in read]
    if unread:
        near = nearest(unread[0], read - set(settings[0]))
        meant = f"; did you mean {near!r}?" if near else ""
        raise ValueError(
            f"make_learner never reads {', '.join(map(repr, unread))} of the grid; it reads "
            f"{', '.join(map(repr, sorted(read))) or 'nothing'}{meant}"
        )


def unfit_folds(transform: Transform, data: Batch, train: Rows) -> np.ndarray:
    """For which folds [F] the transform gives training rows, of Rows [F, n], that are not finite."""
    return np.asarray(programs.compiled(_unfit)(transform, data, train))


def _unfit(transform: Transform, data: Batch, train: Rows) -> jax.Array:
    def of_fold(rows):
        part = take(data, rows.index)
        given = transform.apply(fit_to(transform, part, rows.mask), features(part))
        is_sequences = lambda node: isinstance(node, Sequences)
        parts = jax.tree.leaves(given, is_leaf=is_sequences)
        values = [part.filled() if is_sequences(part) else part for part in parts]
        return jnp.any(
            jnp.array([jnp.any(spread(rows.mask, v) & ~jnp.isfinite(v)) for v in values])
        )

    return jax.lax.map(of_fold, train)


def make_lengths(
    train: Rows,
    epochs: int,
    batch_size: int | None,
    remainder: str = "keep",
    evaluate_every: int | None = None,
    evaluate_train: bool = False,
) -> Lengths:
    """The Lengths of runs over Rows [F, n]. Raises a ValueError for numbers that do not fit."""
    counts = np.sum(train.mask, axis=1)
    for name, value in {
        "epochs": epochs,
        "batch_size": 1 if batch_size is None else batch_size,
        "evaluate_every": 1 if evaluate_every is None else evaluate_every,
    }.items():
        positive_int(name, value)
    one_of("remainder", remainder, ("keep", "drop"))
    if batch_size is not None and remainder == "drop" and batch_size > counts.min():
        raise ValueError(
            f"batch_size={batch_size} is more than the {counts.min()} training rows of a fold: "
            "with remainder='drop' there would be no step"
        )
    size = min(int(batch_size or counts.max()), int(counts.max()))
    every = max(1, int(evaluate_every or round(epochs / 10)))
    return Lengths(size, int(epochs), min(every, int(epochs)), remainder, True, evaluate_train)
