"""Kneser-Ney: by hand, by a plain dictionary of counts, and as a distribution."""

from collections import Counter, defaultdict

import numpy as np
import pytest

from jaxdl.text import ngrams

FALLBACK = ngrams.FALLBACK
RNG = np.random.default_rng(0)
LONG = RNG.choice(6, 400, p=[0.4, 0.3, 0.15, 0.1, 0.05, 0.0])


def plain(tokens, order, num_tokens, taken):
    """``p(w | c)`` from dictionaries, straight from the definition; ``taken[k]`` are discounts."""
    grams = {k: Counter(tuple(tokens[i : i + k]) for i in range(len(tokens) - k + 1)) for k in range(1, order + 1)}  # fmt: skip
    adjusted = {order: dict(grams[order])}
    for k in range(1, order):
        before = defaultdict(set)
        for gram in grams[k + 1]:
            before[gram[1:]].add(gram[0])
        adjusted[k] = {gram: len(before[gram]) for gram in grams[k]}

    def p(w, c):
        k = len(c) + 1
        lower = 1 / num_tokens if k == 1 else p(w, c[1:])
        behind = [n for gram, n in adjusted[k].items() if gram[:-1] == c]
        if not sum(behind):
            return lower
        d = lambda n: 0 if n == 0 else min(taken[k - 1][min(n, 3) - 1], n)
        n = adjusted[k].get((*c, w), 0)
        return (n - d(n)) / sum(behind) + sum(map(d, behind)) / sum(behind) * lower

    return lambda w, c: p(w, tuple(c)[len(c) - min(order - 1, len(c)) :])


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_it_is_the_definition(order):
    model = ngrams.kneser_ney(LONG, order=order, num_tokens=6, fallback=FALLBACK)
    p = plain(LONG.tolist(), order, 6, [o.discounts for o in model.orders])
    text = RNG.choice(6, 60).tolist()  # with contexts that were never seen
    expected = [np.log(p(w, text[:t])) for t, w in enumerate(text)]
    np.testing.assert_allclose(ngrams.ngram_log_prob(model, text), expected, rtol=1e-10)


def test_by_hand():
    """a b a b b with D = (0.5, 1, 1.5): ab 2, ba 1, bb 1; a follows {b}, b follows {a, b}."""
    model = ngrams.kneser_ney([0, 1, 0, 1, 1], order=2, num_tokens=3, fallback=FALLBACK)
    # Order 1: counts a 1, b 2, total 3; D takes 0.5 + 1 = 1.5, half of it.
    one = np.array([0.5 / 3, 1 / 3, 0]) + 0.5 / 3
    np.testing.assert_allclose(ngrams.probabilities(model), one)
    # Behind a: b twice, D_2 = 1 of 2. Behind b: a and b once each, D_1 = 0.5 each, of 2.
    np.testing.assert_allclose(ngrams.probabilities(model, [0]), np.array([0, 0.5, 0]) + 0.5 * one)
    np.testing.assert_allclose(
        ngrams.probabilities(model, [0, 1]), np.array([0.25, 0.25, 0]) + 0.5 * one
    )
    np.testing.assert_allclose(ngrams.probabilities(model, [2]), one)  # never seen


@pytest.mark.parametrize("order", [1, 2, 5])
def test_every_context_has_a_distribution(order):
    model = ngrams.kneser_ney(LONG, order=order, num_tokens=6, fallback=FALLBACK)
    for context in ([], [5], [0, 1], *RNG.choice(6, (20, 7))):
        p = ngrams.probabilities(model, context)
        assert (p > 0).all() and abs(p.sum() - 1) < 1e-12


def test_discounts_of_a_text_that_is_too_small():
    """kenlm #424: n_1, ..., n_4 = 13, 1, 1, 1 give Y = 13/15, D_2 = -0.6 and D_3 = -0.4667."""
    counts = np.repeat([1, 2, 3, 4], [13, 1, 1, 1])
    with pytest.raises(ValueError, match=r"0\.8667, -0\.6, -0\.4667 from .* = \[13, 1, 1, 1\]"):
        ngrams.discounts(counts)
    with pytest.raises(ValueError, match="one that divides is 0"):
        ngrams.discounts(np.array([1, 1, 3]))
    with pytest.raises(ValueError, match=r"order 1: no discounts .* give a fallback"):
        ngrams.kneser_ney([0, 1, 0], order=2, num_tokens=2)
    model = ngrams.kneser_ney([0, 1, 0], order=2, num_tokens=2, fallback=FALLBACK)
    assert [order.discounts for order in model.orders] == [FALLBACK] * 2


def test_discounts_of_its_own_where_there_are_any():
    tokens = np.random.default_rng(1).zipf(1.5, 3000).clip(max=300) - 1
    model = ngrams.kneser_ney(tokens, order=2, num_tokens=300)
    counts = np.array(list(Counter(zip(tokens[:-1].tolist(), tokens[1:].tolist(), strict=True)).values()))  # fmt: skip
    n = [np.sum(counts == j) for j in (1, 2, 3, 4)]
    y = n[0] / (n[0] + 2 * n[1])
    expected = [1 - 2 * y * n[1] / n[0], 2 - 3 * y * n[2] / n[1], 3 - 4 * y * n[3] / n[2]]
    np.testing.assert_allclose(model.orders[1].discounts, expected)
    assert model.orders[1].discounts != FALLBACK


def test_a_context_may_go_before():
    model = ngrams.kneser_ney(LONG, order=3, num_tokens=6, fallback=FALLBACK)
    text = LONG[:50]
    whole = ngrams.ngram_log_prob(model, text)
    np.testing.assert_allclose(ngrams.ngram_log_prob(model, text[20:], context=text[:20]), whole[20:])  # fmt: skip
    assert ngrams.ngram_log_prob(model, []).shape == (0,)


def test_what_is_refused():
    with pytest.raises(ValueError, match="a text of 2 tokens has no 3-gram"):
        ngrams.kneser_ney([0, 1], order=3, num_tokens=2)
    with pytest.raises(ValueError, match=r"token 2 is outside the vocabulary 0, ..., 1"):
        ngrams.kneser_ney([0, 2], order=1, num_tokens=2)
    with pytest.raises(ValueError, match="one row of whole ids"):
        ngrams.kneser_ney([0.5, 1], order=1, num_tokens=2)
    with pytest.raises(ValueError, match="order must be a positive whole number, not 0"):
        ngrams.kneser_ney([0, 1], order=0, num_tokens=2)
