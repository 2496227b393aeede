"""Reviews from a small grammar, whose label depends on the order of their words.

A review has one opinion, which may be negated ("not good", "anything but dull"); or an expectation
and what became of it ("i expected to hate it , but ..."); or two opinions against each other, of
which a connective, perhaps many words later, says which one counts. In the last kind the same words
in another order are as likely and have the other label, so no bag of words tells one from the other.
"""

from typing import NamedTuple

import numpy as np

from jaxdl.checks import is_whole, positive_int

NEGATIVE, POSITIVE = 0, 1
KINDS = ("plain", "expectation", "contrast")
WORDS = {
    POSITIVE: ("good", "great", "moving", "clever", "funny", "charming", "gripping", "fresh"),
    NEGATIVE: ("bad", "dull", "awful", "clumsy", "boring", "shallow", "lifeless", "stale"),
}
VERBS = {POSITIVE: ("loved", "enjoyed", "liked"), NEGATIVE: ("hated", "loathed", "disliked")}
EXPECTED = {POSITIVE: ("love", "enjoy", "like"), NEGATIVE: ("hate", "loathe", "dislike")}
ASPECTS = (
    "the plot", "the acting", "the music", "the ending", "the dialogue", "the cast", "the camera work",
)  # fmt: skip
PLAIN = ("{aspect} was {word}", "{aspect} was really {word}", "i found {aspect} {word}")
NEGATED = (
    "{aspect} was not {word}", "{aspect} was hardly {word}", "{aspect} was anything but {word}",
    "nobody could call {aspect} {word}", "i would not say that {aspect} was {word}",
)  # fmt: skip
WISH = "if only {aspect} were {word}"  # what is wished for is not there
# Which of two opinions counts: the first or the second.
CONTRASTS = (
    ("{first} , but {second} .", 1),
    ("although {first} , {second} .", 1),
    ("{first} , although {second} .", 0),
    ("{first} . {neutral} but in the end {second} .", 1),
    ("{first} . {neutral} granted , {second} .", 0),
    ("granted , {first} . {neutral} still , {second} .", 1),
)
NEUTRAL = (
    "we saw it on a friday evening .", "it runs for two hours .", "my sister came along .",
    "it is set in a small town by the sea .", "the cinema was half empty .",
    "it was shot in black and white .", "two brothers look for their father .",
    "we had seats in the third row and talked about it on the way home .",
)  # fmt: skip


class Reviews(NamedTuple):
    """N labelled reviews.

    words: the tokens of each, full stops and commas among them. labels: [N] int32, 1 for positive.
    lengths: [N] int32, how many tokens each has. kinds: of ``KINDS``, one a review.
    """

    words: list[list[str]]
    labels: np.ndarray
    lengths: np.ndarray
    kinds: list[str]

    @property
    def texts(self) -> list[str]:
        """The reviews as strings, tokens separated by spaces."""
        return [" ".join(words) for words in self.words]


def make_reviews(
    seed: int,
    n: int = 4000,
    *,
    neutral: int = 4,
    shares: tuple[float, float, float] = (0.3, 0.2, 0.5),
) -> Reviews:
    """Draw reviews; labels are even, and so is whether an opinion is said with a negation.

    Args:
      seed: a whole number; equal seeds give equal reviews, and the first ones of a longer draw.
      n: N.
      neutral: how many sentences without an opinion a review has at most, from 0 on; they stand in
        front, behind, or between two opinions, and their number is uniform.
      shares: of the three ``KINDS``, probabilities.

    Raises a ValueError for a seed or a ``neutral`` below 0, for n under 1, and for shares that are
    no probabilities.

    >>> reviews = make_reviews(0, 2)
    >>> reviews.lengths.tolist() == [len(words) for words in reviews.words]
    True
    """
    n = positive_int("n", n)
    for name, value in (("seed", seed), ("neutral", neutral)):
        if not is_whole(value) or value < 0:
            raise ValueError(f"{name} must be a whole number from 0 on, not {value!r}")
    probabilities = np.asarray(shares, float)
    if len(probabilities) != len(KINDS) or min(probabilities) < 0 or abs(sum(shares) - 1) > 1e-9:
        raise ValueError(f"shares are a probability for each of {', '.join(KINDS)}, not {shares}")
    rng = np.random.default_rng(seed)
    words, labels, kinds = [], [], []
    for _ in range(n):
        kind = KINDS[rng.choice(len(KINDS), p=probabilities)]
        label = int(rng.integers(2))
        sentences = rng.choice(NEUTRAL, rng.integers(neutral + 1), replace=True).tolist()
        words.append(_review(rng, kind, label, sentences).split())
        labels.append(label)
        kinds.append(kind)
    lengths = np.array([len(w) for w in words], np.int32)
    return Reviews(words, np.array(labels, np.int32), lengths, kinds)


def opinion(rng: np.random.Generator, polarity: int) -> str:
    """An opinion of a polarity; every other one negates a word of the other polarity."""
    aspect = _one(rng, ASPECTS)
    if rng.integers(2):
        # A wish for something bad would be odd: wishes are negative, and their share is small.
        templates = NEGATED if polarity == POSITIVE else (*NEGATED, WISH)
        return _one(rng, templates).format(aspect=aspect, word=_one(rng, WORDS[1 - polarity]))
    if rng.integers(4) == 0:
        return f"i {_one(rng, VERBS[polarity])} {aspect}"
    return _one(rng, PLAIN).format(aspect=aspect, word=_one(rng, WORDS[polarity]))


def _review(rng, kind, label, sentences):
    at = int(rng.integers(len(sentences) + 1))
    before, after = " ".join(sentences[:at]), " ".join(sentences[at:])
    if kind == "plain":
        return f"{before} {opinion(rng, label)} . {after}"
    if kind == "expectation":
        # The expectation says nothing of the label: it is met as often as not.
        met = int(rng.integers(2))
        hoped = _one(rng, EXPECTED[label if met else 1 - label])
        link = "and indeed" if met else "but"
        return f"{before} i expected to {hoped} it , {link} {opinion(rng, label)} . {after}"
    template, counts = CONTRASTS[rng.integers(len(CONTRASTS))]
    opinions = [opinion(rng, 1 - label), opinion(rng, 1 - label)]
    opinions[counts] = opinion(rng, label)
    contrast = template.format(first=opinions[0], second=opinions[1], neutral=after)
    return f"{before} {contrast}" if "{neutral}" in template else f"{before} {contrast} {after}"


def _one(rng, choices):
    return choices[rng.integers(len(choices))]
