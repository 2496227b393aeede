"""Optimisation: optimizers as optax transformations, solvers, schedules, critical points."""

from jaxdl.optim import schedules
from jaxdl.optim.adaptive import AdamState, RMSPropState, adam, adamw, rmsprop
from jaxdl.optim.averaging import (
    Average,
    AveragedState,
    average_init,
    average_params,
    average_update,
    with_average,
)
from jaxdl.optim.clipping import clip_by_global_norm, clip_by_value
from jaxdl.optim.critical import CriticalPoint, classify_critical_point
from jaxdl.optim.gradient_descent import Descent, GradientDescentState, gradient_descent, minimize
from jaxdl.optim.lbfgs import lbfgs, wolfe_search
from jaxdl.optim.minibatch import accumulate_gradients, minibatch_gradient
from jaxdl.optim.momentum import MomentumState, momentum
from jaxdl.optim.newton import newton

__all__ = [
    "AdamState",
    "Average",
    "AveragedState",
    "CriticalPoint",
    "Descent",
    "GradientDescentState",
    "MomentumState",
    "RMSPropState",
    "accumulate_gradients",
    "adam",
    "adamw",
    "average_init",
    "average_params",
    "average_update",
    "classify_critical_point",
    "clip_by_global_norm",
    "clip_by_value",
    "gradient_descent",
    "lbfgs",
    "minibatch_gradient",
    "minimize",
    "momentum",
    "newton",
    "rmsprop",
    "schedules",
    "with_average",
    "wolfe_search",
]
