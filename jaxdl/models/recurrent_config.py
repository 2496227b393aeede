"""What a recurrent network is built from, and the layers that all of them share. Notes: §7.1."""

from collections.abc import Callable
from typing import NamedTuple

import jax

from jaxdl import layers
from jaxdl.base import Array, Key, Params, Sequences
from jaxdl.checks import one_of, positive_int

CELLS: dict[str, Callable] = {
    "simple": layers.simple_cell,
    "lstm": layers.lstm_cell,
    "gru": layers.gru_cell,
}


class RecurrentConfig(NamedTuple):
    """The sizes and choices of recurrent networks; ``dropout`` may be traced. Notes: §7.1."""

    num_tokens: int | None  # V, of what is read; None where vectors [N, T, D] are
    features: int = 32  # D, of the embeddings or of the vectors
    hidden: int = 64  # H
    cell: str = "lstm"  # or "simple", "gru"
    num_layers: int = 1
    bidirectional: bool = False
    dropout: float | Array = 0.0  # of what is read, between layers, and of the last one's output
    trainable: bool = True  # whether embeddings learn (E-45)
    initial: str = "zeros"  # h_0; or "ones", "learned" (E-46)


def checked(config: RecurrentConfig) -> RecurrentConfig:
    """The config. Raises a ValueError for sizes under 1 and unknown names."""
    if config.num_tokens is not None:
        positive_int("num_tokens", config.num_tokens)
    for name in ("features", "hidden", "num_layers"):
        positive_int(name, getattr(config, name))
    one_of("cell", config.cell, CELLS)
    return config


def make_cells(config: RecurrentConfig, d_in: int | None = None) -> list[layers.Layer]:
    """The config's layers, of which the first reads width ``d_in``, by default D."""
    widths = [config.features if d_in is None else d_in]
    widths += [output_width(config)] * (config.num_layers - 1)
    make = lambda width: CELLS[config.cell](width, config.hidden, initial=config.initial)
    pair = lambda width: (make(width), make(width))
    return [pair(width) if config.bidirectional else make(width) for width in widths]


def output_width(config: RecurrentConfig) -> int:
    """Of a layer's outputs: H, or 2H in both directions."""
    return config.hidden * (2 if config.bidirectional else 1)


def read_init(key: Key, config: RecurrentConfig) -> Params:
    """``{"embedding": {"embedding" [V, D]}}``, or ``{}`` where vectors are read."""
    if config.num_tokens is None:
        return {}
    return {"embedding": layers.embedding_init(key, config.num_tokens, config.features)}


def read(
    config: RecurrentConfig, params: Params, x: Array | Sequences, key: Key | None, train: bool
) -> Array | Sequences:
    """Tokens [N, T] as their embeddings [N, T, D], vectors as they are; dropped out in training."""
    values = x.filled() if isinstance(x, Sequences) else x
    if config.num_tokens is not None:
        if values.ndim != 2:
            raise ValueError(f"tokens are [N, T], not {list(values.shape)}")
        values = layers.embedding(params["embedding"], values, trainable=config.trainable)
    values = layers.dropout(values, config.dropout, key=key, train=train)
    return x._replace(values=values) if isinstance(x, Sequences) else values


def split(key: Key | None, number: int) -> list[Key | None]:
    """So many keys, or Nones for None."""
    return [None] * number if key is None else list(jax.random.split(key, number))
