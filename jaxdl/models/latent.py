"""Latent variables z [K]: their priors p(z) and posterior approximations q(z; psi(x)). Notes: §9.2."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, cast

import jax
import jax.numpy as jnp

from jaxdl.base import Array, Bijector, Family
from jaxdl.checks import positive_int
from jaxdl.families import links, normal
from jaxdl.flows import chain, iaf

_LOG_2PI = 1.8378770664093453
LOG_SCALE_LIMIT = 10.0


class Prior(NamedTuple):
    """The distribution p(z) of a latent variable z [K]. Notes: Eq. (49), §9.2.

    features: K.
    sample: ``(key, n) -> z [n, K]``; the key is consumed.
    log_prob: ``(z [..., K]) -> [...]``.
    kl_from_normal: ``(mean, log_scale) [..., K] -> KLD[N(mean, scale) || p] [...]`` in closed form,
        or None where there is none.
    """

    features: int
    sample: Callable
    log_prob: Callable
    kl_from_normal: Callable | None = None


def prior(family: Family, eta: Array) -> Prior:
    """Independent latent variables of any family: ``p(z) = prod_k p(z_k; eta_k)``.

    ``eta`` is [K], or [K, ...] for a family of several parameters. Notes: Eq. (49), §9.2.

    >>> from jaxdl import families
    >>> prior(families.laplace(), jnp.zeros(2)).log_prob(jnp.zeros(2)).round(4) == -1.3863
    Array(True, dtype=bool)
    """
    eta = jnp.asarray(eta)
    features = positive_int("the number of latent variables", eta.shape[0])

    def sample(key, n):
        return family.sample(key, jnp.broadcast_to(eta, (n, *eta.shape)))

    def log_prob(z):
        own = jnp.broadcast_to(eta.astype(z.dtype), (*z.shape, *eta.shape[1:]))
        return jnp.sum(family.log_prob(own, z), axis=-1)

    return Prior(features, sample, log_prob)


def normal_prior(mean: Array, scale: float | Array = 1.0) -> Prior:
    """``z ~ N(mean, scale)``, independently: mean [K] and standard deviations, [] or [K].

    ``KLD[N(m, s) || N(m0, s0)] = sum_k (r_k - 1 - log r_k + (m_k - m0_k)^2 / s0_k^2) / 2`` with
    ``r_k = s_k^2 / s0_k^2``: summed, not averaged, over the latent variables (D-86).
    """
    mean = jnp.asarray(mean)
    of_any = prior(normal(scale), mean)

    def kl_from_normal(m, log_s):
        s0 = jnp.asarray(scale, m.dtype)
        log_r = 2 * (log_s - jnp.log(s0))
        distance = jnp.square((m - mean.astype(m.dtype)) / s0)
        return jnp.sum(links.exponential(log_r) - 1 - log_r + distance, axis=-1) / 2

    return of_any._replace(kl_from_normal=kl_from_normal)


def standard_normal(features: int) -> Prior:
    """``z ~ N(0, I)`` of K = ``features`` variables, I the matrix (D-86). Notes: §9.2.

    >>> standard_normal(3).sample(jax.random.key(0), 4).shape
    (4, 3)
    """
    return normal_prior(jnp.zeros(positive_int("features", features)))


class Posterior(NamedTuple):
    """A posterior approximation q(z; psi(x)), psi what an encoder gives. Notes: Eq. (50), §9.2.

    init: ``(key) -> params`` of its own, beside the encoder's; ``{}`` where it has none.
    draw: ``(key, params, psi [N, ...], samples) -> (z [S, N, K], log q(z) [S, N])``, z as a function
        r(e; psi) of noise e, so that gradients go through it; the key is consumed.
    mean: ``(params, psi) -> z [N, K]``, one representative.
    kl: ``(params, psi, prior) -> KLD[q || prior] [N]`` in closed form, or None.
    """

    init: Callable
    draw: Callable
    mean: Callable
    kl: Callable


def location_and_log_scale(psi: Array) -> tuple[Array, Array]:
    """The two heads of psi [..., 2K]: means mu and logarithms s of scales, [..., K] each.

    mu is psi's first half as it is; s is ``L tanh(p / L)`` of the other half p with L = 10: p itself
    near 0, and never beyond L. Each head needs a link of its own: one g^-1 for all of psi, as
    Eq. (50) has it, gives negative scales or positive means (D-84). Raises ValueError for an odd
    number of features.

    >>> mu, s = location_and_log_scale(jnp.array([1.0, -2.0, 0.0, 1e6]))
    >>> mu.tolist(), s.tolist()
    ([1.0, -2.0], [0.0, 10.0])
    """
    if psi.shape[-1] % 2:
        raise ValueError(f"psi is [..., 2K] = (mu, log sigma), not of {psi.shape[-1]} features")
    mu, raw = jnp.split(psi, 2, axis=-1)
    return mu, LOG_SCALE_LIMIT * jnp.tanh(raw / LOG_SCALE_LIMIT)


def normal_posterior() -> Posterior:
    """``q(z; psi) = N(mu, sigma)``, ``z = r(e; psi) = mu + sigma * e`` with ``e ~ N(0, I)``.

    psi is [N, 2K], see ``location_and_log_scale``; sigma is the standard deviation.
    Notes: Eqs. (50), (51), §9.2.
    """

    def draw(key, params, psi, samples):
        mu, s = location_and_log_scale(psi)
        noise = jax.random.normal(key, (samples, *mu.shape), mu.dtype)
        log_q = -jnp.sum(jnp.square(noise) / 2 + s + _LOG_2PI / 2, axis=-1)
        return mu + jnp.exp(s) * noise, log_q

    def kl(params, psi, prior):
        if prior.kl_from_normal is None:
            return None
        return prior.kl_from_normal(*location_and_log_scale(psi))

    return Posterior(lambda key: {}, draw, lambda params, psi: location_and_log_scale(psi)[0], kl)


def flow_posterior(
    bijector: Bijector | Callable[[Array], Bijector], *, context: int = 0
) -> Posterior:
    """A Normal pushed through an invertible map: ``z = T(e'; h)``, ``e' ~ N(mu(x), sigma(x))``.

    ``log q(z) = log N(e') - log |det dT/de'|``, by ``forward`` alone: a flow that samples fast, such
    as an inverse autoregressive one, costs one pass; see ``iaf_posterior``. T has parameters of its
    own, the same for all x, and sees x by ``context`` features h(x) that the encoder gives as well:
    psi is [N, 2K + C], ``(mu, log sigma, h)``. There is no closed divergence; ``mean`` is T(mu; h).
    Source: Rezende and Mohamed (2015); Kingma et al. (2016). Notes: §9.2, §9.4.

    Args:
      bijector: T; with a context, a function from h [..., C] to it, whose parameters do not depend
        on h: ``lambda h: flows.iaf(K, context=h)``.
      context: C.
    """
    base, bijector_of = normal_posterior(), lambda h: bijector
    if context:
        positive_int("context", context)
        bijector_of = cast(Callable[[Array], Bijector], bijector)

    def split(psi):
        return jnp.split(psi, [psi.shape[-1] - context], axis=-1)

    def forward(params, z, h):
        """T of z [S, N, K], with h [N, C]."""
        rows = math.prod(z.shape[:-1])
        often = jnp.broadcast_to(h, (*z.shape[:-1], context)).reshape(rows, context)
        map_ = bijector_of(often)
        image, log_det = map_.forward(params, z.reshape(rows, z.shape[-1]))
        return image.reshape(z.shape), log_det.reshape(z.shape[:-1])

    def init(key):
        return bijector_of(jnp.zeros(context)).init(key)

    def draw(key, params, psi, samples):
        own, h = split(psi)
        z, log_q = base.draw(key, {}, own, samples)
        image, log_det = forward(params, z, h)
        return image, log_q - log_det

    def mean(params, psi):
        own, h = split(psi)
        return forward(params, base.mean({}, own), h)[0]

    return Posterior(init, draw, mean, lambda params, psi, prior: None)


def iaf_posterior(
    features: int,
    hidden: int | Sequence[int] = (64,),
    *,
    context: int = 0,
    steps: int = 2,
    activation: str | Callable = "relu",
) -> Posterior:
    """Inverse autoregressive steps behind a Normal, each of which sees the encoder's context h.

    ``z_0 = mu(x) + sigma(x) e``, ``z_t = exp(s_t) z_{t-1} + m_t`` with m_t and s_t of the variables
    before, in an order that each step turns round, and of h(x); ``log q = log N(z_0) - sum_t sum_k
    s_tk``. At first all steps are the identity: the diagonal Normal, ``normal_posterior()``.
    Source: Kingma et al. (2016). Notes: §9.2, §9.4 (D-88).

    Args:
      features: K; the encoder gives [N, 2K + C].
      hidden, activation: of each step's network, see ``flows.made``.
      context: C, 0 for steps that do not see x.
      steps: T.

    >>> q = iaf_posterior(2, 8, context=3)
    >>> z, log_q = q.draw(jax.random.key(1), q.init(jax.random.key(0)), jnp.zeros((5, 2 * 2 + 3)), 4)
    >>> z.shape, log_q.shape
    ((4, 5, 2), (4, 5))
    """
    turned = [None, list(reversed(range(positive_int("features", features))))]

    def build(h=None):
        how = {"activation": activation, "context": h}
        orders = [turned[t % 2] for t in range(positive_int("steps", steps))]
        return chain(*(iaf(features, hidden, order=order, **how) for order in orders))

    return flow_posterior(build if context else build(), context=context)
