"""A transform in a population: fitted to each training part, and between a learner and its rows.

One that sees targets is cross-fitted, as by scikit-learn's ``TargetEncoder.fit_transform``. Were a
row's own response in its features, a network would learn to trust what no new row has, and look
good on the rows that it was trained on. So these are dealt out to PARTS, and each is changed by
what was fitted to the other parts; all other rows by what was fitted to all. Rows of one group are
in one part: a row like one's own tells one's response as well.
"""

import time
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl import programs
from jaxdl.arrays import num_rows, spread
from jaxdl.base import (
    Array,
    Batch,
    Learner,
    Sequences,
    TargetTransformFit,
    Transform,
    features,
    fit_to,
    weighted,
    with_features,
)
from jaxdl.training.batching import Rows, take

PARTS = 5


def numbered(data: Batch, transform: Transform, groups: np.ndarray | None = None) -> Batch:
    """The data; with ``(y, part [N])`` for y where the transform sees targets.

    Parts are drawn at random, for files are often sorted, and are always the same. They hold whole
    ``groups``, of labels [N]; None where each row is on its own.
    """
    if not transform.sees_targets:
        return data
    of = np.arange(num_rows(data))
    if groups is not None:
        of = np.unique(groups, return_inverse=True)[1]
    part = np.random.default_rng(0).permutation(of.max() + 1).astype(np.int32) % PARTS
    x, y, weight = weighted(data)
    return (x, (y, part[of]), *(() if weight is None else (weight,)))


def of_training_part(data: Batch, transform: Transform, train: Rows) -> Batch:
    """``numbered`` data in which rows that are not of the training part [n] have the part -1."""
    if not transform.sees_targets:
        return data
    x, (y, part), *weight = data
    trained = jnp.zeros(len(part), bool).at[train.index].max(train.mask)
    return (x, (y, jnp.where(trained, part, -1)), *weight)


def fit(transform: Transform, batch: Batch, mask: Array) -> Any:
    """A transform's params for the rows of ``numbered`` data that count [N].

    Where it sees targets, [PARTS + 1] of them: without each part, and of all rows.
    """
    if not transform.sees_targets:
        return fit_to(transform, batch, mask)
    x, (y, part), *_ = batch
    fit_to_both = cast(TargetTransformFit, transform.fit)
    return jax.lax.map(lambda p: fit_to_both(x, y, mask & (part != p)), jnp.arange(PARTS + 1))


def fit_folds(transform: Transform, data: Batch, train: Rows) -> tuple[Any, float, float]:
    """What ``fit`` gives for each training part, [F, ...]; the seconds to compile, and to run."""

    def fold(data, rows):
        return fit(transform, take(data, rows.index), rows.mask)

    began = time.perf_counter()
    options = programs.compiler_options(short=True)  # it passes once over the data
    jitted = jax.jit(
        lambda data, train: jax.lax.map(lambda rows: fold(data, rows), train),
        compiler_options=options,
    )
    program = programs.compile_once(jitted, data, train, where=str(options))
    compiled = time.perf_counter()
    params = jax.block_until_ready(program(data, train))
    return params, compiled - began, time.perf_counter() - compiled


def fitted_to_all(transform: Transform, params: Any) -> Any:
    """The params of ``fit`` that new rows are changed by."""
    return jax.tree.map(lambda leaf: leaf[-1], params) if transform.sees_targets else params


def with_transform(learner: Learner, transform: Transform, params: Any) -> Learner:
    """A learner on transformed features of data as ``of_training_part``; ``params`` are of ``fit``."""
    whole = fitted_to_all(transform, params)

    def change(batch):
        if not transform.sees_targets:
            return with_features(batch, transform.apply(params, features(batch)))
        x, (y, part), *weight = batch
        every = jax.vmap(transform.apply, (0, None))(params, x)
        mine = jax.tree.map(lambda leaf: leaf[part, jnp.arange(len(part))], every)
        return (mine, y, *weight)

    def step(train_state, batch, *, mask=None):
        # Handed on only where there is one: a learner of even batches needs to take none.
        rows = {} if mask is None else {"mask": mask}
        return learner.step(train_state, change(batch), **rows)

    return learner._replace(
        step=step,
        predict=lambda ts, x: learner.predict(ts, transform.apply(whole, x)),
        evaluate=lambda ts, batch: learner.evaluate(ts, change(batch)),
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
