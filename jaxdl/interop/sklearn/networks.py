"""The network behind an estimator, pure: what is static of it, what is minimised, what it says."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxdl import families, losses, models, training
from jaxdl.arrays import counted, masked_mean, safe_divide
from jaxdl.base import Array, Family, Key, Learner, Model, Objective
from jaxdl.checks import one_of
from jaxdl.training import EarlyStopping, loop, run_state, stopping
from jaxdl.training.batching import Lengths, Padding, Rows, steps_per_epoch
from jaxdl.training.objectives import apply_model
from jaxdl.training.run_state import RunState, StopAndRecord

REAL = ("normal", "heteroskedastic", "poisson", "laplace", "student_t")
SOLVERS = ("adam", "sgd")


class Design(NamedTuple):
    """What is static of an estimator's training: a key of its programs.

    response: ``"labels"``, ``"multilabel"`` or one of REAL. sizes: ``(D, hidden..., K)`` for K
    classes, labels or responses. batch_size: rows a step, None for all. dropout, early_stopping:
    whether there is any.
    """

    response: str
    sizes: tuple[int, ...]
    activation: str | Callable
    norm: str | None
    skip: bool
    dropout: bool
    network: Callable | None
    solver: str | Callable
    epochs: int
    batch_size: int | None
    early_stopping: bool


def model(design: Design, dropout: float | Array = 0.0) -> Model:
    """The network [D] -> eta: ``models.mlp``, or what ``network(D, outputs)`` gives.

    That of counts starts near 0, the mean of all of them; not at it, where the offset's gradient is
    nothing but rounding, of which Adam makes whole steps.
    """
    *widths, outputs = design.sizes
    if design.response == "heteroskedastic":
        outputs *= 2
    if design.network is not None:
        return design.network(widths[0], outputs)
    net = models.mlp(
        (*widths, outputs),
        activation=design.activation,
        dropout=dropout if design.dropout else 0.0,
        norm=design.norm,
        skip=design.skip,
    )
    return _near_zero(net, f"dense_{len(widths) - 1}") if design.response == "poisson" else net


def family(response: str, classes: int, df: float | Array = 4.0) -> Family:
    """The distribution of a response in the unit in which it is learned."""
    if response == "labels":
        return families.categorical(classes)
    if response == "multilabel":
        return families.bernoulli()
    one_of("family", response, REAL)
    if response == "student_t":
        return families.student_t(df)
    if response == "heteroskedastic":
        return families.heteroskedastic_normal()
    return {"normal": families.normal, "poisson": families.poisson, "laplace": families.laplace}[
        response
    ]()


def outputs(response: str, eta: Array) -> Array:
    """A network's output as its family takes it: (mean, log sigma) of each response [..., K, 2]."""
    return eta.reshape(*eta.shape[:-1], -1, 2) if response == "heteroskedastic" else eta


def weighted_likelihood(
    net: Model, response: str, distribution: Family, alpha: float | Array
) -> Objective:
    """``1/W sum_n w_n (-log p(y_n; f(x_n))) + alpha/(2 W) R``, ``R = sum weights^2`` but offsets.

    A batch is x [B, D], y [B, ...] and weight w [B], of which W is the sum.
    """

    def nll(params, state, batch, key=None, train=False, mask=None):
        x, y, _ = batch
        eta, state = apply_model(net, params, state, x, key, train, mask)
        log_prob = distribution.log_prob(outputs(response, eta), y)
        return -log_prob.reshape(len(log_prob), -1).sum(1), state

    def loss(params, state, batch, *, key=None, train=False, mask=None):
        values, state = nll(params, state, batch, key, train, mask)
        fit = masked_mean(values, mask, batch[2])
        total = jnp.sum(counted(batch[2], mask))
        penalty = alpha / 2 * safe_divide(losses.l2(params), total)
        return fit + penalty, (state, {"nll": fit})

    def predict(params, state, x):
        return apply_model(net, params, state, x)[0]

    def evaluate(params, state, batch, *, key=None):
        return {"nll": nll(params, state, batch)[0]}

    return Objective(loss, predict, evaluate, weighs=True)


def make_learner(design: Design, settings: Mapping[str, Any]) -> Learner:
    """The learner of a design with its floats: of the estimator's parameters, those it reads."""
    net = model(design, settings["dropout"] if design.dropout else 0.0)
    df = settings["df"] if design.response == "student_t" else 4.0
    objective = weighted_likelihood(
        net, design.response, family(design.response, design.sizes[-1], df), settings["alpha"]
    )
    return training.gradient_learner(net, objective, _optimizer(design.solver, settings))


def early_stopping(settings: Mapping[str, Any]) -> EarlyStopping:
    """When a run ends by its validation rows: n_iter_no_change and tol of the settings."""
    return EarlyStopping(settings["n_iter_no_change"], settings["tol"], "nll")


def train(
    design: Design,
    settings: Mapping[str, Any],
    key: Key,
    data: Any,
    rows: Rows,
    held: Rows | None,
    state: Any,
) -> tuple[Any, RunState]:
    """The state that a run over some rows of the data ends with, and its RunState.

    It goes on from an earlier state if that is not None. The run is that of ``training.fit``, and
    of a member of a study, over these rows, however far they are padded.
    """
    learner = make_learner(design, settings)
    if state is not None:
        learner = learner._replace(init=lambda key: state)
    n = rows.mask.shape[0]
    size = design.batch_size or n
    lengths = Lengths(size, design.epochs, 1 if design.early_stopping else design.epochs)
    early = stopping.check(early_stopping(settings), ["nll"], True) if held is not None else None
    besides = StopAndRecord(early)
    again = lambda: jax.random.clone(key)
    run = run_state.init_run(learner, data, again(), lengths, besides)
    run = loop.run_stretch(
        learner, data, rows, held, again(), run, 0, lengths.total_steps(-(-n // size)), lengths,
        Padding(masked=True, uneven=size < n), besides,
    )  # fmt: skip
    count = jnp.sum(rows.mask)
    epochs = jnp.where(run.stopped >= 0, run.stopped, design.epochs)
    epochs = jnp.where(run.diverged >= 0, run.diverged, epochs)
    if early is not None:
        epochs = jnp.where(run.best.epoch > 0, run.best.epoch, epochs)
    steps = (epochs * steps_per_epoch(count, lengths)).astype(jnp.int32)
    ended = run_state.final_state(learner, run, again(), steps)
    kept = run.best._replace(state=()) if early is not None else ()
    return ended, run._replace(state=(), epoch_start=(), best=kept)


def first_state(design: Design, settings: Mapping[str, Any], key: Key) -> Any:
    """The state before the first step of the run with this key."""
    init_key, _ = jax.random.split(key)
    return make_learner(design, settings).init(init_key)


def predictor(design: Design, params: Any, state: Any, x: Array) -> tuple[Array, Array | None]:
    """Of x [B, D] the logits or means [B, K], and the standard deviations where these are learned.

    All in the unit in which the response is learned.
    """
    eta, _ = apply_model(model(design), params, state, x)
    eta = outputs(design.response, eta)
    if design.response in ("labels", "multilabel"):
        return eta, None
    mean = family(design.response, design.sizes[-1]).mean(eta)
    return mean, jnp.exp(eta[..., 1]) if design.response == "heteroskedastic" else None


def _near_zero(net: Model, last: str) -> Model:
    def init(key):
        params, state = net.init(key)
        return {**params, last: jax.tree.map(lambda w: 0.1 * w, params[last])}, state

    return net._replace(init=init)


def _optimizer(solver: str | Callable, settings: Mapping[str, Any]) -> Any:
    if callable(solver):
        return solver(settings["learning_rate_init"])
    if one_of("solver", solver, SOLVERS) == "sgd":
        return optax.sgd(settings["learning_rate_init"], settings["momentum"], nesterov=True)
    return optax.adam(settings["learning_rate_init"])
