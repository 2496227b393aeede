"""How a generalised linear model is minimised: the solvers by name, with their bounds."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax.numpy as jnp

from jaxdl.base import Array
from jaxdl.models import glm_objective
from jaxdl.models.glm_objective import Problem
from jaxdl.models.irls import irls
from jaxdl.optim.gradient_descent import Descent, minimize
from jaxdl.optim.newton import newton


class Solver(NamedTuple):
    """A way down, and where it ends unless it is told.

    solve: ``(problem, start, step_size, max_steps, tolerance) -> Descent``.
    max_steps: the bound on its steps.
    tolerance, tolerance_x64: on the gradient norm, in float32 and in float64.
    standardise: whether it goes by standardised features. Newton's method and reweighted least
        squares do not depend on units, but their rounding does. Gradient descent does depend on
        them, and goes the way of the features as they are.
    """

    solve: Callable
    max_steps: int
    tolerance: float
    tolerance_x64: float
    standardise: bool


def _by_newton(problem, start, step_size, max_steps, tolerance):
    return newton(
        partial(glm_objective.objective, problem),
        start,
        hessian=partial(glm_objective.hessian, problem),
        max_steps=max_steps,
        tolerance=tolerance,
    )


def _by_irls(problem, start, step_size, max_steps, tolerance):
    return irls(problem, start, max_steps=max_steps, tolerance=tolerance)


def _by_gradient(problem, start, step_size, max_steps, tolerance):
    if step_size is None:
        step_size = 1 / jnp.linalg.eigvalsh(glm_objective.hessian(problem, start))[-1]
    return minimize(
        partial(glm_objective.objective, problem),
        start,
        step_size=step_size,
        max_steps=max_steps,
        tolerance=tolerance,
    )


SOLVERS = {
    "newton": Solver(_by_newton, 100, 1e-6, 1e-8, standardise=True),
    "irls": Solver(
        _by_irls, 300, 1e-5, 1e-8, standardise=True
    ),  # whose residuals are close to the floor
    "gradient": Solver(_by_gradient, 5000, 1e-4, 1e-4, standardise=False),
}


def solve(
    method: str,
    problem: Problem,
    start: Array,
    *,
    step_size: float | Array | Callable | None = None,
    max_steps: int | None = None,
    tolerance: float | Array | None = None,
) -> Descent:
    """Minimise the objective of a problem from w = ``start`` [P] or [P, K] by one of SOLVERS.

    ``step_size`` is that of "gradient"; None is one over the largest curvature at the start.
    ``max_steps`` and ``tolerance`` are the solver's own where they are None.
    """
    solver = SOLVERS[method]
    if tolerance is None:
        long = jnp.finfo(start.dtype).bits == 64
        tolerance = solver.tolerance_x64 if long else solver.tolerance
    max_steps = solver.max_steps if max_steps is None else max_steps
    return solver.solve(problem, start, step_size, max_steps, tolerance)
