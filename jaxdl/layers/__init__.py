"""Layers: pure functions on arrays, ``name_init`` for parameters and ``name`` to apply them."""

from jaxdl.layers.activations import ACTIVATIONS as ACTIVATIONS
from jaxdl.layers.activations import activation as activation
from jaxdl.layers.activations import derivative as derivative
from jaxdl.layers.activations import gelu as gelu
from jaxdl.layers.activations import identity as identity
from jaxdl.layers.activations import leaky_relu as leaky_relu
from jaxdl.layers.activations import logistic as logistic
from jaxdl.layers.activations import relu as relu
from jaxdl.layers.activations import silu as silu
from jaxdl.layers.activations import softplus as softplus
from jaxdl.layers.activations import tanh as tanh
from jaxdl.layers.dense import dense as dense
from jaxdl.layers.dense import dense_init as dense_init
from jaxdl.layers.dropout import dropout as dropout
