"""Reviews: read back by rules, and no bag of words tells their labels."""

from collections import Counter

import numpy as np
import pytest

from jaxdl.data import reviews
from jaxdl.data.reviews import NEGATIVE, POSITIVE, make_reviews

FLIPS = ("not", "hardly", "anything but", "nobody could call", "if only")
LIKES = {word: polarity for table in (reviews.WORDS, reviews.VERBS) for polarity, words in
         table.items() for word in words}  # fmt: skip


def polarity_of(clause):
    (found,) = [LIKES[w] for w in clause.split() if w in LIKES]
    flipped = any(flip in clause for flip in FLIPS)
    return 1 - found if flipped else found


def read(words):
    """The label by rules, from the text alone."""
    text = " ".join(words).replace("anything but", "anything_but")
    concession = {"although", "granted"}  # a clause that begins with one does not count
    counting = []
    for sentence in text.split(" . "):
        for clause in sentence.replace(" .", "").replace("granted ,", "granted").split(" , "):
            if not any(w in LIKES for w in clause.split()):
                continue
            if concession.isdisjoint(clause.split()):
                counting.append(clause.replace("anything_but", "anything but"))
    return polarity_of(counting[-1])  # after "but" and "still" the last one counts


@pytest.fixture(scope="module")
def drawn():
    return make_reviews(0, 2000)


def test_rules_read_every_label(drawn):
    assert [read(words) for words in drawn.words] == drawn.labels.tolist()


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("the plot was not good .", NEGATIVE),
        ("the plot was anything but dull .", POSITIVE),
        ("i expected to hate it , but i loved the cast .", POSITIVE),
        ("if only the ending were clever .", NEGATIVE),
        ("the plot was good , although the cast was bad .", POSITIVE),
        ("the plot was good . it runs for two hours . granted , the cast was bad .", POSITIVE),
        ("the plot was good . it runs for two hours . but in the end the cast was bad .", NEGATIVE),
    ],
)
def test_what_the_rules_make_of_sentences_by_hand(text, label):
    assert read(text.split()) == label


def test_equal_bags_have_both_labels_equally_often():
    """Contrasts without other sentences: given its bag of words, a label is a fair coin."""
    few = make_reviews(1, 40_000, neutral=0, shares=(0, 0, 1))
    by_bag = {}
    for words, label in zip(few.words, few.labels.tolist(), strict=True):
        if "granted" in words:  # the templates with "granted" differ in more than the order
            continue
        by_bag.setdefault(frozenset(Counter(words).items()), []).append(label)
    pairs = [labels for labels in by_bag.values() if len(labels) > 1]
    mixed = [labels for labels in pairs if len(set(labels)) == 2]
    assert len(pairs) > 200
    assert 0.4 < len(mixed) / len(pairs) < 0.65


def test_logistic_regression_on_words_fails_and_the_order_is_all_it_lacks(drawn):
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    held = make_reviews(7, 2000)
    count = CountVectorizer(token_pattern=r"\S+").fit(drawn.texts)
    rival = LogisticRegression(max_iter=500).fit(count.transform(drawn.texts), drawn.labels)
    hits = rival.predict(count.transform(held.texts)) == held.labels
    contrast = np.array([kind == "contrast" for kind in held.kinds])
    assert hits.mean() < 0.65
    assert hits[contrast].mean() < 0.56


def test_draws_are_even_deterministic_and_of_many_lengths(drawn):
    assert abs(drawn.labels.mean() - 0.5) < 0.05
    assert drawn.lengths.tolist() == [len(words) for words in drawn.words]
    assert drawn.lengths.min() < 8 and drawn.lengths.max() > 50
    again = make_reviews(0, 30)
    assert again.words == drawn.words[:30] and again.kinds == drawn.kinds[:30]
    assert make_reviews(1, 30).words != again.words
    shares = Counter(drawn.kinds)
    for kind, share in zip(reviews.KINDS, (0.3, 0.2, 0.5), strict=True):
        assert abs(shares[kind] / 2000 - share) < 0.04
    assert drawn.texts[0].split() == drawn.words[0]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"seed": -1}, "seed must be a whole number"),
        ({"n": 0}, "n"),
        ({"neutral": -1}, "neutral must be a whole number"),
        ({"shares": (0.5, 0.5, 0.5)}, "shares are a probability"),
        ({"shares": (0.5, 0.5)}, "shares are a probability"),
    ],
)
def test_arguments_that_make_no_sense(bad, message):
    with pytest.raises(ValueError, match=message):
        make_reviews(**{"seed": 0, **bad})


def test_neutral_sentences_are_as_many_as_asked_for_at_most():
    plain = lambda neutral: make_reviews(0, 80, neutral=neutral, shares=(1, 0, 0)).words
    assert {words.count(".") for words in plain(0)} == {1}
    assert {words.count(".") for words in plain(2)} == {1, 2, 3}
