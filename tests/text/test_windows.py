"""Padding, buckets, windows, and the cut of a text."""

import numpy as np
import pytest

from jaxdl import text


def test_padding_and_truncation():
    s = text.pad_sequences([[5, 6, 7], [], [8]], pad_id=9)
    np.testing.assert_array_equal(s.values, [[5, 6, 7], [9, 9, 9], [8, 9, 9]])
    np.testing.assert_array_equal(s.lengths, [3, 0, 1])
    assert s.values.dtype == np.int32 and s.lengths.dtype == np.int32
    end = text.pad_sequences([[5, 6, 7], [8]], length=2, truncate="end")
    start = text.pad_sequences([[5, 6, 7], [8]], length=2, truncate="start")
    assert end.values.tolist() == [[5, 6], [8, 0]] and start.values.tolist() == [[6, 7], [8, 0]]
    assert end.lengths.tolist() == start.lengths.tolist() == [2, 1]
    with pytest.raises(ValueError, match="sequence 1 has 3 tokens, more than 2"):
        text.pad_sequences([[1], [5, 6, 7]], length=2)
    with pytest.raises(ValueError, match="truncate is one of raise, end, start, not 'left'"):
        text.pad_sequences([[1]], truncate="left")
    with pytest.raises(ValueError, match="no sequences"):
        text.pad_sequences([])
    with pytest.raises(ValueError, match="whole numbers, not float64"):
        text.pad_sequences([[1.5]])


def test_buckets_hold_every_row_once_and_little_padding():
    rows = [[1] * n for n in (3, 9, 1, 4, 8, 16)]
    found = text.bucketed(rows, [4, 8, 12, 16])
    assert [(which.tolist(), s.values.shape[1]) for which, s in found] == [
        ([0, 2, 3], 4), ([4], 8), ([1], 12), ([5], 16),
    ]  # fmt: skip
    assert [s.lengths.tolist() for _, s in found] == [[3, 1, 4], [8], [9], [16]]
    with pytest.raises(ValueError, match="16 tokens, more than 8"):
        text.length_buckets([3, 16], [4, 8])
    with pytest.raises(ValueError, match="limits must rise"):
        text.length_buckets([3], [8, 4])


def test_windows_predict_every_token_once():
    tokens = np.arange(100, 131)
    windows = text.language_model_windows(tokens, 7)
    predicted = windows[:, 1:].reshape(-1)
    np.testing.assert_array_equal(predicted, tokens[1:31])
    np.testing.assert_array_equal(windows[:, 0], tokens[:30:6])
    overlapping = text.language_model_windows(tokens, 7, stride=3)
    assert overlapping[1].tolist() == list(range(103, 110))
    assert text.language_model_windows(tokens, 31).shape == (1, 31)
    with pytest.raises(ValueError, match="a text of 31 tokens has no window of 32"):
        text.language_model_windows(tokens, 32)
    with pytest.raises(ValueError, match="at least 2 tokens"):
        text.language_model_windows(tokens, 1)


def test_the_parts_of_a_text_do_not_overlap():
    train, held = text.split_text(list(range(95)), 0.1)
    assert train + held == list(range(95)) and len(held) == 10  # 9.5 is rounded to even
    for share in (0.0, 1.0):
        with pytest.raises(ValueError, match="held_out must be between 0 and 1"):
            text.split_text("abc", share)
    with pytest.raises(ValueError, match="too short to hold out"):
        text.split_text("abc", 0.1)
