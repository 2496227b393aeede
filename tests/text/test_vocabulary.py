"""Vocabularies: order, ids, files."""

import json
import random

import pytest

from jaxdl import text


def test_special_ids_come_first():
    assert (text.PAD, text.BOS, text.EOS, text.UNKNOWN) == (0, 1, 2, 3)
    v = text.vocabulary(["b", "a"])
    assert v.size == 6 and v.words == ("<pad>", "<bos>", "<eos>", "<unk>", "b", "a")


def test_equal_counts_are_in_the_order_of_words():
    """neuralmonkey #719: women, into and from come 30 times each; two of them are kept."""
    words = ["women"] * 30 + ["into"] * 30 + ["from"] * 30 + ["the"] * 40
    for seed in range(3):
        random.Random(seed).shuffle(words)
        v = text.count_vocabulary(words, size=7)
        assert v.words[4:] == ("the", "from", "into")
    assert text.count_vocabulary(words, min_count=31).words[4:] == ("the",)


def test_ids_and_words():
    v = text.vocabulary("abc")
    assert text.to_ids(v, "cab") == [6, 4, 5]
    assert text.to_ids(v, "axb", on_unknown="unknown") == [4, 3, 5]
    assert text.to_ids(v, "axb", on_unknown="skip") == [4, 5]
    assert text.to_words(v, [1, 6, 3, 2, 0]) == ["c", "<unk>"]
    assert text.to_words(v, [1, 6, 2], special=True) == ["<bos>", "c", "<eos>"]
    for wrong in (-1, 7):
        with pytest.raises(ValueError, match=f"id {wrong} is outside the vocabulary 0, ..., 6"):
            text.to_words(v, [wrong])


def test_what_is_refused():
    v = text.vocabulary(["north", "south"])
    with pytest.raises(ValueError, match="'nort' is not among the 2 known words; the nearest is"):
        text.to_ids(v, ["nort"])
    with pytest.raises(ValueError, match="on_unknown is one of unknown, raise, skip, not 'drop'"):
        text.to_ids(v, [], on_unknown="drop")
    with pytest.raises(ValueError, match="'a' comes more than once"):
        text.vocabulary("aba")
    for wrong in ("", 3):
        with pytest.raises(ValueError, match="words are strings of at least one character"):
            text.vocabulary([wrong])
    with pytest.raises(ValueError, match="no words"):
        text.count_vocabulary("")
    with pytest.raises(ValueError, match="size 4 has no room for words"):
        text.count_vocabulary("ab", size=4)


def test_a_text_with_the_name_of_a_special_id_has_none():
    v = text.count_vocabulary(["<eos>", "a"])
    assert text.to_ids(v, ["<eos>"]) == [4]


def test_a_file_keeps_it(tmp_path):
    v = text.count_vocabulary('naïve 깰 \n\u2028"\\')
    path = tmp_path / "v.json"
    text.save_vocabulary(path, v)
    assert text.load_vocabulary(path) == v


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "not a vocabulary"),
        (b"\xff\xfe", "not a vocabulary"),
        (b"[]", 'expected an object of "special" and "words"'),
        (json.dumps({"special": ["<pad>"], "words": ["a"]}).encode(), "its special words are"),
        (json.dumps({"special": list(text.vocabulary("a").words[:4]), "words": "ab"}).encode(), "a list"),
        (json.dumps({"special": list(text.vocabulary("a").words[:4]), "words": ["a", "a"]}).encode(), "more than once"),
    ],
)  # fmt: skip
def test_a_file_of_something_else_is_refused(content, message, tmp_path):
    path = tmp_path / "v.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        text.load_vocabulary(path)
    assert str(path) in str(error.value)
