"""Gradient descent on any differentiable function of a pytree. Notes: §1.6, Eq. (16)."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxdl.arrays import floating, tree_norm
from jaxdl.base import Array, Params
from jaxdl.optim.composition import scale_by_learning_rate, step_size_at


class Descent(NamedTuple):
    """Where a descent ended, and how it went.

    params: the last iterate z_T, a pytree.
    converged: [] bool, whether the gradient norm fell below the tolerance.
    steps: [] int32, T, the number of steps taken; T = max_steps where it was cut short.
    grad_norm_history: [max_steps + 1], |phi'(z_t)|; the value at T is held from T on.
    loss_history: [max_steps + 1], phi(z_t), held likewise.
    iterates: z_t with a leading axis of max_steps + 1 (held likewise), or None.
    """

    params: Params
    converged: Array
    steps: Array
    grad_norm_history: Array
    loss_history: Array
    iterates: Params | None = None


def _descend(params, grad, alpha):
    return jax.tree.map(lambda z, g: z - jnp.asarray(alpha, g.dtype) * g, params, grad)


def hold_last(history: Array, steps: Array) -> Array:
    """A history [max_steps + 1, ...] whose entries after ``steps`` repeat the one at ``steps``.

    >>> hold_last(jnp.array([3.0, 2.0, 0.0, 0.0]), jnp.asarray(1)).tolist()
    [3.0, 2.0, 2.0, 2.0]
    """
    return history[jnp.minimum(jnp.arange(history.shape[0]), steps)]


def minimize(
    fn: Callable,
    params: Params,
    *,
    step_size: float | Array | Callable,
    max_steps: int,
    tolerance: float | Array = 1e-4,
    record: bool = False,
) -> Descent:
    """Walk down the steepest descent until the gradient has nearly vanished.

    ``z_{t+1} = z_t - alpha_t phi'(z_t)``, until ``|phi'(z_t)| < tolerance`` or t = max_steps.
    Notes: L262, §1.6, Eqs. (14), (16), (24); with the gradient in the shape of z.

    A small gradient says that z is close to a critical point, not that the model predicts well,
    nor that the point is a minimum: look at ``loss_history`` and ``classify_critical_point`` too.

    Args:
      fn: phi, ``(params) -> []``.
      params: z_0, any pytree of floating arrays.
      step_size: alpha, a number (traced or not) or a schedule ``step -> alpha``.
      max_steps: the bound on T, static.
      tolerance: the gradient norm below which the descent stops; 0 never stops it early.
      record: keep every iterate. The loop is then a scan over max_steps, which can itself be
        differentiated in reverse mode; else it is a while loop, which ends at T.

    Returns:
      A Descent. A gradient that is not finite ends the descent with ``converged`` False.

    >>> descent = minimize(lambda z: (z - 3.0) ** 2, 0.0, step_size=0.25, max_steps=50)
    >>> round(float(descent.params), 3), bool(descent.converged), int(descent.steps)
    (3.0, True, 16)
    """
    if max_steps < 0:
        raise ValueError(f"max_steps must be at least 0, got {max_steps}")
    params = jax.tree.map(floating, params)
    value_and_grad = jax.value_and_grad(fn)

    def measure(z):
        loss, grad = value_and_grad(z)
        return loss, grad, tree_norm(grad)

    goes_on = lambda norm: (norm >= tolerance) & jnp.isfinite(norm)
    run = _scan if record else _while
    z, norm, steps, norms, losses, iterates = run(measure, goes_on, params, step_size, max_steps)
    return Descent(z, norm < tolerance, steps, norms, losses, iterates)


def _while(measure, goes_on, z, step_size, max_steps):
    loss, grad, norm = measure(z)
    losses = jnp.full(max_steps + 1, loss)
    norms = jnp.full(max_steps + 1, norm)

    def cond(carry):
        t, _, _, norm, _, _ = carry
        return (t < max_steps) & goes_on(norm)

    def body(carry):
        t, z, grad, _, norms, losses = carry
        z = _descend(z, grad, step_size_at(step_size, t))
        loss, grad, norm = measure(z)
        t = t + 1
        return t, z, grad, norm, norms.at[t].set(norm), losses.at[t].set(loss)

    start = jnp.zeros([], jnp.int32), z, grad, norm, norms, losses
    t, z, _, norm, norms, losses = jax.lax.while_loop(cond, body, start)
    return z, norm, t, hold_last(norms, t), hold_last(losses, t), None


def _scan(measure, goes_on, z, step_size, max_steps):
    def body(carry, t):
        z, loss, grad, norm, steps = carry
        active = goes_on(norm)
        moved = _descend(z, grad, step_size_at(step_size, t))
        z = jax.tree.map(lambda new, old: jnp.where(active, new, old), moved, z)
        loss, grad, norm = measure(z)
        return (z, loss, grad, norm, steps + active), (z, norm, loss)

    loss, grad, norm = measure(z)
    start = z, loss, grad, norm, jnp.zeros([], jnp.int32)
    (last, _, _, end_norm, steps), trace = jax.lax.scan(body, start, jnp.arange(max_steps))
    iterates, norms, losses = jax.tree.map(
        lambda first, rest: jnp.concatenate([first[None], rest]), (z, norm, loss), trace
    )
    return last, end_norm, steps, norms, losses, iterates


def gradient_descent(learning_rate: float | Array | Callable) -> optax.GradientTransformation:
    """Gradient descent as an optax transformation: the update is ``-alpha_t g_t``.

    ``learning_rate`` is alpha, a number (traced or not) or a schedule ``step -> alpha``; updates
    have the shapes and dtypes of the gradients g_t. Notes: L262, Eqs. (14), (16), (24).

    >>> steps = gradient_descent(0.5)
    >>> steps.update(jnp.array([3.0, -1.0]), steps.init(jnp.zeros(2)))[0].tolist()
    [-1.5, 0.5]
    """
    return scale_by_learning_rate(learning_rate)
