"""The notes' own way to hide the future from a decoder: tokens of padding in its place. Notes: §8.3.2."""

import jax
import jax.numpy as jnp

from jaxdl.base import Array, Params, Sequences
from jaxdl.models import transformer_parts as parts
from jaxdl.models.transformer import decode, encode
from jaxdl.models.transformer_config import TransformerConfig, checked


def padded_prefixes(
    config: TransformerConfig, params: Params, x: dict[str, Array | Sequences], *, pad_id: int
) -> Array:
    """eta [N, T, V] of a ``transformer`` whose decoder sees PAD tokens where the future stands.

    For each t the inputs behind t are ``pad_id``, no mask hides them, and row t is kept: T passes.
    Those tokens still get attention, so that eta differs from the model's, which a causal mask
    gives in one pass (D-72). It is here to be compared, for params of any ``transformer``.
    Notes: L1139, §8.3.2.

    >>> from jaxdl import models
    >>> config = TransformerConfig(5, features=4, num_heads=2)
    >>> params, _ = models.transformer(config).init(jax.random.key(0))
    >>> tokens = jnp.array([[1, 2, 3]])
    >>> x = {"source": tokens, "inputs": tokens}
    >>> padded_prefixes(config, params, x, pad_id=0).shape
    (1, 3, 5)
    """
    config = checked(config)
    tokens, _ = parts.tokens_and_lengths(x["inputs"])
    source, mask, _ = encode(config, params, x["source"])
    steps = jnp.arange(tokens.shape[1])

    def at(t):
        prefix = jnp.where(steps <= t, tokens, pad_id)
        y, _ = decode(config, params, prefix, source, mask, causal=False)
        return parts.logits(params, y[:, t])

    return jax.lax.map(at, steps).swapaxes(0, 1)
