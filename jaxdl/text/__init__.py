"""Text: from strings to tokens and back, and to the windows that models learn from."""

from jaxdl.text import ngrams
from jaxdl.text.byte_pairs import (
    byte_pair_tokenizer,
    load_byte_pairs,
    save_byte_pairs,
    train_byte_pairs,
)
from jaxdl.text.targets import teacher_forcing
from jaxdl.text.tokenize import Tokenizer, character_tokenizer, read_text, word_tokenizer, words
from jaxdl.text.vocabulary import (
    BOS,
    EOS,
    PAD,
    UNKNOWN,
    Vocabulary,
    as_json,
    count_vocabulary,
    from_json,
    load_vocabulary,
    save_vocabulary,
    to_ids,
    to_words,
    vocabulary,
)
from jaxdl.text.windows import (
    bucketed,
    language_model_windows,
    length_buckets,
    pad_sequences,
    split_text,
)

__all__ = [
    "BOS",
    "EOS",
    "PAD",
    "UNKNOWN",
    "Tokenizer",
    "Vocabulary",
    "as_json",
    "bucketed",
    "byte_pair_tokenizer",
    "character_tokenizer",
    "count_vocabulary",
    "from_json",
    "language_model_windows",
    "length_buckets",
    "load_byte_pairs",
    "load_vocabulary",
    "ngrams",
    "pad_sequences",
    "read_text",
    "save_byte_pairs",
    "save_vocabulary",
    "split_text",
    "teacher_forcing",
    "to_ids",
    "to_words",
    "train_byte_pairs",
    "vocabulary",
    "word_tokenizer",
    "words",
]
