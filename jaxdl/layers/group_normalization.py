"""Group normalisation: an example's features are normalised in groups, over all places. Notes: §4.5.4."""

import math

import jax.numpy as jnp

from jaxdl.base import Array, Params
from jaxdl.checks import positive_int
from jaxdl.layers.normalization import standardized


def group_norm(
    params: Params, x: Array, *, groups: int, spatial: int = 2, epsilon: float | Array = 1e-5
) -> Array:
    """``y = beta + gamma (x - E[x]) / sqrt(Var[x] + epsilon)`` for each example and group.

    E and Var run over the D / G features of a group and over the places of one example: rows do
    not meet, while training and afterwards alike. One group without places is layer normalisation.
    Source: Wu and He (2018).

    Args:
      params: ``scale`` gamma and ``bias`` beta, [D], as of ``layer_norm_init``.
      x: [..., *places, D] with ``spatial`` axes of places: 2 for images, 0 for vectors.
      groups: G, which divides D; group g holds the features g D / G, ..., (g + 1) D / G - 1.
      epsilon: may be traced.

    Raises ValueError for x of another width or too few axes, for groups that do not divide D, and
    for groups of one number, of which nothing would be left.

    >>> params = {"scale": jnp.ones(4), "bias": jnp.zeros(4)}
    >>> x = jnp.array([1.0, 3.0, 10.0, 30.0])
    >>> group_norm(params, x, groups=2, spatial=0).round(3).tolist()
    [-1.0, 1.0, -1.0, 1.0]
    """
    width, groups = params["scale"].size, positive_int("groups", groups)
    if x.ndim <= spatial or x.shape[-1] != width:
        raise ValueError(
            f"group_norm of {width} features with {spatial} axes of places got {x.shape}"
        )
    if width % groups:
        raise ValueError(f"{groups} groups do not divide {width} features")
    places = x.shape[x.ndim - 1 - spatial : -1]
    if math.prod(places) * width == groups:
        raise ValueError(
            f"a group of one number is always 0 less its mean: {groups} groups of x {x.shape}"
        )
    values = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    grouped = values.reshape(*x.shape[:-1], groups, width // groups)
    axes = (*range(-2 - spatial, -2), -1)
    y = standardized(grouped, axes, epsilon).reshape(x.shape)
    dtype = jnp.result_type(x.dtype, params["scale"].dtype)
    return (y * params["scale"] + params["bias"]).astype(dtype)
