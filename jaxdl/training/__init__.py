"""Learners, objectives and the training loop."""

from jaxdl.training.fit import FitResult, History, fit
from jaxdl.training.learners import (
    gradient_learner,
    least_squares_learner,
    perceptron_learner,
    solver_learner,
)
from jaxdl.training.objectives import masked_mean, negative_log_likelihood

__all__ = [
    "FitResult",
    "History",
    "fit",
    "gradient_learner",
    "least_squares_learner",
    "masked_mean",
    "negative_log_likelihood",
    "perceptron_learner",
    "solver_learner",
]
