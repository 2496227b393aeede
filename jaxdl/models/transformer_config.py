"""What a transformer is built from: sizes and choices, in one tuple. Notes: §8.3."""

from collections.abc import Callable
from typing import NamedTuple

from jaxdl.base import Array
from jaxdl.checks import one_of, positive_int
from jaxdl.layers.attention import IMPLEMENTATIONS
from jaxdl.layers.transformer import NORM_POSITIONS

POSITIONS = ("sinusoidal", "learned", "rotary", "none")


class TransformerConfig(NamedTuple):
    """The sizes and choices of a transformer; rates may be traced. Notes: §8.3.

    Language models and classifiers have one stack, of ``num_layers`` layers, and read tokens of
    ``num_tokens``; what is said of the source is for the encoder of ``transformer``.
    """

    num_tokens: int  # V, of the targets, or of the one sequence there is
    features: int = 128  # D
    num_heads: int = 4  # E
    hidden: int | None = None  # H of the position-wise networks; None is 4 D
    num_layers: int = 2
    source_tokens: int | None = None  # of the source; None is V
    source_features: int | None = None  # D_x of the encoder; None is D (D-76)
    encoder_layers: int | None = None  # None is num_layers
    key_width: int | None = None  # D_ek within a head; None is D / E
    value_width: int | None = None  # D_ev; None is D_ek
    norm_position: str = "post"  # as in the notes; or "pre", which trains more easily when deep
    activation: str | Callable = "relu"
    positions: str = "sinusoidal"  # or "learned", "rotary", "none"
    max_length: int | None = None  # of sequences, where positions are learned
    tied: bool = True  # the output projection is the target's embedding, transposed
    shared: bool = False  # source and target have one embedding
    embedding_scale: bool = True  # embeddings times sqrt(D), as in the paper
    dropout: float | Array = 0.0  # of embeddings and of each part's output
    attention_dropout: float | Array = 0.0  # of attention weights
    use_bias: bool = True  # of the position-wise networks (D-80)
    attention_bias: bool = False
    epsilon: float | Array = 1e-6  # of layer norms
    scan_layers: bool = False  # layers stacked in one array and scanned: programs compile faster
    remat: bool = False  # whether backward passes compute each layer anew, to save memory
    implementation: str = "auto"  # of attention, see layers.dot_product_attention


def vaswani_base(num_tokens: int = 37_000) -> TransformerConfig:
    """The base model of the paper: D = 512, H = 2048, E = 8 heads of 64, 6 layers of each kind.

    One vocabulary of ``num_tokens`` and one embedding for source, target and output, and dropout
    of 0.1. With 37 000 tokens it has 63 045 632 parameters; the paper counts 65 million.
    Source: Vaswani et al. (2017). Notes: §8.3.1.

    >>> vaswani_base()._replace(num_layers=2).num_heads
    8
    """
    return TransformerConfig(
        num_tokens,
        features=512,
        num_heads=8,
        hidden=2048,
        num_layers=6,
        encoder_layers=6,
        shared=True,
        dropout=0.1,
    )


def checked(config: TransformerConfig) -> TransformerConfig:
    """The config with its open sizes filled in. Raises a ValueError for what does not fit."""
    features = positive_int("features", config.features)
    one_of("norm_position", config.norm_position, NORM_POSITIONS)
    one_of("positions", config.positions, POSITIONS)
    one_of("implementation", config.implementation, IMPLEMENTATIONS)
    given = lambda value, default: default if value is None else value
    config = config._replace(
        num_tokens=positive_int("num_tokens", config.num_tokens),
        num_layers=positive_int("num_layers", config.num_layers),
        hidden=given(config.hidden, 4 * features),
        source_tokens=given(config.source_tokens, config.num_tokens),
        source_features=given(config.source_features, features),
        encoder_layers=positive_int(
            "encoder_layers", given(config.encoder_layers, config.num_layers)
        ),
    )
    if config.positions == "learned":
        if config.max_length is None:
            raise ValueError(
                "learned positions need max_length, the length of the longest sequence"
            )
        positive_int("max_length", config.max_length)
    same = (config.source_tokens, config.source_features) == (config.num_tokens, features)
    if config.shared and not same:
        raise ValueError(
            "a shared embedding needs one vocabulary and one width, not "
            f"{config.source_tokens} x {config.source_features} and {config.num_tokens} x {features}"
        )
    return config
