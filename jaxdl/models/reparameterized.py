"""Posterior approximations of any distribution that is drawn as a function of noise. Notes: §9.2."""

from collections.abc import Callable, Sequence

import jax.numpy as jnp

from jaxdl.families.reparam import Reparameterization
from jaxdl.models.latent import Posterior


def reparameterized_posterior(r: Reparameterization, links: Sequence[Callable]) -> Posterior:
    """``q(z; psi) = prod_k q(z_k; psi_1k, psi_2k, ...)`` of a ``families.reparam`` distribution.

    The encoder's output [N, P K] has a head for each of the P parameters, each with an inverse link
    of its own: ``psi_p = links[p](head p)``. ``mean`` gives the medians. There is no closed
    divergence: ``kl="monte_carlo"``. Notes: Eqs. (50), (51), I(§9.2), §9.2.

    >>> import jax
    >>> from jaxdl.families import links, reparam
    >>> q = reparameterized_posterior(reparam.kumaraswamy(), (links.softplus, links.softplus))
    >>> z, log_q = q.draw(jax.random.key(0), {}, jnp.zeros((3, 4)), 5)
    >>> z.shape, log_q.shape
    ((5, 3, 2), (5, 3))
    """
    links = tuple(links)

    def parameters(psi):
        if psi.shape[-1] % len(links):
            raise ValueError(
                f"psi of {psi.shape[-1]} features is not {len(links)} parameters of each variable"
            )
        heads = jnp.split(psi, len(links), axis=-1)
        return [link(head) for link, head in zip(links, heads, strict=True)]

    def draw(key, params, psi, samples):
        own = parameters(psi)
        z = r.transform(r.noise(key, (samples, *own[0].shape), psi.dtype), *own)
        return z, jnp.sum(r.log_prob(z, *own), axis=-1)

    def mean(params, psi):
        return r.transform(jnp.asarray(r.centre, psi.dtype), *parameters(psi))

    return Posterior(lambda key: {}, draw, mean, lambda params, psi, prior: None)
