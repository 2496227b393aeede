"""Fit and penalty apart, along a path of penalties or of degrees. Notes: §3.3, Figure 12."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.arrays import counted
from jaxdl.base import Array, Family, Params
from jaxdl.checks import filled_in
from jaxdl.models import glm, linear, polynomial
from jaxdl.models.linear import weighted_rows


class RegularizationPath(NamedTuple):
    """One fit for each of L settings.

    settings: [L], the penalties lambda or the degrees.
    params: with a leading axis of L.
    fit: [L], the mean loss on the data, without penalty.
    size: [L], R(w) = sum w^2, offsets exempt and without lambda.
    penalty: [L], lambda R(w).
    converged: [L] bool; closed forms always have.
    """

    settings: Array
    params: Params
    fit: Array
    size: Array
    penalty: Array
    converged: Array


def _squared_error(params, x, y, mask):
    x, y, weights = weighted_rows(x, y, mask)
    square = jnp.square(linear.predict(params, x) - y)
    return jnp.sum(weights * square.reshape(len(y), -1).mean(axis=1))


def regularization_path(
    x: Array,
    y: Array,
    penalties: Array,
    *,
    family: Family | None = None,
    intercept: bool = True,
    num_outputs: int | None = None,
    mask: Array | None = None,
) -> RegularizationPath:
    """Fit a linear model for each penalty lambda, in one program.

    Args:
      x: [N, D]; y: [N] or [N, K]; mask: [N].
      penalties: lambda, [L].
      family: None is ridge regression, all of it vmapped, with the mean squared error as its fit;
        else ``glm.fit`` by Newton's method, mapped one after another, with the mean negative
        log-likelihood.
      intercept, num_outputs: as in ``glm.fit``.

    Notes: L579, §3.3, E-26.
    """
    penalties = jnp.asarray(penalties)
    if penalties.ndim != 1:
        raise ValueError(f"penalties must be [L]; got {penalties.shape}")

    def closed(lam):
        params = linear.ridge(x, y, lam, intercept=intercept, mask=mask)
        fit, size = _squared_error(params, x, y, mask), jnp.sum(params["kernel"] ** 2)
        return params, fit, size, lam * size, jnp.ones([], bool)

    def iterated(lam):
        result = glm.fit(
            x,
            y,
            filled_in(family),
            penalty=lam,
            intercept=intercept,
            num_outputs=num_outputs,
            mask=mask,
        )
        size = jnp.sum(result.params["kernel"] ** 2)
        return result.params, result.loss, size, result.penalty, result.converged

    if family is None:
        return RegularizationPath(penalties, *jax.vmap(closed)(penalties))
    return RegularizationPath(penalties, *jax.lax.map(iterated, penalties))


def degree_path(
    x: Array,
    y: Array,
    degrees: Array,
    *,
    max_degree: int,
    penalty: float | Array = 0.0,
    mask: Array | None = None,
) -> RegularizationPath:
    """Polynomial least squares for each degree, vmapped, with the size of its weights.

    ``fit`` falls with the degree; ``size`` R(w), the dotted curve of Figure 12, jumps where high
    powers cancel each other. Weights above a degree are 0.

    Args:
      x: [N] or [N, D]; y: [N]; mask: [N].
      degrees: [L] integers up to ``max_degree``, a static int.
      penalty: lambda, the same for all degrees.

    Notes: §3.3, Figure 12, E-26.
    """
    degrees = jnp.asarray(degrees)
    if degrees.ndim != 1 or not jnp.issubdtype(degrees.dtype, jnp.integer):
        raise ValueError(f"degrees must be integers [L]; got {degrees.dtype} {degrees.shape}")
    # Rows that do not count may hold anything, and powers of it would spread.
    x = counted(jnp.asarray(x), mask)

    def fit_one(degree):
        setting = {"degree": degree, "max_degree": max_degree}
        params = polynomial.fit_polynomial(x, y, **setting, penalty=penalty, mask=mask)
        eta = polynomial.predict_polynomial(params, x, **setting)
        _, response, weights = weighted_rows(x.reshape(len(x), -1), y, mask)
        square = jnp.square(eta - response).reshape(len(x), -1).mean(axis=1)
        size = jnp.sum(params["kernel"] ** 2)
        return params, jnp.sum(weights * square), size, penalty * size, jnp.ones([], bool)

    return RegularizationPath(degrees, *jax.vmap(fit_one)(degrees))
