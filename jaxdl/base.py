"""The contracts: named tuples of pure functions, closed over their static settings.

Whatever is trained, sampled or fitted in jaxdl is one of these. They hold no arrays; parameters,
statistics and training states are pytrees that go in and come out.

Argument order everywhere: ``params, state, inputs, *, key, train``. Keys are typed
(``jax.random.key``) and never split in place: a step uses ``fold_in(key, step)``.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

Array = jax.Array
Key = jax.Array
Params = Any
State = Any
Batch = Any  # a pytree of arrays with a leading example axis, (x, y) for supervised work


class Model(NamedTuple):
    """A network f.

    init: ``(key) -> (params, state)``.
    apply: ``(params, state, x, *, key=None, train=False) -> (eta, state)`` for ``x [..., D]``.
        Statistics (of batch normalisation, say) are ``state``; a model without any has ``{}``.
    """

    init: Callable
    apply: Callable


class Family(NamedTuple):
    """A response distribution p(y; eta) with its inverse link g^-1. Notes: Eq. (11), §1.4.

    log_prob: ``(eta, y) -> [...]``, stable in eta (logits, log-rates, ...).
    mean: ``(eta) -> E[y|x] = g^-1(eta)``.
    sample: ``(key, eta) -> y``; the key is consumed.
    entropy: ``(eta) -> [...]`` in nats, or None where there is no closed form.
    scores: ``(eta, y) -> {name: [...]}``, what else is reported of a prediction, per example:
        ``accuracy`` of labels, ``squared_error`` of real responses and counts.
    """

    log_prob: Callable
    mean: Callable
    sample: Callable
    entropy: Callable | None = None
    scores: Callable = lambda eta, y: {}


class Transform(NamedTuple):
    """What is fitted to the features before the network sees them (standardise, impute, whiten).

    fit: ``(x, mask=None) -> params``; only ever sees a training part, ``mask [N]`` marks its rows.
    apply: ``(params, x) -> x``.
    """

    fit: Callable
    apply: Callable


class Objective(NamedTuple):
    """What is minimised, and what a trained model is asked.

    loss: ``(params, state, batch, *, key=None, train=False, mask=None)
        -> (scalar, (state, metrics))``; ``mask [B]`` marks the rows that count, None is all.
    predict: ``(params, state, x) -> predictions``, e.g. ``family.mean(eta)``.
    evaluate: ``(params, state, batch) -> {metric: per-example values [B]}``.
    """

    loss: Callable
    predict: Callable
    evaluate: Callable


class TrainState(NamedTuple):
    """Everything that a training run carries; the key is folded with the step, never split."""

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
    """

    init: Callable
    step: Callable
    predict: Callable
    evaluate: Callable


def stateless(init: Callable, apply: Callable) -> Model:
    """Lift ``init(key) -> params`` and ``apply(params, x, *, key, train) -> y`` to a Model.

    Shapes are those of ``apply``. The state that the model carries is empty.

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
    """The Transform that leaves x, of any shape, as it is."""
    return Transform(lambda x, mask=None: {}, lambda params, x: x)
