"""A language model: the transformer's decoder without a source. Notes: §7.2, §8.3.2."""

import jax

from jaxdl import layers
from jaxdl.base import Model, stateless
from jaxdl.models import transformer_parts as parts
from jaxdl.models.transformer_config import TransformerConfig, checked


def language_model(config: TransformerConfig) -> Model:
    """``p(x_{t+1} | x_1, ..., x_t)`` for all t at once: causal layers over one sequence.

    x are tokens [N, T], or Sequences of them; eta [N, T, V] at t are the logits of the token
    behind t, and depend on none behind t. Params are ``"embedding"``, ``"decoder"``, and
    ``"output"`` where it is not tied. Train it with ``training.next_token_nll``.
    Source: Radford et al. (2019). Notes: L985, Eq. (32), §7.2; L1139, §8.3.2.

    Raises ValueError for a config that does not fit together, and for sequences that are longer
    than learned positions.

    >>> import jax.numpy as jnp
    >>> model = language_model(TransformerConfig(5, features=4, num_heads=2))
    >>> params, state = model.init(jax.random.key(0))
    >>> model.apply(params, state, jnp.array([[1, 2, 3]]))[0].shape
    (1, 3, 5)
    """
    config = checked(config._replace(shared=True, source_tokens=None, source_features=None))

    def init(key):
        keys = jax.random.split(key, 3)
        return {
            "embedding": parts.embed_init(keys[0], config, config.num_tokens, config.features),
            "decoder": parts.encoder_stack_init(
                keys[1], config, config.features, config.num_layers
            ),
            **parts.output_init(keys[2], config),
        }

    def apply(params, x, *, key, train):
        tokens, _ = parts.tokens_and_lengths(x)
        keys = [None] * 2 if key is None else jax.random.split(key)

        def layer(params, x, key):
            out = layers.encoder_layer(
                params,
                x,
                causal=True,
                key=key,
                train=train,
                **parts.layer_settings(config),
                **parts.attention_settings(config),
            )
            return out, None

        h = parts.embed(config, params["embedding"], tokens)
        h = layers.dropout(h, config.dropout, key=keys[0], train=train)
        h, _ = parts.stack(config, params["decoder"], h, layer, keys[1])
        return parts.logits(params, h)

    return stateless(init, apply)
