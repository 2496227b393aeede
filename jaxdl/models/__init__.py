"""Models: linear, generalised linear and polynomial regression, perceptrons, networks."""

from jaxdl.models import chain_rule as chain_rule
from jaxdl.models import glm as glm
from jaxdl.models import linear as linear
from jaxdl.models import logistic as logistic
from jaxdl.models import mcculloch_pitts as mcculloch_pitts
from jaxdl.models import perceptron as perceptron
from jaxdl.models import polynomial as polynomial
from jaxdl.models.augmented import augmented_apply as augmented_apply
from jaxdl.models.augmented import collapse_linear as collapse_linear
from jaxdl.models.augmented import from_augmented as from_augmented
from jaxdl.models.augmented import to_augmented as to_augmented
from jaxdl.models.masked import masked_mlp as masked_mlp
from jaxdl.models.masked import unmask as unmask
from jaxdl.models.mlp import mlp as mlp
from jaxdl.models.population_statistics import population_statistics as population_statistics
from jaxdl.models.summary import Summary as Summary
from jaxdl.models.summary import summary as summary
