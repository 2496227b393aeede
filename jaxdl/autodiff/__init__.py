"""Differentiation by hand: backpropagation, Jacobians, memory, and what happens inside a network."""

from jaxdl.autodiff import diagnostics as diagnostics
from jaxdl.autodiff import pictures as pictures
from jaxdl.autodiff.backprop import Backprop as Backprop
from jaxdl.autodiff.backprop import Cache as Cache
from jaxdl.autodiff.backprop import backprop as backprop
from jaxdl.autodiff.backprop import backprop_deltas as backprop_deltas
from jaxdl.autodiff.backprop import forward as forward
from jaxdl.autodiff.backprop import output_delta as output_delta
from jaxdl.autodiff.jacobians import accumulate as accumulate
from jaxdl.autodiff.jacobians import chain_rule_jacobians as chain_rule_jacobians
from jaxdl.autodiff.jacobians import flop_count as flop_count
from jaxdl.autodiff.jacobians import jacobian as jacobian
from jaxdl.autodiff.layouts import row_gradient as row_gradient
from jaxdl.autodiff.memory import peak_memory as peak_memory
from jaxdl.autodiff.memory import stack_layers as stack_layers
from jaxdl.autodiff.scalar import ScalarWeights as ScalarWeights
from jaxdl.autodiff.scalar import scalar_nn as scalar_nn
from jaxdl.autodiff.scalar import scalar_nn_gradients as scalar_nn_gradients
from jaxdl.autodiff.scalar import scalar_skip_gradients as scalar_skip_gradients
