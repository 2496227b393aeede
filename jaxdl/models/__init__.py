"""Models: linear, generalised linear and polynomial regression, perceptrons, networks."""

from jaxdl.models import (
    chain_rule,
    density_network,
    diffusion,
    glm,
    linear,
    logistic,
    mcculloch_pitts,
    perceptron,
    polynomial,
    vae,
)
from jaxdl.models.augmented import augmented_apply, collapse_linear, from_augmented, to_augmented
from jaxdl.models.autoencoder import autoencoder, masking_noise, normal_noise
from jaxdl.models.cnn import cnn
from jaxdl.models.conditioned import conditioned, reshaped
from jaxdl.models.density_network import DensityNetwork
from jaxdl.models.language_model import language_model
from jaxdl.models.latent import (
    Posterior,
    Prior,
    flow_posterior,
    iaf_posterior,
    normal_posterior,
    normal_prior,
    prior,
    standard_normal,
)
from jaxdl.models.masked import masked_mlp, unmask
from jaxdl.models.mlp import mlp
from jaxdl.models.padded_prefixes import padded_prefixes
from jaxdl.models.population_statistics import population_statistics
from jaxdl.models.recurrent_config import RecurrentConfig
from jaxdl.models.recurrent_language_model import (
    recurrent_language_model,
    recurrent_language_model_decoder,
)
from jaxdl.models.reparameterized import reparameterized_posterior
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
from jaxdl.models.transposed_cnn import transposed_cnn
from jaxdl.models.unet import unet
from jaxdl.models.vae import VAE

__all__ = [
    "VAE",
    "DensityNetwork",
    "Posterior",
    "Prior",
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
    "conditioned",
    "density_network",
    "diffusion",
    "flow_posterior",
    "from_augmented",
    "glm",
    "iaf_posterior",
    "language_model",
    "language_model_decoder",
    "linear",
    "logistic",
    "masked_mlp",
    "masking_noise",
    "mcculloch_pitts",
    "mlp",
    "normal_noise",
    "normal_posterior",
    "normal_prior",
    "padded_prefixes",
    "perceptron",
    "polynomial",
    "population_statistics",
    "prior",
    "recurrent_language_model",
    "recurrent_language_model_decoder",
    "reparameterized_posterior",
    "reshaped",
    "residual_cnn",
    "seq2seq",
    "seq2seq_attention",
    "seq2seq_decoder",
    "sequence_classifier",
    "sequence_labeller",
    "standard_normal",
    "summary",
    "time_mlp",
    "to_augmented",
    "transformer",
    "transformer_classifier",
    "transformer_decoder",
    "transposed_cnn",
    "unet",
    "unmask",
    "vae",
    "vaswani_base",
]
