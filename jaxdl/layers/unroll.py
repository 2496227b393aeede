"""Cells through time: forwards, backwards, both, several on top of each other. Notes: §7.1."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxdl.base import Array, Cell, Key, Params, Sequences
from jaxdl.checks import positive_int
from jaxdl.layers.dropout import dropout as drop
from jaxdl.layers.recurrence import hold
from jaxdl.layers.recurrent import initial_carry

Layer = Cell | tuple[Cell, Cell]  # a pair runs forwards and backwards


def unroll(
    cell: Cell,
    params: Params,
    x: Array | Sequences,
    *,
    initial: Any = None,
    reverse: bool = False,
) -> tuple[Any, Array]:
    """A cell through time: ``(carry_T, y [B, T, H])`` for x [B, T, D].

    Of Sequences, the carry stays after each row's last position, so carry_T is that of its own
    end, and y is 0 behind it; what stands there, NaN included, changes nothing (D-66).

    Args:
      cell, params: the recurrence.
      x: array, or Sequences with values [B, T, D].
      initial: the carry to start from; default the cell's own, zeros, ones or learned.
      reverse: whether to go from each row's end to its beginning; y keeps x's order.

    Raises ValueError unless x has three axes. Notes: L933, §7.1.

    >>> from jaxdl.layers.recurrent import simple_cell
    >>> add = simple_cell(1, 1, activation="identity", use_bias=False)
    >>> ones = {"input": {"kernel": jnp.ones((1, 1))}, "recurrent": {"kernel": jnp.ones((1, 1))}}
    >>> x = Sequences(jnp.array([[[1.0], [2.0], [3.0]]]), jnp.array([2]))
    >>> (h,), y = unroll(add, ones, x)
    >>> h.tolist(), y[0, :, 0].tolist()
    ([[3.0]], [1.0, 3.0, 0.0])
    """
    values, mask = _parts(x)
    if reverse:
        values = _reversed(values, x)
    carry = _start(cell, params, values, initial)
    carry, y = _time_major(cell, params, carry, values.swapaxes(0, 1), _swapped(mask))
    y = y.swapaxes(0, 1)
    if mask is not None:
        y = jnp.where(mask[..., None], y, 0)
    return carry, _reversed(y, x) if reverse else y


def truncated_unroll(
    cell: Cell, params: Params, x: Array | Sequences, *, steps: int, initial: Any = None
) -> tuple[Any, Array]:
    """``unroll`` whose gradients do not pass from one chunk of ``steps`` positions to that before.

    The carry goes on from chunk to chunk, so values are those of ``unroll``, exactly; backward,
    each chunk but the first takes the carry that it starts from as a constant, so that a learned
    initial carry still learns. Raises ValueError unless ``steps`` is a positive whole number.
    Source: Williams and Peng (1990). Notes: §7.1.
    """
    positive_int("steps", steps)
    values, mask = _parts(x)
    rows, length = values.shape[:2]
    carry = _start(cell, params, values, initial)
    if length == 0:
        return unroll(cell, params, x, initial=initial)
    chunks = -(-length // steps)
    fill = chunks * steps - length
    if mask is None:
        mask = jnp.ones((rows, length), bool)
    cut = lambda part: part.swapaxes(0, 1).reshape(chunks, steps, rows, *part.shape[2:])
    values = cut(jnp.pad(values, ((0, 0), (0, fill), (0, 0))))
    counts = cut(jnp.pad(mask, ((0, 0), (0, fill))))

    def chunk(carry, now):
        first, values, counts = now
        cut_off = lambda c: jnp.where(first, c, jax.lax.stop_gradient(c))
        return _time_major(cell, params, jax.tree.map(cut_off, carry), values, counts)

    carry, y = jax.lax.scan(chunk, carry, (jnp.arange(chunks) == 0, values, counts))
    y = y.reshape(chunks * steps, rows, -1)[:length].swapaxes(0, 1)
    return carry, jnp.where(mask[..., None], y, 0)


def stacked_init(key: Key, layers: Sequence[Layer]) -> Params:
    """``{"layer_0": ..., ...}`` with a cell's params, or ``{"forward", "backward"}`` of a pair's.

    The key is consumed.
    """
    params = {}
    for i, (layer, k) in enumerate(zip(layers, jax.random.split(key, len(layers)), strict=True)):
        if isinstance(layer, Cell):
            params[f"layer_{i}"] = layer.init(k)
        else:
            keys = jax.random.split(k)
            names = ("forward", "backward")
            params[f"layer_{i}"] = {
                name: cell.init(k) for name, cell, k in zip(names, layer, keys, strict=True)
            }
    return params


def stacked(
    layers: Sequence[Layer],
    params: Params,
    x: Array | Sequences,
    *,
    initial: Sequence[Any] | None = None,
    dropout: float | Array = 0.0,
    key: Key | None = None,
    train: bool = False,
) -> tuple[list[Any], Array]:
    """Recurrent layers on top of each other: each reads the outputs of the one below.

    A layer is a cell, or a pair of cells that runs in both directions (``bidirectional``).

    Args:
      layers, params: see ``stacked_init``.
      x: as in ``unroll``.
      initial: the carries to start from, one for each layer.
      dropout, key, train: of the outputs between two layers; see ``layers.dropout``.

    Returns the carries of all layers, and the last one's outputs [B, T, H], or [B, T, 2H].
    """
    carries = []
    initial = [None] * len(layers) if initial is None else initial
    for i, (layer, start) in enumerate(zip(layers, initial, strict=True)):
        run: Callable = unroll if isinstance(layer, Cell) else bidirectional
        carry, y = run(layer, params[f"layer_{i}"], x, initial=start)
        carries.append(carry)
        if i < len(layers) - 1:
            layer_key = None if key is None else jax.random.fold_in(key, i)
            y = drop(y, dropout, key=layer_key, train=train)
        x = x._replace(values=y) if isinstance(x, Sequences) else y
    return carries, y


def bidirectional(
    cells: tuple[Cell, Cell], params: Params, x: Array | Sequences, *, initial: Any = None
) -> tuple[tuple[Any, Any], Array]:
    """Two cells, one from the beginning to each row's end and one back: outputs [B, T, 2H] aside.

    Params are ``{"forward", "backward"}``; ``initial`` is a pair of carries. Returns both last
    carries, the backward one's at each row's beginning. Source: Schuster and Paliwal (1997).
    """
    first, second = (None, None) if initial is None else initial
    forward, y = unroll(cells[0], params["forward"], x, initial=first)
    backward, z = unroll(cells[1], params["backward"], x, initial=second, reverse=True)
    return (forward, backward), jnp.concatenate([y, z], axis=-1)


def _parts(x):
    """Values [B, T, D] and mask [B, T], or None where every position counts."""
    values, mask = (x.filled(), x.mask) if isinstance(x, Sequences) else (jnp.asarray(x), None)
    if values.ndim != 3:
        raise ValueError(f"a recurrence reads x [B, T, D], not {list(values.shape)}")
    return values, mask


def _start(cell, params, values, initial):
    carry = initial_carry(cell, params, values.shape[:1]) if initial is None else initial
    # What a loop carries keeps its type, which is that of a step's result.
    row = jax.ShapeDtypeStruct((values.shape[0], values.shape[2]), values.dtype)
    of_step, _ = jax.eval_shape(cell.step, params, carry, row)
    return jax.tree.map(lambda c, s: c.astype(s.dtype), carry, of_step)


def _time_major(cell, params, carry, x, mask):
    """``(carry, y [T, B, H])`` for x [T, B, D] and mask [T, B]."""
    if cell.unroll is not None:
        return cell.unroll(params, carry, x, mask)

    def step(carry, now):
        x, mask = now
        new, y = cell.step(params, carry, x)
        return hold(mask, new, carry), y

    return jax.lax.scan(step, carry, (x, mask))


def _swapped(mask):
    return None if mask is None else mask.swapaxes(0, 1)


def _reversed(values, x):
    """The values [B, T, ...] from each row's end to its beginning; its own inverse."""
    if not isinstance(x, Sequences):
        return jnp.flip(values, axis=1)
    steps = jnp.arange(values.shape[1])
    lengths = jnp.asarray(x.lengths)[:, None]
    index = jnp.where(steps < lengths, lengths - 1 - steps, steps)
    return jnp.take_along_axis(values, index[..., None], axis=1)
