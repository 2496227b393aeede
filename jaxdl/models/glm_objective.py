"""What a generalised linear model minimises, its curvature, and the units it is minimised in."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.arrays import inner, mean_and_deviation, norm, rows_dot
from jaxdl.base import Array, Family, Params


class Problem(NamedTuple):
    """Rows, a family and a penalty; its weights w [P] or [P, K] are those of the design.

    family: p(y; eta), with eta_n = w'x_n.
    design: [N, P], the features as the solver sees them and, with an offset, a column of ones.
    y: responses, [N] or [N, K].
    weights: [N], of the rows; their sum is 1, and a row of weight 0 does not count.
    centre, scale: [D], what was taken off the features and what they were divided by.
    penalty: [], lambda.
    """

    family: Family
    design: Array
    y: Array
    weights: Array
    centre: Array
    scale: Array
    penalty: float | Array


def build(
    x: Array,
    y: Array,
    weights: Array,
    family: Family,
    *,
    penalty: float | Array,
    intercept: bool,
    standardise: bool,
) -> Problem:
    """The Problem of x [N, D], y [N] or [N, K] and weights [N], whose sum is 1.

    Standardised, each feature has the norm 1 over the weighted rows, and one far from zero the mean
    0 too where there is an offset to take it up.
    """
    centre, scale = jnp.zeros(x.shape[1], x.dtype), jnp.ones(x.shape[1], x.dtype)
    if standardise:
        counts = jnp.broadcast_to(weights[:, None] > 0, x.shape)
        if intercept:
            # Columns near zero stay there: a dummy's is the only one that sees its group.
            mean, deviation = mean_and_deviation(x, counts)
            centre = jnp.where(jnp.abs(mean) > 10 * deviation, mean, 0)
        size = norm((x - centre) * jnp.sqrt(weights)[:, None], axis=0)
        scale = jnp.where(size > 0, size, 1)
        x = jnp.where(counts, (x - centre) / scale, 0)
    design = jnp.concatenate([x, jnp.ones((len(x), 1), x.dtype)], axis=1) if intercept else x
    return Problem(family, design, y, weights, centre, scale, penalty)


def mean_over(problem: Problem, values: Array) -> Array:
    """The mean [] of values [N] over the rows that count."""
    counts = problem.weights > 0
    return jnp.sum(jnp.where(counts, values, 0)) / jnp.maximum(jnp.sum(counts), 1)


def loss(problem: Problem, w: Array) -> Array:
    """``1/N sum_n -log p(y_n; w'x_n)``, [], over the rows that count.

    Raises ValueError where the family gives more than one value a row.
    """
    values = -problem.family.log_prob(rows_dot(problem.design, w), problem.y)
    if values.shape != problem.weights.shape:
        raise ValueError(
            f"log_prob must give one value a row, shape {problem.weights.shape}, but gives "
            f"{values.shape}; sum the outputs with families.independent(family)"
        )
    return mean_over(problem, values)


def regulariser(problem: Problem, w: Array) -> Array:
    """``lambda sum w^2``, [], of the weights in the features' own units, without the offset."""
    return problem.penalty * jnp.sum(jnp.square(_kernel(problem, w)))


def objective(problem: Problem, w: Array) -> Array:
    """The penalised loss, []."""
    return loss(problem, w) + regulariser(problem, w)


def hessian(problem: Problem, w: Array) -> Array:
    """The second derivatives of the objective over the raveled w, [P K, P K]."""
    eta = rows_dot(problem.design, w)
    return penalized(problem, eta_curvature(problem.family, eta, problem.y))


def penalized(problem: Problem, h: Array) -> Array:
    """The curvature of rows' h [N, K, K] and of the penalty over the raveled w, [P K, P K]."""
    offset = problem.design.shape[1] - len(problem.scale)
    each = jnp.pad(1 / jnp.square(problem.scale), (0, offset))
    diagonal = 2 * problem.penalty * jnp.repeat(each, h.shape[-1])
    return weighted(problem, h) + jnp.diag(diagonal)


def weighted(problem: Problem, h: Array) -> Array:
    """The curvature of the loss over the raveled w, [P K, P K], from rows' h [N, K, K]."""
    return curvature(problem.design, h * problem.weights[:, None, None])


def eta_curvature(family: Family, eta: Array, y: Array) -> Array:
    """The second derivatives of ``-log p(y_n; eta_n)`` in eta_n, [N, K, K].

    eta [N, K], or [N] for K = 1. The rows do not interact, so K derivatives along an axis suffice.
    """
    score = jax.grad(lambda e: -jnp.sum(family.log_prob(e, y)))
    k = 1 if eta.ndim == 1 else eta.shape[1]
    along = jnp.broadcast_to(jnp.eye(k, dtype=eta.dtype)[:, None, :], (k, eta.shape[0], k))
    derivative = lambda e: jax.jvp(score, (eta,), (e.reshape(eta.shape),))[1]
    return jnp.moveaxis(jax.vmap(derivative)(along).reshape(k, -1, k), 0, 2)


def curvature(design: Array, h: Array) -> Array:
    """``sum_n h_n (x) x_n x_n'`` [P K, P K] over the raveled w [P, K].

    design is [N, P], and h [N, K, K] the symmetric curvature of each row; so each pair of outputs
    is multiplied once.
    """
    (width, k), (first, second) = (design.shape[1], h.shape[1]), np.triu_indices(h.shape[1])
    product = lambda row: inner(design * row[:, None], design)
    pairs = jax.lax.map(product, h[:, first, second].T)
    place = np.zeros((k, k), int)
    place[first, second] = place[second, first] = np.arange(len(first))
    return pairs[place].transpose(2, 0, 3, 1).reshape(width * k, width * k)


def to_params(problem: Problem, w: Array) -> Params:
    """``{"kernel": [D, ...], "bias": [...]}`` in the features' own units; ``bias`` with an offset."""
    kernel = _kernel(problem, w)
    features = len(problem.scale)
    if len(w) == features:
        return {"kernel": kernel}
    return {"kernel": kernel, "bias": w[features] - jnp.tensordot(problem.centre, kernel, 1)}


def _kernel(problem, w):
    return w[: len(problem.scale)] / problem.scale.reshape(-1, *(1,) * (w.ndim - 1))
