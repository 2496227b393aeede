"""Limited-memory BFGS: the solver for smooth losses of many parameters on all of the data."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from jaxdl.arrays import tree_norm
from jaxdl.base import Array, Params
from jaxdl.optim.gradient_descent import Descent, hold_last

DECREASE, CURVATURE = 1e-4, 0.9  # of the slope: Wolfe's two conditions


def wolfe_search(
    value_and_grad: Callable,
    params: Params,
    loss: Array,
    grad: Params,
    direction: Params,
    step_size: float | Array,
    max_trials: int = 20,
) -> tuple[Params, Array, Params, Array]:
    """A step along a direction that goes down enough and not too short, by bisection.

    The first s of a sequence from ``step_size`` on with ``phi(z + s d) <= phi(z) + c1 s phi'(z)d``
    and ``phi'(z + s d)d >= c2 phi'(z)d``: too long a step halves its bracket, too short a one
    doubles. Where the decrease drowns in rounding, slopes decide: ``phi'(z + s d)d <= (2 c1 - 1)
    phi'(z)d``. Sources: Lewis and Overton (2013); Hager and Zhang (2005).

    Args:
      value_and_grad: of phi at z.
      params, loss, grad: z, phi(z) [] and its gradient.
      direction: d, downhill.
      step_size: the first s.
      max_trials: static.

    Returns:
      The new params, loss and gradient, and whether any step was accepted, []; else the old ones.
    """
    slope = jnp.asarray(optax.tree.vdot(grad, direction))
    level = loss + 8 * jnp.finfo(loss.dtype).eps * (1 + jnp.abs(loss))

    def cond(carry):
        trial, _, _, _, _, _, _, accepted = carry
        return ~accepted & (trial < max_trials)

    def body(carry):
        trial, low, high, s, _, _, _, _ = carry
        new = jax.tree.map(lambda z, d: z + s.astype(z.dtype) * d, params, direction)
        new_loss, new_grad = value_and_grad(new)
        new_slope = jnp.asarray(optax.tree.vdot(new_grad, direction))
        rounded = (new_loss <= level) & (new_slope <= (2 * DECREASE - 1) * slope)
        down = (new_loss <= loss + DECREASE * s * slope) | rounded
        down &= jnp.isfinite(new_slope)
        far = new_slope >= CURVATURE * slope
        low, high = jnp.where(down, s, low), jnp.where(down, high, s)
        s = jnp.where(jnp.isfinite(high), (low + high) / 2, 2 * s)
        return trial + 1, low, high, s, new, new_loss, new_grad, down & far

    zero = jnp.zeros_like(loss)
    first = jnp.asarray(step_size, loss.dtype)
    start = (0, zero, zero + jnp.inf, first, params, loss, grad, jnp.zeros([], bool))
    *_, new, new_loss, new_grad, accepted = jax.lax.while_loop(cond, body, start)
    keep = lambda new, old: jax.tree.map(lambda a, b: jnp.where(accepted, a, b), new, old)
    return keep(new, params), keep(new_loss, loss), keep(new_grad, grad), accepted


def lbfgs(
    fn: Callable,
    params: Params,
    *,
    max_steps: int = 500,
    tolerance: float | Array = 1e-4,
    memory_size: int = 10,
) -> Descent:
    """Minimise a smooth function with curvature learned from the last few gradients.

    ``z_{t+1} = z_t - s H_t phi'(z_t)``, where H_t is built from the last ``memory_size``
    differences of iterates and gradients and s is from ``wolfe_search``. Source: Liu and Nocedal
    (1989); H_t is optax's.

    Its loops are bounded but of a length that depends on the data, so members of a population are
    best mapped (``jax.lax.map``) rather than vmapped, as ``cross_validate`` does by itself. Not
    differentiable in reverse mode.

    Args:
      fn: phi, ``(params) -> []``.
      params: z_0, a pytree of floating-point arrays.
      max_steps: the bound on the number of steps, static.
      tolerance: the gradient norm below which it stops.
      memory_size: differences that are kept, static.

    Returns:
      A Descent without iterates. It also stops, unconverged, where no step goes down any more.

    >>> descent = lbfgs(lambda z: jnp.sum(jnp.cosh(z - 2.0)), jnp.zeros(3))
    >>> descent.params.round(3).tolist(), bool(descent.converged)
    ([2.0, 2.0, 2.0], True)
    """
    method = optax.scale_by_lbfgs(memory_size=memory_size, scale_init_precond=True)
    value_and_grad = jax.value_and_grad(fn)

    def cond(carry):
        t, _, _, _, _, stalled, norms, _ = carry
        return (t < max_steps) & (norms[t] >= tolerance) & ~stalled

    def body(carry):
        t, z, state, loss, grad, _, norms, losses = carry
        uphill, state = method.update(
            jax.tree.map(lambda g: g / unit.astype(g.dtype), grad), state, z
        )
        direction = jax.tree.map(jnp.negative, uphill)
        z, loss, grad, accepted = wolfe_search(value_and_grad, z, loss, grad, direction, 1.0)
        t = t + accepted
        norms = norms.at[t].set(tree_norm(grad))
        return t, z, state, loss, grad, ~accepted, norms, losses.at[t].set(loss)

    loss, grad = value_and_grad(params)
    norm = tree_norm(grad)
    # H_t phi' does not depend on phi's unit, but the squares of gradients in it can overflow.
    unit = jnp.maximum(norm / 1e15, 1)
    norms = jnp.full(max_steps + 1, norm)
    losses = jnp.full(max_steps + 1, loss)
    stalled = ~jnp.isfinite(loss)
    carry = (
        jnp.zeros([], jnp.int32),
        params,
        method.init(params),
        loss,
        grad,
        stalled,
        norms,
        losses,
    )
    t, z, _, _, _, _, norms, losses = jax.lax.while_loop(cond, body, carry)
    return Descent(z, norms[t] < tolerance, t, hold_last(norms, t), hold_last(losses, t))
