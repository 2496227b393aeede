"""Model selection: splits, and whole studies over settings, folds and seeds."""

from jaxdl.model_selection.designs import LearningCurve as LearningCurve
from jaxdl.model_selection.designs import Nested as Nested
from jaxdl.model_selection.designs import learning_curve as learning_curve
from jaxdl.model_selection.designs import nested_cross_validate as nested_cross_validate
from jaxdl.model_selection.ensembles import Ambiguity as Ambiguity
from jaxdl.model_selection.ensembles import Vote as Vote
from jaxdl.model_selection.ensembles import ambiguity_decomposition as ambiguity_decomposition
from jaxdl.model_selection.ensembles import average as average
from jaxdl.model_selection.ensembles import average_parameters as average_parameters
from jaxdl.model_selection.ensembles import bootstrap as bootstrap
from jaxdl.model_selection.ensembles import diversity as diversity
from jaxdl.model_selection.ensembles import hard_vote as hard_vote
from jaxdl.model_selection.ensembles import out_of_bag as out_of_bag
from jaxdl.model_selection.ensembles import soft_vote as soft_vote
from jaxdl.model_selection.ensembles import zero_pad as zero_pad
from jaxdl.model_selection.grid import log_uniform as log_uniform
from jaxdl.model_selection.grid import random_search as random_search
from jaxdl.model_selection.grid import uniform as uniform
from jaxdl.model_selection.guards import TestSetGuard as TestSetGuard
from jaxdl.model_selection.guards import suspicious_accuracy as suspicious_accuracy
from jaxdl.model_selection.halving import Halving as Halving
from jaxdl.model_selection.members import member_key as member_key
from jaxdl.model_selection.neural_ensembles import Snapshots as Snapshots
from jaxdl.model_selection.neural_ensembles import (
    cross_entropy_decomposition as cross_entropy_decomposition,
)
from jaxdl.model_selection.neural_ensembles import ensemble_size_curve as ensemble_size_curve
from jaxdl.model_selection.neural_ensembles import snapshot_ensemble as snapshot_ensemble
from jaxdl.model_selection.paths import RegularizationPath as RegularizationPath
from jaxdl.model_selection.paths import degree_path as degree_path
from jaxdl.model_selection.paths import regularization_path as regularization_path
from jaxdl.model_selection.refit import Fitted as Fitted
from jaxdl.model_selection.refit import refit as refit
from jaxdl.model_selection.splits import Fold as Fold
from jaxdl.model_selection.splits import Split as Split
from jaxdl.model_selection.splits import as_folds as as_folds
from jaxdl.model_selection.splits import group_k_fold as group_k_fold
from jaxdl.model_selection.splits import k_fold as k_fold
from jaxdl.model_selection.splits import leave_one_out as leave_one_out
from jaxdl.model_selection.splits import shuffle_split as shuffle_split
from jaxdl.model_selection.splits import stratified_k_fold as stratified_k_fold
from jaxdl.model_selection.splits import train_validation_test as train_validation_test
from jaxdl.model_selection.study import Choice as Choice
from jaxdl.model_selection.study import Study as Study
from jaxdl.model_selection.validation import cross_validate as cross_validate
