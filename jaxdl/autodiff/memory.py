"""What backpropagation keeps, and how to keep less of it. Notes: §4.5 (E-33)."""

from collections.abc import Callable

import jax
from jax import lax

from jaxdl.base import Array, Params


def peak_memory(fn: Callable, *args) -> int:
    """Bytes that the compiled ``fn(*args)`` takes besides its arguments and results.

    ``args`` are arrays or their ``ShapeDtypeStruct``s; nothing is run. The number is
    XLA's; 0 where a backend gives none.
    """
    analysis = jax.jit(fn).lower(*args).compile().memory_analysis()
    return 0 if analysis is None else analysis.temp_size_in_bytes


def stack_layers(
    layer: Callable,
    params: Params,
    x: Array,
    *,
    remat: bool = False,
    policy: Callable | None = None,
) -> Array:
    """``layer(params[L-1], ... layer(params[1], layer(params[0], x)))`` as one ``lax.scan``.

    With ``remat`` the way back recomputes what is inside a layer from the layer's input, so that
    only the L inputs are kept: the same gradient for less memory and about a third more work.

    Args:
      layer: ``(params, h [...]) -> h [...]``, of one shape.
      params: a pytree of the layers' parameters, stacked along an axis [L].
      x: [...].
      remat: whether to recompute; static.
      policy: what to keep all the same, one of ``jax.checkpoint_policies``.

    Source: Chen et al. (2016). Raises what ``lax.scan`` raises for layers that change shapes.
    """

    def step(h, w):
        return layer(w, h), None

    # Inside a scan nothing can undo the recomputation, so XLA needs no barrier against it.
    body = jax.checkpoint(step, policy=policy, prevent_cse=False) if remat else step
    return lax.scan(body, x, params)[0]
