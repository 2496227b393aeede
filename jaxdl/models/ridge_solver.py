"""Ridge regression without offset, by singular values, with derivatives of its own."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.arrays import dot, inner, norm
from jaxdl.base import Array


class Solved(NamedTuple):
    """Of the matrix x: ``inverse`` G = P x', ``gram_inverse`` P = (x'x + lambda I)^{-1} and
    ``left_out``, the projector on the directions that P leaves out; and ``solution``, G y or G'y."""

    solution: Array
    leverage: Array
    inverse: Array
    gram_inverse: Array
    left_out: Array


def solve_ridge(x: Array, y: Array, penalty: float | Array) -> tuple[Array, Array]:
    """``w = (x'x + lambda I)^{-1} x'y`` [D, K], and leverages ``diag(x (x'x + lambda I)^{-1} x')``.

    For x [N, D] and y [N, K]. Where lambda = 0 and columns depend on each other, w is the shortest
    of all that minimise ``|y - x w|^2``. Whether they do is judged after every column was scaled to
    one length, by singular values below 4 D times the resolution of the dtype: neither units nor
    the number of rows decide. Derivatives are exact as long as the rank stays, those of a
    leverage or of second order as long as it is full too. Sources: van der Sluis (1969); Golub and
    Pereyra (1973).
    """
    penalty = jnp.asarray(penalty, x.dtype)
    if x.shape[0] >= x.shape[1]:
        return _solved(False, x, y, penalty)[:2]
    # (x'x + lambda I)^{-1} x' = x' (xx' + lambda I)^{-1}, whose matrix is the smaller one
    dual = _solved(True, x.T, y, penalty)
    left = penalty * jnp.diagonal(dual.gram_inverse) + jnp.diagonal(dual.left_out)
    return dual.solution, 1 - left


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _solved(transposed, x, y, penalty):
    """Ridge is least squares with the further rows sqrt(lambda) I, whose columns scale likewise."""
    n, d = x.shape
    root = jnp.sqrt(penalty)
    length = norm(jnp.stack([norm(x, axis=0), jnp.broadcast_to(root, (d,))]), axis=0)
    length = jnp.where(length > 0, length, 1)
    u, s, vt = _thin_svd(jnp.concatenate([x / length, jnp.diag(root / length)]))
    kept = s > 4 * d * jnp.finfo(x.dtype).eps * jnp.max(s, initial=0)
    u = jnp.where(kept, u[:n], 0)
    # Scaling changes which of many solutions is the shortest: what is left out, the last in s, is
    # scaled back and taken off at a right angle.
    out = (jnp.where(kept, 0, vt.T) / length[:, None])[:, ::-1]
    size = norm(out, axis=0)
    basis = jnp.where(kept[::-1], 0, jnp.linalg.qr(out / jnp.where(size > 0, size, 1))[0])
    factor = jnp.where(kept, vt.T / jnp.where(kept, s, 1), 0) / length[:, None]
    factor = factor - dot(basis, dot(basis.T, factor))
    # G y is the product of two, in this order: G itself would round where the fit is sensitive.
    solution = dot(u, inner(factor, y)) if transposed else dot(factor, inner(u, y))
    return Solved(
        solution,
        jnp.sum(jnp.square(u), axis=1),
        dot(factor, u.T),
        dot(factor, factor.T),
        dot(basis, basis.T),
    )


def _thin_svd(a):
    """The singular value decomposition of a [N, D], N >= D, as a tree over blocks of rows.

    A factorisation of all rows at once adds their rounding up; a tree's hardly grows with them.
    Source: Demmel et al. (2012).
    """
    n, d = a.shape
    block = max(128, 64 * d)
    if n <= block:
        return jnp.linalg.svd(a, full_matrices=False)
    a = jnp.pad(a, ((0, -n % block), (0, 0)))
    # mapped: batches of LAPACK calls can wait for each other for ever
    q, r = jax.lax.map(jnp.linalg.qr, a.reshape(-1, block, d))
    u, s, vt = _thin_svd(r.reshape(-1, d))
    return dot(q, u.reshape(-1, d, d)).reshape(-1, d)[:n], s, vt


@_solved.defjvp
def _solved_jvp(transposed, primals, tangents):
    (x, y, penalty), (dx, dy, dpenalty) = primals, tangents
    primal = _solved(transposed, x, y, penalty)
    _, _, g, p, out = primal
    cross, of_x = inner(dx, x), inner(g.T, dx)
    gram = cross + cross.T + dpenalty * jnp.eye(len(p), dtype=x.dtype)
    dg = dot(p, dx.T) - dot(dot(p, gram), g) + dot(dot(out, of_x.T), g)
    of_y = lambda g, y: dot(g.T, y) if transposed else inner(g.T, y)
    leverage = 2 * jnp.sum((dx - dot(x, of_x)) * g.T, axis=1)
    leverage = leverage - dpenalty * jnp.sum(jnp.square(g), axis=0)
    return primal, Solved(
        of_y(dg, y) + of_y(g, dy), leverage, dg, -dot(dot(p, gram), p), jnp.zeros_like(out)
    )
