"""Optimisation: optimizers as optax transformations, solvers, schedules, critical points."""

from jaxdl.optim import schedules
from jaxdl.optim.adaptive import (
    AdamState,
    RMSPropState,
    adam,
    adamw,
    rmsprop,
    scale_by_adam,
    scale_by_rms,
)
from jaxdl.optim.averaging import (
    Average,
    AveragedState,
    average_init,
    average_params,
    average_update,
    with_average,
)
from jaxdl.optim.clipping import clip_by_global_norm, clip_by_value
from jaxdl.optim.composition import LearningRateState, chain, scale_by_learning_rate
from jaxdl.optim.critical import CriticalPoint, classify_critical_point
from jaxdl.optim.gradient_descent import Descent, gradient_descent, minimize
from jaxdl.optim.lbfgs import lbfgs, wolfe_search
from jaxdl.optim.minibatch import accumulate_gradients, minibatch_gradient
from jaxdl.optim.momentum import MomentumState, momentum, trace
from jaxdl.optim.newton import newton

__all__ = [
    "AdamState",
    "Average",
    "AveragedState",
    "CriticalPoint",
    "Descent",
    "LearningRateState",
    "MomentumState",
    "RMSPropState",
    "accumulate_gradients",
    "adam",
    "adamw",
    "average_init",
    "average_params",
    "average_update",
    "chain",
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
    "scale_by_adam",
    "scale_by_learning_rate",
    "scale_by_rms",
    "schedules",
    "trace",
    "with_average",
    "wolfe_search",
]
