"""What transformers share: embedded tokens, stacks of layers, the output projection. Notes: §8.3."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl import layers
from jaxdl.base import Array, Key, Params, Sequences
from jaxdl.checks import filled_in
from jaxdl.models.transformer_config import TransformerConfig


def tokens_and_lengths(x: Array | Sequences) -> tuple[Array, Array | np.ndarray | None]:
    """Tokens [N, T] with zeros behind the ends, and the lengths; None for an array.

    Raises ValueError for tokens that are not [N, T].
    """
    tokens, lengths = (x.filled(), x.lengths) if isinstance(x, Sequences) else (x, None)
    if jnp.ndim(tokens) != 2:
        raise ValueError(f"a transformer reads tokens [N, T], not {list(jnp.shape(tokens))}")
    return tokens, lengths


def padding(lengths: Array | np.ndarray | None, length: int) -> Array | None:
    """The mask of keys of ``layers.padding_mask`` for lengths [B]; None for None: all are whole."""
    return None if lengths is None else layers.padding_mask(lengths, length)


def embed_init(key: Key, config: TransformerConfig, num_tokens: int, features: int) -> Params:
    """``{"tokens": {"embedding" [V, D]}, "positions": ...}``; the latter where they are learned.

    Tokens start with N(0, 1) entries; with N(0, 1/D) where they are scaled by sqrt(D) later or are
    the output projection too.
    """
    keys = jax.random.split(key)
    small = config.embedding_scale or config.tied
    scale = features**-0.5 if small else 1.0
    draw = lambda key, shape, dtype: scale * jax.random.normal(key, shape, dtype)
    params = {"tokens": layers.embedding_init(keys[0], num_tokens, features, embedding_init=draw)}
    if config.positions == "learned":
        scale = 1.0 if config.embedding_scale else scale  # as large as what they are added to
        params["positions"] = layers.learned_positions_init(
            keys[1], filled_in(config.max_length), features, scale=scale
        )
    return params


def embed(
    config: TransformerConfig,
    params: Params,
    tokens: Array,
    positions: Array | np.ndarray | None = None,
) -> Array:
    """``E[tokens] sqrt(D) + P`` [B, T, D] for tokens [B, T].

    Without ``positions`` [B, T] they are 0, ..., T - 1. Notes: L1097, §8.3.1; L1139, §8.3.2.
    """
    x = layers.embedding(params["tokens"], tokens)
    features = x.shape[-1]
    if config.embedding_scale:
        x = x * math.sqrt(features)
    if config.positions == "learned":
        if positions is None:
            return x + layers.learned_positions(params["positions"], tokens.shape[1])
        return x + layers.embedding(params["positions"], jnp.asarray(positions))
    if config.positions == "sinusoidal":
        positions = np.arange(tokens.shape[1]) if positions is None else positions
        return x + layers.sinusoids(positions, features).astype(x.dtype)
    return x


def turner(config: TransformerConfig, positions: Array | None = None):
    """What turns queries and keys [B, h, T, k] of self-attention, or None."""
    if config.positions != "rotary":
        return None
    # One axis more than positions [B, T] have, for the heads.
    positions = None if positions is None else positions[:, None]
    return lambda x: layers.rotary(x, positions)


def layer_settings(config: TransformerConfig) -> dict:
    """How the parts of a layer are joined."""
    return {
        "norm_position": config.norm_position,
        "epsilon": config.epsilon,
        "dropout": config.dropout,
    }


def attention_settings(config: TransformerConfig) -> dict:
    """What the parts of a layer that attends to whole sequences are told."""
    return {
        "activation": config.activation,
        "turn": turner(config),
        "attention_dropout": config.attention_dropout,
        "implementation": config.implementation,
    }


def layer_sizes(config: TransformerConfig) -> dict:
    """The sizes and offsets of each layer."""
    return {
        "key_width": config.key_width,
        "value_width": config.value_width,
        "attention_bias": config.attention_bias,
        "use_bias": config.use_bias,
    }


def encoder_stack_init(key: Key, config: TransformerConfig, features: int, number: int) -> Params:
    """A stack of encoder layers of width ``features``."""
    hidden = config.hidden

    def init(key):
        return layers.encoder_layer_init(
            key, features, config.num_heads, filled_in(hidden), **layer_sizes(config)
        )

    return stack_init(key, config, init, number, features)


def stack_init(key: Key, config: TransformerConfig, layer_init, number: int, features: int):
    """``{"layer_0": ..., "layer_1": ...}``, or ``{"layers": ...}`` stacked; the draws are the same.

    Pre-LN stacks end with a ``"norm"``.
    """
    keys = jax.random.split(key, number)
    if config.scan_layers:
        params = {"layers": jax.vmap(layer_init)(keys)}
    else:
        params = {f"layer_{i}": layer_init(keys[i]) for i in range(number)}
    if config.norm_position == "pre":
        params["norm"] = layers.layer_norm_init(features)
    return params


def stack(config: TransformerConfig, params: Params, x: Array, layer, key: Key | None):
    """Each layer in turn, ``layer(params, x, key) -> (x, out)``: returns x and the outs, stacked.

    Scanned where the config says so, rematerialised likewise. Notes: L1129, §8.3.1.
    """
    fold = lambda i: None if key is None else jax.random.fold_in(key, i)
    layer = jax.checkpoint(layer) if config.remat else layer
    if config.scan_layers:
        stacked = params["layers"]
        number = len(jax.tree.leaves(stacked)[0])
        step = lambda x, args: layer(args[0], x, fold(args[1]))
        x, outs = jax.lax.scan(step, x, (stacked, jnp.arange(number)))
    else:
        outs = []
        for i, layer_params in enumerate(layers_of(params)):
            x, out = layer(layer_params, x, fold(i))
            outs.append(out)
        outs = jax.tree.map(lambda *leaves: jnp.stack(leaves), *outs)
    return final_norm(config, params, x), outs


def final_norm(config: TransformerConfig, params: Params, x: Array) -> Array:
    """The norm at the end of a pre-LN stack; x itself in a post-LN one."""
    return layers.layer_norm(params["norm"], x, epsilon=config.epsilon) if "norm" in params else x


def layers_of(params: Params) -> list[Params]:
    """The layers' own parameters one by one, of a stack in either form."""
    if "layers" in params:
        number = len(jax.tree.leaves(params["layers"])[0])
        return [jax.tree.map(lambda leaf, i=i: leaf[i], params["layers"]) for i in range(number)]
    return [params[f"layer_{i}"] for i in range(sum(name.startswith("layer_") for name in params))]


def output_init(key: Key, config: TransformerConfig) -> Params:
    """``{"output": {"kernel" [D, V]}}``, or nothing where the output is tied to the embedding."""
    if config.tied:
        return {}
    return {"output": layers.dense_init(key, config.features, config.num_tokens, use_bias=False)}


def logits(params: Params, x: Array) -> Array:
    """``x W_o`` [..., V], W_o the output's kernel or the embedding transposed (D-71)."""
    if "output" in params:
        return layers.dense(params["output"], x)
    return layers.dense({"kernel": params["embedding"]["tokens"]["embedding"].T}, x)
