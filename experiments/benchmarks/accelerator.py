"""What a GPU or TPU makes of the library: ``python -m experiments.benchmarks.accelerator``.

All rows that need one, on the first device, in ten minutes: a Markdown table with the card's name,
seconds, the arithmetic or traffic per second that the work needs at least, and its share of the card's
peak, printed and written with a JSON file. Operations are counted by hand, from shapes; what is
computed anew, evaluated or copied on the way counts as none. On a CPU a tiny size runs instead, so
that one sees that the rows do.
"""

import dataclasses
import itertools
import json
import re
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from experiments.benchmarks.timing import check_blocks, machine, timed
from experiments.command import command, written_whole

# By the name that JAX gives the device: operations/s of dense products in bfloat16 and float32 (as
# XLA computes it there by default, on NVIDIA's from Ampere on in TensorFloat-32), bytes/s of memory.
# Source: the makers' data sheets, without sparsity.
PEAKS = {
    "H200": (989e12, 494e12, 4.8e12),
    "H100": (989e12, 494e12, 3.35e12),
    "A100-SXM4-80GB": (312e12, 156e12, 2.04e12),
    "A100": (312e12, 156e12, 1.55e12),
    "L4": (121e12, 60e12, 0.3e12),
    "TPU v4": (275e12, None, 1.23e12),
    "TPU v5 lite": (197e12, None, 0.82e12),
    "TPU v5": (459e12, None, 2.77e12),
    "TPU v6 lite": (918e12, None, 1.64e12),
}


class Size(NamedTuple):
    """How large the work is: on an accelerator, and for the self-check on a CPU."""

    product: int
    copy: int
    members: int
    epochs: int
    images: int
    layers: int
    width: int
    length: int
    tokens: int
    attended: int


LARGE = Size(8192, 2**28, 1000, 40, 8192, 8, 512, 512, 256, 16384)
TINY = Size(64, 2**10, 4, 1, 64, 1, 8, 16, 4, 128)


class Measured(NamedTuple):
    """One row: seconds of the work, the operations and bytes that it needs, and that it was done."""

    work: str
    numbers: str
    seconds: float
    operations: float
    bytes: float
    said: str


BLOCKS = ("product", "copy", "population", "cnn", "language_model", "decoding", "attention")


@dataclasses.dataclass(frozen=True)
class Config:
    """Measure the first GPU or TPU in ten minutes; on a CPU, see that it would run."""

    only: tuple[str, ...] = BLOCKS
    """Blocks to run, of product, copy, population, cnn, language_model, decoding, attention."""
    seconds: float = 600.0
    """No block begins later; what was left out is said."""
    repeats: int = 3
    """Timed runs of each row, the first, which compiles, apart; the least counts."""
    out: str = "runs/benchmarks"
    """The folder to write to."""


def check(config: Config) -> None:
    """Raise a ValueError for unknown blocks and numbers that make no sense."""
    check_blocks(config, BLOCKS)
    if not config.seconds > 0:
        raise ValueError(f"seconds must be above 0, not {config.seconds:g}")


def main(config: Config) -> list[Measured]:
    """Run the blocks, print the table and write ``accelerator.{md,json}``."""
    check(config)
    import jax

    device = jax.devices()[0]
    size = TINY if device.platform == "cpu" else LARGE
    if size is TINY:
        print("no GPU or TPU here: a tiny size on the CPU, to see that the rows run")
    blocks: dict[str, Callable[[Config, Size], Iterator[Measured]]] = {
        "product": _product, "copy": _copy, "population": _population, "cnn": _cnn,
        "language_model": _language_model, "decoding": _decoding, "attention": _attention,
    }  # fmt: skip
    began, rows, late = time.perf_counter(), [], []
    with written_whole(config.out) as folder:
        for block in config.only:
            if time.perf_counter() - began > config.seconds:
                late.append(block)
                continue
            print(f"{block} ...", flush=True)
            rows += blocks[block](config, size)
        text = table(rows, device.device_kind)
        if late:
            text += f"\nNot run, for {config.seconds:g} s were over: {', '.join(late)}.\n"
        print(text)
        (folder / "accelerator.md").write_text(text)
        about = {"machine": machine(), "card": device.device_kind, "late": late}
        rows_json = [row._asdict() for row in rows]
        (folder / "accelerator.json").write_text(json.dumps({**about, "rows": rows_json}, indent=1))
    return rows


def peak(card: str) -> tuple[float | None, float | None, float | None]:
    """The card's operations/s in bfloat16 and float32, and bytes/s; None where nothing is known.

    >>> peak("NVIDIA H100 80GB HBM3")[2], peak("NVIDIA L40S")
    (3350000000000.0, (None, None, None))
    """
    names = [name for name in PEAKS if re.search(rf"\b{name}\b", card)]
    return PEAKS[max(names, key=len)] if names else (None, None, None)


def table(rows: list[Measured], card: str) -> str:
    """Markdown; a rate is of operations where there are some, else of bytes."""
    by_numbers = dict(zip(("bfloat16", "float32", "bytes"), peak(card), strict=True))
    lines = [
        f"| {card} | numbers | seconds | rate | share of its peak | |",
        "|---|---|---:|---:|---:|---|",
    ]
    for row in rows:
        rate, unit, most = row.operations / row.seconds, "TFLOP/s", by_numbers[row.numbers]
        if not row.operations:
            rate, unit, most = row.bytes / row.seconds, "TB/s", by_numbers["bytes"]
        share = f"{rate / most:.1%}" if most and rate else "unknown" if rate else ""
        shown = f"{rate / 1e12:.4g} {unit}" if rate else ""
        lines.append(
            f"| {row.work} | {row.numbers} | {row.seconds:.3g} | {shown} | {share} | {row.said} |"
        )
    return "\n".join(lines) + "\n"


def dense_operations(sizes, rows: int) -> int:
    """A training step's products: two operations a weight and row, forward and for both gradients.

    No gradient is taken with respect to the inputs.

    >>> dense_operations((3, 4, 2), 10)  # 2 * 10 * (3 * (12 + 8) - 12)
    960
    """
    weights = [a * b for a, b in itertools.pairwise(sizes)]
    return 2 * rows * (3 * sum(weights) - weights[0])


def transformer_operations(layers: int, width: int, length: int, tokens: int, rows: int) -> int:
    """A training step's products of a language model with hidden layers of 4 times its width.

    Each layer has ``12 d^2`` weights and looks from each of T positions at half of them on average
    (causally), ``2 d T / 2`` products for scores and as many for sums; then ``d V`` of the head.

    >>> transformer_operations(1, 2, 4, 5, 1)  # 3 * 2 * 4 * (48 + 8 + 10)
    1584
    """
    each = layers * (12 * width**2 + width * length) + width * tokens
    return 3 * 2 * rows * length * each


def _ready(fn, repeats: int):
    """The least seconds of a function's runs behind its first, and what it gave."""
    import jax

    once = lambda: jax.block_until_ready(fn())
    once()
    return timed(once, repeats)


def _product(config: Config, size: Size) -> Iterator[Measured]:
    """Ten products [n, n] one after another."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    n, times = size.product, 10
    multiply = jax.jit(lambda x, w: jax.lax.fori_loop(0, times, lambda _, x: x @ w, x))
    for numbers in ("float32", "bfloat16"):
        x, w = jax.random.normal(jax.random.key(0), (2, n, n)).astype(numbers)
        w = (w / np.sqrt(n)).astype(numbers)  # so that products stay as large as x
        seconds, _ = _ready(lambda x=x, w=w: multiply(x, w), config.repeats)
        exact = np.asarray(x[0].astype(jnp.float32), np.float64) @ np.asarray(
            w.astype(jnp.float32), np.float64
        )
        error = np.abs(np.asarray((x @ w)[0].astype(jnp.float32)) - exact).max() / exact.std()
        said = f"greatest error {error:.1e} of the deviation"
        yield Measured(
            f"product of {n} x {n}", numbers, seconds / times, 2 * n**3, 3 * n * n * 4, said
        )


def _copy(config: Config, size: Size) -> Iterator[Measured]:
    """One array through the memory, read and written."""
    import jax
    import jax.numpy as jnp

    add = jax.jit(lambda x: x + 1)
    x = jnp.zeros(size.copy, jnp.float32)
    seconds, out = _ready(lambda: add(x), config.repeats)
    said = f"all right: {bool((out == 1).all())}"
    yield Measured(f"{size.copy:,} numbers plus 1", "float32", seconds, 0, 8 * size.copy, said)


def _population(config: Config, size: Size) -> Iterator[Measured]:
    """A study of MLPs on digits: as it runs here by default, all at once, and one by one."""
    import jax
    import numpy as np
    import optax

    from experiments.benchmarks.timing import digits
    from jaxdl import families, models, training
    from jaxdl.model_selection import Execution, cross_validate

    x, y = digits()
    sizes, batch_size, folds = (64, 100, 10), 200, 5

    def make_learner(h):
        net = models.mlp(sizes)
        objective = training.negative_log_likelihood(net, families.categorical(10), h["l2"])
        return training.gradient_learner(net, objective, optax.adam(h["rate"]))

    rates = np.logspace(-3.5, -1.5, max(size.members // folds, 1)).tolist()
    grid = [{"rate": rate, "l2": 1e-4} for rate in rates]
    rows = len(y) * (folds - 1) // folds
    members = folds * len(grid)
    work = members * size.epochs * dense_operations(sizes, rows)
    for strategy in ("auto", "vmap", "map"):
        train = lambda strategy=strategy: cross_validate(
            make_learner, grid, (x, y), key=jax.random.key(0), folds=folds, epochs=size.epochs,
            batch_size=batch_size, evaluate_every=size.epochs, execution=Execution(strategy),
        )  # fmt: skip
        train()
        studies = [train() for _ in range(config.repeats)]
        seconds, study = min((s.run_seconds, i) for i, s in enumerate(studies))[0], studies[0]
        said = f"{study.strategy}; best accuracy {study.best('accuracy').mean:.3f}"
        yield Measured(f"{members} MLPs 64-100-10 ({strategy})", "float32", seconds, work, 0, said)


def _trained(config: Config, learner, data, epochs: int, batch_size: int):
    """Seconds of ``fit``, and its loss at the first and the last epoch."""
    import jax

    from jaxdl import training

    seconds, result = _ready(
        lambda: training.fit(
            learner, data, key=jax.random.key(0), epochs=epochs, batch_size=batch_size
        ),
        config.repeats,
    )
    loss = result.history.loss
    return seconds, f"loss {float(loss[0]):.3g} to {float(loss[-1]):.3g}"


def _precisions(model):
    from jaxdl import training

    return {"float32": model, "bfloat16": training.mixed_precision(model)}


def _cnn(config: Config, size: Size) -> Iterator[Measured]:
    """A CNN of 32 and 64 filters on digits enlarged to 28 x 28."""
    import numpy as np
    import optax

    from experiments.benchmarks.sequences import images
    from jaxdl import families, models, training

    x, y = images(28)
    rows = np.arange(size.images) % len(y)
    filters, epochs, batch_size = (32, 64), max(size.epochs // 8, 2), min(512, size.images)
    # Each output of a convolution is a dense layer's, of its patch; the second has pooled inputs.
    images_seen = epochs * size.images
    first, second = 28 * 28 * 9 * 32, 14 * 14 * 9 * 32 * 64
    work = 2 * images_seen * (2 * first + 3 * second + 3 * 7 * 7 * 64 * 10)
    for numbers, model in _precisions(
        models.cnn((28, 28, 1), 10, filters=filters, hidden=())
    ).items():
        objective = training.negative_log_likelihood(model, families.categorical(10))
        learner = training.gradient_learner(model, objective, optax.adam(1e-3))
        seconds, said = _trained(config, learner, (x[rows], y[rows]), epochs, batch_size)
        yield Measured(f"{epochs} epochs of a CNN", numbers, seconds, work, 0, said)


def _transformer(size: Size):
    from jaxdl import models

    return models.TransformerConfig(
        256, features=size.width, num_heads=max(size.width // 64, 1), num_layers=size.layers,
        norm_position="pre", tied=False, embedding_scale=False,
    )  # fmt: skip


def _language_model(config: Config, size: Size) -> Iterator[Measured]:
    """A transformer that learns to count: windows of 0, ..., 255 and again from there."""
    import numpy as np
    import optax

    from jaxdl import models, training

    rows, batch_size, epochs = 256 if size is LARGE else 4, 32 if size is LARGE else 2, 2
    starts = np.random.default_rng(0).integers(0, 256, (rows, 1))
    windows = ((starts + np.arange(size.length + 1)) % 256).astype(np.int32)
    work = epochs * transformer_operations(size.layers, size.width, size.length, 256, rows)
    name = f"{epochs} epochs of a language model, {size.layers} layers, d {size.width}"
    for numbers, model in _precisions(models.language_model(_transformer(size))).items():
        objective = training.next_token_nll(model, 256)
        learner = training.gradient_learner(model, objective, optax.adam(3e-4))
        seconds, said = _trained(config, learner, windows, epochs, batch_size)
        tokens = epochs * rows * size.length / seconds
        yield Measured(name, numbers, seconds, work, 0, f"{tokens:,.0f} tokens/s, {said}")


def _decoding(config: Config, size: Size) -> Iterator[Measured]:
    """What that language model says, the most probable token each time; bound by its memory."""
    import jax

    from jaxdl import generation, models

    about = _transformer(size)
    params, state = models.language_model(about).init(jax.random.key(0))
    read = 4 * sum(leaf.size for leaf in jax.tree.leaves(params)) * size.tokens
    decoder = models.language_model_decoder(about)
    for rows in (1, 64):
        generate = lambda rows=rows: generation.greedy(
            decoder, params, state, rows=rows, bos_id=1, eos_id=None, pad_id=0,
            max_length=size.tokens,
        ).tokens.values  # fmt: skip
        seconds, said = _ready(generate, config.repeats)
        tokens = f"{rows * size.tokens / seconds:,.0f} tokens/s, all rows alike: "
        alike = bool((said == said[:1]).all())
        work = f"{size.tokens} tokens in {rows} rows"
        yield Measured(work, "float32", seconds, 0, read, f"{tokens}{alike}")


def _attention(config: Config, size: Size) -> Iterator[Measured]:
    """Loss and gradients of causal attention over many positions, in chunks: 8 heads of 64."""
    import jax
    import jax.numpy as jnp

    from jaxdl import layers

    T, heads, width = size.attended, 8, 64
    q = jax.random.normal(jax.random.key(0), (1, T, heads, width))

    def loss(q, way):
        return jnp.sum(layers.dot_product_attention(q, q, q, causal=True, implementation=way) ** 2)

    slope = jax.jit(jax.grad(loss), static_argnums=1)
    seconds, out = _ready(lambda: slope(q, "chunked"), config.repeats)
    # A look at half of the positions: scores and sums forward, twice that for their gradients.
    work = 3 * 2 * 2 * heads * width * T * T // 2
    short = q[:, : min(T, 512)]
    one, other = slope(short, "chunked"), slope(short, "plain")
    error = float(jnp.abs(one - other).max() / jnp.abs(other).max())
    said = f"finite: {bool(jnp.isfinite(out).all())}; over 512, {error:.0e} from plain"
    yield Measured(f"attention over {T} and its gradients", "float32", seconds, work, 0, said)


if __name__ == "__main__":
    command("benchmarks.accelerator", Config, main, keeps=False)
