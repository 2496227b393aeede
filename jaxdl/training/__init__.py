"""Learners, objectives and the training engine."""

from jaxdl.arrays import masked_mean
from jaxdl.training.adversarial import adversarial_learner
from jaxdl.training.adversarial_criteria import (
    CRITERIA,
    Criterion,
    find_criterion,
    gradient_penalty,
    of_divergence,
)
from jaxdl.training.class_weights import class_weights
from jaxdl.training.dequantised_objective import dequantised_nll
from jaxdl.training.diffusion_objectives import denoising, prior_nats, variational_bound
from jaxdl.training.fit import FitResult, History, fit
from jaxdl.training.flow_matching import flow_matching
from jaxdl.training.flow_objectives import flow_nll
from jaxdl.training.host.checkpoints import Checkpoint
from jaxdl.training.host.runlog import RunLog, TensorBoardLog, read_log
from jaxdl.training.learners import (
    gradient_learner,
    least_squares_learner,
    perceptron_learner,
    solver_learner,
)
from jaxdl.training.objectives import negative_log_likelihood, sequence_nll
from jaxdl.training.precision import Precision, mixed_precision
from jaxdl.training.reconstruction import reconstruction_nll
from jaxdl.training.sequence_objectives import next_token_nll
from jaxdl.training.stopping import EarlyStopping
from jaxdl.training.stream import StreamHistory, StreamResult, fit_stream
from jaxdl.training.variational import marginal_nll, negative_elbo, negative_iwae

__all__ = [
    "CRITERIA",
    "Checkpoint",
    "Criterion",
    "EarlyStopping",
    "FitResult",
    "History",
    "Precision",
    "RunLog",
    "StreamHistory",
    "StreamResult",
    "TensorBoardLog",
    "adversarial_learner",
    "class_weights",
    "denoising",
    "dequantised_nll",
    "find_criterion",
    "fit",
    "fit_stream",
    "flow_matching",
    "flow_nll",
    "gradient_learner",
    "gradient_penalty",
    "least_squares_learner",
    "marginal_nll",
    "masked_mean",
    "mixed_precision",
    "negative_elbo",
    "negative_iwae",
    "negative_log_likelihood",
    "next_token_nll",
    "of_divergence",
    "perceptron_learner",
    "prior_nats",
    "read_log",
    "reconstruction_nll",
    "sequence_nll",
    "solver_learner",
    "variational_bound",
]
