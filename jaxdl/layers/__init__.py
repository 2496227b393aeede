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
from jaxdl.layers.initializers import for_activation, he_normal, orthogonal, xavier_uniform
from jaxdl.layers.normalization import (
    batch_norm,
    batch_norm_init,
    layer_norm,
    layer_norm_init,
    merge_statistics,
    population_statistics,
)
from jaxdl.layers.residual import add_skip, residual_block, residual_block_init, skip_init

__all__ = [
    "ACTIVATIONS",
    "activation",
    "add_skip",
    "batch_norm",
    "batch_norm_init",
    "dense",
    "dense_init",
    "derivative",
    "dropout",
    "for_activation",
    "gelu",
    "he_normal",
    "identity",
    "layer_norm",
    "layer_norm_init",
    "leaky_relu",
    "logistic",
    "merge_statistics",
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
