"""What a critical point is: the signs of the Hessian's eigenvalues. Notes: §1.2, §1.6."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from jaxdl.arrays import floating, tree_norm
from jaxdl.base import Array, Params

KINDS = ("minimum", "maximum", "saddle", "degenerate", "not critical")


class CriticalPoint(NamedTuple):
    """The verdict on a point.

    kind: [] int32, the index into KINDS; ``name`` is the word.
    grad_norm: [], the gradient's norm at the point.
    eigenvalues: [D], of the Hessian, ascending.
    """

    kind: Array
    grad_norm: Array
    eigenvalues: Array

    @property
    def name(self) -> str:
        """The kind in a word; the result must be concrete, so not inside ``jit``."""
        return KINDS[int(self.kind)]


def classify_critical_point(
    fn: Callable,
    z: Params,
    tolerance: float | Array | None = None,
    *,
    gradient_tolerance: float | Array = 1e-4,
) -> CriticalPoint:
    """Minimum, maximum, saddle or degenerate, by the eigenvalues h of phi''(z).

    All h > 0: minimum; all h < 0: maximum; both signs: saddle; else some h vanish and second
    derivatives cannot tell (degenerate). Where ``|phi'(z)|`` is above ``gradient_tolerance``, z is
    not critical.

    Args:
      fn: phi, ``(z) -> []``, twice differentiable.
      z: a pytree of D entries in all.
      tolerance: an eigenvalue counts as zero up to this fraction of the largest one; None is the
        square root of the dtype's resolution.
      gradient_tolerance: the largest norm of a gradient that counts as zero.

    >>> classify_critical_point(lambda z: z[0] ** 2 - z[1] ** 2, jnp.zeros(2)).name
    'saddle'
    """
    flat, unravel = ravel_pytree(jax.tree.map(floating, z))
    phi = lambda v: fn(unravel(v))
    norm = tree_norm(jax.grad(phi)(flat))
    h = jnp.linalg.eigvalsh(jax.hessian(phi)(flat))
    tolerance = jnp.sqrt(jnp.finfo(h.dtype).eps) if tolerance is None else tolerance
    zero = tolerance * jnp.max(jnp.abs(h))
    up, down = h > zero, h < -zero
    verdicts = [
        norm > gradient_tolerance,
        jnp.any(up) & jnp.any(down),
        jnp.all(up),
        jnp.all(down),
    ]
    kinds = [KINDS.index(k) for k in ("not critical", "saddle", "minimum", "maximum")]
    kind = jnp.select(verdicts, kinds, KINDS.index("degenerate"))
    return CriticalPoint(kind.astype(jnp.int32), norm, h)
