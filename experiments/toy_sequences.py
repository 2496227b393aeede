"""Sequence problems whose answers are known: copy, reverse, addition, adding, copy memory.

``python -m experiments.toy_sequences --help`` lists the options. A one-layer transformer copies,
reverses and adds numbers of three digits; an LSTM solves the adding problem, where the best constant
has an error of 1/6; and an LSTM and a transformer repeat symbols from long ago, against the best
that can be done without memory. A task takes about a minute on two cores, or less.

A trained model answers again: ``--task addition --predict 27+156``.
"""

import dataclasses
import json
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from experiments.command import command, written_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAIRS = ("copy", "reverse", "addition")
TASKS = (*PAIRS, "adding", "copy_memory")
# Of each task: steps, examples a step, Adam's largest rate, width.
DEFAULTS = {
    "copy": (400, 64, 0.01, 32),
    "reverse": (600, 64, 0.01, 32),
    "addition": (1500, 128, 0.005, 48),
    "adding": (800, 64, 0.01, 32),
    "copy_memory": (800, 64, 0.01, 32),
}
HEADS = {"copy": 4, "reverse": 4, "addition": 3}
DIGITS = "0123456789"


@dataclasses.dataclass(frozen=True)
class Config:
    """Train a model on each task, test it on examples that it has not seen, and write report.json,
    pictures and the models; or answer with a saved model.
    """

    task: Literal["all", "copy", "reverse", "addition", "adding", "copy_memory"] = "all"
    """One of the tasks, or all."""
    predict: str | None = None
    """Answer with the model of an earlier run in the folder ``out``, instead of training: digits to
    copy or reverse, or a sum such as 27+156."""
    length: int = 16
    """Of the sequences to copy or reverse."""
    digits: int = 3
    """Of the numbers to add."""
    adding_length: int = 50
    """Positions of the adding problem."""
    delay: int = 20
    """Steps from the last symbol of copy memory to when all are to be said."""
    steps: int | None = None
    """Of training; the default depends on the task, from 400 to 1500."""
    examples: int = 50_000
    """To train on."""
    test_examples: int = 1_000
    """To test on."""
    out: str = "runs/toy_sequences"
    """The folder to write to, and to read models from."""
    seed: int = 0
    """Of data and training."""


def main(config: Config) -> dict[str, Any]:
    """Train and test, or answer; returns the figures that matter."""
    check(config)
    if config.predict is not None:
        text = predict(Path(config.out), config.task, config.predict)
        print(text)
        return {"answer": text}
    with written_whole(config.out) as folder:
        figures = _study(config, folder)
        text = json.dumps(figures, indent=1, allow_nan=False)
        (folder / "report.json").write_text(text + "\n", encoding="utf-8")
        names = sorted(file.name for file in folder.iterdir())
    print(f"wrote {config.out}: {', '.join(names)}")
    return figures


def check(config: Config) -> None:
    """Raise a ValueError for options that make no sense, before anything heavy is imported."""
    if config.task not in ("all", *TASKS):
        raise ValueError(f"task is one of all, {', '.join(TASKS)}, not {config.task}")
    least = {"length": 1, "digits": 1, "adding_length": 2, "delay": 1, "steps": 1, "examples": 1,
             "test_examples": 1}  # fmt: skip
    for name, lowest in least.items():
        value = getattr(config, name)
        if value is not None and value < lowest:
            raise ValueError(f"{name} must be at least {lowest}, not {value}")
    pairs = 10**config.digits * (10**config.digits + 1) // 2
    if config.digits > 6 or config.test_examples >= pairs:
        raise ValueError(
            "digits must be from 1 to 6, with more sums than test_examples, "
            f"not {config.digits} with {config.test_examples}"
        )
    if not 0 <= config.seed < 2**31:
        raise ValueError(f"seed must be between 0 and 2^31 - 1, not {config.seed}")
    if config.predict is not None and config.task not in PAIRS:
        raise ValueError(f"predict needs a task of {', '.join(PAIRS)}, not {config.task}")


def _study(config: Config, folder: Path) -> dict[str, Any]:
    from jaxdl import plotting

    began = time.perf_counter()
    figures: dict[str, Any] = {"exact_match": {}, "seconds_by_task": {}}
    for task in TASKS if config.task == "all" else (config.task,):
        start = time.perf_counter()
        if task in PAIRS:
            figures["exact_match"][task], drawn = _pairs(config, task, folder)
            figure = plotting.attention_map(*drawn, ylabel="says")
            line = f"{figures['exact_match'][task]:.4f} of the answers right to the last character"
        elif task == "adding":
            mse, figure = _adding(config, folder)
            from jaxdl.data.toy_sequences import adding_baseline

            figures |= {"adding_mse": mse, "adding_baseline_mse": adding_baseline()}
            line = f"squared error {mse:.4f}, by the best constant {adding_baseline():.4f}"
        else:
            nats, baseline, figure = _copy_memory(config, folder)
            figures |= {"copy_memory_nats": nats, "copy_memory_baseline_nats": baseline}
            scores = ", ".join(f"{name} {value:.4f}" for name, value in nats.items())
            line = f"nats a position: {scores}, without memory {baseline:.4f}"
        figure.savefig(folder / f"{task}.png", dpi=150)
        figures["seconds_by_task"][task] = time.perf_counter() - start
        print(f"{task.ljust(11)} {line} ({figures['seconds_by_task'][task]:.0f} s)", flush=True)
    figures["seconds"] = time.perf_counter() - began
    return figures


def transformer_config(width: int, vocabulary: int, heads: int):
    """One pre-LN layer of each kind."""
    from jaxdl import models

    return models.TransformerConfig(
        vocabulary, features=width, num_heads=heads, hidden=4 * width, num_layers=1,
        norm_position="pre",
    )  # fmt: skip


def question(task: str, text: str, digits: int = 3) -> str:
    """What the model reads: of a sum, both numbers with leading zeros."""
    if task != "addition":
        return text
    return "+".join(number.zfill(digits) for number in text.split("+"))


def reply(task: str, text: str) -> str:
    """What the model says: a sum from its last digit on, as one adds on paper."""
    return text[::-1] if task == "addition" else text


def characters(task: str) -> str:
    """What source and target are written with."""
    return DIGITS + "+" if task == "addition" else DIGITS


def examples(config: Config, task: str) -> tuple[list[str], list[str]]:
    """Questions and answers as texts, the test part first."""
    from experiments.translation import decode
    from jaxdl.data import toy_sequences as toy

    n = config.examples + config.test_examples
    if task == "addition":
        most = 10**config.digits * (10**config.digits + 1) // 2
        return toy.addition(config.seed, min(n, most), digits=config.digits)
    pairs = getattr(toy, task)(config.seed, n, length=config.length)
    return decode(pairs.source, DIGITS), decode(pairs.target, DIGITS)


def _pairs(config: Config, task: str, folder: Path):
    """Exact match, and the attention weights [h, T, S] of a test example with its labels."""
    import jax

    from experiments import saved, translation
    from jaxdl import models

    steps, batch_size, rate, width = DEFAULTS[task]
    letters = characters(task)
    questions, answers = examples(config, task)
    source = translation.encode([question(task, q, config.digits) for q in questions], letters)
    target = translation.encode([reply(task, a) for a in answers], letters)
    test, train = slice(config.test_examples), slice(config.test_examples, None)
    vocabulary = translation.FIRST_ID + len(letters)
    settings = transformer_config(width, vocabulary, HEADS[task])
    trained = translation.fit_pairs(
        models.transformer(settings), vocabulary, translation.take(source, train),
        translation.take(target, train), key=jax.random.key(config.seed), rate=rate,
        steps=config.steps or steps, batch_size=batch_size,
    )  # fmt: skip
    params = trained.params
    about = {"experiment": "toy_sequences", "task": task, "width": width, "digits": config.digits,
             "length": config.length}  # fmt: skip
    saved.save(folder / f"{task}.npz", params, about)
    source, target = translation.take(source, test), translation.take(target, test)
    said = translation.answer(models.transformer_decoder(settings), params, source, target)
    look = lambda params, x: models.attention_maps(settings, params, x)["source"][-1, 0]
    example = translation.attended(
        models.transformer_decoder(settings), look, params, question(task, questions[0], config.digits),
        (letters, letters), int(target.values.shape[1]),
    )  # fmt: skip
    return float(said.right.mean()), example


def predict(folder: Path, task: str, text: str) -> str:
    """The answer of a saved model to digits, or to a sum."""
    from experiments import saved, translation
    from jaxdl import models

    path = folder / f"{task}.npz"
    about, arrays = saved.read(path)
    wanted = {"width": int, "digits": int, "length": int}
    if about.get("task") != task or any(type(about.get(k)) is not t for k, t in wanted.items()):
        raise ValueError(f"{path}: not a model of toy_sequences for {task}")
    _check_question(task, text, about)
    letters = characters(task)
    settings = transformer_config(about["width"], translation.FIRST_ID + len(letters), HEADS[task])
    params = saved.restored(arrays, translation.shapes(models.transformer(settings)), path)
    source = translation.encode([question(task, text, about["digits"])], letters)
    longest = about["length"] if task != "addition" else about["digits"] + 1
    (said,) = translation.say(
        models.transformer_decoder(settings), params, source, letters, longest
    )
    return reply(task, said)


def _check_question(task, text, about):
    if task == "addition":
        numbers = text.split("+")
        most = about["digits"]
        if len(numbers) != 2 or not all(n.isascii() and n.isdigit() for n in numbers):
            raise ValueError(f"a sum is two whole numbers with a + between, not {text!r}")
        if max(map(len, numbers)) > most:
            raise ValueError(f"the model adds numbers with up to {most} digits, not {text!r}")
    elif not (text.isascii() and text.isdigit() and len(text) == about["length"]):
        raise ValueError(f"the model reads {about['length']} digits, not {text!r}")


def _adding(config: Config, folder: Path) -> "tuple[float, Figure]":
    """The squared error of an LSTM on the test part, and its predictions drawn."""
    import jax
    import numpy as np

    from experiments import saved, translation
    from jaxdl import families, training
    from jaxdl.data import toy_sequences as toy

    steps, batch_size, rate, width = DEFAULTS["adding"]
    train = toy.adding_problem(config.seed, config.examples, length=config.adding_length)
    test = toy.adding_problem(config.seed + 1, config.test_examples, length=config.adding_length)
    model = recurrent(2, width, 1, every=False)
    objective = training.negative_log_likelihood(model, families.normal())
    trained = translation.fit(
        model, objective, tuple(train), key=jax.random.key(config.seed), rate=rate,
        steps=config.steps or steps, batch_size=batch_size,
    )  # fmt: skip
    saved.save(folder / "adding.npz", trained.params, {"task": "adding", "width": width})
    predicted = np.asarray(objective.predict(trained.params, {}, test.x)).reshape(-1)
    return float(np.mean(np.square(predicted - test.y))), draw_adding(test.y, predicted)


def _copy_memory(config: Config, folder: Path):
    """Nats a position of an LSTM and of a transformer, of no memory, and the nats drawn."""
    import jax
    import numpy as np

    from experiments import saved, translation
    from jaxdl import families, models, training
    from jaxdl.data import toy_sequences as toy

    steps, batch_size, rate, width = DEFAULTS["copy_memory"]
    tokens = toy.NUM_COPY_MEMORY_TOKENS
    train = tuple(toy.copy_memory(config.seed, config.examples, delay=config.delay))
    test = tuple(toy.copy_memory(config.seed + 1, config.test_examples, delay=config.delay))
    family = families.categorical(tokens)
    nets = {
        "lstm": recurrent(tokens, 2 * width, tokens, every=True),
        "transformer": models.language_model(transformer_config(width, tokens, heads=2)),
    }
    nats, curves = {}, {}
    for name, model in nets.items():
        objective = training.sequence_nll(model, family, reduction="mean")
        trained = translation.fit(
            model, objective, train, key=jax.random.key(config.seed), rate=rate,
            steps=config.steps or steps, batch_size=batch_size,
        )  # fmt: skip
        saved.save(folder / f"copy_memory_{name}.npz", trained.params,
                   {"task": "copy_memory", "model": name, "width": width})  # fmt: skip
        eta, _ = jax.jit(model.apply)(trained.params, {}, test[0])
        curves[name] = -np.asarray(family.log_prob(eta, test[1].values)).mean(0)
        nats[name] = float(curves[name].mean())
    baseline = toy.copy_memory_baseline(config.delay)
    return nats, baseline, draw_copy_memory(curves, len(curves["lstm"]) - 10)


def recurrent(d_in: int, width: int, d_out: int, *, every: bool):
    """An LSTM over x [N, T, D], or over tokens as unit vectors; a linear map of its last state,
    or of the one at every position."""
    import jax

    from jaxdl import base, layers

    cell = layers.lstm_cell(d_in, width)

    def init(key):
        keys = jax.random.split(key)
        return {"lstm": cell.init(keys[0]), "output": layers.dense_init(keys[1], width, d_out)}

    def apply(params, x, *, key, train):
        if x.values.ndim == 2:
            x = x._replace(values=jax.nn.one_hot(x.values, d_in))
        (_, last), h = layers.unroll(cell, params["lstm"], x)
        return layers.dense(params["output"], h if every else last)

    return base.stateless(init, apply)


def draw_adding(y, predicted) -> "Figure":
    """Predicted sums by true ones; the dashed line is the best constant."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.4, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.plot(y, predicted, ".", ms=3, alpha=0.5, label="LSTM")
    axes.plot([0, 2], [0, 2], color="0.4", lw=0.8, label="right")
    axes.axhline(1, color="C3", ls="--", lw=1, label="best constant")
    axes.set(xlabel="true sum", ylabel="predicted sum", xlim=(0, 2), ylim=(-0.1, 2.1),
             title="The adding problem")  # fmt: skip
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def draw_copy_memory(curves: dict, first: int) -> "Figure":
    """Nats [T] by position; from ``first`` on the symbols are said."""
    import numpy as np
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.subplots()
    total = len(next(iter(curves.values())))
    for name, values in curves.items():
        axes.semilogy(np.maximum(values, 1e-7), ".-", lw=1, ms=4, label=name)
    axes.plot([first, total - 1], [math.log(8)] * 2, "k--", lw=1, label="without memory")
    axes.axvspan(first - 0.5, total - 0.5, color="0.93", zorder=0)
    axes.set(xlabel="position (shaded: the symbols are to be said)", ylabel="nats",
             title="Copy memory", xlim=(-0.5, total - 0.5))  # fmt: skip
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def run(config: Config) -> None:
    """``main``, once the options are known to make sense."""
    check(config)
    main(config)


if __name__ == "__main__":
    command("toy_sequences", Config, run)
