"""Greedy generation: the most probable token, each time. Notes: §7.2, §8.3.2."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from jaxdl import programs
from jaxdl.base import Array, Decoder, Params, Sequences, State
from jaxdl.generation.loop import Generated, SpecialIds, advance, begin, special_ids


def greedy(
    decoder: Decoder,
    params: Params,
    state: State,
    source: Any = None,
    *,
    prompt: Sequences | Array | None = None,
    bos_id: int | None,
    eos_id: int | None,
    pad_id: int,
    max_length: int,
    rows: int | None = None,
) -> Generated:
    """``y_t = argmax_k p(y_t = k | y_1, ..., y_{t-1}, x)`` until EOS; of equals, the first.

    One program for the whole sequence, compiled once for each decoder, setting and shape: keep the
    decoder for the next call. Notes: Eq. (32), §7.2; Eq. (40), §8.3.2 (D-68, E-52).

    Args:
      decoder: what is read from; its ``params`` and ``state``, and its ``source``, if it has one.
      prompt: tokens [B, P], or Sequences of different lengths, that each row goes on from.
      bos_id: read before the prompt; None for a model without, then prompts are not empty.
      eos_id: ends a row, and counts as its last token; None for a model without.
      pad_id: what stands behind the end of a row. It may also be a token; nothing is told by it.
      max_length: L, how many tokens are generated at most, EOS among them.
      rows: B, where neither source nor prompt says it; 1 by default.

    Raises a ValueError for ids that are no tokens, for rows that do not agree, and from the decoder
    where it cannot hold prompt and ``max_length``.

    >>> from jaxdl.base import Decoder
    >>> logits = jnp.log(jnp.array([[0.2, 0.5, 0.3], [0.1, 0.3, 0.6], [0.8, 0.1, 0.1]]))
    >>> chain = Decoder(
    ...     lambda params, state, source, *, rows, max_length: (),
    ...     lambda params, state, carry, tokens, lengths=None: (carry, params[tokens]),
    ... )
    >>> out = greedy(chain, logits, {}, bos_id=0, eos_id=2, pad_id=9, max_length=4)
    >>> out.tokens.values.tolist(), round(float(jnp.exp(out.log_prob[0])), 2)
    ([[1, 2, 9, 9]], 0.3)
    """
    ids = special_ids(bos_id, eos_id, pad_id)
    settings = _Settings(decoder, ids, max_length, rows)
    return programs.compiled(_greedy)(settings, params, state, source, prompt)


class _Settings(NamedTuple):
    decoder: Decoder
    ids: SpecialIds
    max_length: int
    rows: int | None


def _greedy(settings, params, state, source, prompt):
    decoder, ids, max_length, rows = settings
    progress = begin(
        decoder, params, state, source, prompt=prompt, ids=ids, max_length=max_length, rows=rows
    )
    choose = lambda step, log_probs: jnp.argmax(log_probs, axis=-1)
    return advance(decoder, params, state, progress, choose, ids=ids).generated
