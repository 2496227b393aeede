"""Generalised linear models: any family, fitted by Newton's method or by gradient descent.

The mean is ``E[y|x] = g^{-1}(w'x)``; ``w`` minimises the mean negative log-likelihood plus
``lambda sum w^2``. Notes: §1.4, Eqs. (11), (15), (17); McCullagh & Nelder 1989.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax.numpy as jnp

from jaxdl.arrays import dot, rows_dot
from jaxdl.base import Array, Family, Params
from jaxdl.checks import check_responses, one_of
from jaxdl.models import glm_objective
from jaxdl.models.glm_solvers import SOLVERS, solve
from jaxdl.models.linear import predict, weighted_rows


class GLMFit(NamedTuple):
    """A fitted generalised linear model and how far it is to be trusted.

    params: ``{"kernel": w, "bias": b}``; w [D] or [D, K], b [] or [K]; without offset no ``bias``.
    converged: [] bool, whether the gradient has vanished, as the method means it: see loss, scores
        and separable too.
    steps: [] int32, steps taken.
    grad_norm_history: [max_steps + 1], gradient norms; the last one is held to the end. Those of
        Newton and irls are of the weights of standardised features: units do not matter.
    loss_history: [max_steps + 1], the penalised loss, held likewise.
    loss: [], the mean negative log-likelihood at params, in nats.
    penalty: [], lambda sum w^2 at params.
    scores: {name: []}, the means of the family's scores, e.g. accuracy.
    separable: [] bool, whether the unpenalised likelihood has no finite maximum: with larger weights
        the fit predicts every label for certain, or (by Newton) some weights have run off to where
        nothing is left to gain and going on costs nothing.
    """

    params: Params
    converged: Array
    steps: Array
    grad_norm_history: Array
    loss_history: Array
    loss: Array
    penalty: Array
    scores: dict[str, Array]
    separable: Array


def predict_mean(w: Params, x: Array, family: Family) -> Array:
    """The mean response ``E[y|x] = g^{-1}(w'x)``.

    w and x as in ``linear.predict``: w [] and x [...] (Eq. 11), w [D] and x [..., D] (Eq. 15), or w
    [D, K] (Eq. 17), in which each column is a linear model of its own; or a dict with offsets.
    """
    return family.mean(predict(w, x))


def fit(
    x: Array,
    y: Array,
    family: Family,
    *,
    method: str = "newton",
    penalty: float | Array = 0.0,
    intercept: bool = True,
    num_outputs: int | None = None,
    mask: Array | None = None,
    step_size: float | Array | Callable | None = None,
    max_steps: int | None = None,
    tolerance: float | Array | None = None,
) -> GLMFit:
    """Maximum likelihood for ``E[y|x] = g^{-1}(w'x + b)``, from w = 0.

    ``w* = argmin 1/N sum_n -log p(y_n; w'x_n + b) + lambda sum w^2``; the offset b is exempt. Both
    methods are bounded loops; map them over a population (``jax.lax.map``) rather than vmap them,
    which makes every member wait for the slowest. Notes: Eqs. (9), (11), (14), (16), §3.3.

    Args:
      x: features [N, D].
      y: responses [N], or [N, K] for K outputs.
      family: p(y; eta); of K responses each, ``families.independent(family)``.
      method: "newton", with line search; "irls", reweighted least squares where eta is y's location
        (normal, Student-t, and Laplace, whose absolute error has no curvature for Newton to use);
        or "gradient".
      penalty: lambda, traced or not. For the sum of -log p plus |w|^2 / (2 C), 1 / (2 C N).
      intercept: whether there is an offset b.
      num_outputs: K of eta [N, K] where it is not y's: the classes of integer labels, 2 for a
        heteroskedastic normal. None gives eta the shape of y.
      mask: the rows that count, [N].
      step_size: of "gradient", a number or a schedule; None is one over the largest curvature at
        w = 0, which is safe for logistic, softmax and normal regression.
      max_steps: static; None is 100 for "newton", 300 for "irls" and 5000 for "gradient".
      tolerance: on the gradient norm; None is 1e-4 for "gradient", else 1e-8 (float32: 1e-6, and
        1e-5 for "irls").

    Raises:
      ValueError: for shapes that do not fit, an unknown method, and a y that counts and is none of
        the family's ``responses`` (unless y is traced).

    >>> from jaxdl import families
    >>> x, y = jnp.array([[0.0], [0.0], [1.0], [1.0]]), jnp.array([0, 1, 1, 1])
    >>> result = fit(x, y, families.bernoulli())
    >>> round(float(predict_mean(result.params, x, families.bernoulli())[0]), 3)
    0.5
    >>> bool(result.separable)  # where x = 1 every y is 1: the slope runs off to infinity
    True
    """
    one_of("method", method, SOLVERS)
    x, y, weights = weighted_rows(x, y, mask)
    check_responses(y, family.responses)
    problem = glm_objective.build(
        x,
        y,
        weights,
        family,
        penalty=penalty,
        intercept=intercept,
        standardise=SOLVERS[method].standardise,
    )
    shape = (problem.design.shape[1], *(y.shape[1:] if num_outputs is None else (num_outputs,)))
    # Zeros that XLA does not know to be constant: see programs.compiler_options.
    start = 0.0 * jnp.arange(math.prod(shape), dtype=x.dtype).reshape(shape)
    descent = solve(
        method, problem, start, step_size=step_size, max_steps=max_steps, tolerance=tolerance
    )
    w = descent.params
    eta = rows_dot(problem.design, w)
    return GLMFit(
        params=glm_objective.to_params(problem, w),
        converged=descent.converged,
        steps=descent.steps,
        grad_norm_history=descent.grad_norm_history,
        loss_history=descent.loss_history,
        loss=glm_objective.loss(problem, w),
        penalty=glm_objective.regulariser(problem, w),
        scores=_scores(problem, eta),
        separable=_is_certain(problem, eta) | (method == "newton" and _runs_off(problem, w, eta)),
    )


def _scores(problem, eta):
    scores = problem.family.scores(eta, problem.y)
    each = {name: v.reshape(len(v), -1).mean(axis=1) for name, v in scores.items()}
    return {name: glm_objective.mean_over(problem, v) for name, v in each.items()}


def _is_certain(problem, eta):
    """Whether larger weights would predict each response that counts for certain [] bool."""
    log_prob = problem.family.log_prob(1e6 * eta, problem.y)
    return jnp.all((log_prob > -1e-3) | (problem.weights == 0))


def _runs_off(problem, w, eta):
    """Whether weights [P, ...] have run off along directions without curvature [] bool.

    w is split by the eigenvectors of the curvature of the loss. Along the part without any it came
    from 0 to where it is: back there the loss is higher, as far again it is not.
    """
    loss = partial(glm_objective.loss, problem)
    here = loss(w)
    rows = glm_objective.eta_curvature(problem.family, eta, problem.y)
    h, basis = jnp.linalg.eigh(glm_objective.weighted(problem, rows))
    low = jnp.where(jnp.abs(h) < 1e-3 * jnp.minimum(jnp.max(h), 1), 1, 0)
    part = dot(basis, low * dot(basis.T, w.ravel())).reshape(w.shape)
    rounding = 8 * jnp.finfo(w.dtype).eps * (1 + jnp.abs(here))
    return (loss(w + part) <= here + rounding) & (loss(w - part) > here + 10 * rounding)
