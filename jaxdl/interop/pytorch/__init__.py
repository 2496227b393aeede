"""PyTorch's state dicts as our parameters, and back: arrays of NumPy's, without PyTorch itself."""

from jaxdl.interop.pytorch.layers import (
    batch_norm,
    conv,
    conv_transpose,
    embedding,
    layer_norm,
    linear,
)
from jaxdl.interop.pytorch.layout import Layout, from_torch, parts, stack, to_torch
from jaxdl.interop.pytorch.recurrent import cell, recurrent
from jaxdl.interop.pytorch.transformer import (
    attention,
    decoder,
    decoder_layer,
    encoder,
    encoder_layer,
)

__all__ = [
    "Layout",
    "attention",
    "batch_norm",
    "cell",
    "conv",
    "conv_transpose",
    "decoder",
    "decoder_layer",
    "embedding",
    "encoder",
    "encoder_layer",
    "from_torch",
    "layer_norm",
    "linear",
    "parts",
    "recurrent",
    "stack",
    "to_torch",
]
