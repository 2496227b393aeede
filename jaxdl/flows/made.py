"""MADE: one pass through a masked network whose output i depends on the inputs before i alone."""

import itertools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from jaxdl import layers
from jaxdl.base import Array, Model, stateless
from jaxdl.checks import positive_int
from jaxdl.flows.conditioners import context_width, widths_of, with_context
from jaxdl.flows.events import check_event
from jaxdl.layers.initializers import RECTIFIERS


def made(
    dim: int,
    hidden: int | Sequence[int] = (64, 64),
    num_outputs: int = 1,
    *,
    order: ArrayLike | None = None,
    activation: str | Callable = "relu",
    context: Array | None = None,
    last_init: Callable = jax.nn.initializers.zeros,
) -> Model:
    """A masked MLP: ``eta_i = f_i(x_j : j before i)`` [P], for all i in one pass.

    Each input and unit has a degree; a connection stays where it keeps the order, see ``degrees``.
    So ``p(x) = prod_i p(x_i; eta_i)`` is a density by the chain rule, for any family. Notes: §9.4.

    Args:
      dim: D, the number of variables.
      hidden: widths of the hidden layers.
      num_outputs: P, parameters of each variable.
      order: the variables from first to last, a permutation of 0, ..., D - 1, which is the default.
      activation: of the hidden layers.
      context: [..., C], which all outputs see, the first one's included. It may be traced.
      last_init: of the last kernel; zeros at first, so that eta is zero. The others get variance
        2 / fan_in for rectifiers, else 1 / fan_in, counting the connections that stay.

    x is [..., D] and eta [..., D, P]. Params are ``{"dense_0": {"kernel", "bias"}, ...}``, with
    ``"context": {"kernel" [C, H]}`` if there is one. What is masked gets no gradient.

    Raises ValueError for an order that is none, and for x of another width.
    Source: Germain et al. (2015).

    >>> net = made(3, 8, 2)
    >>> params, state = net.init(jax.random.key(0))
    >>> net.apply(params, state, jnp.ones((5, 3)))[0].shape
    (5, 3, 2)
    """
    dim, num_outputs = positive_int("dim", dim), positive_int("num_outputs", num_outputs)
    hidden, d_context = widths_of(hidden), context_width(context)
    masks = made_masks(dim, hidden, order, sees_context=d_context > 0)
    masks[-1] = np.repeat(masks[-1], num_outputs, axis=1)
    phi = layers.activation(activation)
    gain = 2.0 if phi in RECTIFIERS else 1.0

    def init(key):
        params = {}
        for l, mask in enumerate(masks):
            own = jax.random.fold_in(key, l)
            bias = jnp.zeros(mask.shape[1])
            if l == len(masks) - 1:
                kernel = last_init(own, mask.shape, bias.dtype)
            else:
                fan_in = mask.sum(0) + (d_context if l == 0 else 0)
                scale = np.sqrt(gain / np.maximum(fan_in, 1))
                kernel = scale * jax.random.normal(own, mask.shape)
            params[f"dense_{l}"] = {"kernel": jnp.where(mask, kernel, 0), "bias": bias}
        if d_context:
            # Without hidden layers the context goes straight to the outputs.
            first = masks[0].shape[1]
            own = jax.random.fold_in(key, len(masks))
            params["context"] = layers.dense_init(own, d_context, first, use_bias=False)
            if not hidden:
                params["context"]["kernel"] *= 0
        return params

    def apply(params, x, *, key=None, train=False):
        del key, train
        h = check_event(x, (dim,))
        for l, mask in enumerate(masks):
            dense = params[f"dense_{l}"]
            kernel = jnp.where(mask, dense["kernel"], 0)
            a = layers.dense({"kernel": kernel, "bias": dense["bias"]}, h)
            if l == 0 and d_context:
                seen = with_context(a, context)[..., a.shape[-1] :]
                a = a + layers.dense(params["context"], seen)
            h = a if l == len(masks) - 1 else phi(a)
        return h.reshape(*h.shape[:-1], dim, num_outputs)

    return stateless(init, apply)


def made_masks(
    dim: int,
    hidden: Sequence[int],
    order: ArrayLike | None = None,
    *,
    sees_context: bool = False,
) -> list[np.ndarray]:
    """The masks of each kernel: a list of bools [d_in, d_out], the last one's d_out is D.

    With degrees m, a hidden unit sees what has ``m_in <= m``, an output what has ``m < m_out``.

    >>> [mask.astype(int).tolist() for mask in made_masks(2, [1])]
    [[[1], [0]], [[0, 1]]]
    """
    position = positions(dim, order)
    m = [position, *[degrees(dim, width, sees_context) for width in hidden]]
    masks = [a[:, None] <= b for a, b in itertools.pairwise(m)]
    return [*masks, m[-1][:, None] < position]


def positions(dim: int, order: ArrayLike | None) -> np.ndarray:
    """The place 1, ..., D of each variable in the order, its degree, [D]; ``order`` lists variables.

    Raises a ValueError for an order that has not each of 0, ..., D - 1 once.

    >>> positions(3, [2, 0, 1]).tolist()
    [2, 3, 1]
    """
    if order is None:
        return np.arange(1, dim + 1)
    order = np.asarray(order)
    if order.shape != (dim,) or sorted(order.tolist()) != list(range(dim)):
        raise ValueError(f"an order has each of 0, ..., {dim - 1} once, not {order.tolist()}")
    return np.argsort(order) + 1


def degrees(dim: int, width: int, sees_context: bool) -> np.ndarray:
    """The degrees of hidden units [width], as even as possible.

    They are 1, ..., D - 1: a unit of degree D could reach no output. With a context there are units
    of degree 0 too, which see nothing else; the first variable hears of the context through them.

    >>> degrees(4, 5, False).tolist(), degrees(2, 3, True).tolist()
    ([1, 2, 3, 1, 2], [0, 1, 0])
    """
    lowest = 0 if sees_context or dim == 1 else 1
    return lowest + np.arange(width) % max(dim - lowest, 1)
