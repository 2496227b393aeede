"""Proposals without any history: at random, and quasi-random ones that fill the space evenly."""

import zlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np

from jaxdl.base import Key
from jaxdl.model_selection.spaces import Suggestions

PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71)


class Proposals(NamedTuple):
    """Ask and tell.

    ask: ``(turn, first, count, known) -> (numbers, settings)``, those of a round: ``count``
        proposals of which the first is number ``first`` of the search. ``known`` are the numbers
        of an earlier, interrupted call's, or None.
    tell: ``(numbers, outcomes)``, what became of each: an ``Outcome``.
    """

    ask: Callable
    tell: Callable


class Outcome(NamedTuple):
    """score: of a setting, as its metric is. epochs: after which it was dropped, or None.

    A score that is not finite is that of a setting that diverged.
    """

    score: float
    epochs: int | None = None


def at_random(space: Callable, key: Key) -> Proposals:
    """Independent draws. Source: Bergstra and Bengio (2012)."""

    def ask(turn: int, first: int, count: int, known: Sequence[int] | None):
        numbers = list(range(first, first + count))
        drawn = [_keyed(jax.random.fold_in(key, number)) for number in numbers]
        return numbers, [space(Suggestions(share)) for share in drawn]

    return Proposals(ask, _forget)


def _keyed(key: Key) -> Callable[[str], float]:
    """A draw of [0, 1) by name."""
    of_name = lambda name: jax.random.fold_in(key, zlib.crc32(name.encode()))
    return lambda name: float(jax.random.uniform(of_name(name)))


def halton(space: Callable, key: Key) -> Proposals:
    """Points of a scrambled Halton sequence, a base for each name in the order of its first use.

    Raises a ValueError for more names than there are ``PRIMES``.
    Source: Halton (1960); Owen, A Randomized Halton Algorithm in R (2017).
    """
    bases: dict[str, int] = {}

    def share(name: str, number: int) -> float:
        if name not in bases:
            if len(bases) == len(PRIMES):
                raise ValueError(f'"halton" has bases for {len(PRIMES)} names at most')
            bases[name] = PRIMES[len(bases)]
        return radical_inverse(number, bases[name], jax.random.fold_in(key, bases[name]))

    def ask(turn: int, first: int, count: int, known: Sequence[int] | None):
        numbers = list(range(first, first + count))
        at = lambda number: Suggestions(lambda name: share(name, number))
        return numbers, [space(at(number)) for number in numbers]

    return Proposals(ask, _forget)


def radical_inverse(number: int, base: int, key: Key | None = None) -> float:
    """The digits of a number behind the point, ``sum_i digit_i base^-(i + 1)``, in [0, 1).

    With a key each place has a permutation of its own for its digits, down to 2^-32.

    >>> [radical_inverse(n, 2) for n in range(5)]
    [0.0, 0.5, 0.25, 0.75, 0.125]
    """
    places = int(np.ceil(32 / np.log2(base)))
    value, scale = 0.0, 1.0
    digits = np.arange(base)[None].repeat(places, 0) if key is None else _permutations(base, key)
    for place in range(places):
        number, digit = divmod(number, base)
        scale /= base
        value += scale * int(digits[place, digit])
    return min(value, 1 - 2.0**-32)


def _permutations(base: int, key: Key) -> np.ndarray:
    """[places, base], a random permutation for each place."""
    places = int(np.ceil(32 / np.log2(base)))
    words = np.asarray(jax.random.key_data(key)).ravel()
    rng = np.random.default_rng(words)
    return rng.permuted(np.arange(base)[None].repeat(places, 0), axis=1)


def _forget(numbers: Sequence[int], outcomes: Sequence[Outcome]) -> None:
    """What needs no history."""
