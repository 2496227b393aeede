"""Models: linear, generalised linear and polynomial regression, perceptrons, networks."""

from jaxdl.models import chain_rule, glm, linear, logistic, mcculloch_pitts, perceptron, polynomial
from jaxdl.models.augmented import augmented_apply, collapse_linear, from_augmented, to_augmented
from jaxdl.models.masked import masked_mlp, unmask
from jaxdl.models.mlp import mlp
from jaxdl.models.population_statistics import population_statistics
from jaxdl.models.summary import Summary, summary

__all__ = [
    "Summary",
    "augmented_apply",
    "chain_rule",
    "collapse_linear",
    "from_augmented",
    "glm",
    "linear",
    "logistic",
    "masked_mlp",
    "mcculloch_pitts",
    "mlp",
    "perceptron",
    "polynomial",
    "population_statistics",
    "summary",
    "to_augmented",
    "unmask",
]
