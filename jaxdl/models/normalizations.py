"""The normalisation that a model's ``norm`` means, and trees without the layers that have none."""

from typing import Any

import jax

from jaxdl import layers
from jaxdl.base import Array
from jaxdl.checks import one_of

_ABSENT = layers.Normalization(
    lambda features: ({}, {}),
    lambda params, state, x, *, train=False, mask=None, observe=False: (x, state),
)


def find_normalization(
    norm: layers.Normalization | str | None,
    momentum: float | Array = 0.9,
    statistics: str = "running",
) -> layers.Normalization:
    """A Normalization as it is, or that of a name: "batch" (with these settings) or "layer".

    None's leaves x as it is, with neither parameters nor a state. Raises ValueError for other names.
    """
    if isinstance(norm, layers.Normalization):
        return norm
    one_of("norm (a Normalization or a name)", norm, (None, "batch", "layer"))
    named = {
        None: _ABSENT,
        "batch": layers.batch_normalization(momentum=momentum, statistics=statistics),
        "layer": layers.layer_normalization(),
    }
    return named[norm]


def without_empty(tree: dict[str, Any]) -> dict[str, Any]:
    """The tree without layers that have no arrays.

    >>> without_empty({"dense_0": {"bias": 0.5}, "norm_0": {}})
    {'dense_0': {'bias': 0.5}}
    """
    return {name: part for name, part in tree.items() if jax.tree.leaves(part)}
