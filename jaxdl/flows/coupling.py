"""Coupling: some variables stay, and say how the others change."""

from collections.abc import Callable, Sequence

import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from jaxdl.base import Array, Bijector, Model
from jaxdl.checks import positive_int
from jaxdl.flows.conditioners import context_width, network, widths_of, with_context
from jaxdl.flows.events import check_channels, over_event
from jaxdl.flows.scalar_maps import ScalarMap, affine_map
from jaxdl.flows.splines import spline_map


def coupling(
    scalar_map: ScalarMap,
    conditioner: Model,
    mask: ArrayLike,
    *,
    event_ndims: int = 1,
    context: Array | None = None,
) -> Bijector:
    """``x_a = z_a``, ``x_b = tau(z_b; theta(z_a))``, ``log |det| = sum_b log tau'``.

    The Jacobian is triangular up to the order of the variables. Both directions are one pass
    through the network: densities and samples cost the same. Notes: §9.4 (D-88).

    Args:
      scalar_map: tau, a ``ScalarMap`` with P parameters.
      conditioner: theta, a stateless Model [..., A (+ C)] -> [..., B P].
      mask: [D] over the last axis, True for the A variables (channels) that stay; the other B
        change. It is static.
      event_ndims: axes of an event; images [H, W, D] have 3 and a conditioner that keeps H and W.
      context: [..., C], or None; the conditioner sees it beside z_a. It may be traced.

    Params are the conditioner's. Raises ValueError where nothing stays or nothing changes, for
    other events, and for a conditioner of another width.
    """
    mask = np.asarray(mask)
    if mask.ndim != 1 or mask.dtype != bool or mask.all() or not mask.any():
        raise ValueError(f"a mask [D] of bools keeps some variables and not all, not {mask}")
    dim = len(mask)
    keep, change = np.flatnonzero(mask).astype(np.int32), np.flatnonzero(~mask).astype(np.int32)
    together = np.argsort(np.concatenate([keep, change])).astype(np.int32)

    def init(key, x=None):
        del x
        return conditioner.init(key)[0]

    def through(tau):
        def run(params, value):
            value = check_channels(value, dim, event_ndims)
            a, b = jnp.take(value, keep, axis=-1), jnp.take(value, change, axis=-1)
            theta, _ = conditioner.apply(params, {}, with_context(a, context))
            wanted = (*b.shape, scalar_map.num_parameters)
            if theta.shape != (*b.shape[:-1], len(change) * scalar_map.num_parameters):
                raise ValueError(f"the conditioner gives {list(theta.shape)} for {list(wanted)}")
            b, log_slope = tau(theta.reshape(wanted), b)
            moved = jnp.take(jnp.concatenate([a, b], axis=-1), together, axis=-1)
            return moved, over_event(log_slope, event_ndims)

        return run

    return Bijector(init, through(scalar_map.forward), through(scalar_map.inverse))


def mlp_coupling(
    dim: int,
    scalar_map: ScalarMap,
    hidden: int | Sequence[int] = (64, 64),
    *,
    mask: ArrayLike | None = None,
    activation: str | Callable = "relu",
    context: Array | None = None,
) -> Bijector:
    """``coupling`` with an MLP whose last kernel is zero: the identity at first.

    ``mask`` [D] is True for what stays, by default the first ``D // 2`` variables.

    >>> import jax
    >>> couple = mlp_coupling(3, affine_map(), 8, mask=[False, True, False])
    >>> z = jnp.array([1.0, 2.0, 3.0])
    >>> couple.forward(couple.init(jax.random.key(0)), z)[0].tolist()
    [1.0, 2.0, 3.0]
    """
    dim, hidden = positive_int("dim", dim), widths_of(hidden)
    mask = half_mask(dim) if mask is None else np.asarray(mask)
    if mask.shape != (dim,):
        raise ValueError(f"the mask must be [{dim}], one for each variable, not {mask.shape}")
    num_kept = int(mask.sum())
    d_out = max((dim - num_kept) * scalar_map.num_parameters, 1)
    net = network((max(num_kept + context_width(context), 1), *hidden, d_out), activation)
    return coupling(scalar_map, net, mask, context=context)


def affine_coupling(
    dim: int,
    hidden: int | Sequence[int] = (64, 64),
    *,
    mask: ArrayLike | None = None,
    activation: str | Callable = "relu",
    max_log_scale: float | Array = 3.0,
    context: Array | None = None,
) -> Bijector:
    """RealNVP's coupling: ``x_b = exp(s(z_a)) z_b + t(z_a)``, with ``|s| < max_log_scale``.

    Settings are those of ``mlp_coupling`` and ``affine_map``. It starts as the identity.
    Source: Dinh et al. (2017).

    >>> import jax
    >>> couple = affine_coupling(2, 8)
    >>> x, log_det = couple.forward(couple.init(jax.random.key(0)), jnp.array([1.0, 2.0]))
    >>> x.tolist(), log_det.item()
    ([1.0, 2.0], 0.0)
    """
    return mlp_coupling(
        dim, affine_map(max_log_scale), hidden, mask=mask, activation=activation, context=context
    )


def spline_coupling(
    dim: int,
    hidden: int | Sequence[int] = (64, 64),
    *,
    mask: ArrayLike | None = None,
    activation: str | Callable = "relu",
    bins: int = 8,
    bound: float | Array = 4.0,
    context: Array | None = None,
) -> Bijector:
    """Coupling by monotone rational-quadratic splines on [-bound, bound], the identity outside.

    Settings are those of ``mlp_coupling`` and ``spline_map``; data should be standardised, for
    what lies outside of the bound is left alone. It starts as the identity.
    Source: Durkan et al. (2019).

    >>> import jax
    >>> couple = spline_coupling(2, 8, bins=4)
    >>> x, log_det = couple.forward(couple.init(jax.random.key(0)), jnp.array([1.0, 9.0]))
    >>> x.round(4).tolist(), log_det.shape
    ([1.0, 9.0], ())
    """
    scalar_map = spline_map(bins, bound=bound)
    return mlp_coupling(dim, scalar_map, hidden, mask=mask, activation=activation, context=context)


def half_mask(dim: int) -> np.ndarray:
    """[D] bools, True for the first ``D // 2``: what a coupling keeps by default.

    >>> half_mask(3).tolist()
    [True, False, False]
    """
    return np.arange(dim) < dim // 2
