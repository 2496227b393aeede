"""Layouts: where PyTorch's weights lie in our parameters, read and written."""

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxdl.base import Params, State

Weights = Mapping[str, np.ndarray]


class Layout(NamedTuple):
    """A layer of PyTorch's as one of ours: two functions that undo each other.

    read: ``(weights, prefix) -> (params, state)``, from a state dict's arrays under a prefix.
    write: ``(params, state, prefix) -> weights``, all names that ``read`` looks at.
    """

    read: Callable[[Weights, str], tuple[Params, State]]
    write: Callable[[Params, State, str], dict[str, np.ndarray]]


def from_torch(layout: Layout, weights: Weights, prefix: str = "") -> tuple[Params, State]:
    """Our ``(params, state)`` of a state dict, in JAX's default precision.

    Args:
      layout: of the layer or network, such as ``linear()``.
      weights: arrays by name, ``{k: v.numpy() for k, v in module.state_dict().items()}``.
      prefix: where the layer stands, ``"encoder.layers.0"``; all under it must belong to it.

    Raises a ValueError for a name that is missing or that the layout does not know, and for shapes
    that do not fit together.

    >>> weights = {"weight": np.array([[1.0, 2.0]]), "bias": np.array([3.0])}
    >>> from jaxdl.interop.pytorch import linear
    >>> from_torch(linear(), weights)[0]["kernel"].tolist()
    [[1.0], [2.0]]
    """
    params, state = layout.read(weights, prefix)
    known = layout.write(params, state, prefix)
    under = prefix + "." if prefix else ""
    for name in weights:
        counter = name.endswith("num_batches_tracked")  # nothing that is computed depends on it
        if name.startswith(under) and name not in known and not counter:
            raise ValueError(f"the layout has no place for {name!r}; it knows {_some(known)}")
    return params, state


def to_torch(
    layout: Layout, params: Params, state: State | None = None, prefix: str = ""
) -> dict[str, np.ndarray]:
    """The state dict of our ``(params, state)``, NumPy arrays for ``torch.from_numpy``.

    Raises a ValueError for params that PyTorch's layer has no place for.

    >>> from jaxdl.interop.pytorch import linear
    >>> to_torch(linear(), {"kernel": jnp.array([[1.0], [2.0]])}, prefix="0")
    {'0.weight': array([[1., 2.]], dtype=float32)}
    """
    return layout.write(params, {} if state is None else state, prefix)


def parts(named: Mapping[str, tuple[str, Layout]]) -> Layout:
    """The layout of layers that stand under names: ``{ours: (theirs, layout)}``.

    PyTorch's name ``""`` is that of the whole itself.

    >>> from jaxdl.interop.pytorch import batch_norm, linear
    >>> net = {"dense_0": ("0", linear()), "norm_0": ("1", batch_norm()), "dense_1": ("3", linear())}
    >>> sequential = parts(net)  # Linear, BatchNorm1d, ReLU, Linear
    """

    def read(weights, prefix):
        params, state = {}, {}
        for ours, (theirs, layout) in named.items():
            params[ours], inner = layout.read(weights, join(prefix, theirs))
            state |= {ours: inner} if inner else {}
        return params, state

    def write(params, state, prefix):
        only(params, named)
        weights = {}
        for ours, (theirs, layout) in named.items():
            weights |= layout.write(params[ours], state.get(ours, {}), join(prefix, theirs))
        return weights

    return Layout(read, write)


def stack(layer: Layout, *, norm: Layout | None = None) -> Layout:
    """Layers ``layers.0, layers.1, ...`` as ``layer_0, layer_1, ...``, as many as there are.

    ``norm`` is the layout of what may stand behind them, under ``norm`` in both.
    """

    def of(number, last):
        named = {f"layer_{i}": (f"layers.{i}", layer) for i in range(number)}
        if last and norm is not None:
            named["norm"] = ("norm", norm)
        return parts(named)

    def read(weights, prefix):
        number = count(lambda i: any(n.startswith(join(prefix, f"layers.{i}.")) for n in weights))
        last = norm is not None and any(n.startswith(join(prefix, "norm.")) for n in weights)
        return of(max(number, 1), last).read(weights, prefix)

    def write(params, state, prefix):
        number = count(lambda i: f"layer_{i}" in params)
        return of(max(number, 1), norm is not None and "norm" in params).write(
            params, state, prefix
        )

    return Layout(read, write)


def join(prefix: str, name: str) -> str:
    """``"prefix.name"``, or the one that is not empty."""
    return f"{prefix}.{name}" if prefix and name else prefix or name


def count(present: Callable[[int], bool]) -> int:
    """How many of 0, 1, ... are present before one is not."""
    number = 0
    while present(number):
        number += 1
    return number


def take(weights: Weights, name: str, shape: tuple) -> np.ndarray:
    """An array of this shape, in which None is any size. Raises a ValueError unless it is there."""
    if name not in weights:
        near = difflib.get_close_matches(name, weights, n=1, cutoff=0.7)
        meant = f"did you mean {near[0]!r}?" if near else f"there are {_some(weights)}"
        raise ValueError(f"the weights have no {name!r}; {meant}")
    array = np.asarray(weights[name])
    sizes = zip(array.shape, shape, strict=False)
    if array.ndim != len(shape) or any(n not in (None, m) for m, n in sizes):
        wanted = ", ".join("*" if n is None else str(n) for n in shape)
        raise ValueError(f"{name!r} is [{wanted}] in this layout, not {list(array.shape)}")
    return array


def only(params: Params, known: Iterable[str]) -> None:
    """Raise a ValueError unless the params have exactly these names."""
    if set(params) != set(known):
        raise ValueError(f"PyTorch's layer has {sorted(known)} of ours, not {sorted(params)}")


def ours(array: np.ndarray):
    """A copy as an array of JAX's: PyTorch may change its own later."""
    return jnp.array(array)


def theirs(array) -> np.ndarray:
    """A copy that may be written to, as PyTorch wants it."""
    return np.array(array, order="C")


def _some(names):
    names = sorted(names)
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
