"""How long convolutional, recurrent and attentive networks take to train and to generate.

``python -m experiments.benchmarks.sequences`` prints a Markdown table and writes it with a JSON
file. Every row of a block does the same work: the same rows, steps, batch size and optimizer, on
all cores. Compile time is apart. Use an idle machine.
"""

import dataclasses
import functools
from collections.abc import Callable

from experiments.benchmarks import sequence_peers as peers
from experiments.benchmarks.loops import Timing
from experiments.benchmarks.timing import (
    Row,
    check_blocks,
    digits,
    measure,
    on_all_cores,
    scaled,
    stratified,
    timed,
)
from experiments.command import command

BLOCKS = ("digits_cnn", "images_cnn", "cnn_population", "lstm", "lstm_population", "transformer",
          "decoding", "chunked_attention")  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Config:
    """Measure training and generation against PyTorch and flax; some minutes on two cores."""

    only: tuple[str, ...] = BLOCKS
    """Blocks to run, of digits_cnn, images_cnn, cnn_population, lstm, lstm_population,
    transformer, decoding, chunked_attention."""
    scale: float = 1.0
    """Of the number of steps; 1 takes some seconds a row."""
    repeats: int = 3
    """Timed runs of each row, in turns; the least counts."""
    out: str = "runs/benchmarks"
    """The folder to write to."""


def main(config: Config) -> list[Row]:
    """Run the blocks, print the table and write ``sequences.{md,json}``."""
    check(config)

    blocks = {
        "digits_cnn": lambda: _cnn(config, "8 x 8 images", (8, 8, 1), (16, 32), 128, 400),
        "images_cnn": lambda: _cnn(config, "28 x 28 images", (28, 28, 1), (32, 64), 64, 40),
        "cnn_population": lambda: _cnn_population(config),
        "lstm": lambda: _lstm(config),
        "lstm_population": lambda: _lstm_population(config),
        "transformer": lambda: _transformer(config),
        "decoding": lambda: _decoding(config),
        "chunked_attention": lambda: _chunked_attention(config),
    }
    return measure(config, "sequences", blocks)


def check(config: Config) -> None:
    """Raise a ValueError for unknown blocks and numbers that make no sense."""
    check_blocks(config, BLOCKS)


def in_turns(block: str, task, ways: dict[str, Callable], repeats: int) -> list[Row]:
    """A row for each way, ``() -> Timing`` of the task; those that do not run here are left out."""
    timings = {way: [] for way in ways}
    for _ in range(repeats):
        for way, run in ways.items():
            try:
                timings[way].append(run())
            except ImportError as error:
                print(f"  {way} does not run here: {error}")
    rows = []
    for way, taken in timings.items():
        if taken:
            run, before = min(t.run for t in taken), min(t.before for t in taken)
            result = f"{1000 * run / task.steps:.3g} ms a step, accuracy {taken[0].accuracy:.3f}"
            rows.append(Row(block, way, run, before, run + before, result))
    return rows


def fitted(task, learner, data=None) -> Timing:
    """``fit`` of a task twice: what the first call took beyond the second is compilation."""
    import jax
    import numpy as np

    from jaxdl import training

    data = (task.x, task.y) if data is None else data

    def once():
        result = training.fit(
            learner, data, key=jax.random.key(0), epochs=task.epochs, batch_size=task.batch_size
        )
        return jax.block_until_ready(result)

    cold, _ = timed(once, 1)
    run, result = timed(once, 1)
    predict = jax.jit(learner.predict)
    cuts = range(0, len(task.x), task.batch_size)
    labels = [predict(result.state, task.x[at : at + task.batch_size]).argmax(-1) for at in cuts]
    return Timing(run, max(cold - run, 0), float(np.mean(np.concatenate(labels) == task.y)))


def _learner(model, task, rate=None):
    import optax

    from jaxdl import families, training

    rate = task.rate if rate is None else rate
    optimizer = optax.adam(rate) if task.adam else optax.sgd(rate)
    objective = training.negative_log_likelihood(model, families.categorical(task.classes))
    return training.gradient_learner(model, objective, optimizer)


def _against(config, block, task, ours, torch_net, linen_net) -> list[Row]:
    """Ours, PyTorch with all cores and with one, flax."""
    from jaxdl import parallel

    cores = parallel.usable_cores()
    ways = {"fit": ours}
    for threads in sorted({1, cores}, reverse=True):
        ways[f"PyTorch eager, {threads} threads"] = functools.partial(
            peers.torch_loop, task, torch_net, threads
        )
    ways["flax linen, loop of jitted steps"] = functools.partial(peers.linen_loop, task, linen_net)
    return in_turns(block, task, ways, config.repeats)


def images(side: int):
    """Digits as images [N, side, side, 1] in [0, 1], enlarged and framed where side is above 8."""
    import numpy as np

    x, y = digits()
    x = x.reshape(-1, 8, 8, 1)
    factor = side // 8
    x = x.repeat(factor, axis=1).repeat(factor, axis=2)
    before = (side - 8 * factor) // 2
    behind = side - 8 * factor - before
    return np.pad(x, ((0, 0), (before, behind), (before, behind), (0, 0))), y


def _cnn(config: Config, block: str, image, filters, batch_size: int, steps: int) -> list[Row]:
    """Convolution, ReLU and max pooling twice, and a linear layer, by SGD."""
    from jaxdl import models

    x, y = images(image[0])
    rows = 10 * batch_size
    task = peers.Task(x[:rows], y[:rows], 10, scaled(config, steps // 10), batch_size, 0.05)
    model = models.cnn(image, 10, filters=filters, hidden=())
    return _against(
        config, f"{block}: filters {filters[0]} and {filters[1]}, batch {batch_size}", task,
        lambda: fitted(task, _learner(model, task)),
        lambda: peers.torch_cnn(image, filters, 10), peers.linen_cnn(filters, 10),
    )  # fmt: skip


def _study(config: Config, block: str, task, make_model, rates, folds, torch_net) -> list[Row]:
    """Rates x folds as one program, auto and vmapped, against a loop of fits in PyTorch."""
    import jax

    from jaxdl import clear_programs
    from jaxdl.model_selection import Execution, cross_validate

    model = make_model()

    def study(strategy):
        clear_programs()  # it compiles in each run
        return cross_validate(
            lambda h: _learner(model, task, h["rate"]), {"rate": [float(r) for r in rates]},
            (task.x, task.y), key=jax.random.key(0), folds=folds, epochs=task.epochs,
            batch_size=task.batch_size, evaluate_every=task.epochs, execution=Execution(strategy),
        )  # fmt: skip

    said = lambda scores: f"best mean accuracy {scores.max():.3f}"
    rows = []
    for strategy in ("auto", "vmap"):
        runs = [timed(lambda s=strategy: study(s), 1) for _ in range(config.repeats)]
        last = runs[-1][1]
        rows.append(
            Row(
                block, f"one program, {last.strategy.split(':')[0]}"
                + (" (auto)" if strategy == "auto" else ""),
                min(s.run_seconds for _, s in runs), min(s.compile_seconds for _, s in runs),
                min(t for t, _ in runs), said(last.scores["accuracy"].mean((1, 2))),
            )
        )  # fmt: skip
    try:
        from jaxdl import parallel

        cores = parallel.usable_cores()
        loop = lambda: peers.torch_study(task, torch_net, rates, folds, cores)
        run, scores = timed(loop, min(config.repeats, 2))
        rows.append(
            Row(block, f"PyTorch loop, {cores} threads", run, 0.0, run, said(scores.mean(1)))
        )
    except ImportError as error:
        print(f"  PyTorch does not run here: {error}")
    return rows


def _cnn_population(config: Config) -> list[Row]:
    """8 rates x 5 folds of a CNN with batch normalisation and dropout, on digits."""
    import numpy as np

    from jaxdl import models

    x, y = images(8)
    task = peers.Task(x, y, 10, scaled(config, 4), 128, 0.0, adam=True)
    settings = {"filters": (16, 32), "hidden": (64,), "norm": "batch", "dropout": 0.2}
    return _study(
        config, "8 CNNs with batch normalisation and dropout x 5 folds", task,
        lambda: models.cnn((8, 8, 1), 10, **settings), np.logspace(-3.5, -1.5, 8), stratified(y),
        lambda: peers.torch_normed_cnn((8, 8, 1), (16, 32), 64, 10, 0.2),
    )  # fmt: skip


def sequences(rows: int, length: int, features: int):
    """x [N, T, D] of noise, and y [N]: whether the first feature's mean is positive."""
    import numpy as np

    x = np.random.default_rng(0).normal(size=(rows, length, features)).astype(np.float32)
    return x, (x[:, :, 0].mean(1) > 0).astype(np.int32)


def _lstm_model():
    from jaxdl import models

    return models.sequence_classifier(models.RecurrentConfig(None, features=32, hidden=128), 2)


def _lstm(config: Config) -> list[Row]:
    """An LSTM of 128 units over 64 positions of 32 features, batches of 64, by SGD."""
    x, y = sequences(640, 64, 32)
    task = peers.Task(x, y, 2, scaled(config, 4), 64, 0.05)
    return _against(
        config, "LSTM classifier, B 64, T 64, D 32, H 128", task,
        lambda: fitted(task, _learner(_lstm_model(), task)),
        lambda: peers.torch_lstm(32, 128, 2), peers.linen_lstm(128, 2),
    )  # fmt: skip


def _lstm_population(config: Config) -> list[Row]:
    """4 rates x 2 folds of the LSTM classifier."""
    import numpy as np

    x, y = sequences(640, 64, 32)
    task = peers.Task(x, y, 2, scaled(config, 4), 64, 0.0, adam=True)
    return _study(
        config, "8 LSTM classifiers (4 rates x 2 folds)", task, _lstm_model,
        np.logspace(-3.5, -2, 4), stratified(y, 2), lambda: peers.torch_lstm(32, 128, 2),
    )  # fmt: skip


TOKENS, LENGTH, WIDTH, HEADS, LAYERS = 96, 128, 128, 4, 4


def transformer_config():
    """The language model of the blocks transformer and decoding."""
    from jaxdl import models

    return models.TransformerConfig(
        TOKENS, features=WIDTH, num_heads=HEADS, num_layers=LAYERS, norm_position="pre",
        tied=False, embedding_scale=False,
    )  # fmt: skip


def windows(rows: int):
    """Windows [N, T + 1] of characters of the text that ships with Python."""
    from pydoc_data import topics

    import numpy as np

    text = "".join(topics.topics.values()).encode("ascii", "ignore")
    codes = np.frombuffer(text, np.uint8)[: rows * (LENGTH + 1)].astype(np.int32)
    return np.clip(codes - 31, 0, TOKENS - 1).reshape(rows, LENGTH + 1)


def _transformer(config: Config) -> list[Row]:
    """A language model of 4 layers, width 128 and 4 heads over 128 tokens, by Adam."""
    import optax

    from jaxdl import models, training

    both = windows(64)
    task = peers.Task(both[:, :-1], both[:, 1:], TOKENS, scaled(config, 3), 16, 1e-3, adam=True)

    def ours():
        model = models.language_model(transformer_config())
        objective = training.next_token_nll(model, TOKENS)
        learner = training.gradient_learner(model, objective, optax.adam(task.rate))
        return fitted(task, learner, both)

    sizes = (TOKENS, LENGTH, WIDTH, HEADS, LAYERS)
    return _against(
        config, "transformer language model, 4 layers, d 128, 4 heads, T 128, B 16", task, ours,
        lambda: peers.torch_language_model(*sizes), peers.linen_language_model(*sizes),
    )  # fmt: skip


def _decoding(config: Config) -> list[Row]:
    """256 tokens of that language model, greedily: cached, computed anew, and by PyTorch."""
    from experiments.benchmarks import decoding

    return decoding.rows(transformer_config(), max(8, scaled(config, 256)), config.repeats)


def _chunked_attention(config: Config) -> list[Row]:
    """Loss and gradient of attention over T = 8192 positions: the memory that it takes."""
    import jax
    import jax.numpy as jnp

    from jaxdl import layers, programs

    length = max(256, scaled(config, 8192))
    q = jax.ShapeDtypeStruct((1, length, 1, 64), jnp.float32)
    rows = []
    for way in ("chunked", "plain"):

        def loss(q, k, v, way=way):
            out = layers.dot_product_attention(q, k, v, causal=True, implementation=way)
            return jnp.sum(out**2)

        program = jax.jit(
            jax.grad(loss, argnums=(0, 1, 2)), compiler_options=programs.compiler_options()
        )
        compiling, program = timed(lambda p=program: p.lower(q, q, q).compile(), 1)
        inputs = jax.random.normal(jax.random.key(0), (3, *q.shape))
        run, _ = timed(lambda p=program, i=inputs: jax.block_until_ready(p(*i)), config.repeats)
        memory = program.memory_analysis()
        peak = (memory.temp_size_in_bytes + memory.output_size_in_bytes) / 2**20
        block = f"attention and its gradients, T {length}, one head of 64"
        rows.append(Row(block, way, run, compiling, run + compiling, f"{peak:.0f} MiB"))
    return rows


if __name__ == "__main__":
    command("benchmarks.sequences", Config, on_all_cores(check, main), keeps=False)
