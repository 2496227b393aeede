"""Dates as people write them to ISO form: three networks learn to translate, character by character.

``python -m experiments.dates --help`` lists the options. An encoder-decoder without attention, one
with attention, and a transformer learn from dates in 25 formats and are tested on days that they have
not seen. A trained network answers again: ``--predict "3 March 1999"``, or ``--predict -`` for one
date a line from standard input.
"""

import dataclasses
import json
import math
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from experiments.command import command, written_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MODELS = ("seq2seq", "attention", "transformer")
TARGETS = "-0123456789"
LONGEST = len("1999-03-03")
SHOWN = "Wednesday, March 31, 1999"  # whose attention is drawn
BATCH_SIZE = 64
# Of each network: steps, Adam's largest rate, width.
DEFAULTS = {
    "seq2seq": (1200, 0.006, 64), "attention": (700, 0.01, 48), "transformer": (1200, 0.005, 48),
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Config:
    """Train networks that write dates in ISO form, test them on other days, and write report.json,
    attention maps and the networks; or translate with a saved network.

    Numbers stand for day, month, year unless the year comes first; years of two digits are from
    1969 to 2068.
    """

    predict: str | None = None
    """A date to translate with the network of an earlier run in the folder ``out``, instead of
    training; - reads one a line from standard input."""
    model: Literal["all", "seq2seq", "attention", "transformer"] = "all"
    """The network to train, or to predict with (all: the transformer)."""
    examples: int = 20_000
    """To train on."""
    test_examples: int = 1_000
    """To test on, of days that are in no training example."""
    steps: int | None = None
    """Of training; the default depends on the network, from 700 to 1200."""
    learning_rate: float | None = None
    """The largest of Adam; the default depends on the network."""
    out: str = "runs/dates"
    """The folder to write to, and to read networks from."""
    seed: int = 0
    """Of data and training."""
    progress: bool = False
    """Show a bar."""


class Network(NamedTuple):
    """A model with its Decoder; weights: ``(params, x) -> [h, T, S] or [T, S]`` of one
    teacher-forced row, or None."""

    model: Any
    decoder: Any
    weights: Any


def main(config: Config) -> dict[str, Any]:
    """Train and test, or translate; returns the figures that matter."""
    check(config)
    if config.predict is not None:
        return {"answers": list(_answers(config))}
    with written_whole(config.out) as folder:
        figures = _study(config, folder)
        text = json.dumps(figures, indent=1, allow_nan=False)
        (folder / "report.json").write_text(text + "\n", encoding="utf-8")
        names = sorted(file.name for file in folder.iterdir())
    print(f"wrote {config.out}: {', '.join(names)}")
    return figures


def check(config: Config) -> None:
    """Raise a ValueError for options that make no sense, before anything heavy is imported."""
    if config.model not in ("all", *MODELS):
        raise ValueError(f"model is one of all, {', '.join(MODELS)}, not {config.model}")
    for name in ("examples", "test_examples", "steps"):
        value = getattr(config, name)
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1, not {value}")
    rate = config.learning_rate
    if rate is not None and not (math.isfinite(rate) and rate > 0):
        raise ValueError(f"learning_rate must be positive, not {rate:g}")
    if not 0 <= config.seed < 2**32:
        raise ValueError(f"seed must be between 0 and 2^32 - 1, not {config.seed}")


def network(name: str, width: int, source_tokens: int) -> Network:
    """One of ``MODELS`` for a source vocabulary of so many tokens."""
    from experiments import translation
    from jaxdl import models

    vocabulary = translation.FIRST_ID + len(TARGETS)
    if name == "transformer":
        config = models.TransformerConfig(
            vocabulary,
            features=width,
            num_heads=4,
            hidden=2 * width,
            num_layers=1,
            source_tokens=source_tokens,
            norm_position="pre",
        )
        look = lambda params, x: models.attention_maps(config, params, x)["source"][-1, 0]
        return Network(models.transformer(config), models.transformer_decoder(config), look)
    attentive = name == "attention"
    config = models.Seq2SeqConfig(
        vocabulary,
        source_tokens,
        features=32,
        hidden=width,
        bidirectional=True,
        attention="additive" if attentive else None,
    )
    look = lambda params, x: models.seq2seq_attention(config, params, x)[0]
    return Network(
        models.seq2seq(config), models.seq2seq_decoder(config), look if attentive else None
    )


def _study(config: Config, folder: Path) -> dict[str, Any]:
    import jax

    from experiments import saved, translation
    from jaxdl import plotting
    from jaxdl.data.dates import make_dates

    began = time.perf_counter()
    train, test = make_dates(config.seed, config.examples, config.test_examples)
    letters = "".join(sorted(set("".join(train.texts))))
    source, target = (
        translation.encode(train.texts, letters),
        translation.encode(train.iso, TARGETS),
    )
    test_source = translation.encode(test.texts, letters)
    test_target = translation.encode(test.iso, TARGETS)
    print(
        f"dates: {len(train.texts)} to learn from, {len(test.texts)} of other days, such as "
        f"{', '.join(map(repr, test.texts[:3]))}"
    )
    figures: dict[str, Any] = {
        "exact_match": {},
        "parameters": {},
        "seconds_by_model": {},
        "mistakes": {},
    }
    curves = {}
    for i, name in enumerate(MODELS if config.model == "all" else (config.model,)):
        steps, rate, width = DEFAULTS[name]
        steps = config.steps or steps
        net = network(name, width, translation.FIRST_ID + len(letters))
        epochs = -(-steps // -(-config.examples // BATCH_SIZE))
        validation = (
            translation.take(test_source, slice(200)),
            translation.take(test_target, slice(200)),
        )
        trained = translation.fit_pairs(
            net.model,
            translation.FIRST_ID + len(TARGETS),
            source,
            target,
            key=jax.random.fold_in(jax.random.key(config.seed), i),
            steps=steps,
            rate=config.learning_rate or rate,
            batch_size=BATCH_SIZE,
            validation=validation,
            evaluate_every=max(1, epochs // 10),
            progress=config.progress,
        )
        curves[name] = trained.history
        about = {
            "experiment": "dates",
            "model": name,
            "width": width,
            "characters": letters,
            "longest": max(map(len, train.texts)),
        }
        saved.save(folder / f"{name}.npz", trained.params, about)
        said = translation.answer(net.decoder, trained.params, test_source, test_target)
        texts = translation.decode(said.tokens, TARGETS)
        figures["exact_match"][name] = float(said.right.mean())
        figures["parameters"][name] = sum(leaf.size for leaf in jax.tree.leaves(trained.params))
        figures["seconds_by_model"][name] = trained.seconds
        wrong = [(test.texts[i], texts[i], test.iso[i]) for i in (~said.right).nonzero()[0][:10]]
        figures["mistakes"][name] = [list(row) for row in wrong]
        print(
            f"{name.ljust(12)} {said.right.mean():.4f} of the dates right to the last character "
            f"({figures['parameters'][name]} parameters, {trained.seconds:.0f} s)",
            flush=True,
        )
        if net.weights is not None:
            drawn = translation.attended(
                net.decoder, net.weights, trained.params, SHOWN, (letters, TARGETS), LONGEST
            )
            figure = plotting.attention_map(*drawn, ylabel="writes")
            figure.savefig(folder / f"attention_{name}.png", dpi=150)
    draw_curves(curves).savefig(folder / "training.png", dpi=150)
    return {**figures, "seconds": time.perf_counter() - began}


def _answers(config: Config):
    """Translate with a saved network; prints and yields each answer."""
    name = "transformer" if config.model == "all" else config.model
    translate = load(Path(config.out) / f"{name}.npz")
    if config.predict != "-":
        said = translate(config.predict)
        print(said)
        yield said
        return
    if sys.stdin.isatty():
        print("one date a line, an empty line or Ctrl-D ends", file=sys.stderr)
    for line in sys.stdin:
        text = line.rstrip("\r\n")
        if not text.strip():
            break
        try:
            said = translate(text)
        except ValueError as error:  # the next line may be better
            print(f"dates: {error}", file=sys.stderr)
            continue
        print(said, flush=True)
        yield said


def load(path: Path):
    """``(text) -> ISO date``, by the network that a run saved.

    Raises an OSError where there is none, and a ValueError for a file of another kind; the function
    raises a ValueError for a text with a character that the network has never seen, for one that is
    longer than any it has seen, and for an empty one.
    """
    from experiments import saved, translation

    about, arrays = saved.read(path)
    wanted = {"model": str, "width": int, "characters": str, "longest": int}
    if about.get("experiment") != "dates" or any(
        type(about.get(k)) is not kind for k, kind in wanted.items()
    ):
        raise ValueError(f"{path}: not a network of experiments.dates")
    if about["model"] not in MODELS:
        raise ValueError(f"{path}: holds an unknown model, {about['model']!r}")
    letters, longest = about["characters"], about["longest"]
    try:
        saved.size(about["width"], "width")
        saved.size(longest, "longest")
        saved.texts(list(letters), "characters")
    except ValueError as error:
        raise ValueError(f"{path}: not a network of experiments.dates ({error})") from None
    net = network(about["model"], about["width"], translation.FIRST_ID + len(letters))
    params = saved.restored(arrays, translation.shapes(net.model), path)

    def translate(text: str) -> str:
        text = text.strip()
        unknown = sorted(set(text) - set(letters))
        if unknown or not 0 < len(text) <= longest:
            why = f"{unknown[0]!r} is in none of them" if unknown else f"this has {len(text)}"
            raise ValueError(
                f"{text!r} is like no date that the network has read: they have 1 to {longest} "
                f"characters, and {why}"
            )
        source = translation.encode([text], letters).padded(longest)  # one shape, one program
        return translation.say(net.decoder, params, source, TARGETS, LONGEST)[0]

    return translate


def draw_curves(histories: dict[str, Any]) -> "Figure":
    """Training and test negative log-likelihoods a date, by epoch."""
    import numpy as np
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.subplots()
    for i, (name, history) in enumerate(histories.items()):
        loss = np.asarray(history.loss)
        axes.semilogy(np.arange(1, len(loss) + 1), loss, color=f"C{i}", ls=":", lw=1)
        axes.semilogy(history.epochs, history.validation["nll"], ".-", color=f"C{i}", label=name)
    axes.set(xlabel="epoch (dotted: training)", ylabel="nats a date")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return figure


def run(config: Config) -> None:
    """``main``, once the options are known to make sense."""
    check(config)
    main(config)


if __name__ == "__main__":
    command("dates", Config, run)
