"""What a run is given, checked before anything is compiled."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.base import Batch, Learner


def check_learner(learner: Any) -> Learner:
    """The same. Raises a ValueError unless it is a Learner; no shape is involved."""
    if not isinstance(learner, Learner):
        raise ValueError(
            "only a Learner can be trained, such as gradient_learner(model, objective, optimizer) "
            f"gives, not {type(learner).__name__}"
        )
    return learner


def as_arrays(
    data: Any,
    name: str = "data",
    *,
    mended: bool = False,
    advice: str = "drop those rows, or fill them first, with features.impute_mean() say",
) -> Batch:
    """The arrays behind a Dataset, a pair (x [N, D], y [N]) or any pytree, as they are.

    With ``mended`` the first part may have NaNs. Raises a ValueError, with some ``advice``, where
    lengths differ, nothing is there, or a value is not a finite number; traced values are not read.
    """
    if hasattr(data, "x") and hasattr(data, "y"):
        data = (data.x, data.y)
    if isinstance(data, list):
        data = tuple(data)
    data = jax.tree.map(
        lambda leaf: leaf if isinstance(leaf, jax.Array) else np.asarray(leaf), data
    )
    leaves = jax.tree.leaves(data)
    if not leaves or any(leaf.ndim == 0 for leaf in leaves):
        raise ValueError(
            f"{name} must be a pytree of arrays with a leading example axis, as (x, y)"
        )
    lengths = [leaf.shape[0] for leaf in leaves]
    if len(set(lengths)) > 1:
        raise ValueError(f"the parts of the {name} differ in length: {lengths}")
    if lengths[0] == 0:
        raise ValueError(f"the {name} have no rows")
    for position, leaf in enumerate(leaves):
        is_a = lambda kind, leaf=leaf: jnp.issubdtype(leaf.dtype, kind)
        if not (is_a(jnp.floating) or is_a(jnp.integer) or is_a(jnp.bool_)):
            raise ValueError(
                f"part {position} of the {name} is {leaf.dtype}, not a number to learn from"
            )
        mends = mended and position == 0
        if mends or isinstance(leaf, jax.core.Tracer) or not is_a(jnp.floating):
            continue
        odd = int((~(jnp if isinstance(leaf, jax.Array) else np).isfinite(leaf)).sum())
        if odd:
            raise ValueError(
                f"part {position} of the {name} has {odd} values that are NaN or infinite; {advice}"
            )
    return data
