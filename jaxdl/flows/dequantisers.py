"""Noise between whole numbers that is learnt: variational dequantisation."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.base import Array, Bijector, Key, Model, Params, stateless
from jaxdl.checks import positive_int, typed_key
from jaxdl.flows.composition import init_one
from jaxdl.flows.densities import Density
from jaxdl.flows.dequantisation import cell_centres, in_cell
from jaxdl.flows.events import check_event, event_shape, over_event


class Dequantiser(NamedTuple):
    """A distribution q(u|k) on [0, 1)^D of what is added to whole numbers k.

    levels: of the numbers, k = 0, ..., levels - 1.
    init: ``(key) -> params``.
    draw: ``(key, params, k [N, *event]) -> (u [N, *event], log q(u|k) [N])``, u as a function of
        noise, so that gradients go through it; the key is consumed.
    """

    levels: int
    init: Callable
    draw: Callable


def flow_dequantiser(
    bijector: Callable[[Array], Bijector],
    encoder: Model,
    levels: int,
    shape: int | Sequence[int],
) -> Dequantiser:
    """``u = sigmoid(T(e; h(k)))`` with e logistic noise: uniform u as long as T is the identity.

    ``log q(u|k) = sum_d (g(e_d) - g(T(e)_d)) - log |det dT/de|`` with g the log-slope of the sigmoid,
    which is the log-density of e too. Source: Ho et al. (2019), Flow++, with a logistic base in the
    place of a normal one, so that it starts as uniform dequantisation.

    Args:
      bijector: from a context h to T, with one set of parameters for all of them, as
        ``lambda h: flows.iaf(D, context=h)``. Only ``forward`` is run: choose one that samples fast.
      encoder: h, a stateless Model from k, scaled to (-1, 1), [N, *shape] to [N, C], or whatever
        context the bijector takes.
      levels: of the whole numbers.
      shape: of an event; D is short for (D,).

    Params are ``{"encoder", "bijector"}``. Raises ValueError for events of another shape.

    >>> from jaxdl import flows, models
    >>> q = flow_dequantiser(lambda h: flows.iaf(2, 8, context=h), models.mlp((2, 4)), 8, 2)
    >>> u, log_q = q.draw(jax.random.key(0), q.init(jax.random.key(1)), jnp.array([[3, 7]]))
    >>> u.shape, log_q.tolist()
    ((1, 2), [0.0])
    """
    levels, shape = positive_int("levels", levels), event_shape(shape)

    def context(params, k):
        return encoder.apply(params, {}, 2 * cell_centres(k, levels) - 1)[0]

    def init(key):
        keys = jax.random.split(key)
        params = encoder.init(keys[0])[0]
        h = jax.eval_shape(context, params, jnp.zeros((1, *shape)))
        own = bijector(jnp.zeros(h.shape, h.dtype)).init(keys[1])
        return {"encoder": params, "bijector": own}

    def draw(key, params, k):
        k = check_event(k, shape)
        h = context(params["encoder"], k)
        # The noise of ``dequantise``; a 0 would be infinite.
        u = jnp.maximum(jax.random.uniform(typed_key(key), k.shape, h.dtype), 2.0**-25)
        e = jnp.log(u) - jnp.log1p(-u)
        moved, log_det = bijector(h).forward(params["bijector"], e)
        log_q = over_event(_log_slope(e) - _log_slope(moved), len(shape)) - log_det
        return jax.nn.sigmoid(moved), log_q

    return Dequantiser(levels, init, draw)


def dequantised_log_weights(
    key: Key,
    density: Density,
    dequantiser: Dequantiser,
    params: Params,
    k: Array,
    *,
    samples: int = 1,
) -> Array:
    """``log p((k + u) / L) - D log L - log q(u|k)`` [S, N], u ~ q(u|k), for k [N, *event].

    The mean over S = ``samples`` is in expectation a lower bound on ``log P(k)``, the density's mass
    in the cell of k, with equality where q is p within the cell; so is ``log_mean_exp`` over S, which
    is tighter (as for a VAE: u is a latent variable). Params are those of ``dequantised_model``; the
    key is consumed. Source: Ho et al. (2019), Eq. (13).
    """
    samples = positive_int("samples", samples)
    k = jnp.asarray(k)
    volume = math.prod(k.shape[1:]) * math.log(dequantiser.levels)

    def once(key):
        u, log_q = dequantiser.draw(key, params["dequantiser"], k)
        x = in_cell(k, u, dequantiser.levels)
        return density.log_prob(params["density"], x) - volume - log_q

    if samples == 1:
        return once(key)[None]
    return jax.vmap(once)(jax.random.split(key, samples))


def dequantised_model(
    density: Density, dequantiser: Dequantiser, data: Array | None = None
) -> Model:
    """Both as a Model, for a learner with ``training.dequantised_nll``: ``eta = log p(x)`` [N].

    Params are ``{"density", "dequantiser"}``; x [N, ...] are real numbers in [0, 1), as are ``data``,
    from which the density starts, see ``density_model``.
    """

    def init(key):
        keys = jax.random.split(key)
        started = init_one(density, keys[0], data)
        return {"density": started, "dequantiser": dequantiser.init(keys[1])}

    def apply(params, x, *, key, train):
        del key, train
        return density.log_prob(params["density"], x)

    return stateless(init, apply)


def _log_slope(z):
    """``log sigmoid'(z) = log sigmoid(z) + log sigmoid(-z)``."""
    return -jnp.logaddexp(0.0, z) - jnp.logaddexp(0.0, -z)
