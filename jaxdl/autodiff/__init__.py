"""Differentiation by hand: backpropagation, Jacobians, memory, what happens inside a network."""

from jaxdl.autodiff import diagnostics
from jaxdl.autodiff.backprop import (
    Backprop,
    Cache,
    backprop,
    backprop_deltas,
    forward,
    output_delta,
)
from jaxdl.autodiff.bptt import (
    Bptt,
    ScalarRecurrence,
    bptt,
    bptt_scalar,
    gradient_norms_through_time,
    scalar_states,
    state_derivative,
)
from jaxdl.autodiff.jacobians import accumulate, chain_rule_jacobians, flop_count, jacobian
from jaxdl.autodiff.layouts import row_gradient
from jaxdl.autodiff.memory import peak_memory, stack_layers
from jaxdl.autodiff.scalar import (
    ScalarWeights,
    scalar_nn,
    scalar_nn_gradients,
    scalar_skip_gradients,
)

__all__ = [
    "Backprop",
    "Bptt",
    "Cache",
    "ScalarRecurrence",
    "ScalarWeights",
    "accumulate",
    "backprop",
    "backprop_deltas",
    "bptt",
    "bptt_scalar",
    "chain_rule_jacobians",
    "diagnostics",
    "flop_count",
    "forward",
    "gradient_norms_through_time",
    "jacobian",
    "output_delta",
    "peak_memory",
    "row_gradient",
    "scalar_nn",
    "scalar_nn_gradients",
    "scalar_skip_gradients",
    "scalar_states",
    "stack_layers",
    "state_derivative",
]
