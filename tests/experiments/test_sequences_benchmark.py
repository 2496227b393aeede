"""The benchmark of sequences does what it says, at a small size; nothing here looks at a clock."""

import json

import pytest

from experiments.benchmarks import decoding
from experiments.benchmarks.sequences import Config, images, main, windows
from jaxdl import models

TINY = models.TransformerConfig(
    7, features=8, num_heads=2, num_layers=2, norm_position="pre", tied=False, embedding_scale=False
)


def test_pytorch_says_the_same_tokens_on_the_same_weights():
    pytest.importorskip("torch")
    cached, anew, *theirs = decoding.rows(TINY, 6, 1)
    assert cached.way == "cached" and theirs
    for row in (anew, *theirs):
        assert row.result.endswith("the first 6 as cached"), row.way


def test_digits_are_enlarged_and_framed():
    small, y = images(8)
    large, same = images(28)
    assert small.shape[1:] == (8, 8, 1) and large.shape[1:] == (28, 28, 1)
    assert (large[:, 2:26:3, 2:26:3] == small).all() and (y == same).all()
    assert (large[:, :2] == 0).all() and (large[:, :, 26:] == 0).all()


def test_windows_are_characters_of_the_vocabulary():
    tokens = windows(3)
    assert tokens.shape == (3, 129) and tokens.min() >= 0 and tokens.max() < 96


def test_a_block_is_written(tmp_path):
    rows = main(Config(only=("chunked_attention",), scale=0.01, repeats=1, out=str(tmp_path / "b")))
    assert [row.way for row in rows] == ["chunked", "plain"]
    written = json.loads((tmp_path / "b" / "sequences.json").read_text())
    assert len(written["rows"]) == 2 and written["config"]["scale"] == 0.01


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"only": ("cnn",)}, "only takes digits_cnn, .*, not 'cnn'"),
        ({"repeats": 0}, "repeats must be at least 1, not 0"),
        ({"scale": 0.0}, "scale must be above 0 and at most 100, not 0"),
    ],
)
def test_bad_settings(settings, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        main(Config(out=str(tmp_path / "b"), **settings))
