"""Ensembles of networks: snapshots of one run, what each size gains, and why. Notes: §3.3, §4.6.2.

A deep ensemble (Lakshminarayanan et al. 2017) needs nothing of its own: after a study it is
``refit(study, data, seeds=J)``, whose ``Fitted.members`` are its predictions; without one,
``jax.vmap(lambda key: fit(learner, data, key=key, epochs=...).state)(jax.random.split(key, J))``.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.arrays import floating, num_rows
from jaxdl.base import Array, Batch, Key, Learner
from jaxdl.checks import one_of, positive_int
from jaxdl.model_selection.ensembles.averages import Ambiguity, average
from jaxdl.training import run_state
from jaxdl.training.fit import FitResult, fit
from jaxdl.training.host.checkpoints import Checkpoint


class Snapshots(NamedTuple):
    """states: the learner's states at the end of each cycle, leaves [cycles, ...], without clocks.
    result: the run's FitResult, whose state is the last snapshot with its clock."""

    states: Any
    result: FitResult

    def __repr__(self) -> str:
        return f"{num_rows(self.states)} snapshots of one run\n{self.result!r}"


def snapshot_ensemble(
    learner: Learner,
    data: Batch,
    *,
    key: Key,
    cycles: int,
    epochs_per_cycle: int,
    batch_size: int | None = None,
    validation: Batch | None = None,
    remainder: str = "keep",
    checkpoint: str | Path | Checkpoint | None = None,
    log: Any = None,
    progress: bool = False,
) -> Snapshots:
    """One training run, and its states at the end of each cycle: an ensemble for the price of one.

    The learner's optimizer takes ``optim.schedules.cosine_restarts(peak, length)`` with ``length =
    epochs_per_cycle * ceil(N / batch_size)`` steps (floor where ``remainder="drop"``), so that each
    cycle ends in a minimum and the next jumps out of it. The ensemble is
    ``average(jax.vmap(learner.predict, (0, None))(states, x))``. A run that diverges
    (``result.history.diverged``) repeats its last finite state. Source: Huang et al. (2017).

    Args:
      learner: from ``gradient_learner``, with that schedule.
      data, key, batch_size, remainder, checkpoint, log, progress: as in ``fit``; the key is
        consumed.
      cycles, epochs_per_cycle: static; ``cycles * epochs_per_cycle`` epochs are trained.
      validation: data to evaluate each snapshot on, in ``result.history.validation``.

    Raises ValueError for numbers that are not positive, and as ``fit``.

    >>> import optax
    >>> from jaxdl import families, models, optim, training
    >>> x = jnp.linspace(-1, 1, 20)[:, None]
    >>> net = models.mlp((1, 1))
    >>> objective = training.negative_log_likelihood(net, families.normal())
    >>> rate = optim.schedules.cosine_restarts(0.3, 5 * 2)  # 5 epochs a cycle, of 2 steps
    >>> learner = training.gradient_learner(net, objective, optax.sgd(rate))
    >>> snapshots = snapshot_ensemble(learner, (x, 3 * x[:, 0]), key=jax.random.key(0), cycles=3,
    ...                               epochs_per_cycle=5, batch_size=10)
    >>> jax.vmap(learner.predict, (0, None))(snapshots.states, x).shape
    (3, 20)
    """
    for name, value in {"cycles": cycles, "epochs_per_cycle": epochs_per_cycle}.items():
        positive_int(name, value)
    result = fit(
        learner,
        data,
        key=key,
        epochs=cycles * epochs_per_cycle,
        evaluate_every=epochs_per_cycle,
        batch_size=batch_size,
        validation=validation,
        remainder=remainder,
        checkpoint=checkpoint,
        log=log,
        progress=progress,
        record=run_state.without_clock,
    )
    return Snapshots(result.history.record, result)


def ensemble_size_curve(
    predictions: Array,
    y: Array,
    score: Callable,
    *,
    key: Key | None = None,
    orders: int = 16,
) -> Array:
    """The mean score of ensembles of 1..J members, [J], each the average of its predictions.

    ``curve[m-1]`` is the mean of ``score(y, p_bar)`` over sets of m members: the J sets of
    neighbours around a circle of all of them, so every member counts alike and the sizes 1, J - 1
    and J are exact. Without a key the circle is as the members stand; with one it is drawn anew
    ``orders`` times, and each size is an unbiased estimate of the mean over all sets of its size.
    Lakshminarayanan et al. (2017), Figure 2.

    Args:
      predictions: [J, N, ...] of the members, as ``Fitted.members`` gives.
      y: [N, ...], what ``score`` compares with.
      score: ``(y, prediction [N, ...]) -> []``, jittable: ``metrics.accuracy``, ``log_loss``, ...
      key: typed, consumed; default: one circle, in order.
      orders: how many circles a key draws; static.

    Raises ValueError where y has other rows than the predictions, for no members, and for a score
    that is not one number.

    >>> from jaxdl import metrics
    >>> votes = jnp.array([[0.9, 0.4], [0.4, 0.9], [0.6, 0.6]])  # three members, both labels are 1
    >>> [round(float(s), 3) for s in ensemble_size_curve(votes, jnp.array([1, 1]), metrics.accuracy)]
    [0.667, 1.0, 1.0]
    """
    predictions = jnp.asarray(predictions)
    y = jnp.asarray(y)
    if predictions.ndim < 2 or 0 in predictions.shape or predictions.shape[1:2] != y.shape[:1]:
        raise ValueError(
            f"predictions must be [J, N, ...] for y [N, ...], got {predictions.shape} and {y.shape}"
        )
    count = len(predictions)
    if key is None:
        circles = jnp.arange(count)[None]
    else:
        positive_int("orders", orders)
        draw = lambda k: jax.random.permutation(k, count)
        circles = jax.vmap(draw)(jax.random.split(key, orders))
    turns = (jnp.arange(count)[:, None] + jnp.arange(count)) % count
    sizes = jnp.arange(1, count + 1).reshape(-1, *(1,) * (predictions.ndim - 1))

    def scores(order):
        means = jnp.cumsum(predictions[order], axis=0) / sizes
        values = jax.vmap(lambda prediction: score(y, prediction))(means)
        if values.ndim != 1:
            raise ValueError(f"score must give one number, not an array {values.shape[1:]}")
        return values

    return jnp.mean(jax.lax.map(scores, circles[:, turns].reshape(-1, count)), axis=0)


def cross_entropy_decomposition(
    probabilities: Array, y: Array, weights: Array | None = None, *, pool: str = "linear"
) -> Ambiguity:
    """``NLL(pool) = sum_j a_j NLL(p_j) - ambiguity``, exactly, of [J, N, K] and labels y [N].

    ``"linear"``: p_bar = sum_j a_j p_j, what ensembles predict; the ambiguity, the mean of
    ``log p_bar(y) - sum_j a_j log p_j(y)``, is 0 or more by Jensen, and depends on y.
    ``"logarithmic"``: p_bar ~ prod_j p_j^a_j, the softmax of mean logits; its ambiguity, the mean of
    ``sum_j a_j KLD[p_bar || p_j]``, needs no y, as that of squared errors. Probabilities below the
    dtype's smallest normal number count as that; a label outside 0..K-1 gives NaN.

    Raises ValueError for shapes that do not fit, labels that are not whole numbers and other
    pools. Source: Heskes (1998); Wood et al. (2023).
    """
    p, y = jnp.asarray(probabilities), jnp.asarray(y)
    if p.ndim != 3 or p.shape[1:2] != y.shape or not jnp.issubdtype(y.dtype, jnp.integer):
        raise ValueError(
            "probabilities must be [J, N, K] and y labels [N], got "
            f"{p.shape} and {y.shape} of {y.dtype}"
        )
    one_of("pool", pool, ("linear", "logarithmic"))
    p = floating(p)
    floor = lambda q: jnp.maximum(q, jnp.finfo(p.dtype).tiny)
    p = floor(p)
    mean_log = average(jnp.log(p), weights)
    known = (y >= 0) & (y < p.shape[2])

    def nll(log_q):
        chosen = jnp.take_along_axis(log_q, jnp.where(known, y, 0)[:, None], axis=1)[:, 0]
        return -jnp.where(known, chosen, jnp.nan)

    if pool == "linear":
        pooled = jnp.log(floor(average(p, weights)))
        gain = nll(mean_log) - nll(pooled)
    else:
        pooled = jax.nn.log_softmax(mean_log)
        gain = jnp.sum(jnp.exp(pooled) * (pooled - mean_log), axis=1)
    each = jnp.mean(jax.vmap(nll)(jnp.log(p)), axis=1)
    return Ambiguity(jnp.mean(nll(pooled)), average(each, weights), jnp.mean(gain))
