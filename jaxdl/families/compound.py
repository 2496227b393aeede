"""Families made of families: products over outputs, marginals over an uncertain setting."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxdl.base import Array, Family
from jaxdl.checks import filled_in


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
        return over_outputs(jnp.sum, filled_in(family.entropy)(eta))

    def scores(eta, y):
        return {k: over_outputs(jnp.mean, v) for k, v in family.scores(eta, y).items()}

    return family._replace(
        log_prob=log_prob, entropy=None if family.entropy is None else entropy, scores=scores
    )


def marginalize(make_family: Callable, nodes: Array, weights: Array | None = None) -> Family:
    """The family with an uncertain setting (a scale, say) integrated out. Notes: §1.3.

    ``p(y; eta) = int p(y; eta, s) p(s) ds = sum_s w_s p(y; eta, s)``, in log space, one value
    for each value of ``make_family(s).log_prob``. The mean and the scores are averaged over s; a
    sample draws one s for each row of eta [N, ...]. The entropy has no closed form.

    Args:
      make_family: ``s -> Family``, with s a traced scalar.
      nodes: s [S]: draws of s (Monte Carlo), or the nodes of a `quadrature.rule`.
      weights: [S], normalised here to sum to one. None for draws; for a rule its weights times
        the density of s, known up to a constant, at the nodes.

    Raises:
      ValueError: ``nodes`` is not [S], or ``weights`` has another shape.

    A Normal whose precision is Gamma(df/2, rate=df/2) is Student's t; its density at 0 for df=3:

    >>> from jaxdl import families
    >>> from jaxdl.divergences import quadrature
    >>> tau, w = quadrature.rule(0.0, float("inf"))
    >>> density = jnp.sqrt(tau) * jnp.exp(-1.5 * tau)
    >>> t = marginalize(lambda tau: families.normal(tau**-0.5), tau, w * density)
    >>> jnp.exp(t.log_prob(jnp.zeros(()), jnp.zeros(()))).item()  # doctest: +ELLIPSIS
    0.3675...
    """
    nodes = jnp.asarray(nodes)
    weights = jnp.ones(nodes.shape) if weights is None else jnp.asarray(weights)
    if nodes.ndim != 1 or weights.shape != nodes.shape:
        raise ValueError(f"nodes and weights must be [S], not {nodes.shape} and {weights.shape}")
    weights = weights / jnp.sum(weights)

    def over_nodes(f):
        return jax.vmap(lambda s: f(make_family(s)))(nodes)

    def average(values):
        return jnp.tensordot(weights.astype(values.dtype), values, axes=1)

    def log_prob(eta, y):
        log_p = over_nodes(lambda family: family.log_prob(eta, y))
        w = weights.astype(log_p.dtype).reshape(-1, *[1] * (log_p.ndim - 1))
        return jax.nn.logsumexp(log_p, axis=0, b=w)

    def mean(eta):
        return average(over_nodes(lambda family: family.mean(eta)))

    def sample(key, eta):
        eta = jnp.asarray(eta)
        node_key, y_key = jax.random.split(key)
        s = jax.random.choice(node_key, nodes, eta.shape[:1], p=weights)
        if eta.ndim == 0:
            return make_family(s).sample(y_key, eta)
        keys = jax.random.split(y_key, eta.shape[0])
        return jax.vmap(lambda s, k, row: make_family(s).sample(k, row))(s, keys, eta)

    def scores(eta, y):
        return jax.tree.map(average, over_nodes(lambda family: family.scores(eta, y)))

    return Family(log_prob, mean, sample, None, scores, make_family(nodes[0]).responses)
