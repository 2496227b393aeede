"""The language model from end to end at a tiny size, and its parts by hand."""

import dataclasses
import json
import math

import numpy as np
import pytest

from experiments import language_model
from experiments.language_model import Config, draw, held_out_bits, main, ngram_bits
from jaxdl.base import Model

LINE = "a bee sees the sea, the sea sees a bee.\n"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    (folder / "text.txt").write_text(LINE * 40, encoding="utf-8")
    config = Config(
        data=str(folder / "text.txt"), length=16, width=16, layers=1, heads=2, epochs=8, batch_size=8,
        learning_rate=0.03, order=3, prompt="the ", sample=20, out=str(folder / "out"), progress=False,
    )  # fmt: skip
    return main(config), config, folder / "out"


def test_it_learns_and_writes(run):
    figures, _, out = run
    assert sorted(p.name for p in out.iterdir()) == [
        "curves.png", "model.npz", "report.json", "samples.txt",
    ]  # fmt: skip
    assert json.loads((out / "report.json").read_text()) == figures
    assert figures["kneser_ney_bits_per_character"] < figures["bigram_bits_per_character"]
    assert figures["bigram_bits_per_character"] < figures["unigram_bits_per_character"]
    assert figures["bits_per_character"] < figures["bigram_bits_per_character"]
    written = (out / "samples.txt").read_text()
    assert written.startswith("the ") and len(written) == 4 + 20 + 1
    assert set(written) <= set(LINE)


def test_the_saved_model_writes_on(run, capsys):
    _, config, out = run
    asked = dataclasses.replace(config, predict="the ", length=99, width=2, heads=1)
    again = main(asked)["text"]
    assert again == (out / "samples.txt").read_text()[4:-1]
    assert "the " + again in capsys.readouterr().out
    with pytest.raises(ValueError, match="'Q' is not among"):
        main(dataclasses.replace(config, predict="Q"))
    with pytest.raises(FileNotFoundError):
        main(dataclasses.replace(config, predict="the", out=str(out / "none")))


def test_bits_of_a_model_that_is_known():
    """A model that says p = 1/2 for 0 and 1/4 for 1 and 2, whatever was read, in any window."""
    logits = np.log([0.5, 0.25, 0.25]).astype(np.float32)
    apply = lambda params, state, x, *, key=None, train=False: (params[None, None] + np.zeros((*x.shape, 1)), state)  # fmt: skip
    net = Model(lambda key: (logits, {}), apply)
    held = np.random.default_rng(0).choice(3, 203).astype(np.int32)
    expected = np.where(held[1:] == 0, 1, 2).mean()
    for length in (4, 7, 64, 500):
        np.testing.assert_allclose(held_out_bits(net, logits, held, length), expected, rtol=1e-6)


def test_each_character_is_predicted_behind_enough_others():
    """A model whose every prediction says how much it has read: at least half a window."""
    seen = []

    def apply(params, state, x, *, key=None, train=False):
        seen.append(x.shape)
        place = np.arange(1, x.shape[1] + 1)
        wrong = np.where(place < 4, -50.0, 50.0)  # sure of token 0 from the fourth place on
        return np.broadcast_to(wrong[:, None] * np.array([1.0, 0.0]), (*x.shape, 2)), state

    held = np.zeros(101, np.int32)
    bits = held_out_bits(Model(None, apply), {}, held, 8)
    np.testing.assert_allclose(
        bits * 100, 3 * 50 / math.log(2), rtol=1e-4
    )  # the text's first three
    assert seen == [(32, 8)]


def test_ngrams_of_a_fair_coin_cost_a_bit():
    coin = np.random.default_rng(0).integers(0, 2, 4000)
    bits = ngram_bits(coin[:3000], coin[3000:], 2, [1, 2])
    assert all(abs(b - 1) < 0.02 for b in bits.values())


def test_the_picture():
    figure = draw(np.array([1, 2]), np.array([3.0, 2.0]), {1: 4.5, 2: 3.5, 5: 1.75})
    (axes,) = figure.axes
    np.testing.assert_allclose(axes.lines[-1].get_ydata(), [3, 2])
    rivals = [line.get_label() for line in axes.lines[:-1]]
    assert rivals == ["unigram, 4.50", "bigram, 3.50", "5-gram Kneser-Ney, 1.75"]


def test_the_default_text_is_english():
    text = language_model.text_of(None)
    assert len(text) > 100_000 and " the " in text


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"width": 12, "heads": 4}, "multiple of twice the 4 heads"),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"learning_rate": math.inf}, "learning_rate must be positive"),
        ({"dropout": 1.0}, "dropout must be from 0 to below 1"),
        ({"prompt": ""}, "prompt needs at least one character"),
        ({"prompt": "Q", "data": "TEXT"}, "'Q' is not among"),
        ({"data": "TEXT", "prompt": "a", "batch_size": 4000}, "fewer than a batch of 4000"),
        ({"data": "NONE"}, "No such file"),
        ({"held_out": 1.5, "data": "TEXT"}, "held_out must be between 0 and 1"),
    ],
)
def test_bad_options(option, message, tmp_path):
    (tmp_path / "t.txt").write_text(LINE * 10)
    files = {"TEXT": str(tmp_path / "t.txt"), "NONE": str(tmp_path / "none.txt")}
    option = {**option, "data": files.get(option.get("data"))}
    with pytest.raises((ValueError, OSError), match=message):
        main(Config(out=str(tmp_path / "no"), length=16, **{k: v for k, v in option.items() if k != "length"}))  # fmt: skip
    assert not (tmp_path / "no").exists()


@pytest.mark.slow
def test_it_goes_on_from_checkpoints(run, tmp_path):
    figures, config, _ = run
    where = {"checkpoint": str(tmp_path / "kept"), "out": str(tmp_path / "a")}
    main(dataclasses.replace(config, epochs=8, **where))
    again = main(dataclasses.replace(config, epochs=8, **where))
    np.testing.assert_allclose(
        again["bits_per_character"], figures["bits_per_character"], rtol=1e-4
    )
