"""Autoregressive flows: each variable is changed by what is before it. Notes: §9.4."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from jaxdl.base import Array, Bijector, Model
from jaxdl.checks import positive_int
from jaxdl.flows.composition import invert
from jaxdl.flows.events import check_event
from jaxdl.flows.made import made, positions
from jaxdl.flows.scalar_maps import ScalarMap, affine_map


def maf(
    dim: int,
    hidden: int | Sequence[int] = (64, 64),
    *,
    scalar_map: ScalarMap | None = None,
    order: ArrayLike | None = None,
    activation: str | Callable = "relu",
    context: Array | None = None,
) -> Bijector:
    """Masked autoregressive flow: ``x_i = tau(z_i; theta_i(x_j : j before i))``.

    The Jacobian is triangular, ``log |det dx/dz| = sum_i log tau'(z_i)``. **Cost**: densities
    (``inverse``) take one pass through the network, samples (``forward``) D passes one after the
    other, in one ``lax.scan``: for likelihoods choose this, for samples ``iaf`` (D-88).

    Args:
      dim: D.
      hidden, order, activation, context: of the network, see ``made``.
      scalar_map: tau, by default ``affine_map()``: ``x_i = exp(s_i) z_i + t_i``, bounded scales.
        ``spline_map()`` and ``sigmoidal_map()`` (a neural autoregressive flow) bend more.

    Its last kernel starts at zero: the identity, if ``theta = 0`` is that of tau. Between two of
    them put ``reverse(dim)``, or give the second the reversed order.

    Source: Papamakarios et al. (2017).

    >>> layer = maf(3, 8)
    >>> x, log_det = layer.forward(layer.init(jax.random.key(0)), jnp.array([1.0, 2.0, 3.0]))
    >>> x.tolist(), log_det.item()
    ([1.0, 2.0, 3.0], 0.0)
    """
    tau = affine_map() if scalar_map is None else scalar_map
    turned = ScalarMap(tau.num_parameters, tau.inverse, tau.forward)
    return invert(
        iaf(dim, hidden, scalar_map=turned, order=order, activation=activation, context=context)
    )


def iaf(
    dim: int,
    hidden: int | Sequence[int] = (64, 64),
    *,
    scalar_map: ScalarMap | None = None,
    order: ArrayLike | None = None,
    activation: str | Callable = "relu",
    context: Array | None = None,
) -> Bijector:
    """Inverse autoregressive flow: ``x_i = tau(z_i; theta_i(z_j : j before i))``.

    **Cost**: samples (``forward``, with their log-density) take one pass through the network; the
    density of a given x (``inverse``) takes D passes one after the other, in one ``lax.scan``. It
    is for variational posteriors, which are only asked for the density of their own draws (D-88).

    Settings are those of ``maf``. Source: Kingma et al. (2016).

    >>> layer = iaf(3, 8)
    >>> x, log_det = layer.forward(layer.init(jax.random.key(0)), jnp.array([1.0, 2.0, 3.0]))
    >>> x.tolist(), log_det.item()
    ([1.0, 2.0, 3.0], 0.0)
    """
    tau = affine_map() if scalar_map is None else scalar_map
    dim = positive_int("dim", dim)
    net = made(dim, hidden, tau.num_parameters, order=order, activation=activation, context=context)
    return autoregressive(net, tau, dim, order=order)


def autoregressive(
    conditioner: Model, scalar_map: ScalarMap, dim: int, *, order: ArrayLike | None = None
) -> Bijector:
    """``x_i = tau(z_i; theta_i(z_j : j before i))`` for any network that keeps the order.

    Args:
      conditioner: theta, a stateless Model [..., D] -> [..., D, P] such as ``made``.
      scalar_map: tau, with P parameters.
      dim: D.
      order: the variables from first to last.

    ``forward`` takes one pass, ``inverse`` D of them. ``invert`` exchanges the two, if tau is
    turned round as well: then it is the masked autoregressive flow.
    """
    place = (positions(dim, order) - 1).astype(np.int32)

    def init(key, x=None):
        del x
        return conditioner.init(key)[0]

    def forward(params, z):
        z = check_event(z, (dim,))
        theta, _ = conditioner.apply(params, {}, z)
        x, log_slope = scalar_map.forward(theta, z)
        return x, jnp.sum(log_slope, axis=-1)

    def inverse(params, x):
        x = check_event(x, (dim,))

        def step(carry, i):
            # What is not its turn yet stays zero: garbage there could overflow in the network.
            z, log_slope = carry
            theta, _ = conditioner.apply(params, {}, z)
            found, slope = scalar_map.inverse(theta, x)
            return (jnp.where(place == i, found, z), jnp.where(place == i, slope, log_slope)), None

        (z, log_slope), _ = jax.lax.scan(
            step, (jnp.zeros_like(x), jnp.zeros_like(x)), jnp.arange(dim)
        )
        return z, jnp.sum(log_slope, axis=-1)

    return Bijector(init, forward, inverse)
