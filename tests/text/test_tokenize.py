"""Characters, words, byte pairs, and files of text."""

import sys

import pytest

from jaxdl import text

STORY = "Don't stop, now! Ça va? 깰\n\ttabs  and blanks."


def test_characters_come_back():
    tokenizer = text.character_tokenizer(text.count_vocabulary(STORY))
    assert tokenizer.decode(tokenizer.encode(STORY)) == STORY
    assert tokenizer.num_tokens == 4 + len(set(STORY))
    with pytest.raises(ValueError, match="'z' is not among"):
        tokenizer.encode("z")
    lenient = text.character_tokenizer(text.count_vocabulary("ab"), on_unknown="unknown")
    assert lenient.decode(lenient.encode("abz")) == "ab<unk>"


def test_words_by_hand():
    assert text.words("The dog's -- it's 3.5m") == [
        "the",
        "dog's",
        "-",
        "-",
        "it's",
        "3",
        ".",
        "5m",
    ]
    assert text.words("Ça VA", lower=False) == ["Ça", "VA"]
    tokenizer = text.word_tokenizer(text.count_vocabulary(["the", "dog"]))
    assert tokenizer.encode("The cat") == [text.to_ids(text.count_vocabulary(["the", "dog"]), ["the"])[0], 3]  # fmt: skip
    assert tokenizer.encode("") == []


def test_files(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffone\r\ntwo\rthree\n".encode())
    assert text.read_text(path) == "one\ntwo\nthree\n"
    path.write_bytes(b"one\ntw\xe9\n")
    with pytest.raises(ValueError, match="not UTF-8, byte 0xe9 at 6, line 2"):
        text.read_text(path)
    for empty in (b"", b" \n\t"):
        path.write_bytes(empty)
        with pytest.raises(ValueError, match="holds no text"):
            text.read_text(path)
    with pytest.raises(FileNotFoundError):
        text.read_text(tmp_path / "none.txt")


@pytest.fixture(scope="module")
def byte_pairs():
    pytest.importorskip("tokenizers")
    return text.train_byte_pairs(["aaabdaaabac"], 263, regex=False)


def test_merges_of_the_known_example(byte_pairs):
    """minbpe #93: aa comes first; then aa+a and a+b tie, and the pair of smaller ids wins."""
    tokenizer = text.byte_pair_tokenizer(byte_pairs)
    assert tokenizer.num_tokens == 263
    ids = tokenizer.encode("aaabdaaabac")
    assert [tokenizer.decode([i]) for i in ids] == ["aaab", "d", "aaab", "a", "c"]
    assert [tokenizer.decode([i]) for i in (260, 261, 262)] == ["aa", "ab", "aaab"]


def test_any_text_comes_back(byte_pairs):
    tokenizer = text.byte_pair_tokenizer(byte_pairs)
    for string in (STORY, " lead", "<eos><pad>", "\x00\U0001f600", ""):
        ids = tokenizer.encode(string)
        assert tokenizer.decode([text.BOS, *ids, text.EOS, text.PAD]) == string
        assert all(i > text.UNKNOWN for i in ids)  # "<eos>" in a text is no EOS


def test_a_run_of_bytes_is_one_character(byte_pairs):
    """cactus #684: EA, B9, B0 are U+AE70; EA, B9 alone neither fail nor vanish."""
    tokenizer = text.byte_pair_tokenizer(byte_pairs)
    ids = tokenizer.encode("\uae70")
    assert len(ids) == 3 and tokenizer.decode(ids) == "\uae70"
    assert tokenizer.decode(ids[:2]) == "\ufffd"
    a = tokenizer.encode("a")
    assert tokenizer.decode(ids[:2] + a) == "\ufffda"


def test_byte_pairs_in_a_file(byte_pairs, tmp_path):
    path = tmp_path / "bpe.json"
    text.save_byte_pairs(path, byte_pairs)
    again = text.byte_pair_tokenizer(text.load_byte_pairs(path))
    assert again.encode(STORY) == text.byte_pair_tokenizer(byte_pairs).encode(STORY)
    path.write_text("{}")
    with pytest.raises(ValueError, match="not learned byte pairs"):
        text.load_byte_pairs(path)


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ImportError, match=r"pip install 'jaxdl\[text\]'"):
        text.train_byte_pairs(["a"], 300)
    with pytest.raises(ValueError, match="size must be a whole number from 260 on, not 10"):
        text.train_byte_pairs(["a"], 10)
