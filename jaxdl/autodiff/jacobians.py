"""Chains of Jacobians, and the two orders to multiply them in. Notes: Eq. (25), §4.5."""

import itertools
import math
from collections.abc import Callable, Sequence
from functools import reduce

import jax
import jax.numpy as jnp

from jaxdl import layers
from jaxdl.autodiff.backprop import activations_of, forward
from jaxdl.base import Array, Params
from jaxdl.checks import one_of

MODES = ("reverse", "forward")


def chain_rule_jacobians(
    params: Params, x: Array, *, activation: str | Callable | Sequence = "relu", skip: bool = False
) -> list[Array]:
    """``dh_1/dh_0, ..., dh_L/dh_{L-1}, d eta/dh_L`` at one x [D], [D_{l+1}, D_l] each.

    ``dl/dh_l`` is ``dl/d eta`` times all from the last down to the l-th; for l = L that is the
    output's alone (D-44). Params are those of ``models.mlp``. Raises ValueError unless x is [D].
    Notes: Eq. (25), §4.5.
    """
    if x.ndim != 1:
        raise ValueError(f"x is one example [D], not {x.shape}")
    cache = forward(params, x[None], activation=activation, skip=skip)
    chain = []
    for l, phi in enumerate(activations_of(activation, params)):

        def layer(h, l=l, phi=phi):
            out = layers.activation(phi)(layers.dense(params[f"dense_{l}"], h))
            return layers.add_skip(params.get(f"skip_{l}"), h, out) if skip else out

        chain.append(jax.jacfwd(layer)(cache.hidden[l][0]))
    return [*chain, params[f"dense_{len(chain)}"]["kernel"].T]


def accumulate(jacobians: Sequence[Array], mode: str = "reverse") -> Array:
    """The product of a chain, given from the first layer to the last, [D_out, D_in].

    ``"reverse"`` starts at the output, ``((J_L J_{L-1}) ...) J_0``; ``"forward"`` at the input,
    ``J_L (... (J_1 J_0))``. Both give one matrix, at different costs: see ``flop_count``. Raises
    ValueError for no Jacobians and another mode. Notes: L743, §4.5.
    """
    one_of("mode", mode, MODES)
    if not len(jacobians):
        raise ValueError("a chain has at least one Jacobian")
    if mode == "reverse":
        return reduce(jnp.matmul, reversed(jacobians))
    return reduce(lambda product, j: j @ product, jacobians)


def flop_count(widths: Sequence[int], mode: str = "reverse") -> int:
    """Multiplications that ``accumulate`` takes for layers of these widths [L + 2].

    It is linear in the number of layers, with the width of the end that it starts from in every
    term. Raises ValueError for fewer than two widths and another mode. Notes: L743, §4.5.

    >>> widths = (1, 100, 100, 100, 1000)
    >>> flop_count(widths, "forward"), flop_count(widths, "reverse")
    (120000, 20100000)
    """
    one_of("mode", mode, MODES)
    if len(widths) < 2 or min(widths) < 1:
        raise ValueError(f"widths are two positive numbers or more, not {widths}")
    inner = list(widths[1:]) if mode == "forward" else list(widths[-2::-1])
    end = widths[0] if mode == "forward" else widths[-1]
    return sum(end * a * b for a, b in itertools.pairwise(inner))


def jacobian(fn: Callable[[Array], Array], mode: str = "auto") -> Callable[[Array], Array]:
    """``x -> d fn(x)/dx``, of the shape of fn's value followed by that of x.

    ``"forward"`` costs a pass for each entry of x, ``"reverse"`` one for each entry of the value
    and the memory of all that is in between; ``"auto"`` takes forward where x is the smaller, or
    as small. Raises ValueError for another mode. Notes: §4.5 (E-34).
    """
    one_of("mode", mode, ("auto", *MODES))

    def at(x):
        x = jnp.asarray(x)
        chosen = mode
        if mode == "auto":
            shape = jax.eval_shape(fn, x).shape
            chosen = "forward" if x.size <= math.prod(shape) else "reverse"
        return (jax.jacfwd if chosen == "forward" else jax.jacrev)(fn)(x)

    return at
