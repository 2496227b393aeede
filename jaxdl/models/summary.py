"""What a model consists of, and what it costs to apply."""

import html
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.base import Key, Model
from jaxdl.checks import is_whole


class Leaf(NamedTuple):
    """One array of a model's params or state."""

    path: str  # names from the root, "dense_0/kernel"
    shape: tuple[int, ...]
    dtype: str
    size: int  # numbers in it
    bytes: int
    flops: int | None  # of the product of x [N, D] with a kernel [in, out]: 2 N in out; else None


class Summary(NamedTuple):
    """What ``summary`` found; ``print`` shows a table, and a notebook too."""

    params: tuple[Leaf, ...]
    state: tuple[Leaf, ...]
    input_shape: Any  # of x; a dict of shapes where x has several parts
    output_shape: tuple[int, ...]
    size: int  # of all params
    bytes: int  # of all params
    flops: float | None  # of one evaluation of the input, as XLA counts; None where it does not

    def __str__(self) -> str:
        table = [_HEADER, *_table(self)]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]

        def line(row):
            return "  ".join(
                cell.ljust(w) if i < 3 else cell.rjust(w)
                for i, (cell, w) in enumerate(zip(row, widths, strict=True))
            ).rstrip()

        rule = "-" * (sum(widths) + 2 * len(widths) - 2)
        return "\n".join([line(table[0]), rule, *map(line, table[1:]), rule, _totals(self)])

    def _repr_html_(self) -> str:
        row = lambda cells, tag: "".join(f"<{tag}>{html.escape(c)}</{tag}>" for c in cells)
        body = "".join(f"<tr>{row(cells, 'td')}</tr>" for cells in _table(self))
        head = f"<thead><tr>{row(_HEADER, 'th')}</tr></thead>"
        return f"<table>{head}<tbody>{body}</tbody></table><p>{html.escape(_totals(self))}</p>"


def summary(model: Model, x: Any, *, key: Key | None = None) -> Summary:
    """The arrays of a model by path, with shapes, sizes and bytes, and the FLOPs of ``apply``.

    Nothing is computed: everything comes from shapes. ``x`` is what the model reads, with arrays or
    ``jax.ShapeDtypeStruct``s in it (an array, Sequences, a dict of a source and a target), or the
    shape of an array of floats; ``key`` matters only for models whose shapes depend on it. The
    FLOPs are those of one evaluation of the whole of x, by XLA's cost analysis of the program as
    lowered, which counts the body of a loop once; a dense layer has 2 D_in D_out for each row of
    x and D_out for its offsets.

    >>> from jaxdl.models import mlp
    >>> print(summary(mlp((4, 8, 3)), (1, 4)))  # doctest: +ELLIPSIS
    params          shape   dtype    size  bytes  flops
    ---------------------------------------------------
    dense_0/bias    [8]     float32     8     32
    dense_0/kernel  [4, 8]  float32    32    128     64
    ...
    67 parameters, 268 bytes; [1, 4] -> [1, 3] in 131 FLOPs
    """
    if isinstance(x, (tuple, list)) and all(map(is_whole, x)):
        x = jax.ShapeDtypeStruct(tuple(x), jnp.zeros((), float).dtype)
    x = jax.tree.map(lambda part: jax.ShapeDtypeStruct(jnp.shape(part), part.dtype), x)
    params, state = jax.eval_shape(model.init, jax.random.key(0) if key is None else key)
    apply = lambda params, state, x: model.apply(params, state, x)[0]
    eta = jax.eval_shape(apply, params, state, x)
    costs = jax.jit(apply).lower(params, state, x).cost_analysis() or {}
    table = isinstance(x, jax.ShapeDtypeStruct) and len(x.shape) == 2
    reads_rows = table and jnp.issubdtype(x.dtype, jnp.inexact)
    leaves = _leaves(params, x.shape[0] if reads_rows else None)
    size, n_bytes = sum(leaf.size for leaf in leaves), sum(leaf.bytes for leaf in leaves)
    return Summary(
        leaves, _leaves(state, None), _shapes(x), eta.shape, size, n_bytes, costs.get("flops")
    )


def _shapes(x):
    """The shape of an array; of several, ``{path: shape}``."""
    if isinstance(x, jax.ShapeDtypeStruct):
        return x.shape
    return {_path(path): part.shape for path, part in jax.tree_util.tree_leaves_with_path(x)}


def _path(path):
    return "/".join(str(getattr(p, "key", getattr(p, "name", p))) for p in path)


def _leaves(tree, rows):
    return tuple(
        _leaf(_path(path), leaf, rows) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    )


def _leaf(path, leaf, rows):
    kernel = leaf.ndim == 2 and path.rpartition("/")[2] == "kernel"
    flops = 2 * rows * leaf.size if rows is not None and kernel else None
    n_bytes = leaf.size * leaf.dtype.itemsize
    return Leaf(path, leaf.shape, str(leaf.dtype), leaf.size, n_bytes, flops)


_HEADER = ("params", "shape", "dtype", "size", "bytes", "flops")


def _table(s):
    def rows(leaves):
        return [
            (
                leaf.path,
                str(list(leaf.shape)),
                leaf.dtype,
                f"{leaf.size:,}",
                f"{leaf.bytes:,}",
                "" if leaf.flops is None else f"{leaf.flops:,}",
            )
            for leaf in leaves
        ]

    state = [("state", "", "", "", "", ""), *rows(s.state)] if s.state else []
    return rows(s.params) + state


def _totals(s):
    cost = "" if s.flops is None else f" in {s.flops:,.0f} FLOPs"
    read = s.input_shape if isinstance(s.input_shape, dict) else {"": s.input_shape}
    inputs = ", ".join(f"{name} {list(shape)}".strip() for name, shape in read.items())
    shapes = f"{inputs} -> {list(s.output_shape)}"
    return f"{s.size:,} parameters, {s.bytes:,} bytes; {shapes}{cost}"
