"""Models that are told something besides x, and models whose output has axes. Notes: §9.2."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jaxdl.base import Array, Model
from jaxdl.checks import positive_int


def conditioned(model: Model, num_classes: int | None = None) -> Model:
    """A model of ``{"x": x, "condition": c}``: it is given x with c as more features.

    The encoder of a conditional VAE is one of x, its decoder one of z. Source: Sohn et al. (2015).

    Args:
      model: from x [N, ..., D + C] to eta; ``mlp((64 + 10, 32, 4))`` for D = 64 and ten classes.
      num_classes: C of classes c [N] (whole numbers), as one-hot rows; None for c [N, C] as it is.
        Images [N, H, W, D] have c at every pixel.

    Raises ValueError for x without a condition, classes that are no whole numbers, and numbers of
    rows that differ. A class outside 0..C-1 gives NaN.

    >>> from jaxdl import models
    >>> net = conditioned(models.mlp((2 + 3, 4)), num_classes=3)
    >>> x = {"x": jnp.ones((5, 2)), "condition": jnp.arange(5) % 3}
    >>> net.apply(*net.init(jax.random.key(0)), x)[0].shape
    (5, 4)
    """
    if num_classes is not None:
        positive_int("num_classes", num_classes)

    def apply(params, state, x, **how):
        return model.apply(params, state, _joined(x, num_classes), **how)

    def plain(params, state, x, *, key=None, train=False):
        return apply(params, state, x, key=key, train=train)

    def with_rows(params, state, x, *, key=None, train=False, mask=None, observe=False):
        return apply(params, state, x, key=key, train=train, mask=mask, observe=observe)

    return Model(model.init, with_rows if model.sees_mask else plain, model.sees_mask)


def reshaped(model: Model, shape: Sequence[int]) -> Model:
    """The model with its output [..., prod(shape)] as [..., *shape].

    So that an ``mlp`` gives images, or the two numbers of ``heteroskedastic_normal`` for each value.

    >>> from jaxdl import models
    >>> net = reshaped(models.mlp((2, 10)), (5, 2))
    >>> net.apply(*net.init(jax.random.key(0)), jnp.ones((3, 2)))[0].shape
    (3, 5, 2)
    """
    shape = tuple(positive_int("shape", n) for n in shape)

    def as_shape(result):
        eta, state = result
        if eta.shape[-1] != math.prod(shape):
            raise ValueError(f"eta of {eta.shape[-1]} features does not fill the shape {shape}")
        return eta.reshape(*eta.shape[:-1], *shape), state

    def plain(params, state, x, *, key=None, train=False):
        return as_shape(model.apply(params, state, x, key=key, train=train))

    def with_rows(params, state, x, *, key=None, train=False, mask=None, observe=False):
        how = {"key": key, "train": train, "mask": mask, "observe": observe}
        return as_shape(model.apply(params, state, x, **how))

    return Model(model.init, with_rows if model.sees_mask else plain, model.sees_mask)


def _joined(x, num_classes) -> Array:
    if not isinstance(x, dict) or set(x) != {"x", "condition"}:
        raise ValueError('a conditioned model is given {"x": x, "condition": c}')
    values, c = jnp.asarray(x["x"]), jnp.asarray(x["condition"])
    if num_classes is not None:
        if not jnp.issubdtype(c.dtype, jnp.integer):
            raise ValueError(f"conditions are classes of whole numbers, not {c.dtype}")
        known = (c >= 0) & (c < num_classes)
        c = jnp.where(known[..., None], jax.nn.one_hot(c, num_classes), jnp.nan)
    lead = c.ndim - 1
    if c.ndim < 1 or values.ndim <= lead or values.shape[:lead] != c.shape[:-1]:
        raise ValueError(f"there is a condition for each x, but {c.shape[:-1]} for {values.shape}")
    c = c.reshape(*c.shape[:-1], *(1,) * (values.ndim - c.ndim), c.shape[-1])
    c = jnp.broadcast_to(c, (*values.shape[:-1], c.shape[-1])).astype(_float_of(values))
    return jnp.concatenate([values.astype(c.dtype), c], axis=-1)


def _float_of(values):
    return values.dtype if jnp.issubdtype(values.dtype, jnp.floating) else jnp.result_type(float)
