"""Families made of families: products over outputs, marginals over an uncertain setting."""

import jax.numpy as jnp

from jaxdl.base import Family


def independent(family: Family, ndims: int = 1) -> Family:
    """The product of ``family`` over the last ``ndims`` axes of the response y [..., K].

    ``log p(y; eta) = sum_k log p(y_k; eta_k)``; so ``independent(normal(scale))`` is the Normal
    with a diagonal covariance. Entropies are summed too, scores averaged over the outputs.
    Raises ValueError where y has fewer axes than ``ndims``.

    >>> from jaxdl import families
    >>> independent(families.normal()).log_prob(jnp.zeros((3, 2)), jnp.zeros((3, 2))).shape
    (3,)
    """
    axes = tuple(range(-ndims, 0))

    def over_outputs(reduce, values):
        if values.ndim < ndims:
            raise ValueError(
                f"y must have at least {ndims} axes, but one value each is {values.shape}"
            )
        return reduce(values, axis=axes)

    def log_prob(eta, y):
        return over_outputs(jnp.sum, family.log_prob(eta, y))

    def entropy(eta):
        return over_outputs(jnp.sum, family.entropy(eta))

    def scores(eta, y):
        return {k: over_outputs(jnp.mean, v) for k, v in family.scores(eta, y).items()}

    return Family(
        log_prob, family.mean, family.sample, None if family.entropy is None else entropy, scores
    )
