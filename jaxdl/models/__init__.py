"""Models: linear, generalised linear and polynomial regression, perceptrons, networks."""

from jaxdl.models import (
    chain_rule,
    diffusion,
    glm,
    linear,
    logistic,
    mcculloch_pitts,
    perceptron,
    polynomial,
)
from jaxdl.models.augmented import augmented_apply, collapse_linear, from_augmented, to_augmented
from jaxdl.models.autoencoder import autoencoder, masking_noise, normal_noise
from jaxdl.models.cnn import cnn
from jaxdl.models.language_model import language_model
from jaxdl.models.masked import masked_mlp, unmask
from jaxdl.models.mlp import mlp
from jaxdl.models.padded_prefixes import padded_prefixes
from jaxdl.models.population_statistics import population_statistics
from jaxdl.models.recurrent_config import RecurrentConfig
from jaxdl.models.recurrent_language_model import (
    recurrent_language_model,
    recurrent_language_model_decoder,
)
from jaxdl.models.residual_cnn import residual_cnn
from jaxdl.models.seq2seq import (
    Seq2SeqConfig,
    attentive_context,
    seq2seq,
    seq2seq_attention,
    seq2seq_decoder,
)
from jaxdl.models.sequence_classifier import sequence_classifier, sequence_labeller
from jaxdl.models.summary import Summary, summary
from jaxdl.models.time_mlp import time_mlp
from jaxdl.models.transformer import attention_maps, transformer, transformer_classifier
from jaxdl.models.transformer_config import TransformerConfig, vaswani_base
from jaxdl.models.transformer_decoding import language_model_decoder, transformer_decoder

__all__ = [
    "RecurrentConfig",
    "Seq2SeqConfig",
    "Summary",
    "TransformerConfig",
    "attention_maps",
    "attentive_context",
    "augmented_apply",
    "autoencoder",
    "chain_rule",
    "cnn",
    "collapse_linear",
    "diffusion",
    "from_augmented",
    "glm",
    "language_model",
    "language_model_decoder",
    "linear",
    "logistic",
    "masked_mlp",
    "masking_noise",
    "mcculloch_pitts",
    "mlp",
    "normal_noise",
    "padded_prefixes",
    "perceptron",
    "polynomial",
    "population_statistics",
    "recurrent_language_model",
    "recurrent_language_model_decoder",
    "residual_cnn",
    "seq2seq",
    "seq2seq_attention",
    "seq2seq_decoder",
    "sequence_classifier",
    "sequence_labeller",
    "summary",
    "time_mlp",
    "to_augmented",
    "transformer",
    "transformer_classifier",
    "transformer_decoder",
    "unmask",
    "vaswani_base",
]
