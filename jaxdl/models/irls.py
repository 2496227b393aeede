"""Iteratively reweighted least squares for location families, kinked ones included."""

from functools import partial

import jax
import jax.numpy as jnp

from jaxdl.arrays import inner, rows_dot, tree_norm
from jaxdl.base import Array, Family
from jaxdl.models import glm_objective
from jaxdl.models.glm_objective import Problem
from jaxdl.optim.gradient_descent import Descent, hold_last
from jaxdl.optim.newton import newton_direction


def location_weights(
    family: Family, eta: Array, y: Array, floor: float | Array
) -> tuple[Array, Array]:
    """The weights ``omega = (d -log p / d eta) / (eta - y)`` of location families, and residuals.

    ``omega (eta - y)^2 / 2`` is a parabola that touches -log p at the residual and lies above it:
    omega is 1/scale^2 for a normal, ``(df + 1) / (df scale^2 + r^2)`` for Student's t,
    ``1 / (scale |r|)`` for Laplace. Residuals count as at least ``floor``.

    eta and y [N] or [N, K]; anything else raises ValueError. Lange, Little & Taylor 1989.
    """
    if eta.shape != y.shape:
        raise ValueError(f"irls needs one location a response: eta {eta.shape}, y {y.shape}")
    residual = eta - y
    apart = jnp.where(residual < 0, -1, 1) * jnp.maximum(jnp.abs(residual), floor)
    score = jax.grad(lambda e: -jnp.sum(family.log_prob(e, y)))(y + apart)
    return jnp.maximum(score / apart, 0), residual


def irls(problem: Problem, start: Array, *, max_steps: int, tolerance: float | Array) -> Descent:
    """Weighted least squares, again and again with new weights.

    Each step minimises the sum of the parabolas of ``location_weights``. Their floor on residuals
    is the mean of |y| at first and 0.8 of itself after each step, down to the square root of the
    dtype's resolution times that mean; from a fixed floor a Laplace fit would stick at the first
    rows that it meets exactly (Daubechies, DeVore, Fornasier & Gunturk 2010). Gradient norms are
    those of the loss rounded off below the floor.

    Args:
      problem: what is minimised, of N rows.
      start: w_0, [P] or [P, K].
      max_steps, tolerance: it has converged where the gradient norm is below the tolerance at the
        last floor.
    """
    family, design, weights = problem.family, problem.design, problem.weights
    y = problem.y.astype(design.dtype)
    per_row = lambda a: a.reshape(len(y), -1)
    spread = jnp.vdot(weights, jnp.mean(jnp.abs(per_row(y)), axis=1))
    last = jnp.sqrt(jnp.finfo(y.dtype).eps) * jnp.where(spread > 0, spread, 1)

    objective = partial(glm_objective.objective, problem)

    def measure(w, floor):
        omega, residual = location_weights(family, rows_dot(design, w), y, floor)
        pull = per_row(omega * residual) * weights[:, None]
        grad = inner(design, pull).reshape(w.shape) + jax.grad(
            partial(glm_objective.regulariser, problem)
        )(w)
        return omega, grad, tree_norm(grad)

    def cond(carry):
        t, _, floor, _, _, norm, _, _ = carry
        return (t < max_steps) & ((norm >= tolerance) | (floor > last)) & jnp.isfinite(norm)

    def body(carry):
        t, w, floor, omega, grad, _, norms, losses = carry
        h = per_row(omega)[:, :, None] * jnp.eye(omega.size // len(y), dtype=y.dtype)
        w = w + newton_direction(glm_objective.penalized(problem, h), grad.ravel()).reshape(w.shape)
        t, floor = t + 1, jnp.maximum(0.8 * floor, last)
        omega, grad, norm = measure(w, floor)
        return t, w, floor, omega, grad, norm, norms.at[t].set(norm), losses.at[t].set(objective(w))

    w = start
    floor = jnp.maximum(spread, last)
    omega, grad, norm = measure(w, floor)
    norms = jnp.full(max_steps + 1, norm)
    losses = jnp.full(max_steps + 1, objective(w))
    carry = jnp.zeros([], jnp.int32), w, floor, omega, grad, norm, norms, losses
    t, w, floor, _, _, norm, norms, losses = jax.lax.while_loop(cond, body, carry)
    converged = (norm < tolerance) & (floor <= last)
    return Descent(w, converged, t, hold_last(norms, t), hold_last(losses, t))
