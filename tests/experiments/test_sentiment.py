"""sentiment from end to end at a tiny size, on reviews and on a file; its model reads again."""

import csv
import json

import numpy as np
import pytest

from experiments import predict as predictions
from experiments import sentiment
from experiments.sentiment import Config, draw_lengths, main
from experiments.text_networks import TextProblem, as_tokens, load_model
from jaxdl.text import vocabulary

TINY = {
    "reviews": 60, "models": ("simple", "gru"), "width": 4, "learning_rates": (0.01, 0.1),
    "epochs": 1, "members": 1, "progress": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "sentiment"
    return main(Config(**TINY, out=str(out))), out


def test_it_writes_its_report_its_pictures_and_its_model(run):
    figures, out = run
    names = {p.name for p in out.iterdir()}
    assert names == {
        "report.json", "table.csv", "model.npz", "accuracy_by_length.png", "models.png",
    }  # fmt: skip
    assert json.loads((out / "report.json").read_text()) == figures
    assert figures["programs"] == 2 and figures["test_rows"] == 18
    rows = list(csv.DictReader((out / "table.csv").read_text().splitlines()))
    assert [row["model"] for row in rows] == [sentiment.NAMES["simple"], "GRU", "bag of words"]
    least = min(rows[:2], key=lambda row: float(row["nll"]))
    assert sentiment.NAMES[figures["chosen"]] == least["model"]


def test_the_saved_model_reads_a_sentence_two_ways(run, capsys):
    _, out = run
    said = main(Config(out=str(out), predict="The plot was not good ."))
    lines = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert lines[0]["label"] == said["class"] and said["class"] in ("negative", "positive")
    assert float(lines[0][f"P({said['class']})"]) == pytest.approx(said["probability"], abs=1e-6)
    same = predictions.main(predictions.Config(str(out), "the PLOT was not good."))
    assert same == said
    with pytest.raises(ValueError, match="no word"):
        main(Config(out=str(out), predict=" "))


def test_the_model_in_the_file_is_the_one_that_was_tested(run):
    figures, out = run
    fitted, problem = load_model(out / "model.npz")
    texts, y, _, _ = sentiment.load(Config(**TINY))
    from sklearn.model_selection import train_test_split

    _, texts, _, y = train_test_split(texts, y, test_size=0.3, random_state=0, stratify=y)
    p = np.asarray(fitted.predict(as_tokens(texts, problem)))
    assert float(np.mean(p.argmax(-1) == y)) == figures["test_accuracy"]


@pytest.mark.slow
def test_texts_and_classes_of_a_file(tmp_path, capsys):
    """Order decides: "a b" against "b a". Three classes would do as well."""
    file = tmp_path / "notes.csv"
    with open(file, "w", newline="", encoding="utf-8") as f:
        csv.writer(f).writerows([["note", "kind"], *[["A, b", "up"], ["b a b", "down"]] * 12])
    out = tmp_path / "run"
    figures = main(
        Config(**{**TINY, "models": ("gru",), "learning_rates": (0.1,), "epochs": 20},
               data=str(file), text="note", target="kind", out=str(out), max_length=2)
    )  # fmt: skip
    assert figures["test_accuracy"] == 1
    assert figures["texts_cut_off"] == 16 and "texts cut off" in capsys.readouterr().out
    assert main(Config(out=str(out), predict="b a"))["class"] == "down"


def test_what_is_wrong_with_a_file_is_said(tmp_path):
    file = tmp_path / "notes.csv"
    options = {"data": str(file), "text": "note", "target": "kind"}
    file.write_text("note,kind\na b,up\nb a,up\n")
    with pytest.raises(ValueError, match="only 'up'"):
        main(Config(**options))
    with pytest.raises(ValueError, match="note"):
        main(Config(**{**options, "text": "nots"}))
    file.write_text("note,kind\na b,\nb a,up\n")
    with pytest.raises(ValueError, match="line 2 has no kind"):
        main(Config(**options))
    file.write_text("note,kind\na b,down\n" + "b a,up\n" * 9)
    with pytest.raises(ValueError, match="'down' has 1"):
        main(Config(**options))


def test_tokens_of_texts_by_hand():
    problem = TextProblem("x", "y", ("0", "1"), vocabulary(["not", "good"]), 3)
    x = as_tokens(["Not good", "good or not good"], problem)
    assert x.values.tolist() == [[4, 5, 0], [5, 3, 4]] and x.lengths.tolist() == [2, 3]


def test_accuracy_by_length_by_hand():
    lengths = np.array([9, 1, 2, 8])
    (axes,) = draw_lengths(lengths, {"a": np.array([True, False, False, False])}, bins=2).axes
    (line,) = axes.lines
    assert list(line.get_xdata()) == [1.5, 8.5] and list(line.get_ydata()) == [0.0, 0.5]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"models": ("rnn",)}, "models are some of"),
        ({"width": 6}, "multiple of 4"),
        ({"learning_rates": (0.0,)}, "learning_rates must be positive"),
        ({"dropouts": (1.0,)}, "dropouts must be from 0"),
        ({"data": "x.csv"}, "needs all of"),
        ({"seed": -1}, "seed must be between"),
    ],
)
def test_options_that_make_no_sense(bad, message):
    with pytest.raises(ValueError, match=message):
        main(Config(**bad))
