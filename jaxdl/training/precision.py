"""Mixed precision: what a model is stored, computed and answered in."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.base import Model


class Precision(NamedTuple):
    """The dtypes of parameters, of what is computed with them, and of the model's output.

    The default is what accelerators like: products in bfloat16, which keeps float32's range so
    that no loss needs scaling, with parameters, statistics, losses and updates in float32.
    Source: Micikevicius et al. (2018); Kalamkar et al. (2019).
    """

    params: jax.typing.DTypeLike = jnp.float32
    compute: jax.typing.DTypeLike = jnp.bfloat16
    output: jax.typing.DTypeLike = jnp.float32


def mixed_precision(model: Model, precision: Precision = Precision()) -> Model:  # noqa: B008
    """A model in another Precision: ``eta = f(x; w)`` with w and x [..., D] cast to ``compute``.

    Gradients have the parameters' dtype. Statistics of batch normalisation stay in their own, and
    are reduced in float32; whole numbers are not cast. Raises ValueError for a dtype that is not
    of real floating-point numbers.

    >>> from jaxdl import models
    >>> net = mixed_precision(models.mlp((4, 8, 3)))
    >>> params, state = net.init(jax.random.key(0))
    >>> net.apply(params, state, jnp.ones((2, 4)))[0].dtype.name
    'float32'
    """
    for name, dtype in precision._asdict().items():
        if not jnp.issubdtype(dtype, jnp.floating):
            raise ValueError(f"the precision of {name} must be a floating dtype, not {dtype}")

    def init(key):
        params, state = model.init(key)
        return _cast(params, precision.params), state

    def apply(params, state, x, *, key=None, train=False, mask=None):
        rows = {"mask": mask} if model.sees_mask else {}
        eta, new = model.apply(
            _cast(params, precision.compute),
            state,
            _cast(x, precision.compute),
            key=key,
            train=train,
            **rows,
        )
        new = jax.tree.map(lambda n, o: n.astype(o.dtype), new, state)
        return _cast(eta, precision.output), new

    return Model(init, apply, model.sees_mask)


def _cast(tree, dtype):
    real = lambda x: jnp.issubdtype(x.dtype, jnp.floating)
    return jax.tree.map(lambda x: jnp.asarray(x, dtype) if real(x) else x, tree)
