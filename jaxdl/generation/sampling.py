"""Sampling, with temperature, from the likeliest tokens only if so wished. Notes: §7.2."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.core import Tracer

from jaxdl import programs
from jaxdl.base import Array, Decoder, Key, Params, Sequences, State
from jaxdl.checks import positive_int, typed_key
from jaxdl.generation.loop import Generated, SpecialIds, advance, begin, special_ids


def sample(
    decoder: Decoder,
    params: Params,
    state: State,
    source: Any = None,
    *,
    key: Key,
    temperature: float | Array = 1.0,
    top_k: int | None = None,
    top_p: float | Array | None = None,
    prompt: Sequences | Array | None = None,
    bos_id: int | None,
    eos_id: int | None,
    pad_id: int,
    max_length: int,
    rows: int | None = None,
) -> Generated:
    """Draw ``y_t ~ p(y_t | y_1, ..., y_{t-1}, x)`` until EOS, from ``sampling_probabilities``.

    Step t draws with ``fold_in(key, t)``. ``log_prob`` is the model's own, of temperature 1 and
    all tokens. Compiled as ``greedy`` is, whose arguments and errors these are; further ones:

    Args:
      key: consumed.
      temperature, top_p: may be traced: values share a program, also under ``vmap``.
      top_k: static.

    Raises a ValueError as well for a temperature that is negative or not finite, for ``top_p``
    outside (0, 1], and for ``top_k`` under 1, where these are known.
    """
    typed_key(key)
    _check(temperature, top_k, top_p)
    settings = _Settings(decoder, special_ids(bos_id, eos_id, pad_id), max_length, rows, top_k)
    program = programs.compiled(_sample)
    return program(settings, params, state, source, prompt, key, temperature, top_p)


def sampling_probabilities(
    logits: Array,
    *,
    temperature: float | Array = 1.0,
    top_k: int | None = None,
    top_p: float | Array | None = None,
) -> Array:
    """What ``sample`` draws a token from, [..., V] for logits z [..., V].

    ``softmax(z / temperature)``, of which only the ``top_k`` likeliest tokens are kept; of those,
    the fewest whose mass among them reaches ``top_p``. What is kept is made to sum to one. The
    temperature 0 keeps the likeliest token. Of equal tokens, the first are kept. Source: Fan et al.
    (2018); Holtzman et al. (2020).

    >>> z = jnp.log(jnp.array([0.2, 0.4, 0.4]))
    >>> sampling_probabilities(z, top_p=0.6).tolist()
    [0.0, 0.5, 0.5]
    >>> sampling_probabilities(z, temperature=0.0).tolist()
    [0.0, 1.0, 0.0]
    """
    _check(temperature, top_k, top_p)
    kept, ids = _kept(jnp.asarray(logits), temperature, top_k, top_p)
    probabilities = jax.nn.softmax(kept)
    if ids is None:
        return probabilities
    return jnp.put_along_axis(
        jnp.zeros(jnp.shape(logits), probabilities.dtype),
        ids,
        probabilities,
        axis=-1,
        inplace=False,
    )


class _Settings(NamedTuple):
    decoder: Decoder
    ids: SpecialIds
    max_length: int
    rows: int | None
    top_k: int | None


def _sample(settings, params, state, source, prompt, key, temperature, top_p):
    decoder, ids, max_length, rows, top_k = settings

    def choose(step, log_probs):
        kept, ids = _kept(log_probs, temperature, top_k, top_p)
        drawn = jax.random.categorical(jax.random.fold_in(key, step), kept)
        return drawn if ids is None else jnp.take_along_axis(ids, drawn[:, None], axis=1)[:, 0]

    progress = begin(
        decoder, params, state, source, prompt=prompt, ids=ids, max_length=max_length, rows=rows
    )
    return advance(decoder, params, state, progress, choose, ids=ids).generated


def _kept(logits, temperature, top_k, top_p):
    """The logits to draw from, and the ids [..., K] that they belong to; None is 0, 1, ..."""
    best = jnp.argmax(logits, axis=-1, keepdims=True)
    below = logits - jnp.take_along_axis(logits, best, axis=-1)  # 0 at the best: nothing overflows
    tempered = below / jnp.where(temperature > 0, temperature, 1)
    only_best = jnp.where(jnp.arange(logits.shape[-1]) == best, 0, -jnp.inf)
    tempered = jnp.where(temperature > 0, tempered, only_best)
    if top_k is None and top_p is None:
        return tempered, None
    width = logits.shape[-1]
    tempered, ids = jax.lax.top_k(tempered, width if top_k is None else min(top_k, width))
    if top_p is None:
        return tempered, ids
    p = jax.nn.softmax(tempered)
    before = jnp.cumsum(p, axis=-1) - p
    # The likeliest stays whatever p is; at 1 all stay, where rounded sums would drop the last.
    keep = (before < top_p) | (jnp.arange(p.shape[-1]) == 0) | (top_p >= 1)
    return jnp.where(keep, tempered, -jnp.inf), ids


def _check(temperature, top_k, top_p):
    known = lambda value: not isinstance(value, Tracer)
    if known(temperature) and not (math.isfinite(temperature) and temperature >= 0):
        raise ValueError(f"temperature must be a number from 0 on, not {temperature}")
    if top_k is not None:
        positive_int("top_k", top_k)
    if top_p is not None and known(top_p) and not 0 < top_p <= 1:
        raise ValueError(f"top_p must be above 0 and at most 1, not {top_p}")
