"""Beam search against the enumeration of all sequences."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hand_made_decoders import (
    BOS,
    EOS,
    IDS,
    all_sequences,
    log_prob_of,
    markov,
    next_log_probs,
    running_sum,
    said,
    sum_params,
)

from jaxdl import generation
from jaxdl.base import Sequences

DECODER = running_sum()


def penalty(length, alpha):
    return ((5 + length) / 6) ** alpha


def exhaustive(params, vocabulary, length, alpha=0.0, history=(BOS,)):
    """All sequences with their log-probabilities and scores, the best first."""
    following = lambda h: next_log_probs(params, h)
    rows = []
    for tokens in all_sequences(vocabulary, length):
        log_prob = log_prob_of(following, tokens, history)
        rows.append((log_prob / penalty(len(tokens), alpha), log_prob, tokens))
    return sorted(rows, reverse=True)


def beams_by_hand(params, vocabulary, length, width, alpha):
    """K live prefixes and K ended sequences, in plain Python, without an early end."""
    live, ended = [(0.0, ())], []
    for _ in range(length):
        longer = []
        for log_prob, tokens in live:
            following = next_log_probs(params, (BOS, *tokens))
            for v in range(vocabulary):
                to = ended if v == EOS else longer
                to.append((log_prob + following[v], (*tokens, v)))
        live = sorted(longer, reverse=True)[:width]
    scored = [(lp / penalty(len(tokens), alpha), lp, tokens) for lp, tokens in ended + live]
    return sorted(scored, reverse=True)[:width]


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.5])
@pytest.mark.parametrize("seed", [0, 1])
def test_as_wide_as_all_prefixes_it_is_exhaustive(seed, alpha):
    """ParlAI #2007: were the beams copies at the first step, the second best would be missed."""
    params = sum_params(4, seed=seed)
    expected = exhaustive(params, 4, 3, alpha)
    found = generation.beam_hypotheses(
        DECODER, params, {}, beams=27, length_penalty=alpha, **IDS, max_length=3
    )
    for k, (score, log_prob, tokens) in enumerate(expected[:27]):
        length = int(found.lengths[0, k])
        assert tuple(np.asarray(found.values)[0, k, :length].tolist()) == tokens
        np.testing.assert_allclose(found.log_prob[0, k], log_prob, rtol=1e-4)
        np.testing.assert_allclose(found.score[0, k], score, rtol=1e-4)
        assert bool(found.finished[0, k]) == (tokens[-1] == EOS)


@pytest.mark.parametrize("width", [1, 2, 3])
@pytest.mark.parametrize("alpha", [0.0, 0.8])
def test_narrow_beams_are_those_of_a_plain_search(width, alpha):
    find = functools.partial(
        generation.beam_hypotheses, DECODER, beams=width, length_penalty=alpha, **IDS, max_length=6
    )
    for seed in range(6):
        params = sum_params(5, seed=seed)
        found = find(params, {})
        expected = beams_by_hand(params, 5, 6, width, alpha)
        np.testing.assert_allclose(found.score[0], [e[0] for e in expected], rtol=1e-4)
        best = tuple(np.asarray(found.values)[0, 0, : int(found.lengths[0, 0])].tolist())
        assert best == expected[0][2]


def test_two_beams_of_a_two_token_model_are_distinct():
    table = jnp.log(jnp.array([[0.5, 0.5], [0.6, 0.4]]))
    ids = {"bos_id": 0, "eos_id": None, "pad_id": 0}
    found = generation.beam_hypotheses(markov(), table, {}, beams=2, **ids, max_length=2)
    # (0, 0), (0, 1) have 0.25, (1, 0) has 0.3, (1, 1) has 0.2.
    assert found.values[0].tolist() == [[1, 0], [0, 0]]
    np.testing.assert_allclose(np.exp(found.log_prob[0]), [0.3, 0.25], rtol=1e-5)


def test_beams_find_what_greedy_misses():
    """Greedy takes 0.6 then 0.3 of four; the other way has 0.4 times 0.9."""
    p = np.full((6, 6), 1e-9)
    p[BOS, 3], p[BOS, 4] = 0.6, 0.4
    p[3, [0, 1, 3, 5]], p[3, EOS] = 0.175, 0.3
    p[4, EOS] = p[5, EOS] = 1.0
    table = jnp.log(jnp.asarray(p, jnp.float32))
    decoder = markov()
    greedy = generation.greedy(decoder, table, {}, **IDS, max_length=4)
    beam = generation.beam_search(decoder, table, {}, beams=2, **IDS, max_length=4)
    assert said(greedy) == (3, EOS) and said(beam) == (4, EOS)
    np.testing.assert_allclose(
        np.exp([greedy.log_prob[0], beam.log_prob[0]]), [0.18, 0.4], rtol=1e-4
    )


def test_a_beam_of_one_without_a_choice_to_end_is_greedy():
    params = sum_params(6, seed=8)
    ids = {"bos_id": BOS, "eos_id": None, "pad_id": 0}
    greedy = generation.greedy(DECODER, params, {}, **ids, max_length=7)
    beam = generation.beam_search(DECODER, params, {}, beams=1, **ids, max_length=7)
    np.testing.assert_array_equal(beam.tokens.values, greedy.tokens.values)
    np.testing.assert_allclose(beam.log_prob, greedy.log_prob, rtol=1e-5)


def test_the_length_penalty_by_hand():
    """p(EOS) = 0.3 at once, or 0.7 x 0.5 x 0.8 = 0.28 with three tokens: 0 prefers the first."""
    p = np.full((5, 5), 1e-9)
    p[BOS, EOS], p[BOS, 3] = 0.3, 0.7
    p[3, 4], p[3, 0] = 0.5, 0.5
    p[4, EOS], p[4, 4] = 0.8, 0.2
    p[0, 0] = 0.5
    p[0, 1] = 0.5
    table = jnp.log(jnp.asarray(p, jnp.float32))
    decoder = markov()
    find = lambda a: generation.beam_search(
        decoder, table, {}, beams=3, length_penalty=a, **IDS, max_length=3
    )
    assert said(find(0.0)) == (EOS,) and said(find(1.0)) == (3, 4, EOS)
    score = generation.beam_hypotheses(
        decoder, table, {}, beams=3, length_penalty=1.0, **IDS, max_length=3
    ).score[0]
    np.testing.assert_allclose(score[0], np.log(0.28) / (8 / 6), rtol=1e-5)
    both = jax.vmap(find)(jnp.array([0.0, 1.0]))  # traced, in one program
    assert both.tokens.lengths.tolist() == [[1], [3]]


def test_rows_with_sources_and_prompts_are_as_alone():
    params, sources = sum_params(5, seed=9), jnp.array([0.3, -0.5, 1.0])
    prompts = Sequences(jnp.array([[3, 4], [4, -1], [-1, -1]]), jnp.array([2, 1, 0]))
    find = functools.partial(
        generation.beam_hypotheses, DECODER, params, {}, beams=3, length_penalty=0.6, **IDS,
        max_length=5,
    )  # fmt: skip
    together = find(sources, prompt=prompts)
    for row in range(3):
        alone = find(sources[row : row + 1], prompt=Sequences(*(x[row : row + 1] for x in prompts)))
        np.testing.assert_array_equal(together.values[row], alone.values[0])
        np.testing.assert_allclose(together.score[row], alone.score[0], rtol=1e-5)


def test_more_beams_than_sequences():
    table = jnp.log(jnp.array([[0.5, 0.25, 0.25]] * 3))
    found = generation.beam_hypotheses(markov(), table, {}, beams=6, **IDS, max_length=1)
    np.testing.assert_allclose(np.exp(found.log_prob[0]), [0.5, 0.25, 0.25, 0, 0, 0], rtol=1e-5)
    assert np.isneginf(found.score[0, 3:]).all() and found.lengths[0].tolist() == [1, 1, 1, 0, 0, 0]
    assert (np.asarray(found.values)[0, 3:] == 0).all()


def test_one_program_and_an_early_end():
    traces = []
    decoder = running_sum(traces)
    for seed in range(2):
        generation.beam_search(
            decoder,
            sum_params(seed=seed),
            {},
            beams=2,
            length_penalty=0.1 * seed,
            **IDS,
            max_length=5,
        )
    assert traces == [(2, 1)]
    with pytest.raises(ValueError, match="beams must be a positive whole number, not 0"):
        generation.beam_search(decoder, sum_params(), {}, beams=0, **IDS, max_length=5)


def test_what_cannot_be_said_is_not_found():
    """Log-probabilities of -inf make no NaN, and take no place among the beams."""
    table = np.full((4, 4), -np.inf, np.float32)
    table[BOS, 3] = table[3, 3] = table[3, EOS] = 0.0
    table[EOS, EOS] = table[0, 0] = 0.0
    found = generation.beam_hypotheses(markov(), table, {}, beams=4, **IDS, max_length=3)
    tokens = [found.values[0, k, : int(found.lengths[0, k])].tolist() for k in range(4)]
    assert tokens[0] == [3, 2] and sorted(tokens[1:]) == [[], [3, 3, 2], [3, 3, 3]]
    np.testing.assert_allclose(np.exp(found.log_prob[0]), [0.5, 0.25, 0.25, 0], rtol=1e-5)


def test_in_float64(x64):
    params = tuple(np.asarray(p, np.float64) for p in sum_params(4, seed=6))
    score, log_prob, tokens = exhaustive(params, 4, 3, 0.7)[0]
    found = generation.beam_hypotheses(
        DECODER, params, {}, beams=27, length_penalty=0.7, **IDS, max_length=3
    )
    assert tuple(np.asarray(found.values)[0, 0, : len(tokens)].tolist()) == tokens
    np.testing.assert_allclose([found.score[0, 0], found.log_prob[0, 0]], [score, log_prob], rtol=1e-10)  # fmt: skip
    greedy = generation.greedy(DECODER, params, {}, **IDS, max_length=5)
    expected = log_prob_of(lambda h: next_log_probs(params, h), said(greedy))
    np.testing.assert_allclose(greedy.log_prob[0], expected, rtol=1e-10)
