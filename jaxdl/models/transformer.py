"""The transformer, from a source sequence to the next targets; and a classifier. Notes: §8.3."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxdl import layers
from jaxdl.arrays import safe_divide
from jaxdl.base import Array, Key, Model, Params, Sequences, stateless
from jaxdl.checks import filled_in
from jaxdl.models import transformer_parts as parts
from jaxdl.models.transformer_config import TransformerConfig, checked


def transformer(config: TransformerConfig) -> Model:
    """``Transformer(y_<t, x) = Decoder(y_<t, Encoder(x))``, for all t at once.

    x is ``{"source": Sequences [N, S], "inputs": Sequences [N, T]}`` (or arrays of tokens, all of
    the whole length): ``inputs`` are the targets behind a BOS token, so that eta [N, T, V] at t are
    the logits of target t, which depends on the inputs up to t alone (D-72, D-74). What stands
    behind ends changes nothing. Source: Vaswani et al. (2017). Notes: Eqs. (39), (40), L1129,
    L1139, §8.3.

    Params are ``"source_embedding"`` and ``"embedding"`` (one of them where they are shared),
    ``"encoder"``, ``"decoder"``, and ``"output"`` where it is not tied.

    Raises ValueError for a config that does not fit together, and for sequences that are longer
    than learned positions.

    >>> model = transformer(TransformerConfig(5, features=4, num_heads=2))
    >>> params, state = model.init(jax.random.key(0))
    >>> tokens = jnp.array([[1, 2, 3]])
    >>> model.apply(params, state, {"source": tokens, "inputs": tokens[:, :2]})[0].shape
    (1, 2, 5)
    """
    config = checked(config)

    def init(key):
        keys = jax.random.split(key, 5)
        params = {
            "embedding": parts.embed_init(keys[0], config, config.num_tokens, config.features),
            "encoder": parts.encoder_stack_init(
                keys[1], config, filled_in(config.source_features), filled_in(config.encoder_layers)
            ),
            "decoder": parts.stack_init(
                keys[2], config, _decoder_layer_init(config), config.num_layers, config.features
            ),
            **parts.output_init(keys[3], config),
        }
        if not config.shared:
            params["source_embedding"] = parts.embed_init(
                keys[4], config, filled_in(config.source_tokens), filled_in(config.source_features)
            )
        return params

    def apply(params, x, *, key, train):
        keys = [None] * 2 if key is None else jax.random.split(key)
        source, mask, _ = encode(config, params, x["source"], key=keys[0], train=train)
        y, _ = decode(config, params, x["inputs"], source, mask, key=keys[1], train=train)
        return parts.logits(params, y)

    return stateless(init, apply)


def transformer_classifier(config: TransformerConfig, num_outputs: int) -> Model:
    """The transformer's encoder, the mean over the positions, and a linear map: eta [N, K].

    x is Sequences of tokens [N, T], or an array of them; K = ``num_outputs``, for any family. An
    empty sequence has the eta of zeros. Params are ``"embedding"``, ``"encoder"`` and
    ``"output"``. Raises ValueError as ``transformer``. Notes: L995, §7.2; §8.3.1.

    >>> model = transformer_classifier(TransformerConfig(5, features=4, num_heads=2), 3)
    >>> params, state = model.init(jax.random.key(0))
    >>> model.apply(params, state, jnp.array([[1, 2], [3, 4]]))[0].shape
    (2, 3)
    """
    config = checked(config._replace(shared=True, source_tokens=None, source_features=None))

    def init(key):
        keys = jax.random.split(key, 3)
        return {
            "embedding": parts.embed_init(keys[0], config, config.num_tokens, config.features),
            "encoder": parts.encoder_stack_init(
                keys[1], config, config.features, config.num_layers
            ),
            "output": layers.dense_init(keys[2], config.features, num_outputs),
        }

    def apply(params, x, *, key, train):
        h, mask, _ = encode(config, params, x, key=key, train=train)
        if mask is None:
            return layers.dense(params["output"], jnp.mean(h, axis=1))
        counts = mask[:, 0, 0, :, None]
        total = jnp.sum(jnp.where(counts, h, 0), axis=1)
        mean = safe_divide(total, jnp.sum(counts, axis=1).astype(h.dtype))
        return layers.dense(params["output"], mean)

    return stateless(init, apply)


def attention_maps(
    config: TransformerConfig, params: Params, x: dict[str, Any]
) -> dict[str, Array]:
    """The attention weights of a ``transformer``, layer by layer, as values.

    ``{"encoder" [L, N, h, S, S], "decoder" [L, N, h, T, T], "source" [L, N, h, T, S]}``: row t of
    the last says where the source is looked at for target t. Rows sum to one.
    """
    config = checked(config)._replace(implementation="plain")
    source, mask, encoder = encode(config, params, x["source"], weights=True)
    _, (decoder, to_source) = decode(config, params, x["inputs"], source, mask, weights=True)
    return {"encoder": encoder, "decoder": decoder, "source": to_source}


def encode(
    config: TransformerConfig,
    params: Params,
    x: Array | Sequences,
    *,
    key: Key | None = None,
    train: bool = False,
    weights: bool = False,
):
    """The encoder's last layer [N, S, D_x], the mask of the source, and the attention weights.

    The weights are None unless asked for. Notes: L1129, §8.3.1.
    """
    tokens, lengths = parts.tokens_and_lengths(x)
    mask = parts.padding(lengths, tokens.shape[1])
    keys = [None] * 2 if key is None else jax.random.split(key)

    def layer(params, x, key):
        out = layers.encoder_layer(
            params,
            x,
            mask=mask,
            key=key,
            train=train,
            return_weights=weights,
            **parts.layer_settings(config),
            **parts.attention_settings(config),
        )
        return out if weights else (out, None)

    x = parts.embed(config, params.get("source_embedding", params["embedding"]), tokens)
    x = layers.dropout(x, config.dropout, key=keys[0], train=train)
    x, seen = parts.stack(config, params["encoder"], x, layer, keys[1])
    return x, mask, seen


def decode(
    config: TransformerConfig,
    params: Params,
    inputs: Array | Sequences,
    source: Array,
    source_mask: Array | None,
    *,
    causal: bool = True,
    key: Key | None = None,
    train: bool = False,
    weights: bool = False,
):
    """The decoder's last layer [N, T, D], and its weights ``(self, source)`` or None.

    No mask of the inputs' lengths: causality keeps what is behind an end from all before it.
    ``causal=False`` is for inputs in which nothing is to be hidden. Notes: L1139, Eqs. (44)-(47),
    §8.3.2.
    """
    tokens, _ = parts.tokens_and_lengths(inputs)
    keys = [None] * 2 if key is None else jax.random.split(key)

    def layer(params, y, key):
        out = layers.decoder_layer(
            params,
            y,
            source,
            source_mask=source_mask,
            causal=causal,
            key=key,
            train=train,
            return_weights=weights,
            **parts.layer_settings(config),
            **parts.attention_settings(config),
        )
        return out if weights else (out, None)

    y = parts.embed(config, params["embedding"], tokens)
    y = layers.dropout(y, config.dropout, key=keys[0], train=train)
    return parts.stack(config, params["decoder"], y, layer, keys[1])


def _decoder_layer_init(config):
    return lambda key: layers.decoder_layer_init(
        key,
        config.features,
        config.num_heads,
        config.hidden,
        source_features=config.source_features,
        **parts.layer_sizes(config),
    )
