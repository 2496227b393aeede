"""One loop for a whole sequence: a Decoder reads a token, the next is chosen, and so on.

``begin`` reads the prompts; ``advance`` goes on, from where it stopped before if need be. Both are
pure and are compiled by whoever calls them; ``greedy`` and ``sample`` do that.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxdl.arrays import num_rows
from jaxdl.base import Array, Decoder, Params, Sequences, State
from jaxdl.checks import is_whole, positive_int


class Generated(NamedTuple):
    """What was generated for B rows.

    tokens: Sequences [B, L], without the prompts; an EOS counts, and behind it is PAD.
    log_prob: [B], the model's ``log p`` of these tokens, EOS included, given source and prompt.
    finished: [B] bool, False where no EOS came within L tokens.
    """

    tokens: Sequences
    log_prob: Array
    finished: Array


class SpecialIds(NamedTuple):
    """The ids that begin, end and pad; None for ``bos`` or ``eos`` where a model has none (D-68)."""

    bos: int | None
    eos: int | None
    pad: int


class Progress(NamedTuple):
    """A generation under way, of B rows and up to L tokens.

    carry: the decoder's. token: [B], chosen or given, and not read yet. tokens: [B, L].
    lengths, log_prob, finished: [B]. step: [] int32, how many tokens were chosen.
    """

    carry: Any
    token: Array
    tokens: Array
    lengths: Array
    log_prob: Array
    finished: Array
    step: Array

    @property
    def generated(self) -> Generated:
        """What there is so far."""
        return Generated(Sequences(self.tokens, self.lengths), self.log_prob, self.finished)


def special_ids(bos_id: int | None, eos_id: int | None, pad_id: int) -> SpecialIds:
    """The three ids. Raises a ValueError for what is no whole number, or negative."""
    for name, value in (("bos_id", bos_id), ("eos_id", eos_id), ("pad_id", pad_id)):
        if value is None and name != "pad_id":
            continue
        if value is None or not is_whole(value) or value < 0:
            raise ValueError(f"{name} must be a whole number from 0 on, not {value!r}")
    whole = lambda value: None if value is None else int(value)
    return SpecialIds(whole(bos_id), whole(eos_id), int(pad_id))


def begin(
    decoder: Decoder,
    params: Params,
    state: State,
    source: Any = None,
    *,
    prompt: Sequences | Array | None = None,
    ids: SpecialIds,
    max_length: int,
    rows: int | None = None,
) -> Progress:
    """Read the source, BOS and the prompts, all but each row's last token.

    The decoder is to hold BOS, a prompt's P tokens and ``max_length - 1`` more: the last token is
    never read. See ``greedy`` for the arguments, and for what is raised.
    """
    max_length = positive_int("max_length", max_length)
    rows = _rows(source, prompt, rows)
    tokens, lengths = _with_bos(prompt, ids.bos, rows)
    width = tokens.shape[1]
    carry = decoder.start(params, state, source, rows=rows, max_length=width + max_length - 1)
    if width > 1:
        carry, _ = decoder.step(params, state, carry, tokens[:, :-1], lengths - 1)
    return Progress(
        carry,
        jnp.take_along_axis(tokens, lengths[:, None] - 1, axis=1)[:, 0],
        jnp.full((rows, max_length), ids.pad, jnp.int32),
        jnp.zeros(rows, jnp.int32),
        jnp.zeros(rows, jnp.result_type(float)),
        jnp.zeros(rows, bool),
        jnp.zeros((), jnp.int32),
    )


def advance(
    decoder: Decoder,
    params: Params,
    state: State,
    progress: Progress,
    choose: Callable[[Array, Array], Array],
    *,
    ids: SpecialIds,
    steps: int | Array | None = None,
) -> Progress:
    """Choose up to ``steps`` more tokens for each row (default: all); stop when all have EOS.

    ``choose(step, logits [B, V]) -> tokens [B]``. Compiled with ``progress`` donated, the
    decoder's carry stays where it is in memory.
    """
    length = progress.tokens.shape[1]
    end = length if steps is None else jnp.minimum(progress.step + steps, length)

    def goes_on(p):
        return (p.step < end) & ~jnp.all(p.finished)

    def one(p):
        carry, log_probs = read(decoder, params, state, p.carry, p.token, ids)
        chosen = choose(p.step, log_probs).astype(jnp.int32)
        gained = jnp.take_along_axis(log_probs, chosen[:, None], axis=1)[:, 0]
        ended = jnp.zeros_like(p.finished) if ids.eos is None else chosen == ids.eos
        return Progress(
            carry,
            jnp.where(p.finished, p.token, chosen),  # a row that has ended reads its EOS again
            p.tokens.at[:, p.step].set(jnp.where(p.finished, ids.pad, chosen)),
            p.lengths + ~p.finished,
            p.log_prob + jnp.where(p.finished, 0, gained).astype(p.log_prob.dtype),
            p.finished | ended,
            p.step + 1,
        )

    return jax.lax.while_loop(goes_on, one, progress)


def read(decoder, params, state, carry, token: Array, ids: SpecialIds) -> tuple[Any, Array]:
    """``(carry, log p(next token) [B, V])`` behind one token of each row, in float32 or float64."""
    carry, logits = decoder.step(params, state, carry, token[:, None])
    for name, value in (("bos_id", ids.bos), ("eos_id", ids.eos)):
        if value is not None and value >= logits.shape[-1]:
            raise ValueError(f"{name} {value} is not among the {logits.shape[-1]} tokens")
    logits = logits[:, 0].astype(jnp.promote_types(logits.dtype, jnp.float32))
    return carry, jax.nn.log_softmax(logits)


def _rows(source, prompt, rows):
    """How many rows there are, by all that says so."""
    said = {}
    if source is not None:
        said["source"] = num_rows(source)
    if prompt is not None:
        said["prompt"] = num_rows(prompt)
    if rows is not None:
        said["rows"] = positive_int("rows", rows)
    if len(set(said.values())) > 1:
        raise ValueError(f"these must agree in their rows: {said}")
    return next(iter(said.values()), 1)


def _with_bos(prompt, bos, rows):
    """BOS and the prompts, [B, 1 + P], and how many tokens of each row count."""
    if prompt is None:
        prompt = Sequences(jnp.zeros((rows, 0), jnp.int32), jnp.zeros(rows, jnp.int32))
    if not isinstance(prompt, Sequences):
        prompt = jnp.asarray(prompt)
        prompt = Sequences(prompt, jnp.full(rows, prompt.shape[-1], jnp.int32))
    if jnp.ndim(prompt.values) != 2 or not jnp.issubdtype(prompt.values.dtype, jnp.integer):
        shape, dtype = list(jnp.shape(prompt.values)), prompt.values.dtype
        raise ValueError(f"prompts are token ids [B, P], whole numbers, not {dtype} {shape}")
    tokens, lengths = prompt.filled(0).astype(jnp.int32), jnp.asarray(prompt.lengths, jnp.int32)
    if bos is not None:
        first = jnp.full((rows, 1), bos, jnp.int32)
        return jnp.concatenate([first, tokens], axis=1), lengths + 1
    known = not isinstance(lengths, Tracer)
    if tokens.shape[1] == 0 or (known and np.min(lengths) < 1):
        raise ValueError("without a bos_id each row needs a prompt of at least one token")
    return tokens, lengths
