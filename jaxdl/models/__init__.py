"""Models: linear, generalised linear and polynomial regression, perceptrons, networks."""

from jaxdl.models import chain_rule as chain_rule
from jaxdl.models import glm as glm
from jaxdl.models import linear as linear
from jaxdl.models import logistic as logistic
from jaxdl.models import mcculloch_pitts as mcculloch_pitts
from jaxdl.models import perceptron as perceptron
from jaxdl.models import polynomial as polynomial
from jaxdl.models.mlp import mlp as mlp
