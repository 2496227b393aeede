"""Vocabularies: which words there are, and the id of each."""

import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxdl import files
from jaxdl.checks import nearest, one_of, positive_int

PAD, BOS, EOS, UNKNOWN = 0, 1, 2, 3
SPECIAL = ("<pad>", "<bos>", "<eos>", "<unk>")
ON_UNKNOWN = ("unknown", "raise", "skip")


class Vocabulary(NamedTuple):
    """Words, or characters, and their ids; the first four ids are PAD, BOS, EOS and UNKNOWN.

    words: that of each id; the special ones are named as in ``SPECIAL``. ids: by word, without the
    special ones: a text that holds "<eos>" does not hold an EOS.
    """

    words: tuple[str, ...]
    ids: dict[str, int]

    @property
    def size(self) -> int:
        """V, how many ids there are."""
        return len(self.words)


def vocabulary(words: Iterable[str]) -> Vocabulary:
    """The vocabulary of these words, in this order, from id 4 on.

    Raises a ValueError for what is no string, for the empty one, and for a word that comes twice.

    >>> vocabulary(["b", "a"]).ids
    {'b': 4, 'a': 5}
    """
    words = list(words)
    for word in words:
        if not isinstance(word, str) or not word:
            raise ValueError(f"words are strings of at least one character, not {word!r}")
    ids = {word: i for i, word in enumerate(words, start=len(SPECIAL))}
    if len(ids) != len(words):
        twice = next(word for word, n in Counter(words).items() if n > 1)
        raise ValueError(f"the word {twice!r} comes more than once")
    return Vocabulary((*SPECIAL, *words), ids)


def count_vocabulary(
    words: Iterable[str], *, size: int | None = None, min_count: int = 1
) -> Vocabulary:
    """The vocabulary of the words that come, those that come most often first.

    Equal counts are in the order of the words, so that neither the order of the input nor a hash
    decides who is cut.

    Args:
      words: with repetitions; a string is its characters.
      size: V, how many ids there may be, the four special ones included; default all.
      min_count: how often a word must come.

    Raises a ValueError where ``size`` has no room for a word, and where no word is left.

    >>> count_vocabulary("abcbcc", size=6).words[4:]
    ('c', 'b')
    """
    positive_int("min_count", min_count)
    counts = Counter(words)
    kept = sorted((w for w, n in counts.items() if n >= min_count), key=lambda w: (-counts[w], w))
    if size is not None:
        if positive_int("size", size) <= len(SPECIAL):
            raise ValueError(f"size {size} has no room for words: {len(SPECIAL)} ids are special")
        kept = kept[: size - len(SPECIAL)]
    if not kept:
        raise ValueError("no words to make a vocabulary of")
    return vocabulary(kept)


def to_ids(vocabulary: Vocabulary, words: Iterable[str], *, on_unknown: str = "raise") -> list[int]:
    """The ids of words. What is not in the vocabulary is, by ``on_unknown``,

    an error (``"raise"``), the id UNKNOWN (``"unknown"``), or left out (``"skip"``).

    >>> to_ids(vocabulary("ab"), "abc", on_unknown="unknown")
    [4, 5, 3]
    """
    one_of("on_unknown", on_unknown, ON_UNKNOWN)
    ids = []
    for word in words:
        i = vocabulary.ids.get(word)
        if i is None and on_unknown == "raise":
            near = nearest(word, vocabulary.ids)
            meant = f"; the nearest is {near!r}" if near else ""
            raise ValueError(f"{word!r} is not among the {len(vocabulary.ids)} known words{meant}")
        if i is not None or on_unknown == "unknown":
            ids.append(UNKNOWN if i is None else i)
    return ids


def to_words(vocabulary: Vocabulary, ids: Iterable[int], *, special: bool = False) -> list[str]:
    """The words of ids, with the names of special ones only if ``special``.

    UNKNOWN is always named, so that a loss is seen. Raises a ValueError for an id that is none.

    >>> to_words(vocabulary("ab"), [1, 5, 4, 3, 2])
    ['b', 'a', '<unk>']
    """
    words = []
    for i in ids:
        if not 0 <= i < vocabulary.size:
            raise ValueError(f"id {i} is outside the vocabulary 0, ..., {vocabulary.size - 1}")
        if special or i >= UNKNOWN:
            words.append(vocabulary.words[i])
    return words


def save_vocabulary(path: str | os.PathLike, vocabulary: Vocabulary) -> None:
    """Write a vocabulary as JSON, in UTF-8."""
    text = json.dumps(as_json(vocabulary), ensure_ascii=False, indent=0)
    Path(path).write_text(text + "\n", encoding="utf-8")


def load_vocabulary(path: str | os.PathLike) -> Vocabulary:
    """Read what ``save_vocabulary`` wrote.

    Raises an OSError where there is no such file, and a ValueError where it holds something else.
    """
    try:
        return from_json(files.parse_json(files.read_bytes(path)))
    except ValueError as error:  # also of bad JSON and bad UTF-8
        raise ValueError(f"{path}: not a vocabulary ({files.reason(error)})") from None


def as_json(vocabulary: Vocabulary) -> dict[str, Any]:
    """What JSON can hold: ``{"special": [4 names], "words": [...]}``."""
    return {"special": list(SPECIAL), "words": list(vocabulary.words[len(SPECIAL) :])}


def from_json(value: Any) -> Vocabulary:
    """The vocabulary of ``as_json``'s value; a ValueError for anything else."""
    if not isinstance(value, dict) or set(value) != {"special", "words"}:
        raise ValueError('expected an object of "special" and "words"')
    if value["special"] != list(SPECIAL):
        raise ValueError(f"its special words are {value['special']}, not {list(SPECIAL)}")
    if not isinstance(value["words"], Sequence) or isinstance(value["words"], str):
        raise ValueError('"words" must be a list')
    return vocabulary(value["words"])
