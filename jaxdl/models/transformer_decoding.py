"""Transformers that read their own output, with keys and values kept. Notes: §8.3.2."""

import jax.numpy as jnp

from jaxdl import layers
from jaxdl.base import Decoder
from jaxdl.layers.multi_head_attention import (
    attend_cache,
    cached_attention,
    empty_cache,
    filled_cache,
)
from jaxdl.layers.transformer import sublayers
from jaxdl.models import transformer_parts as parts
from jaxdl.models.transformer import encode
from jaxdl.models.transformer_config import TransformerConfig, checked


def transformer_decoder(config: TransformerConfig) -> Decoder:
    """The Decoder of ``transformer(config)``, for the same params.

    ``start`` takes the source, Sequences [N, S] or tokens: it is encoded once, and its keys and
    values in each layer are kept. The carry is ``{"read" [N], "layer_i": Cache, "source_i": Cache,
    "source_mask" [N, 1, 1, S]}``. A token that is read behind ``max_length`` has NaN logits.
    Notes: Eq. (40), §8.3.2 (D-72).
    """
    config = checked(config)

    def start(params, state, source, *, rows, max_length):
        if source is None:
            raise ValueError("a transformer decodes a source; language_model_decoder needs none")
        encoded, mask, _ = encode(config, params, source)
        if len(encoded) != rows:
            raise ValueError(f"the source has {len(encoded)} rows, not {rows}")
        carry = _empty(config, params["decoder"], rows, max_length)
        for i, layer in enumerate(parts.layers_of(params["decoder"])):
            carry[f"source_{i}"] = filled_cache(layer["source_attention"], encoded)
        if mask is None:
            mask = jnp.ones((rows, 1, 1, encoded.shape[1]), bool)
        return {**carry, "source_mask": mask}

    return Decoder(start, _step(config))


def language_model_decoder(config: TransformerConfig) -> Decoder:
    """The Decoder of ``language_model(config)``, for the same params; its source is None.

    The carry is ``{"read" [N], "layer_i": Cache}``. A token that is read behind ``max_length`` has
    NaN logits. Notes: L985, §7.2.
    """
    config = checked(config._replace(shared=True, source_tokens=None, source_features=None))

    def start(params, state, source, *, rows, max_length):
        if source is not None:
            raise ValueError("a language model has no source; give what it goes on from as prompt")
        return _empty(config, params["decoder"], rows, max_length)

    return Decoder(start, _step(config))


def _empty(config, stack, rows, max_length):
    if config.positions == "learned" and max_length > config.max_length:
        raise ValueError(
            f"{max_length} tokens are to be read, but the model has learned {config.max_length} "
            "positions"
        )
    empty = {
        f"layer_{i}": empty_cache(layer["attention"], rows, max_length)
        for i, layer in enumerate(parts.layers_of(stack))
    }
    return {"read": jnp.zeros(rows, jnp.int32), **empty}


def _step(config):
    def step(params, state, carry, tokens, lengths=None):
        positions = carry["read"][:, None] + jnp.arange(tokens.shape[1])
        turn = parts.turner(config, positions)
        x = parts.embed(config, params["embedding"], tokens, positions)
        after = dict(carry)
        for i, layer in enumerate(parts.layers_of(params["decoder"])):
            x, after[f"layer_{i}"] = _layer(config, layer, x, carry, i, positions, turn)
        x = parts.final_norm(config, params["decoder"], x)
        read = jnp.full(len(tokens), tokens.shape[1]) if lengths is None else lengths
        after["read"] = carry["read"] + read.astype(jnp.int32)
        logits = parts.logits(params, x)
        room = carry["layer_0"].key.shape[2]
        late = (positions >= room) & (positions < after["read"][:, None])
        return after, jnp.where(late[..., None], jnp.nan, logits)

    return step


def _layer(config, params, x, carry, i, positions, turn):
    """One layer of new tokens, and its cache with them."""
    caches = []

    def attention(x):
        out, cache = cached_attention(
            params["attention"], x, carry[f"layer_{i}"], positions, turn=turn
        )
        caches.append(cache)
        return out

    def source(x):
        return attend_cache(
            params["source_attention"], x, carry[f"source_{i}"], mask=carry["source_mask"]
        )

    network = lambda x: layers.position_wise_ffn(params["ffn"], x, activation=config.activation)
    inner = (attention, source, network) if "source_attention" in params else (attention, network)
    x = sublayers(params, x, inner, **parts.layer_settings(config))
    return x, caches[0]
