"""Generation with caches and carries says what full recomputation through the Model says."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hand_made_decoders import BOS, EOS, IDS, all_sequences, said

from jaxdl import generation, models
from jaxdl.base import Decoder, Sequences

V, L = 5, 5


class Case(NamedTuple):
    model: Any
    decoder: Decoder
    source: Any  # None for a language model
    params: Any
    traces: list


def counted(decoder, traces):
    """The decoder, noting each trace of its step."""

    def step(params, state, carry, tokens, lengths=None):
        traces.append(tokens.shape)
        return decoder.step(params, state, carry, tokens, lengths)

    return Decoder(decoder.start, step)


@pytest.fixture(scope="module", params=["language model", "transformer", "seq2seq"])
def case(request):
    sizes = {"features": 8, "num_heads": 2, "num_layers": 2, "hidden": 8, "norm_position": "pre"}
    source = Sequences(jnp.array([[3, 4, 3], [4, 4, 99]]), jnp.array([3, 2]))
    if request.param == "language model":
        config, source = models.TransformerConfig(V, positions="rotary", **sizes), None
        model, decoder = models.language_model(config), models.language_model_decoder(config)
    elif request.param == "transformer":
        config = models.TransformerConfig(V, **sizes)
        model, decoder = models.transformer(config), models.transformer_decoder(config)
    else:
        config = models.Seq2SeqConfig(V, features=6, hidden=8, attention="dot")
        model, decoder = models.seq2seq(config), models.seq2seq_decoder(config)
    params, _ = model.init(jax.random.key(2))
    params = jax.tree.map(lambda x: 1.5 * x, params)  # so that the answers differ
    traces = []
    return Case(model, counted(decoder, traces), source, params, traces)


@pytest.fixture(scope="module")
def recomputed(case):
    """``(row, history) -> log p(next) [V]``, the whole model run anew on the history."""
    width = L + 3

    @jax.jit
    def run(tokens, lengths):
        read = Sequences(tokens, lengths)
        x = read if case.source is None else {"source": case.source, "inputs": read}
        return jax.nn.log_softmax(case.model.apply(case.params, {}, x)[0])

    @functools.cache
    def following(row, history):
        tokens = np.zeros((2, width), np.int32)
        tokens[row, : len(history)] = history
        lengths = np.ones(2, np.int32)
        lengths[row] = len(history)
        return np.asarray(run(tokens, lengths)[row, len(history) - 1], np.float64)

    return following


PROMPT = Sequences(jnp.array([[3, 4], [4, 99]]), jnp.array([2, 1]))
HISTORIES = ((BOS, 3, 4), (BOS, 4))


def test_greedy_is_full_recomputation_in_one_trace(case, recomputed):
    case.traces.clear()
    for _ in range(2):
        out = generation.greedy(
            case.decoder, case.params, {}, case.source, prompt=PROMPT, **IDS, max_length=L
        )
    assert case.traces == [(2, 2), (2, 1)]
    for row, history in enumerate(HISTORIES):
        tokens, log_prob = [], 0.0
        while len(tokens) < L and EOS not in tokens:
            following = recomputed(row, (*history, *tokens))
            tokens.append(int(following.argmax()))
            log_prob += following.max()
        assert said(out, row) == tuple(tokens)
        np.testing.assert_allclose(out.log_prob[row], log_prob, rtol=1e-4, atol=1e-5)


def test_a_wide_beam_is_exhaustive_over_the_model(case, recomputed):
    length = 2
    found = generation.beam_hypotheses(
        case.decoder, case.params, {}, case.source, beams=20, prompt=PROMPT, **IDS, max_length=length
    )  # fmt: skip
    for row, history in enumerate(HISTORIES):
        exact = {}
        for tokens in all_sequences(V, length):
            exact[tokens] = sum(
                recomputed(row, (*history, *tokens[:t]))[v] for t, v in enumerate(tokens)
            )
        best = sorted(exact.values(), reverse=True)[:20]
        np.testing.assert_allclose(found.log_prob[row], best, rtol=1e-4, atol=1e-5)
        for k in range(3):
            tokens = np.asarray(found.values)[row, k, : int(found.lengths[row, k])]
            np.testing.assert_allclose(exact[tuple(tokens.tolist())], best[k], rtol=1e-4)


def test_what_a_narrow_beam_says_has_the_probability_it_reports(case, recomputed):
    """Were the caches not reordered with their beams, the reported sums would be others."""
    found = generation.beam_hypotheses(
        case.decoder, case.params, {}, case.source, beams=3, prompt=PROMPT, **IDS, max_length=L
    )
    for row, history in enumerate(HISTORIES):
        for k in range(3):
            tokens = np.asarray(found.values)[row, k, : int(found.lengths[row, k])].tolist()
            log_prob = sum(
                recomputed(row, (*history, *tokens[:t]))[v] for t, v in enumerate(tokens)
            )
            np.testing.assert_allclose(found.log_prob[row, k], log_prob, rtol=1e-4, atol=1e-5)


def test_learned_positions_end():
    config = models.TransformerConfig(V, features=4, num_heads=2, positions="learned", max_length=6)
    params, _ = models.language_model(config).init(jax.random.key(0))
    say = functools.partial(generation.greedy, models.language_model_decoder(config), params, {})
    out = say(**{**IDS, "eos_id": None}, max_length=6)  # BOS and five tokens are read
    assert np.isfinite(out.log_prob).all()
    with pytest.raises(ValueError, match="7 tokens are to be read"):
        say(**IDS, max_length=7)
