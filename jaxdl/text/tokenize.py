"""Tokenizers: a text as ids, and ids as a text. Characters and words; files that hold a text."""

import os
import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

from jaxdl import files
from jaxdl.checks import one_of
from jaxdl.text.vocabulary import ON_UNKNOWN, Vocabulary, to_ids, to_words

_WORD = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")


class Tokenizer(NamedTuple):
    """encode: ``(text) -> ids``, without BOS and EOS. decode: ``(ids) -> text``, special ids apart.

    num_tokens: V, how many ids there are; 0 to 3 are PAD, BOS, EOS and UNKNOWN.
    """

    encode: Callable[[str], list[int]]
    decode: Callable[[Iterable[int]], str]
    num_tokens: int


def character_tokenizer(vocabulary: Vocabulary, *, on_unknown: str = "raise") -> Tokenizer:
    """A token for each character, Unicode's code points; ``decode(encode(text)) == text``.

    ``on_unknown`` says what becomes of other characters, see ``to_ids``.

    >>> from jaxdl.text.vocabulary import count_vocabulary
    >>> tokenizer = character_tokenizer(count_vocabulary("hello"))
    >>> tokenizer.encode("hole"), tokenizer.decode([6, 7, 4, 5])
    ([6, 7, 4, 5], 'hole')
    """
    one_of("on_unknown", on_unknown, ON_UNKNOWN)
    return Tokenizer(
        lambda text: to_ids(vocabulary, text, on_unknown=on_unknown),
        lambda ids: "".join(to_words(vocabulary, ids)),
        vocabulary.size,
    )


def word_tokenizer(
    vocabulary: Vocabulary, *, on_unknown: str = "unknown", lower: bool = True
) -> Tokenizer:
    """A token for each of ``words(text)``; decoded, they have a blank between them.

    >>> from jaxdl.text.vocabulary import count_vocabulary
    >>> tokenizer = word_tokenizer(count_vocabulary(words("It is, it is.")))
    >>> tokenizer.decode(tokenizer.encode("It was."))
    'it <unk> .'
    """
    one_of("on_unknown", on_unknown, ON_UNKNOWN)
    return Tokenizer(
        lambda text: to_ids(vocabulary, words(text, lower=lower), on_unknown=on_unknown),
        lambda ids: " ".join(to_words(vocabulary, ids)),
        vocabulary.size,
    )


def words(text: str, *, lower: bool = True) -> list[str]:
    """The words of a text, with apostrophes inside, and each other sign that is no blank.

    >>> words("Don't stop, now!")
    ["don't", 'stop', ',', 'now', '!']
    """
    return _WORD.findall(text.lower() if lower else text)


def read_text(path: str | os.PathLike) -> str:
    """The text of a UTF-8 file, without a byte-order mark, line ends as ``\\n``.

    Raises an OSError where it cannot be read, and a ValueError, with the place, for bytes that are
    no UTF-8, and for a file without a text.
    """
    data = files.read_bytes(path)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ValueError(
            f"{path}: not UTF-8, byte 0x{data[error.start]:02x} at {error.start}, line {line}; "
            "convert it first"
        ) from None
    if not text.strip():
        raise ValueError(f"{path}: holds no text")
    return text.replace("\r\n", "\n").replace("\r", "\n")
