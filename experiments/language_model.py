"""A transformer that writes a text character by character, against n-grams that count.

``python -m experiments.language_model --help`` lists the options. The end of a text is held out;
how many bits each of its characters costs says how well a model knows what comes next. The rivals
are a unigram, a bigram and interpolated Kneser-Ney of order 5.
"""

import dataclasses
import functools
import json
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.command import command, print_whole, written_whole

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

MODEL, REPORT, PICTURE, SAMPLES = "model.npz", "report.json", "curves.png", "samples.txt"


@dataclasses.dataclass(frozen=True)
class Config:
    """Train a character-level transformer on all but the end of a text, count n-grams on the same
    part, compare them on the end, and let the transformer write.
    """

    data: str | None = None
    """A text file, UTF-8; default, the topics of Python's own help."""
    held_out: float = 0.1
    """The share of the text, its end, that nothing learns from."""
    length: int = 128
    """Characters that are read at once."""
    width: int = 128
    """Of the transformer's vectors."""
    layers: int = 2
    """Of the transformer."""
    heads: int = 4
    """Of its attention."""
    dropout: float = 0.0
    """Its rate; worth something where a small text is read many times."""
    epochs: int = 4
    """Passes over the text."""
    batch_size: int = 16
    """Windows a step."""
    learning_rate: float = 0.003
    """Of Adam, after a warm-up; it falls to a twentieth as a cosine."""
    order: int = 5
    """Of the largest n-gram."""
    prompt: str = "The "
    """What the samples go on from."""
    sample: int = 400
    """Characters that are written behind the prompt."""
    temperature: float = 0.7
    """Of the sampling; 0 always takes the likeliest character."""
    top_p: float = 0.95
    """Of the sampling: the mass of the characters that are drawn from."""
    out: str = "runs/language_model"
    """The folder to write to, or to read from with --predict."""
    checkpoint: str | None = None
    """A folder for checkpoints: the same command goes on from there."""
    predict: str | None = None
    """Train nothing: go on from this text with the model in the folder OUT."""
    seed: int = 0
    """Of all draws."""
    progress: bool = True
    """Show a bar."""


def main(config: Config) -> dict[str, Any]:
    """Train, compare, write ``config.out``, and return the figures that matter."""
    check(config)
    if config.predict is not None:
        return predict(config)
    with written_whole(config.out) as folder:
        figures = _train(config, folder)
        (folder / REPORT).write_text(
            json.dumps(figures, indent=1, allow_nan=False) + "\n", encoding="utf-8"
        )
        names = sorted(file.name for file in folder.iterdir())
    print(f"wrote {config.out}: {', '.join(names)}")
    return figures


def predict(config: Config) -> dict[str, Any]:
    """Write on from ``config.predict`` with the saved model."""
    vocabulary, sizes, params = load(Path(config.out) / MODEL)
    asked = dataclasses.replace(config, prompt=config.predict, length=sizes["length"])
    written = write(asked, vocabulary, sizes, params)
    print_whole(config.predict + written + "\n")
    return {"text": written}


def load(path: Path):
    """The vocabulary, sizes and parameters of a saved model. Raises OSError and ValueError."""
    from experiments import saved
    from jaxdl import text
    from jaxdl.files import reason

    about, arrays = saved.read(path)
    try:
        vocabulary = text.from_json(about["vocabulary"])
        most = {"width": saved.MAX_SIZE, "layers": saved.MAX_LAYERS, "heads": 1024, "length": 2**20}
        sizes = {name: saved.size(about[name], name, limit) for name, limit in most.items()}
        net = _transformer(vocabulary.size, **sizes)
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path}: not a language model ({reason(error)})") from None
    return vocabulary, sizes, saved.restored(arrays, _shapes(net), path)


def check(config: Config) -> None:
    """Raise a ValueError for numbers that make no sense, before anything heavy is imported."""
    least = {
        "length": 4,
        "width": 2,
        "layers": 1,
        "heads": 1,
        "epochs": 1,
        "batch_size": 1,
        "order": 1,
        "sample": 1,
    }
    for name, lowest in least.items():
        if getattr(config, name) < lowest:
            raise ValueError(f"{name} must be at least {lowest}, not {getattr(config, name)}")
    if config.width % (2 * config.heads):
        raise ValueError(
            f"width {config.width} must be a multiple of twice the {config.heads} heads"
        )
    if not (math.isfinite(config.learning_rate) and config.learning_rate > 0):
        raise ValueError(f"learning_rate must be positive, not {config.learning_rate:g}")
    if not 0 <= config.dropout < 1:
        raise ValueError(f"dropout must be from 0 to below 1, not {config.dropout:g}")
    if not 0 <= config.seed < 2**32:
        raise ValueError(f"seed must be between 0 and 2^32 - 1, not {config.seed}")
    for name in ("prompt", "predict"):
        if getattr(config, name) == "":
            raise ValueError(f"{name} needs at least one character to go on from")


def text_of(data: str | None) -> str:
    """A file's text, or the topics of Python's help, one behind the other."""
    if data is not None:
        from jaxdl.text import read_text

        return read_text(data)
    from pydoc_data.topics import topics

    return "".join(topics[name] for name in sorted(topics))


def _train(config: Config, folder: Path) -> dict[str, Any]:
    import jax
    import numpy as np
    import optax

    from experiments import saved
    from jaxdl import text, training

    began = time.perf_counter()
    learn, held = text.split_text(text_of(config.data), config.held_out)
    vocabulary = text.count_vocabulary(learn)
    text.character_tokenizer(vocabulary).encode(config.prompt)  # refused now, not after training
    read = text.character_tokenizer(vocabulary, on_unknown="unknown").encode
    learn, held = (np.array(read(part), np.int32) for part in (learn, held))
    windows = text.language_model_windows(learn, config.length + 1)
    if len(windows) < config.batch_size:
        raise ValueError(
            f"the text has {len(windows)} windows of {config.length + 1} characters to learn from, "
            f"fewer than a batch of {config.batch_size}"
        )
    print(
        f"{len(learn)} characters to learn from, {len(held)} held out, {vocabulary.size} different"
    )
    rivals = ngram_bits(learn, held, vocabulary.size, sorted({1, 2, config.order}))

    sizes = {name: getattr(config, name) for name in ("width", "layers", "heads", "length")}
    net = _transformer(vocabulary.size, **sizes, dropout=config.dropout)
    steps = config.epochs * (len(windows) // config.batch_size)
    rate = optax.warmup_cosine_decay_schedule(
        0.0, config.learning_rate, max(1, min(100, steps // 10)), steps, config.learning_rate / 20
    )
    learner = training.gradient_learner(
        net,
        training.next_token_nll(net, vocabulary.size),
        optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(rate, weight_decay=0.1)),
    )
    started = time.perf_counter()
    result = training.fit(
        learner,
        windows,
        key=jax.random.key(config.seed),
        epochs=config.epochs,
        batch_size=config.batch_size,
        remainder="drop",
        validation=text.language_model_windows(held, config.length + 1),
        checkpoint=config.checkpoint,
        progress=config.progress,
    )
    params = jax.block_until_ready(result.state.params)
    trained = time.perf_counter() - started
    bits = held_out_bits(net, params, held, config.length)
    curve = np.asarray(result.history.validation["nll_per_token"], np.float64) / math.log(2)
    best = rivals[config.order]
    won = np.flatnonzero(curve < best)
    saved.save(folder / MODEL, params, {"vocabulary": text.as_json(vocabulary), **sizes})
    draw(np.asarray(result.history.epochs), curve, rivals).savefig(folder / PICTURE, dpi=150)
    written = write(config, vocabulary, sizes, params)
    (folder / SAMPLES).write_text(config.prompt + written + "\n", encoding="utf-8")
    figures = {
        "bits_per_character": bits,
        "unigram_bits_per_character": rivals[1],
        "bigram_bits_per_character": rivals[2],
        "kneser_ney_bits_per_character": best,
        "kneser_ney_order": config.order,
        "beats_kneser_ney": bits < best,
        "epochs": config.epochs,
        "epochs_to_beat_kneser_ney": int(result.history.epochs[won[0]]) if len(won) else None,
        "parameters": int(sum(leaf.size for leaf in jax.tree.leaves(params))),
        "characters": len(learn),
        "held_out_characters": len(held),
        "unknown_share": float(np.mean(held == text.UNKNOWN)),
        "training_seconds": trained,
        "seconds": time.perf_counter() - began,
    }
    print(show(figures))
    print(f"\n{config.prompt}{written}\n")
    return figures


def ngram_bits(
    learn: "np.ndarray", held: "np.ndarray", num_tokens: int, orders: list[int]
) -> dict[int, float]:
    """Bits per character of the held-out text behind its first, by order; Kneser-Ney."""
    import numpy as np

    from jaxdl.text import ngrams

    bits = {}
    for order in orders:
        model = ngrams.kneser_ney(
            learn, order=order, num_tokens=num_tokens, fallback=ngrams.FALLBACK
        )
        bits[order] = float(-np.mean(ngrams.ngram_log_prob(model, held)[1:]) / math.log(2))
    return bits


def held_out_bits(net: Any, params: Any, held: "np.ndarray", length: int) -> float:
    """Bits per character of a text behind its first, each predicted once.

    Windows overlap by half, so that a character is predicted behind at least ``length / 2`` others,
    where there are as many.
    """
    import jax
    import jax.numpy as jnp
    import numpy as np

    from jaxdl import programs, text

    width = min(length + 1, len(held))
    starts = list(range(0, len(held) - width + 1, max(1, length // 2)))
    if starts[-1] != len(held) - width:
        starts.append(len(held) - width)

    @functools.partial(jax.jit, compiler_options=programs.compiler_options())
    def log_probs(params, windows):
        eta, _ = net.apply(params, {}, windows[:, :-1])
        log_p = jax.nn.log_softmax(eta.astype(jnp.float32))
        return jnp.take_along_axis(log_p, windows[:, 1:, None], axis=-1)[..., 0]

    rows = np.array([held[start : start + width] for start in starts])
    padded = text.pad_sequences(rows, length=width).values
    total, done = 0.0, 1  # the first character is not predicted
    for at in range(0, len(starts), 32):
        part = padded[at : at + 32]
        filled = np.concatenate([part, np.repeat(part[:1], 32 - len(part), axis=0)])
        values = np.asarray(log_probs(params, filled), np.float64)
        for start, row in zip(starts[at : at + 32], values, strict=False):
            total += row[done - start - 1 :].sum()
            done = start + width
    return float(-total / (len(held) - 1) / math.log(2))


def write(config: Config, vocabulary: Any, sizes: dict[str, int], params: Any) -> str:
    """``config.sample`` characters behind ``config.prompt``.

    The model has seen windows of ``length`` characters, so the last half of one is kept and the
    other half written, again and again; all by one program.
    """
    import jax
    import numpy as np

    from jaxdl import generation, models, text

    half = max(1, sizes["length"] // 2)
    tokenizer = text.character_tokenizer(vocabulary)
    ids = tokenizer.encode(config.prompt)
    decoder = models.language_model_decoder(_config(vocabulary.size, **sizes))
    key, first = jax.random.key(config.seed), len(ids)
    for part in range(math.ceil(config.sample / half)):
        out = generation.sample(
            decoder,
            params,
            {},
            key=jax.random.fold_in(key, part),
            temperature=config.temperature,
            top_p=config.top_p,
            bos_id=None,
            eos_id=None,
            pad_id=text.PAD,
            max_length=half,
            prompt=text.pad_sequences([ids[-half:]], length=half),
        )
        ids += np.asarray(out.tokens.values)[0].tolist()
    return tokenizer.decode(ids[first : first + config.sample])


def show(figures: dict[str, Any]) -> str:
    """What was found, and whether the transformer won."""
    order = figures["kneser_ney_order"]
    rows = {
        "unigram": figures["unigram_bits_per_character"],
        "bigram": figures["bigram_bits_per_character"],
        f"{order}-gram Kneser-Ney": figures["kneser_ney_bits_per_character"],
        "transformer": figures["bits_per_character"],
    }
    lines = ["bits per character of the held-out text:"]
    lines += [f"  {name.ljust(20)} {value:.3f}" for name, value in rows.items()]
    if figures["beats_kneser_ney"]:
        when = figures["epochs_to_beat_kneser_ney"] or figures["epochs"]
        lines.append(f"the transformer is ahead of Kneser-Ney, after {when} epochs or fewer")
    else:
        lines.append(
            f"the transformer is behind Kneser-Ney after {figures['epochs']} epochs; give it more"
        )
    return "\n".join(lines)


def draw(epochs: "np.ndarray", curve: "np.ndarray", rivals: dict[int, float]) -> "Figure":
    """The transformer's bits per character by epoch, and the n-grams' as lines."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4), layout="constrained")
    axes = figure.subplots()
    names = {1: "unigram", 2: "bigram"}
    for i, (order, bits) in enumerate(rivals.items(), start=1):
        name = names.get(order, f"{order}-gram Kneser-Ney")
        axes.axhline(bits, color=f"C{i}", linestyle="--", label=f"{name}, {bits:.2f}")
    axes.plot(epochs, curve, "o-", color="C0", label=f"transformer, {curve[-1]:.2f} at the end")
    axes.set_xlabel("passes over the text")
    axes.set_ylabel("bits per character, held out")
    axes.set_ylim(bottom=0, top=max(*curve, *rivals.values()) * 1.1)
    axes.xaxis.get_major_locator().set_params(integer=True)
    figure.legend(loc="outside upper center", ncols=2)
    axes.grid(alpha=0.3)
    return figure


def _config(num_tokens, *, width, layers, heads, length, dropout=0.0):
    from jaxdl import models

    return models.TransformerConfig(
        num_tokens,
        features=width,
        num_heads=heads,
        num_layers=layers,
        norm_position="pre",
        positions="rotary",
        dropout=dropout,
    )


def _transformer(num_tokens, **sizes):
    from jaxdl import models

    return models.language_model(_config(num_tokens, **sizes))


def _shapes(net):
    import jax

    return jax.eval_shape(net.init, jax.random.key(0))[0]


if __name__ == "__main__":
    command("language_model", Config, main)
