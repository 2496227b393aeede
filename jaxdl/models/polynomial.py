"""Polynomial regression for any family: a linear model on powers of x. Notes: §2.1, L343."""

import jax.numpy as jnp

from jaxdl import features
from jaxdl.base import Array, Family, Params
from jaxdl.models import glm, linear


def _powers(x, degree, max_degree, interactions):
    """The basis without its constant, [N, C - 1]: the offset takes that part."""
    x = jnp.asarray(x)
    if x.ndim not in (1, 2):
        raise ValueError(f"x must be [N] or [N, D]; got {x.shape}")
    table = x[:, None] if x.ndim == 1 else x
    basis = features.polynomial_multivariate(table, degree, interactions, max_degree)
    return basis[:, 1:]


def fit_polynomial(
    x: Array,
    y: Array,
    degree: int | Array,
    *,
    max_degree: int | None = None,
    interactions: bool = True,
    penalty: float | Array = 0.0,
    mask: Array | None = None,
) -> dict[str, Array]:
    """Least squares on the powers of x, in closed form.

    ``w* = argmin 1/N sum_n (y_n - sum_k w_k x_n^k)^2 + lambda sum_{k>0} w_k^2``; bias is w_0 and
    kernel w_1, ..., w_K. Weights of powers above a degree below ``max_degree`` are 0.

    Args:
      x: [N], or [N, D] for the monomials of ``features.polynomial_multivariate``.
      y: [N] or [N, K].
      degree: K, an int, or traced if ``max_degree`` is given; so degrees can be vmapped.
      max_degree, interactions: as in ``features.polynomial_multivariate``.
      penalty, mask: as in ``linear.ridge``.

    High powers are nearly collinear: beyond degree 10 or so use float64, or
    ``features.orthogonal_polynomial`` with ``linear.ridge``.

    >>> x = jnp.array([0.0, 1.0, 2.0, 3.0])
    >>> params = fit_polynomial(x, 1 + x**2, 2)
    >>> params["kernel"].round(2).tolist(), round(float(params["bias"]), 2)
    ([0.0, 1.0], 1.0)
    """
    basis = _powers(x, degree, max_degree, interactions)
    return linear.ridge(basis, y, penalty, mask=mask)


def fit_polynomial_glm(
    x: Array,
    y: Array,
    degree: int | Array,
    family: Family,
    *,
    max_degree: int | None = None,
    interactions: bool = True,
    method: str = "newton",
    penalty: float | Array = 0.0,
    num_outputs: int | None = None,
    mask: Array | None = None,
) -> glm.GLMFit:
    """A generalised linear model on the powers of x: ``E[y|x] = g^{-1}(sum_k w_k x^k)``.

    x, degree, max_degree and interactions as in ``fit_polynomial``, the rest as in ``glm.fit``.
    Notes: L343.
    """
    basis = _powers(x, degree, max_degree, interactions)
    return glm.fit(
        basis,
        y,
        family,
        method=method,
        penalty=penalty,
        num_outputs=num_outputs,
        mask=mask,
    )


def predict_polynomial(
    params: Params,
    x: Array,
    degree: int | Array,
    family: Family | None = None,
    *,
    max_degree: int | None = None,
    interactions: bool = True,
) -> Array:
    """``g^{-1}(sum_k w_k x^k)`` for x [N] or [N, D]: the mean of family, or eta if it is None.

    The other arguments are those that params were fitted with. Notes: L343.
    """
    eta = linear.predict(params, _powers(x, degree, max_degree, interactions))
    return eta if family is None else family.mean(eta)
