"""Learners: one step of learning, whatever is inside."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from jaxdl.arrays import masked_mean, tree_norm
from jaxdl.base import (
    Array,
    Learner,
    Model,
    Objective,
    Responses,
    TrainState,
    evaluation_key,
    pair,
)
from jaxdl.models import linear, perceptron


def gradient_learner(
    model: Model, objective: Objective, optimizer: optax.GradientTransformation
) -> Learner:
    """Learn by one gradient a step: ``w <- w + update(dl/dw)``. Notes: Eq. (16), §2.2.

    The optimizer may be built from traced settings. A step uses the key
    ``fold_in(state.key, state.step)``, an evaluation ``evaluation_key(state.key)``. A step's info
    has ``loss`` and ``grad_norm``, [] each.
    """

    def init(key):
        init_key, key = jax.random.split(key)
        params, state = model.init(init_key)
        return TrainState(jnp.zeros((), jnp.int32), params, state, optimizer.init(params), key)

    def step(ts, batch, *, mask=None):
        key = jax.random.fold_in(ts.key, ts.step)
        grad = jax.value_and_grad(objective.loss, has_aux=True)
        (loss, (state, metrics)), gradient = grad(
            ts.params, ts.state, batch, key=key, train=True, mask=mask
        )
        updates, opt_state = optimizer.update(gradient, ts.opt_state, ts.params)
        params = optax.apply_updates(ts.params, updates)
        new = TrainState(ts.step + 1, params, state, opt_state, ts.key)
        return new, {"loss": loss, "grad_norm": tree_norm(gradient), **metrics}

    def predict(ts, x):
        return objective.predict(ts.params, ts.state, x)

    def evaluate(ts, batch):
        return objective.evaluate(ts.params, ts.state, batch, key=evaluation_key(ts.key))

    return Learner(init, step, predict, evaluate, objective.responses, objective.weighs)


def solver_learner(model: Model, objective: Objective, solve: Callable) -> Learner:
    """Learn by a solver that sees its whole batch at once; train it for one epoch, full batch.

    Args:
      model: gives the initial params.
      objective: its ``loss`` is what is minimised, with ``train=False``.
      solve: ``(fn, params) -> Descent`` minimises ``fn(params) -> []``, for example
        ``jaxdl.optim.lbfgs`` or ``functools.partial(jaxdl.optim.newton, max_steps=20)``.

    Each step restarts from the params that the last one found. Notes: Eq. (8), §1.3.
    """

    def init(key):
        init_key, key = jax.random.split(key)
        params, state = model.init(init_key)
        return TrainState(jnp.zeros((), jnp.int32), params, state, (), key)

    def step(ts, batch, *, mask=None):
        key = jax.random.fold_in(ts.key, ts.step)  # one for the whole solve: fn has one value

        def fn(params):
            return objective.loss(params, ts.state, batch, key=key, mask=mask)[0]

        descent = solve(fn, ts.params)
        info = {"loss": descent.loss_history[-1], "converged": descent.converged}
        return ts._replace(step=ts.step + 1, params=descent.params), info

    def predict(ts, x):
        return objective.predict(ts.params, ts.state, x)

    def evaluate(ts, batch):
        return objective.evaluate(ts.params, ts.state, batch, key=evaluation_key(ts.key))

    return Learner(init, step, predict, evaluate, objective.responses, objective.weighs)


def least_squares_learner(penalty: float | Array = 0.0, *, num_features: int) -> Learner:
    """Ridge regression in closed form as a Learner; train it for one epoch, full batch.

    ``w* = argmin_w 1/N sum_n (y_n - w'x_n - b)^2 + penalty |w|^2`` for x [N, D], y [N], with
    D = ``num_features``; N counts the rows that count. Raises ValueError where y is not one
    response a row. Notes: Eqs. (2)-(4), §1.2, §3.3.

    A study of it over leave-one-out folds is N refits in one program.
    """

    def init(key):
        del key
        return {"kernel": jnp.zeros(num_features), "bias": jnp.zeros(())}

    def step(params, batch, *, mask=None):
        x, y = _pairs(batch)
        new = linear.ridge(x, y, penalty, mask=mask)
        new = jax.tree.map(lambda a, b: a.astype(b.dtype), new, params)
        return new, {"loss": masked_mean(jnp.square(linear.predict(new, x) - y), mask)}

    def evaluate(params, batch):
        x, y = _pairs(batch)
        return {"squared_error": jnp.square(linear.predict(params, x) - y)}

    return Learner(init, step, linear.predict, evaluate, Responses("numbers"))


def perceptron_learner(num_features: int, init_scale: float | Array = 1.0) -> Learner:
    """Rosenblatt's perceptron: correct each mistake, one pair after the other. Notes: §1.7, L303.

    A batch is x [B, D] with labels y [B] in {-1, +1}; its rows are taken in turn, so the engine's
    shuffled epochs visit every pair once. ``w_0, b_0 ~ N(0, init_scale^2)``. The loss is the
    share of the batch that was predicted wrongly when its turn came. Raises ValueError where y is
    not one label a row.
    """

    def init(key):
        init_key, key = jax.random.split(key)
        w = init_scale * jax.random.normal(init_key, (num_features + 1,))
        params = {"kernel": w[:-1], "bias": w[-1]}
        return TrainState(jnp.zeros((), jnp.int32), params, {}, (), key)

    def step(ts, batch, *, mask=None):
        x, y = _pairs(batch)
        rows = jnp.ones(y.shape, bool) if mask is None else mask

        def correct(params, pair):
            x, y, counts = pair
            wrong = counts & (perceptron.predict(params, x) != y)
            new = perceptron.update(params, x, jnp.where(counts, y, 0).astype(x.dtype))
            return jax.tree.map(lambda n, o: jnp.where(counts, n, o), new, params), wrong

        params, wrong = jax.lax.scan(correct, ts.params, (x, y, rows))
        loss = masked_mean(wrong.astype(x.dtype), mask)
        return ts._replace(step=ts.step + 1, params=params), {"loss": loss}

    def predict(ts, x):
        return perceptron.predict(ts.params, x)

    def evaluate(ts, batch):
        x, y = _pairs(batch)
        return {"accuracy": (predict(ts, x) == y).astype(x.dtype)}

    return Learner(init, step, predict, evaluate, Responses("labels", -1, 1))


def _pairs(batch):
    x, y = map(jnp.asarray, pair(batch))
    if x.ndim != 2 or y.shape != x.shape[:1]:
        raise ValueError(f"x must be [B, D] and y [B]; got x {x.shape} and y {y.shape}")
    return x, y
