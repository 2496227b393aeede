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
from jaxdl.layers.attention import (
    attend,
    attention_weights,
    dot_product_attention,
    query_weights,
    self_attention,
)
from jaxdl.layers.attention_masks import causal_mask, padding_mask
from jaxdl.layers.chunked_attention import chunked_attention
from jaxdl.layers.convolution import (
    conv,
    conv_init,
    conv_num_parameters,
    conv_transpose,
    conv_transpose_init,
)
from jaxdl.layers.dense import dense, dense_init
from jaxdl.layers.dropout import dropout
from jaxdl.layers.embedding import embedding, embedding_init
from jaxdl.layers.group_normalization import group_norm
from jaxdl.layers.initializers import for_activation, he_normal, orthogonal, xavier_uniform
from jaxdl.layers.lowering import Lowering, conv_lowering
from jaxdl.layers.multi_head_attention import multi_head_attention, multi_head_attention_init
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
from jaxdl.layers.pooling import avg_pool, global_avg_pool, global_max_pool, max_pool
from jaxdl.layers.positions import (
    learned_positions,
    learned_positions_init,
    rotary,
    sinusoidal_positions,
    sinusoids,
)
from jaxdl.layers.recurrent import gru_cell, initial_carry, lstm_cell, simple_cell
from jaxdl.layers.residual import add_skip, residual_block, residual_block_init, skip_init
from jaxdl.layers.transformer import (
    decoder_layer,
    decoder_layer_init,
    encoder_layer,
    encoder_layer_init,
    position_wise_ffn,
    position_wise_ffn_init,
)
from jaxdl.layers.uneven_heads import uneven_heads_attention, uneven_heads_init
from jaxdl.layers.unroll import (
    Layer,
    bidirectional,
    stacked,
    stacked_init,
    truncated_unroll,
    unroll,
)
from jaxdl.layers.windows import conv_output_size, pool_output_size

__all__ = [
    "ACTIVATIONS",
    "Layer",
    "Lowering",
    "Normalization",
    "activation",
    "add_skip",
    "attend",
    "attention_weights",
    "avg_pool",
    "batch_norm",
    "batch_norm_init",
    "batch_normalization",
    "bidirectional",
    "causal_mask",
    "chunked_attention",
    "conv",
    "conv_init",
    "conv_lowering",
    "conv_num_parameters",
    "conv_output_size",
    "conv_transpose",
    "conv_transpose_init",
    "decoder_layer",
    "decoder_layer_init",
    "dense",
    "dense_init",
    "derivative",
    "dot_product_attention",
    "dropout",
    "embedding",
    "embedding_init",
    "encoder_layer",
    "encoder_layer_init",
    "for_activation",
    "gelu",
    "global_avg_pool",
    "global_max_pool",
    "group_norm",
    "gru_cell",
    "he_normal",
    "identity",
    "initial_carry",
    "layer_norm",
    "layer_norm_init",
    "layer_normalization",
    "leaky_relu",
    "learned_positions",
    "learned_positions_init",
    "logistic",
    "lstm_cell",
    "max_pool",
    "merge_statistics",
    "moments",
    "move_statistics",
    "multi_head_attention",
    "multi_head_attention_init",
    "normalize",
    "orthogonal",
    "padding_mask",
    "pool_output_size",
    "population_statistics",
    "position_wise_ffn",
    "position_wise_ffn_init",
    "query_weights",
    "relu",
    "residual_block",
    "residual_block_init",
    "rotary",
    "self_attention",
    "silu",
    "simple_cell",
    "sinusoidal_positions",
    "sinusoids",
    "skip_init",
    "softplus",
    "stacked",
    "stacked_init",
    "tanh",
    "truncated_unroll",
    "uneven_heads_attention",
    "uneven_heads_init",
    "unroll",
    "xavier_uniform",
]
