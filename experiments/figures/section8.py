"""The transformer, drawn from its own parameters, and the positions that it adds. Notes: §8.3."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from experiments.figures.claims import canvas, claim
from jaxdl import layers, models

PICTURED = models.vaswani_base()
TINY = PICTURED._replace(num_tokens=11, features=8, hidden=16, num_heads=2, num_layers=2,
                         encoder_layers=2, shared=False, dropout=0.0)  # fmt: skip
POSITIONS, WIDTH = 50, 128
TITLES = {
    "attention": "Self-attention", "source_attention": "Attention to the source",
    "ffn": "Position-wise network",
}  # fmt: skip
COLORS = {"embed": "#f3d9dc", "attend": "#fbe3c0", "ffn": "#cfe5f3", "norm": "#eef2c3",
          "linear": "#dcdcf0", "softmax": "#cfead3"}  # fmt: skip
BOX_WIDTH, GAP = 4.4, 0.32


class Box(NamedTuple):
    """A part of the network, with the shapes of its parameters; ``skip`` is where one begins."""

    title: str
    shapes: tuple[str, ...]
    kind: str
    size: int
    skip: bool = False


class Column(NamedTuple):
    """What is done to one sequence: below the stack, in each of its layers, and above it."""

    below: list[Box]
    stack: list[Box]
    number: int
    above: list[Box]


def columns(config) -> tuple[Column, Column]:
    """Encoder and decoder as boxes, from the summary of a post-LN model of this config."""
    leaves = summary(config).params
    named = {leaf.path: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves}
    shapes = traverse_util.unflatten_dict(named, sep="/")
    target = _box("Embedding of targets, + positions", shapes["embedding"]["tokens"], "embed")
    own = shapes.get("source_embedding")
    source = target if own is None else _box("", own["tokens"], "embed")
    source = source._replace(title="Embedding of the source, + positions")
    if own is None:
        source = source._replace(shapes=(f"{source.shapes[0]}, shared with the targets",), size=0)
    if "output" in shapes:
        linear = _box("Linear", shapes["output"], "linear")
    else:
        tied = shapes["embedding"]["tokens"]["embedding"].shape[::-1]
        linear = Box("Linear", (f"{list(tied)}, the embedding transposed",), "linear", 0)
    softmax = Box("Softmax", (), "softmax", 0)
    encoder = Column([source], *_stack(shapes["encoder"]), [])
    return encoder, Column([target], *_stack(shapes["decoder"]), [linear, softmax])


def summary(config):
    """The model's own summary, for one pair of sequences."""
    tokens = jax.ShapeDtypeStruct((1, 8), int)
    return models.summary(models.transformer(config), {"source": tokens, "inputs": tokens})


def _stack(params):
    """The boxes of one layer, and how many layers there are."""
    layer = params["layer_0"]
    parts = [name for name in ("attention", "source_attention", "ffn") if name in layer]
    boxes = []
    for i, name in enumerate(parts):
        kind = "ffn" if name == "ffn" else "attend"
        box = _box(TITLES[name], layer[name], kind)._replace(skip=True)
        if name == "attention" and "source_attention" in layer:
            box = box._replace(title="Causal self-attention")
        boxes.append(box)
        boxes.append(_box("Add, layer norm", layer[f"norm_{i}"], "norm"))
    return boxes, len(params)


def _box(title, params, kind):
    """A box with a line for the parts that are of one shape, ``key, query [D, h, k]``."""
    parts = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        *part, name = (p.key for p in path)
        part, name = (part[0], name) if part else (name, "kernel")
        shape = str(list(leaf.shape))
        parts.setdefault(part, {})[name] = shape if name == "kernel" else f"{name} {shape}"
    lines = {}
    for part, shapes in parts.items():
        text = ", ".join(shapes[name] for name in sorted(shapes, key=lambda n: n != "kernel"))
        lines.setdefault(text, []).append("" if part in ("embedding", "kernel") else part)
    shapes = tuple(f"{', '.join(names)} {text}".strip() for text, names in lines.items())
    size = sum(leaf.size for leaf in jax.tree.leaves(params))
    return Box(title, shapes, kind, size)


def number_of_parameters(encoder: Column, decoder: Column) -> int:
    """The parameters that the boxes account for, each layer of the stacks counted."""
    total = lambda boxes: sum(box.size for box in boxes)
    return sum(
        total(c.below) + c.number * total(c.stack) + total(c.above) for c in (encoder, decoder)
    )


def box_by_box(config, params, source, inputs):
    """The probabilities [N, T, V] as the arrows say: one box after the other."""

    def embed(table, tokens):
        words = layers.embedding(table["tokens"], tokens) * jnp.sqrt(config.features)
        return words + layers.sinusoidal_positions(tokens.shape[1], config.features)

    norm = lambda params, skip, x: layers.layer_norm(params, skip + x, epsilon=config.epsilon)
    x = embed(params.get("source_embedding", params["embedding"]), source)
    for i in range(config.encoder_layers):
        layer = params["encoder"][f"layer_{i}"]
        x = norm(layer["norm_0"], x, layers.multi_head_attention(layer["attention"], x))
        x = norm(layer["norm_1"], x, layers.position_wise_ffn(layer["ffn"], x))
    y = embed(params["embedding"], inputs)
    for i in range(config.num_layers):
        layer = params["decoder"][f"layer_{i}"]
        y = norm(
            layer["norm_0"], y, layers.multi_head_attention(layer["attention"], y, causal=True)
        )
        y = norm(layer["norm_1"], y, layers.multi_head_attention(layer["source_attention"], y, x))
        y = norm(layer["norm_2"], y, layers.position_wise_ffn(layer["ffn"], y))
    kernel = params["embedding"]["tokens"]["embedding"].T
    return jax.nn.softmax(y @ kernel, axis=-1)


def architecture(key):
    """The transformer's architecture, with the shapes of its parameters."""
    encoder, decoder = columns(PICTURED)
    figure, (axes,) = canvas(size=(9.6, 8.6))
    _draw(axes, encoder, decoder, PICTURED)

    keys = jax.random.split(key, 3)
    model = models.transformer(TINY)
    params, state = model.init(keys[0])
    source = jax.random.randint(keys[1], (2, 5), 0, TINY.num_tokens)
    inputs = jax.random.randint(keys[2], (2, 4), 0, TINY.num_tokens)

    def apply(source, inputs):
        return jax.nn.softmax(
            model.apply(params, state, {"source": source, "inputs": inputs})[0], axis=-1
        )

    p = apply(source, inputs)
    apart = float(jnp.abs(p - box_by_box(TINY, params, source, inputs)).max())
    later = inputs.at[:, 2:].set((inputs[:, 2:] + 1) % TINY.num_tokens)
    change = np.abs(apply(source, later) - p).max(axis=(0, 2))
    other = np.abs(apply((source + 1) % TINY.num_tokens, inputs) - p).max(axis=(0, 2))
    counted = summary(PICTURED).size
    sums = p.sum(-1)
    return figure, [
        claim("the boxes, applied along the arrows, are the model", apart < 1e-10,
              largest_difference=apart),
        claim("the boxes hold every parameter, once",
              number_of_parameters(encoder, decoder) == counted == 63_045_632,
              in_boxes=number_of_parameters(encoder, decoder), in_the_model=counted),
        claim("it ends in a linear map to the vocabulary and a softmax: probabilities",
              np.allclose(sums, 1) and [b.title for b in decoder.above] == ["Linear", "Softmax"],
              shape=p.shape, least_sum=sums.min(), largest_sum=sums.max()),
        claim("a target depends on the inputs before it and on all of the source, "
              "and on no input behind it",
              change[:2].max() == 0 and change[2:].min() > 1e-6 and other.min() > 1e-6,
              change_with_later_inputs=change, change_with_the_source=other),
    ]  # fmt: skip


def _draw(axes, encoder, decoder, config):
    left, right = 0.0, 7.0
    tops = [_draw_column(axes, x, column) for x, column in ((left, encoder), (right, decoder))]
    stacks = [top["stack"] for top in tops]
    # The encoder's last layer goes to each decoder layer, over the gap between the columns.
    x_from, x_to = left + BOX_WIDTH / 2, right - BOX_WIDTH / 2
    y_from, y_to = stacks[0][1], tops[1]["source"]
    middle = (left + right) / 2
    axes.plot([left, left, middle, middle], [y_from, y_from + 0.75, y_from + 0.75, y_to],
              color="0.25", lw=1.2)  # fmt: skip
    axes.annotate("", (x_to, y_to), (middle, y_to), arrowprops=_ARROW)
    axes.text((x_from + middle) / 2 - 0.9, y_from + 0.85, f"source, encoded [S, {config.features}]",
              ha="center", va="bottom", fontsize=8)  # fmt: skip
    for x, text in ((left, "source tokens [S]"), (right, "BOS and the targets before [T]")):
        axes.text(x, -0.62, text, ha="center", va="top", fontsize=9)
    axes.text(right, tops[1]["end"] + 0.42, f"probabilities [T, {config.num_tokens}]",
              ha="center", va="bottom", fontsize=9)  # fmt: skip
    axes.set(xlim=(-3.5, 10.7), ylim=(-1.2, tops[1]["end"] + 1.0), aspect="equal")
    axes.axis("off")


_ARROW = {"arrowstyle": "-|>", "color": "0.25", "lw": 1.2, "shrinkA": 0, "shrinkB": 0}


def _draw_column(axes, x, column):
    """Draw one column upwards; returns the heights that arrows between columns need."""
    from matplotlib.patches import FancyBboxPatch

    y, heights = 0.0, {}
    axes.annotate("", (x, 0), (x, -0.55), arrowprops=_ARROW)
    for part in ("below", "stack", "above"):
        boxes = getattr(column, part)
        if not boxes:
            continue
        if part == "stack":
            axes.plot([x, x], [y - GAP, y + 0.3], color="0.25", lw=1.2, zorder=2)
            y += 0.3 + GAP
            axes.annotate("", (x, y), (x, y - GAP), arrowprops=_ARROW, zorder=2)
        bottom = y
        for box in boxes:
            high = 0.42 + 0.27 * len(box.shapes)
            if box.skip:
                skip_from = y - GAP * 0.6
                if "source" in box.title:
                    heights["source"] = y + high / 2
            axes.add_patch(FancyBboxPatch(
                (x - BOX_WIDTH / 2, y), BOX_WIDTH, high, boxstyle="round,pad=0,rounding_size=0.1",
                fc=COLORS[box.kind], ec="0.3", lw=0.9, zorder=3,
            ))  # fmt: skip
            axes.text(x, y + high - 0.21, box.title, ha="center", va="center", fontsize=9,
                      weight="bold", zorder=4)  # fmt: skip
            for i, line in enumerate(box.shapes):
                axes.text(x, y + high - 0.5 - 0.27 * i, line, ha="center", va="center",
                          fontsize=7.5, zorder=4)  # fmt: skip
            if box.kind == "norm":  # the skip connection ends here
                out = x - BOX_WIDTH / 2 - 0.32
                into = y + high / 2
                axes.plot([x, out, out], [skip_from, skip_from, into], color="0.25", lw=1.2)
                axes.annotate("", (x - BOX_WIDTH / 2, into), (out, into), arrowprops=_ARROW)
            y += high
            last = part != "above" and box is boxes[-1]
            arrow = {**_ARROW, "arrowstyle": "-"} if last else _ARROW
            axes.annotate("", (x, y + GAP), (x, y), arrowprops=arrow, zorder=2)
            y += GAP
        if part == "stack":
            frame = 0.55
            axes.add_patch(FancyBboxPatch(
                (x - BOX_WIDTH / 2 - frame, bottom - 0.36), BOX_WIDTH + 2 * frame - 0.25,
                y - GAP - bottom + 0.52, boxstyle="round,pad=0,rounding_size=0.2", fc="0.955",
                ec="0.6", lw=1, zorder=0,
            ))  # fmt: skip
            axes.text(x - BOX_WIDTH / 2 - frame - 0.12, (bottom + y) / 2, f"{column.number} ×",
                      ha="right", va="center", fontsize=13)  # fmt: skip
            heights["stack"] = (bottom, y - GAP)
            if column.above:
                y += 0.2
                axes.annotate("", (x, y), (x, y - 0.35), arrowprops=_ARROW, zorder=2)
    heights["end"] = y - GAP
    return heights


def positions(key):
    """Sinusoidal positions: each row a position, and how alike two of them are."""
    table = np.asarray(layers.sinusoidal_positions(POSITIONS, WIDTH))
    alike = table @ table.T / (WIDTH / 2)
    figure, (left, right) = canvas(1, 2, size=(5.6, 4.0), width_ratios=(1.35, 1))
    image = left.imshow(table, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto", origin="lower")
    left.set(xlabel="dimension", ylabel="position t", title="the table P")
    figure.colorbar(image, ax=left, label="value", pad=0.02)
    shades = right.imshow(alike, cmap="viridis", origin="lower")
    right.set(xlabel="position", ylabel="position", title=r"$p_s \cdot p_t$, of two rows")
    figure.colorbar(shades, ax=right, label="cosine", pad=0.03, shrink=0.85)

    changes = np.sum(np.diff(np.sign(table[:, ::2] + 1e-12), axis=0) != 0, axis=0)
    waves = 2 * np.pi * 10_000 ** (2 * np.arange(WIDTH // 2) / WIDTH)
    shift = 7
    angle = shift * 2 * np.pi / waves
    sin, cos = table[:-shift, ::2], table[:-shift, 1::2]
    turned = np.stack([sin * np.cos(angle) + cos * np.sin(angle),
                       cos * np.cos(angle) - sin * np.sin(angle)], -1)  # fmt: skip
    apart = np.abs(turned.reshape(len(turned), -1) - table[shift:]).max()
    norms = np.sum(table**2, axis=1)
    bands = [np.diagonal(alike, k) for k in range(POSITIONS)]
    spread = max(np.ptp(band) for band in bands)
    many = np.asarray(layers.sinusoidal_positions(5000, WIDTH))
    nearest = np.linalg.norm(np.diff(many, axis=0), axis=1).min()
    return figure, [
        claim("all values lie in [-1, 1]", np.abs(table).max() <= 1,
              least=table.min(), largest=table.max()),
        claim("low dimensions oscillate fast, high ones hardly: sines change sign as often as "
              "their wavelengths say",
              np.all(np.diff(changes) <= 1) and np.abs(changes - 2 * (POSITIONS - 1) / waves).max() <= 1.5
              and changes[0] > 10 and changes[-1] == 0,
              sign_changes=changes[::8], wavelengths=waves[::8]),
        claim("the first row is 0, 1, 0, 1, ..., and every row's square norm is half the width",
              np.array_equal(table[0, :4], [0, 1, 0, 1]) and np.allclose(norms, WIDTH / 2),
              first_row=table[0, :4], norms=(norms.min(), norms.max())),
        claim("seven positions on, a row is the same row turned", apart < 1e-10,
              largest_difference=apart),
        claim("how alike two rows are depends on their distance alone, and is greatest at 0",
              spread < 1e-10 and np.argmax([band[0] for band in bands]) == 0,
              largest_spread=spread, at_distance_1=bands[1][0], at_distance_20=bands[20][0]),
        claim("5000 rows, and no two neighbours alike", nearest > 0.1, least_distance=nearest),
    ]  # fmt: skip


FIGURES: dict = {16: architecture, 17: positions}
