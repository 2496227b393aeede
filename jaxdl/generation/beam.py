"""Beam search: the most probable sequences that a bounded search finds. Notes: §7.2."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxdl import programs
from jaxdl.base import Array, Decoder, Params, Sequences, State
from jaxdl.checks import positive_int
from jaxdl.generation.loop import Generated, SpecialIds, begin, read, special_ids


class Beams(NamedTuple):
    """The K sequences that were found for each of B rows, the best first.

    values: [B, K, L] tokens, an EOS among them, PAD behind. lengths: [B, K].
    log_prob, score: [B, K], see ``beam_hypotheses``; -inf where there are fewer than K sequences.
    finished: [B, K] bool, False where no EOS came within L tokens.
    """

    values: Array
    lengths: Array
    log_prob: Array
    score: Array
    finished: Array


def beam_search(
    decoder: Decoder,
    params: Params,
    state: State,
    source: Any = None,
    *,
    beams: int = 4,
    length_penalty: float | Array = 0.0,
    prompt: Sequences | Array | None = None,
    bos_id: int | None,
    eos_id: int | None,
    pad_id: int,
    max_length: int,
    rows: int | None = None,
) -> Generated:
    """The best sequence of ``beam_hypotheses``, for each row. ``log_prob`` is without the penalty."""
    found = beam_hypotheses(
        decoder,
        params,
        state,
        source,
        beams=beams,
        length_penalty=length_penalty,
        prompt=prompt,
        bos_id=bos_id,
        eos_id=eos_id,
        pad_id=pad_id,
        max_length=max_length,
        rows=rows,
    )
    tokens = Sequences(found.values[:, 0], found.lengths[:, 0])
    return Generated(tokens, found.log_prob[:, 0], found.finished[:, 0])


def beam_hypotheses(
    decoder: Decoder,
    params: Params,
    state: State,
    source: Any = None,
    *,
    beams: int = 4,
    length_penalty: float | Array = 0.0,
    prompt: Sequences | Array | None = None,
    bos_id: int | None,
    eos_id: int | None,
    pad_id: int,
    max_length: int,
    rows: int | None = None,
) -> Beams:
    """The sequences y of highest ``score(y) = log p(y | x) / ((5 + T) / 6)^a`` that are found.

    T is the length of y, with EOS, and a is ``length_penalty``: 0 asks for the most probable
    sequence, and the larger, the longer are the answers. K = ``beams`` prefixes are kept at each
    length, those of highest log-probability, and beside them the K best sequences that have ended.
    Sequences without an EOS within ``max_length`` tokens count as they are. The search ends once no
    prefix can become one of the K best; with K from the number of all prefixes on, it is
    exhaustive. Arguments and errors as of ``greedy``; it is compiled likewise, and
    ``length_penalty`` may be traced. Source: Wu et al. (2016), Eq. (14).
    """
    settings = _Settings(
        decoder, special_ids(bos_id, eos_id, pad_id), max_length, rows, positive_int("beams", beams)
    )
    return programs.compiled(_search)(settings, params, state, source, prompt, length_penalty)


class _Settings(NamedTuple):
    decoder: Decoder
    ids: SpecialIds
    max_length: int
    rows: int | None
    beams: int


class _Search(NamedTuple):
    """Live prefixes: the decoder's carry of B K rows, token and log_prob [B, K], tokens [B, K, L]."""

    carry: Any
    token: Array
    tokens: Array
    log_prob: Array
    ended: Beams
    step: Array


def _search(settings, params, state, source, prompt, length_penalty):
    decoder, ids, max_length, rows, beams = settings
    start = begin(
        decoder, params, state, source, prompt=prompt, ids=ids, max_length=max_length, rows=rows
    )
    rows, dtype = len(start.token), start.log_prob.dtype
    repeat = lambda x: jnp.repeat(x, beams, axis=0)
    # All beams hold one prefix at first. Only one of them counts, else all would stay copies.
    first = jnp.where(jnp.arange(beams) == 0, 0, -jnp.inf).astype(dtype)
    tokens = jnp.full((rows, beams, max_length), ids.pad, jnp.int32)
    none = jnp.full((rows, beams), -jnp.inf, dtype)
    ended = Beams(tokens, jnp.zeros((rows, beams), jnp.int32), none, none, none > 0)
    search = _Search(
        carry=jax.tree.map(repeat, start.carry),
        token=repeat(start.token).reshape(rows, beams),
        tokens=tokens,
        log_prob=jnp.tile(first, (rows, 1)),
        ended=ended,
        step=start.step,
    )
    penalty = lambda length: ((5 + length) / 6) ** jnp.asarray(length_penalty, dtype)

    def goes_on(s):
        # Log-probabilities only fall, so a prefix ends with no better score than its own, at the
        # length, from the next one to the last, that is best for it.
        best = s.log_prob[:, 0]
        reach = jnp.maximum(best / penalty(s.step + 1), best / penalty(max_length))
        return (s.step < max_length) & jnp.any(reach > s.ended.score[:, -1])

    def one(s):
        carry, log_probs = read(decoder, params, state, s.carry, s.token.reshape(-1), ids)
        vocabulary = log_probs.shape[-1]
        totals = s.log_prob[..., None] + log_probs.reshape(rows, beams, vocabulary).astype(dtype)
        totals = jnp.where(jnp.isneginf(s.log_prob)[..., None], -jnp.inf, totals)
        ended = s.ended
        if ids.eos is not None:
            new = _candidates(
                s.tokens.at[:, :, s.step].set(ids.eos),
                totals[..., ids.eos],
                s.step + 1,
                penalty,
                True,
            )
            ended = _best(ended, new)
            totals = totals.at[..., ids.eos].set(-jnp.inf)
        log_prob, place = jax.lax.top_k(totals.reshape(rows, -1), beams)
        parent, token = place // vocabulary, (place % vocabulary).astype(jnp.int32)
        from_rows = (jnp.arange(rows)[:, None] * beams + parent).reshape(-1)
        tokens = jnp.take_along_axis(s.tokens, parent[..., None], axis=1)
        return _Search(
            carry=jax.tree.map(lambda x: x[from_rows], carry),
            token=token,
            tokens=tokens.at[:, :, s.step].set(token),
            log_prob=log_prob,
            ended=ended,
            step=s.step + 1,
        )

    s = jax.lax.while_loop(goes_on, one, search)
    whole = jnp.where(s.step == max_length, s.log_prob, -jnp.inf)  # else no prefix can win
    return _best(s.ended, _candidates(s.tokens, whole, s.step, penalty, False))


def _candidates(tokens, log_prob, length, penalty, finished):
    """Prefixes as Beams of one length."""
    there = ~jnp.isneginf(log_prob)
    score = jnp.where(there, log_prob / penalty(length), -jnp.inf)
    return Beams(tokens, jnp.where(there, length, 0), log_prob, score, there & finished)


def _best(one, two):
    """The K best of two times K."""
    both = jax.tree.map(lambda a, b: jnp.concatenate([a, b], axis=1), one, two)
    _, order = jax.lax.top_k(both.score, one.score.shape[1])
    take = lambda x: jnp.take_along_axis(x, order.reshape(*order.shape, *(1,) * (x.ndim - 2)), 1)
    return jax.tree.map(take, both)
