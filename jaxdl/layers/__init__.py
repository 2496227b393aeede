"""Layers: pure functions on arrays, ``name_init`` for parameters and ``name`` to apply them."""

from jaxdl.layers.activations import (
    ACTIVATIONS,
    activation,
    derivative,
    gelu,
    identity,
    leaky_relu,
    logistic,
    relu,
    silu,
    softplus,
    tanh,
)
from jaxdl.layers.dense import dense, dense_init
from jaxdl.layers.dropout import dropout
from jaxdl.layers.embedding import embedding, embedding_init
from jaxdl.layers.initializers import for_activation, he_normal, orthogonal, xavier_uniform
from jaxdl.layers.normalization import (
    Normalization,
    batch_norm,
    batch_norm_init,
    batch_normalization,
    layer_norm,
    layer_norm_init,
    layer_normalization,
    merge_statistics,
    moments,
    move_statistics,
    normalize,
    population_statistics,
)
from jaxdl.layers.residual import add_skip, residual_block, residual_block_init, skip_init

__all__ = [
    "ACTIVATIONS",
    "Normalization",
    "activation",
    "add_skip",
    "batch_norm",
    "batch_norm_init",
    "batch_normalization",
    "dense",
    "dense_init",
    "derivative",
    "dropout",
    "embedding",
    "embedding_init",
    "for_activation",
    "gelu",
    "he_normal",
    "identity",
    "layer_norm",
    "layer_norm_init",
    "layer_normalization",
    "leaky_relu",
    "logistic",
    "merge_statistics",
    "moments",
    "move_statistics",
    "normalize",
    "orthogonal",
    "population_statistics",
    "relu",
    "residual_block",
    "residual_block_init",
    "silu",
    "skip_init",
    "softplus",
    "tanh",
    "xavier_uniform",
]
