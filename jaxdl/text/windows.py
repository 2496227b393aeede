"""From lists of ids to arrays: padded sequences, buckets of like lengths, windows of a text."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from jaxdl.base import Sequences
from jaxdl.checks import is_whole, one_of, positive_int
from jaxdl.text.vocabulary import PAD

TRUNCATE = ("raise", "end", "start")


def pad_sequences(
    rows: Sequence[Sequence[int]],
    *,
    length: int | None = None,
    truncate: str = "raise",
    pad_id: int = PAD,
) -> Sequences:
    """Lists of ids as Sequences [N, T], NumPy arrays of int32, ``pad_id`` behind the ends.

    Args:
      rows: N lists, some of them may be empty.
      length: T, by default that of the longest row.
      truncate: what becomes of longer rows: an error, or their ``"end"`` or ``"start"`` is cut off.

    Raises a ValueError for no rows, for rows that are longer, and for ids that are not whole.

    >>> pad_sequences([[5, 6, 7], [8]]).values.tolist()
    [[5, 6, 7], [8, 0, 0]]
    """
    one_of("truncate", truncate, TRUNCATE)
    if not len(rows):
        raise ValueError("there are no sequences")
    longest = max(len(row) for row in rows)
    length = max(longest, 1) if length is None else positive_int("length", length)
    if longest > length and truncate == "raise":
        n = next(n for n, row in enumerate(rows) if len(row) > length)
        raise ValueError(
            f"sequence {n} has {len(rows[n])} tokens, more than {length}; truncate them at their "
            "'end' or 'start'"
        )
    values = np.full((len(rows), length), pad_id, np.int32)
    lengths = np.zeros(len(rows), np.int32)
    for n, row in enumerate(rows):
        kept = row[-length:] if truncate == "start" else row[:length]
        values[n, : len(kept)] = _whole(kept)
        lengths[n] = len(kept)
    return Sequences(values, lengths)


def length_buckets(lengths: ArrayLike, limits: Sequence[int]) -> list[np.ndarray]:
    """Rows by length: those of up to ``limits[0]``, of more and up to ``limits[1]``, and so on.

    Rows of one bucket are padded to its limit, so that there is a program for each limit and little
    padding. Raises a ValueError for limits that do not rise, and for rows that are longer.

    >>> [rows.tolist() for rows in length_buckets([1, 5, 3, 2], [2, 5])]
    [[0, 3], [1, 2]]
    """
    lengths, limits = np.asarray(lengths), [positive_int("limits", limit) for limit in limits]
    if not limits or sorted(set(limits)) != limits:
        raise ValueError(f"limits must rise, not {limits}")
    if lengths.size and lengths.max() > limits[-1]:
        raise ValueError(f"a sequence has {lengths.max()} tokens, more than {limits[-1]}")
    bucket = np.searchsorted(limits, lengths)
    return [np.flatnonzero(bucket == b) for b in range(len(limits))]


def bucketed(
    rows: Sequence[Sequence[int]], limits: Sequence[int], *, pad_id: int = PAD
) -> list[tuple[np.ndarray, Sequences]]:
    """``(which rows, they as Sequences)`` for each bucket of ``length_buckets`` that has any."""
    found = length_buckets([len(row) for row in rows], limits)
    return [
        (which, pad_sequences([rows[n] for n in which], length=limit, pad_id=pad_id))
        for which, limit in zip(found, limits, strict=True)
        if len(which)
    ]


def language_model_windows(
    tokens: Sequence[int] | np.ndarray, length: int, *, stride: int | None = None
) -> np.ndarray:
    """Windows [N, T] of one long text, T = ``length``, for ``training.next_token_nll``.

    That predicts each token of a window behind its first, so by default (a ``stride`` of T - 1) the
    last token of a window is the first of the next, and every token but the text's first is
    predicted once. The rest that fills no window is left out. A smaller stride has windows overlap.

    Raises a ValueError for a text shorter than a window.

    >>> language_model_windows([1, 2, 3, 4, 5, 6], 3).tolist()
    [[1, 2, 3], [3, 4, 5]]
    """
    tokens = _whole(tokens)
    if tokens.ndim != 1:
        raise ValueError(f"a text is one row of tokens, not {list(tokens.shape)}")
    if positive_int("length", length) < 2:
        raise ValueError("a window has at least 2 tokens: one to read, one to predict")
    stride = length - 1 if stride is None else positive_int("stride", stride)
    if len(tokens) < length:
        raise ValueError(f"a text of {len(tokens)} tokens has no window of {length}")
    starts = np.arange(0, len(tokens) - length + 1, stride)
    return tokens[starts[:, None] + np.arange(length)]


def split_text(text: Any, held_out: float = 0.1) -> tuple[Any, Any]:
    """``(to learn from, held out)``: a text, or its tokens, cut once; the end is held out.

    Windows that are drawn apart from each other at random would overlap; parts do not. Raises a
    ValueError unless 0 < ``held_out`` < 1 and both parts have something.

    >>> split_text("abcdefghij", 0.2)
    ('abcdefgh', 'ij')
    """
    if not 0 < held_out < 1:
        raise ValueError(f"held_out must be between 0 and 1, not {held_out}")
    cut = len(text) - round(len(text) * held_out)
    if not 0 < cut < len(text):
        raise ValueError(
            f"a text of {len(text)} tokens is too short to hold out {held_out:g} of it"
        )
    return text[:cut], text[cut:]


def _whole(tokens) -> np.ndarray:
    """Ids as int32; ``np.asarray`` of an empty list is of floats."""
    array = np.asarray(tokens)
    if array.size == 0:
        return array.astype(np.int32)
    if not is_whole(array.flat[0]) or not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"tokens are whole numbers, not {array.dtype}")
    return array.astype(np.int32)
