"""Which parts of a transformer lie on which devices, by the names of its parameters.

Three axes of a mesh. Over ``data`` examples are divided, over ``parameters`` both examples and the
parameters (each is gathered where it is used), over ``tensor`` the heads, the hidden widths and the
vocabulary: what one device computes of them needs no other device's part before the sum that joins
them. Sources: Shoeybi et al. (2019), Megatron-LM; Rajbhandari et al. (2020), ZeRO; Zhao et al. (2023),
FSDP.
"""

import re
from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

DATA, PARAMETERS, TENSOR = AXES = ("data", "parameters", "tensor")

# The ends of paths, and the axes of what is there. A product's input is gathered over
# ``parameters``; its output, or what it sums over, is divided by ``tensor``.
_RULES = (
    (r"(query|key|value)/kernel", (PARAMETERS, TENSOR, None)),  # [D, h, k]
    (r"(query|key|value)/bias", (TENSOR, None)),  # [h, k]
    (r"out/kernel", (TENSOR, None, PARAMETERS)),  # [h, v, D]
    (r"ffn/dense_0/kernel", (PARAMETERS, TENSOR)),  # [D, H]
    (r"ffn/dense_0/bias", (TENSOR,)),  # [H]
    (r"ffn/dense_1/kernel", (TENSOR, PARAMETERS)),  # [H, D]
    (r"tokens/embedding", (TENSOR, PARAMETERS)),  # [V, D]
    (r"positions/embedding", (None, PARAMETERS)),  # [T, D]
    (r"output/kernel", (PARAMETERS, TENSOR)),  # [D, V]
)


def transformer_spec(path: str) -> PartitionSpec:
    """The PartitionSpec of a transformer's parameter, by its path; of ``models`` that have layers.

    Only the end of the path counts, so an optimizer's moments lie where their parameters do. Layers
    that are stacked (``"layers"`` in the path) have an axis more, which is whole. What no rule names
    (norms, biases that are added after a sum, counters) is on every device.

    >>> tuple(transformer_spec("decoder/layer_0/ffn/dense_0/kernel"))
    ('parameters', 'tensor')
    >>> tuple(transformer_spec("decoder/layers/attention/out/kernel"))
    (None, 'tensor', None, 'parameters')
    >>> tuple(transformer_spec("decoder/norm/scale"))
    ()
    """
    stacked = (None,) * ("layers" in path.split("/"))
    for end, axes in _RULES:
        if re.search(rf"(^|/){end}$", path):
            return PartitionSpec(*stacked, *axes)
    return PartitionSpec()


def batch_spec() -> PartitionSpec:
    """The PartitionSpec of a batch [B, ...]: examples lie over ``data`` and ``parameters``."""
    return PartitionSpec((DATA, PARAMETERS))


def shardings(tree: Any, mesh: Mesh, rule: Callable[[str], PartitionSpec]) -> Any:
    """A NamedSharding for each array of a tree (of parameters, or a whole training state).

    Args:
      tree: arrays or their shapes, as ``jax.eval_shape(learner.init, key)`` gives them.
      mesh: has the axes that the rule names.
      rule: ``(path) -> PartitionSpec``; a path joins names by "/".

    Raises a ValueError for an axis that the number of its devices does not divide.
    """

    def of_leaf(path, leaf):
        name = "/".join(map(_name, path))
        spec = rule(name)
        for size, axis in zip(leaf.shape, spec, strict=False):
            parts = 1 if axis is None else mesh.shape[axis]
            if size % parts:
                raise ValueError(
                    f"{name} {list(leaf.shape)} cannot be divided into {parts} parts over {axis!r}; "
                    f"make {size} a multiple of {parts}, or the mesh smaller there"
                )
        return NamedSharding(mesh, spec)

    return jax.tree_util.tree_map_with_path(of_leaf, tree)


def _name(entry: Any) -> str:
    """The name of a path's entry: a dict's key, a tuple's field, a number."""
    for field in ("key", "name", "idx"):
        if hasattr(entry, field):
            return str(getattr(entry, field))
    return str(entry)
