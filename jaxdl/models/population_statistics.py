"""Batch normalisation by the statistics of a whole data set. Notes: §4.5.4 (D-50)."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import cast

import jax
import jax.numpy as jnp

from jaxdl.base import Array, Model, Params, State
from jaxdl.layers.normalization import merge_statistics, with_masks


def population_statistics(
    model: Model,
    params: Params,
    state: State,
    x: Array | Sequence[Array],
    *,
    mask: Array | Sequence[Array] | None = None,
) -> State:
    """The state whose batch normalisation uses the exact mean and variance (1/N) of a data set.

    Layer by layer: the statistics of each are those of what it sees when all layers before it
    already use theirs, in evaluation mode (no dropout). They depend neither on the chunks nor on
    the old state. One pass over the data for each normalised layer.

    Args:
      model: one whose ``apply`` takes ``observe`` (``mlp(..., norm="batch")``); a model without
        state keeps it.
      params: of the model.
      state: of the model.
      x: [N, ...], or a sequence of such chunks.
      mask: [N] True for the rows that count, or one for each chunk.

    Raises ValueError for a model with state but without ``observe``, and masks that do not fit.

    >>> from jaxdl.models import mlp
    >>> net = mlp((1, 2, 1), norm="batch")
    >>> params, state = net.init(jax.random.key(0))
    >>> x = jnp.array([[1.0], [3.0]])
    >>> state = population_statistics(net, params, state, x)
    >>> bool(jnp.allclose(state["norm_0"]["mean"], 2 * params["dense_0"]["kernel"][0]))
    True
    """
    is_layer = lambda node: isinstance(node, dict) and set(node) == {"mean", "var"}
    if not jax.tree.leaves(state):
        return state
    chunks = with_masks(x, mask)
    _refuse_without_observe(model, params, state, chunks[0][0])

    def observe(state, x, mask):
        rows = 1 if mask is None else jnp.sum(jnp.asarray(mask), dtype=float)
        each = math.prod(x.shape[0 if mask is None else jnp.ndim(mask) : -1])
        how = {"observe": True} if mask is None else {"observe": True, "mask": mask}
        return rows * each, cast(Callable, model.apply)(params, state, x, **how)[1]

    def merge(a, b):
        (n_a, a), (n_b, b) = a, b
        both = lambda a, b: merge_statistics((n_a, a), (n_b, b))[1]
        return n_a + n_b, jax.tree.map(both, a, b, is_leaf=is_layer)

    # Each pass settles the next layer at least: all before it have theirs by then.
    for _ in range(len(jax.tree.leaves(state, is_leaf=is_layer))):
        seen = (observe(state, *chunk) for chunk in chunks)
        _, state = functools.reduce(merge, seen)
    return state


def _refuse_without_observe(model, params, state, x):
    """Only calling it tells, since a signature may hide behind a wrapper; shapes are enough."""
    try:
        jax.eval_shape(lambda x: model.apply(params, state, x, observe=True), x)
    except TypeError as error:
        if "unexpected keyword argument 'observe'" not in str(error):
            raise
        message = "population_statistics needs a model whose apply takes `observe`"
        raise ValueError(message) from error
