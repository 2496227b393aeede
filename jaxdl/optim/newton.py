"""Damped Newton's method: the reference solver for what has few parameters, GLMs above all."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from jaxdl.arrays import dot, floating, tree_norm
from jaxdl.base import Array, Params
from jaxdl.optim.gradient_descent import Descent, hold_last

ARMIJO = 1e-4  # the fraction of the promised decrease that a step must keep


def newton_direction(hessian: Array, grad: Array) -> Array:
    """``-|H|^{-1} g``: Newton's direction [D], downhill whatever the signs of the curvature.

    H [D, D] is first scaled by its diagonal, so that units of measurement do not matter; ``|H|``
    has its eigenvectors and the absolute values of its eigenvalues (Dauphin et al. 2014). Flat
    directions, whose eigenvalues vanish to rounding, get a plain gradient step: a singular H takes
    nothing to infinity.
    """
    eps = jnp.finfo(hessian.dtype).eps
    scale = jnp.maximum(jnp.diagonal(hessian), eps * jnp.max(jnp.abs(hessian), axis=1))
    root = jnp.sqrt(jnp.where(scale > 0, scale, 1))
    h, basis = jnp.linalg.eigh(hessian / root / root[:, None])
    h = jnp.abs(h)
    flat = h <= h.shape[0] * eps * jnp.max(h)
    return -dot(basis, dot(basis.T, grad / root) / jnp.where(flat, 1, h)) / root


def newton(
    fn: Callable,
    params: Params,
    *,
    hessian: Callable | None = None,
    max_steps: int = 100,
    tolerance: float | Array = 1e-4,
    max_halvings: int = 30,
) -> Descent:
    """Minimise by Newton steps, each halved until it goes down enough.

    ``z_{t+1} = z_t - s |phi''(z_t)|^{-1} phi'(z_t)`` with the first s in 1, 1/2, 1/4, ... for which
    ``phi(z_{t+1}) <= phi(z_t) + 1e-4 s phi'(z_t) d`` (Armijo 1966). Nocedal & Wright 2006, ch. 3.

    Both loops are bounded, so members of a population can be mapped or vmapped; not
    differentiable in reverse mode.

    Args:
      fn: phi, ``(params) -> []``.
      params: z_0, a pytree of D entries in all.
      hessian: ``(params) -> [D, D]`` over the raveled parameters; any positive definite curvature
        will do. None differentiates phi twice.
      max_steps: the bound on the number of steps, static.
      tolerance: the gradient norm below which it stops.
      max_halvings: the bound on the halvings of one step, static.

    Returns:
      A Descent without iterates. It has converged where the gradient norm is below the tolerance,
      or where no step makes it or the loss smaller and what a step still promises is lost in the
      loss's rounding.

    >>> descent = newton(lambda z: jnp.cosh(z - 2.0), jnp.zeros(()))
    >>> round(float(descent.params), 4), bool(descent.converged)
    (2.0, True)
    """
    start, unravel = ravel_pytree(jax.tree.map(floating, params))
    phi = lambda v: fn(unravel(v))
    value_and_grad = jax.value_and_grad(phi)
    curvature = jax.hessian(phi) if hessian is None else lambda v: hessian(unravel(v))
    eps = jnp.finfo(start.dtype).eps

    def search(z, loss, grad, direction):
        slope = jnp.vdot(grad, direction)
        norm = tree_norm(grad)

        def accepts(s, new_loss, new_grad):
            down = (new_loss < loss) & (new_loss <= loss + ARMIJO * s * slope)
            # near the minimum the decrease drowns in rounding, but the gradient still tells
            level = new_loss <= loss + 8 * eps * (1 + jnp.abs(loss))
            better = down | (level & (tree_norm(new_grad) < norm))
            return better & jnp.isfinite(new_loss) & jnp.all(jnp.isfinite(new_grad))

        def cond(carry):
            halvings, _, _, _, accepted = carry
            return ~accepted & (halvings < max_halvings)

        def trial(carry):
            halvings = carry[0] + 1
            s = jnp.exp2(-halvings.astype(z.dtype))
            new = z + s * direction
            new_loss, new_grad = value_and_grad(new)
            return halvings, new, new_loss, new_grad, accepts(s, new_loss, new_grad)

        start = jnp.full([], -1, jnp.int32), z, loss, grad, jnp.zeros([], bool)
        _, new, new_loss, new_grad, accepted = jax.lax.while_loop(cond, trial, start)
        return new, new_loss, new_grad, accepted, -slope

    def cond(carry):
        t, _, _, grad, stalled, _, _, _ = carry
        norm = tree_norm(grad)
        return (t < max_steps) & (norm >= tolerance) & ~stalled & jnp.isfinite(norm)

    def body(carry):
        t, z, loss, grad, _, _, norms, losses = carry
        direction = newton_direction(curvature(z), grad)
        # an eigenvalue solver that gave up leaves no numbers: then the steepest descent
        usable = jnp.all(jnp.isfinite(direction)) & (jnp.vdot(grad, direction) < 0)
        direction = jnp.where(usable, direction, -grad)
        new, new_loss, new_grad, accepted, promised = search(z, loss, grad, direction)
        keep = lambda a, b: jnp.where(accepted, a, b)
        z, loss, grad = keep(new, z), keep(new_loss, loss), keep(new_grad, grad)
        t = t + accepted
        norms = norms.at[t].set(tree_norm(grad))
        return t, z, loss, grad, ~accepted, promised, norms, losses.at[t].set(loss)

    loss, grad = value_and_grad(start)
    norms = jnp.full(max_steps + 1, tree_norm(grad))
    carry = (jnp.zeros([], jnp.int32), start, loss, grad, jnp.zeros([], bool))
    carry = (*carry, jnp.full_like(loss, jnp.inf), norms, jnp.full(max_steps + 1, loss))
    t, z, loss, grad, stalled, promised, norms, losses = jax.lax.while_loop(cond, body, carry)
    exhausted = stalled & (promised <= 8 * eps * (1 + jnp.abs(loss)))
    converged = (tree_norm(grad) < tolerance) | exhausted
    return Descent(unravel(z), converged, t, hold_last(norms, t), hold_last(losses, t))
