"""Our parameters as a linen module's variables, and back."""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp

from jaxdl.base import Params, State

# The layers of flax's cells, in our order of gates: of the input, of the state; and which of them
# have an offset.
CELLS = {
    1: (("i",), ("h",), ("i",)),
    3: (("ir", "iz", "in"), ("hr", "hz", "hn"), ("ir", "iz", "in", "hn")),
    4: (("ii", "if", "ig", "io"), ("hi", "hf", "hg", "ho"), ("hi", "hf", "hg", "ho")),
}


def to_variables(
    params: Params, state: State | None = None, *, names: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """``{"params", "batch_stats"}`` for a linen module whose layers have the same names.

    Leaf names and layouts of dense layers, convolutions, embeddings, normalisations and attention
    are flax's as they are. Recurrent cells, in which all gates are one kernel, become those of
    ``SimpleCell``, ``GRUCell`` (``reset="after"``) and ``LSTMCell``; without offsets, with zeros.
    ``layers.conv_transpose`` is flax's ``ConvTranspose`` with ``flip_kernel=True``.

    Args:
      params, state: of a Model; the state is that of its batch normalisations.
      names: what the layers are called, ``{"dense": "Dense"}`` for ``dense_0`` as ``Dense_0``, the
        name that a compact module gives.

    Raises a ValueError for a cell that flax has not: with a learned initial state, or a GRU whose
    reset gate comes first.

    >>> to_variables({"dense_0": {"kernel": jnp.ones((1, 1))}}, names={"dense": "Dense"})
    {'params': {'Dense_0': {'kernel': Array([[1.]], dtype=float32)}}}
    """
    tree = {"params": _walk(params, names or {}, _cell_to_flax)}
    return {**tree, "batch_stats": _walk(state, names or {}, _cell_to_flax)} if state else tree


def from_variables(
    variables: Mapping[str, Any], *, names: Mapping[str, str] | None = None
) -> tuple[Params, State]:
    """Our ``(params, state)`` of a linen module's variables, as ``to_variables`` would give them.

    ``names`` is the same as there: ours to flax's. Raises a ValueError for other collections than
    ``params`` and ``batch_stats``.

    >>> from_variables({"params": {"Dense_0": {"bias": jnp.ones(1)}}}, names={"dense": "Dense"})
    ({'dense_0': {'bias': Array([1.], dtype=float32)}}, {})
    """
    if more := sorted(set(variables) - {"params", "batch_stats"}):
        raise ValueError(f"Models have params and batch_stats of flax's collections, not {more}")
    back = {theirs: ours for ours, theirs in (names or {}).items()}
    parts = (variables.get(name, {}) for name in ("params", "batch_stats"))
    params, state = (_walk(part, back, _cell_from_flax) for part in parts)
    return params, state


def _walk(tree: Any, names: Mapping[str, str], convert: Callable) -> Any:
    """The tree with its layers called otherwise, and with each recurrent cell in it converted."""
    if not isinstance(tree, Mapping):
        return tree
    if (cell := convert(tree)) is not None:
        return cell
    return {_renamed(name, names): _walk(inner, names, convert) for name, inner in tree.items()}


def _renamed(name: str, names: Mapping[str, str]) -> str:
    stem, _, number = name.rpartition("_")
    return f"{names[stem]}_{number}" if number.isdigit() and stem in names else name


def _cell_to_flax(tree: Mapping) -> dict | None:
    """flax's cell of ours, or None for what is no cell."""
    if not set(tree) >= {"input", "recurrent"}:
        return None
    if "initial" in tree:
        raise ValueError("flax's cells start at a carry that is given, not at a learned one")
    w, u = tree["input"]["kernel"], tree["recurrent"]["kernel"]
    bias, candidate = tree["input"].get("bias"), tree["recurrent"].get("bias")
    gates = u.shape[1] // u.shape[0]
    of_input, of_state, _ = CELLS[gates]
    if gates == 3 and bias is not None and candidate is None:
        raise ValueError('flax\'s GRUCell resets after the product: gru_cell(reset="after")')
    bias = jnp.zeros(u.shape[1], u.dtype) if bias is None else bias
    candidate = jnp.zeros(u.shape[0], u.dtype) if candidate is None else candidate
    kernels = {**_split(of_input, w), **_split(of_state, u)}
    offsets = _split(of_state if gates == 4 else of_input, bias)
    offsets |= {"hn": candidate} if gates == 3 else {}
    return {
        name: {"kernel": kernel, **({"bias": offsets[name]} if name in offsets else {})}
        for name, kernel in kernels.items()
    }


def _cell_from_flax(tree: Mapping) -> dict | None:
    """Our cell of flax's, or None for what is no cell."""
    of_input, of_state, offset = next(
        (names for names in CELLS.values() if set(tree) == {*names[0], *names[1]}), ((), (), ())
    )
    if not of_input or not all("kernel" in layer for layer in tree.values()):
        return None
    join = lambda names, leaf: jnp.concatenate([tree[name][leaf] for name in names], axis=-1)
    recurrent = {"kernel": join(of_state, "kernel")}
    if "hn" in offset:
        recurrent["bias"] = tree["hn"]["bias"]
    bias = join(offset[: len(of_input)], "bias")
    return {"input": {"kernel": join(of_input, "kernel"), "bias": bias}, "recurrent": recurrent}


def _split(names, joined):
    return dict(zip(names, jnp.split(joined, len(names), axis=-1), strict=True))
