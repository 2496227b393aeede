"""dates from end to end at a tiny size, and what it answers with a saved network."""

import io
import json

import pytest

from experiments import dates
from experiments.dates import Config, main


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "dates"
    config = Config(model="attention", examples=300, test_examples=20, steps=4, out=str(out))
    return main(config), out


@pytest.mark.smoke
def test_it_writes_figures_pictures_and_networks(run):
    figures, out = run
    assert {p.name for p in out.iterdir()} == {
        "report.json", "training.png", "attention_attention.png", "attention.npz",
    }  # fmt: skip
    assert json.loads((out / "report.json").read_text()) == figures
    assert list(figures["exact_match"]) == ["attention"]
    assert 0 <= figures["exact_match"]["attention"] <= 1
    for text, said, iso in figures["mistakes"]["attention"]:
        assert text and said != iso and len(iso) == 10


def test_a_saved_network_translates(run, capsys):
    _, out = run
    config = Config(predict="3 March 1999", model="attention", out=str(out))
    (answer,) = main(config)["answers"]
    assert capsys.readouterr().out == answer + "\n"
    assert set(answer.replace("<unk>", "")) <= set(dates.TARGETS)


@pytest.mark.slow
def test_all_networks_at_a_tiny_size(tmp_path):
    out = tmp_path / "all"
    figures = main(Config(examples=300, test_examples=20, steps=4, out=str(out)))
    assert {p.name for p in out.iterdir()} == {
        "report.json", "training.png", "attention_attention.png", "attention_transformer.png",
        *(f"{name}.npz" for name in dates.MODELS),
    }  # fmt: skip
    assert list(figures["exact_match"]) == list(dates.MODELS)
    for model in ("all", "seq2seq"):
        assert len(main(Config(predict="3/3/99", model=model, out=str(out)))["answers"]) == 1


def test_lines_from_standard_input(run, capsys, monkeypatch):
    """A line that cannot be read is told of, and the next one is read."""
    _, out = run
    monkeypatch.setattr("sys.stdin", io.StringIO("3 March 1999\nñ\n3/3/99\r\n\n1/1/99\n"))
    answers = main(Config(predict="-", model="attention", out=str(out)))["answers"]
    printed = capsys.readouterr()
    assert len(answers) == 2 and printed.out == "".join(f"{a}\n" for a in answers)
    assert "dates: 'ñ' is like no date that the network has read" in printed.err


def test_what_is_no_date_and_no_network(run, tmp_path):
    _, out = run
    for text, message in (("", "this has 0"), ("1" * 60, "this has 60"), ("~", "'~' is in none")):
        with pytest.raises(ValueError, match=message):
            main(Config(predict=text, model="attention", out=str(out)))
    with pytest.raises(OSError, match="no saved model"):
        main(Config(predict="3/3/99", out=str(tmp_path)))
    (tmp_path / "transformer.npz").write_bytes(b"PK")
    with pytest.raises(ValueError, match="not a saved network"):
        main(Config(predict="3/3/99", out=str(tmp_path)))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"model": "rnn"}, "model is one of all, seq2seq"),
        ({"examples": 0}, "examples must be at least 1"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"learning_rate": float("nan")}, "learning_rate must be positive"),
        ({"seed": 2**32}, "seed must be between"),
    ],
)
def test_bad_options(option, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        main(Config(out=str(tmp_path / "no"), **option))
    assert not (tmp_path / "no").exists()


@pytest.mark.slow
def test_the_default_reaches_what_it_promises(tmp_path):
    figures = main(Config(out=str(tmp_path / "whole")))
    assert figures["exact_match"]["attention"] >= 0.99
    assert figures["exact_match"]["transformer"] >= 0.99
