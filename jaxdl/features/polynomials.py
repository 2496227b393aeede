"""Polynomial bases whose degree may be traced: columns up to a static ``max_degree``, masked.

Columns above ``degree`` are zero, so a least-squares or gradient fit on them gives the weights of
the small basis, and many degrees share one compiled program. Notes: §2.1.
"""

import itertools
import math

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxdl.arrays import dot, floating
from jaxdl.base import Array, Transform, fit_to


def polynomial(x: Array, degree: int | Array, max_degree: int | None = None) -> Array:
    """``[1, x, x^2, ..., x^K]`` of a scalar feature: x [...] -> [..., max_degree + 1].

    Notes: L339, §2.1.

    Args:
      degree: K; columns above it are zero. It may be traced if ``max_degree`` is given.
      max_degree: the largest K, an int; ``degree`` itself where that is None.

    Raises:
      ValueError: an int ``degree`` is negative or above ``max_degree``, or ``degree`` is traced
        and ``max_degree`` missing.

    >>> polynomial(jnp.array([2.0]), 2, max_degree=3).tolist()
    [[1.0, 2.0, 4.0, 0.0]]
    """
    return polynomial_multivariate(jnp.asarray(x)[..., None], degree, max_degree=max_degree)


def polynomial_multivariate(
    x: Array, degree: int | Array, interactions: bool = True, max_degree: int | None = None
) -> Array:
    """All monomials of x [..., D] of total degree at most K, or only each feature's own powers.

    [..., C] with ``C = (D + max_degree)! / (D! max_degree!)`` columns, or ``1 + D max_degree``
    without interactions, ordered by total degree and then as ``x_1^2, x_1 x_2, x_2^2`` (the order
    of scikit-learn's PolynomialFeatures). Other arguments and errors as for `polynomial`.
    Notes: §2.1, whose figures use two features (D-22).

    >>> polynomial_multivariate(jnp.array([[2.0, 3.0]]), 2).tolist()
    [[1.0, 2.0, 3.0, 4.0, 6.0, 9.0]]
    """
    return _columns(_powers, x, degree, max_degree, interactions)


def scaled_polynomial(
    degree: int | Array, max_degree: int | None = None, interactions: bool = True
) -> Transform:
    """Chebyshev polynomials of x scaled to [-1, 1] by its range in the training part.

    ``T_k(cos a) = cos(k a)`` in place of ``x^k``: the same span as `polynomial_multivariate`,
    with columns bounded by 1 on the training range and a far better condition number. x [N, D];
    arguments, columns and errors as there; a constant feature is mapped to 0.
    """
    _check_degree(degree, max_degree)

    def fit(x, mask=None):
        x, rows = _table(x, mask)
        low = jnp.min(jnp.where(rows, x, jnp.inf), axis=0)
        high = jnp.max(jnp.where(rows, x, -jnp.inf), axis=0)
        spread = high > low
        return {
            "center": jnp.where(jnp.isfinite(low), low / 2 + high / 2, 0),
            "half_range": jnp.where(spread, high / 2 - low / 2, 1),
        }

    def apply(params, x):
        _check_width(params["center"], x)
        unit = (x - params["center"]) / params["half_range"]
        return _columns(_chebyshev, unit, degree, max_degree, interactions)

    return Transform(fit, apply)


def orthogonal_polynomial(
    degree: int | Array, max_degree: int | None = None, interactions: bool = True
) -> Transform:
    """A polynomial basis q_c that is orthonormal over the N rows of the training part.

    ``(1/N) sum_n q_c(x_n) q_c'(x_n) = [c = c']``: Gram-Schmidt, twice, on the columns of
    `scaled_polynomial`. A column that the data cannot tell from those before it (fewer distinct
    points than columns) is zero. x [N, D]; arguments, columns and errors as there.
    """
    scaled = scaled_polynomial(degree, max_degree, interactions)

    def fit(x, mask=None):
        x, rows = _table(x, mask)
        scaling = fit_to(scaled, x, mask)
        columns = jnp.where(rows[:, :1], scaled.apply(scaling, x), 0)
        n = jnp.maximum(jnp.sum(rows[:, 0], dtype=x.dtype), 1)
        width = columns.shape[1]
        tolerance = 100 * float(jnp.finfo(x.dtype).eps) * math.sqrt(width)

        def orthogonalise(c, carry):
            q, basis = carry
            v, combination = columns[:, c], jnp.zeros(width, x.dtype).at[c].set(1)
            before = jnp.sum(jnp.square(v)) / n
            for _ in range(2):
                overlap = jnp.sum(q * v[:, None], axis=0) / n
                v, combination = v - dot(q, overlap), combination - dot(basis, overlap)
            after = jnp.sum(jnp.square(v)) / n
            independent = after > tolerance**2 * before
            factor = jnp.where(independent, 1 / jnp.sqrt(jnp.where(independent, after, 1)), 0)
            return q.at[:, c].set(factor * v), basis.at[:, c].set(factor * combination)

        start = jnp.zeros_like(columns), jnp.zeros((width, width), x.dtype)
        _, basis = lax.fori_loop(0, width, orthogonalise, start)
        return {"scaling": scaling, "basis": basis}

    def apply(params, x):
        return dot(scaled.apply(params["scaling"], x), params["basis"])

    return Transform(fit, apply)


def _columns(one_dimensional, x, degree, max_degree, interactions):
    """Products of one-dimensional polynomials, one feature at a time, from the low degrees up."""
    x = floating(x)
    if x.ndim == 0:
        raise ValueError("x must be [..., D], not a scalar")
    max_degree = _check_degree(degree, max_degree)
    # k = 0..max_degree last; x is 0 above the degree, so that nothing overflows there
    powers = one_dimensional(x, degree, max_degree)
    columns = jnp.ones((*x.shape[:-1], 1), x.dtype)
    position: dict[tuple[int, ...], int] = {(): 0}
    for total in range(1, max_degree + 1):
        terms = _terms(x.shape[-1], total, interactions)
        # a term is its last feature's power times a term without that feature, found before
        last = [term[-1] for term in terms]
        multiplicity = [term.count(term[-1]) for term in terms]
        parent = [position[term[: -term.count(term[-1])]] for term in terms]
        position |= {term: len(position) + i for i, term in enumerate(terms)}
        factors = powers[..., np.array(last, int), np.array(multiplicity, int)]
        factors = jnp.where(total <= degree, factors, 0)
        new = jnp.take(columns, np.array(parent, int), axis=-1) * factors
        columns = jnp.concatenate([columns, new], axis=-1)
    return columns


def _terms(num_features, total, interactions):
    """Monomials of this total degree as sorted tuples of features: (0, 0, 1) is x_0^2 x_1."""
    if interactions:
        return list(itertools.combinations_with_replacement(range(num_features), total))
    return [(d,) * total for d in range(num_features)]


def _powers(x, degree, max_degree):
    powers = [jnp.ones_like(x)]
    for k in range(1, max_degree + 1):
        powers.append(powers[-1] * jnp.where(k <= degree, x, 0))
    return jnp.stack(powers, axis=-1)


def _chebyshev(x, degree, max_degree):
    """T_0 = 1, T_1 = x, T_k = 2 x T_{k-1} - T_{k-2}; zero above the degree."""
    polynomials = [jnp.ones_like(x), jnp.where(1 <= degree, x, 0)]
    for k in range(2, max_degree + 1):
        safe = jnp.where(k <= degree, x, 0)
        t = 2 * safe * polynomials[-1] - polynomials[-2]
        polynomials.append(jnp.where(k <= degree, t, 0))
    return jnp.stack(polynomials[: max_degree + 1], axis=-1)


def _check_degree(degree, max_degree):
    if isinstance(degree, int | np.integer):
        max_degree = degree if max_degree is None else max_degree
        if not 0 <= degree <= max_degree:
            raise ValueError(f"degree must be in 0..{max_degree}, not {degree}")
    if not isinstance(max_degree, int | np.integer):
        raise ValueError("a traced degree needs max_degree, an int")
    return int(max_degree)


def _check_width(fitted, x):
    if jnp.shape(x)[-1:] != fitted.shape:
        raise ValueError(f"x must be [..., {fitted.shape[0]}] as in fit, not {jnp.shape(x)}")


def _table(x, mask):
    """x [N, D] with zeros in rows that do not count, and which entries count [N, D]."""
    x = floating(x)
    if x.ndim != 2:
        raise ValueError(f"x must be [N, D] (a scalar feature is [N, 1]), not {x.shape}")
    mask = jnp.ones(x.shape[0], bool) if mask is None else jnp.asarray(mask, bool)
    if mask.shape != x.shape[:1]:
        raise ValueError(f"mask must be {x.shape[:1]}, one for each row of x, not {mask.shape}")
    rows = jnp.broadcast_to(mask[:, None], x.shape)
    return jnp.where(rows, x, 0), rows
