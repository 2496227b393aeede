"""Sampling: its distribution, exactly and by frequencies."""

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
    log_softmax,
    markov,
    next_log_probs,
    running_sum,
    said,
    sum_params,
)
from scipy.stats import chisquare

from jaxdl import generation

DECODER = running_sum()
PROBABILITIES = np.array([0.1, 0.4, 0.05, 0.25, 0.2])
LOGITS = np.log(PROBABILITIES).astype(np.float32) + 700  # an offset changes nothing
of = functools.partial(generation.sampling_probabilities, LOGITS)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_temperature_is_a_power_of_the_probabilities(temperature):
    power = PROBABILITIES ** (1 / temperature)
    np.testing.assert_allclose(of(temperature=temperature), power / power.sum(), rtol=1e-4)


@pytest.mark.parametrize("temperature", [0.0, 1e-30, 1e-3])
def test_temperature_zero_is_the_limit_of_small_ones(temperature, key):
    """nanoGPT #738: logits (1, 3, 2) at temperature 0 give index 1 for any key, without NaN."""
    z = jnp.array([1.0, 3.0, 2.0])
    p = generation.sampling_probabilities(z, temperature=temperature)
    np.testing.assert_array_equal(p, [0, 1, 0])
    table = jnp.broadcast_to(z, (3, 3))
    ids = {"bos_id": 0, "eos_id": None, "pad_id": 0}
    keys = jax.random.split(key, 8)
    draw = lambda key: generation.sample(MARKOV, table, {}, key=key, temperature=temperature, **ids, max_length=4)  # fmt: skip
    out = jax.vmap(draw)(keys)
    np.testing.assert_array_equal(out.tokens.values, np.ones((8, 1, 4)))
    np.testing.assert_allclose(out.log_prob, 4 * log_softmax([1, 3, 2])[1], rtol=1e-5)


MARKOV = markov()


def test_temperature_zero_takes_the_first_of_equals():
    p = generation.sampling_probabilities(jnp.array([1.0, 2.0, 2.0]), temperature=0.0, top_p=0.9)
    np.testing.assert_array_equal(p, [0, 1, 0])


def test_top_k_keeps_k_tokens():
    np.testing.assert_allclose(of(top_k=1), [0, 1, 0, 0, 0])
    np.testing.assert_allclose(of(top_k=3), np.array([0, 0.4, 0, 0.25, 0.2]) / 0.85, rtol=1e-4)
    np.testing.assert_allclose(of(top_k=9), PROBABILITIES, rtol=1e-4)
    ties = generation.sampling_probabilities(jnp.zeros(4), top_k=2)
    np.testing.assert_array_equal(ties, [0.5, 0.5, 0, 0])  # k of them, not all that are equal


@pytest.mark.parametrize(
    ("top_p", "kept"),
    [(0.01, [1]), (0.39, [1]), (0.41, [1, 3]), (0.64, [1, 3]), (0.66, [1, 3, 4]),
     (0.94, [0, 1, 3, 4]), (0.96, [0, 1, 2, 3, 4]), (1.0, [0, 1, 2, 3, 4])],
)  # fmt: skip
def test_nucleus_is_the_smallest_set_that_reaches_p(top_p, kept):
    expected = np.where(np.isin(np.arange(5), kept), PROBABILITIES, 0)
    np.testing.assert_allclose(of(top_p=top_p), expected / expected.sum(), rtol=1e-4)
    np.testing.assert_allclose(
        jax.jit(lambda p: of(top_p=p))(top_p), expected / expected.sum(), rtol=1e-4
    )


def test_nucleus_looks_at_what_temperature_and_top_k_leave():
    p = PROBABILITIES**2 / (PROBABILITIES**2).sum()  # 0.4 has 0.593 of it, 0.25 has 0.231
    expected = np.where(np.isin(np.arange(5), [1, 3]), p, 0)
    np.testing.assert_allclose(of(temperature=0.5, top_p=0.8), expected / expected.sum(), rtol=1e-4)
    # Of (0.4, 0.25) alone, 0.4 has 0.615 of the mass.
    np.testing.assert_allclose(of(top_k=2, top_p=0.6), [0, 1, 0, 0, 0])


def test_a_whole_nucleus_loses_no_rare_token():
    z = jnp.zeros(1000).at[0].set(30.0)  # the sum of probabilities is 1 long before the end
    assert (generation.sampling_probabilities(z, top_p=1.0) > 0).all()


def test_impossible_tokens_are_never_drawn():
    z = jnp.array([-jnp.inf, 0.0, -jnp.inf, 0.0])
    for options in ({}, {"temperature": 0.3}, {"top_k": 3}, {"top_p": 0.99}):
        p = generation.sampling_probabilities(z, **options)
        np.testing.assert_allclose(p, [0, 0.5, 0, 0.5], rtol=1e-5)


@pytest.mark.equation(32)
def test_all_sequences_sum_to_one_and_samples_have_these_frequencies():
    params, vocabulary, length = sum_params(4, seed=5), 4, 3
    following = lambda history: next_log_probs(params, history)
    exact = {s: np.exp(log_prob_of(following, s)) for s in all_sequences(vocabulary, length)}
    assert abs(sum(exact.values()) - 1) < 1e-12
    out = generation.sample(
        DECODER, params, {}, key=jax.random.key(7), **IDS, max_length=length, rows=4000
    )
    counts = dict.fromkeys(exact, 0)
    for row in range(4000):
        counts[said(out, row)] += 1
    common = [s for s in exact if 4000 * exact[s] >= 5]
    seen = [counts[s] for s in common]
    expected = 4000 * np.array([exact[s] for s in common])
    if len(common) < len(exact):  # the rare ones are one class
        seen, expected = [*seen, 4000 - sum(seen)], [*expected, 4000 - expected.sum()]
    assert chisquare(seen, expected).pvalue > 0.01
    log_probs = [np.log(exact[said(out, row)]) for row in range(20)]
    np.testing.assert_allclose(out.log_prob[:20], log_probs, rtol=1e-4)


@pytest.mark.parametrize("options", [{"temperature": 0.6}, {"top_k": 2}, {"top_p": 0.7}])
def test_draws_follow_sampling_probabilities(options):
    table = jnp.asarray(np.tile(LOGITS, (5, 1)))
    ids = {"bos_id": BOS, "eos_id": None, "pad_id": 0}
    out = generation.sample(
        MARKOV, table, {}, key=jax.random.key(1), **options, **ids, max_length=1, rows=3000
    )
    counts = np.bincount(np.asarray(out.tokens.values)[:, 0], minlength=5)
    p = np.asarray(of(**options), np.float64)
    assert counts[p == 0].sum() == 0
    assert chisquare(counts[p > 0], 3000 * p[p > 0] / p.sum()).pvalue > 0.01
    # What is reported is the model's own probability, not that of the narrowed choice.
    np.testing.assert_allclose(
        out.log_prob, np.log(PROBABILITIES)[np.asarray(out.tokens.values)[:, 0]], rtol=1e-4
    )


def test_each_step_draws_anew_and_keys_differ(key):
    uniform = jnp.zeros((6, 6))
    ids = {"bos_id": 0, "eos_id": None, "pad_id": 0}
    one, two = jax.random.split(key)
    draw = lambda k: generation.sample(MARKOV, uniform, {}, key=k, **ids, max_length=40)
    first = said(draw(jax.random.clone(one)))
    assert len(set(first)) == 6 and first == said(draw(one)) and first != said(draw(two))


def test_under_vmap_over_keys_and_temperatures_as_alone(key):
    params = sum_params(seed=1)
    keys, temperatures = jax.random.split(key, 3), jnp.array([0.0, 0.7, 3.0])

    def draw(key, temperature, top_p):
        return generation.sample(
            DECODER, params, {}, key=key, temperature=temperature, top_p=top_p, **IDS, max_length=6
        )

    out = jax.vmap(draw, (0, 0, None))(jax.random.clone(keys), temperatures, 0.9)
    for i in range(3):
        alone = draw(keys[i], temperatures[i], 0.9)
        np.testing.assert_array_equal(out.tokens.values[i], alone.tokens.values)
        np.testing.assert_allclose(out.log_prob[i], alone.log_prob, rtol=1e-5)
    greedy = generation.greedy(DECODER, params, {}, **IDS, max_length=6)
    np.testing.assert_array_equal(out.tokens.values[0], greedy.tokens.values)


def test_values_share_a_program():
    traces = []
    decoder, params = running_sum(traces), sum_params()
    for i, temperature in enumerate((0.0, 0.5, 1.5)):
        generation.sample(
            decoder, params, {}, key=jax.random.key(i), temperature=temperature, top_p=0.5 + i / 10,
            **IDS, max_length=4,
        )  # fmt: skip
    assert traces == [(1, 1)]


def test_a_row_ends_with_eos():
    out = generation.sample(
        DECODER, sum_params(seed=2), {}, key=jax.random.key(3), **IDS, max_length=12, rows=50
    )
    for row in range(50):
        tokens = said(out, row)
        assert (tokens[-1] == EOS) == bool(out.finished[row]) and EOS not in tokens[:-1]
        assert (np.asarray(out.tokens.values)[row, len(tokens) :] == 0).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -0.1}, "temperature must be a number from 0 on, not -0.1"),
        ({"temperature": np.nan}, "temperature must be a number from 0 on, not nan"),
        ({"top_k": 0}, "top_k must be a positive whole number, not 0"),
        ({"top_p": 0.0}, "top_p must be above 0 and at most 1, not 0.0"),
        ({"top_p": 1.2}, "top_p must be above 0 and at most 1, not 1.2"),
    ],
)
def test_what_is_refused(options, message, key):
    with pytest.raises(ValueError, match=message):
        generation.sample(DECODER, sum_params(), {}, key=key, **options, **IDS, max_length=2)
    with pytest.raises(ValueError, match=message):
        of(**options)
