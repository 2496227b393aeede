"""Sequence problems with known answers: copy, reverse, addition, adding, copy memory.

Every generator is a pure function of a whole seed and gives NumPy arrays. Tokens of the source and
target problems start at ``first_id``; the ids below are for padding, BOS, EOS and unknown tokens.
The baselines are what a model reaches that sees none of what matters.
"""

import math
from typing import NamedTuple

import numpy as np

from jaxdl.base import Sequences
from jaxdl.checks import is_whole, positive_int

FIRST_ID = 4
ADDITION_CHARACTERS = "0123456789+"
NUM_COPY_MEMORY_TOKENS = 10  # eight symbols, the blank, the delimiter
BLANK, DELIMITER = 8, 9


class Pairs(NamedTuple):
    """What is read and what is to be said, Sequences [N, S] and [N, T] of tokens."""

    source: Sequences
    target: Sequences


class Adding(NamedTuple):
    """x: Sequences [N, T, 2], a value and a mark at each position. y: [N], the sum of the marked."""

    x: Sequences
    y: np.ndarray


def copy(
    seed: int,
    n: int = 1000,
    *,
    length: int = 16,
    min_length: int | None = None,
    num_symbols: int = 10,
    first_id: int = FIRST_ID,
) -> Pairs:
    """``y_t = x_t``: uniform symbols x [n, length], to be said again.

    Lengths are uniform from ``min_length`` (default: ``length``) to ``length``. Raises a ValueError
    for sizes under 1 and a ``min_length`` above ``length``.

    >>> pairs = copy(0, 2, length=3)
    >>> bool((pairs.source.values == pairs.target.values).all())
    True
    """
    source = _symbols(seed, n, length, min_length, num_symbols, first_id)
    return Pairs(source, source)


def reverse(
    seed: int,
    n: int = 1000,
    *,
    length: int = 16,
    min_length: int | None = None,
    num_symbols: int = 10,
    first_id: int = FIRST_ID,
) -> Pairs:
    """``y_t = x_{T+1-t}``: uniform symbols x [n, length], to be said from the last to the first.

    Arguments and errors as of ``copy``; a sequence is reversed within its own length.

    >>> pairs = reverse(0, 1, length=3)
    >>> bool((pairs.source.values[:, ::-1] == pairs.target.values).all())
    True
    """
    source = _symbols(seed, n, length, min_length, num_symbols, first_id)
    from_the_end = source.lengths[:, None] - 1 - np.arange(source.values.shape[1])
    turned = np.take_along_axis(source.values, np.maximum(from_the_end, 0), axis=1)
    return Pairs(source, Sequences(np.where(from_the_end >= 0, turned, 0), source.lengths))


def addition(seed: int, n: int = 1000, *, digits: int = 3) -> tuple[list[str], list[str]]:
    """Sums as text: ``("27+156", "183")``, of two numbers with up to ``digits`` digits.

    All n pairs of numbers differ, whichever comes first, so that any split of them holds questions
    out whose answer was not read. Raises a ValueError where there are not n of them. Source:
    Zaremba & Sutskever (2014).

    Returns (questions, answers), n strings each; ``addition_tokens`` makes tokens of them.

    >>> addition(0, 2, digits=1)
    (['9+0', '7+7'], ['9', '14'])
    """
    digits, n = positive_int("digits", digits), positive_int("n", n)
    if digits > 6:
        raise ValueError(f"digits must be at most 6, not {digits}")
    numbers = 10**digits
    pairs = numbers * (numbers + 1) // 2
    if n > pairs:
        raise ValueError(f"there are {pairs} pairs of numbers with up to {digits} digits, not {n}")
    rng = _generator(seed)
    # Pairs a >= b are numbered row by row of a triangle: k = a (a + 1) / 2 + b.
    k = rng.choice(pairs, size=n, replace=False)
    a = ((np.sqrt(8.0 * k + 1) - 1) / 2).astype(np.int64)
    b = k - a * (a + 1) // 2
    swapped = rng.integers(0, 2, n).astype(bool)
    a, b = np.where(swapped, b, a).tolist(), np.where(swapped, a, b).tolist()
    both = list(zip(a, b, strict=True))
    return [f"{a}+{b}" for a, b in both], [f"{a + b}" for a, b in both]


def addition_tokens(texts: list[str], *, first_id: int = FIRST_ID) -> Sequences:
    """Characters of ``ADDITION_CHARACTERS`` as tokens, Sequences [N, T] with T the longest.

    Raises a ValueError for another character.

    >>> addition_tokens(["1+2", "40"]).values.tolist()
    [[5, 14, 6], [8, 4, 0]]
    """
    known = {c: first_id + i for i, c in enumerate(ADDITION_CHARACTERS)}
    unknown = sorted(set("".join(texts)) - set(known))
    if unknown:
        raise ValueError(f"sums are of {ADDITION_CHARACTERS}, not {unknown[0]!r}")
    lengths = np.array([len(text) for text in texts], np.int32)
    values = np.zeros((len(texts), max(lengths, default=0)), np.int32)
    for row, text in zip(values, texts, strict=True):
        row[: len(text)] = [known[c] for c in text]
    return Sequences(values, lengths)


def adding_problem(
    seed: int, n: int = 1000, *, length: int = 50, min_length: int | None = None
) -> Adding:
    """``y = sum_t m_t u_t``: u_t ~ U(0, 1), and marks m_t that are 1 at one place of each half.

    x [n, length, 2] has (u_t, m_t) at t. Lengths as in ``copy``, 2 or more. This is the form of
    Arjovsky et al. (2016), with values from 0 to 1 and responses around 1. Source: Hochreiter &
    Schmidhuber (1997), experiment 4.

    >>> x, y = adding_problem(0, 3, length=8)
    >>> bool((y == (x.values[..., 0] * x.values[..., 1]).sum(1)).all())
    True
    """
    rng = _generator(seed)
    lengths = _lengths(rng, n, length, min_length, least=2)
    half = lengths // 2
    values = rng.uniform(size=(n, length)).astype(np.float32)
    marks = np.zeros((n, length), np.float32)
    first = rng.integers(0, half)
    second = rng.integers(half, lengths)
    rows = np.arange(n)
    marks[rows, first] = marks[rows, second] = 1
    y = values[rows, first] + values[rows, second]
    x = np.stack([values, marks], axis=-1)
    inside = np.arange(length) < lengths[:, None]
    return Adding(Sequences(np.where(inside[..., None], x, np.float32(0)), lengths), y)


def adding_baseline(prediction: float = 1.0) -> float:
    """The mean squared error of one ``prediction`` c for all: ``1/6 + (c - 1)^2``, at best 1/6.

    A sum of two uniform values has the mean 1 and the variance 2/12.

    >>> round(adding_baseline(), 4)
    0.1667
    """
    return 1 / 6 + (prediction - 1) ** 2


def copy_memory(seed: int, n: int = 1000, *, delay: int = 50, length: int = 10) -> Pairs:
    """Ten symbols, to be said again ``delay`` steps after the last of them was read.

    x [n, T + 2 L] with T = ``delay``, L = ``length``: L symbols from 0 to 7, T - 1 blanks, the
    delimiter, L blanks. y of the same shape: T + L blanks, then the symbols. Position t of y goes
    with position t of x. Source: Hochreiter & Schmidhuber (1997), as in Arjovsky et al. (2016).

    >>> source, target = copy_memory(0, 1, delay=2, length=2)
    >>> source.values.tolist(), target.values.tolist()
    ([[6, 5, 8, 9, 8, 8]], [[8, 8, 8, 8, 6, 5]])
    """
    n, delay = positive_int("n", n), positive_int("delay", delay)
    length = positive_int("length", length)
    symbols = _generator(seed).integers(0, BLANK, (n, length)).astype(np.int32)
    total = delay + 2 * length
    source = np.full((n, total), BLANK, np.int32)
    target = source.copy()
    source[:, :length] = symbols
    source[:, length + delay - 1] = DELIMITER
    target[:, -length:] = symbols
    lengths = np.full(n, total, np.int32)
    return Pairs(Sequences(source, lengths), Sequences(target, lengths))


def copy_memory_baseline(delay: int, *, length: int = 10) -> float:
    """Nats a position without memory: ``L ln 8 / (T + 2 L)``, blanks known, symbols guessed.

    T = ``delay``, L = ``length``. Source: Arjovsky et al. (2016), §5.1.

    >>> round(copy_memory_baseline(100), 4)
    0.1733
    """
    return length * math.log(BLANK) / (delay + 2 * length)


def _symbols(seed, n, length, min_length, num_symbols, first_id):
    rng = _generator(seed)
    lengths = _lengths(rng, n, length, min_length)
    num_symbols = positive_int("num_symbols", num_symbols)
    values = rng.integers(first_id, first_id + num_symbols, (n, length)).astype(np.int32)
    inside = np.arange(length) < lengths[:, None]
    return Sequences(np.where(inside, values, np.int32(0)), lengths)


def _lengths(rng, n, length, min_length, least=1):
    n, length = positive_int("n", n), positive_int("length", length)
    shortest = length if min_length is None else positive_int("min_length", min_length)
    if not least <= shortest <= length:
        raise ValueError(f"lengths must be from {least} to {length}, not from {shortest}")
    return rng.integers(shortest, length + 1, n).astype(np.int32)


def _generator(seed):
    if not is_whole(seed) or seed < 0:
        raise ValueError(f"seed must be a whole number from 0 on, not {seed!r}")
    return np.random.default_rng(seed)
