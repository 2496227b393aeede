"""Generalised linear models: any family, fitted by Newton's method or by gradient descent.

The mean is ``E[y|x] = g^{-1}(w'x)``; ``w`` minimises the mean negative log-likelihood plus
``lambda sum w^2``. Notes: §1.4, Eqs. (11), (15), (17); McCullagh & Nelder 1989.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.arrays import dot, inner, mean_and_deviation, norm, rows_dot
from jaxdl.base import Array, Family, Params
from jaxdl.checks import check_responses, one_of
from jaxdl.models.irls import irls
from jaxdl.models.linear import predict, weighted_rows
from jaxdl.optim.gradient_descent import minimize
from jaxdl.optim.newton import newton

METHODS = {"newton": 100, "irls": 300, "gradient": 5000}  # and their default max_steps


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
    one_of("method", method, METHODS)
    x, y, weights = weighted_rows(x, y, mask)
    check_responses(y, family.responses)
    outputs = y.shape[1:] if num_outputs is None else (num_outputs,)
    features = x.shape[1]
    counts = weights > 0
    mean = lambda values: jnp.sum(jnp.where(counts, values, 0)) / jnp.maximum(jnp.sum(counts), 1)
    x, centre, scale = _standardised(x, weights, intercept, method)
    design = jnp.concatenate([x, jnp.ones((len(x), 1), x.dtype)], axis=1) if intercept else x
    shape = (design.shape[1], *outputs)
    each = jnp.pad(1 / jnp.square(scale), (0, shape[0] - features))  # of the penalty
    unscaled = lambda w: w[:features] / scale.reshape(-1, *(1,) * (w.ndim - 1))
    regulariser = lambda w: penalty * jnp.sum(jnp.square(unscaled(w)))

    def nll(w):
        values = -family.log_prob(rows_dot(design, w), y)
        if values.shape != weights.shape:
            raise ValueError(
                f"log_prob must give one value a row, shape {weights.shape}, but gives "
                f"{values.shape}; sum the outputs with families.independent(family)"
            )
        return mean(values)

    def assemble(h, penalty=penalty):
        """The penalised curvature over the raveled w, from that of each row, [N, K, K]."""
        diagonal = 2 * penalty * jnp.repeat(each, h.shape[-1])
        return curvature(design, h * weights[:, None, None]) + jnp.diag(diagonal)

    hessian = lambda w: assemble(eta_curvature(family, rows_dot(design, w), y))
    objective = lambda w: nll(w) + regulariser(w)
    # Zeros that XLA does not know to be constant: see programs.compiler_options.
    start = 0.0 * jnp.arange(math.prod(shape), dtype=x.dtype).reshape(shape)
    if tolerance is None:
        short = 1e-5 if method == "irls" else 1e-6  # of residuals close to the floor
        tight = 1e-8 if jnp.finfo(x.dtype).bits == 64 else short
        tolerance = 1e-4 if method == "gradient" else tight
    steps = METHODS[method] if max_steps is None else max_steps
    if method == "newton":
        descent = newton(objective, start, hessian=hessian, max_steps=steps, tolerance=tolerance)
    elif method == "irls":
        descent = irls(
            family,
            start,
            design,
            y,
            weights,
            assemble=assemble,
            objective=objective,
            regulariser=regulariser,
            max_steps=steps,
            tolerance=tolerance,
        )
    else:
        if step_size is None:
            step_size = 1 / jnp.linalg.eigvalsh(hessian(start))[-1]
        descent = minimize(
            objective, start, step_size=step_size, max_steps=steps, tolerance=tolerance
        )
    w = descent.params
    eta = rows_dot(design, w)
    scores = {name: mean(_per_row(v)) for name, v in family.scores(eta, y).items()}
    separable = jnp.all((family.log_prob(1e6 * eta, y) > -1e-3) | ~counts)
    if method == "newton":
        separable |= _runs_off(nll, w, assemble(eta_curvature(family, eta, y), 0.0))
    params = {"kernel": unscaled(w)}
    if intercept:
        params["bias"] = w[features] - jnp.tensordot(centre, params["kernel"], 1)
    return GLMFit(
        params,
        descent.converged,
        descent.steps,
        descent.grad_norm_history,
        descent.loss_history,
        nll(w),
        regulariser(w),
        scores,
        separable,
    )


def _standardised(x, weights, intercept, method):
    """x [N, D] as its solver sees it, with what was taken off and divided by, [D] each.

    Newton's method and reweighted least squares do not depend on units, but their rounding does.
    Gradient descent does depend on them, and goes the way of the features as they are.
    """
    centre, scale = jnp.zeros(x.shape[1], x.dtype), jnp.ones(x.shape[1], x.dtype)
    if method == "gradient":
        return x, centre, scale
    counts = jnp.broadcast_to(weights[:, None] > 0, x.shape)
    if intercept:
        # Columns near zero stay there: a dummy's is the only one that sees its group.
        mean, deviation = mean_and_deviation(x, counts)
        centre = jnp.where(jnp.abs(mean) > 10 * deviation, mean, 0)
    size = norm((x - centre) * jnp.sqrt(weights)[:, None], axis=0)
    scale = jnp.where(size > 0, size, 1)
    return jnp.where(counts, (x - centre) / scale, 0), centre, scale


def _runs_off(nll, w, curvature):
    """Whether weights [P, ...] have run off along directions without curvature [] bool.

    w is split by the eigenvectors of the curvature of ``nll``. Along the part without any it came
    from 0 to where it is: back there the loss is higher, as far again it is not.
    """
    h, basis = jnp.linalg.eigh(curvature)
    low = jnp.where(jnp.abs(h) < 1e-3 * jnp.minimum(jnp.max(h), 1), 1, 0)
    part = dot(basis, low * dot(basis.T, w.ravel())).reshape(w.shape)
    loss, rounding = nll(w), 8 * jnp.finfo(w.dtype).eps
    rounding = rounding * (1 + jnp.abs(loss))
    return (nll(w + part) <= loss + rounding) & (nll(w - part) > loss + 10 * rounding)


def _per_row(values):
    return values.reshape(values.shape[0], -1).mean(axis=1)
