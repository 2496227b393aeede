"""The contracts: named tuples of pure functions, closed over their static settings.

Whatever is trained, sampled or fitted in jaxdl is one of these. They hold no arrays; parameters,
statistics and training states are pytrees that go in and come out. What each function takes and
gives is a Protocol in ``protocols``.

Argument order everywhere: ``params, state, inputs, *, key, train``. Keys are typed
(``jax.random.key``) and never split in place: a step uses ``fold_in(key, step)``.

A batch is a pytree of arrays with a leading example axis. A plain tuple is its parts, ``(x, y)``
for supervised work, ``(x, y, weight)`` where rows count differently; anything else (an array, a
``Sequences``, a dict) is one part.
"""

import math
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.protocols import (
    Array,
    Batch,
    BijectorInit,
    BijectorMap,
    CellCarry,
    CellStep,
    CellUnroll,
    DecoderStart,
    DecoderStep,
    Init,
    Key,
    LearnerEvaluate,
    LearnerPredict,
    LearnerStep,
    LogProb,
    ModelApply,
    ModelInit,
    ObjectiveEvaluate,
    ObjectiveLoss,
    ObjectivePredict,
    OfPredictor,
    Params,
    Sample,
    Scores,
    State,
    TargetTransformFit,
    TransformApply,
    TransformFit,
)


class Model(NamedTuple):
    """A network f.

    init: a ``ModelInit``, ``(key) -> (params, state)``.
    apply: a ``ModelApply``, ``(params, state, x, *, key=None, train=False) -> (eta, state)``.
        Statistics (of batch normalisation, say) are ``state``.
    sees_mask: whether ``apply`` takes the keyword ``mask`` [N], True for the rows that count. What
        lets rows meet must say so: batch normalisation would count padded rows otherwise.
    """

    init: ModelInit
    apply: ModelApply
    sees_mask: bool = False


class Responses(NamedTuple):
    """What a response may be: from ``low`` to ``high``, both included.

    kind: ``"labels"`` (whole numbers that name classes), ``"counts"`` or ``"numbers"``.
    """

    kind: str
    low: float = -math.inf
    high: float = math.inf


class Family(NamedTuple):
    """A response distribution p(y; eta) with its inverse link g^-1. Notes: Eq. (11), §1.4.

    log_prob: ``(eta, y) -> [...]``, stable in eta (logits, log-rates, ...).
    mean: ``(eta) -> E[y|x] = g^-1(eta)``.
    sample: ``(key, eta) -> y``; the key is consumed.
    entropy: ``(eta) -> [...]`` in nats, or None where there is no closed form.
    scores: ``(eta, y) -> {name: [...]}``, what else is reported of a prediction, per example:
        ``accuracy`` of labels, ``squared_error`` of real responses and counts.
    responses: the Responses that it has a probability for; None where it does not say.
    """

    log_prob: LogProb
    mean: OfPredictor
    sample: Sample
    entropy: OfPredictor | None = None
    scores: Scores = lambda eta, y: {}
    responses: Responses | None = None


class Transform(NamedTuple):
    """What is fitted to the features before the network sees them (standardise, impute, whiten).

    fit: ``(x, mask=None) -> params``; only ever sees a training part, ``mask [N]`` marks its rows.
    apply: ``(params, x) -> x``.
    sees_targets: whether ``fit`` is ``(x, y, mask=None) -> params``. A row's own response is then
        in what it becomes, so a study cross-fits such a transform: rows of the training part are
        changed by what was fitted to others of it.
    """

    fit: TransformFit | TargetTransformFit
    apply: TransformApply
    sees_targets: bool = False


class Objective(NamedTuple):
    """What is minimised, and what a trained model is asked.

    loss: ``(params, state, batch, *, key=None, train=False, mask=None)
        -> (scalar, (state, metrics))``; ``mask [B]`` marks the rows that count, None is all.
    predict: ``(params, state, x) -> predictions``, e.g. ``family.mean(eta)``.
    evaluate: ``(params, state, batch, *, key=None) -> {metric: per-example values [B]}``. The key
        is one for each slice of examples, the same for all settings of a study's fold and seed.
    responses: the Responses y of its batches ``(x, y)``, the family's; None where it does not say.
    weighs: whether the loss of ``(x, y, weight [B])`` is the weighted mean.
    """

    loss: ObjectiveLoss
    predict: ObjectivePredict
    evaluate: ObjectiveEvaluate
    responses: Responses | None = None
    weighs: bool = False


class TrainState(NamedTuple):
    """Everything that a training run carries; the key is folded with the step, never split.

    A learner with several players (a GAN's two networks) has dicts by player in ``params``,
    ``state`` and ``opt_state``.
    """

    step: Array  # [] int32
    params: Params
    state: State
    opt_state: Any
    key: Key


class Learner(NamedTuple):
    """Anything that learns from batches. Nothing above it knows what is inside.

    init: ``(key) -> TrainState``, or the learner's own state tuple.
    step: ``(train_state, batch, *, mask=None) -> (train_state, info)``; info is not carried and
        has the scalar ``"loss"``. Padded rows of a batch have ``mask`` False.
    predict: ``(train_state, x) -> predictions``.
    evaluate: ``(train_state, batch) -> {metric: per-example values [B]}``.
    responses: the Responses y of its batches ``(x, y)``; None where it does not say. Data that hold
        others are refused, and folds are stratified by labels.
    weighs: whether it learns from ``(x, y, weight [B])`` by weighted means. ``evaluate`` gives the
        values as they are; the engine takes their weighted mean.
    """

    init: Init
    step: LearnerStep
    predict: LearnerPredict
    evaluate: LearnerEvaluate
    responses: Responses | None = None
    weighs: bool = False


class Cell(NamedTuple):
    """One recurrent step: simple, LSTM, GRU. Notes: §7.

    init: ``(key) -> params``.
    carry: ``(batch_shape) -> carry``, zeros or ones.
    step: ``(params, carry, x) -> (carry, y)``.
    unroll: None, or a faster form of all steps with the same result and gradients:
        ``(params, carry, x [T, B, D], mask [T, B]) -> (carry, y [T, B, H])``. The carry stays as
        it is where the mask is False, and y means nothing there; without a mask all counts.
    """

    init: Init
    carry: CellCarry
    step: CellStep
    unroll: CellUnroll | None = None


class Decoder(NamedTuple):
    """A model that reads its own output, token by token: what generation asks of it. Notes: §7.3.

    start: ``(params, state, source, *, rows, max_length) -> carry``; the carry's arrays have the
        row as their first axis, so that beam search can take, repeat and reorder rows.
    step: ``(params, state, carry, tokens [B, T], lengths=None) -> (carry, logits [B, T, V])``.
        ``logits[:, t]`` are of the token behind ``tokens[:, t]``; the rows may have read different
        numbers of tokens before.
    """

    start: DecoderStart
    step: DecoderStep


class Bijector(NamedTuple):
    """An invertible map with a tractable Jacobian; ``forward`` samples, ``inverse`` evaluates.

    init: ``(key) -> params``; with data, ``(key, x [N, ...])``, for what starts from them.
    forward: ``(params, z) -> (x, log |det dx/dz|)``.
    inverse: ``(params, x) -> (z, log |det dz/dx|)``.
    """

    init: BijectorInit
    forward: BijectorMap
    inverse: BijectorMap


class Sequences(NamedTuple):
    """Padded sequences, a part of a batch like any array.

    values: [N, T] token ids, or [N, T, D].
    lengths: [N] int32, from 0 to T. What lies behind a length may hold anything, NaN included, and
        changes no output, loss, gradient or score.

    >>> Sequences(jnp.array([[7, 8, 9]]), jnp.array([2])).mask.tolist()
    [[True, True, False]]
    """

    values: Array | np.ndarray
    lengths: Array | np.ndarray

    @property
    def mask(self) -> Array:
        """[N, T] bool, True at the positions before each sequence's end."""
        return jnp.arange(self.values.shape[1]) < jnp.asarray(self.lengths)[:, None]

    def filled(self, value: float = 0) -> Array:
        """The values [N, T, ...] with ``value`` at every padded position.

        Fill before anything is computed of the values: a NaN that is masked later has gradients.
        """
        mask = self.mask.reshape(*self.mask.shape, *(1,) * (self.values.ndim - 2))
        return jnp.where(mask, self.values, value)

    def padded(self, length: int) -> "Sequences":
        """The same sequences with at least ``length`` positions, zeros behind those of before."""
        more = max(length - self.values.shape[1], 0)
        behind = [(0, 0), (0, more), *[(0, 0)] * (self.values.ndim - 2)]
        return self._replace(values=jnp.pad(jnp.asarray(self.values), behind))


def evaluation_key(key: Key) -> Key:
    """The key of a run's evaluations; no step has its number, so no step shares its draws.

    A learner whose evaluation draws folds its state's key so, and the engine that of a TrainState
    by the slice of examples before: all settings of a fold and seed are scored by the same draws.
    """
    return jax.random.fold_in(key, 2**32 - 1)


def features(batch: Batch) -> Any:
    """A batch's first part, x of ``(x, y)``; all of it where it is one part."""
    return batch[0] if type(batch) is tuple else batch


def pair(batch: Batch) -> tuple[Any, Any]:
    """x and y of a supervised batch. Raises a ValueError for one part, such as Sequences alone."""
    if type(batch) not in (tuple, list) or len(batch) != 2:
        what = type(batch).__name__
        if type(batch) in (tuple, list):
            what = f"{len(batch)} parts"
        elif hasattr(batch, "shape"):
            what = "one array, without y"
        raise ValueError(f"a batch to learn responses from is (x, y), not {what}")
    return batch[0], batch[1]


def weighted(batch: Batch) -> tuple[Any, Any, Array | None]:
    """x, y and the weight [B] of each row of ``(x, y, weight)``; of ``(x, y)`` the weight is None.

    Raises a ValueError as ``pair``, which is for whoever has no use for weights.
    """
    weight = weights(batch)
    return (*pair(batch if weight is None else batch[:2]), weight)


def weights(batch: Batch) -> Array | None:
    """The weight [B] of each row, the third part of a batch; None where all count alike.

    >>> weights((jnp.ones((2, 3)), jnp.zeros(2), jnp.array([1.0, 0.5]))).tolist()
    [1.0, 0.5]
    """
    return batch[2] if type(batch) is tuple and len(batch) == 3 else None


def with_features(batch: Batch, x: Any) -> Batch:
    """The batch with another first part."""
    return (x, *batch[1:]) if type(batch) is tuple else x


def fit_to(transform: Transform, batch: Batch, mask: Array | None = None) -> Params:
    """A transform's params, fitted to the rows of a batch that count: to x, or to x and y.

    Raises a ValueError where the transform sees targets and the batch has none.
    """
    if transform.sees_targets:
        x, y, _ = weighted(batch)
        return cast(TargetTransformFit, transform.fit)(x, y, mask)
    return cast(TransformFit, transform.fit)(features(batch), mask)


def stateless(init, apply) -> Model:
    """Lift ``init(key) -> params`` and ``apply(params, x, *, key, train) -> y`` to a Model.

    The state that the model carries is empty.

    >>> import jax, jax.numpy as jnp
    >>> line = stateless(lambda key: jnp.ones(2), lambda w, x, *, key, train: x @ w)
    >>> params, state = line.init(jax.random.key(0))
    >>> line.apply(params, state, jnp.array([1.0, 2.0]))[0].item()
    3.0
    """

    def lifted(params, state, x, *, key=None, train=False):
        return apply(params, x, key=key, train=train), state

    return Model(lambda key: (init(key), {}), lifted)


def identity_transform() -> Transform:
    """The Transform that leaves x as it is."""
    return Transform(_no_params, _as_it_is)  # the same functions each time, so that it is known


def _no_params(x: Any, mask: Array | None = None) -> Params:
    return {}


def _as_it_is(params: Params, x: Any) -> Any:
    return x
