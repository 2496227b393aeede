"""Greedy generation, the loop and its manners."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hand_made_decoders import (
    BOS,
    EOS,
    IDS,
    PAD,
    log_prob_of,
    markov,
    next_log_probs,
    running_sum,
    said,
    sum_params,
)

from jaxdl import generation
from jaxdl.base import Decoder, Sequences

DECODER = running_sum()


def by_hand(params, length, prompt=(), source=0.0):
    """Greedy, one argmax after the other."""
    history, out = [BOS, *prompt], []
    while len(out) < length and EOS not in out:
        out.append(int(next_log_probs(params, history + out, source).argmax()))
    return tuple(out), log_prob_of(lambda h: next_log_probs(params, h, source), out, tuple(history))


@pytest.mark.parametrize("seed", range(3))
def test_it_takes_the_likeliest_token_each_time(seed):
    params = sum_params(seed=seed)
    out = generation.greedy(DECODER, params, {}, **IDS, max_length=8)
    tokens, log_prob = by_hand(params, 8)
    assert said(out) == tokens
    np.testing.assert_allclose(out.log_prob[0], log_prob, rtol=1e-5)
    assert bool(out.finished[0]) == (tokens[-1] == EOS)


def test_prompts_of_different_lengths_and_sources_are_rows_of_their_own():
    params, sources = sum_params(seed=3), jnp.array([0.0, 0.4, -0.7])
    prompts = Sequences(jnp.array([[3, 4, 3], [4, 99, 99], [99, 99, 99]]), jnp.array([3, 1, 0]))
    out = generation.greedy(DECODER, params, {}, sources, prompt=prompts, **IDS, max_length=6)
    for row, prompt in enumerate(([3, 4, 3], [4], [])):
        tokens, log_prob = by_hand(params, 6, prompt, float(sources[row]))
        assert said(out, row) == tokens
        np.testing.assert_allclose(out.log_prob[row], log_prob, rtol=1e-5)
    wider = generation.greedy(
        DECODER, params, {}, sources, prompt=prompts.padded(5), **IDS, max_length=6
    )
    np.testing.assert_array_equal(wider.tokens.values, out.tokens.values)


def test_behind_eos_is_pad_and_eos_counts():
    table = np.full((5, 5), -4.0, np.float32)
    table[BOS, 3] = table[3, 4] = table[4, EOS] = table[EOS, 3] = 4.0
    prompt = Sequences(jnp.array([[0], [3], [4]]), jnp.array([0, 1, 1]))
    ids = {"bos_id": BOS, "eos_id": EOS, "pad_id": 77}
    out = generation.greedy(markov(), table, {}, prompt=prompt, **ids, max_length=3)
    np.testing.assert_array_equal(out.tokens.values, [[3, 4, 2], [4, 2, 77], [2, 77, 77]])
    np.testing.assert_array_equal(out.tokens.lengths, [3, 2, 1])
    each = 4 - np.log(np.exp(4.0) + 4 * np.exp(-4.0))
    np.testing.assert_allclose(out.log_prob, [3 * each, 2 * each, each], atol=1e-6)
    np.testing.assert_array_equal(out.finished, [True, True, True])
    cut = generation.greedy(markov(), table, {}, prompt=prompt, **ids, max_length=1)
    np.testing.assert_array_equal(cut.finished, [False, False, True])


def test_a_model_without_bos_and_eos():
    table = jnp.eye(3)[jnp.array([1, 2, 0])]
    ids = {"bos_id": None, "eos_id": None, "pad_id": 0}
    decoder = markov()
    out = generation.greedy(decoder, table, {}, prompt=jnp.array([[1]]), **ids, max_length=5)
    assert said(out) == (2, 0, 1, 2, 0) and not out.finished[0]
    with pytest.raises(ValueError, match="needs a prompt of at least one token"):
        generation.greedy(decoder, table, {}, **ids, max_length=5)
    empty = Sequences(jnp.array([[1], [1]]), jnp.array([1, 0]))
    with pytest.raises(ValueError, match="needs a prompt of at least one token"):
        generation.begin(decoder, table, {}, prompt=empty, ids=generation.special_ids(None, None, 0), max_length=2)  # fmt: skip


def test_it_stops_when_all_rows_have_ended():
    """The last step is the one in which the last row ended: a loop to the end would count on."""
    table = np.full((4, 4), -9.0, np.float32)
    table[BOS, 3] = table[3, EOS] = table[EOS, 3] = 9.0
    ids = generation.special_ids(BOS, EOS, PAD)
    decoder = markov()
    begun = generation.begin(decoder, table, {}, ids=ids, max_length=40, rows=2)
    choose = lambda step, log_probs: log_probs.argmax(-1)
    ended = generation.advance(decoder, table, {}, begun, choose, ids=ids)
    assert int(ended.step) == 2 and bool(ended.finished.all())


def test_one_program_for_a_shape():
    traces = []
    decoder, prompt = running_sum(traces), jnp.array([[3, 4]])
    say = functools.partial(generation.greedy, decoder, **IDS, max_length=9)
    for seed in range(3):
        say(sum_params(seed=seed), {}, prompt=prompt + 0)
    assert traces == [(1, 2), (1, 1)]  # BOS and all but the last of the prompt, then the loop
    traces.clear()
    say(sum_params(), {})
    say(sum_params(seed=1), {})
    assert traces == [(1, 1)]


def test_going_on_from_where_it_stopped_with_the_carry_given_up():
    ids, params = generation.special_ids(BOS, EOS, PAD), sum_params(seed=4)
    choose = lambda step, log_probs: log_probs.argmax(-1)
    go_on = jax.jit(
        lambda params, progress: generation.advance(
            DECODER, params, {}, progress, choose, ids=ids, steps=2
        ),
        donate_argnames="progress",
    )
    progress = generation.begin(DECODER, params, {}, ids=ids, max_length=7, rows=2)
    for done in (2, 4, 6, 7):
        before, progress = progress, go_on(params, progress)
        assert before.carry["s"].is_deleted()
        assert int(progress.step) == done
    whole = generation.greedy(DECODER, params, {}, **IDS, max_length=7, rows=2)
    jax.tree.map(np.testing.assert_array_equal, progress.generated, whole)


def test_inside_jit_and_vmap():
    many = [sum_params(seed=s) for s in range(3)]
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *many)
    say = functools.partial(generation.greedy, DECODER, **IDS, max_length=6)
    out = jax.jit(jax.vmap(lambda params: say(params, {})))(stacked)
    for i, params in enumerate(many):
        np.testing.assert_array_equal(out.tokens.values[i], say(params, {}).tokens.values)


def test_half_precision_logits_are_added_up_in_float32():
    table = jnp.zeros((4, 4), jnp.bfloat16).at[:, 3].set(3.0)
    out = generation.greedy(markov(), table, {}, **IDS, max_length=300)
    each = 3 - np.log(np.exp(3.0) + 3)
    assert out.log_prob.dtype == jnp.float32
    np.testing.assert_allclose(out.log_prob[0], 300 * each, rtol=1e-5)


def test_a_model_that_gives_nan_shows():
    broken = generation.greedy(
        markov(), np.full((4, 4), np.nan, np.float32), {}, **IDS, max_length=2
    )
    assert np.isnan(broken.log_prob[0])


def test_what_is_refused():
    say = functools.partial(generation.greedy, DECODER, sum_params(), {})
    with pytest.raises(ValueError, match="60 tokens are too many"):
        say(**IDS, max_length=60)
    with pytest.raises(ValueError, match="max_length must be a positive whole number, not 0"):
        say(**IDS, max_length=0)
    with pytest.raises(ValueError, match="eos_id 5 is not among the 5 tokens"):
        say(bos_id=1, eos_id=5, pad_id=0, max_length=3)
    with pytest.raises(ValueError, match="pad_id must be a whole number from 0 on, not None"):
        say(bos_id=1, eos_id=2, pad_id=None, max_length=3)
    with pytest.raises(ValueError, match=r"agree in their rows: \{'source': 2, 'prompt': 1\}"):
        say(jnp.zeros(2), prompt=jnp.array([[3]]), **IDS, max_length=3)
    with pytest.raises(ValueError, match=r"token ids \[B, P\], whole numbers, not float32"):
        say(prompt=jnp.array([[3.0]]), **IDS, max_length=3)


def test_the_carry_of_rows_that_ended_may_hold_anything():
    """A decoder that breaks behind EOS, as a full cache does, spoils no other row."""

    def step(params, state, carry, tokens, lengths=None):
        logits = params[tokens]
        carry = carry | (tokens[:, 0] == EOS)
        return carry, jnp.where(carry[:, None, None], jnp.nan, logits)

    decoder = Decoder(lambda p, s, source, *, rows, max_length: jnp.zeros(rows, bool), step)
    table = np.full((5, 5), -9.0, np.float32)
    table[BOS, 3] = table[3, 4] = table[4, EOS] = 9.0
    prompt = Sequences(jnp.array([[0], [4]]), jnp.array([0, 1]))
    out = generation.greedy(decoder, table, {}, prompt=prompt, **IDS, max_length=5)
    assert np.isfinite(out.log_prob).all() and said(out, 0) == (3, 4, 2) and said(out, 1) == (2,)
