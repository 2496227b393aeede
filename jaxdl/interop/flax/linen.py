"""flax's linen modules as Models."""

from collections.abc import Callable
from typing import Any

import flax.errors
import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.core import meta, unfreeze

from jaxdl.base import Model
from jaxdl.interop.flax.rows import arrays, beside, filled, same_structure


def from_linen(
    module: nn.Module, example: Any, *, call: Callable | None = None, sees_mask: bool = False
) -> Model:
    """The Model of a linen module: ``eta = module(x)``.

    Args:
      module: its settings may be traced, a ``Dropout``'s rate included, so that a module that
        ``make_learner(h)`` makes trains under ``vmap``.
      example: a batch's x with any number of rows; shapes and dtypes count, values only for
        parameters that start from data.
      call: ``(module, x, *, train) -> eta``, how the module is told that it trains. A module with
        ``Dropout`` or ``BatchNorm`` needs one:
        ``lambda module, x, train: module(x, train=train)``.
      sees_mask: whether ``call`` takes ``mask=`` too, [N] bools or None, True for the rows that
        count. Each ``BatchNorm`` of the module is told of them in any case.

    Params are the module's, as its own ``init`` draws them with the same key; the state is its
    other collections, ``{"batch_stats": ...}``, which training changes and evaluation only reads.
    While training all streams of random numbers, ``"dropout"`` and any other, are drawn from the
    key, as by ``module.apply(..., rngs={"dropout": key})``.

    Raises a ValueError for a module that needs a ``call`` and has none; where it draws without
    a key, changes its state while it does not train, or changes the shapes of it.

    >>> net = from_linen(nn.Dense(2), jnp.ones((1, 3)))
    >>> params, state = net.init(jax.random.key(0))
    >>> net.apply(params, state, jnp.ones((5, 3)))[0].shape
    (5, 2)
    """
    how = call if call is not None else lambda module, x, train: module(x)

    def called(module, x, train, mask):
        return how(module, x, train=train, **({"mask": mask} if sees_mask else {}))

    def draw(key):
        x = arrays(example)
        variables = module.init({"params": key}, x, False, None, method=called)
        variables = unfreeze(meta.unbox(variables))
        return variables.pop("params", {}), variables

    seen = set()
    with nn.intercept_methods(_recorder(seen)):
        jax.eval_shape(draw, jax.random.key(0))
    if seen and call is None:
        raise ValueError(
            f"a module with {' and '.join(sorted(seen))} is told when it trains: "
            "call=lambda module, x, train: module(x, train=train), or as its keyword is called"
        )

    def init(key):
        with nn.intercept_methods(_traced_rates):
            return draw(key)

    def apply(params, state, x, *, key=None, train=False, mask=None):
        rngs = {} if key is None else {"params": key}  # flax takes other streams from this one
        x = filled(x, mask)
        variables, mutable = {"params": params, **state}, list(state) if train else []
        with nn.intercept_methods(_traced_rates), nn.intercept_methods(_rows_of(mask)):
            try:
                eta, new = module.apply(
                    variables, x, train, mask, rngs=rngs, mutable=mutable, method=called
                )
            except flax.errors.InvalidRngError as error:
                raise ValueError(f"the module draws, which needs a key: {error}") from error
            except flax.errors.ModifyScopeVariableError as error:
                raise ValueError(
                    "the module changes its state though it does not train; its call must pass "
                    f"train on: {error}"
                ) from error
        return eta, same_structure(unfreeze(new), state) if train else state

    return Model(init, apply, sees_mask or "BatchNorm" in seen)


def _recorder(seen: set):
    """Writes down which layers act in another way while training."""

    def intercept(method, args, kwargs, context):
        for kind in (nn.Dropout, nn.BatchNorm):
            if isinstance(context.module, kind):
                seen.add(kind.__name__)
        return _traced_rates(method, args, kwargs, context)

    return intercept


def _rows_of(mask):
    """Tells each batch normalisation which rows count."""

    def intercept(method, args, kwargs, context):
        told = kwargs.get("mask") is not None
        if mask is None or told or not isinstance(context.module, nn.BatchNorm):
            return method(*args, **kwargs)
        x = args[0] if args else kwargs["x"]
        return method(*args, **{**kwargs, "mask": beside(mask, x)})

    return intercept


def _traced_rates(method, args, kwargs, context):
    """Dropout by a rate that is traced, which flax's own compares with 0 and 1 in Python."""
    module = context.module
    if not isinstance(module, nn.Dropout) or isinstance(module.rate, (int, float)):
        return method(*args, **kwargs)
    return _dropout(module, *args, **kwargs)


def _dropout(module, inputs, deterministic=None, rng=None):
    if nn.merge_param("deterministic", module.deterministic, deterministic):
        return inputs
    rng = module.make_rng(module.rng_collection) if rng is None else rng
    return traced_dropout(inputs, module.rate, rng, module.broadcast_dims)


def traced_dropout(x, rate, key, shared_axes):
    """flax's dropout, with its draws, at a rate that may be traced; axes that share a draw."""
    shape = [
        1 if axis in [s % x.ndim for s in shared_axes] else n for axis, n in enumerate(x.shape)
    ]
    keep = 1 - jnp.asarray(rate)
    kept = jnp.broadcast_to(jax.random.bernoulli(key, keep, shape), x.shape)
    # The rate 1 leaves nothing, and no gradient that is NaN.
    return jnp.where(kept, x / jnp.where(keep > 0, keep, 1).astype(x.dtype), 0)
