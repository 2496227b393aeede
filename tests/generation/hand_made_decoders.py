"""Decoders small enough to enumerate: what they can say, and how probable it is, in NumPy."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.base import Decoder

PAD, BOS, EOS = 0, 1, 2
IDS = {"bos_id": BOS, "eos_id": EOS, "pad_id": PAD}


def markov():
    """``p(next | last)`` from a table of logits [V, V], the params."""
    start = lambda params, state, source, *, rows, max_length: ()
    return Decoder(
        start,
        lambda params, state, carry, tokens, lengths=None: (carry, jnp.asarray(params)[tokens]),
    )


def running_sum(traces=None):
    """An RNN-like decoder: ``s_t = s_{t-1} / 2 + e(y_t)``, logits ``sin(3 s_t w)``.

    Params are ``(e [V], w [V])``; s_0 is the source [B], or 0. Each trace of the step is counted.
    """

    def start(params, state, source, *, rows, max_length):
        if max_length > 50:
            raise ValueError(f"{max_length} tokens are too many, there are 50 places")
        return {"s": jnp.zeros(rows) if source is None else source}

    def step(params, state, carry, tokens, lengths=None):
        if traces is not None:
            traces.append(tokens.shape)
        e, w = params
        lengths = jnp.full(len(tokens), tokens.shape[1]) if lengths is None else lengths

        def one(s, at):
            t, token = at
            s = jnp.where(t < lengths, s / 2 + e[token], s)
            return s, jnp.sin(3 * s[:, None] * w)

        s, logits = jax.lax.scan(
            one, carry["s"], (jnp.arange(tokens.shape[1]), jnp.swapaxes(tokens, 0, 1))
        )
        return {"s": s}, jnp.swapaxes(logits, 0, 1)

    return Decoder(start, step)


def sum_params(vocabulary=5, seed=0):
    rng = np.random.default_rng(seed)
    return tuple(rng.normal(size=(2, vocabulary)).astype(np.float32) * [[1], [2]])


def log_softmax(z):
    z = np.asarray(z, np.float64)
    return z - np.log(np.exp(z - z.max(-1, keepdims=True)).sum(-1, keepdims=True)) - z.max(-1, keepdims=True)  # fmt: skip


def next_log_probs(params, history, source=0.0):
    """``log p(next | history)`` [V] of the running sum."""
    e, w = (np.asarray(p, np.float64) for p in params)
    s = source
    for token in history:
        s = s / 2 + e[token]
    return log_softmax(np.sin(3 * s * w))


def log_prob_of(following, tokens, history=(BOS,)):
    """``log p(tokens | history)`` by ``following(history) -> log p(next) [V]``."""
    total = 0.0
    for t, token in enumerate(tokens):
        total += following((*history, *tokens[:t]))[token]
    return total


def all_sequences(vocabulary, length, eos=EOS):
    """Every answer of up to ``length`` tokens: it ends with its only EOS, or is cut."""
    others = [v for v in range(vocabulary) if v != eos]
    for t in range(length):
        for body in itertools.product(others, repeat=t):
            yield (*body, eos)
    yield from itertools.product(others, repeat=length)


def said(generated, row=0):
    """A row's tokens."""
    tokens = np.asarray(generated.tokens.values)[row]
    return tuple(tokens[: int(generated.tokens.lengths[row])].tolist())
