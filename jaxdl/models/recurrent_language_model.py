"""One to many: a recurrent language model, of its own or told what to speak of. Notes: §7.2."""

from typing import cast

import jax
import jax.numpy as jnp

from jaxdl import layers
from jaxdl.base import Cell, Decoder, Model, Sequences, stateless
from jaxdl.checks import filled_in
from jaxdl.models.recurrent_config import (
    RecurrentConfig,
    checked,
    make_cells,
    output_width,
    read,
    read_init,
    split,
)


def recurrent_language_model(config: RecurrentConfig, *, context: int | None = None) -> Model:
    """``p(y_1, ..., y_T | x) = prod_t p(y_t | y_1, ..., y_{t-1}, x)`` by a recurrent network.

    eta [N, T, V] at t are the logits of the token behind position t. Without ``context`` what is
    read is tokens [N, T], or Sequences of them; train it with ``training.next_token_nll``. With one
    it is ``{"source" x [N, C], "inputs": Sequences}``, the inputs behind a BOS (D-68), for
    ``training.sequence_nll``; x gives each layer's first state, ``tanh(W'x + b)``. Params are
    ``"embedding"``, ``"recurrent"``, ``"head"``, and ``"context"``.

    Raises ValueError for a config that is bidirectional or reads vectors.
    Notes: L985, Eq. (32), §7.2.

    >>> model = recurrent_language_model(RecurrentConfig(5, features=3, hidden=4))
    >>> params, state = model.init(jax.random.key(0))
    >>> model.apply(params, state, jnp.array([[1, 2, 3]]))[0].shape
    (1, 3, 5)
    """
    cells = _cells(config)

    def init(key):
        keys = jax.random.split(key, 4)
        params = {
            **read_init(keys[0], config),
            "recurrent": layers.stacked_init(keys[1], cells),
            "head": layers.dense_init(keys[2], output_width(config), filled_in(config.num_tokens)),
        }
        if context is None:
            return params
        width = sum(c.shape[-1] for cell in cells for c in cell.carry((1,)))
        return {**params, "context": layers.dense_init(keys[3], context, width)}

    def apply(params, x, *, key, train):
        keys = split(key, 3)
        inputs = x if context is None else x["inputs"]
        carries = None if context is None else _first(cells, params, x["source"])
        inputs = read(config, params, inputs, keys[0], train)
        _, y = layers.stacked(
            cells,
            params["recurrent"],
            inputs,
            initial=carries,
            dropout=config.dropout,
            key=keys[1],
            train=train,
        )
        y = layers.dropout(y, config.dropout, key=keys[2], train=train)
        return layers.dense(params["head"], y)

    return stateless(init, apply)


def recurrent_language_model_decoder(
    config: RecurrentConfig, *, context: int | None = None
) -> Decoder:
    """The Decoder of ``recurrent_language_model`` with the same arguments, for the same params.

    Its source is x [N, C], or None without a ``context``; the carry is the layers'.
    Notes: L985, §7.2.
    """
    cells = _cells(config)

    def start(params, state, source, *, rows, max_length):
        if (source is None) != (context is None):
            raise ValueError("a source is given where the model has a context, and only there")
        if source is not None:
            return _first(cells, params, jnp.asarray(source))
        return [
            layers.initial_carry(cell, params["recurrent"][f"layer_{i}"], (rows,))
            for i, cell in enumerate(cells)
        ]

    def step(params, state, carry, tokens, lengths=None):
        x = layers.embedding(params["embedding"], tokens)
        x = x if lengths is None else Sequences(x, lengths)
        carry, y = layers.stacked(cells, params["recurrent"], x, initial=carry)
        return carry, layers.dense(params["head"], y)

    return Decoder(start, step)


def _cells(config):
    if config.num_tokens is None or config.bidirectional:
        raise ValueError("a language model reads tokens, in one direction: num_tokens and no more")
    return cast(list[Cell], make_cells(checked(config)))  # none is a pair: one direction


def _first(cells, params, x):
    """The carries of all layers from x [N, C]."""
    if jnp.ndim(x) != 2:
        raise ValueError(f"the source is x [N, C], not {list(jnp.shape(x))}")
    first, carries = jnp.tanh(layers.dense(params["context"], x)), []
    for cell in cells:
        carry = cell.carry((len(x),))
        widths = [c.shape[-1] for c in carry]
        parts = [first[:, sum(widths[:i]) : sum(widths[: i + 1])] for i in range(len(widths))]
        carries.append(tuple(parts))
        first = first[:, sum(widths) :]
    return carries
