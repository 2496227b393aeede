"""Sequence problems whose answers are known: copy, reverse, addition, adding, copy memory.

``python -m experiments.toy_sequences --help`` lists the options. A one-layer transformer copies,
reverses and adds numbers of three digits; an LSTM solves the adding problem, where the best constant
has an error of 1/6; and an LSTM and a transformer are to repeat symbols from long ago, against the
best that can be done without memory. A task takes about a minute on two cores, or less.

A trained model answers again: ``--task addition --predict 27+156``.
"""

import dataclasses
import json
import time
from pathlib import Path
from typing import Any, Literal

from experiments.command import command, written_whole

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
    copy or reverse, a sum such as 27+156, numbers of which two have a star, "0.2 0.5* 0.9 0.3*", for
    adding, or ten digits from 0 to 7 for copy_memory."""
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
    least = {
        "length": 1,
        "digits": 1,
        "adding_length": 2,
        "delay": 1,
        "steps": 1,
        "examples": 1,
        "test_examples": 1,
    }
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
    if config.predict is not None and config.task == "all":
        raise ValueError(f"predict needs a task of {', '.join(TASKS)}, not all")


def _study(config: Config, folder: Path) -> dict[str, Any]:
    from experiments import memory_tasks
    from jaxdl import plotting
    from jaxdl.data.toy_sequences import adding_baseline

    began = time.perf_counter()
    figures: dict[str, Any] = {"exact_match": {}, "seconds_by_task": {}}
    for task in TASKS if config.task == "all" else (config.task,):
        start = time.perf_counter()
        if task in PAIRS:
            figures["exact_match"][task], drawn = _pairs(config, task, folder)
            figure = plotting.attention_map(*drawn, ylabel="says")
            line = f"{figures['exact_match'][task]:.4f} of the answers right to the last character"
        elif task == "adding":
            mse, figure = memory_tasks.adding(config, DEFAULTS[task], folder)
            figures |= {"adding_mse": mse, "adding_baseline_mse": adding_baseline()}
            line = f"squared error {mse:.4f}, by the best constant {adding_baseline():.4f}"
        else:
            nats, baseline, figure = memory_tasks.copy_memory(config, DEFAULTS[task], folder)
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
        vocabulary,
        features=width,
        num_heads=heads,
        hidden=4 * width,
        num_layers=1,
        norm_position="pre",
    )


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
        models.transformer(settings),
        vocabulary,
        translation.take(source, train),
        translation.take(target, train),
        key=jax.random.key(config.seed),
        rate=rate,
        steps=config.steps or steps,
        batch_size=batch_size,
    )
    params = trained.params
    about = {
        "experiment": "toy_sequences",
        "task": task,
        "width": width,
        "digits": config.digits,
        "length": config.length,
    }
    saved.save(folder / f"{task}.npz", params, about)
    source, target = translation.take(source, test), translation.take(target, test)
    said = translation.answer(models.transformer_decoder(settings), params, source, target)
    look = lambda params, x: models.attention_maps(settings, params, x)["source"][-1, 0]
    example = translation.attended(
        models.transformer_decoder(settings),
        look,
        params,
        question(task, questions[0], config.digits),
        (letters, letters),
        int(target.values.shape[1]),
    )
    return float(said.right.mean()), example


def predict(folder: Path, task: str, text: str) -> str:
    """The answer of a saved model."""
    from experiments import memory_tasks, saved, translation
    from jaxdl import models

    if task == "adding":
        return memory_tasks.predict_adding(folder, text)
    if task == "copy_memory":
        return memory_tasks.predict_copy_memory(folder, text)
    path = folder / f"{task}.npz"
    about, arrays = saved.read(path)
    if about.get("task") != task:
        raise ValueError(f"{path}: not a model of toy_sequences for {task}")
    try:
        for name in ("width", "digits", "length"):
            saved.size(about.get(name), name)
    except ValueError as error:
        raise ValueError(f"{path}: not a model of toy_sequences for {task} ({error})") from None
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


def run(config: Config) -> None:
    """``main``, once the options are known to make sense."""
    check(config)
    main(config)


if __name__ == "__main__":
    command("toy_sequences", Config, run)
