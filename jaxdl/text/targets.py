"""What a model that writes is told while it learns: the true tokens before each. Notes: §7.3."""

from typing import Any

import jax.numpy as jnp

from jaxdl.arrays import num_rows
from jaxdl.base import Sequences
from jaxdl.checks import is_whole


def teacher_forcing(
    source: Any, target: Sequences, *, bos_id: int, eos_id: int, pad_id: int
) -> tuple[dict[str, Any], Sequences]:
    """The batch of ``training.sequence_nll`` for an encoder and decoder: what is read, what is said.

    ``inputs_t = y_{t-1}`` with y_0 = BOS, for targets y_1, ..., y_T, y_{T+1} = EOS: position t reads
    the tokens before t, and answers with token t. Both are one longer than ``target``. Lengths alone
    say what counts; an EOS counts even where ``pad_id`` is the same id, and so does a token of the
    target that is one of the three. Notes: Eqs. (32), (38), (44), §7.2, §7.3, §8.3.2 (D-68, D-74).

    Args:
      source: Sequences or an array with N rows; it is passed on.
      target: Sequences [N, T] of tokens, without BOS and EOS.
      bos_id, eos_id: what begins and ends a target.
      pad_id: what stands behind the ends.

    Returns:
      ``({"source": source, "inputs": Sequences [N, T + 1]}, Sequences [N, T + 1])``.

    Raises a ValueError for ids that are no tokens, for a target that is not Sequences [N, T], and
    for a source with another number of rows.

    >>> x, y = teacher_forcing(
    ...     jnp.array([[7]]), Sequences(jnp.array([[5, 6]]), jnp.array([2])),
    ...     bos_id=1, eos_id=2, pad_id=0,
    ... )
    >>> x["inputs"].values.tolist(), y.values.tolist()
    ([[1, 5, 6]], [[5, 6, 2]])
    """
    for name, value in (("bos_id", bos_id), ("eos_id", eos_id), ("pad_id", pad_id)):
        if not is_whole(value) or value < 0:
            raise ValueError(f"{name} must be a whole number from 0 on, not {value!r}")
    if not isinstance(target, Sequences) or jnp.ndim(target.values) != 2:
        raise ValueError(
            f"target must be Sequences [N, T] of tokens, not "
            f"{getattr(getattr(target, 'values', target), 'shape', type(target).__name__)}"
        )
    if num_rows(source) != num_rows(target):
        raise ValueError(f"{num_rows(source)} sources do not go with {num_rows(target)} targets")
    tokens = jnp.asarray(target.filled(pad_id))
    lengths = jnp.asarray(target.lengths)
    ends = jnp.full((len(tokens), 1), bos_id, tokens.dtype)
    inputs = jnp.concatenate([ends, tokens], axis=1)
    longer = jnp.pad(tokens, ((0, 0), (0, 1)), constant_values=pad_id)
    here = jnp.arange(longer.shape[1]) == lengths[:, None]
    said = Sequences(jnp.where(here, eos_id, longer), lengths + 1)
    return {"source": source, "inputs": Sequences(inputs, lengths + 1)}, said
