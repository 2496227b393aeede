"""Byte-pair encoding, by the package ``tokenizers``, which the extra ``text`` brings."""

import importlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jaxdl import files
from jaxdl.checks import is_whole
from jaxdl.text.tokenize import Tokenizer
from jaxdl.text.vocabulary import EOS, SPECIAL, UNKNOWN

_BYTES = 256


def train_byte_pairs(texts: Iterable[str], size: int, *, regex: bool = True) -> Any:
    """Learn ``size - 260`` merges of byte pairs: 4 special ids, 256 bytes, and the merges behind.

    Each time the pair that comes most often becomes a token; of equals, the one whose ids are
    smaller. Any text can be encoded: there are no unknown characters. Source: Sennrich et al.
    (2016); Radford et al. (2019).

    Args:
      texts: to learn from.
      size: V at most; a short text has fewer pairs.
      regex: whether pairs stay within words, as GPT-2's do.

    Returns a ``tokenizers.Tokenizer``, for ``byte_pair_tokenizer`` and ``save_byte_pairs``. Raises
    an ImportError that says what to install, and a ValueError for a size under 260.
    """
    if not is_whole(size) or size < len(SPECIAL) + _BYTES:
        raise ValueError(f"size must be a whole number from {len(SPECIAL) + _BYTES} on, not {size}")
    package = _package()
    bytewise = package.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=regex)
    learned = package.Tokenizer(package.models.BPE())
    learned.pre_tokenizer = bytewise
    learned.decoder = package.decoders.ByteLevel()
    trainer = package.trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(bytewise.alphabet()),
        show_progress=False,
    )
    learned.train_from_iterator(texts, trainer)
    return learned


def byte_pair_tokenizer(learned: Any) -> Tokenizer:
    """The Tokenizer of learned byte pairs; ``decode(encode(text)) == text`` for any text.

    A text that holds "<eos>" does not hold an EOS. Bytes that are no whole character, as where a
    sequence was cut, are decoded as U+FFFD.
    """
    learned.encode_special_tokens = True

    def decode(ids):
        return learned.decode([int(i) for i in ids if i > EOS], skip_special_tokens=False)

    return Tokenizer(lambda text: learned.encode(text).ids, decode, learned.get_vocab_size())


def save_byte_pairs(path: str | os.PathLike, learned: Any) -> None:
    """Write learned byte pairs as JSON, in the package's own form."""
    Path(path).write_text(learned.to_str(), encoding="utf-8")


def load_byte_pairs(path: str | os.PathLike) -> Any:
    """Read learned byte pairs. Raises a ValueError for another file, or other special ids."""
    package = _package()
    content = files.read_bytes(path, most=files.MAX_TEXT)
    try:
        learned = package.Tokenizer.from_str(content.decode("utf-8"))
    except Exception as error:  # the package raises plain Exceptions
        raise ValueError(f"{path}: not learned byte pairs ({error})") from None
    found = [learned.id_to_token(i) for i in range(UNKNOWN + 1)]
    if found != list(SPECIAL):
        raise ValueError(f"{path}: its first ids are {found}, not {list(SPECIAL)}")
    return learned


def _package():
    try:
        package = importlib.import_module("tokenizers")
    except ImportError:
        raise ImportError(
            "byte-pair encoding needs the package tokenizers: pip install 'jaxdl[text]'"
        ) from None
    for part in ("decoders", "models", "pre_tokenizers", "trainers"):
        importlib.import_module(f"tokenizers.{part}")
    return package
