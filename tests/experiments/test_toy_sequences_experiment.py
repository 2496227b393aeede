"""toy_sequences from end to end at a tiny size; questions, replies and options by hand."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import memory_tasks, saved, toy_sequences
from experiments.toy_sequences import Config, examples, main, question, reply

SMALL = {"length": 3, "digits": 1, "adding_length": 4, "delay": 2, "examples": 60,
         "test_examples": 10, "steps": 3}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "toy"
    return main(Config(task="addition", out=str(out), **SMALL)), out


@pytest.mark.slow
def test_it_writes_figures_pictures_and_models(run):
    figures, out = run
    assert {p.name for p in out.iterdir()} >= {"report.json", "addition.png", "addition.npz"}
    assert json.loads((out / "report.json").read_text()) == figures
    assert list(figures["exact_match"]) == ["addition"]
    assert 0 <= figures["exact_match"]["addition"] <= 1


@pytest.mark.slow
def test_the_adding_problem_has_its_baseline(tmp_path):
    figures = main(Config(task="adding", out=str(tmp_path / "adding"), **{**SMALL, "steps": 60}))
    assert figures["adding_baseline_mse"] == pytest.approx(1 / 6)
    assert 0 < figures["adding_mse"] < 0.3
    assert {p.name for p in (tmp_path / "adding").iterdir()} == {
        "adding.npz", "adding.png", "report.json",
    }  # fmt: skip
    ask = lambda text: main(Config(task="adding", predict=text, out=str(tmp_path / "adding")))
    first, other = (float(ask(text)["answer"]) for text in ("0.1* 0.9 0.2*", "0.1 0.9* 0.2*"))
    assert -1 < first < 3 and first != other  # the stars are read
    for text in ("0.1 0.2*", "0.1* 1.2*", "a* 0.1*", ""):
        with pytest.raises(ValueError, match="two of them with a star"):
            ask(text)
    with pytest.raises(ValueError, match="up to 4 numbers, not 5"):
        ask("0.1* 0.2* 0.3 0.4 0.5")


def test_models_of_copy_memory_answer(tmp_path):
    """Untrained networks, but for offsets that make one say 3 and the other blanks."""
    for name, token in (("lstm", 3), ("transformer", 8)):
        params, _ = memory_tasks._copier(name, 4).init(jax.random.key(0))
        params = jax.tree.map(jnp.zeros_like, params)
        if name == "lstm":
            params["output"]["bias"] = params["output"]["bias"].at[token].set(1)
        else:  # the norm's offset, and a tied embedding that has it in one row
            params["decoder"]["norm"]["bias"] = jnp.ones(4)
            tokens = params["embedding"]["tokens"]
            tokens["embedding"] = tokens["embedding"].at[token].set(1)
        about = {"task": "copy_memory", "model": name, "width": 4, "delay": 2}
        saved.save(tmp_path / f"copy_memory_{name}.npz", params, about)
    ask = lambda text: main(Config(task="copy_memory", predict=text, out=str(tmp_path)))["answer"]
    assert ask("0123456701") == "lstm: 3333333333\ntransformer: __________"
    for text in ("012345670", "0123456789"):
        with pytest.raises(ValueError, match="10 digits from 0 to 7"):
            ask(text)
    (tmp_path / "copy_memory_lstm.npz").unlink()
    with pytest.raises(OSError, match="no saved model"):
        ask("0123456701")


def test_the_picture_of_copy_memory_has_its_baseline():
    curves = {"lstm": np.full(8, 0.5), "transformer": np.zeros(8)}
    (axes,) = memory_tasks.draw_copy_memory(curves, 5).axes
    lines = {line.get_label(): line for line in axes.lines}
    np.testing.assert_array_equal(lines["lstm"].get_ydata(), curves["lstm"])
    assert list(lines["without memory"].get_xdata()) == [5, 7]
    np.testing.assert_allclose(lines["without memory"].get_ydata(), np.log(8))


@pytest.mark.slow
def test_all_tasks_at_a_tiny_size(tmp_path):
    figures = main(Config(out=str(tmp_path / "all"), **SMALL))
    assert {p.name for p in (tmp_path / "all").iterdir()} == {
        "report.json", *(f"{task}.png" for task in toy_sequences.TASKS), "copy.npz", "reverse.npz",
        "addition.npz", "adding.npz", "copy_memory_lstm.npz", "copy_memory_transformer.npz",
    }  # fmt: skip
    assert set(figures["exact_match"]) == {"copy", "reverse", "addition"}
    assert set(figures["copy_memory_nats"]) == {"lstm", "transformer"}
    assert figures["copy_memory_baseline_nats"] == pytest.approx(10 * 2.0794415 / 22)


@pytest.mark.slow
def test_a_saved_model_answers(run, capsys):
    _, out = run
    answer = main(Config(task="addition", predict="3+4", out=str(out)))["answer"]
    assert capsys.readouterr().out == answer + "\n"
    for text, message in (
        ("3-4", "a sum is two whole numbers"),
        ("1+2+3", "a sum is two whole numbers"),
        ("12+1", "up to 1 digits"),
    ):
        with pytest.raises(ValueError, match=message):
            main(Config(task="addition", predict=text, out=str(out)))
    with pytest.raises(ValueError, match="the model reads 3 digits, not '1234'"):
        toy_sequences._check_question("copy", "1234", {"length": 3})
    (out / "reverse.npz").write_bytes((out / "addition.npz").read_bytes())
    with pytest.raises(ValueError, match="not a model of toy_sequences for reverse"):
        main(Config(task="reverse", predict="12", out=str(out)))
    with pytest.raises(OSError, match="no saved model"):
        main(Config(task="copy", predict="12", out=str(out / "nowhere")))


def test_sums_are_read_with_zeros_and_said_from_the_last_digit_on():
    assert question("addition", "27+156", 3) == "027+156"
    assert (
        reply("addition", "183") == "381" and reply("addition", reply("addition", "183")) == "183"
    )
    assert question("reverse", "27") == reply("copy", "27") == "27"


def test_examples_are_of_their_task():
    config = Config(**SMALL)
    for task, said in (("copy", lambda q: q), ("reverse", lambda q: q[::-1]),
                       ("addition", lambda q: str(sum(map(int, q.split("+")))))):  # fmt: skip
        questions, answers = examples(config, task)
        assert len(questions) == len(answers) > SMALL["test_examples"]
        assert answers == [said(q) for q in questions]
    assert set(map(len, examples(config, "copy")[0])) == {3}


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"task": "sort"}, "task is one of all, copy"),
        ({"length": 0}, "length must be at least 1"),
        ({"delay": 0}, "delay must be at least 1"),
        ({"digits": 7}, "digits must be from 1 to 6"),
        ({"digits": 1, "test_examples": 55}, "with more sums than test_examples"),
        ({"seed": -1}, "seed must be between"),
        (
            {"predict": "1+1"},
            "predict needs a task of copy, reverse, addition, adding, copy_memory, not all",
        ),
    ],
)
def test_bad_options(option, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        main(Config(out=str(tmp_path / "no"), **option))
    assert not (tmp_path / "no").exists()


@pytest.mark.slow
def test_the_default_reaches_what_it_promises(tmp_path):
    figures = main(Config(out=str(tmp_path / "whole")))
    exact = figures["exact_match"]
    assert exact["copy"] == exact["reverse"] == 1.0 and exact["addition"] >= 0.99
    assert figures["adding_mse"] < 0.02
    nats = figures["copy_memory_nats"]
    assert nats["transformer"] < 0.1 * figures["copy_memory_baseline_nats"]
