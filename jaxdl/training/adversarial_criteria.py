"""What the two players of a GAN minimise: proper scoring rules, and bounds on divergences. Notes: §9.4.

A discriminator's score s is a real number for each example, large where it takes it for data. Each
criterion is three functions of scores: the discriminator minimises ``mean real(s of data) + mean
fake(s of samples)``, the generator ``mean generator(s of samples)``.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.arrays import norm
from jaxdl.base import Array
from jaxdl.checks import one_of


class Criterion(NamedTuple):
    """real, fake: what the discriminator minimises of both scores; generator: of the samples'."""

    real: Callable[[Array], Array]
    fake: Callable[[Array], Array]
    generator: Callable[[Array], Array]


def of_divergence(activation: Callable, conjugate: Callable) -> Criterion:
    """The bound of an f-divergence: ``D_f(P | Q) >= E_P[g(s)] - E_Q[f*(g(s))]``.

    The discriminator makes it large, the generator small. ``activation`` g maps real scores to where
    f* is finite; ``conjugate`` is the composition ``f*(g(s))``, written as one so that nothing
    overflows between. Source: Nowozin et al. (2016).
    """
    return Criterion(lambda s: -activation(s), conjugate, lambda s: -conjugate(s))


_softplus = jax.nn.softplus
CRITERIA = {
    # The log score of D = logistic(s); at the best D of equal densities, D = 1/2, it is log 4.
    "minimax": Criterion(lambda s: _softplus(-s), _softplus, lambda s: -_softplus(s)),
    "non_saturating": Criterion(lambda s: _softplus(-s), _softplus, lambda s: _softplus(-s)),
    "brier": Criterion(
        lambda s: jnp.square(jax.nn.sigmoid(-s)),
        lambda s: jnp.square(jax.nn.sigmoid(s)),
        lambda s: jnp.square(jax.nn.sigmoid(-s)),
    ),
    "hinge": Criterion(lambda s: jax.nn.relu(1 - s), lambda s: jax.nn.relu(1 + s), lambda s: -s),
    "wasserstein": Criterion(lambda s: -s, lambda s: s, lambda s: -s),
    "kl": of_divergence(lambda s: s, lambda s: jnp.exp(s - 1)),
    "reverse_kl": of_divergence(lambda s: -jnp.exp(-s), lambda s: s - 1),
    "pearson": of_divergence(lambda s: s, lambda s: jnp.square(s) / 4 + s),
    "jensen_shannon": of_divergence(
        lambda s: math.log(2) - _softplus(-s), lambda s: _softplus(s) - math.log(2)
    ),
    "hellinger": of_divergence(lambda s: -jnp.expm1(-s), jnp.expm1),
    "total_variation": of_divergence(lambda s: jnp.tanh(s) / 2, lambda s: jnp.tanh(s) / 2),
}


def find_criterion(criterion: str | Criterion) -> Criterion:
    """A criterion by its name in ``CRITERIA``, or itself. Raises ValueError for another name.

    >>> float(find_criterion("hinge").fake(jnp.array(2.0)))
    3.0
    """
    if isinstance(criterion, Criterion):
        return criterion
    one_of("criterion", criterion, tuple(CRITERIA))
    return CRITERIA[criterion]


def gradient_penalty(score: Callable[[Array], Array], x: Array) -> Array:
    """``(|ds/dx| - 1)^2`` [N] for ``score`` from x [N, ...] to [N]: norms over all axes of an example.

    It asks a critic for slopes of 1 where it is evaluated. Source: Gulrajani et al. (2017).

    >>> gradient_penalty(lambda x: x.sum((1, 2, 3)), jnp.zeros((1, 1, 4, 4))).tolist()
    [9.0]
    """
    slopes = jax.grad(lambda x: jnp.sum(score(x)))(x).reshape(len(x), -1)
    return jnp.square(norm(slopes, axis=1) - 1)
