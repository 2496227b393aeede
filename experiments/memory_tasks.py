"""The two tasks of ``experiments.toy_sequences`` that ask for memory: adding and copy memory.

Each trains, tests, saves and draws its networks, and answers with a saved one.
"""

import math
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from experiments import saved, translation
from jaxdl import base, families, layers, losses, models, programs, training
from jaxdl.base import Sequences
from jaxdl.data import toy_sequences as toy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TOKENS = toy.NUM_COPY_MEMORY_TOKENS
SYMBOLS = 10  # that copy memory asks to be said again


def adding(config, defaults: tuple, folder: Path) -> "tuple[float, Figure]":
    """The squared error of an LSTM on the test part, and its predictions drawn."""
    steps, batch_size, rate, width = defaults
    # Of all lengths, so that the model answers shorter questions too; tested at the whole length.
    train = toy.adding_problem(
        config.seed, config.examples, length=config.adding_length, min_length=2
    )
    test = toy.adding_problem(config.seed + 1, config.test_examples, length=config.adding_length)
    objective = training.negative_log_likelihood(_adder(width), families.normal())
    trained = translation.fit(
        _adder(width),
        objective,
        tuple(train),
        key=jax.random.key(config.seed),
        rate=rate,
        steps=config.steps or steps,
        batch_size=batch_size,
    )
    about = {"task": "adding", "width": width, "length": config.adding_length}
    saved.save(folder / "adding.npz", trained.params, about)
    predicted = np.asarray(objective.predict(trained.params, {}, test.x)).reshape(-1)
    error = float(losses.mean_squared_error(predicted, test.y))
    return error, draw_adding(test.y, predicted)


def predict_adding(folder: Path, text: str) -> str:
    """The sum that a saved LSTM predicts for ``"0.2 0.5* 0.9 0.3*"``, of the values with a star."""
    path = folder / "adding.npz"
    about, params = _read(path, "adding", ("width", "length"), lambda a: _adder(a["width"]))
    words = text.split()
    marks = [word.endswith("*") for word in words]
    try:
        values = [float(word.removesuffix("*")) for word in words]
    except ValueError:
        values = []
    if not values or sum(marks) != 2 or not all(0 <= v <= 1 for v in values):
        raise ValueError(
            f'the model reads numbers from 0 to 1, two of them with a star, "0.2 0.5* 0.3*", not {text!r}'
        )
    if len(values) > about["length"]:
        raise ValueError(f"the model reads up to {about['length']} numbers, not {len(values)}")
    x = np.stack([np.array(values, np.float32), np.array(marks, np.float32)], axis=-1)[None]
    eta, _ = _adder(about["width"]).apply(params, {}, Sequences(x, np.array([len(values)])))
    return f"{float(eta[0, 0]):.3f}"


def copy_memory(config, defaults: tuple, folder: Path) -> "tuple[dict, float, Figure]":
    """Nats a position of an LSTM and of a transformer, of no memory, and the nats drawn."""
    steps, batch_size, rate, width = defaults
    train = tuple(toy.copy_memory(config.seed, config.examples, delay=config.delay))
    test = tuple(toy.copy_memory(config.seed + 1, config.test_examples, delay=config.delay))
    family = families.categorical(TOKENS)
    nats, curves = {}, {}
    for name in ("lstm", "transformer"):
        model = _copier(name, width)
        objective = training.sequence_nll(model, family, reduction="mean")
        trained = translation.fit(
            model,
            objective,
            train,
            key=jax.random.key(config.seed),
            rate=rate,
            steps=config.steps or steps,
            batch_size=batch_size,
        )
        about = {"task": "copy_memory", "model": name, "width": width, "delay": config.delay}
        saved.save(folder / f"copy_memory_{name}.npz", trained.params, about)
        apply = jax.jit(model.apply, compiler_options=programs.compiler_options())
        eta, _ = apply(trained.params, {}, test[0])
        curves[name] = -np.asarray(family.log_prob(eta, test[1].values)).mean(0)
        nats[name] = float(curves[name].mean())
    baseline = toy.copy_memory_baseline(config.delay)
    return nats, baseline, draw_copy_memory(curves, len(curves["lstm"]) - SYMBOLS)


def predict_copy_memory(folder: Path, text: str) -> str:
    """What the saved LSTM and transformer say of ten symbols from 0 to 7, a line for each."""
    symbols = text.strip()
    if len(symbols) != SYMBOLS or not set(symbols) <= set("01234567"):
        raise ValueError(f"the models read {SYMBOLS} digits from 0 to 7, not {text!r}")
    lines = []
    for name in ("lstm", "transformer"):
        path = folder / f"copy_memory_{name}.npz"
        about, params = _read(
            path, "copy_memory", ("width", "delay"), lambda a, name=name: _copier(name, a["width"])
        )
        x = toy.copy_memory(0, 1, delay=about["delay"]).source
        x.values[0, :SYMBOLS] = [int(c) for c in symbols]
        eta, _ = _copier(name, about["width"]).apply(params, {}, x)
        said = np.asarray(jnp.argmax(eta[0, -SYMBOLS:], axis=-1))
        letters = "01234567" + "_" * (TOKENS - 8)  # what is no symbol
        lines.append(f"{name}: {''.join(letters[token] for token in said)}")
    return "\n".join(lines)


def _read(path, task, sizes, model_of):
    """What a saved model says of itself, and its params; a ValueError for one of another task."""
    about, arrays = saved.read(path)
    try:
        if about.get("task") != task:
            raise ValueError(f"it is for {about.get('task')!r}")
        for name in sizes:
            saved.size(about.get(name), name)
    except ValueError as error:
        raise ValueError(f"{path}: not a model of toy_sequences for {task} ({error})") from None
    return about, saved.restored(arrays, translation.shapes(model_of(about)), path)


def _adder(width: int):
    return recurrent(2, width, 1, every=False)


def _copier(name: str, width: int):
    if name == "lstm":
        return recurrent(TOKENS, 2 * width, TOKENS, every=True)
    config = models.TransformerConfig(
        TOKENS, features=width, num_heads=2, hidden=4 * width, num_layers=1, norm_position="pre"
    )
    return models.language_model(config)


def recurrent(d_in: int, width: int, d_out: int, *, every: bool):
    """An LSTM over x [N, T, D], or over tokens as unit vectors; a linear map of its last state,
    or of the one at every position."""
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
    axes.set(
        xlabel="true sum",
        ylabel="predicted sum",
        xlim=(0, 2),
        ylim=(-0.1, 2.1),
        title="The adding problem",
    )
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def draw_copy_memory(curves: dict, first: int) -> "Figure":
    """Nats [T] by position; from ``first`` on the symbols are said."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.subplots()
    total = len(next(iter(curves.values())))
    for name, values in curves.items():
        axes.semilogy(np.maximum(values, 1e-7), ".-", lw=1, ms=4, label=name)
    axes.plot([first, total - 1], [math.log(8)] * 2, "k--", lw=1, label="without memory")
    axes.axvspan(first - 0.5, total - 0.5, color="0.93", zorder=0)
    axes.set(
        xlabel="position (shaded: the symbols are to be said)",
        ylabel="nats",
        title="Copy memory",
        xlim=(-0.5, total - 0.5),
    )
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return figure
