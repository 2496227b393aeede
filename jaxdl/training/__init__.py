"""Learners, objectives and the training engine."""

from jaxdl.training.checkpoints import Checkpoint
from jaxdl.training.fit import FitResult, History, fit
from jaxdl.training.learners import (
    gradient_learner,
    least_squares_learner,
    perceptron_learner,
    solver_learner,
)
from jaxdl.training.objectives import masked_mean, negative_log_likelihood
from jaxdl.training.pictures import log_curves, training_curves
from jaxdl.training.precision import Precision, mixed_precision
from jaxdl.training.runlog import RunLog, TensorBoardLog, read_log
from jaxdl.training.stopping import EarlyStopping
from jaxdl.training.stream import fit_stream
from jaxdl.training.stream_run import StreamHistory, StreamResult

__all__ = [
    "Checkpoint",
    "EarlyStopping",
    "FitResult",
    "History",
    "Precision",
    "RunLog",
    "StreamHistory",
    "StreamResult",
    "TensorBoardLog",
    "fit",
    "fit_stream",
    "gradient_learner",
    "least_squares_learner",
    "log_curves",
    "masked_mean",
    "mixed_precision",
    "negative_log_likelihood",
    "perceptron_learner",
    "read_log",
    "solver_learner",
    "training_curves",
]
